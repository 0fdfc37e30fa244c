"""Figures of a report: confusion matrices, reliability diagrams and learning curves."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from cryvision.outputs.lettering import drawable, families, shortened
from cryvision.outputs.panels import grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANEL_INCHES = 4.2
_MOST_COLUMNS = 3
_UNIT = (-0.02, 1.02)
"""From 0 to 1, with room for what is drawn on the edge."""

_LONGEST_LABEL = 24
_MOST_WRITTEN = 12
"""Cells of a confusion matrix with more classes than this are too small to be written in."""

# Okabe & Ito's colours, distinct to colour-blind readers: https://jfly.uni-koeln.de/color/
BLUE, ORANGE, GREY, PALE = "#0072B2", "#D55E00", "#666666", "#dddddd"


def draw_confusion(panels: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draw matrices side by side: counts, shaded by the share of their row.

    Each is by its title, as the ``confusion`` of `cryvision.evaluation.report.unit_record`.
    """
    figure, axes = _panels(len(panels), _PANEL_INCHES + 0.3, _PANEL_INCHES)
    for (ax,), (title, panel) in zip(axes, panels.items(), strict=True):
        counts, answers, labels = np.asarray(panel["counts"]), panel["answers"], panel["labels"]
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        ax.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        fonts = families()
        ax.set_xticks(range(len(answers)), _short(answers), parse_math=False, family=fonts)
        ax.set_yticks(range(len(labels)), _short(labels), parse_math=False, family=fonts)
        for label in ax.get_xticklabels():
            label.set(rotation=30, ha="right", rotation_mode="anchor")
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        ax.set(title=f"{title} (n = {counts.sum():,.0f})", xlabel="answer", ylabel="label")
        if len(answers) > _MOST_WRITTEN:
            continue
        for (row, column), share in np.ndenumerate(shares):
            text, colour = (
                f"{counts[row, column]:.0f}\n{share:.0%}",
                "white" if share > 0.5 else "black",
            )
            ax.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)
    return figure


def draw_reliability(panels: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draw how often what was stated came true, and under it how often it was stated.

    Each is by its title, as the ``reliability`` of `cryvision.evaluation.report.unit_record`.
    """
    from matplotlib.ticker import MaxNLocator

    figure, axes = _panels(len(panels), _PANEL_INCHES, 1.1 * _PANEL_INCHES, (3, 1))
    for (top, below), (title, panel) in zip(axes, panels.items(), strict=True):
        bins = panel["bins"]
        middles = [(b["from"] + b["to"]) / 2 for b in bins]
        widths = [0.94 * (b["to"] - b["from"]) for b in bins]
        top.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="calibrated")
        stated, true = (np.array([b[name] for b in bins]) for name in ("stated", "true"))
        ends = np.reshape([b.get("interval") or (b["true"], b["true"]) for b in bins], (-1, 2))
        # The interval of a percentile bootstrap need not hold the value.
        reach = np.maximum(0.0, [true - ends[:, 0], ends[:, 1] - true])
        top.errorbar(
            stated, true, yerr=reach, color=BLUE, marker="o", linewidth=1.5, capsize=3,
            label="with 95 % interval",
        )  # fmt: skip
        title += f" (n = {sum(b['n'] for b in bins):,})"
        top.set(title=title, ylabel="how often it was so", xlim=_UNIT, ylim=_UNIT)
        top.tick_params(labelbottom=False)
        top.legend(loc="upper left", frameon=False, fontsize=8)
        below.bar(middles, [b["n"] for b in bins], widths, color=BLUE)
        below.set(xlabel=f"stated probability of {panel['of']}", ylabel="number", xlim=_UNIT)
        below.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        for ax in (top, below):
            _lighten(ax)
    return figure


def draw_learning_curves(curves: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Draw the loss of each model by epoch, in training and in validation.

    The curves are by branch; see `cryvision.training.branches`. A branch of several models names
    them: ``classifier loss`` and ``classifier val_loss``.
    """
    from matplotlib.ticker import MaxNLocator

    models = dict(_models(curves))
    figure, axes = _panels(len(models), 4.6, 3.0)
    curves_drawn = (("loss", "training", BLUE), ("val_loss", "validation", ORANGE))
    for (ax,), (title, losses) in zip(axes, models.items(), strict=True):
        for name, label, colour in curves_drawn:
            if name in losses:
                epochs = range(1, 1 + len(losses[name]))
                ax.plot(epochs, losses[name], color=colour, linewidth=1.5, label=label)
        if "val_loss" in losses:
            best = int(np.argmin(losses["val_loss"]))
            ax.axvline(best + 1, color=GREY, linewidth=1, linestyle=":", label="kept")
        ax.set_title(title, parse_math=False)
        ax.set(xlabel="epoch", ylabel="loss")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.legend(frameon=False, fontsize=8)
        _lighten(ax)
    return figure


def write_png(figure: Figure, path: Path | IO[bytes], software: str | None = None) -> None:
    """Write a figure, the same bytes for the same figure; the file may state its software."""
    figure.savefig(path, format="png", facecolor="white", metadata={"Software": software})


def png_bytes(figure: Figure) -> bytes:
    """Give a figure as PNG."""
    file = io.BytesIO()
    write_png(figure, file)
    return file.getvalue()


def _panels(
    n: int, width: float, height: float, ratios: tuple[int, ...] = (1,)
) -> tuple[Figure, list[list[Axes]]]:
    """Make a figure of panels of some inches, each of axes above each other; give their axes."""
    n_rows = math.ceil(n / _MOST_COLUMNS)
    n_columns = math.ceil(n / n_rows)
    size_inches = (width * n_columns, height * n_rows)
    n_each = len(ratios)
    figure, axes = grid(n_each * n_rows, n_columns, size_inches, height_ratios=ratios * n_rows)
    panels = axes.reshape(n_rows, n_each, n_columns).swapaxes(1, 2).reshape(-1, n_each)
    for unused in panels[n:].flat:
        unused.remove()
    return figure, panels[:n].tolist()


def _models(
    curves: Mapping[str, Mapping[str, Sequence[float]]],
) -> Iterator[tuple[str, dict[str, Sequence[float]]]]:
    for branch, lines in curves.items():
        models: dict[str, dict[str, Sequence[float]]] = {}
        for key, values in lines.items():
            model, _, name = key.rpartition(" ")
            models.setdefault(model, {})[name] = values
        for model, losses in models.items():
            yield (f"{branch}: {model}" if model else branch), losses


def _short(names: Sequence[str]) -> list[str]:
    return [drawable(shortened(name, _LONGEST_LABEL)) for name in names]


def _lighten(ax: Axes) -> None:
    ax.grid(axis="y", color=PALE, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
