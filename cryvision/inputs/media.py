"""Clips: what a file holds, and its sound and pictures as arrays on one clock.

The sound is 16 kHz mono, the pictures are RGB on the 30 Hz clock: frame k is at k / 30 s. Each
comes from an ffmpeg of its own and is read as it is used, so that no more than a moment of a clip
is ever in memory.
"""

from __future__ import annotations

import logging
import math
import os
import re
import weakref
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cryvision.config import FRAME_RATE_HZ, SAMPLE_RATE_HZ
from cryvision.errors import ConfigError, MediaError
from cryvision.inputs import ffmpeg
from cryvision.inputs.ffmpeg import find_ffmpeg
from cryvision.inputs.probing import PIXEL_SHAPES, MediaInfo, probe

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Clip", "MediaInfo", "Piece", "find_ffmpeg", "open_clip", "probe", "read_sound"]

log = logging.getLogger(__name__)

EARLY_END_SECONDS = 1.0
"""A clip that ends this long before the end its container states is reported as cut short.
Encoders pad and round by less."""

LONGEST_GAP_SECONDS = 3600.0
"""A clip is read up to a longer jump in its timestamps. One damaged timestamp would otherwise ask
for days of silence, which ffmpeg keeps in memory."""

# fmt: off
MEDIA_SUFFIXES = frozenset({
    ".3g2", ".3gp", ".aac", ".aif", ".aiff", ".amr", ".au", ".avi", ".caf", ".flac", ".flv", ".m4a",
    ".m4v", ".mkv", ".mov", ".mp3", ".mp4", ".mpeg", ".mpg", ".mts", ".oga", ".ogg", ".opus",
    ".wav", ".webm", ".wma", ".wmv",
})
# fmt: on
"""Names of sound and video files that a folder is searched for."""

KNOWN_LAYOUT_CHANNELS = 8
"""More channels than this have no agreed places; they are averaged."""

# These containers state one start for all streams; the others (mpegts, ogg, ...) have
# timestamps that may jump, which ffmpeg mends from the streams in use alone.
_ONE_START = ("mov", "matroska", "avi")
# An unknown time (NaN) is not beyond the gap.
_LAST = "if(isnan(prev_selected_t),0,prev_selected_t)"
_BELIEVED = f"not(gt(t-{_LAST},{LONGEST_GAP_SECONDS}))"
_PPM_HEADER = re.compile(rb"(\d+) (\d+)\n")


@dataclass(frozen=True)
class Piece:
    """The next stretch of a clip. Where it has both, its sound comes before its frame.

    Attributes
    ----------
    samples : ndarray or None
        Sound, float32, shape (n,), 16 kHz mono, full scale at 1.
    frame : ndarray or None
        Picture, uint8 RGB, shape (height, width, 3), upright and with square pixels.
    frame_time_s : float or None
        The frame's place on the clock: k / 30.
    """

    samples: np.ndarray | None = None
    frame: np.ndarray | None = None
    frame_time_s: float | None = None


def open_clip(
    path: str | os.PathLike[str],
    *,
    sound: bool = True,
    frames: bool = True,
    chunk_seconds: float = 1.0,
) -> Clip:
    """Open a clip for reading its sound, its pictures, or both.

    Parameters
    ----------
    path : str or path-like
        A local file.
    sound, frames : bool
        What to read. A clip that lacks one of them is normal.
    chunk_seconds : float
        Length of a piece of sound where there are no frames to go with it.

    Returns
    -------
    Clip
        A context manager.

    Raises
    ------
    MediaError
        As for :func:`probe`.
    ConfigError
        When nothing is wanted, or ``chunk_seconds`` is not above zero.
    MissingDependencyError
        When there is no ffmpeg.
    """
    if not (sound or frames):
        raise ConfigError("a clip must be read for its sound or its frames; got neither")
    if not 0 < chunk_seconds < math.inf:
        raise ConfigError(f"chunk_seconds must be above zero; got {chunk_seconds:g}")
    return Clip(probe(path), sound, frames, max(1, round(chunk_seconds * SAMPLE_RATE_HZ)))


