"""The timing of a bout: intervals, pauses and rhythm."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from cryvision.acoustics.measures import BoutAcoustics
from cryvision.result import Classification


def measure_bouts(classification: Classification) -> tuple[BoutAcoustics, ...]:
    """Measure the timing of each bout of a result, from its events alone.

    Parameters
    ----------
    classification : Classification

    Returns
    -------
    tuple of BoutAcoustics
    """
    events = [event.span_s for event in classification.events]
    bouts: list[BoutAcoustics] = []
    first, before_s = 0, 0.0
    for bout in classification.bouts:
        spans_s = events[first : first + bout.n_events]
        first += bout.n_events
        bouts.append(_measured(spans_s, bout.onset_s - before_s))
        before_s = bout.offset_s
    return tuple(bouts)


def npvi(intervals_s: Sequence[float]) -> float:
    """Give the normalised pairwise variability index; NaN for fewer than two intervals.

    100 times the mean of ``|a - b| / ((a + b) / 2)`` over neighbouring intervals: E. Grabe and
    E. L. Low, "Durational variability in speech and the rhythm class hypothesis", Laboratory
    Phonology 7 (2002) 515-546. 0 is a steady beat.
    """
    pairs = list(itertools.pairwise(intervals_s))
    if not pairs:
        return math.nan
    return 100 * float(np.mean([abs(a - b) / ((a + b) / 2) for a, b in pairs]))


def _measured(spans_s: Sequence[tuple[float, float]], latency_s: float) -> BoutAcoustics:
    intervals_s = [later[0] - earlier[0] for earlier, later in itertools.pairwise(spans_s)]
    pauses_s = [later[0] - earlier[1] for earlier, later in itertools.pairwise(spans_s)]
    bout_s = spans_s[-1][1] - spans_s[0][0]
    return BoutAcoustics(
        bout_s=bout_s,
        bout_cries=len(spans_s),
        bout_cries_per_minute=60 * len(spans_s) / bout_s if bout_s else math.nan,
        bout_cry_interval_s=float(np.mean(intervals_s)) if intervals_s else math.nan,
        bout_pause_s=float(np.mean(pauses_s)) if pauses_s else math.nan,
        bout_rhythm_npvi=npvi(intervals_s),
        bout_latency_s=latency_s,
    )
