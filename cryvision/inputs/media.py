"""Clips: what a file holds, and its sound and pictures as arrays on one clock.

The sound is 16 kHz mono, the pictures are RGB on the 30 Hz clock: frame k is at k / 30 s. Each
comes from an ffmpeg of its own and is read as it is used, so that no more than a moment of a clip
is ever in memory.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import os
import weakref
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from cryvision.argument_types import typed
from cryvision.config import FRAME_RATE_HZ, SAMPLE_RATE_HZ
from cryvision.errors import ConfigError, MediaError
from cryvision.inputs import ffmpeg, riff
from cryvision.inputs.decoding import Frames, Sound, picture_seconds
from cryvision.inputs.ffmpeg import LONGEST_GAP_SECONDS, find_ffmpeg
from cryvision.inputs.mixing import BLOCK_SAMPLES
from cryvision.inputs.probing import MediaInfo, probe, with_track
from cryvision.inputs.quality import SILENT_DBFS
from cryvision.inputs.streams import SoundTrack

__all__ = ["Clip", "MediaInfo", "Piece", "find_ffmpeg", "open_clip", "probe", "read_sound"]

log = logging.getLogger(__name__)

EARLY_END_SECONDS = 1.0
"""A clip that ends this long before the end its container states is reported as cut short.
Encoders pad and round by less."""

NO_SOUND = "the clip has no sound"

# fmt: off
MEDIA_SUFFIXES = frozenset({
    ".3g2", ".3gp", ".3gpp", ".aac", ".aif", ".aiff", ".amr", ".asf", ".au", ".avi", ".caf",
    ".flac", ".flv", ".m2ts", ".m4a", ".m4v", ".mka", ".mkv", ".mov", ".mp2", ".mp3", ".mp4",
    ".mpeg", ".mpg", ".mts", ".oga", ".ogg", ".ogv", ".opus", ".rf64", ".sph", ".ts", ".vob",
    ".w64", ".wav", ".webm", ".wma", ".wmv", ".wv",
})
# fmt: on
"""Names of sound and video files that a folder is searched for."""


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


@typed
def open_clip(
    path: str | os.PathLike[str],
    *,
    sound: bool = True,
    frames: bool = True,
    chunk_seconds: float = 4.0,
    audio_track: int | None = None,
    start_s: float | None = None,
    end_s: float | None = None,
) -> Clip:
    """Open a clip for reading its sound, its pictures, or both.

    Parameters
    ----------
    path : str or path-like
        A local file.
    sound, frames : bool
        What to read. A clip that lacks one of them is normal.
    chunk_seconds : float
        Length of a piece of sound where there are no frames to go with it. Shorter ones cost more
        CPU time.
    audio_track : int, optional
        Number of the track of sound to read, from 1 on. By default the one that the file marks, or
        if that is silent, the first that is not.
    start_s, end_s : float, optional
        The segment to read, in seconds of the clip's clock; by default the whole clip. It is read
        as a clip of its own, whose clock starts at ``start_s``. What lies outside the clip is
        absent.

    Returns
    -------
    Clip
        A context manager.

    Raises
    ------
    MediaError, MissingDependencyError
        As for :func:`probe`.
    ConfigError
        When nothing is wanted, ``chunk_seconds`` is not above zero, there is no such track, or
        not 0 <= start_s <= end_s.
    """
    if not (sound or frames):
        raise ConfigError("a clip must be read for its sound or its frames; got neither")
    if not 0 < chunk_seconds < math.inf:
        raise ConfigError(f"chunk_seconds must be above zero; got {chunk_seconds:g}")
    first_s, last_s = start_s or 0.0, math.inf if end_s is None else end_s
    if not 0 <= first_s <= last_s:
        raise ConfigError(f"a segment must satisfy 0 <= start_s <= end_s; got {start_s}, {end_s}")
    info = probe(path)
    warnings: list[str] = []
    if sound:
        info, warnings = choose_track(info, audio_track)
    chunk_samples = max(1, round(chunk_seconds * SAMPLE_RATE_HZ))
    clip = Clip(info, sound, frames, chunk_samples, (first_s, last_s))
    clip.warnings += [warning for warning in warnings if warning not in clip.warnings]
    return clip


@typed
def read_sound(
    path: str | os.PathLike[str], start_s: float | None = None, end_s: float | None = None
) -> np.ndarray:
    """Read the sound of a short clip at once, decoded as :func:`open_clip` does.

    Parameters
    ----------
    path, start_s, end_s
        As for :func:`open_clip`.

    Returns
    -------
    ndarray of float32, shape (n,)
        16 kHz mono.

    Raises
    ------
    MediaError, ConfigError, MissingDependencyError
        As for :func:`open_clip`, and when the clip has no sound that can be decoded.
    """
    pieces = [np.zeros(0, np.float32)]
    with open_clip(path, frames=False, start_s=start_s, end_s=end_s) as clip:
        if not clip.info.has_sound:
            raise MediaError(f"{ffmpeg.shown(path)}: a clip must have sound here; it has none")
        pieces += [piece.samples for piece in clip.pieces() if piece.samples is not None]
        for warning in clip.warnings:
            log.warning("%s: %s", ffmpeg.shown(path), warning)
    return np.concatenate(pieces)


class Clip:
    """An open clip, from :func:`open_clip`. A context manager.

    Attributes
    ----------
    info : MediaInfo
        Once its pieces were read, with the length that was found where less was than is stated.
    warnings : list of str
        What was odd about the clip: damage, an early end. Complete once its pieces are.
    """

    def __init__(
        self,
        info: MediaInfo,
        sound: bool,
        frames: bool,
        chunk_samples: int,
        segment_s: tuple[float, float] = (0.0, math.inf),
    ) -> None:
        self.info = info
        self.warnings: list[str] = []
        self._path = os.path.abspath(info.path)
        self._sound = sound and info.has_sound
        self._frames = frames and info.has_picture
        self._chunk_samples = chunk_samples
        self._segment_s = segment_s
        self._reads_on = self._sound and self._go_on_with_wav()
        self._running: weakref.WeakSet[Generator[Piece, None, None]] = weakref.WeakSet()
        if not (self._sound or self._frames):
            self._warn(NO_SOUND if sound else "the clip has no pictures")

    def pieces(self) -> Iterator[Piece]:
        """Iterate over the clip in clock order, from its start.

        With frames, each piece holds a frame and the sound up to it; what sound is left after the
        last frame, and sound alone, comes in chunks. ffmpeg ends with the iterator, however that is
        left.

        Raises
        ------
        MediaError
            When nothing of what is wanted can be decoded.
        """
        pieces = self._read()
        if self._segment_s != (0.0, math.inf):
            pieces = _cut(pieces, *self._segment_s)
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
            sound = frames = None
            if self._sound:
                sound = stack.enter_context(Sound(self._path, self.info, self._reads_on))
            if self._frames:
                frames = stack.enter_context(Frames(self._path, self.info))
            while frames and (frame := frames.take()) is not None:
                k = frames.taken - 1
                due = k * SAMPLE_RATE_HZ // FRAME_RATE_HZ
                samples = sound.take(due - sound.taken) if sound else None
                yield Piece(samples, frame, k / FRAME_RATE_HZ)
            while sound and (samples := sound.take(self._chunk_samples)) is not None:
                yield Piece(samples)
            self._conclude([part for part in (sound, frames) if part])

    def _conclude(self, parts: list[Sound | Frames]) -> None:
        words = {part.name: part.trouble() for part in parts}
        log = "; ".join(dict.fromkeys(filter(None, words.values())))
        if not any(part.taken for part in parts):
            raise MediaError(
                f"{ffmpeg.shown(self.info.path)}: a clip must hold {' or '.join(words)} that "
                f"ffmpeg can decode; ffmpeg: {log or 'nothing to decode'}"
            )
        for part in parts:
            if not part.taken:
                self._warn(f"no {part.name} could be decoded; ffmpeg: {words[part.name] or 'none'}")
        decoded_s = self._decoded_seconds(max(part.taken / part.rate_hz for part in parts))
        self._check_gap(parts[0], decoded_s)
        stated_s = self.info.duration_s
        if stated_s is not None and decoded_s < stated_s - EARLY_END_SECONDS:
            early = f"ends early: {decoded_s:.2f} s of {stated_s:.2f} s could be decoded"
            self._warn(f"{early}; ffmpeg: {log}" if log else early)
            self.info = dataclasses.replace(self.info, duration_s=decoded_s)
        elif log:
            self._warn(f"damaged; ffmpeg: {log}")
        for part in parts:
            for warning in part.warnings():
                self._warn(warning)

    def _check_gap(self, part: Sound | Frames, decoded_s: float) -> None:
        """Warn where the pictures go on after the sound for longer than a gap may be."""
        sound_s = part.taken / part.rate_hz
        if self._sound and 0 < sound_s < decoded_s - LONGEST_GAP_SECONDS:
            self._warn(
                f"the sound ends at {sound_s:.2f} s, and the pictures at {decoded_s:.2f} s: sound "
                f"behind a gap of more than {LONGEST_GAP_SECONDS:g} s is lost, or comes too early"
            )

    def _decoded_seconds(self, read_s: float) -> float:
        """How long the clip is: what was read, or the pictures or the sound that were not.

        What is stated of those is believed where it is near, and looked at where it is not.
        """
        stated_s = self.info.duration_s or 0.0
        if read_s >= stated_s - EARLY_END_SECONDS:
            return read_s
        if self.info.has_picture and not self._frames:
            return max(read_s, picture_seconds(self._path, self.info))
        return stated_s if self.info.has_sound and not self._sound else read_s

    def _go_on_with_wav(self) -> bool:
        """Return whether a WAV file is to be read beyond its stated end; warn of what is there."""
        if self.info.container != "wav":
            return False
        behind, seconds = riff.goes_on(self._path)
        if behind is None:
            return False
        rest = f"the file goes on for {seconds:.2f} s behind the end that its header states"
        what = "that was read too" if behind == "sound" else "another file begins there, not read"
        self._warn(f"{rest}: {what}")
        return behind == "sound"

    def _warn(self, warning: str) -> None:
        if warning not in self.warnings:
            self.warnings.append(warning)


def _cut(
    pieces: Generator[Piece, None, None], start_s: float, end_s: float
) -> Generator[Piece, None, None]:
    """Cut pieces to a segment of the clip; its start becomes the zero of their clock."""
    first = round(start_s * SAMPLE_RATE_HZ)
    last = None if end_s == math.inf else round(end_s * SAMPLE_RATE_HZ)
    position = 0
    with contextlib.closing(pieces):
        for piece in pieces:
            samples, frame, time_s = piece.samples, piece.frame, piece.frame_time_s
            if samples is not None:
                stop = None if last is None else max(0, last - position)
                position += len(samples)
                samples = samples[max(0, first + len(samples) - position) : stop]
            ended = last is not None and (samples is None or position >= last)
            if time_s is not None:
                ended = ended and time_s >= end_s
                inside = start_s <= time_s < end_s
                frame, time_s = (frame, time_s - start_s) if inside else (None, None)
            if frame is not None or (samples is not None and len(samples)):
                yield Piece(samples, frame, time_s)
            if ended:
                return


def choose_track(info: MediaInfo, number: int | None) -> tuple[MediaInfo, list[str]]:
    """Choose the track of sound to read; return it with the warnings about those not used.

    A ``number``, from 1 on, is taken whatever is on it. Else the track that the file marks as its
    default comes first, then the others in their order; of these, the first that is not silent is
    taken.
    """
    tracks = info.sound_tracks
    silent: list[SoundTrack] = []
    if number is not None:
        if not 1 <= number <= len(tracks):
            there = f"{len(tracks)} tracks" if len(tracks) != 1 else "1 track"
            raise ConfigError(
                f"{ffmpeg.shown(info.path)}: the sound track must be one of the file's, which has "
                f"{there} of sound; got {number}"
            )
        chosen = tracks[number - 1]
    elif len(tracks) < 2:
        return info, []
    else:
        chosen, silent = _first_sounding(info)
    unused = [track for track in tracks if track is not chosen]
    warnings = []
    if unused:
        named = "; ".join(_named(info, track, silent) for track in unused)
        warnings.append(
            f"sound track {tracks.index(chosen) + 1} of {len(tracks)} was used; not used: {named}"
        )
    return with_track(info, chosen), warnings


def _first_sounding(info: MediaInfo) -> tuple[SoundTrack, list[SoundTrack]]:
    """Return the first track that is not silent, and those before it that are."""
    tracks = sorted(info.sound_tracks, key=lambda track: not track.default)
    silent: list[SoundTrack] = []
    for track in tracks:
        if not _is_silent(with_track(info, track)):
            return track, silent
        silent.append(track)
    return tracks[0], silent


def _is_silent(info: MediaInfo) -> bool:
    """Whether no tenth of a second of a track is above the level of silence."""
    power = 10 ** (SILENT_DBFS / 10)
    try:
        with Sound(os.path.abspath(info.path), info) as sound:
            while (block := sound.take(BLOCK_SAMPLES)) is not None:
                if np.mean(np.square(block, dtype=np.float64)) > power:
                    return False
    except MediaError:
        pass  # its rate, say: another may do
    return True


def _named(info: MediaInfo, track: SoundTrack, silent: list[SoundTrack]) -> str:
    number = info.sound_tracks.index(track) + 1
    return f"track {number} ({track}{', silent' if track in silent else ''})"
