"""The polyphonic sound detection score (PSDS) of one class, crying, from scores by time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryvision.errors import ConfigError
from cryvision.evaluation.event_metrics import intersection_counts

MOST_FALSE_ALARMS_PER_HOUR = 100.0
"""Up to this rate the curve counts, as in the DCASE challenges (task 4, 2021 on)."""

N_THRESHOLDS = 500
"""Half of them quantiles of the scores, half evenly spaced: high scores are rare."""


class ScoredTimeline(NamedTuple):
    """A clip's true events, and its scores frame by frame.

    The events are sorted and disjoint, of shape (n_events, 2), in seconds. The scores are of shape
    (n_frames,), the first frame starts at 0, and NaN counts as the lowest score.
    """

    reference: ArrayLike
    scores: NDArray[np.floating]
    frame_seconds: float
    duration_s: float


def psds_counts(clips: Sequence[ScoredTimeline], overlap: float) -> NDArray[np.int64]:
    """Count, at each of many thresholds, the true events found, all true events and wrong events.

    The overlap is that of both intersection criteria: 0.7 asks for exact times (PSDS 1), 0.1 for
    presence (PSDS 2). The counts are int64 of shape (n_thresholds, n_clips, 3).
    """
    if not clips:
        raise ConfigError("PSDS needs at least one clip; there are none")
    every = np.concatenate([clip.scores[np.isfinite(clip.scores)] for clip in clips])
    if not every.size:
        return np.zeros((0, len(clips), 3), np.int64)
    half = N_THRESHOLDS // 2
    quantiles = np.quantile(every, np.linspace(0, 1, half), method="nearest")
    thresholds = np.unique(np.append(quantiles, np.linspace(every.min(), every.max(), half)))
    return np.array(
        [
            [intersection_counts(c.reference, _events(c, threshold), overlap) for c in clips]
            for threshold in thresholds.tolist()
        ],
        np.int64,
    )


def psds(counts: NDArray[np.int64], hours: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Compute the normalised area under the curve of found events over false alarms an hour.

    Of one class there are neither cross triggers nor a variation between classes, so that the curve
    is that of the intersection criteria alone. The counts are those of `psds_counts`; hours, the
    lengths of the clips, and weights, how often each counts, have shape (n_clips,). The score is 0
    to 1; NaN without true events or scores.

    References
    ----------
    Bilen et al., "A framework for the robust evaluation of sound event detection", ICASSP 2020.
    """
    lengths = np.asarray(hours, np.float64)
    times = np.ones(len(lengths)) if weights is None else np.asarray(weights, np.float64)
    totals = np.einsum("tcn,c->tn", counts, times)
    if not len(totals) or not totals[0, 1]:
        return float("nan")
    rates = totals[:, 2] / (times @ lengths)
    points = zip(rates.tolist(), (totals[:, 0] / totals[:, 1]).tolist(), strict=True)
    return _area([(0.0, 0.0), *sorted(points)])


def _events(clip: ScoredTimeline, threshold: float) -> NDArray[np.float64]:
    """Rows of frames at or above a threshold."""
    above = np.concatenate([[False], np.nan_to_num(clip.scores, nan=-np.inf) >= threshold, [False]])
    edges = np.flatnonzero(np.diff(above.astype(np.int8))).reshape(-1, 2)
    return np.asarray(np.minimum(edges * clip.frame_seconds, clip.duration_s))


def _area(points: Sequence[tuple[float, float]]) -> float:
    """Area under the best rate that is reached with at most so many false alarms, as steps."""
    rates, found = np.array(points).T
    best = np.maximum.accumulate(found)
    ends = np.append(rates[1:], MOST_FALSE_ALARMS_PER_HOUR)
    widths = np.clip(ends, 0, MOST_FALSE_ALARMS_PER_HOUR) - np.clip(
        rates, 0, MOST_FALSE_ALARMS_PER_HOUR
    )
    return float(np.sum(widths * best) / MOST_FALSE_ALARMS_PER_HOUR)
