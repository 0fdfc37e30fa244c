"""Intervals over subjects: what a figure might have been with other babies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryvision.errors import ConfigError

INTERVAL_PERCENTILES = (2.5, 97.5)
"""The ends of a 95 % interval."""

Statistic = Callable[[NDArray[np.int64]], float]
"""A figure as a function of how often each sample counts."""


@dataclass(frozen=True)
class Bounded:
    """A figure that not every draw tells: what it is at least, and at most.

    Of all samples both are the same. Draws in which a rare class is missing are not left out, nor
    is the class: what is left would vary less than the figure does, and promise too much.
    """

    least: Statistic
    most: Statistic

    def __call__(self, weights: NDArray[np.int64]) -> float:
        return self.least(weights)


class Estimate(NamedTuple):
    """A figure and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


def subject_bootstrap(
    subjects: ArrayLike, statistic: Statistic, n_draws: int = 1000, seed: int = 0
) -> Estimate:
    """Give a figure its 95 % interval over subjects (percentile bootstrap, Efron, 1979).

    Each draw takes as many subjects as there are, with replacement, and all samples of each.

    Parameters
    ----------
    subjects : array_like, shape (n,)
        Of each sample.
    statistic : callable
        ``statistic(weights)``, weights an int64 array of shape (n,): how often each sample was
        drawn, such as ``lambda weights: auc(labels, scores, weights)``. The interval of one that is
        `Bounded` goes from the lower end of the least to the upper end of the most.
    n_draws : int
    seed : int

    Returns
    -------
    Estimate
        Draws in which the figure is NaN (as without a class) are left out of the interval.

    Raises
    ------
    ConfigError
        If there are no subjects or draws.
    """
    if isinstance(statistic, Bounded):
        ends = statistic.least, statistic.most
        least, most = (subject_bootstrap(subjects, end, n_draws, seed) for end in ends)
        return Estimate(least.value, least.low, most.high)
    names = np.asarray(subjects)
    if names.ndim != 1 or not names.size or n_draws < 1:
        raise ConfigError(
            f"a bootstrap needs subjects and draws; got shape {names.shape} and {n_draws} draws"
        )
    unique, codes = np.unique(names, return_inverse=True)
    rng = np.random.default_rng(seed)
    times = rng.multinomial(len(unique), np.full(len(unique), 1 / len(unique)), size=n_draws)
    value = float(statistic(np.ones(len(names), dtype=np.int64)))
    # Of few subjects many draws are equal.
    different, same_as = np.unique(times, axis=0, return_inverse=True)
    figures = np.array([statistic(drawn[codes]) for drawn in different], dtype=np.float64)
    draws = figures[same_as.ravel()]
    draws = draws[~np.isnan(draws)]
    if not draws.size:
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.percentile(draws, INTERVAL_PERCENTILES)
    return Estimate(value, float(low), float(high))


def bootstrap_figures(
    subjects: ArrayLike, statistics: Mapping[str, Statistic], n_draws: int = 1000
) -> dict[str, dict[str, Any]]:
    """Give each figure that is known its ``value`` and, of two subjects and more, its ``interval``.

    Areas under a curve, which take longest, have a fifth of the draws.
    """
    figures: dict[str, dict[str, Any]] = {}
    several = len(set(np.asarray(subjects).tolist())) > 1
    for name, statistic in statistics.items():
        draws = max(1, n_draws // 5) if name.endswith("auc") else n_draws
        estimate = subject_bootstrap(subjects, statistic, draws)
        if np.isfinite(estimate.value):
            figures[name] = {"value": estimate.value}
            if several and np.isfinite(estimate.low):
                figures[name]["interval"] = [estimate.low, estimate.high]
    return figures


def paired_subject_bootstrap(
    subjects: ArrayLike,
    statistic_a: Statistic,
    statistic_b: Statistic,
    n_draws: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Give the difference of two figures its 95 % interval, both computed on the same draws.

    Parameters are those of `subject_bootstrap`.

    Returns
    -------
    Estimate
        ``statistic_a`` less ``statistic_b``; an interval above 0 means that the first is larger.
    """
    return subject_bootstrap(
        subjects, lambda weights: statistic_a(weights) - statistic_b(weights), n_draws, seed
    )
