"""Pairs of events are those of a table of all pairs, without its memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray

from cryvision.evaluation import event_metrics as ev

FloatArray = NDArray[np.float64]

N_OF_A_DAY = 3000
"""Cries of a day with one in half a minute; a table of their pairs has 70 MB."""

MEMORY_BYTES = 10_000_000


def some_events(seed: int) -> FloatArray:
    """Up to 30 events on a grid, so that edges coincide; some overlap, some have no length."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(0, 30))
    onsets = rng.integers(0, 60, n) / 2
    return np.stack([onsets, onsets + rng.integers(0, 8, n) / 2], axis=1)


def shared_seconds(truth: FloatArray, events: FloatArray) -> FloatArray:
    ends = np.minimum(truth[:, None, 1], events[None, :, 1])
    return np.maximum(0.0, ends - np.maximum(truth[:, None, 0], events[None, :, 0]))


@pytest.mark.parametrize("seed", range(40))
def test_pairs_are_those_of_a_table_of_all(seed: int) -> None:
    truth, events = some_events(seed), some_events(seed + 1000)
    shared_s = shared_seconds(truth, events)

    right = shared_s.sum(axis=0) >= 0.5 * np.diff(events)[:, 0]
    found = shared_s[:, right].sum(axis=1) >= 0.5 * np.diff(truth)[:, 0]
    counts = int(found.sum()), len(truth), int((~right).sum())
    assert ev.intersection_counts(truth, events, 0.5) == counts

    meets = (truth[:, None, 0] < events[None, :, 1]) & (events[None, :, 0] < truth[:, None, 1])
    assert ev.false_alarms(truth, events) == np.sum(~meets.any(axis=0))

    pairs = [
        (truth[i], events[row.argmax()])
        for i, row in enumerate(shared_s)
        if row.max(initial=0) > 0 and shared_s[:, row.argmax()].argmax() == i
    ]
    np.testing.assert_array_equal(
        ev.overlapping_pairs(truth, events), np.reshape(pairs, (-1, 2, 2))
    )


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("tolerances", [(0.5, 1.0), (0.0, 0.0), (float("inf"), 1.0)])
def test_matches_are_those_of_a_table_of_all(seed: int, tolerances: tuple[float, float]) -> None:
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import maximum_bipartite_matching

    truth, events = some_events(seed), some_events(seed + 1000)
    near = np.all(np.abs(truth[:, None] - events[None]) <= tolerances, axis=-1)
    n_matched = 0
    if near.size:
        n_matched = int(np.sum(maximum_bipartite_matching(csr_matrix(near)) >= 0))
    counts = n_matched, len(truth), len(events)
    assert ev.match_events(truth, events, *tolerances) == counts


def test_recordings_of_a_day_need_little_memory() -> None:
    onsets = np.arange(N_OF_A_DAY) * 28.0
    truth, events = np.stack([onsets, onsets + 1], 1), np.stack([onsets + 0.1, onsets + 1], 1)
    ev.match_events(truth[:2], events[:2])  # imports count for nothing
    tracemalloc.start()
    try:
        assert ev.match_events(truth, events)[0] == N_OF_A_DAY
        assert ev.intersection_counts(truth, events)[0] == N_OF_A_DAY
        assert len(ev.overlapping_pairs(truth, events)) == N_OF_A_DAY
        assert ev.false_alarms(truth, events) == 0
        assert tracemalloc.get_traced_memory()[1] < MEMORY_BYTES
    finally:
        tracemalloc.stop()
