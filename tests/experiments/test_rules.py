"""The threshold that experiments choose is the one of the highest F1."""

from __future__ import annotations

import numpy as np
from rules import best_threshold

from cryvision.evaluation.metrics import precision_recall_f1


def test_no_threshold_has_a_higher_f1_than_the_best() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        scores = np.round(rng.random(30), 1)
        labels = np.append(rng.integers(0, 2, 28), [0, 1])

        def f1(threshold: float, labels: np.ndarray = labels, scores: np.ndarray = scores) -> float:
            return precision_recall_f1(labels, scores >= threshold).f1

        assert f1(best_threshold(labels, scores)) == max(map(f1, scores))


def test_the_best_threshold_lies_between_the_scores() -> None:
    assert best_threshold([0, 0, 1, 1], [0.0, 0.25, 0.75, 1.0]) == 0.5
    assert best_threshold([1, 0, 1], [0.5, 0.5, 0.5]) == 0.5
