"""How well found events agree with the true ones, and the threshold for few false alarms.

Events are arrays of shape (n, 2): onset and offset, in seconds. What is none is a ConfigError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryvision.errors import ConfigError, CryvisionError

FloatArray = NDArray[np.float64]

ONSET_TOLERANCE_S, OFFSET_TOLERANCE_S = 0.25, 0.5
"""How far the times of a true and of a found event may be apart."""

_DECIMALS = 6
"""Times are compared to the microsecond, so that 0.25 s stays within 0.25 s in binary fractions."""

_ROUNDING_S = 10.0**-_DECIMALS


class PrecisionRecallF1(NamedTuple):
    """Precision, recall and their harmonic mean; 0 where there is nothing to divide by."""

    precision: float
    recall: float
    f1: float

    @classmethod
    def from_counts(
        cls, n_matched: float, n_reference: float, n_estimated: float
    ) -> PrecisionRecallF1:
        """Compute them from the numbers of hits, of true things and of found things."""
        return cls(
            ratio(n_matched, n_estimated, 0.0),
            ratio(n_matched, n_reference, 0.0),
            ratio(2 * n_matched, n_reference + n_estimated, 0.0),
        )


def ratio(part: float, whole: float, empty: float = float("nan")) -> float:
    """Divide; nothing to divide by gives ``empty``."""
    return float(part / whole) if whole else empty


class ScoredClip(NamedTuple):
    """What a threshold is chosen on.

    Attributes
    ----------
    scores : ndarray of float, shape (n_windows,) or (n_windows, n)
        The detector's scores, on a subject that it was not trained on, as the ``find_events`` of
        `threshold_for_false_alarms` takes them.
    reference : array_like, shape (n_events, 2)
        The true events.
    duration_s : float
    """

    scores: NDArray[np.floating]
    reference: ArrayLike
    duration_s: float


def match_events(
    reference: ArrayLike,
    estimated: ArrayLike,
    onset_tolerance_s: float = ONSET_TOLERANCE_S,
    offset_tolerance_s: float = OFFSET_TOLERANCE_S,
) -> tuple[int, int, int]:
    """Count how many events were found.

    A true and a found event may be paired where both times are within tolerance; the pairs are a
    maximum bipartite matching, so each event counts once and none is lost to the order.

    Parameters
    ----------
    reference, estimated : array_like, shapes (n, 2) and (m, 2)
        True and found events.
    onset_tolerance_s, offset_tolerance_s : float
        Largest distances that still match, in seconds.

    Returns
    -------
    n_matched, n_reference, n_estimated : int

    References
    ----------
    Raffel et al., "mir_eval: A transparent implementation of common MIR metrics", ISMIR 2014:
    note transcription.
    """
    truth, events = _events(reference, "reference"), _events(estimated, "estimated")
    if not (onset_tolerance_s >= 0 and offset_tolerance_s >= 0):
        raise ConfigError(
            "tolerances must not be negative; got "
            f"{onset_tolerance_s:g} s and {offset_tolerance_s:g} s"
        )
    if not len(truth) or not len(events):
        return 0, len(truth), len(events)
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import maximum_bipartite_matching

    reach_s = onset_tolerance_s + _ROUNDING_S
    order = np.argsort(events[:, 0], kind="stable")
    onsets = events[order, 0]
    first = np.searchsorted(onsets, truth[:, 0] - reach_s, side="left")
    stop = np.searchsorted(onsets, truth[:, 0] + reach_s, side="right")
    rows, at = within(first, stop)
    columns = order[at]
    distance_s = np.round(np.abs(truth[rows] - events[columns]), _DECIMALS)
    tolerances_s = np.round((onset_tolerance_s, offset_tolerance_s), _DECIMALS)
    near = np.all(distance_s <= tolerances_s, axis=1)
    table = (np.ones(near.sum(), bool), (rows[near], columns[near]))
    partners = maximum_bipartite_matching(csr_matrix(table, (len(truth), len(events))))
    return int(np.sum(partners >= 0)), len(truth), len(events)


def intersection_counts(
    reference: ArrayLike, estimated: ArrayLike, overlap: float = 0.5
) -> tuple[int, int, int]:
    """Count the true events that were found, all of them, and the found events that are not right.

    A found event is right where at least ``overlap`` (above 0, at most 1) of it lies in true
    events; a true event is found where right events cover at least ``overlap`` of it. So one event
    may be found as two, and two as one. Events of each are sorted and disjoint.

    References
    ----------
    Bilen et al., "A framework for the robust evaluation of sound event detection", ICASSP 2020:
    detection and ground truth intersection criteria.
    """
    if not 0 < overlap <= 1:
        raise ConfigError(f"the overlap must be above 0 and at most 1; got {overlap:g}")
    truth, events = _events(reference, "reference"), _events(estimated, "estimated")
    rows, columns, shared_s = _shared_seconds(truth, events)
    of_events = np.bincount(columns, shared_s, len(events))
    right = of_events >= overlap * np.diff(events)[:, 0] - _ROUNDING_S
    counts = right[columns]
    of_truth = np.bincount(rows[counts], shared_s[counts], len(truth))
    found = of_truth >= overlap * np.diff(truth)[:, 0] - _ROUNDING_S
    return int(found.sum()), len(truth), int((~right).sum())


def overlapping_pairs(reference: ArrayLike, estimated: ArrayLike) -> FloatArray:
    """Pair the true and the found events that each overlap the other more than any else.

    The result is of shape (n_pairs, 2, 2): onset and offset of the true and of the found event.
    """
    truth, events = _events(reference, "reference"), _events(estimated, "estimated")
    rows, columns, shared_s = _shared_seconds(truth, events)
    best_event = _first_of_each(np.lexsort((columns, -shared_s, rows)), rows)
    best_truth = _first_of_each(np.lexsort((rows, -shared_s, columns)), columns)
    mutual = np.intersect1d(best_event, best_truth)
    mutual = mutual[np.argsort(rows[mutual])]
    return np.stack([truth[rows[mutual]], events[columns[mutual]]], axis=1)


def event_f1(counts: ArrayLike, weights: ArrayLike | None = None) -> PrecisionRecallF1:
    """Compute precision, recall and F1 of events over all clips together (micro average).

    Parameters
    ----------
    counts : array_like of int, shape (n_clips, 3)
        What `match_events` gives for each clip.
    weights : array_like, shape (n_clips,), optional
        How often each clip counts.
    """
    table = np.asarray(counts, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != 3:
        raise ConfigError(f"counts must be of shape (n_clips, 3); got {table.shape}")
    times = np.ones(len(table)) if weights is None else np.asarray(weights, dtype=np.float64)
    if times.shape != (len(table),):
        raise ConfigError(f"weights must be one a clip, ({len(table)},); got {times.shape}")
    return PrecisionRecallF1.from_counts(*(times @ table))


def merged(events: ArrayLike, gap_s: float) -> FloatArray:
    """Put events less than a gap apart together: the bouts of `cryvision.result.find_bouts`.

    The events are in order of time, and disjoint.
    """
    table = _events(events, "merged")
    parted = np.round(table[1:, 0] - table[:-1, 1], _DECIMALS) >= round(gap_s, _DECIMALS)
    if not len(table):
        return table
    first, last = np.append(True, parted), np.append(parted, True)
    return np.stack([table[first, 0], table[last, 1]], axis=1)


def shared_seconds(reference: ArrayLike, estimated: ArrayLike) -> tuple[float, float]:
    """Give the time in both true and found events, and the time in either."""
    true, predicted = _events(reference, "reference"), _events(estimated, "estimated")
    union_s = _covered_seconds(np.concatenate([true, predicted]))
    return max(0.0, _covered_seconds(true) + _covered_seconds(predicted) - union_s), union_s


def intersection_over_union(reference: ArrayLike, estimated: ArrayLike) -> float:
    """Compute the time in both true and found events over the time in either (Jaccard index).

    Parameters
    ----------
    reference, estimated : array_like, shapes (n, 2) and (m, 2)
        Events; within one array they may overlap.

    Returns
    -------
    float
        0 to 1; NaN where both are without length.
    """
    return ratio(*shared_seconds(reference, estimated))


def false_alarms(reference: ArrayLike, estimated: ArrayLike) -> int:
    """Count the found events that overlap no true event.

    Parameters
    ----------
    reference, estimated : array_like, shapes (n, 2) and (m, 2)
        True and found events.
    """
    true, events = _events(reference, "reference"), _events(estimated, "estimated")
    _, columns = _overlapping(true, events)
    return len(events) - len(np.unique(columns))


def threshold_for_false_alarms(
    clips: Iterable[ScoredClip],
    per_hour: float,
    find_events: Callable[[NDArray[np.floating], float], ArrayLike],
    thresholds: Sequence[float],
) -> float:
    """Choose the threshold that misses least at a wanted rate of false alarms.

    The thresholds are tried from the highest down until one gives too many. Lower ones are not
    looked at: there the events grow together, and one event over a whole clip that holds some
    crying would count as no false alarm at all.

    Parameters
    ----------
    clips : iterable of ScoredClip
    per_hour : float
        Wanted number of `false_alarms` per hour of the clips, at most.
    find_events : callable
        ``find_events(scores, threshold)`` gives the events of a clip, shape (n, 2), in seconds.
    thresholds : sequence of float
        Those to choose from.

    Returns
    -------
    float
        The lowest threshold that gives at most ``per_hour``, as do all above it.

    Raises
    ------
    ConfigError
        If there are no clips or thresholds, a clip has no length, or ``per_hour`` is negative.
    CryvisionError
        If even the highest threshold gives more.
    """
    every = list(clips)
    if not every or not len(thresholds):
        raise ConfigError("choosing a threshold needs at least one clip and one threshold")
    if not per_hour >= 0:
        raise ConfigError(f"false alarms per hour must not be negative; got {per_hour}")
    if not all(clip.duration_s > 0 for clip in every):
        raise ConfigError("each clip's duration_s must be positive")
    hours = sum(clip.duration_s for clip in every) / 3600
    chosen: float | None = None
    for threshold in sorted(map(float, thresholds), reverse=True):
        n_alarms = sum(
            false_alarms(clip.reference, find_events(clip.scores, threshold)) for clip in every
        )
        if n_alarms > per_hour * hours:
            break
        chosen = threshold
    if chosen is None:
        raise CryvisionError(
            f"no threshold up to {threshold:g} gives at most {per_hour:g} false alarms an hour; "
            f"the highest gives {n_alarms} in {hours:.3g} h"
        )
    return chosen


def within(
    first: NDArray[np.intp], stop: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Give the number of each range once for each of its members, and the members."""
    n = np.maximum(0, stop - first)
    before = np.cumsum(n) - n
    return np.repeat(np.arange(len(n)), n), np.arange(n.sum()) + np.repeat(first - before, n)


