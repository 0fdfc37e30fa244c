"""Gamma: how far two agree on where events are, beyond what chance gives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryvision.evaluation.event_metrics import within

FloatArray = NDArray[np.float64]

UNALIGNED = 1.0
"""Disorder of an event that has no partner."""

_REACH = math.sqrt(2 * UNALIGNED)
"""Two events whose times differ by more than this, in sums of their lengths, are better alone."""

_SHORTEST_S = 1e-6


def gamma_disorders(
    first: FloatArray,
    second: FloatArray,
    duration_s: float,
    n_shuffles: int,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Compute the disorder of two codings of a recording, and that to be expected by chance.

    Gamma is 1 - observed / expected; over several recordings, of the sums of both. Both are 0 where
    neither coding has an event. The codings are of shape (n, 2), onsets and offsets in seconds,
    sorted and disjoint. By chance, each coder has the events of either, moved round the recording
    by a random time that is at least half a mean event from that of the other, ``n_shuffles``
    times.

    References
    ----------
    Mathet, Widlöcher and Métivier, "The Unified and Holistic Method Gamma for Inter-Annotator
    Agreement Measure and Alignment", Computational Linguistics 41(3), 2015: sections 4.3 (the
    positional dissimilarity; there is one category), 4.4 (the best alignment) and 5.2 (chance).
    """
    codings = first, second
    n_mean = (len(first) + len(second)) / 2
    if not n_mean:
        return 0.0, 0.0
    lengths_s = np.concatenate([own[:, 1] - own[:, 0] for own in codings])
    apart_s = min(float(lengths_s.mean()) / 2, duration_s / 2)
    by_chance: list[float] = []
    while len(by_chance) < n_shuffles:
        move_s = rng.uniform(0, duration_s)
        moves_s = move_s, move_s + rng.uniform(apart_s, duration_s - apart_s)
        drawn = [codings[i] for i in rng.integers(2, size=2)]
        n_drawn = sum(map(len, drawn))
        if n_drawn:  # twice a coder without events is nothing to compare
            moved = [_moved(own, s, duration_s) for own, s in zip(drawn, moves_s, strict=True)]
            by_chance.append(least_disorder(*moved) / n_drawn)
    return least_disorder(first, second), 2 * n_mean * float(np.mean(by_chance))


def least_disorder(first: FloatArray, second: FloatArray) -> float:
    """Compute the sum of dissimilarities of the best alignment, where each event has one partner.

    The events are of shape (n, 2), in seconds, sorted by onset. The sum has `UNALIGNED` for each
    event without a partner, and of each pair the square of the sum of the differences in onset and
    offset, as a share of the sum of the lengths.
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    n, m = len(first), len(second)
    rows, columns, costs = _candidates(first, second)
    if not len(rows):
        return (n + m) * UNALIGNED
    # Whoever has no partner is paired with a stand-in of its own; the stand-ins of a pair are then
    # left for each other. A matrix knows no edge of weight 0, so that each is 1 too heavy.
    edges: tuple[Any, ...] = (
        (rows, columns, costs),
        (np.arange(n), m + np.arange(n), np.full(n, UNALIGNED)),
        (n + np.arange(m), np.arange(m), np.full(m, UNALIGNED)),
        (n + columns, m + rows, np.zeros(len(rows))),
    )
    starts, ends, weights = (np.concatenate(own) for own in zip(*edges, strict=True))
    table = csr_matrix((weights + 1, (starts, ends)), (n + m, n + m))
    chosen = min_weight_full_bipartite_matching(table)
    return float(table[chosen].sum() - (n + m))


def _candidates(
    first: FloatArray, second: FloatArray
) -> tuple[NDArray[np.intp], NDArray[np.intp], FloatArray]:
    lengths_s = [np.maximum(own[:, 1] - own[:, 0], _SHORTEST_S) for own in (first, second)]
    reach_s = _REACH * (lengths_s[0] + lengths_s[1].max(initial=0.0))
    rows, columns = within(
        np.searchsorted(second[:, 0], first[:, 0] - reach_s, side="left"),
        np.searchsorted(second[:, 0], first[:, 0] + reach_s, side="right"),
    )
    apart_s = np.abs(first[rows] - second[columns]).sum(axis=1)
    costs = UNALIGNED * (apart_s / (lengths_s[0][rows] + lengths_s[1][columns])) ** 2
    near = costs < 2 * UNALIGNED
    return rows[near], columns[near], costs[near]


def _moved(events: FloatArray, seconds: float, duration_s: float) -> FloatArray:
    """Move events round the recording; what would pass its end begins at its start."""
    onsets = (events[:, 0] + seconds) % duration_s
    moved = np.stack([onsets, onsets + events[:, 1] - events[:, 0]], axis=1)
    return moved[np.argsort(moved[:, 0], kind="stable")]
