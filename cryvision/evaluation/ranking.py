"""Scores that are sorted once, for areas under the ROC curve with many weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class RankedScores:
    """Scores of two classes in their order.

    Parameters
    ----------
    labels : ndarray of 0 and 1, shape (n,)
    scores : ndarray of float, shape (n,)
    """

    def __init__(self, labels: NDArray[np.int64], scores: NDArray[np.float64]) -> None:
        self._order = np.argsort(scores)
        ranked = scores[self._order]
        self._first_of_ties = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))
        self._positive = labels[self._order] == 1

    def auc(self, weights: NDArray[np.float64]) -> float:
        """Compute the area under the ROC curve; NaN where only one of the labels has weight.

        Parameters
        ----------
        weights : ndarray of float, shape (n,)
            In the order that the scores were given in.
        """
        weight = weights[self._order]
        positive = np.add.reduceat(weight * self._positive, self._first_of_ties)
        negative = np.add.reduceat(weight * ~self._positive, self._first_of_ties)
        n_pairs = positive.sum() * negative.sum()
        if not n_pairs:
            return float("nan")
        below = np.cumsum(negative) - negative
        # A sum, since a dot product of this size wakes the threads of BLAS: ten times slower.
        return float(np.sum(positive * (below + negative / 2)) / n_pairs)
