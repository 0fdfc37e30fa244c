"""Figures of skill from arrays of labels and scores, with intervals by subject.

Labels are whole numbers from 0. Weights are how often each sample counts; they are what the
bootstrap over subjects hands to a statistic. Arrays that do not fit together, or hold something
else, are a ConfigError.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryvision.errors import ConfigError
from cryvision.evaluation.bootstrap import (
    Estimate,
    Statistic,
    paired_subject_bootstrap,
    subject_bootstrap,
)
from cryvision.evaluation.event_metrics import (
    PrecisionRecallF1,
    ScoredClip,
    event_f1,
    false_alarms,
    intersection_over_union,
    match_events,
    threshold_for_false_alarms,
)

__all__ = [
    "Estimate",
    "PrecisionRecallF1",
    "ScoredClip",
    "Statistic",
    "auc",
    "balanced_accuracy",
    "cohen_kappa",
    "confusion",
    "event_f1",
    "expected_calibration_error",
    "false_alarms",
    "intersection_over_union",
    "log_loss",
    "macro_f1",
    "match_events",
    "paired_subject_bootstrap",
    "precision_recall_f1",
    "prior_log_loss",
    "subject_bootstrap",
    "threshold_for_false_alarms",
]

SMALLEST_PROBABILITY = 1e-7
"""Where the log-loss clips: a certain and wrong answer costs 16.1, not infinity."""

N_BINS = 10
"""Of the calibration error."""

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def auc(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Compute the area under the ROC curve.

    It is the chance that a positive sample scores above a negative one, ties counting half
    (Mann-Whitney; Hanley and McNeil, Radiology 143, 1982).

    Parameters
    ----------
    labels : array_like of 0 and 1, shape (n,)
    scores : array_like, shape (n,)
        Higher means more like 1.
    weights : array_like, shape (n,), optional

    Returns
    -------
    float
        NaN where only one of the labels has weight.
    """
    truth, marks, weight = _validated(labels, scores, weights, n_classes=2)
    return RankedScores(truth, marks).auc(weight)


class RankedScores:
    """Scores of two classes in their order; labels are 0 and 1, and both are of shape (n,)."""

    def __init__(self, labels: IntArray, scores: FloatArray) -> None:
        self._order = np.argsort(scores)
        ranked = scores[self._order]
        self._first_of_ties = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))
        self._positive = labels[self._order] == 1

    def auc(self, weights: FloatArray) -> float:
        """Compute the area under the ROC curve; NaN where only one of the labels has weight.

        The weights, shape (n,), are in the order that the scores were given in.
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


def confusion(
    labels: ArrayLike, predicted: ArrayLike, n_classes: int, weights: ArrayLike | None = None
) -> FloatArray:
    """Count the samples by label and prediction.

    Parameters
    ----------
    labels, predicted : array_like of int, shape (n,)
        0 to ``n_classes - 1``.
    n_classes : int
    weights : array_like, shape (n,), optional

    Returns
    -------
    ndarray of float64, shape (n_classes, n_classes)
        Rows are labels, columns predictions.
    """
    truth, _, weight = _validated(labels, predicted, weights, n_classes)
    guess = _classes(predicted, "predicted", n_classes)
    cells = np.bincount(truth * n_classes + guess, weights=weight, minlength=n_classes**2)
    return np.asarray(cells, dtype=np.float64).reshape(n_classes, n_classes)


def precision_recall_f1(
    labels: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None = None
) -> PrecisionRecallF1:
    """Compute precision, recall and F1 of class 1 (van Rijsbergen, 1979).

    Parameters
    ----------
    labels, predicted : array_like of 0 and 1, shape (n,)
    weights : array_like, shape (n,), optional

    Returns
    -------
    PrecisionRecallF1
        0 where there is nothing to divide by.
    """
    counts = confusion(labels, predicted, 2, weights)
    return PrecisionRecallF1.from_counts(counts[1, 1], counts[1].sum(), counts[:, 1].sum())


def balanced_accuracy(
    labels: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None = None
) -> float:
    """Compute the mean recall of the classes among the labels (Brodersen et al., ICPR 2010).

    Parameters
    ----------
    labels, predicted : array_like of int, shape (n,)
    weights : array_like, shape (n,), optional

    Returns
    -------
    float
        0 to 1; NaN where nothing has weight.
    """
    counts = _square(labels, predicted, weights)
    of_class = counts.sum(axis=1)
    present = of_class > 0
    return _mean(np.diag(counts)[present] / of_class[present])


def macro_f1(labels: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Compute the mean F1 of the classes among labels or predictions (Lewis, SIGIR 1991).

    Parameters and returned number are as of `balanced_accuracy`.
    """
    counts = _square(labels, predicted, weights)
    either = counts.sum(axis=0) + counts.sum(axis=1)
    present = either > 0
    return _mean(2 * np.diag(counts)[present] / either[present])


