"""An agreement as text, as a figure of where two differ, and as a page to print."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from cryvision.evaluation.agreement import CodedClip
from cryvision.evaluation.figures import BLUE, GREY, ORANGE, png_bytes
from cryvision.evaluation.markdown import intervals_line
from cryvision.inputs.ffmpeg import shown
from cryvision.outputs.html_page import picture, report_page
from cryvision.outputs.lettering import set_plain, shortened
from cryvision.outputs.panels import grid
from cryvision.outputs.wording import clock, counted, length

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KIND = "agreement"
"""Of the page, as `cryvision.outputs.html_page` has it."""

FIGURES = {
    "event_f1": "F1 of events, onsets within {onset:g} s and offsets within {offset:g} s",
    "event_precision": "share of the events of B that match one of A",
    "event_recall": "share of the events of A that match one of B",
    "intersection_f1": "F1 of events that overlap by {overlap} %",
    "gamma": "gamma: alignment of events beyond chance",
    "kappa": "Cohen's kappa over time",
    "iou": "intersection over union of the time with crying",
    "psds1": "PSDS, exact times (overlap 70 %)",
    "psds2": "PSDS, presence (overlap 10 %)",
    "alarms_per_hour": "events of B per hour that overlap none of A",
    "missed_per_hour": "events of A per hour that overlap none of B",
}
"""What each figure is; A is the reference."""

_HEADER = ("measure", "value", "95 % interval", "definition")
_CLIP_HEADER = ("recording", "subject", "A only, s", "B only, s", "both, s", "length, s")
_DIFFERENCES = (
    *("", "median", "95 % interval", "interquartile range", "5th to 95th percentile"),
    "mean absolute",
)
_MOST_CLIPS = 12
_WINDOW_SECONDS = 600.0
_LONGEST_NAME = 60
_WIDTH_INCHES, _CLIP_INCHES = 8.0, 0.95


def agreement_text(record: dict[str, Any]) -> str:
    """Write an agreement for people: what was compared, the measures, the differences in time."""
    heading, differences = _difference_lines(record)
    return "\n".join(
        [
            _compared(record),
            f"A (reference): {_crying(record, 'first')}",
            f"B: {_crying(record, 'second')}",
            "",
            *_aligned(_filled([_HEADER, *figure_rows(record)])),
            "",
            intervals_line(record["n_subjects"]),
            "",
            heading,
            *_aligned(differences),
        ]
    )


def figure_rows(record: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Give name, value (a dash for none), interval and definition of each figure."""
    words = {**record["tolerance_s"], "overlap": f"{100 * record['overlap']:g}"}
    rows = []
    for name, meaning in FIGURES.items():
        figure = record["figures"].get(name)
        if figure is not None:
            value = "-" if figure["value"] is None else f"{figure['value']:.2f}"
            interval = _range(figure.get("interval"), ".2f")
            rows.append((name, value, interval, meaning.format(**words)))
    return rows


def _compared(record: dict[str, Any]) -> str:
    return (
        f"{counted(record['n_clips'], 'recording')} of {counted(record['n_subjects'], 'subject')}, "
        f"{length(3600 * record['hours'])}"
    )


def _crying(record: dict[str, Any], which: str) -> str:
    return (
        f"{counted(record['events'][which], 'event')}, {length(record[f'{which}_seconds'])} of "
        "crying"
    )


def _difference_lines(record: dict[str, Any]) -> tuple[str, list[tuple[str, ...]]]:
    """Give a heading and a table, with its header, of the differences in time."""
    if not record["n_pairs"]:
        return "No onset or offset differences: no event of A overlaps one of B.", []
    pairs = counted(record["n_pairs"], "pair")
    heading = f"Onset and offset differences (B - A) in seconds, {pairs} of overlapping events:"
    rows = []
    for name in ("onset", "offset"):
        of = record[f"{name}_error_s"]
        rows.append(
            (
                name,
                f"{of['median']:+.3f}",
                _range(of["median_interval"], "+.3f"),
                _range((of["p25"], of["p75"]), "+.3f"),
                _range((of["p5"], of["p95"]), "+.3f"),
                f"{of['mean_absolute']:.3f}",
            )
        )
    return heading, _filled([_DIFFERENCES, *rows])


def _range(ends: Sequence[float] | None, form: str) -> str:
    return "" if ends is None else f"{ends[0]:{form}} to {ends[1]:{form}}"


