"""A figure of one clip: its spectrogram, and when the baby was heard crying."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cryvision.config import FRAME_RATE_HZ, SAMPLE_RATE_HZ, SoundConfig
from cryvision.errors import MediaError, MissingDependencyError
from cryvision.inputs.media import open_clip
from cryvision.outputs.lettering import set_plain
from cryvision.outputs.spectrogram import pooled_spectrogram
from cryvision.outputs.text import clock, headline, printable
from cryvision.result import Classification, Event

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_INCHES = 10.0
DOTS_PER_INCH = 150

MAX_CLASSES = 12
"""Of more classes, those that come to the highest probabilities are shown."""

# Okabe & Ito's colours, told apart by colour-blind readers: https://jfly.uni-koeln.de/color/
EVENT_COLOUR = "#E69F00"
CLASS_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#000000")

_MAX_POINTS = 2000
_SHOWN_RANGE_DB = 70.0
_QUIETEST_TOP_DBFS = -30.0
_TITLE_INCHES = 0.47
_LONGEST_TITLE = 70
_LONGEST_LABEL = 30
_LABEL_POINTS = 8.0
_RAW, _SMOOTH, _GREY = "#56B4E9", "#0072B2", "#666666"
_HATCH, _HATCH_COLOUR = "////", "#bbbbbb"
_LINE_STYLES = ("-", "--", ":")
_TICK_STEPS_S = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)


def write_png(classification: Classification, path: Path) -> None:
    """Draw the spectrogram, the cry score and the classes of a clip into a PNG, events shaded.

    Sound is read from the clip again in pieces, so memory does not grow with its length. A clip
    without sound, or a live stream, gets the scores alone. Unknown stretches are hatched.

    Parameters
    ----------
    classification : Classification
    path : Path
        The file to write.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    MediaError
        If the clip can no longer be read.
    """
    try:
        # Never pyplot: it keeps figures and a backend for the whole process.
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(
            "the format png needs matplotlib, which is not installed: pip install matplotlib"
        ) from error
    levels = _levels(classification)
    heights = _panel_heights(classification, levels is not None)
    height_inches = _TITLE_INCHES + sum(heights.values())
    figure = Figure((WIDTH_INCHES, height_inches), DOTS_PER_INCH, layout="constrained")
    # The title has room of its own, so that no name, however long, can squeeze the axes.
    room = 1 - _TITLE_INCHES / height_inches
    figure.get_layout_engine().set(rect=(0, 0, 1, room))  # type: ignore[union-attr, call-arg]
    FigureCanvasAgg(figure)
    _draw(figure, classification, levels, heights)
    figure.savefig(path, format="png", facecolor="white")


def _levels(classification: Classification) -> NDArray[np.float32] | None:
    """The clip's spectrogram, or None where there is no sound to read."""
    if not classification.path:
        return None
    try:
        with open_clip(classification.path, sound=True, frames=False) as clip:
            sound = (piece.samples for piece in clip.pieces() if piece.samples is not None)
            levels = pooled_spectrogram(sound, classification.duration_s)
    except MediaError:
        if "sound" in classification.modalities:
            raise
        return None  # the pictures decided, and the sound cannot be decoded
    return None if np.isnan(levels).all() else levels


def class_names(classification: Classification) -> list[str]:
    """Name the classes whose smoothed probability is known in any frame.

    Parameters
    ----------
    classification : Classification

    Returns
    -------
    list of str
        In the order of the timeline; without the detector's ``cry``, which is no class.
    """
    known = [
        name.removesuffix("_smooth")
        for name, values in classification.timeline.items()
        if name.endswith("_smooth") and np.isfinite(values).any()
    ]
    detected = classification.detector.cry is not None
    return [name for name in known if not (detected and name == "cry")]


def likeliest_classes(classification: Classification) -> list[str]:
    """Name the classes to show: those of `class_names`, at most `MAX_CLASSES` of highest peak."""
    names = class_names(classification)
    peaks = [np.nanmax(classification.timeline[f"{name}_smooth"]) for name in names]
    kept = np.argsort(np.negative(peaks), kind="stable")[:MAX_CLASSES]
    return [names[number] for number in sorted(kept)]


def _panel_heights(classification: Classification, has_sound: bool) -> dict[str, float]:
    """What is drawn from top to bottom, and how high each is in inches."""
    heights = {"spectrogram": 2.7} if has_sound else {}
    classes = class_names(classification)
    cry = classification.timeline.get("cry", np.zeros(0))
    if not classes or ("cry" not in classes and np.isfinite(cry).any()):
        heights["cry"] = 2.3
    if classes:
        heights["classes"] = 2.3
    return heights


