"""The cry detector and the tagger of a bundle over a stream of sound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryvision.bundle import Bundle, Part
from cryvision.config import (
    SAMPLE_RATE_HZ,
    VETO_LEVELS,
    GateConfig,
    LogMelConfig,
    SoundConfig,
    VetoConfig,
    check_choice,
)
from cryvision.errors import BundleError
from cryvision.inference.steps import Steps, StepScorer
from cryvision.inference.tags import NO_TAGS, TagScorer, TagWindows
from cryvision.inference.veto import calibrated, fused, largest_tag_cry
from cryvision.inputs.features import SoundFeatureStream, SoundWindows
from cryvision.inputs.logmel import LogMelStream
from cryvision.runtime.loading import Model


@dataclass(frozen=True)
class DetectorWindows:
    """The outputs of the detector over a sound, by window or by step; the arrays are (n,).

    `start_samples` and `end_samples` (int64) are the span of each score; the end of the sound may
    cut the last one short. `scores` of crying (float32) are 0 where it is too quiet to be scored,
    by `level_dbfs` (float32); `scored` (bool) is what passed the energy gate. `fused` are the
    scores times the tagger's cry score, the scores themselves without a veto, and `probabilities`
    these calibrated. From `shown_samples` on the timeline shows each: the end of a window, the
    start of a step.

    All that ends by `scored_samples`, and all that is shown from before `settled_samples`, has been
    given. `tags` are the scores of the other tags; `padded` says that the sound was shorter than
    one window.
    """

    start_samples: np.ndarray
    end_samples: np.ndarray
    scores: np.ndarray
    level_dbfs: np.ndarray
    scored: np.ndarray
    fused: np.ndarray
    probabilities: np.ndarray
    shown_samples: np.ndarray
    scored_samples: int
    settled_samples: int
    tags: TagWindows = NO_TAGS
    padded: bool = False


class CryDetector:
    """Scores a stream of sound: by window, or by step where the detector is a frame network.

    The ``veto`` ("normal", "strict" or "off") is how much crying the tagger must detect; without a
    tagger nothing is vetoed, and `veto_level` is ``off``. A score is about `span_samples`; the next
    one follows after `hop_samples`.
    """

    def __init__(self, bundle: Bundle, runtime: str = "onnx", veto: str = "normal") -> None:
        part, gate = bundle.detector, bundle.gate
        if part is None or gate is None or (part.sound is None and part.logmel is None):
            raise BundleError(f"a bundle must have a detector of sound; {bundle.name!r} has none")
        self.part: Part = part
        self.gate: GateConfig = gate
        tagger = None if part.logmel is None else bundle.tagger
        self.tags = () if tagger is None else tagger.tags
        self.veto: VetoConfig | None = None if tagger is None else bundle.veto
        self.veto_level = "off"
        if self.veto is not None:
            self.veto_level = check_choice("veto", veto, VETO_LEVELS)
        self._source: _StepSource | _WindowSource
        if part.logmel is not None:
            self._source = _StepSource(bundle, part.logmel, runtime, self)
        elif part.sound is not None:
            self._source = _WindowSource(bundle.model(part, runtime), part.sound, gate)
        self.span_samples = self._source.span_samples
        self.hop_samples = self._source.hop_samples

    @property
    def non_finite(self) -> int:
        """Samples so far that were not finite and count as silence."""
        return self._source.non_finite

    def push(self, samples: np.ndarray) -> DetectorWindows:
        """Score all that these samples, float32 of shape (n,), complete."""
        return self._source.push(samples)

    def finish(self) -> DetectorWindows:
        return self._source.finish()


class _WindowSource:
    """A network on windows of a feature; a stream shorter than a window is one, padded."""

    def __init__(self, model: Model, sound: SoundConfig, gate: GateConfig) -> None:
        self._model = model
        self._feature = sound.feature
        self._min_level_dbfs = gate.min_level_dbfs
        self._features = SoundFeatureStream(sound)
        self._n_samples = 0
        self.span_samples, self.hop_samples = sound.window_samples, sound.hop_samples

    @property
    def non_finite(self) -> int:
        return self._features.non_finite

    def push(self, samples: np.ndarray) -> DetectorWindows:
        windows = self._features.push(samples)
        self._n_samples += len(samples)
        return self._scored(windows)

    def finish(self) -> DetectorWindows:
        return self._scored(self._features.finish())

    def _scored(self, windows: SoundWindows) -> DetectorWindows:
        scores = np.zeros(len(windows.end_samples), np.float32)
        loud = windows.level_dbfs >= self._min_level_dbfs
        if loud.any():
            scores[loud] = self._model.predict({self._feature: windows.inputs[loud]})[:, 0]
        return DetectorWindows(
            start_samples=windows.end_samples - self.span_samples,
            end_samples=windows.end_samples,
            scores=scores,
            level_dbfs=windows.level_dbfs,
            scored=loud,
            fused=scores,
            probabilities=scores,
            shown_samples=windows.end_samples,
            scored_samples=self._n_samples,
            settled_samples=self._n_samples,
            padded=windows.padded,
        )


class _StepSource:
    """A frame network, and the tagger where there is one."""

    def __init__(
        self, bundle: Bundle, config: LogMelConfig, runtime: str, detector: CryDetector
    ) -> None:
        quiet = self._min_level_dbfs = detector.gate.min_level_dbfs
        self._veto, self._level = detector.veto, detector.veto_level
        self._lookahead = config.lookahead_samples
        self.span_samples = self.hop_samples = config.hop_samples
        self._sound = self._tag_sound = LogMelStream(config)
        self._steps = StepScorer(bundle.model(detector.part, runtime), config, quiet)
        self._tagger: TagScorer | None = None
        tagger = bundle.tagger
        if tagger is not None and tagger.logmel is not None:
            if tagger.logmel.spectral != config.spectral:
                self._tag_sound = LogMelStream(tagger.logmel)
            model = bundle.model(tagger, runtime)
            self._tagger = TagScorer(model, tagger.logmel, tagger.tags, quiet)
        self._waiting = Steps.none()
        self._tag_ends, self._tag_cry = np.empty(0, np.int64), np.empty(0, np.float32)

    @property
    def non_finite(self) -> int:
        return self._sound.non_finite

    def push(self, samples: np.ndarray) -> DetectorWindows:
        frames = self._sound.push(samples)
        steps = Steps.joined(self._waiting, self._steps.push(frames))
        if self._tagger is None:
            return self._fused(steps, NO_TAGS, self._steps.n_steps)
        shared = self._tag_sound is self._sound
        tags = self._tagger.push(frames if shared else self._tag_sound.push(samples))
        # A step waits for all the windows that count for it.
        needed = steps.end_samples + self._lookahead
        n_ready = int(np.searchsorted(needed, tags.settled_samples, side="left"))
        self._waiting = steps[n_ready:]
        return self._fused(steps[:n_ready], tags, self._steps.n_steps - len(self._waiting))

    def finish(self) -> DetectorWindows:
        n_samples = self._sound.n_samples
        frames = self._sound.finish()
        steps = Steps.joined(self._waiting, self._steps.finish(frames, n_samples))
        tags = NO_TAGS
        if self._tagger is not None:
            shared = self._tag_sound is self._sound
            tag_frames = frames if shared else self._tag_sound.finish()
            tags = self._tagger.finish(tag_frames, n_samples)
        return self._fused(steps, tags, None)

    def _fused(self, steps: Steps, tags: TagWindows, n_fused: int | None) -> DetectorWindows:
        """Fuse steps with the tags; ``n_fused`` so far in all, or None at the end."""
        loud = steps.level_dbfs >= self._min_level_dbfs
        product = probabilities = steps.scores
        if self._veto is not None and self._level != "off":
            largest = self._largest_tag_cry(steps, tags, self._veto)
            product = fused(steps.scores, largest, self._veto, self._level)
            probabilities = np.where(loud, calibrated(product, self._veto), 0.0)
        n_samples, hop = self._sound.n_samples, self.hop_samples
        return DetectorWindows(
            start_samples=steps.start_samples,
            end_samples=steps.end_samples,
            scores=steps.scores,
            level_dbfs=steps.level_dbfs,
            scored=loud,
            fused=np.asarray(product, np.float32),
            probabilities=np.asarray(probabilities, np.float32),
            shown_samples=steps.start_samples,
            scored_samples=n_samples if n_fused is None else (n_fused + 1) * hop - 1,
            settled_samples=n_samples if n_fused is None else n_fused * hop,
            tags=tags,
        )

    def _largest_tag_cry(self, steps: Steps, tags: TagWindows, veto: VetoConfig) -> np.ndarray:
        """Largest cry score of the tagger in the past of each step, and in its look-ahead."""
        ends = np.concatenate([self._tag_ends, tags.end_samples])
        cry = np.concatenate([self._tag_cry, tags.scores[:, 0]])
        largest = largest_tag_cry(steps.end_samples, ends, cry, self._lookahead, veto)
        last_past = steps.end_samples[-1:] - round(veto.live_seconds * SAMPLE_RATE_HZ)
        n_past = int(np.searchsorted(ends, last_past, side="right").sum())
        self._tag_ends, self._tag_cry = ends[n_past:], cry[n_past:]
        return largest
