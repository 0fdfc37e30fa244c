"""Means over classes as functions of how often each sample counts, for the bootstrap."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from cryvision.evaluation.bootstrap import Bounded, Statistic
from cryvision.evaluation.event_metrics import ratio
from cryvision.evaluation.metrics import FloatArray, IntArray, confusion


def two_class_statistics(labels: IntArray, predicted: IntArray) -> dict[str, Statistic]:
    """Make ``f1`` of class 1 and ``balanced_accuracy`` functions of how often each sample counts.

    Labels and predictions are 0 or 1, shape (n,). F1 is NaN where class 1 is nowhere, so that no
    draw of a bootstrap counts it as 0; balanced accuracy is where one class has no label at all.
    """

    counts_of = functools.partial(confusion, labels, predicted, 2)

    def f1(weights: IntArray) -> float:
        counts = counts_of(weights)
        return ratio(2 * counts[1, 1], counts[1].sum() + counts[:, 1].sum())

    mean_recall = class_statistics(counts_of, len(labels))["balanced_accuracy"]
    has_both = len(np.unique(labels)) == 2
    return {
        "f1": f1,
        "balanced_accuracy": mean_recall if has_both else lambda weights: float("nan"),
    }


def class_statistics(counts_of: Callable[[IntArray], FloatArray], n: int) -> dict[str, Statistic]:
    """Make ``balanced_accuracy`` and ``macro_f1`` functions of how often each of n samples counts.

    ``counts_of(weights)`` is their `confusion`. In each draw of a bootstrap both are means over
    all classes that occur; see `mean_over_classes`.
    """

    def recalls(weights: IntArray) -> tuple[FloatArray, FloatArray]:
        counts = counts_of(weights)
        return np.diag(counts), counts.sum(axis=1)

    def f1s(weights: IntArray) -> tuple[FloatArray, FloatArray]:
        counts = counts_of(weights)
        return 2 * np.diag(counts), counts.sum(axis=0) + counts.sum(axis=1)

    return {
        "balanced_accuracy": mean_over_classes(recalls, n),
        "macro_f1": mean_over_classes(f1s, n),
    }


def mean_over_classes(
    shares: Callable[[IntArray], tuple[FloatArray, FloatArray]], n: int
) -> Bounded:
    """Average a share over the classes that occur, as a function of how often n samples count.

    ``shares(weights)`` gives the part and the whole of each class. A draw without a class does not
    tell its share: that is 0 at least, and 1 at most.
    """
    occurring = shares(np.ones(n, np.int64))[1] > 0

    def mean(weights: IntArray, untold: float) -> float:
        part, whole = (values[occurring] for values in shares(weights))
        return float(np.mean(np.where(whole > 0, part / np.maximum(whole, 1), untold)))

    return Bounded(functools.partial(mean, untold=0.0), functools.partial(mean, untold=1.0))