def read_sound(
    path: str | os.PathLike[str], start_s: float | None = None, end_s: float | None = None
) -> np.ndarray:
    """Read the sound of a short clip at once, decoded as :func:`open_clip` does.

    Parameters
    ----------
    path : str or path-like
        A local file.
    start_s, end_s : float, optional
        The stretch to keep, in seconds of the clip's clock. What lies outside the clip is absent.

    Returns
    -------
    ndarray
        float32, shape (n,), 16 kHz mono.

    Raises
    ------
    MediaError
        As for :func:`probe`, and when the clip has no sound that can be decoded.
    ConfigError
        When not 0 <= start_s <= end_s.
    MissingDependencyError
        When there is no ffmpeg.
    """
    first_s, last_s = start_s or 0.0, math.inf if end_s is None else end_s
    if not 0 <= first_s <= last_s:
        raise ConfigError(f"a stretch must satisfy 0 <= start_s <= end_s; got {start_s}, {end_s}")
    first = round(first_s * SAMPLE_RATE_HZ)
    last = None if end_s is None else round(end_s * SAMPLE_RATE_HZ)
    kept = [np.zeros(0, np.float32)]
    position = 0
    with open_clip(path, frames=False) as clip:
        if not clip.info.has_sound:
            raise MediaError(f"{ffmpeg.shown(path)}: a clip must have sound here; it has none")
        for piece in clip.pieces():
            if piece.samples is None:
                continue
            end = None if last is None else max(0, last - position)
            kept.append(piece.samples[max(0, first - position) : end])
            position += len(piece.samples)
            if last is not None and position >= last:
                break
        for warning in clip.warnings:
            log.warning("%s: %s", ffmpeg.shown(path), warning)
    return np.concatenate(kept)


class Clip:
    """An open clip, from :func:`open_clip`. A context manager.

    Attributes
    ----------
    info : MediaInfo
    warnings : list of str
        What was odd about the clip: damage, an early end. Complete once its pieces are.
    """

    def __init__(self, info: MediaInfo, sound: bool, frames: bool, chunk_samples: int) -> None:
        self.info = info
        self.warnings: list[str] = []
        self._path = os.path.abspath(info.path)
        self._sound = sound and info.has_sound
        self._frames = frames and info.has_picture
        self._chunk_samples = chunk_samples
        self._running: weakref.WeakSet[Generator[Piece, None, None]] = weakref.WeakSet()
        if not (self._sound or self._frames):
            self._warn("the clip has no sound" if sound else "the clip has no pictures")

    def pieces(self) -> Iterator[Piece]:
        """Iterate over the clip in clock order, from its start.

        With frames, each piece holds a frame and the sound up to it; what sound is left after the
        last frame, and sound alone, comes in chunks. ffmpeg ends with the iterator, however that
        is left.

        Yields
        ------
        Piece

        Raises
        ------
        MediaError
            When nothing of what is wanted can be decoded.
        """
        pieces = self._read()
        self._running.add(pieces)
        return pieces

    def close(self) -> None:
        """End all iterators of this clip, and ffmpeg with them."""
        for pieces in list(self._running):
            pieces.close()

    def __enter__(self) -> Clip:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _read(self) -> Generator[Piece, None, None]:
        if not (self._sound or self._frames):
            return
        with ExitStack() as stack:
            sound = stack.enter_context(_Sound(self._path, self.info)) if self._sound else None
            frames = stack.enter_context(_Frames(self._path, self.info)) if self._frames else None
            while frames and (frame := frames.take()) is not None:
                k = frames.taken - 1
                due = k * SAMPLE_RATE_HZ // FRAME_RATE_HZ
                samples = sound.take(due - sound.taken) if sound else None
                yield Piece(samples, frame, k / FRAME_RATE_HZ)
            while sound and (samples := sound.take(self._chunk_samples)) is not None:
                yield Piece(samples)
            self._conclude([part for part in (sound, frames) if part])

    def _conclude(self, parts: list[_Sound | _Frames]) -> None:
        """Judge a clip that was read to its end."""
        words = {part.name: part.trouble() for part in parts}
        said = "; ".join(dict.fromkeys(filter(None, words.values())))
        if not any(part.taken for part in parts):
            raise MediaError(
                f"{ffmpeg.shown(self.info.path)}: a clip must hold {' or '.join(words)} that "
                f"ffmpeg can decode; ffmpeg: {said or 'nothing to decode'}"
            )
        for part in parts:
            if not part.taken:
                self._warn(f"no {part.name} could be decoded; ffmpeg: {words[part.name] or 'none'}")
        length_s = max(part.taken / part.rate_hz for part in parts)
        whole = self._sound == self.info.has_sound and self._frames == self.info.has_picture
        stated_s = self.info.duration_s or 0.0
        if whole and length_s < stated_s - EARLY_END_SECONDS:
            early = f"ends early: {length_s:.2f} s of {stated_s:.2f} s could be decoded"
            self._warn(f"{early}; ffmpeg: {said}" if said else early)
        elif said:
            self._warn(f"damaged; ffmpeg: {said}")
        if any(isinstance(part, _Sound) and part.mended for part in parts):
            self._warn("samples that were not finite numbers are read as zero")

    def _warn(self, warning: str) -> None:
        if warning not in self.warnings:
            self.warnings.append(warning)


