"""An audit as one HTML page with its figures inside; it loads nothing and runs nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from cryvision.auditing.audit import Audit
from cryvision.auditing.markdown import audit_text, table
from cryvision.evaluation.figures import BLUE, GREY, png_bytes
from cryvision.inputs.ffmpeg import shown
from cryvision.outputs.html_page import picture, report_page
from cryvision.outputs.lettering import set_plain, shortened
from cryvision.outputs.panels import grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KIND = "audit"
"""Of the page, as `cryvision.outputs.html_page` has it."""

_MOST_EXAMPLES = 500

# Okabe & Ito's colours, distinct to colour-blind readers: https://jfly.uni-koeln.de/color/
COLOURS = (BLUE, "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", GREY)

_LONGEST = 26
_WIDTH_INCHES, _ROW_INCHES, _AXIS_INCHES = 7.5, 0.28, 0.7


def page(audit: Audit) -> str:
    """Make the page of an audit; names from the corpus are text in it, whatever they hold."""
    from markdown_it import MarkdownIt

    # Without links, pictures and HTML: whatever a file is called, it stays text.
    render = MarkdownIt("zero").enable(["heading", "list", "table", "emphasis"]).render
    text = [audit_text(audit, _MOST_EXAMPLES)]
    for name, values in audit.counts["facts"].items():
        if values:
            labels = audit.counts["labels"]
            rows = ([value, *(row.get(one, 0) for one in labels)] for value, row in values.items())
            text += [f"\n## Clips by {name}\n", *table([name, *labels], rows)]
    if audit.problems:
        text += ["\n## What the reader said\n", *(f"- {shown(line)}" for line in audit.problems)]
    figures = "\n".join(picture(title, png) for title, png in _figures(audit))
    body = f"{render(chr(10).join(text))}<h2>Figures</h2>\n{figures}\n"
    return report_page(KIND, "Audit", body)


def _figures(audit: Audit) -> Iterator[tuple[str, bytes]]:
    """Titles and pictures; the text above them lists what could not be measured."""
    facts = {name: values for name, values in audit.counts["facts"].items() if len(values) > 1}
    by = "device" if "device" in facts else next(iter(facts), None)
    rows = {
        label: {shown(value): row[label] for value, row in facts[by].items() if label in row}
        if by
        else {"clips": figures["clips"]}
        for label, figures in audit.counts["labels"].items()
    }
    yield "Clips by label" + (f" and {by}" if by else ""), _stacked_bars(_plain(rows))
    for title, name, unit in (
        ("Length of the clips", "duration_s", "seconds"),
        ("Level of the clips", "level_dbfs", "RMS level, dBFS"),
    ):
        yield title, _histogram(audit.sound[name]["edges"], audit.sound[name]["clips"], unit)
    shortcut, device = audit.label_without_sound, audit.device_from_sound
    if shortcut["reason"] is None:
        shares = {name: figures["balanced_accuracy"] for name, figures in shortcut["facts"].items()}
        title = "Balanced accuracy of the label without the sound, subjects kept apart"
        yield title, _intervals(_plain(shares), shortcut["chance"])
    if device["reason"] is None:
        areas = {name: figures["auc"] for name, figures in device["devices"].items()}
        title = f"AUC of the {device['of']} from the sound, subjects kept apart"
        yield title, _intervals(_plain(areas), 0.5)
    changes = {
        name: {"the same label": gap["pairs"] - len(gap["changed"]),
               "another label": len(gap["changed"])}
        for name, gap in audit.label_changes.items()
        if gap["pairs"]
    }  # fmt: skip
    if changes:
        yield "Successive clips of one subject, by time between", _stacked_bars(changes)


def _plain(rows: dict[str, Any]) -> dict[str, Any]:
    return {shown(name): value for name, value in rows.items()}


def _stacked_bars(rows: Mapping[str, Mapping[str, int]]) -> bytes:
    """Draw a bar for each row, cut into its parts: a PNG, as from the other functions here."""
    parts = list(dict.fromkeys(part for row in rows.values() for part in row))
    axes = _axes(len(rows) + (len(parts) > 1))
    starts = np.zeros(len(rows))
    for i, part in enumerate(parts):
        counts = np.array([row.get(part, 0) for row in rows.values()])
        colour = COLOURS[min(i, len(COLOURS) - 1)]
        bars = axes.barh(range(len(rows)), counts, left=starts, color=colour, label=" ")
        axes.bar_label(bars, [str(n or "") for n in counts], label_type="center", fontsize=8)
        starts += counts
    if len(parts) > 1:
        legend = axes.legend(
            ncols=4, frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1)
        )
        for text, part in zip(legend.get_texts(), parts, strict=True):
            set_plain(text, shortened(part, _LONGEST))
    _name_rows(axes, list(rows))
    return _picture(axes)


def _histogram(edges: Sequence[float], counts: Sequence[int], unit: str) -> bytes:
    """Draw how many clips lie in each bin, of which there are one less than edges."""
    axes = _axes(6)
    axes.stairs(counts, edges, fill=True, color=BLUE)
    axes.set(xlabel=unit, ylabel="clips")
    return _picture(axes)


def _intervals(rows: Mapping[str, Sequence[float]], chance: float) -> bytes:
    """Draw shares with their intervals, ``(value, low, high)``, against a line for chance."""
    axes = _axes(len(rows))
    axes.axvline(chance, color=COLOURS[5], linestyle="--", label="chance")
    for row, (value, low, high) in enumerate(rows.values()):
        axes.plot([low, high], [row, row], color=BLUE, linewidth=2)
        axes.plot(value, row, "o", color=BLUE)
        axes.annotate(f"{value:.2f}", (1.02, row), fontsize=8, va="center", annotation_clip=False)
    axes.set_xlim(0, 1)
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1))
    _name_rows(axes, list(rows))
    return _picture(axes)


def _axes(n_rows: int) -> Axes:
    _, axes = grid(1, 1, (_WIDTH_INCHES, _AXIS_INCHES + _ROW_INCHES * n_rows))
    axes[0, 0].spines[["top", "right"]].set_visible(False)
    single: Axes = axes[0, 0]
    return single


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks([])
    for row, name in enumerate(names):
        text = axes.annotate(
            "", (0, row), (-6, 0), ("axes fraction", "data"), "offset points", fontsize=8
        )
        text.set(horizontalalignment="right", verticalalignment="center")
        set_plain(text, shortened(name, _LONGEST))
    axes.set_ylim(len(names) - 0.4, -0.6)


def _picture(axes: Axes) -> bytes:
    return png_bytes(cast("Figure", axes.get_figure()))
