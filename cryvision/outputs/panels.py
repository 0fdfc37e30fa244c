"""Figures of panels, and those of a clip: sound, crying, tags and classes over the same time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cryvision.config import FRAME_RATE_HZ, SAMPLE_RATE_HZ
from cryvision.outputs.lettering import set_plain, shortened
from cryvision.outputs.shown import (
    HEARD,
    bouts_with_events,
    common_label,
    detected_tags,
    likeliest_classes,
    tag_words,
)
from cryvision.outputs.timeline_tables import known_means
from cryvision.outputs.wording import printable
from cryvision.result import Bout, Classification, Event

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_INCHES = 10.0
DOTS_PER_INCH = 150
LONGEST_LABEL = 30

# Okabe & Ito's colours, distinct to colour-blind readers: https://jfly.uni-koeln.de/color/
EVENT_COLOUR = "#E69F00"
CLASS_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#000000")
BOUT_COLOUR = "#8A5A00"
GREY = "#666666"
HATCH, HATCH_COLOUR = "////", "#bbbbbb"

_SHOWN_RANGE_DB = 70.0
_QUIETEST_TOP_DBFS = -30.0
_LABEL_POINTS = 8.0
_RAW, _SMOOTH = "#56B4E9", "#0072B2"
_REJECTED_LOOK: dict[str, Any] = {"facecolor": "none", "edgecolor": GREY, "hatch": "xxxx"}
_LINE_STYLES = ("-", "--", ":")
_BOUT_AT, _NAME_AT, _TOP = (1.03, 0.04), 1.09, 1.2
_BAR_SECONDS, _MOST_BARS = (60, 300, 900, 3600), 400
_BAR_TOPS_S = (3, 6, 12, 18, 30, 45, 60)

MAX_POINTS = 2000

SMOOTHING_SECONDS = 0.5
"""The drawn curve is the mean of so much around each frame, for which a figure need not wait: one
of the past alone, as in the timeline, would lie behind the events."""


def grid(
    n_rows: int, n_columns: int, size_inches: tuple[float, float], **options: Any
) -> tuple[Figure, NDArray[Any]]:
    """Make a figure and its axes, shape (n_rows, n_columns)."""
    # Never pyplot: it keeps figures and a backend for the whole process.
    from matplotlib.figure import Figure

    figure = Figure(size_inches, DOTS_PER_INCH, layout="constrained")
    return figure, figure.subplots(n_rows, n_columns, squeeze=False, **options)


def draw_spectrogram(
    figure: Figure, axes: Axes, levels: NDArray[np.float32], span_s: float
) -> None:
    """Draw levels in dB, shape (n_frequencies, n_columns), from 0 Hz up."""
    peak_db = max(float(np.nanmax(levels)), _QUIETEST_TOP_DBFS)
    image = axes.imshow(
        levels,
        origin="lower",
        aspect="auto",
        extent=(0, span_s, 0, SAMPLE_RATE_HZ / 2000),
        cmap="magma",
        vmin=peak_db - _SHOWN_RANGE_DB,
        vmax=peak_db,
        interpolation="nearest",
    )
    # Shows where the sound ended before the clip.
    axes.patch.set(facecolor="white", edgecolor=HATCH_COLOUR, hatch=HATCH, linewidth=0)
    axes.set_ylabel("frequency (kHz)")
    _draw_colour_bar(figure, axes, image, "level (dB re full scale)")


def draw_band(axes: Axes, band_hz: tuple[float, float]) -> None:
    for edge_hz in band_hz:
        axes.axhline(edge_hz / 1000, color="white", linewidth=0.8, linestyle=(0, (4, 4)), alpha=0.6)
    axes.annotate(
        f"{band_hz[0]:.0f} to {band_hz[1]:,.0f} Hz: the detector's band",
        (1, band_hz[1] / 1000),
        xycoords=("axes fraction", "data"),
        xytext=(-6, 5),
        textcoords="offset points",
        ha="right",
        color="white",
        fontsize=_LABEL_POINTS,
        bbox={"facecolor": "black", "alpha": 0.5, "linewidth": 0, "pad": 2},
    )


def draw_strip(axes: Axes, events: Sequence[Event], *, long: bool) -> None:
    """Bars along the top of the spectrogram, so that the crying is seen where it sounds."""
    # Edges would join the cries of an hour; without them a column is as strong as its share.
    width = 0 if long else 0.6
    top = axes.get_xaxis_transform()
    axes.broken_barh(
        _spans(events), (0.97, 0.03), color=EVENT_COLOUR, linewidth=width, transform=top
    )


def draw_cry(axes: Axes, classification: Classification, span_s: float) -> None:
    """The cry score over time, the events shaded, bouts above them, the unknown hatched."""
    time_s, cry = _cry(classification)
    if np.isfinite(cry).any():
        _draw_score(axes, time_s, cry, _RAW, "cry score")
        name = f"mean of {SMOOTHING_SECONDS:g} s"
        _draw_line(axes, time_s, centred_mean(cry), color=_SMOOTH, label=name)
    _draw_events(axes, classification, span_s, labelled=True)
    _draw_unknown(axes, time_s, np.isfinite(cry), span_s)
    _draw_probability_axis(axes, "probability")
    _draw_legend(axes)


def draw_minutes(axes: Axes, classification: Classification, span_s: float) -> None:
    """How much of each minute was crying: of a long clip, where single cries are too narrow.

    Bars of the longest clips are means over some minutes.
    """
    bar_s = next((s for s in _BAR_SECONDS if span_s / s <= _MOST_BARS), _BAR_SECONDS[-1])
    starts = np.arange(0, span_s, bar_s)
    widths = np.minimum(bar_s, span_s - starts)
    crying = seconds_within(classification.crying, starts, bar_s) * 60 / widths
    rejected = seconds_within(classification.rejected, starts, bar_s) * 60 / widths
    axes.bar(starts, crying, widths, align="edge", color=EVENT_COLOUR, label="crying", linewidth=0)
    if rejected.any():
        look = {"align": "edge", "label": "rejected", "linewidth": 0.4, **_REJECTED_LOOK}
        axes.bar(starts, rejected, widths, crying, **look)
    most = float(np.max(crying + rejected, initial=0.0))
    top = next((top for top in _BAR_TOPS_S if top >= most), most)
    if classification.bouts:
        at = (top * _BOUT_AT[0], top * _BOUT_AT[1])
        spans = _spans(classification.bouts)
        axes.broken_barh(spans, at, color=BOUT_COLOUR, linewidth=0, label="bout")
    time_s, cry = _cry(classification)
    _draw_unknown(axes, time_s, np.isfinite(cry), span_s, top)
    minutes = bar_s // 60
    remark = f"\n(mean of {minutes} minutes)" if minutes > 1 else ""
    axes.set_ylabel(f"crying (s a minute){remark}")
    axes.set_ylim(0, _TOP * top)
    axes.set_yticks(np.linspace(0, top, 4))
    _draw_plain_axis(axes)
    _draw_legend(axes)


def draw_tags(figure: Figure, axes: Axes, classification: Classification, span_s: float) -> None:
    """A row for each tag, the darker the higher its score."""
    tags = detected_tags(classification)
    columns = [classification.timeline[f"{HEARD}{tag}"] for tag in tags]
    rows = np.full((len(tags), 1), np.nan, np.float32)
    if len(columns[0]):
        starts = _starts(len(columns[0]))
        rows = np.stack([known_means(values, starts) for values in columns])
    end_s = len(columns[0]) / FRAME_RATE_HZ
    image = axes.imshow(
        rows,
        aspect="auto",
        extent=(0, end_s or span_s, len(tags), 0),
        cmap="Greys",
        vmin=0,
        vmax=1,
        interpolation="nearest",
    )
    axes.set_yticks([])
    for row, tag in enumerate(tags):
        axes.axhline(row, color="#dddddd", linewidth=0.5)
        # No label of a tick: its text would be set anew for fonts that do not hold it.
        name = axes.annotate(
            "",
            (0, row + 0.5),
            xycoords=("axes fraction", "data"),
            xytext=(-4, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=_LABEL_POINTS,
        )
        set_plain(name, shortened(printable(tag_words(tag)), LONGEST_LABEL))
    _draw_colour_bar(figure, axes, image, "heard")


def draw_classes(axes: Axes, classification: Classification, span_s: float, *, named: bool) -> None:
    """Each class's smoothed probability, where it is known; with ``named``, events are named."""
    timeline = classification.timeline
    time_s = timeline["time_s"]
    has_scores = np.zeros(len(time_s), dtype=bool)
    for number, name in enumerate(likeliest_classes(classification)):
        again, colour = divmod(number, len(CLASS_COLOURS))
        _draw_line(
            axes,
            time_s,
            timeline[f"{name}_smooth"],
            color=CLASS_COLOURS[colour],
            linestyle=_LINE_STYLES[again % len(_LINE_STYLES)],
            label=shortened(printable(name), LONGEST_LABEL),
        )
        has_scores |= np.isfinite(timeline[f"{name}_smooth"])
    if named:
        _draw_events(axes, classification, span_s)
        _draw_unknown(axes, time_s, has_scores, span_s)
    elif classification.events:
        _draw_boxes(axes, classification.events)
    remark = "\n(experimental)" if classification.label == "not sure" else ""
    _draw_probability_axis(axes, f"smoothed probability{remark}")
    _draw_legend(axes)


