"""From the edges' scores to decisions: calibration, threshold, gate and veto.

All of it is found on scores of subjects that the edges were not trained on.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cryvision.config import SAMPLE_RATE_HZ, GateConfig, VetoConfig
from cryvision.detector_training.recordings import MIN_LEVEL_DBFS, Recording
from cryvision.errors import CryvisionError
from cryvision.evaluation.event_metrics import (
    ScoredClip,
    event_f1,
    match_events,
    threshold_for_false_alarms,
)
from cryvision.inference.veto import CERTAIN, fused, largest_tag_cry
from cryvision.models.frame_network import EDGES

LEAVE_SHARE = 0.8
"""An event of a lab's detector ends when the score falls below this share of the threshold that
opens it. That which ships has another."""

MIN_EVENT_SECONDS = 0.1

THRESHOLDS = tuple(thousandths / 1000 for thousandths in range(50, 951, 25))
"""Those that are tried, and the limits of any."""

ALMOST_BEST_F1 = 0.02
"""Thresholds whose F1 is no further below the best are as good: F1 of a few hundred clips moves by
more from one run of the training to the next."""


@dataclass(frozen=True)
class Calibration:
    """What turns the logits of steps into decisions: found on subjects not trained on."""

    temperature: float
    bias: float
    threshold: float


@dataclass(frozen=True)
class Decided:
    """A recording with the decisions of edges and rules trained without its subject.

    ``probabilities`` has shape (n_steps,); ``events``, shape (n, 2), are onsets and offsets in
    seconds.
    """

    recording: Recording
    probabilities: np.ndarray
    events: np.ndarray


def fit_calibration(logits: np.ndarray, cry: np.ndarray) -> tuple[float, float]:
    """Find the temperature and bias that turn logits into calibrated probabilities.

    ``p = logistic(logits / temperature + bias)``, the maximum likelihood of a logistic regression
    on the logit (J. Platt, "Probabilistic outputs for support vector machines", 1999). The logits,
    shape (n,), are of steps that training has not seen; infinite ones are passed over.
    """
    from sklearn.linear_model import LogisticRegression

    finite = np.isfinite(logits)
    if len(np.unique(cry[finite])) < 2:
        raise CryvisionError(
            "calibration needs scored sound with crying and without; got "
            f"{np.count_nonzero(cry[finite])} steps with and {np.count_nonzero(~cry[finite])} "
            "without"
        )
    fitted = LogisticRegression(C=1e6).fit(logits[finite, None], cry[finite])
    slope = float(fitted.coef_[0, 0])
    if slope <= 0:
        raise CryvisionError(
            "the detector must score crying above the rest on unseen subjects; it does not: "
            "check the labels"
        )
    return 1 / slope, float(fitted.intercept_[0])


def calibrated(logits: np.ndarray, temperature: float, bias: float) -> np.ndarray:
    """Turn logits into probabilities; minus infinity gives 0."""
    from scipy.special import expit

    return np.asarray(expit(logits / temperature + bias))


def gate_for(threshold: float, leave_share: float = LEAVE_SHARE) -> GateConfig:
    """Give the gate that opens at a threshold: nothing is bridged, and edges are where they are."""
    return GateConfig(
        enter=threshold,
        leave=leave_share * threshold,
        min_event_seconds=MIN_EVENT_SECONDS,
        min_gap_seconds=0.0,
        latency_seconds=EDGES.hop_seconds,
        min_level_dbfs=MIN_LEVEL_DBFS,
    )


def find_step_events(
    probabilities: np.ndarray,
    threshold: float,
    seconds: float = math.inf,
    leave_share: float = LEAVE_SHARE,
) -> np.ndarray:
    """Find the events of a recording: what `gate_for` and the engine's follower make of it.

    The probabilities, shape (n_steps,), are 0 where nothing was scored; ``seconds`` is the length
    of the recording, which cuts the last step short. The events, shape (n, 2), are onsets and
    offsets in seconds.
    """
    gate = gate_for(threshold, leave_share)
    inside = np.flatnonzero(np.diff(np.r_[False, probabilities >= gate.leave, False]))
    starts, stops = inside[::2], inside[1::2]
    # The first step of each stretch that is high enough to open an event.
    high = np.append(np.flatnonzero(probabilities >= gate.enter), len(probabilities))
    opened = high[np.searchsorted(high, starts)]
    events = np.stack([opened, stops], axis=1)[opened < stops] * EDGES.hop_seconds
    events = np.minimum(events, seconds)
    shortest = gate.min_event_seconds - 1e-9
    return np.asarray(events[events[:, 1] - events[:, 0] >= shortest], np.float64)


def calibrate(
    recordings: Sequence[Recording],
    logits: Sequence[np.ndarray],
    false_alarms_per_hour: float | None = None,
) -> Calibration:
    """Find calibration and threshold on recordings that the edges were not trained on.

    The logits of each recording have shape (n_steps,), minus infinity where nothing is scored. The
    threshold is the lowest from which on none gives more than ``false_alarms_per_hour``, or by
    default the middle one of those with almost the best F1 of events.
    """
    labels = np.concatenate([recording.labels for recording in recordings])
    temperature, bias = fit_calibration(np.concatenate(logits), labels == 1)
    scores = [calibrated(own, temperature, bias) for own in logits]
    if false_alarms_per_hour is None:
        return Calibration(temperature, bias, _best_threshold(recordings, scores))
    clips = [
        ScoredClip(own, recording.events, recording.seconds)
        for recording, own in zip(recordings, scores, strict=True)
        if recording.seconds
    ]
    threshold = threshold_for_false_alarms(
        clips, false_alarms_per_hour, find_step_events, THRESHOLDS
    )
    return Calibration(temperature, bias, threshold)


def cross_fitted(
    recordings: Sequence[Recording],
    logits: Sequence[np.ndarray],
    folds: Sequence[Collection[str]],
    false_alarms_per_hour: float | None = None,
) -> list[Decided]:
    """Calibrate and decide each fold by the scores of the other folds."""
    fold_of = {subject: number for number, fold in enumerate(folds) for subject in fold}
    calibrations = []
    for number in range(len(folds)):
        others = [i for i, r in enumerate(recordings) if fold_of[r.subject] != number]
        of_others = [recordings[i] for i in others], [logits[i] for i in others]
        calibrations.append(calibrate(*of_others, false_alarms_per_hour))
    return [
        decide(recording, own, calibrations[fold_of[recording.subject]])
        for recording, own in zip(recordings, logits, strict=True)
    ]


def decide(recording: Recording, logits: np.ndarray, calibration: Calibration) -> Decided:
    """Decide on a recording by a calibration."""
    probabilities = calibrated(logits, calibration.temperature, calibration.bias)
    events = find_step_events(probabilities, calibration.threshold, recording.seconds)
    return Decided(recording, probabilities, events)


def calibrate_fused(decided: Sequence[Decided], veto: VetoConfig) -> VetoConfig:
    """Fit ``temperature`` and ``bias`` of a veto on the scores of the edges times the tagger's."""
    products, cry = [], []
    for own in decided:
        scored = own.recording.scored
        products.append(fused_scores(own, veto)[scored])
        cry.append(own.recording.labels[scored] == 1)
    inside = np.clip(np.concatenate(products), CERTAIN, 1 - CERTAIN)
    temperature, bias = fit_calibration(np.log(inside / (1 - inside)), np.concatenate(cry))
    return replace(veto, temperature=temperature, bias=bias)


