"""One picture of the annotated video: the frame, and below it what is known at its time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cryvision.config import FRAME_RATE_HZ
from cryvision.outputs.lettering import lettering
from cryvision.outputs.shown import class_names, likeliest_classes
from cryvision.outputs.wording import clock, printable
from cryvision.result import Classification

MIN_WIDTH_PX = 320
"""Narrower pictures stand in the middle of a canvas this wide, for the text to be legible."""

_BACKGROUND, _TRACK, _DIM, _TEXT = 24, 64, 150, 238
# Okabe & Ito's orange and sky blue, as in the figure.
_ORANGE, _BLUE = (0xE6, 0x9F, 0x00), (0x56, 0xB4, 0xE9)

Frame = NDArray[np.uint8]
"""RGB, shape (height, width, 3)."""

Box = tuple[float, float, float, float]
"""Left, top, width and height in pixels."""


class _Bar(NamedTuple):
    name: str
    values: NDArray[np.float32]
    colour: tuple[int, ...]


class Screen:
    """One picture of the video: the frame, and below it what is known at that time.

    Frames of another size are stretched to that of the first. `canvas` is the last picture, uint8
    of shape (height, width, 3); both sides are even, as H.264 wants them.
    """

    def __init__(self, classification: Classification, frame_shape: tuple[int, ...]) -> None:
        self._classification = classification
        self._classes = class_names(classification)
        self._bars = _bars(classification)
        self._height, self._width = frame_shape[:2]
        width = max(MIN_WIDTH_PX, self._width + self._width % 2)
        self._text_px = max(12, width // 40)
        self._line_px = round(1.7 * self._text_px)
        # A line for the label, one for each bar, and one for the events.
        height = self._height + (len(self._bars) + 2) * self._line_px + self._text_px
        self.canvas = np.zeros((height + height % 2, width, 3), np.uint8)
        names = [lettering(printable(bar.name), self._text_px) for bar in self._bars]
        name_px = min(max((name.shape[1] for name in names), default=0), 2 * width // 5)
        self._values_x = width - self._text_px - lettering("0.00", self._text_px).shape[1]
        self._bars_x = (2 * self._text_px + name_px, self._values_x - self._text_px)
        self._panel = self._unchanging_panel([name[:, :name_px] for name in names])
        self._event_at = np.full(len(classification.timeline.get("time_s", ())), -1)
        for number, event in enumerate(classification.events):
            first, last = (round(t * FRAME_RATE_HZ) for t in event.span_s)
            self._event_at[max(0, first) : max(0, last)] = number

    def draw(self, k: int, frame: Frame, face: Box | None) -> None:
        """Draw the k-th frame, the box of the face in it, and what is known at its time."""
        left = (self.canvas.shape[1] - self._width) // 2
        picture = self.canvas[: self._height, left : left + self._width]
        if frame.shape != picture.shape:
            rows = np.arange(self._height) * frame.shape[0] // self._height
            frame = frame[rows][:, np.arange(self._width) * frame.shape[1] // self._width]
        picture[:] = frame
        if face is not None:
            _outline(picture, face, max(2, self._text_px // 6))
        self._draw_panel(k)

    def _draw_panel(self, k: int) -> None:
        panel, text_px = self.canvas[self._height :], self._text_px
        panel[:] = self._panel
        time = lettering(clock(k / FRAME_RATE_HZ, decimals=0), text_px)
        time_x = panel.shape[1] - text_px - time.shape[1]
        _write(panel, time, time_x, self._text_y(0), _DIM)
        caption = lettering(printable(self._caption(k)), text_px)
        _write(panel, caption[:, : time_x - 2 * text_px], text_px, self._text_y(0))
        first_x, last_x = self._bars_x
        for line, bar in enumerate(self._bars, start=1):
            value = bar.values[k] if k < len(bar.values) else np.nan
            finite = np.isfinite(value)
            if finite:
                to_x = first_x + round(float(value) * (last_x - first_x))
                panel[self._bar_rows(line), first_x:to_x] = bar.colour
            shown = lettering(f"{value:.2f}" if finite else "-", text_px)
            _write(panel, shown, self._values_x, self._text_y(line))
        now_x = self._at_x(k / FRAME_RATE_HZ)
        strip = self._bar_rows(len(self._bars) + 1)
        panel[strip, now_x : now_x + max(2, text_px // 6)] = _TEXT

    def _unchanging_panel(self, names: Sequence[NDArray[np.uint8]]) -> Frame:
        """What is the same below all frames: names, tracks of bars, and the events."""
        panel = np.full_like(self.canvas[self._height :], _BACKGROUND)
        for line, name in enumerate(names, start=1):
            _write(panel, name, self._text_px, self._text_y(line))
            panel[self._bar_rows(line), slice(*self._bars_x)] = _TRACK
        strip = self._bar_rows(len(names) + 1)
        panel[strip, self._at_x(0.0) : self._at_x(self._classification.duration_s)] = _TRACK
        for event in self._classification.events:
            first_x, last_x = map(self._at_x, event.span_s)
            panel[strip, first_x : max(last_x, first_x + 1)] = _ORANGE
        return panel

    def _text_y(self, line: int) -> int:
        return self._text_px // 2 + line * self._line_px

    def _bar_rows(self, line: int) -> slice:
        """Rows of the panel for a bar, as high as the capitals of the text beside it."""
        baseline = self._text_y(line) + self._text_px
        return slice(baseline - round(0.73 * self._text_px), baseline)

    def _at_x(self, time_s: float) -> int:
        """Where a time is in the strip that shows the events of the whole clip."""
        share = min(1.0, max(0.0, time_s / max(self._classification.duration_s, 1 / FRAME_RATE_HZ)))
        return self._text_px + round(share * (self.canvas.shape[1] - 2 * self._text_px))

    def _caption(self, k: int) -> str:
        """The smoothed label of a frame; a reason only where the clip has one."""
        result, timeline = self._classification, self._classification.timeline
        number = self._event_at[k] if k < len(self._event_at) else -1
        if number < 0 and result.detector.cry is not None:
            cry = timeline.get("cry", ())
            return "no cry" if k < len(cry) and np.isfinite(cry[k]) else ""
        unsure = result.label == "not sure"
        if self._classes and not unsure and k < len(self._event_at):
            now = [timeline[f"{name}_smooth"][k] for name in self._classes]
            if np.isfinite(now).all():
                return self._classes[int(np.argmax(now))]
        if number < 0:
            return result.label if unsure else ""
        if not self._classes:
            label = result.events[number].label
            return f"{label}, not sure" if unsure else label
        return "cry, reason not sure" if unsure else "cry"


def _bars(classification: Classification) -> list[_Bar]:
    """What bars there are: crying, where it was looked for, and the classes.

    Those of classes are grey where the bundle was not measured to distinguish them.
    """
    timeline = classification.timeline
    colour = (_DIM,) * 3 if classification.label == "not sure" else _BLUE
    classes = likeliest_classes(classification)
    bars = [_Bar(name, timeline[f"{name}_smooth"], colour) for name in classes]
    if "cry_smooth" in timeline and classification.detector.cry is not None:
        bars.insert(0, _Bar("cry", timeline["cry_smooth"], _ORANGE))
    return bars


def _write(panel: Frame, lettering: NDArray[np.uint8], x: int, y: int, grey: int = _TEXT) -> None:
    """Put lettering on a panel; what does not fit is cut off."""
    region = panel[y : y + lettering.shape[0], x : x + lettering.shape[1]]
    opacity = lettering[: region.shape[0], : region.shape[1], None] / 255
    region[:] = region + (grey - region.astype(np.float32)) * opacity


def _outline(picture: Frame, box: Box, thickness_px: int) -> None:
    left, top, width, height = box
    x, y, t = round(left), round(top), thickness_px
    right, bottom = round(left + width), round(top + height)
    for rows, columns in (
        *(((y, y + t), (x, right)), ((bottom - t, bottom), (x, right))),
        *(((y, bottom), (x, x + t)), ((y, bottom), (right - t, right))),
    ):
        picture[slice(*np.maximum(rows, 0)), slice(*np.maximum(columns, 0))] = _BLUE
