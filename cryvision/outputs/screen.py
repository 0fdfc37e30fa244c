"""One picture of the annotated video: the frame, and below it what is known at its time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cryvision.config import FRAME_RATE_HZ
from cryvision.outputs.lettering import lettering
from cryvision.outputs.plots import class_names
from cryvision.outputs.text import clock, printable
from cryvision.result import Classification

MIN_WIDTH_PX = 320
"""Narrower pictures stand in the middle of a canvas this wide, for the text to be legible."""

MAX_BARS = 12
"""Of more classes, those with the highest peaks are shown."""

_BACKGROUND, _TRACK, _DIM, _TEXT = 24, 64, 150, 238
# Okabe & Ito's orange and sky blue, as in the figure.
_ORANGE, _BLUE = (0xE6, 0x9F, 0x00), (0x56, 0xB4, 0xE9)

Frame = NDArray[np.uint8]
"""RGB, shape (height, width, 3)."""

Box = tuple[float, float, float, float]
"""Left, top, width and height in pixels."""


class _Bar(NamedTuple):
    """One smoothed probability over the frames, and where it is shown."""

    name: str
    values: NDArray[np.float32]
    colour: tuple[int, ...]
    top: int


class Screen:
    """One picture of the video: the frame, and below it what is known at that time.

    Parameters
    ----------
    classification : Classification
    frame_shape : tuple of int
        Of the first frame; frames of another size are stretched to it.

    Attributes
    ----------
    canvas : ndarray of uint8, shape (height, width, 3)
        What was drawn last. Both sides are even, as H.264 wants them.
    """

    def __init__(self, classification: Classification, frame_shape: tuple[int, ...]) -> None:
        self._found = classification
        self._classes = class_names(classification)
        self._height, self._width = frame_shape[:2]
        width = max(MIN_WIDTH_PX, self._width + self._width % 2)
        self._text_px = max(11, width // 45)
        self._line_px = round(1.7 * self._text_px)
        self._bars = self._placed_bars()
        height = self._height + (len(self._bars) + 2) * self._line_px + self._text_px
        self.canvas = np.zeros((height + height % 2, width, 3), np.uint8)
        # Names to the left and values to the right of the bars.
        names = [lettering(printable(bar.name), self._text_px) for bar in self._bars]
        name_px = min(max((name.shape[1] for name in names), default=0), 2 * width // 5)
        self._values_x = width - self._text_px - lettering("0.00", self._text_px).shape[1]
        self._bars_x = (2 * self._text_px + name_px, self._values_x - self._text_px)
        self._panel = self._drawn_panel([name[:, :name_px] for name in names])
        self._event_at = np.full(len(classification.timeline.get("time_s", ())), -1)
        for number, event in enumerate(classification.events):
            first, last = (round(t * FRAME_RATE_HZ) for t in (event.onset_s, event.offset_s))
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
        panel, text_px = self.canvas[self._height :], self._text_px
        panel[:] = self._panel
        time = lettering(clock(k / FRAME_RATE_HZ, decimals=0), text_px)
        time_x = panel.shape[1] - text_px - time.shape[1]
        _write(panel, time, time_x, text_px // 2, _DIM)
        caption = lettering(printable(self._caption(k)), text_px)
        _write(panel, caption[:, : time_x - 2 * text_px], text_px, text_px // 2)
        first_x, last_x = self._bars_x
        for bar in self._bars:
            value = bar.values[k] if k < len(bar.values) else np.nan
            known = np.isfinite(value)
            if known:
                to_x = first_x + round(float(value) * (last_x - first_x))
                panel[bar.top : bar.top + text_px, first_x:to_x] = bar.colour
            shown = lettering(f"{value:.2f}" if known else "-", text_px)
            _write(panel, shown, self._values_x, bar.top)
        now_x = self._at_x(k / FRAME_RATE_HZ)
        panel[self._strip(), now_x : now_x + max(2, text_px // 6)] = _TEXT

    def _placed_bars(self) -> list[_Bar]:
        timeline = self._found.timeline
        values = {name: timeline[f"{name}_smooth"] for name in self._classes}
        shown = sorted(values, key=lambda name: -np.nanmax(values[name]))[:MAX_BARS]
        unsure = self._found.label == "not sure"
        colours = {name: (_DIM,) * 3 if unsure else _BLUE for name in values if name in shown}
        if "cry_smooth" in timeline and "cry" not in values:
            values["cry"] = timeline["cry_smooth"]
            colours = {"cry": _ORANGE, **colours}
        return [
            _Bar(name, values[name], colour, self._text_px // 2 + row * self._line_px)
            for row, (name, colour) in enumerate(colours.items(), start=1)
        ]

    def _drawn_panel(self, names: Sequence[NDArray[np.uint8]]) -> Frame:
        """What stays the same below all frames: names, tracks of bars, and the events."""
        panel = np.full_like(self.canvas[self._height :], _BACKGROUND)
        first_x, last_x = self._bars_x
        for bar, name in zip(self._bars, names, strict=True):
            _write(panel, name, self._text_px, bar.top)
            panel[bar.top : bar.top + self._text_px, first_x:last_x] = _TRACK
        panel[self._strip(), self._text_px : self._at_x(self._found.duration_s)] = _TRACK
        for event in self._found.events:
            first_x, last_x = self._at_x(event.onset_s), self._at_x(event.offset_s)
            panel[self._strip(), first_x : max(last_x, first_x + 1)] = _ORANGE
        return panel

    def _strip(self) -> slice:
        """Rows of the panel that show the events of the whole clip."""
        top = self._text_px // 2 + (len(self._bars) + 1) * self._line_px
        return slice(top, top + self._text_px)

    def _at_x(self, time_s: float) -> int:
        """Where a time of the clip is in the strip of its events."""
        share = min(1.0, max(0.0, time_s / max(self._found.duration_s, 1 / FRAME_RATE_HZ)))
        return self._text_px + round(share * (self.canvas.shape[1] - 2 * self._text_px))

    def _caption(self, k: int) -> str:
        """The smoothed label of a frame; a reason only where the clip has one."""
        found, timeline = self._found, self._found.timeline
        number = self._event_at[k] if k < len(self._event_at) else -1
        if number < 0 and found.detector.cry is not None:
            known = k < len(self._event_at) and np.isfinite(timeline["cry"][k])
            return "no cry" if known else ""
        unsure = found.label == "not sure"
        if self._classes and not unsure and k < len(self._event_at):
            now = [timeline[f"{name}_smooth"][k] for name in self._classes]
            if np.isfinite(now).all():
                return self._classes[int(np.argmax(now))]
        if number < 0:
            return found.label if unsure else ""
        if not self._classes:
            label = found.events[number].label
            return f"{label}, not sure" if unsure else label
        return "cry, reason not sure" if unsure else "cry"


def _write(panel: Frame, lettering: NDArray[np.uint8], x: int, y: int, grey: int = _TEXT) -> None:
    """Put lettering on a panel; what does not fit is cut off."""
    place = panel[y : y + lettering.shape[0], x : x + lettering.shape[1]]
    opacity = lettering[: place.shape[0], : place.shape[1], None] / 255
    place[:] = place + (grey - place.astype(np.float32)) * opacity


def _outline(picture: Frame, box: Box, thickness_px: int) -> None:
    """Draw the edge of a box, as far as it is in the picture."""
    left, top, width, height = box
    x, y, t = round(left), round(top), thickness_px
    right, bottom = round(left + width), round(top + height)
    for rows, columns in (
        *(((y, y + t), (x, right)), ((bottom - t, bottom), (x, right))),
        *(((y, bottom), (x, x + t)), ((y, bottom), (right - t, right))),
    ):
        picture[slice(*np.maximum(rows, 0)), slice(*np.maximum(columns, 0))] = _BLUE
