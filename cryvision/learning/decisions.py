"""From a detector's scores to decisions: calibration, threshold and gate.

All of it is found on scores of subjects that the detector was not trained on.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cryvision.config import GateConfig, SoundConfig
from cryvision.learning import evaluation
from cryvision.learning.event_scores import ScoredClip, threshold_for_false_alarms
from cryvision.learning.training import calibrated, fit_calibration
from cryvision.learning.windows import MIN_LEVEL_DBFS, Windows
from cryvision.smoothing import find_events

SOUND = SoundConfig(feature="mel", window_seconds=0.5, context_seconds=3.5, hop_seconds=0.1)
"""What the detector hears: a window of 0.5 s and the 3.5 s before it."""

LEAVE_SHARE = 0.7
"""An event ends when the score falls below this share of the threshold that opens it."""

THRESHOLDS = tuple(percent / 100 for percent in range(5, 96))
"""Those that are tried for a wanted number of false alarms, and the limits of any."""


@dataclass(frozen=True)
class Calibration:
    """What turns a detector's logits into decisions: found on subjects it was not trained on."""

    temperature: float
    bias: float
    threshold: float

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated probability of cry, shape (n,)."""
        return calibrated(logits, self.temperature, self.bias)


def calibrate(
    windows: Windows, logits: np.ndarray, false_alarms_per_hour: float | None = None
) -> Calibration:
    """Find calibration and threshold on windows that the detector was not trained on."""
    cry = windows.cry >= 0.5
    temperature, bias = fit_calibration(logits, cry)
    probabilities = calibrated(logits, temperature, bias)
    if false_alarms_per_hour is None:
        threshold = evaluation.best_threshold(cry, probabilities)
    else:
        threshold = threshold_for_false_alarms(
            _scored_clips(windows, probabilities),
            false_alarms_per_hour,
            _event_times,
            THRESHOLDS,
        )
    return Calibration(temperature, bias, float(np.clip(threshold, THRESHOLDS[0], THRESHOLDS[-1])))


def cross_fitted(
    windows: Windows,
    logits: np.ndarray,
    folds: Sequence[Collection[str]],
    false_alarms_per_hour: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Calibrate and decide each fold by what the scores of the other folds say.

    Returns
    -------
    probabilities : ndarray of float64, shape (n,)
    decisions : ndarray of bool, shape (n,)
    """
    probabilities = np.zeros(len(windows))
    decisions = np.zeros(len(windows), bool)
    for fold in folds:
        rows = np.isin(windows.subject, list(fold))
        found = calibrate(windows[~rows], logits[~rows], false_alarms_per_hour)
        probabilities[rows] = found.probabilities(logits[rows])
        decisions[rows] = probabilities[rows] >= found.threshold
    return probabilities, decisions


def gate_for(threshold: float) -> GateConfig:
    """Give the gate that opens at a threshold."""
    return replace(
        GateConfig(),
        enter=threshold,
        leave=LEAVE_SHARE * threshold,
        latency_seconds=SOUND.window_seconds / 2,
        min_level_dbfs=MIN_LEVEL_DBFS,
    )


def _scored_clips(windows: Windows, probabilities: np.ndarray) -> list[ScoredClip]:
    """The clips of windows that stand in order, with their true events as the windows show them."""
    starts = np.flatnonzero(np.r_[True, windows.clip[1:] != windows.clip[:-1]])
    clips = []
    for start, stop in zip(starts, [*starts[1:], len(windows)], strict=True):
        rows = slice(start, stop)
        true = _event_times(np.c_[windows.end_s[rows], windows.cry[rows] >= 0.5], 0.5)
        scores = np.c_[windows.end_s[rows], probabilities[rows]]
        clips.append(ScoredClip(scores, true, float(windows.end_s[stop - 1])))
    return clips


def _event_times(windows: np.ndarray, threshold: float) -> np.ndarray:
    """Events of one clip, onsets and offsets, shape (n, 2), from its windows' ends and scores."""
    end_s, scores = windows.T
    hop_seconds = float(end_s[1] - end_s[0]) if len(end_s) > 1 else SOUND.hop_seconds
    gate = gate_for(threshold)
    no_levels = np.zeros(len(scores))
    events = find_events(
        end_s, scores, no_levels, gate, SOUND.window_seconds, hop_seconds, float(end_s[-1])
    )
    return np.array([(event.onset_s, event.offset_s) for event in events]).reshape(-1, 2)