class _Decoder:
    """One stream of a clip coming out of its own ffmpeg.

    Attributes
    ----------
    taken : int
        How many samples or frames were read.
    """

    name: str
    rate_hz: int

    def __init__(self, path: str, output: Any) -> None:
        self.taken = 0
        self._path = path
        self._process = ffmpeg.Process(ffmpeg.command_line(path, output))

    def trouble(self) -> str:
        """Wait for ffmpeg to end; return its last words, or nothing if all went well."""
        status = self._process.wait()
        said = ffmpeg.last_words(self._process.log(), self._path)
        return said or (f"ended with status {status}" if status else "")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.close()


class _Sound(_Decoder):
    name = "sound"
    rate_hz = SAMPLE_RATE_HZ

    def __init__(self, path: str, info: MediaInfo) -> None:
        source = ffmpeg.clip_input(threads=1)
        stream = source[str(info.sound_stream)]
        channels = info.sound_channels or 0
        if channels > KNOWN_LAYOUT_CHANNELS:
            # pan scales what follows "<" so that the weights add up to one.
            mean = "+".join(f"c{i}" for i in range(channels))
            stream = stream.filter("pan", f"mono|c0<{mean}")
        # Unbounded, ffmpeg would mix two equal channels of float sound to 1.41 of their level.
        # Gaps are filled last, where silence is smallest.
        output = (
            stream.filter("aselect", _BELIEVED)
            .filter("aresample", SAMPLE_RATE_HZ, rematrix_maxval=1)
            .filter("aformat", "flt", sample_rates=SAMPLE_RATE_HZ, channel_layouts="mono")
            .filter("aresample", **{"async": 1, "first_pts": 0})
            .output("pipe:1", format="f32le")
        )
        super().__init__(path, _beside(output, source, info, info.picture_stream))
        self.mended = False
        self._ended = False

    def take(self, n: int) -> np.ndarray | None:
        """Read the next ``n`` samples, fewer at the end; None where there are none."""
        if self._ended or n < 1:
            return None
        samples = np.empty(n, np.dtype("<f4"))
        n_read = self._process.read_into(samples.data.cast("B")) // samples.itemsize
        self._ended = n_read < n
        self.taken += n_read
        samples = samples[:n_read].astype(np.float32, copy=False)
        if not np.isfinite(samples).all():
            samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
            self.mended = True
        return samples if n_read else None


class _Frames(_Decoder):
    name = "pictures"
    rate_hz = FRAME_RATE_HZ

    def __init__(self, path: str, info: MediaInfo) -> None:
        source = ffmpeg.clip_input(threads=2)
        shape = f"clip(sar,{PIXEL_SHAPES[0]},{PIXEL_SHAPES[1]})"
        output = (
            source[str(info.picture_stream)]
            .filter("select", _BELIEVED)
            .filter("fps", FRAME_RATE_HZ, start_time=0)
            .filter("scale", f"max(1,floor(iw*{shape}+0.5))", "ih")
            .output("pipe:1", format="image2pipe", vcodec="ppm", pix_fmt="rgb24", threads=1)
        )
        super().__init__(path, _beside(output, source, info, info.sound_stream))

    def take(self) -> np.ndarray | None:
        """Read the next frame; None at the end."""
        magic, size, _depth = (self._process.read_line(32) for _ in range(3))
        header = _PPM_HEADER.fullmatch(size)
        if magic != b"P6\n" or header is None:
            return None
        frame = np.empty((int(header[2]), int(header[1]), 3), np.uint8)
        if self._process.read_into(frame.data.cast("B")) < frame.nbytes:
            return None
        self.taken += 1
        return frame


def _beside(output: Any, source: Any, info: MediaInfo, other: int | None) -> Any:
    """Let ffmpeg see the clip's other stream too where its clock depends on the streams in use.

    Otherwise each ffmpeg would put its own stream's start at zero, and their offset would be lost.
    The other stream's packets are read and dropped, not decoded.
    """
    if other is None or info.container.split(",")[0] in _ONE_START:
        return output
    packets = source[str(other)].output("-", format="null", codec="copy")
    return ffmpeg.command_builder().merge_outputs(output, packets)
