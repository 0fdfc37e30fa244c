"""Figures of skill are those of the metrics, row by row."""

from __future__ import annotations

import numpy as np
import pytest

from cryvision.evaluation import metrics
from cryvision.evaluation.class_statistics import class_statistics
from cryvision.evaluation.skill import OutOfFoldPredictions, figures

EXACT = 1e-12
"""Sums of some hundred float64 numbers in another order."""


MOST_FALSE_SKILL = 0.05
"""Of random answers: 2.5 % by the interval, and what a hundred of them may be off."""


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
    classes = class_statistics(lambda w: metrics.confusion(labels, called, 3, w), len(labels))
    wanted = {
        "balanced_accuracy": classes["balanced_accuracy"],
        "accuracy": lambda w: float(np.average(labels == called, weights=w)),
        "macro_f1": classes["macro_f1"],
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


def answers(labels: list[int], called: list[int], subjects: list[str]) -> OutOfFoldPredictions:
    """Say of each clip that it is of a class for certain."""
    table = np.eye(max(labels + called) + 1)[called]
    prior, fold = np.full_like(table, 1 / table.shape[1]), np.zeros(len(labels), int)
    return OutOfFoldPredictions(
        "clip", np.array(labels), table, prior, np.array(subjects, object), fold
    )


def test_a_class_of_two_babies_may_be_found_always_or_never(all_draws: None) -> None:
    # An eighth of the draws of babies lack both. Over the other classes chance would be 1/2.
    labels = [*[0] * 20, *[1] * 10, 2, 2]
    found = figures(answers(labels, [0] * len(labels), [f"baby {i}" for i in range(len(labels))]))
    assert found["balanced_accuracy"]["value"] == pytest.approx(1 / 3)
    assert found["balanced_accuracy"]["interval"] == pytest.approx([1 / 3, 2 / 3])
    perfect = figures(answers(labels, labels, [f"baby {i}" for i in range(len(labels))]))
    for name in ("balanced_accuracy", "macro_f1"):
        assert perfect[name]["value"] == 1
        assert perfect[name]["interval"] == pytest.approx([2 / 3, 1])


def test_answers_at_random_are_hardly_ever_skill() -> None:
    rng = np.random.default_rng(0)
    sizes = [30, 4, 2]
    labels = np.repeat(np.arange(3), sizes).tolist()
    babies = [f"baby {i}" for i in range(len(labels))]
    above = [
        figures(answers(labels, rng.integers(0, 3, len(labels)).tolist(), babies), 200)
        for _ in range(100)
    ]
    skilled = [found["balanced_accuracy"]["interval"][0] > 1 / 3 for found in above]
    assert np.mean(skilled) <= MOST_FALSE_SKILL
