"""One clip, from its file to its result."""

from __future__ import annotations

import os
from collections.abc import Callable

from cryvision.bundle import Bundle
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.inference.classifier import StreamClassifier
from cryvision.inputs import media
from cryvision.result import BOUT_GAP_SECONDS, Classification


def classify(
    path: str | os.PathLike[str],
    bundle: Bundle | str | os.PathLike[str] | None = None,
    *,
    runtime: str = "onnx",
    smooth_seconds: float | None = None,
    label_policy: str = "skill",
    require_face: bool = False,
    veto: str = "normal",
    bout_gap_s: float = BOUT_GAP_SECONDS,
    threshold: float | None = None,
    min_duration_s: float | None = None,
    min_gap_s: float | None = None,
    audio_track: int | None = None,
    progress: Callable[[float, float | None], None] | None = None,
) -> Classification:
    """Find the crying in one clip.

    Parameters
    ----------
    path : path-like
        A video or sound file on this machine.
    bundle : Bundle or path-like, optional
        What to classify with; the bundle that ships with the package by default.
    runtime : {"onnx", "keras"}
        ``onnx`` needs no TensorFlow and starts at once; ``keras`` runs the originals.
    smooth_seconds : float, optional
        Length of the rolling prediction deque; the bundle's own by default.
    label_policy : {"skill", "always"}
    require_face : bool
    veto : {"normal", "strict", "off"}
    bout_gap_s : float
    threshold, min_duration_s, min_gap_s : float, optional
        See `StreamClassifier`.
    audio_track : int, optional
        See `cryvision.inputs.media.open_clip`.
    progress : callable, optional
        Called with (seconds done, seconds in all or None).

    Returns
    -------
    Classification

    Raises
    ------
    MediaError
        The clip cannot be read.
    BundleError
        The bundle is refused.

    Examples
    --------
    >>> import cryvision
    >>> result = cryvision.classify("examples/demo.mp4")
    >>> [round(event.onset_s) for event in result.events]
    [2, 6, 11]
    """
    stream = StreamClassifier(
        bundle if isinstance(bundle, Bundle) else Bundle.load(bundle),
        runtime=runtime,
        smooth_seconds=smooth_seconds,
        label_policy=label_policy,
        require_face=require_face,
        veto=veto,
        bout_gap_s=bout_gap_s,
        threshold=threshold,
        min_duration_s=min_duration_s,
        min_gap_s=min_gap_s,
        path=os.fspath(path),
    )
    done_s = 0.0
    with media.open_clip(path, frames=stream.takes_frames, audio_track=audio_track) as clip:
        for piece in clip.pieces():
            stream.push(piece.samples, piece.frame, piece.frame_time_s)
            if piece.frame_time_s is not None:
                done_s = piece.frame_time_s
            elif piece.samples is not None:
                done_s += len(piece.samples) / SAMPLE_RATE_HZ
            if progress is not None:
                progress(done_s, clip.info.duration_s)
        return stream.finish(clip.info, tuple(clip.warnings))
