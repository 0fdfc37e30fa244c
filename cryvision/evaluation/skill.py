"""Figures of skill of predictions on labelled samples, with intervals over subjects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cryvision.evaluation import metrics
from cryvision.evaluation.bootstrap import Statistic, bootstrap_figures
from cryvision.evaluation.class_statistics import class_statistics


@dataclass(frozen=True)
class OutOfFoldPredictions:
    """Probabilities on subjects that training had not seen, for one unit: clips or windows.

    ``probabilities`` and ``prior``, the classes' shares among what the fold was trained on, have
    shape (n, n_classes); ``labels``, ``subjects`` and ``fold`` have shape (n,).
    """

    unit: str
    labels: np.ndarray
    probabilities: np.ndarray
    prior: np.ndarray
    subjects: np.ndarray
    fold: np.ndarray


@dataclass
class Predictions:
    """Predictions of a bundle for labelled samples of one unit.

    Each has a label, a subject and probabilities, shape (n_classes,). ``unanswered`` has, by the
    answer instead of a class, the number of samples of each class.
    """

    labels: list[int] = field(default_factory=list)
    subjects: list[str] = field(default_factory=list)
    probabilities: list[np.ndarray] = field(default_factory=list)
    unanswered: dict[str, Counter[int]] = field(default_factory=dict)

    def add(
        self, label: int, subject: str, probabilities: np.ndarray | None, instead: str = ""
    ) -> None:
        """Add one sample; without probabilities, the answer instead of a class."""
        if probabilities is None:
            self.unanswered.setdefault(instead, Counter())[label] += 1
            return
        self.labels.append(label)
        self.subjects.append(subject)
        self.probabilities.append(probabilities)


def measured(answers: Mapping[str, Predictions], prior: np.ndarray) -> list[OutOfFoldPredictions]:
    """Return the predictions of each unit that has any; one bundle, so one fold.

    The answers are by unit; the prior has shape (n_classes,).
    """
    return [
        OutOfFoldPredictions(
            unit,
            np.array(predictions.labels),
            np.stack(predictions.probabilities),
            np.tile(prior, (len(predictions.labels), 1)),
            np.array(predictions.subjects, object),
            np.zeros(len(predictions.labels), int),
        )
        for unit, predictions in answers.items()
        if predictions.labels
    ]


def figures(measured: OutOfFoldPredictions, n_draws: int = 1000) -> dict[str, dict[str, Any]]:
    """Figures of skill, each with its ``value`` and 95 % ``interval`` over subjects.

    ``accuracy``, ``balanced_accuracy``, ``macro_f1``, ``log_loss``, ``ece``, and ``auc``: one
    against the rest, the mean over classes and folds, never pooled over folds.
    """
    return bootstrap_figures(measured.subjects, _statistics(measured), n_draws)


def _statistics(measured: OutOfFoldPredictions) -> dict[str, Statistic]:
    """Make the figures as functions of how often each row counts.

    All rows of a subject count the same. But for the AUC, whose scores are sorted here, a draw adds
    sums over subjects instead of looking at every row again.
    """
    labels, table = measured.labels, measured.probabilities
    metrics.log_loss(labels, table)  # refuses what are no labels or probabilities
    _, first, subject = np.unique(measured.subjects, return_index=True, return_inverse=True)

    def sums(bins: np.ndarray, n_bins: int, values: np.ndarray | None = None) -> np.ndarray:
        """Sum ones or values by subject and bin; float64, shape (n_subjects, n_bins)."""
        cells = np.bincount(subject * n_bins + bins, values, len(first) * n_bins)
        return cells.reshape(-1, n_bins).astype(np.float64)

    called, n_classes = table.argmax(axis=1), table.shape[1]
    cells = sums(labels * n_classes + called, n_classes**2)
    n_rows, right = cells.sum(axis=1), cells[:, :: n_classes + 1].sum(axis=1)
    of_classes = class_statistics(
        lambda w: (w[first] @ cells).reshape(n_classes, n_classes), len(labels)
    )
    p_true = np.maximum(table[np.arange(len(labels)), labels], metrics.SMALLEST_PROBABILITY)
    losses = sums(np.zeros_like(labels), 1, -np.log(np.minimum(p_true, 1.0)))
    stated = table.max(axis=1)
    gaps = sums(metrics.calibration_bins(stated), metrics.N_BINS, stated - (called == labels))
    folds = _ranked_folds(measured)

    def auc(weights: np.ndarray) -> float:
        areas = [ranked.auc(weights[rows].astype(np.float64)) for rows, ranked in folds]
        known = [area for area in areas if np.isfinite(area)]
        return float(np.mean(known)) if known else float("nan")

    return {
        **of_classes,
        "accuracy": lambda w: float(w[first] @ right / (w[first] @ n_rows)),
        "log_loss": lambda w: float(w[first] @ losses[:, 0] / (w[first] @ n_rows)),
        "ece": lambda w: float(np.abs(w[first] @ gaps).sum() / (w[first] @ n_rows)),
        "auc": auc,
    }


def _ranked_folds(measured: OutOfFoldPredictions) -> list[tuple[np.ndarray, metrics.RankedScores]]:
    """Rank the rows of each fold by the probability of each class that the fold holds."""
    ranked = []
    for fold in np.unique(measured.fold):
        rows = np.flatnonzero(measured.fold == fold)
        for label in np.unique(measured.labels[rows]):
            is_label = (measured.labels[rows] == label).astype(np.int64)
            ranked.append(
                (rows, metrics.RankedScores(is_label, measured.probabilities[rows, label]))
            )
    return ranked


def majority(labels: np.ndarray) -> dict[str, float]:
    """Figures of the answer that is always the commonest class."""
    called = np.full(len(labels), np.bincount(labels).argmax())
    return {
        "accuracy": float(np.mean(labels == called)),
        "balanced_accuracy": metrics.balanced_accuracy(labels, called),
        "macro_f1": metrics.macro_f1(labels, called),
    }


def skill_entry(
    measured: OutOfFoldPredictions,
    labels: Sequence[str],
    *,
    part: str,
    modalities: Sequence[str],
    protocol: str,
    subjects: str,
) -> dict[str, Any]:
    """Describe what was measured as a skill entry of a bundle.

    ``labels`` names the classes, ``part`` is what decided, and ``subjects`` says where the subjects
    are known from.
    """
    counts = np.bincount(measured.labels, minlength=len(labels))
    share = counts / counts.sum()
    prior = dict(zip(labels, share.tolist(), strict=True))
    return {
        "part": part,
        "modalities": list(modalities),
        "unit": measured.unit,
        "protocol": protocol,
        "subjects": subjects,
        "figures": figures(measured),
        # Balanced accuracy is the mean over the classes that occur.
        "chance": 1 / int(np.count_nonzero(counts)),
        "prior": {**prior, "log_loss": metrics.log_loss(measured.labels, measured.prior)},
    }