def _cry(classification: Classification) -> tuple[NDArray[Any], NDArray[Any]]:
    """Times and cry scores of the frames, NaN where there are none."""
    time_s = classification.timeline.get("time_s", np.zeros(0))
    unknown = np.full(len(time_s), np.nan, dtype=np.float32)
    return time_s, classification.timeline.get("cry", unknown)


def _draw_probability_axis(axes: Axes, name: str) -> None:
    axes.set_ylabel(name)
    axes.set_ylim(0, _TOP)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    _draw_plain_axis(axes)


def _draw_plain_axis(axes: Axes) -> None:
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_colour_bar(figure: Figure, axes: Axes, image: Any, name: str) -> None:
    # Inside the margin that a legend below it may widen; a bar of its own would stand beyond that.
    bar = figure.colorbar(image, cax=axes.inset_axes((1.01, 0, 0.015, 1)))
    bar.set_label(name)
    bar.outline.set_visible(False)


def _draw_legend(axes: Axes) -> None:
    if axes.get_legend_handles_labels()[0]:
        legend = axes.legend(
            frameon=False, fontsize=_LABEL_POINTS, loc="upper left", bbox_to_anchor=(1, 1)
        )
        for text in legend.get_texts():
            set_plain(text, text.get_text())


def _draw_score(
    axes: Axes, time_s: NDArray[Any], values: NDArray[Any], colour: str, label: str
) -> None:
    """The raw score: a line, or in a long clip the band between its lowest and its highest."""
    if len(time_s) <= MAX_POINTS:
        axes.plot(time_s, values, color=colour, linewidth=1, label=label)
        return
    low, high = (pooled(values, pool) for pool in (np.fmin, np.fmax))
    at_s = pooled(time_s, np.fmin)
    axes.fill_between(at_s, low, high, color=colour, alpha=0.5, linewidth=0, label=label)


