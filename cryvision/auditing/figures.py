"""Figures of an audit as pictures that stand inside a page, which loads nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from cryvision.evaluation.figures import BLUE, GREY, grid, png_bytes
from cryvision.outputs.lettering import set_plain, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito's colours, distinct to colour-blind readers: https://jfly.uni-koeln.de/color/
COLOURS = (BLUE, "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", GREY)

_LONGEST = 26
_WIDTH_INCHES, _ROW_INCHES, _AXIS_INCHES = 7.5, 0.28, 0.7


def stacked_bars(rows: Mapping[str, Mapping[str, int]]) -> bytes:
    """Draw a bar for each row, cut into its parts.

    Parameters
    ----------
    rows : mapping of str to mapping of str to int
        By row and part, how many.

    Returns
    -------
    bytes
        A PNG, as from the other functions here.
    """
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


def histogram(edges: Sequence[float], counts: Sequence[int], unit: str) -> bytes:
    """Draw how many clips lie in each bin, of which there are one less than edges."""
    axes = _axes(6)
    axes.stairs(counts, edges, fill=True, color=BLUE)
    axes.set(xlabel=unit, ylabel="clips")
    return _picture(axes)


def intervals(rows: Mapping[str, Sequence[float]], chance: float) -> bytes:
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
