"""How far any two agree on when a baby cries: two coders, or a coder and a detector."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryvision.argument_types import check_types, typed
from cryvision.errors import ConfigError
from cryvision.evaluation import event_metrics
from cryvision.evaluation.bootstrap import Statistic, bootstrap_figures, subject_bootstrap
from cryvision.evaluation.event_metrics import (
    OFFSET_TOLERANCE_S,
    ONSET_TOLERANCE_S,
    false_alarms,
    ratio,
    shared_seconds,
)
from cryvision.evaluation.gamma import gamma_disorders
from cryvision.evaluation.psds import ScoredTimeline, psds, psds_counts
from cryvision.layers import require

FloatArray = NDArray[np.float64]

OVERLAP = 0.5
"""Share of an event that must overlap, for the F1 by intersection."""

PSDS_OVERLAPS = {"psds1": 0.7, "psds2": 0.1}

SHUFFLED_EVENTS = 20_000
"""What gamma expects by chance rests on so many events ..."""

LEAST_SHUFFLES, MOST_SHUFFLES = 10, 300
"""... and on so many shuffles of each recording."""

_ROUNDING = 1e-9
"""Share of a square of seconds that is no more than the rounding of its sums."""

_ERROR_PERCENTILES = {"p5": 5, "p25": 25, "median": 50, "p75": 75, "p95": 95}


@dataclass(frozen=True)
class CodedClip:
    """A recording as two have coded it.

    Attributes
    ----------
    name : str
    subject : str
    first, second : ndarray of float64, shapes (n, 2) and (m, 2)
        Onsets and offsets of crying in seconds, sorted and disjoint. The first one is taken for
        the reference where a measure is not the same both ways.
    duration_s : float
    scores : ndarray of float64, shape (n_frames,), or None
        Of the second, where that is a detector whose scores are there.
    frame_seconds : float
        Length of a frame of the scores.
    """

    name: str
    subject: str
    first: FloatArray
    second: FloatArray
    duration_s: float
    scores: FloatArray | None = None
    frame_seconds: float = 0.0

    def __post_init__(self) -> None:
        check_types(self)


@typed
def measure_agreement(
    clips: Sequence[CodedClip],
    *,
    onset_tolerance_s: float = ONSET_TOLERANCE_S,
    offset_tolerance_s: float = OFFSET_TOLERANCE_S,
    overlap: float = OVERLAP,
    n_draws: int = 1000,
) -> dict[str, Any]:
    """Measure the agreement over clips, with 95 % intervals over subjects.

    Parameters
    ----------
    clips : sequence of CodedClip
    onset_tolerance_s, offset_tolerance_s, overlap : float
        See `match_events` and `intersection_counts` of `cryvision.evaluation.event_metrics`.
    n_draws : int
        Draws of subjects.

    Returns
    -------
    dict
        ``figures`` by the names of `cryvision.evaluation.agreement_report.FIGURES`, each with
        ``value``, None where it is not defined, and with ``interval`` from two subjects on.
        ``onset_error_s`` and ``offset_error_s``: the second minus the first, over pairs of events
        that overlap. What was compared, and ``clips``, those with most disagreement first.

    Raises
    ------
    ConfigError
        If there are no clips, or one has no length.
    """
    require("evaluate", "agreement")
    if not clips or not all(clip.duration_s > 0 for clip in clips):
        raise ConfigError("agreement needs at least one clip, and each must have a length")
    subjects = np.array([clip.subject for clip in clips], object)
    tolerances = onset_tolerance_s, offset_tolerance_s
    matched = np.array([event_metrics.match_events(c.first, c.second, *tolerances) for c in clips])
    seconds = np.array([_confusion_seconds(clip) for clip in clips])
    statistics = {**_event_statistics(clips, matched, overlap), **_time_statistics(seconds)}
    counts = matched.sum(axis=0)
    both, first_only, second_only, _ = seconds.sum(axis=0)
    return {
        "n_clips": len(clips),
        "n_subjects": len(set(subjects)),
        "hours": sum(clip.duration_s for clip in clips) / 3600,
        "first_seconds": float(both + first_only),
        "second_seconds": float(both + second_only),
        "events": dict(zip(("matched", "first", "second"), counts.tolist(), strict=True)),
        "tolerance_s": {"onset": onset_tolerance_s, "offset": offset_tolerance_s},
        "overlap": overlap,
        "figures": {
            **{name: {"value": None} for name in statistics},
            **bootstrap_figures(subjects, statistics, n_draws),
            **_psds_figures(clips, n_draws),
        },
        **_time_errors(clips, subjects, n_draws),
        "clips": _clip_records(clips, seconds),
    }


def _time_statistics(seconds: FloatArray) -> dict[str, Statistic]:
    return {
        "kappa": lambda w: _kappa(w @ seconds),
        "iou": lambda w: ratio(w @ seconds[:, 0], w @ seconds[:, :3].sum(axis=1)),
    }


def _event_statistics(
    clips: Sequence[CodedClip], matched: NDArray[np.int_], overlap: float
) -> dict[str, Statistic]:
    shared = np.array(
        [event_metrics.intersection_counts(c.first, c.second, overlap) for c in clips]
    )
    alarms = np.array([false_alarms(c.first, c.second) for c in clips])
    missed = np.array([false_alarms(c.second, c.first) for c in clips])
    hours = np.array([clip.duration_s for clip in clips]) / 3600

    def intersection_f1(weights: NDArray[np.int64]) -> float:
        n_found, n_reference, n_wrong = weights @ shared
        return ratio(2 * n_found, n_found + n_wrong + n_reference)

    return {
        **matching_statistics(matched),
        "intersection_f1": intersection_f1,
        "gamma": _gamma_statistic(clips),
        "alarms_per_hour": lambda w: ratio(w @ alarms, w @ hours),
        "missed_per_hour": lambda w: ratio(w @ missed, w @ hours),
    }


def matching_statistics(matched: NDArray[np.int_]) -> dict[str, Statistic]:
    """Make figures of events from what `match_events` counts in each clip, shape (n_clips, 3)."""
    return {
        "event_f1": lambda w: ratio(2 * (w @ matched[:, 0]), w @ matched[:, 1:].sum(axis=1)),
        "event_precision": lambda w: ratio(w @ matched[:, 0], w @ matched[:, 2]),
        "event_recall": lambda w: ratio(w @ matched[:, 0], w @ matched[:, 1]),
    }


def _gamma_statistic(clips: Sequence[CodedClip]) -> Statistic:
    rng = np.random.default_rng(0)
    n_events = sum(len(clip.first) + len(clip.second) for clip in clips)
    n_shuffles = SHUFFLED_EVENTS // max(1, n_events)
    n_shuffles = max(LEAST_SHUFFLES, min(n_shuffles, MOST_SHUFFLES))
    disorders = np.array(
        [gamma_disorders(c.first, c.second, c.duration_s, n_shuffles, rng) for c in clips]
    )

    def gamma(weights: NDArray[np.int64]) -> float:
        observed, expected = weights @ disorders
        return 1 - ratio(observed, expected)

    return gamma


def _psds_figures(clips: Sequence[CodedClip], n_draws: int) -> dict[str, Any]:
    scored = [clip for clip in clips if clip.scores is not None]
    if not scored:
        return {}
    timelines = [
        ScoredTimeline(clip.first, clip.scores, clip.frame_seconds, clip.duration_s)
        for clip in scored
        if clip.scores is not None
    ]
    subjects = np.array([clip.subject for clip in scored], object)
    hours = [clip.duration_s / 3600 for clip in scored]
    statistics = {}
    for name, overlap in PSDS_OVERLAPS.items():
        counts = psds_counts(timelines, overlap)
        statistics[name] = functools.partial(psds, counts, hours)
    return bootstrap_figures(subjects, statistics, n_draws)


def _time_errors(
    clips: Sequence[CodedClip], subjects: NDArray[Any], n_draws: int
) -> dict[str, Any]:
    """Distributions of the errors in time, with the interval of the median."""
    pairs = [event_metrics.overlapping_pairs(clip.first, clip.second) for clip in clips]
    of = np.concatenate([np.full(len(p), s, object) for p, s in zip(pairs, subjects, strict=True)])
    errors = np.concatenate([pair[:, 1] - pair[:, 0] for pair in pairs])
    records: dict[str, Any] = {"n_pairs": len(errors)}
    for name, column in (("onset_error_s", 0), ("offset_error_s", 1)):
        values = errors[:, column]
        if not len(values):
            records[name] = None
            continue

        def median(weights: NDArray[np.int64], values: FloatArray = values) -> float:
            return float(np.median(np.repeat(values, weights))) if weights.any() else float("nan")

        _, low, high = subject_bootstrap(of, median, n_draws)
        records[name] = {
            **{key: float(np.percentile(values, p)) for key, p in _ERROR_PERCENTILES.items()},
            "mean": float(values.mean()),
            "sd": float(values.std()),
            "mean_absolute": float(np.abs(values).mean()),
            "median_interval": [low, high] if len(set(of)) > 1 else None,
        }
    return records


def _clip_records(clips: Sequence[CodedClip], seconds: FloatArray) -> list[dict[str, Any]]:
    records = [
        {
            "name": clip.name,
            "subject": clip.subject,
            "duration_s": clip.duration_s,
            "first_events": len(clip.first),
            "second_events": len(clip.second),
            "first_only_s": float(first_only),
            "second_only_s": float(second_only),
            "both_s": float(both),
        }
        for clip, (both, first_only, second_only, _) in zip(clips, seconds, strict=True)
    ]
    return sorted(records, key=lambda record: -(record["first_only_s"] + record["second_only_s"]))


def _confusion_seconds(clip: CodedClip) -> tuple[float, float, float, float]:
    """Seconds in both, in the first alone, in the second alone, and in neither."""
    first_s, second_s = (float(np.sum(e[:, 1] - e[:, 0])) for e in (clip.first, clip.second))
    both_s, either_s = shared_seconds(clip.first, clip.second)
    return both_s, first_s - both_s, second_s - both_s, max(0.0, clip.duration_s - either_s)


def _kappa(seconds: FloatArray) -> float:
    """Cohen's kappa of moments: that of frames as their length goes to zero."""
    both, first_only, second_only, neither = seconds
    total = seconds.sum()
    by_chance = (both + first_only) * (both + second_only) + (neither + first_only) * (
        neither + second_only
    )
    beyond_chance = total**2 - by_chance
    if beyond_chance <= _ROUNDING * total**2:  # both say the same of every moment
        return math.nan
    return ratio(total * (both + neither) - by_chance, beyond_chance)