def _draw_line(axes: Axes, time_s: NDArray[Any], values: NDArray[Any], **look: Any) -> None:
    width = 1.6
    if len(time_s) > MAX_POINTS:
        time_s, values = pooled(time_s, np.fmin), pooled(values, np.fmax)
        width = 1.0
    axes.plot(time_s, values, linewidth=width, **look)


def _draw_events(
    axes: Axes, classification: Classification, span_s: float, *, labelled: bool = False
) -> None:
    """Boxes of the events, a bar above those of a bout, and names where there is room."""
    bout_events = bouts_with_events(classification)
    if bout_events:
        _draw_boxes(axes, classification.events, label="event" if labelled else None)
        spans = _spans([bout for bout, _ in bout_events])
        name = "bout" if labelled else None
        axes.broken_barh(spans, _BOUT_AT, color=BOUT_COLOUR, linewidth=0.6, label=name)
    for bout, events in bout_events:
        label = printable(common_label(events))
        _name(axes, bout, (f"{label} {bout.confidence:.2f}", label), span_s)
    if classification.rejected:
        name = "rejected" if labelled else None
        look = {"label": name, "linewidth": 0.4, **_REJECTED_LOOK}
        axes.broken_barh(_spans(classification.rejected), (0, 1), **look)
    for event in classification.rejected:
        _name(axes, event, (printable(tag_words(event.rejected)),), span_s, GREY)


