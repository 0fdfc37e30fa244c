"""A figure of days: the minutes of crying of each hour."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryvision.atomic import check_suffix, replacing
from cryvision.errors import CryvisionError
from cryvision.layers import needed
from cryvision.monitor.recording.day_report import HOUR, Day, share_observed
from cryvision.monitor.recording.observed import MINUTE
from cryvision.outputs import panels
from cryvision.outputs.html_page import check_marked
from cryvision.outputs.lettering import set_plain, shortened
from cryvision.outputs.wording import length, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_PANELS = 31
"""Days in a figure: the latest ones."""

_MARK = "cryvision figure of days"
_PANEL_INCHES = 1.9
_TOPS = (2, 4, 10, 20, 30, 60)
_LONGEST_NAME = 40


def check_target(path: Path) -> None:
    """Make sure before any work that a figure may be written, over an older one alone."""
    check_marked("figure of older days", _MARK.encode(), path)
    check_suffix("the figure", path, ".png")


def draw(days: list[Day], path: Path) -> None:
    """Draw the minutes of crying of each hour into a PNG, a panel for each day and source.

    Hours that were not observed, or too quiet to be scored, are hatched; of many days the latest
    are drawn.
    """
    if not days:
        raise CryvisionError("a figure needs a day that was recorded; there is none")
    latest = sorted(days, key=lambda day: day.date)[-MOST_PANELS:]
    latest.sort(key=lambda day: (day.source, day.date))
    height_inches = 0.5 + _PANEL_INCHES * len(latest)
    with needed("a figure", "matplotlib"):
        figure, axes = panels.grid(len(latest), 1, (panels.WIDTH_INCHES, height_inches))
    for ax, day in zip(axes[:, 0], latest, strict=True):
        _draw_day(ax, day)
    too_quiet = any(hour.too_quiet for day in latest for hour in day.hours)
    hatched = "not observed, or too quiet to be scored" if too_quiet else "not observed"
    axes[-1, 0].set_xlabel(f"local time (hatched: {hatched})")
    with replacing(path) as place:
        figure.savefig(place, format="png", facecolor="white", metadata={"Software": _MARK})


def _draw_day(axes: Axes, day: Day) -> None:
    at = [(hour.start - day.hours[0].start) / HOUR for hour in day.hours]
    minutes = [hour.crying_s / MINUTE for hour in day.hours]
    widths = np.diff([*at, day.day_s / HOUR])
    axes.bar(at, minutes, widths, align="edge", color=panels.EVENT_COLOUR, linewidth=0)
    top = next((top for top in _TOPS if top >= max(minutes)), 60)
    unknown = np.array([hour.observed_s == 0 or hour.too_quiet for hour in day.hours])
    look: dict[str, Any] = {"facecolor": "none", "edgecolor": panels.HATCH_COLOUR}
    look |= {"hatch": panels.HATCH, "linewidth": 0}
    axes.bar(np.array(at)[unknown], top, widths[unknown], align="edge", **look)
    axes.set(xlim=(0, day.day_s / HOUR), ylim=(0, top), ylabel="crying (min)")
    axes.set_yticks([0, top / 2, top])
    axes.set_xticks(at[::2], [hour.clock for hour in day.hours[::2]])
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    title = axes.set_title("", loc="left", fontsize=10, fontweight="bold")
    summary = f"{day.date.isoformat()}: {length(day.crying_s, decimals=0)} of crying"
    name = shortened(printable(day.source), _LONGEST_NAME)
    set_plain(title, f"{name}, {summary}; {share_observed(day)}")