def _draw(
    figure: Figure,
    classification: Classification,
    levels: NDArray[np.float32] | None,
    heights: dict[str, float],
) -> None:
    span_s = max(classification.duration_s, 1 / FRAME_RATE_HZ)
    column = figure.subplots(
        len(heights), 1, sharex=True, squeeze=False, height_ratios=list(heights.values())
    )[:, 0]
    panels = dict(zip(heights, column, strict=True))
    if levels is not None:
        _draw_spectrogram(figure, panels["spectrogram"], levels, span_s)
        _draw_event_strip(panels["spectrogram"], classification.events)
    if "cry" in panels:
        _draw_cry(panels["cry"], classification, span_s)
    if "classes" in panels:
        _draw_classes(panels["classes"], classification, span_s, named="cry" not in panels)
    legend = column[0].get_legend()
    if legend is not None and column[0] is panels.get("cry"):
        legend.set_in_layout(False)  # it stands beside the title, which has its room
    _draw_title(column[0], classification)
    _draw_time_axis(column[-1], span_s)


def _draw_spectrogram(
    figure: Figure, axes: Axes, levels: NDArray[np.float32], span_s: float
) -> None:
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
    axes.patch.set(facecolor="white", edgecolor=_HATCH_COLOUR, hatch=_HATCH, linewidth=0)
    band = SoundConfig()
    for edge_hz in (band.min_hz, band.max_hz):
        axes.axhline(edge_hz / 1000, color="white", linewidth=0.8, linestyle=(0, (4, 4)), alpha=0.6)
    axes.annotate(
        f"{band.min_hz:.0f} to {band.max_hz:,.0f} Hz: what the sound models hear",
        (1, band.max_hz / 1000),
        xycoords=("axes fraction", "data"),
        xytext=(-6, 5),
        textcoords="offset points",
        ha="right",
        color="white",
        fontsize=_LABEL_POINTS,
        bbox={"facecolor": "black", "alpha": 0.5, "linewidth": 0, "pad": 2},
    )
    axes.set_ylabel("frequency (kHz)")
    # Inside the margin that a legend below it may widen; a bar of its own would stand beyond that.
    bar = figure.colorbar(image, cax=axes.inset_axes((1.01, 0, 0.015, 1)))
    bar.set_label("level (dB re full scale)")
    bar.outline.set_visible(False)


def _draw_event_strip(axes: Axes, events: tuple[Event, ...]) -> None:
    """Bars along the top of the spectrogram, so that the crying is seen where it sounds."""
    axes.broken_barh(
        [(event.onset_s, event.duration_s) for event in events],
        (0.97, 0.03),
        transform=axes.get_xaxis_transform(),
        color=EVENT_COLOUR,
    )


def _draw_cry(axes: Axes, classification: Classification, span_s: float) -> None:
    """The cry score over time, the events shaded and named, the unknown hatched."""
    timeline = classification.timeline
    time_s = timeline.get("time_s", np.zeros(0, dtype=np.float32))
    unknown = np.full(len(time_s), np.nan, dtype=np.float32)
    cry = timeline.get("cry", unknown)
    if np.isfinite(cry).any():
        _draw_score(axes, time_s, cry, _RAW, "cry score of the window that ends here")
        smooth = timeline.get("cry_smooth", unknown)
        _draw_line(axes, time_s, smooth, color=_SMOOTH, label="smoothed")
    if classification.events:
        _draw_events(axes, classification.events, label="event")
        _name_events(axes, classification.events, span_s)
    _draw_unknown(axes, time_s, np.isfinite(cry), span_s)
    _draw_probability_axis(axes, "probability")
    _draw_legend(axes, loc="lower right", bbox_to_anchor=(1, 1), ncols=6, borderaxespad=0.1)


def _draw_classes(
    axes: Axes, classification: Classification, span_s: float, *, named: bool
) -> None:
    """Each class's smoothed probability, where it is known; the unknown hatched in events."""
    timeline = classification.timeline
    time_s = timeline["time_s"]
    known = np.zeros(len(time_s), dtype=bool)
    for number, name in enumerate(likeliest_classes(classification)):
        again, colour = divmod(number, len(CLASS_COLOURS))
        _draw_line(
            axes,
            time_s,
            timeline[f"{name}_smooth"],
            color=CLASS_COLOURS[colour],
            linestyle=_LINE_STYLES[again % len(_LINE_STYLES)],
            label=_shortened(printable(name), _LONGEST_LABEL),
        )
        known |= np.isfinite(timeline[f"{name}_smooth"])
    if classification.events:
        _draw_events(axes, classification.events)
    if named:
        _name_events(axes, classification.events, span_s)
        _draw_unknown(axes, time_s, known, span_s)
    remark = "\n(experimental)" if classification.label == "not sure" else ""
    _draw_probability_axis(axes, f"smoothed probability{remark}")
    _draw_legend(axes, loc="upper left", bbox_to_anchor=(1, 1), ncols=1)


def _draw_probability_axis(axes: Axes, name: str) -> None:
    axes.set_ylabel(name)
    axes.set_ylim(0, 1.13)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_legend(axes: Axes, **place: Any) -> None:
    if axes.get_legend_handles_labels()[0]:
        legend = axes.legend(frameon=False, fontsize=_LABEL_POINTS, **place)
        for text in legend.get_texts():
            set_plain(text, text.get_text())


