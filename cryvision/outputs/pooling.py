"""What there is over time, made few enough numbers to draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryvision.config import FRAME_RATE_HZ
from cryvision.result import Event

MAX_POINTS = 2000

SMOOTHING_SECONDS = 0.5
"""The drawn curve is the mean of so much around each frame, for which a figure need not wait: one
of the past alone, as in the timeline, would lie behind the events."""


def seconds_within(
    events: Sequence[Event], starts: NDArray[np.float64], length_s: float
) -> NDArray[np.float64]:
    """How much of the events lies in each stretch of a length, in seconds."""
    times = np.array([event.span_s for event in events]).reshape(-1, 2, 1)
    inside = np.minimum(times[:, 1], starts + length_s) - np.maximum(times[:, 0], starts)
    seconds: NDArray[np.float64] = np.maximum(inside, 0).sum(axis=0)
    return seconds


def centred_mean(values: NDArray[Any]) -> NDArray[np.float64]:
    """The mean of what is known around each value that is."""
    half = round(SMOOTHING_SECONDS * FRAME_RATE_HZ / 2)
    finite = np.isfinite(values)
    kernel = np.ones(2 * half + 1)
    sums, counts = (
        np.convolve(column, kernel)[half : half + len(values)]
        for column in (np.where(finite, values, 0.0), finite.astype(float))
    )
    return np.where(finite, sums / np.maximum(counts, 1), np.nan)


def _starts(n: int) -> NDArray[np.intp]:
    """Where `MAX_POINTS` stretches of equal length start, or fewer where there are no more."""
    return np.unique(np.linspace(0, n, min(n, MAX_POINTS), endpoint=False).astype(np.intp))


def pooled(values: NDArray[Any], pool: np.ufunc) -> NDArray[Any]:
    """Reduce to at most `MAX_POINTS` values, each over a stretch of equal length."""
    return pool.reduceat(values, _starts(len(values)))


def pooled_mean(values: NDArray[Any]) -> NDArray[np.float64]:
    """The same by the mean of what is known."""
    if not len(values):
        return np.full(1, np.nan)
    finite = np.isfinite(values)
    counts = np.add.reduceat(finite.astype(np.intp), _starts(len(values)))
    sums = np.add.reduceat(np.where(finite, values, 0.0), _starts(len(values)))
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