def cohen_kappa(labels: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Compute the agreement beyond chance, (p_o - p_e) / (1 - p_e) (Cohen, 1960).

    Parameters are as of `balanced_accuracy`. 1 is full agreement, 0 is chance, and NaN comes where
    both have but one class.
    """
    counts = _square(labels, predicted, weights)
    total = counts.sum()
    by_chance = counts.sum(axis=0) @ counts.sum(axis=1)
    if by_chance == total**2:
        return float("nan")
    return float((total * np.trace(counts) - by_chance) / (total**2 - by_chance))


def log_loss(
    labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None
) -> float:
    """Compute the mean of -ln p of the true class (Good, 1952), p clipped at 1e-7.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
    probabilities : array_like, shape (n,) or (n, n_classes)
        Of class 1; or of each class, rows summing to 1.
    weights : array_like, shape (n,), optional

    Returns
    -------
    float
        In nats; NaN where nothing has weight.
    """
    table = _probabilities(probabilities)
    truth, _, weight = _validated(labels, table, weights, n_classes=table.shape[1])
    p_true = np.clip(table[np.arange(len(truth)), truth], SMALLEST_PROBABILITY, 1.0)
    return _mean(-np.log(p_true), weight)


def prior_log_loss(
    labels_train: ArrayLike, labels_test: ArrayLike, weights: ArrayLike | None = None
) -> float:
    """Compute the log-loss of always answering with the class frequencies of the training labels.

    Parameters
    ----------
    labels_train, labels_test : array_like of int, shapes (n,) and (m,)
    weights : array_like, shape (m,), optional
        Of the test labels.

    Returns
    -------
    float
        In nats. The loss of a classifier without input.
    """
    train, test = _classes(labels_train, "labels_train"), _classes(labels_test, "labels_test")
    prior = np.bincount(train, minlength=int(test.max()) + 1) / len(train)
    return log_loss(test, np.tile(prior, (len(test), 1)), weights)


def expected_calibration_error(
    labels: ArrayLike,
    probabilities: ArrayLike,
    n_bins: int = N_BINS,
    weights: ArrayLike | None = None,
) -> float:
    """Compute the mean distance of stated from true probability over bins of equal width.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
    probabilities : array_like, shape (n,) or (n, n_classes)
        Of class 1, compared with its share (Naeini et al., AAAI 2015); or of each class, the
        largest compared with how often it is right (Guo et al., ICML 2017).
    n_bins : int
    weights : array_like, shape (n,), optional

    Returns
    -------
    float
        0 to 1; NaN where nothing has weight.
    """
    if n_bins < 1:
        raise ConfigError(f"n_bins must be at least 1; got {n_bins}")
    table = _probabilities(probabilities)
    truth, _, weight = _validated(labels, table, weights, n_classes=table.shape[1])
    if np.ndim(probabilities) == 1:
        stated, right = table[:, 1], truth
    else:
        stated, right = table.max(axis=1), table.argmax(axis=1) == truth
    total = weight.sum()
    gaps = np.bincount(calibration_bins(stated, n_bins), weights=weight * (stated - right))
    return float(np.abs(gaps).sum() / total) if total else float("nan")


def share_calibration_error(
    shares: ArrayLike,
    probabilities: ArrayLike,
    n_bins: int = N_BINS,
    weights: ArrayLike | None = None,
) -> float:
    """Compute `expected_calibration_error` of rows that belong to class 1 in part.

    Parameters
    ----------
    shares : array_like, shape (n,)
        Share of each row that is of class 1: of a window, how much of it is labelled crying.
    probabilities : array_like, shape (n,)
        Of class 1.
    n_bins : int
    weights : array_like, shape (n,), optional

    Returns
    -------
    float
        0 to 1; NaN where nothing has weight.
    """
    share = np.asarray(shares, np.float64)
    weight = np.ones(len(share)) if weights is None else np.asarray(weights, np.float64)
    return expected_calibration_error(
        np.repeat([1, 0], len(share)),
        np.tile(probabilities, 2),
        n_bins,
        np.concatenate([weight * share, weight * (1 - share)]),
    )


def calibration_bins(stated: FloatArray, n_bins: int = N_BINS) -> IntArray:
    """Number the bin of equal width that each stated probability lies in."""
    return np.minimum((stated * n_bins).astype(np.int64), n_bins - 1)


def _validated(
    labels: ArrayLike, other: ArrayLike, weights: ArrayLike | None, n_classes: int
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Check that the labels are classes and that all arrays are finite and of one length."""
    truth, scores = _classes(labels, "labels", n_classes), _numbers(other, "scores")
    weight = np.ones(len(truth)) if weights is None else _numbers(weights, "weights")
    for array in (scores, weight):
        if array.shape[:1] != truth.shape:
            raise ConfigError(
                f"all arrays must have one entry a label, {len(truth)}; got shape {array.shape}"
            )
        if not np.all(np.isfinite(array)):
            raise ConfigError("scores and weights must be finite; got NaN or infinity")
    if np.any(weight < 0):
        raise ConfigError(f"weights must not be negative; got {weight.min():g}")
    return truth, scores, weight


def _classes(values: ArrayLike, name: str, n_classes: int | None = None) -> IntArray:
    array = np.asarray(values)
    if array.ndim != 1 or not array.size or array.dtype.kind not in "biuf":
        raise ConfigError(
            f"{name} must be numbers of shape (n,), n at least 1; got {array.dtype} of shape "
            f"{array.shape}"
        )
    if not np.all(np.isfinite(array)) or np.any(array != np.floor(array)) or array.min() < 0:
        raise ConfigError(f"{name} must be whole numbers from 0")
    if n_classes is not None and array.max() >= n_classes:
        raise ConfigError(f"{name} must be below {n_classes}; got {array.max():g}")
    return array.astype(np.int64)


def _numbers(values: ArrayLike, name: str) -> FloatArray:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} must be an array of numbers: {error}") from error


def _probabilities(values: ArrayLike) -> FloatArray:
    table = _numbers(values, "probabilities")
    if table.ndim == 1:
        table = np.stack([1 - table, table], axis=1)
    if table.ndim != 2 or not np.all((table >= 0) & (table <= 1)):
        raise ConfigError(f"probabilities must lie in 0 to 1; got an array of shape {table.shape}")
    if not np.allclose(table.sum(axis=1), 1, atol=1e-3):
        raise ConfigError("the probabilities of each sample must sum to 1")
    return table


def _square(labels: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None) -> FloatArray:
    highest = max(_classes(labels, "labels").max(), _classes(predicted, "predicted").max())
    return confusion(labels, predicted, int(highest) + 1, weights)


def _mean(values: FloatArray, weights: FloatArray | None = None) -> float:
    total = len(values) if weights is None else weights.sum()
    if not total:
        return float("nan")
    return float(np.sum(values if weights is None else weights * values) / total)