def _filled(rows: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """Leave out the columns of a table that are empty below their header."""
    columns = [column for column in zip(*rows, strict=True) if any(column[1:])]
    return list(zip(*columns, strict=True))


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def agreement_page(
    record: dict[str, Any], clips: Sequence[CodedClip], sources: Sequence[str]
) -> str:
    """Make a page that can be printed, on what two sources, A and B, have coded.

    The record is that of `cryvision.evaluation.agreement.measure_agreement`, with ``notes``,
    ``warnings`` and ``problems``.
    """
    first, second = (escape(shown(source)) for source in sources)
    heading, differences = _difference_lines(record)
    parts = [
        "<h1>Agreement</h1>",
        f"<p>{_compared(record)}.<br>A (reference): {first}, {_crying(record, 'first')}.<br>"
        f"B: {second}, {_crying(record, 'second')}.</p>",
        *(f"<p>{escape(shown(line))}</p>" for line in (*record["warnings"], *record["notes"])),
        _table(_filled([_HEADER, *figure_rows(record)])),
        f"<p>{intervals_line(record['n_subjects'])}</p>",
        "<h2>Differences in time</h2>",
        f"<p>{heading}</p>",
        _table(differences),
        "<h2>Where they differ</h2>",
        picture(
            "A above, B below; grey: both, orange: only A, blue: only B", png_bytes(draw(clips))
        ),
        _table([_CLIP_HEADER, *map(_clip_row, record["clips"])]),
        *(["<h2>Not compared</h2>"] if record["problems"] else []),
        *(f"<p>{escape(shown(line))}</p>" for line in record["problems"]),
    ]
    return report_page(KIND, "Agreement", "\n".join(parts) + "\n")


def _clip_row(clip: dict[str, Any]) -> tuple[str, ...]:
    names = (shortened(shown(clip[key]), _LONGEST_NAME) for key in ("name", "subject"))
    seconds = (clip[key] for key in ("first_only_s", "second_only_s", "both_s", "duration_s"))
    return (*names, *(f"{value:.1f}" for value in seconds))


def draw(clips: Sequence[CodedClip]) -> Figure:
    """Draw the clips with most disagreement; of a long one, the ten minutes with most of it."""
    ranked = sorted(clips, key=lambda clip: -_seconds_within(_differences(clip)))
    shown_clips = ranked[:_MOST_CLIPS]
    size = (_WIDTH_INCHES, _CLIP_INCHES * len(shown_clips) + 0.5)
    figure, axes = grid(len(shown_clips), 1, size)
    for ax, clip in zip(axes[:, 0], shown_clips, strict=True):
        start_s, end_s = _window(clip)
        lanes = ((clip.first, clip.second, 1, ORANGE), (clip.second, clip.first, 0, BLUE))
        for events, others, lane, colour in lanes:
            for inside, shade in ((True, GREY), (False, colour)):
                part = _stretches(events, others, inside)
                spans = [(a, b - a) for a, b in part if b > start_s and a < end_s]
                ax.broken_barh(spans, (lane + 0.1, 0.8), color=shade, linewidth=0)
        ax.set(xlim=(start_s, end_s), ylim=(0, 2), yticks=(0.5, 1.5), yticklabels=("B", "A"))
        ax.tick_params(labelsize=7, length=2)
        ax.spines[["top", "right"]].set_visible(False)
        ax.xaxis.set_major_formatter(lambda value, _: clock(max(0.0, value), decimals=0))
        title = ax.set_title(" ", fontsize=8, loc="left")
        set_plain(title, shortened(clip.name, _LONGEST_NAME))
    return figure


def _window(clip: CodedClip) -> tuple[float, float]:
    if clip.duration_s <= _WINDOW_SECONDS:
        return 0.0, clip.duration_s
    spans = _differences(clip)
    starts = np.arange(0.0, clip.duration_s - _WINDOW_SECONDS / 2, _WINDOW_SECONDS / 2)
    best = max(starts, key=lambda start: _seconds_within(spans, start, start + _WINDOW_SECONDS))
    return float(best), float(min(best + _WINDOW_SECONDS, clip.duration_s))


def _differences(clip: CodedClip) -> np.ndarray:
    """Stretches, shape (n, 2), in which one of the two has crying and the other has none."""
    alone = _stretches(clip.first, clip.second, False), _stretches(clip.second, clip.first, False)
    return np.reshape([*alone[0], *alone[1]], (-1, 2))


def _seconds_within(spans: np.ndarray, start_s: float = 0.0, end_s: float = math.inf) -> float:
    return float(np.diff(spans.clip(start_s, end_s)).sum())


def _stretches(events: np.ndarray, others: np.ndarray, inside: bool) -> list[tuple[float, float]]:
    """Stretches of some events that lie in others, or outside of them."""
    edges = others.ravel()
    found = []
    first = np.searchsorted(edges, events[:, 0], side="right")
    stop = np.searchsorted(edges, events[:, 1], side="left")
    for (start_s, end_s), a, b in zip(events.tolist(), first, stop, strict=True):
        cuts = [start_s, *edges[a:b].tolist(), end_s]
        for left, right in itertools.pairwise(cuts):
            middle = (left + right) / 2
            is_inside = np.searchsorted(edges, middle, side="right") % 2 == 1
            if is_inside == inside and right > left:
                found.append((left, right))
    return found


def _table(rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = [
        "".join(f"<{cell}>{escape(text)}</{cell}>" for text in row)
        for cell, row in zip(("th", *("td",) * (len(rows) - 1)), rows, strict=True)
    ]
    return "<table>\n" + "\n".join(f"<tr>{line}</tr>" for line in lines) + "\n</table>"
