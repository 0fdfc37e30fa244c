"""Figures of skill of probabilities on unseen subjects, with intervals over subjects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cryvision.evaluation import metrics
from cryvision.evaluation.bootstrap import Statistic, bootstrap_figures


@dataclass(frozen=True)
class OutOfFoldPredictions:
    """Probabilities on subjects that training had not seen, for one unit: clips or windows.

    Attributes
    ----------
    unit : str
    labels : ndarray of int, shape (n,)
    probabilities, prior : ndarray of float, shape (n, n_classes)
        What was said, and the classes' shares among the clips or windows that the fold was
        trained on.
    subjects : ndarray of str, shape (n,)
    fold : ndarray of int, shape (n,)
    """

    unit: str
    labels: np.ndarray
    probabilities: np.ndarray
    prior: np.ndarray
    subjects: np.ndarray
    fold: np.ndarray


def figures(measured: OutOfFoldPredictions, n_draws: int = 1000) -> dict[str, dict[str, Any]]:
    """Figures of skill, each with its 95 % interval over subjects.

    Returns
    -------
    dict of str to dict
        ``value`` and ``interval`` of ``accuracy``, ``balanced_accuracy``, ``macro_f1``,
        ``log_loss``, ``ece``, and ``auc``: one against the rest, the mean over classes and folds,
        never pooled over folds.
    """
    labels, table = measured.labels, measured.probabilities
    called = table.argmax(axis=1)
    statistics: Mapping[str, Statistic] = {
        "balanced_accuracy": lambda w: metrics.balanced_accuracy(labels, called, w),
        "accuracy": lambda w: float(np.sum(w * (labels == called)) / np.sum(w)),
        "macro_f1": lambda w: metrics.macro_f1(labels, called, w),
        "log_loss": lambda w: metrics.log_loss(labels, table, w),
        "ece": lambda w: metrics.expected_calibration_error(labels, table, weights=w),
        "auc": lambda w: fold_auc(measured, w),
    }
    return bootstrap_figures(measured.subjects, statistics, n_draws)


def fold_auc(measured: OutOfFoldPredictions, weights: np.ndarray | None = None) -> float:
    """Mean over folds, and over the classes that a fold holds, of one-against-the-rest AUC."""
    weight = np.ones(len(measured.labels)) if weights is None else weights
    values = []
    for fold in np.unique(measured.fold):
        rows = measured.fold == fold
        for label in np.unique(measured.labels[rows]):
            is_label = (measured.labels[rows] == label).astype(int)
            values.append(metrics.auc(is_label, measured.probabilities[rows, label], weight[rows]))
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


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

    Parameters
    ----------
    measured : OutOfFoldPredictions
    labels : sequence of str
        Names of the classes.
    part : str
        Name of the part that decided.
    modalities : sequence of str
    protocol : str
    subjects : str
        Where the subjects are known from.
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
