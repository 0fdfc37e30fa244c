"""Figures of skill are those of the metrics, row by row."""

from __future__ import annotations

import numpy as np
import pytest

from cryvision.evaluation import metrics
from cryvision.evaluation.skill import OutOfFoldPredictions, figures

EXACT = 1e-12
"""Sums of some hundred float64 numbers in another order."""


def drawn(n: int = 240, n_subjects: int = 15, n_classes: int = 3) -> OutOfFoldPredictions:
    """Probabilities that know something, with ties, and a class that is in one fold alone."""
    rng = np.random.default_rng(0)
    subject = rng.integers(0, n_subjects, n)
    fold = subject % 3
    labels = np.where(fold == 0, rng.integers(0, n_classes, n), rng.integers(0, n_classes - 1, n))
    logits = np.round(rng.normal(0, 1, (n, n_classes)) + 1.5 * np.eye(n_classes)[labels], 1)
    table = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    prior = np.full((n, n_classes), 1 / n_classes)
    return OutOfFoldPredictions("clip", labels, table, prior, subject.astype(str), fold)


def fold_auc(measured: OutOfFoldPredictions, weights: np.ndarray) -> float:
    areas = [
        metrics.auc(
            (measured.labels[rows] == label).astype(int),
            measured.probabilities[rows, label],
            weights[rows],
        )
        for rows in (measured.fold == fold for fold in np.unique(measured.fold))
        for label in np.unique(measured.labels[rows])
    ]
    return float(np.nanmean(areas))


def test_values_and_intervals_are_those_of_the_metrics_over_all_rows() -> None:
    measured = drawn()
    labels, table = measured.labels, measured.probabilities
    called = table.argmax(axis=1)
    wanted = {
        "balanced_accuracy": lambda w: metrics.balanced_accuracy(labels, called, w),
        "accuracy": lambda w: float(np.average(labels == called, weights=w)),
        "macro_f1": lambda w: metrics.macro_f1(labels, called, w),
        "log_loss": lambda w: metrics.log_loss(labels, table, w),
        "ece": lambda w: metrics.expected_calibration_error(labels, table, weights=w),
        "auc": lambda w: fold_auc(measured, w),
    }
    found = figures(measured, n_draws=50)
    assert set(found) == set(wanted)
    for name, statistic in wanted.items():
        n_draws = 10 if name == "auc" else 50  # an AUC takes longer, and gets a fifth of the draws
        estimate = metrics.subject_bootstrap(measured.subjects, statistic, n_draws)
        assert found[name]["value"] == pytest.approx(estimate.value, abs=EXACT), name
        assert found[name]["interval"] == pytest.approx([estimate.low, estimate.high], abs=EXACT), (
            name
        )


def test_probabilities_that_do_not_sum_to_one_are_refused() -> None:
    measured = drawn()
    measured.probabilities[0] *= 2
    with pytest.raises(metrics.ConfigError, match="must"):
        figures(measured)