def fused_scores(decided: Decided, veto: VetoConfig) -> np.ndarray:
    """Multiply the scores of a recording by the tagger's clipped cry score, as the timeline does.

    They have shape (n_steps,), and are not calibrated yet.
    """
    recording, tags = decided.recording, decided.recording.tags
    if tags is None:
        return decided.probabilities
    ends = EDGES.hop_samples * np.arange(1, len(decided.probabilities) + 1)
    ends = np.minimum(ends, round(recording.seconds * SAMPLE_RATE_HZ))
    tag_cry = largest_tag_cry(ends, tags.end_samples, tags.cry, EDGES.lookahead_samples, veto)
    return fused(decided.probabilities, tag_cry, veto, "normal")


def _best_threshold(recordings: Sequence[Recording], scores: Sequence[np.ndarray]) -> float:
    """The middle one of those with almost the best F1 of events."""
    merits = []
    for threshold in THRESHOLDS:
        counts = [
            match_events(recording.events, find_step_events(own, threshold, recording.seconds))
            for recording, own in zip(recordings, scores, strict=True)
        ]
        merits.append(event_f1(counts).f1)
    return middle_of_best(THRESHOLDS, merits)


def middle_of_best(thresholds: Sequence[float], f1: Sequence[float]) -> float:
    """Give the middle one of the thresholds with almost the best F1, where the curve is flat."""
    best = np.flatnonzero(np.array(f1) >= max(f1) - ALMOST_BEST_F1)
    return float(thresholds[int(best[len(best) // 2])])