def _draw_score(
    axes: Axes, time_s: NDArray[Any], values: NDArray[Any], colour: str, label: str
) -> None:
    """The raw score: a line, or in a long clip the band between its lowest and its highest."""
    if len(time_s) <= _MAX_POINTS:
        axes.plot(time_s, values, color=colour, linewidth=1, label=label)
        return
    low, high = (_pooled(values, pool) for pool in (np.fmin, np.fmax))
    at_s = _pooled(time_s, np.fmin)
    axes.fill_between(at_s, low, high, color=colour, alpha=0.5, linewidth=0, label=label)


def _draw_line(axes: Axes, time_s: NDArray[Any], values: NDArray[Any], **look: Any) -> None:
    width = 1.6
    if len(time_s) > _MAX_POINTS:
        time_s, values = _pooled(time_s, np.fmin), _pooled(values, np.fmax)
        width = 1.0
    axes.plot(time_s, values, linewidth=width, **look)


def _draw_events(axes: Axes, events: tuple[Event, ...], label: str | None = None) -> None:
    axes.broken_barh(
        [(event.onset_s, event.duration_s) for event in events],
        (0, 1),
        facecolor=(EVENT_COLOUR, 0.28),
        edgecolor=(EVENT_COLOUR, 0.9),
        linewidth=0.6,
        zorder=1,
        label=label,
    )


def _name_events(axes: Axes, events: tuple[Event, ...], span_s: float) -> None:
    """Write each label where it fits above its event: about 0.6 em a character."""
    chars_per_s = 0.72 * WIDTH_INCHES * 72 / (0.6 * _LABEL_POINTS) / span_s
    for event in events:
        label = printable(event.label)
        room = event.duration_s * chars_per_s
        for shown in (f"{label} {event.confidence:.2f}", label):
            if len(shown) <= room:
                middle_s = (event.onset_s + event.offset_s) / 2
                text = axes.text(middle_s, 1.02, "", ha="center", fontsize=_LABEL_POINTS)
                text.set(clip_on=True, in_layout=False)
                set_plain(text, shown)
                break


def _draw_unknown(
    axes: Axes, time_s: NDArray[Any], known: NDArray[np.bool_], span_s: float
) -> None:
    """Hatch the stretches that no score is known for."""
    edges = np.diff(known.astype(np.int8), prepend=1, append=1)
    frame_s = 1 / FRAME_RATE_HZ
    spans = [
        (float(time_s[first]), float(time_s[last - 1]) + frame_s - float(time_s[first]))
        for first, last in zip(np.flatnonzero(edges < 0), np.flatnonzero(edges > 0), strict=True)
    ]
    if not known.any():
        spans = [(0.0, span_s)]
        axes.text(
            0.5,
            0.5,
            "no score: nothing to decide from",
            transform=axes.transAxes,
            ha="center",
            va="center",
            backgroundcolor="white",
        )
    if spans:
        axes.broken_barh(
            spans,
            (0, 1),
            facecolor="none",
            edgecolor=_HATCH_COLOUR,
            hatch=_HATCH,
            linewidth=0,
            label="unknown",
        )


def _draw_title(axes: Axes, classification: Classification) -> None:
    summary = headline(classification)
    if classification.label not in ("cry", "no cry"):
        summary += f"; label: {_shortened(printable(classification.label), _LONGEST_LABEL)}"
    name = _shortened(printable(PurePath(classification.path).name) or "live", _LONGEST_TITLE)
    for content, above_points, size, weight, colour in (
        (name, 23, 12, "bold", "black"),
        (summary, 6, 10, "normal", _GREY),
    ):
        text = axes.annotate(
            "",
            (0, 1),
            xycoords="axes fraction",
            xytext=(0, above_points),
            textcoords="offset points",
        )
        text.set(fontsize=size, fontweight=weight, color=colour, in_layout=False)
        set_plain(text, content)


def _shortened(text: str, longest: int) -> str:
    """A text of at most ``longest`` characters, which keeps its start and its end."""
    if len(text) <= longest:
        return text
    return f"{text[: longest // 2]}…{text[len(text) - (longest - 1) // 2 :]}"


def _draw_time_axis(axes: Axes, span_s: float) -> None:
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    step_s = next((step for step in _TICK_STEPS_S if span_s / step <= 12), span_s / 10)
    axes.xaxis.set_major_locator(MultipleLocator(step_s))
    if span_s >= 60:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda second, _: clock(second, decimals=0)))
        axes.set_xlabel("time (h:mm:ss)" if span_s >= 3600 else "time (m:ss)")
    else:
        axes.set_xlabel("time (s)")
    axes.set_xlim(0, span_s)


def _pooled(values: NDArray[Any], pool: np.ufunc) -> NDArray[Any]:
    """Reduce to at most `_MAX_POINTS` values, each over a stretch of equal length."""
    starts = np.linspace(0, len(values), _MAX_POINTS, endpoint=False).astype(np.intp)
    return pool.reduceat(values, starts)