def _events(events: ArrayLike, name: str) -> FloatArray:
    try:
        array = np.asarray(events, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} events must be of shape (n, 2): {error}") from error
    if not array.size:
        return np.zeros((0, 2))
    if array.ndim != 2 or array.shape[1] != 2:
        raise ConfigError(f"{name} events must be of shape (n, 2); got {array.shape}")
    if not np.all(np.isfinite(array)) or np.any(array[:, 1] < array[:, 0]):
        raise ConfigError(f"{name} events must be finite and must not end before they start")
    return array


def _shared_seconds(
    true: FloatArray, predicted: FloatArray
) -> tuple[NDArray[np.intp], NDArray[np.intp], FloatArray]:
    """Give the pairs of events that have time in common, and how much."""
    rows, columns = _overlapping(true, predicted)
    ends = np.minimum(true[rows, 1], predicted[columns, 1])
    shared_s = ends - np.maximum(true[rows, 0], predicted[columns, 0])
    some = shared_s > 0
    return rows[some], columns[some], shared_s[some]


def _overlapping(
    true: FloatArray, predicted: FloatArray
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Give the pairs of events that overlap; a table of all pairs of a day would take gigabytes."""
    order = np.argsort(predicted[:, 0], kind="stable")
    onsets, offsets = predicted[order].T
    first = np.searchsorted(np.maximum.accumulate(offsets), true[:, 0], side="right")
    stop = np.searchsorted(onsets, true[:, 1], side="left")
    rows, at = within(first, stop)
    columns = order[at]
    overlap = true[rows, 0] < predicted[columns, 1]
    return rows[overlap], columns[overlap]


def _first_of_each(order: NDArray[np.intp], groups: NDArray[np.intp]) -> NDArray[np.intp]:
    """Give the first of each group among numbers that are sorted by group."""
    return order[np.unique(groups[order], return_index=True)[1]]


def _covered_seconds(events: FloatArray) -> float:
    """Length of the union: each event adds what lies beyond the offsets before it."""
    if not len(events):
        return 0.0
    onsets, offsets = events[np.argsort(events[:, 0], kind="stable")].T
    reached = np.concatenate([[onsets[0]], np.maximum.accumulate(offsets)[:-1]])
    return float(np.sum(np.maximum(0.0, offsets - np.maximum(onsets, reached))))
