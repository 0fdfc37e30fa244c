"""One clip, from its file to its result."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from cryvision.bundle import Bundle
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.inference.classifier import StreamClassifier
from cryvision.inputs import media
from cryvision.inputs.quality import QualityStream
from cryvision.result import Classification

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from cryvision.inference.options import OptionValues


def classify(
    path: str | os.PathLike[str],
    bundle: Bundle | str | os.PathLike[str] | None = None,
    *,
    audio_track: int | None = None,
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
    progress : callable, optional
        Called with (seconds done, seconds in all or None).
    **options
        The fields of `cryvision.inference.options.Options`, such as ``veto`` and ``threshold``.

    Returns
    -------
    Classification

    Raises
    ------
    MediaError
        The clip cannot be read.
    BundleError
        The bundle is refused.
    ConfigError
        An option is out of range.

    Examples
    --------
    >>> import cryvision
    >>> result = cryvision.classify("examples/demo.mp4")
    >>> [round(event.onset_s) for event in result.events]
    [2, 6, 11]
    """
    loaded = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    stream = StreamClassifier(loaded, path=os.fspath(path), **options)
    quality = QualityStream()
    done_s = 0.0
    with media.open_clip(path, frames=stream.takes_frames, audio_track=audio_track) as clip:
        for piece in clip.pieces():
            stream.push(piece.samples, piece.frame, piece.frame_time_s)
            if piece.samples is not None:
                quality.push(piece.samples)
            if piece.frame_time_s is not None:
                done_s = piece.frame_time_s
            elif piece.samples is not None:
                done_s += len(piece.samples) / SAMPLE_RATE_HZ
            if progress is not None:
                progress(done_s, clip.info.duration_s)
        result = stream.finish(clip.info, tuple(clip.warnings))
    return dataclasses.replace(result, quality=quality.finish())