def _draw_boxes(axes: Axes, events: Sequence[Event], label: str | None = None) -> None:
    look: dict[str, Any] = {"facecolor": (EVENT_COLOUR, 0.28), "edgecolor": (EVENT_COLOUR, 0.9)}
    axes.broken_barh(_spans(events), (0, 1), linewidth=0.6, zorder=1, label=label, **look)


def _spans(spans: Sequence[Event | Bout]) -> list[tuple[float, float]]:
    return [(item.onset_s, item.duration_s) for item in spans]


def _name(
    axes: Axes, span: Event | Bout, names: Sequence[str], span_s: float, colour: str = "black"
) -> None:
    """Write the first of some names that fits above a span: about 0.6 em a character."""
    chars_per_s = 0.72 * WIDTH_INCHES * 72 / (0.6 * _LABEL_POINTS) / span_s
    room = span.duration_s * chars_per_s
    shown = next((name for name in names if len(name) <= room), "")
    if shown:
        middle_s = sum(span.span_s) / 2
        text = axes.text(middle_s, _NAME_AT, "", ha="center", fontsize=_LABEL_POINTS, color=colour)
        text.set(clip_on=True, in_layout=False)
        set_plain(text, shown)


def _draw_unknown(
    axes: Axes, time_s: NDArray[Any], has_scores: NDArray[np.bool_], span_s: float, top: float = 1.0
) -> None:
    edges = np.diff(has_scores.astype(np.int8), prepend=1, append=1)
    frame_s = 1 / FRAME_RATE_HZ
    spans = [
        (float(time_s[first]), float(time_s[last - 1]) + frame_s - float(time_s[first]))
        for first, last in zip(np.flatnonzero(edges < 0), np.flatnonzero(edges > 0), strict=True)
    ]
    if not has_scores.any():
        spans = [(0.0, span_s)]
        middle: dict[str, Any] = {"ha": "center", "va": "center", "transform": axes.transAxes}
        axes.text(0.5, 0.5, "no score to show", backgroundcolor="white", **middle)
    if spans:
        look: dict[str, Any] = {"facecolor": "none", "edgecolor": HATCH_COLOUR, "hatch": HATCH}
        axes.broken_barh(spans, (0, top), linewidth=0, label="unknown", **look)


def seconds_within(
    events: Sequence[Event], starts: NDArray[np.float64], length_s: float
) -> NDArray[np.float64]:
    """How much of the events lies in each stretch of a length, in seconds."""
    times = np.array([event.span_s for event in events]).reshape(-1, 2, 1)
    inside = np.minimum(times[:, 1], starts + length_s) - np.maximum(times[:, 0], starts)
    seconds: NDArray[np.float64] = np.maximum(inside, 0).sum(axis=0)
    return seconds


def centred_mean(values: NDArray[Any]) -> NDArray[np.float64]:
    """The mean of what is known around each value that is."""
    half = round(SMOOTHING_SECONDS * FRAME_RATE_HZ / 2)
    finite = np.isfinite(values)
    kernel = np.ones(2 * half + 1)
    sums, counts = (
        np.convolve(column, kernel)[half : half + len(values)]
        for column in (np.where(finite, values, 0.0), finite.astype(float))
    )
    return np.where(finite, sums / np.maximum(counts, 1), np.nan)


def _starts(n: int) -> NDArray[np.intp]:
    """Where `MAX_POINTS` stretches of equal length start, or fewer where there are no more."""
    return np.unique(np.linspace(0, n, min(n, MAX_POINTS), endpoint=False).astype(np.intp))


def pooled(values: NDArray[Any], pool: np.ufunc) -> NDArray[Any]:
    """Reduce to at most `MAX_POINTS` values, each over a stretch of equal length."""
    return pool.reduceat(values, _starts(len(values)))
