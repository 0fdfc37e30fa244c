"""One clip, from its file to its result."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

import numpy as np

from cryvision.argument_types import typed
from cryvision.bundle import Bundle
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.inference.classifier import StreamClassifier
from cryvision.inputs import media
from cryvision.inputs.quality import QualityStream
from cryvision.result import Classification
from cryvision.start_times import RecordingStart, recording_start

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from cryvision.inference.options import OptionValues


@typed
def classify(
    path: str | os.PathLike[str],
    bundle: Bundle | str | os.PathLike[str] | None = None,
    *,
    audio_track: int | None = None,
    start: str = "",
    timezone: str = "",
    progress: Callable[[float, float | None], None] | None = None,
    **options: Unpack[OptionValues],
) -> Classification:
    """Find the crying in one clip.

    Parameters
    ----------
    path : path-like
        A video or sound file on this machine.
    bundle : Bundle or path-like, optional
        What to classify with; the bundle that ships with the package by default.
    audio_track : int, optional
        See `cryvision.inputs.media.open_clip`.
    start, timezone : str
        When the recording started, and the zone of its clock, as ``stated`` and ``zone`` of
        `cryvision.start_times.recording_start`.
    progress : callable, optional
        Called with (seconds done, seconds in all or None).
    **options
        The fields of `cryvision.inference.options.Options`, such as ``veto`` and ``threshold``.

    Returns
    -------
    Classification

    Raises
    ------
    MediaError, BundleError, ConfigError
        The clip cannot be read, the bundle is refused, or an option is out of range.

    Examples
    --------
    >>> result = cryvision.classify("examples/demo.mp4")
    >>> [round(event.onset_s) for event in result.events]
    [2, 6, 11]
    """
    began = recording_start(path, stated=start, zone=timezone)
    loaded = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    stream = StreamClassifier(loaded, path=os.fspath(path), **options)
    result = read_through(path, stream, audio_track=audio_track, progress=progress)
    return with_start(result, began)


class SoundStream(Protocol):
    """What takes the sound of a clip piece by piece."""

    def push(self, samples: np.ndarray) -> object:
        """Take the next piece."""


def read_through(
    path: str | os.PathLike[str],
    stream: StreamClassifier,
    *sounds: SoundStream,
    audio_track: int | None = None,
    progress: Callable[[float, float | None], object] | None = None,
) -> Classification:
    """Classify a clip with a new stream, and push its sound into other streams as well."""
    quality = QualityStream()
    with media.open_clip(path, frames=stream.takes_frames, audio_track=audio_track) as clip:
        for done_s in feed(clip, stream, quality, *sounds):
            if progress is not None:
                progress(done_s, clip.info.duration_s)
        result = stream.finish(clip.info, tuple(clip.warnings))
    return dataclasses.replace(result, quality=quality.finish())


def feed(clip: media.Clip, stream: StreamClassifier, *sounds: SoundStream) -> Iterator[float]:
    """Push a clip into a classifier, and its sound into other streams as well.

    Yielded are the seconds of the clip that were pushed, after each piece.
    """
    n_samples, picture_s = 0, 0.0
    for piece in clip.pieces():
        stream.push(piece.samples, piece.frame, piece.frame_time_s)
        if piece.samples is not None:
            for sound in sounds:
                sound.push(piece.samples)
            n_samples += len(piece.samples)
        picture_s = piece.frame_time_s or picture_s
        yield max(n_samples / SAMPLE_RATE_HZ, picture_s)


def with_start(result: Classification, start: RecordingStart | None) -> Classification:
    """Add to a result when the recording started, and what is doubtful about that."""
    if start is None:
        return result
    warnings = (*result.warnings, f"start: {start.remark}") if start.remark else result.warnings
    return dataclasses.replace(result, start=start, warnings=warnings)
