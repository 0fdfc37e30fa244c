"""The push engine: sound and frames go in piece by piece, a timeline and events come out."""

from __future__ import annotations

import math
import os
from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from cryvision.bundle import Bundle, Part
from cryvision.config import FRAME_RATE_HZ, SAMPLE_RATE_HZ, GateConfig, SoundConfig
from cryvision.errors import BundleError, ConfigError
from cryvision.inputs import media
from cryvision.inputs.features import SoundFeatureStream, SoundWindows
from cryvision.result import Classification, Detection, Event
from cryvision.smoothing import EventFollower, RollingPrediction

if TYPE_CHECKING:
    from cryvision.inputs.media import MediaInfo

NO_CRY = "no cry"
CRY = "cry"
NOT_SURE = "not sure"
LABEL_POLICIES = ("skill", "always")


class StreamClassifier:
    """Classifies a stream of media; the sizes of the pieces make no difference.

    Parameters
    ----------
    bundle : Bundle
        What to classify with; it must have a detector.
    runtime : {"onnx", "keras"}
    smooth_seconds : float, optional
        Length of the rolling prediction deque; the bundle's own by default.
    label_policy : {"skill", "always"}
        ``skill`` names a label only where the bundle has measured skill for it and says
        ``not sure`` elsewhere; ``always`` names the most probable one.
    path : str, optional
        Name of the clip in the result.

    Examples
    --------
    >>> stream = StreamClassifier(bundle)                      # doctest: +SKIP
    >>> for samples in microphone:                             # doctest: +SKIP
    ...     for event in stream.push(samples):
    ...         print(event.onset_s, event.offset_s)
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        runtime: str = "onnx",
        smooth_seconds: float | None = None,
        label_policy: str = "skill",
        path: str = "",
    ) -> None:
        if label_policy not in LABEL_POLICIES:
            raise ConfigError(
                f"label policy must be one of {', '.join(LABEL_POLICIES)}; got {label_policy!r}"
            )
        self._bundle = bundle
        self._policy = label_policy
        self._path = path
        part, sound, gate = _detector(bundle)
        self._model = bundle.model(part, runtime)
        self._input_name = part.inputs[0]
        self._gate = gate
        self._sound = SoundFeatureStream(sound)
        self._seconds_per_window = sound.window_seconds
        self._events = EventFollower(gate, sound.window_seconds, sound.hop_seconds)
        self._rolling = RollingPrediction(
            bundle.smooth_seconds if smooth_seconds is None else smooth_seconds
        )
        self._n_samples = 0
        self._picture_end_s = 0.0
        self._held_score = math.nan
        self._columns = {name: array("f") for name in ("cry", "cry_smooth")}
        self._score_sum, self._n_scored = 0.0, 0
        self._finished: list[Event] = []
        self._warnings: list[str] = []

    def push(
        self,
        samples: np.ndarray | None = None,
        frame: np.ndarray | None = None,
        frame_time_s: float | None = None,
    ) -> list[Event]:
        """Take the next piece of the stream and return the events it completes.

        Parameters
        ----------
        samples : ndarray, shape (n,), float32, optional
            Mono sound at 16 kHz that follows what was pushed before; -1 to 1.
        frame : ndarray, shape (height, width, 3), uint8, optional
            One RGB frame.
        frame_time_s : float, optional
            Time of the frame on the 30 Hz media clock, in seconds; needed with a frame.
        """
        if frame is not None:
            if frame_time_s is None:
                raise ConfigError("a frame needs its frame_time_s; got none")
            self._picture_end_s = max(self._picture_end_s, frame_time_s + 1 / FRAME_RATE_HZ)
        if samples is None or len(samples) == 0:
            return []
        windows = self._sound.push(samples)
        self._n_samples += len(samples)
        return self._follow(windows)

    def finish(
        self, info: MediaInfo | None = None, warnings: tuple[str, ...] = ()
    ) -> Classification:
        """End the stream and return its classification.

        Parameters
        ----------
        info : MediaInfo, optional
            What the file says of itself: goes into the result, and stretches the timeline to the
            end of pictures that were not decoded.
        warnings : tuple of str
            More to warn of, from whoever read the media.
        """
        windows = self._sound.finish()
        self._follow(windows)
        sound_end_s = self._n_samples / SAMPLE_RATE_HZ
        self._finished += self._events.finish(sound_end_s)
        duration_s = max(sound_end_s, self._picture_end_s)
        if info is not None and info.has_picture and info.duration_s is not None:
            duration_s = max(duration_s, info.duration_s)
        timeline = self._timeline(duration_s)
        if windows.padded and len(timeline["cry"]):
            # No frame lies behind the end of the clip's only window, so its last one carries it.
            timeline["cry"][-1] = timeline["cry_smooth"][-1] = self._held_score
        p_cry = self._score_sum / self._n_scored if self._n_scored else 0.0
        heard = self._n_samples > 0
        return Classification(
            path=self._path,
            duration_s=duration_s,
            label=self._label(heard),
            probabilities={NO_CRY: 1 - p_cry, CRY: p_cry} if heard else {},
            detector=Detection(
                cry=bool(self._finished) if heard else None,
                probability=p_cry if heard else None,
                seconds=sum(event.duration_s for event in self._finished),
            ),
            timeline=timeline,
            events=tuple(self._finished),
            modalities=("sound",) if heard else (),
            bundle={"name": self._bundle.name, "sha256": self._bundle.sha256},
            skill=list(self._bundle.skill),
            media=info.to_json() if info is not None else {},
            warnings=(*warnings, *self._notes(info, windows.padded)),
        )

    def _follow(self, windows: SoundWindows) -> list[Event]:
        """Score windows, follow their events and write the frames that they settle."""
        scores = np.zeros(len(windows.end_samples), dtype=np.float32)
        loud = windows.level_dbfs >= self._gate.min_level_dbfs
        if loud.any():
            probabilities = self._model.predict({self._input_name: windows.inputs[loud]})
            scores[loud] = probabilities[:, 0]
            self._score_sum += float(np.sum(scores[loud], dtype=np.float64))
            self._n_scored += int(np.count_nonzero(loud))
        finished: list[Event] = []
        for end, score, level in zip(windows.end_samples, scores, windows.level_dbfs, strict=True):
            finished += self._events.push(end / SAMPLE_RATE_HZ, float(score), float(level))
        self._write_frames(windows.end_samples, scores)
        self._finished += finished
        return finished

    def _write_frames(self, ends: np.ndarray, scores: np.ndarray) -> None:
        """Write every frame before the end of the sound: each holds the newest score known."""
        known = self._n_samples * FRAME_RATE_HZ
        first = len(self._columns["cry"])
        frames = np.arange(first, -(-known // SAMPLE_RATE_HZ), dtype=np.int64)
        newest = np.searchsorted(ends * FRAME_RATE_HZ, frames * SAMPLE_RATE_HZ, side="right")
        held = np.concatenate([[self._held_score], scores])
        for score in held[newest].tolist():
            self._columns["cry"].append(score)
            if math.isnan(score):
                self._columns["cry_smooth"].append(math.nan)
            else:
                mean = self._rolling.push(np.array([score]))
                self._columns["cry_smooth"].append(float(mean[0]))
        self._held_score = float(held[-1])

    def _timeline(self, duration_s: float) -> dict[str, np.ndarray]:
        n_frames = round(duration_s * FRAME_RATE_HZ)
        timeline = {"time_s": (np.arange(n_frames) / FRAME_RATE_HZ).astype(np.float32)}
        for name, values in self._columns.items():
            timeline[name] = np.full(n_frames, np.nan, dtype=np.float32)
            known = np.frombuffer(values, dtype=np.float32)[:n_frames]
            timeline[name][: len(known)] = known
        return timeline

    def _label(self, heard: bool) -> str:
        if not heard:
            return NOT_SURE
        if not self._finished:
            return NO_CRY
        part = _detector(self._bundle)[0]
        sure = self._policy == "always" or has_skill(self._bundle.skill, part.name, ("sound",))
        return CRY if sure else NOT_SURE

    def _notes(self, info: MediaInfo | None, padded: bool) -> list[str]:
        notes = []
        if not self._n_samples:
            notes.append("nothing to decide from: the clip has no sound")
        elif not self._n_scored:
            notes.append(
                f"no window is louder than {self._gate.min_level_dbfs:g} dBFS: nothing was scored"
            )
        if padded:
            notes.append(
                f"shorter than one window ({self._seconds_per_window:g} s): padded with silence"
            )
        if self._sound.non_finite:
            notes.append(f"{self._sound.non_finite} samples were not finite and count as zero")
        if self._finished and self._policy == "always":
            notes.append("label policy 'always': the label is given whatever its measured skill")
        if info is not None and info.has_picture:
            notes.append(f"the faces have no say: bundle {self._bundle.name!r} is for sound alone")
        return notes


def has_skill(skill: list[dict[str, Any]], part: str, modalities: tuple[str, ...]) -> bool:
    """Whether a part was measured to do better than chance on subjects it had not seen.

    The lower end of the 95 % subject-bootstrap interval of balanced accuracy must lie above
    chance **and** the calibrated log-loss below the prior's; subjects guessed one per file never
    qualify.

    Parameters
    ----------
    skill : list of dict
        The bundle's skill entries.
    part : str
        Name of the part that decides.
    modalities : tuple of str
        What it decided from.
    """
    return any(
        entry["part"] == part and set(entry["modalities"]) == set(modalities) and _is_skilled(entry)
        for entry in skill
    )


def _is_skilled(entry: dict[str, Any]) -> bool:
    figures = entry["figures"]
    interval = figures.get("balanced_accuracy", {}).get("interval")
    log_loss = figures.get("log_loss", {}).get("value")
    prior_log_loss = entry["prior"].get("log_loss")
    if entry["subjects"] == "file" or None in (interval, log_loss, prior_log_loss):
        return False
    return bool(interval[0] > entry["chance"] and log_loss < prior_log_loss)


def classify(
    path: str | os.PathLike[str],
    bundle: Bundle | str | os.PathLike[str] | None = None,
    *,
    runtime: str = "onnx",
    smooth_seconds: float | None = None,
    label_policy: str = "skill",
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
        See `StreamClassifier`.
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
    >>> result.label
    'cry'
    """
    if not isinstance(bundle, Bundle):
        bundle = Bundle.load(bundle)
    stream = StreamClassifier(
        bundle,
        runtime=runtime,
        smooth_seconds=smooth_seconds,
        label_policy=label_policy,
        path=os.fspath(path),
    )
    done_s = 0.0
    with media.open_clip(path, sound=True, frames=False) as clip:
        for piece in clip.pieces():
            stream.push(piece.samples, piece.frame, piece.frame_time_s)
            if piece.samples is not None:
                done_s += len(piece.samples) / SAMPLE_RATE_HZ
            if progress is not None:
                progress(done_s, clip.info.duration_s)
        return stream.finish(clip.info, tuple(clip.warnings))


def _detector(bundle: Bundle) -> tuple[Part, SoundConfig, GateConfig]:
    """Return the bundle's detector and what it needs, all of which must be there."""
    part = bundle.detector
    if part is None or part.sound is None or bundle.gate is None:
        raise BundleError(f"a bundle must have a detector of sound; {bundle.name!r} has none")
    return part, part.sound, bundle.gate
