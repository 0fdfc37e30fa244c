"""A figure of one clip: its spectrogram, the crying and the other tags."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cryvision.config import FRAME_RATE_HZ
from cryvision.errors import MediaError
from cryvision.inputs.media import open_clip
from cryvision.outputs import panels
from cryvision.outputs.lettering import set_plain, shortened
from cryvision.outputs.shown import as_shown, class_names, detected_tags
from cryvision.outputs.spectrogram import pooled_spectrogram
from cryvision.outputs.text import headline
from cryvision.outputs.wording import clock, printable
from cryvision.result import Classification

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONG_CLIP_SECONDS = 1200.0
"""From here on single cries would run into a block: the crying per minute is drawn instead."""

_WHOLE_BAND_HZ = 7500.0
"""A detector with a band up to this frequency covers the spectrogram: nothing is marked."""

_TITLE_INCHES = 0.47
_LONGEST_TITLE = 70
_TAG_INCHES = 0.16
_TICK_STEPS_S = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)


def write_png(
    classification: Classification,
    path: Path,
    *,
    show_rejected: bool = False,
    show_experimental: bool = False,
) -> None:
    """Draw the spectrogram, the cry score with events and bouts, and the tags of a clip into a PNG.

    Sound is read from the clip again in pieces, so memory does not grow with its length. A clip
    without sound, or a live stream, gets the scores alone. Unknown stretches are hatched. Of a long
    clip the crying per minute is drawn in place of single cries.
    """
    levels = _levels(classification)
    shown = as_shown(
        classification, show_rejected=show_rejected, show_experimental=show_experimental
    )
    heights = _panel_heights(shown, levels is not None)
    height_inches = _TITLE_INCHES + sum(heights.values())
    size_inches = (panels.WIDTH_INCHES, height_inches)
    ratios = list(heights.values())
    figure, axes = panels.grid(len(heights), 1, size_inches, sharex=True, height_ratios=ratios)
    # The title has room of its own, so that no name, however long, can squeeze the axes.
    room = 1 - _TITLE_INCHES / height_inches
    figure.get_layout_engine().set(rect=(0, 0, 1, room))  # type: ignore[union-attr, call-arg]
    _draw(figure, dict(zip(heights, axes[:, 0], strict=True)), shown, levels)
    figure.savefig(path, format="png", facecolor="white")


def _levels(classification: Classification) -> NDArray[np.float32] | None:
    """The clip's spectrogram, or None where there is no sound to read."""
    if not classification.path:
        return None
    try:
        track = classification.media.get("sound_track")
        with open_clip(classification.path, frames=False, audio_track=track) as clip:
            sound = (piece.samples for piece in clip.pieces() if piece.samples is not None)
            levels = pooled_spectrogram(sound, classification.duration_s)
    except MediaError:
        if "sound" in classification.modalities:
            raise
        return None  # the pictures decided, and the sound cannot be decoded
    return None if np.isnan(levels).all() else levels


def _panel_heights(classification: Classification, has_sound: bool) -> dict[str, float]:
    heights = {"spectrogram": 2.7} if has_sound else {}
    classes = class_names(classification)
    cry = classification.timeline.get("cry", np.zeros(0))
    if not classes or ("cry" not in classes and np.isfinite(cry).any()):
        heights["cry"] = 2.3
    if tags := detected_tags(classification):
        heights["tags"] = 0.2 + _TAG_INCHES * len(tags)
    if classes:
        heights["classes"] = 2.3
    return heights


def _draw(
    figure: Figure,
    axes_of: dict[str, Axes],
    classification: Classification,
    levels: NDArray[np.float32] | None,
) -> None:
    span_s = max(classification.duration_s, 1 / FRAME_RATE_HZ)
    long = span_s >= LONG_CLIP_SECONDS
    if levels is not None:
        panels.draw_spectrogram(figure, axes_of["spectrogram"], levels, span_s)
        panels.draw_strip(axes_of["spectrogram"], classification.crying, long=long)
        band_hz = classification.bundle.get("band_hz")
        if band_hz is not None and band_hz[1] < _WHOLE_BAND_HZ:
            panels.draw_band(axes_of["spectrogram"], band_hz)
    if "cry" in axes_of:
        draw = panels.draw_minutes if long else panels.draw_cry
        draw(axes_of["cry"], classification, span_s)
    if "tags" in axes_of:
        panels.draw_tags(figure, axes_of["tags"], classification, span_s)
    if "classes" in axes_of:
        named = "cry" not in axes_of
        panels.draw_classes(axes_of["classes"], classification, span_s, named=named)
    column = list(axes_of.values())
    _draw_title(column[0], classification)
    _draw_time_axis(column[-1], span_s)


def _draw_title(axes: Axes, classification: Classification) -> None:
    summary = headline(classification)
    if classification.label not in ("cry", "no cry", "not sure"):
        summary += f"; label: {shortened(printable(classification.label), panels.LONGEST_LABEL)}"
    name = shortened(printable(PurePath(classification.path).name) or "live", _LONGEST_TITLE)
    for content, above_points, size, weight, colour in (
        (name, 23, 12, "bold", "black"),
        (summary, 6, 10, "normal", panels.GREY),
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
