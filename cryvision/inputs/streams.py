"""The streams that a media file holds, as its headers state them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

PIXEL_SHAPES = (0.25, 4.0)
"""Pixel width over height that is believed. Real video lies within 0.5 and 2.2; a damaged header
may hold anything, and would make enormous pictures."""

NO_DECODER = ("none", "unknown", "")
"""Names for a codec that ffmpeg does not have."""

_LAYOUT_CHANNELS = {"mono": 1, "stereo": 2, "downmix": 2, "binaural": 2, "quad": 4}


@dataclass(frozen=True)
class SoundTrack:
    """One stream of sound, by its number among the file's; None is what the file does not state.

    The `layout` of the channels is in ffmpeg's words, for plain samples perhaps its guess;
    `default` is the one that the file marks to be played.
    """

    stream: int
    codec: str
    rate_hz: int | None = None
    channels: int | None = None
    layout: str | None = None
    default: bool = False

    def __str__(self) -> str:
        channels = self.layout or (f"{self.channels} channels" if self.channels else "")
        # An older ffmpeg guesses no layout of plain samples.
        channels = {"1 channels": "mono", "2 channels": "stereo"}.get(channels, channels)
        rate = f"{self.rate_hz} Hz" if self.rate_hz else ""
        return ", ".join(filter(None, (self.codec, rate, channels)))


@dataclass(frozen=True)
class PictureTrack:
    """One stream of moving pictures; its size as displayed: upright, and with square pixels."""

    stream: int
    codec: str
    width: int | None = None
    height: int | None = None
    fps: float | None = None


@dataclass(frozen=True)
class Contents:
    """What is in a file: its container, its length where it states one, and its streams."""

    container: str
    duration_s: float | None
    sound: tuple[SoundTrack, ...] = ()
    pictures: tuple[PictureTrack, ...] = ()


def length_s(container: str, stated_s: float | None, start_s: float) -> float | None:
    """Return the length of a file; what Matroska states counts from zero, not from its start."""
    if stated_s is None or not container.startswith("matroska"):
        return stated_s
    return max(0.0, stated_s - max(0.0, start_s))


def shown_size(
    width: int, height: int, across: int, down: int, turned_degrees: float
) -> tuple[int, int]:
    """Return the size of pictures as displayed, from that stored.

    ``across`` and ``down`` are the shape of a pixel; zero where it is unknown.
    """
    if round(abs(turned_degrees) / 90) % 2 == 1:
        width, height, across, down = height, width, down, across
    shape = across / down if across and down else 1.0
    shape = min(max(shape, PIXEL_SHAPES[0]), PIXEL_SHAPES[1])
    return max(1, math.floor(width * shape + 0.5)), height


def n_channels(layout: str) -> int | None:
    """Count the channels of a layout: ``5.1(side)`` is five and one; None where it is unknown."""
    if count := re.match(r"(\d+) channels", layout):
        return int(count[1])
    if re.match(r"\d+\.\d", layout):
        return sum(int(digits) for digits in layout.split("(")[0].split("."))
    return _LAYOUT_CHANNELS.get(layout)
