"""Branches and their ensemble, fitted and measured on held-out subjects.

The ensemble learns from outputs of branches that were trained without the row's subject, and
so does its calibration; a test fold has a part in nothing. (D. Wolpert, "Stacked generalization",
Neural Networks 5, 1992.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cryvision.datasets.splits import check_disjoint, grouped_folds
from cryvision.errors import CryvisionError
from cryvision.training import branches as fitting
from cryvision.training.branches import Branch, Curves, Rows
from cryvision.training.tensorboard import FitLog

if TYPE_CHECKING:
    import keras

N_INNER_FOLDS = 3
_LEAST_OUTPUT = 1e-6

TEMPERATURES = (0.05, 20.0)
PRIOR_PULL = 1.0
"""How strongly calibration and the classes' shares hold to equal ones, in clips: what keeps both
sane where a class has a handful of them."""


@dataclass(frozen=True)
class Samples:
    """Rows to learn from: windows, or any other unit, with their features.

    A row that a feature, shape (n, ...), is missing for is NaN throughout. Labels are int, subjects
    and clips str, all of shape (n,).
    """

    features: dict[str, np.ndarray]
    labels: np.ndarray
    subjects: np.ndarray
    clips: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: np.ndarray) -> Samples:
        return Samples(
            {name: values[rows] for name, values in self.features.items()},
            self.labels[rows],
            self.subjects[rows],
            self.clips[rows],
        )

    def without_subjects(self, subjects: np.ndarray) -> Samples:
        """Leave out the rows of some subjects."""
        return self[np.flatnonzero(~np.isin(self.subjects, subjects))]

    def and_altered(self, altered: Samples | None, held_out: np.ndarray) -> Samples:
        """Add altered copies to learn from, less those of subjects that are held out."""
        if altered is None:
            return self
        more = altered.without_subjects(held_out)
        return Samples(
            {
                name: np.concatenate([values, more.features[name]])
                for name, values in self.features.items()
            },
            np.concatenate([self.labels, more.labels]),
            np.concatenate([self.subjects, more.subjects]),
            np.concatenate([self.clips, more.clips]),
        )

    def has(self, feature: str) -> np.ndarray:
        """Which rows a feature is there for; bool, shape (n,)."""
        values = self.features[feature]
        return np.asarray(~np.isnan(values).any(axis=tuple(range(1, values.ndim))))


@dataclass(frozen=True)
class Stack:
    """A fitted stack: branches by name, calibrated ensemble, its ``temperature`` and ``bias``.

    The learning curves are by branch, and of the ensemble.
    """

    branches: dict[str, keras.Model]
    ensemble: keras.Model
    calibration: dict[str, Any]
    curves: dict[str, Curves]

    def outputs(self, recipe: Sequence[Branch], samples: Samples) -> dict[str, np.ndarray]:
        """Give each branch's probabilities, (n, n_classes); zeros where its feature is missing."""
        return {
            branch.name: _branch_outputs(
                self.branches[branch.name], branch, samples, self.ensemble.output_shape[-1]
            )
            for branch in recipe
        }

    def predict(self, recipe: Sequence[Branch], samples: Samples) -> np.ndarray:
        """Calibrated probabilities, shape (n, n_classes)."""
        return self.fuse(self.outputs(recipe, samples))

    def fuse(self, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Calibrated probabilities from the branches' outputs."""
        logits = fitting.ensemble_logits(self.ensemble, outputs)
        return calibrated(logits, self.calibration["temperature"], self.calibration["bias"])


def fit_stack(
    recipe: Sequence[Branch],
    samples: Samples,
    n_classes: int,
    seed: int,
    n_folds: int = N_INNER_FOLDS,
    fits: FitLog | None = None,
    stop_on: Samples | None = None,
    altered: Samples | None = None,
) -> Stack:
    """Fit branches, ensemble and calibration on samples.

    ``n_folds`` are by subject, for the outputs that the ensemble learns from. ``stop_on`` are
    validation rows of the branches, instead of subjects set aside. Whatever is predicted by the
    stack must not be among them, unless that is what is to be shown. Branches train on the altered
    copies too; a copy has the subject of its clip.
    """
    fits = fits or FitLog()
    folds = inner_folds(samples, n_folds, seed)
    outputs = {b.name: np.zeros((len(samples), n_classes), np.float32) for b in recipe}
    for number, test in enumerate(folds):
        train = np.setdiff1d(np.arange(len(samples)), test)
        check_disjoint(samples.subjects[train], samples.subjects[test])
        train_set = samples[train].and_altered(altered, samples.subjects[test])
        for branch in recipe:
            fits.begin(branch.name, number + 1, len(folds))
            model, _ = _fit_branch(branch, train_set, n_classes, seed)
            outputs[branch.name][test] = _branch_outputs(model, branch, samples[test], n_classes)
    weights = fitting.clip_weights(samples.clips)
    for name, values in outputs.items():
        if not beats_prior(values, samples, weights, folds):
            fits.info("%s is no better than the prior: the ensemble does without it", name)
            values[:] = 0.0
    rows = _rows(samples, np.zeros(len(samples)), n_classes)
    logits = _cross_fitted_logits(outputs, rows, folds, n_classes, seed)
    temperature, bias = fit_calibration(logits, samples.labels, weights, n_classes)
    fits.info("ensemble")
    ensemble, curves = fitting.fit_ensemble(outputs, rows, n_classes, seed)
    ensemble.get_layer("calibration").set_calibration(temperature, bias)
    fitted, all_curves = {}, {"ensemble": curves}
    everything = samples.and_altered(altered, np.array([]))
    for branch in recipe:
        fits.begin(branch.name)
        fitted[branch.name], all_curves[branch.name] = _fit_branch(
            branch, everything, n_classes, seed, stop_on
        )
    return Stack(fitted, ensemble, {"temperature": temperature, "bias": bias}, all_curves)


def inner_folds(samples: Samples, n_folds: int, seed: int) -> list[np.ndarray]:
    """Divide rows into folds by subject, fewer than wanted where there are few subjects."""
    n_subjects = len(set(samples.subjects.tolist()))
    return grouped_folds(
        samples.subjects.tolist(), samples.labels.tolist(), min(n_folds, n_subjects), seed
    )


def beats_prior(
    outputs: np.ndarray, samples: Samples, weights: np.ndarray, folds: Sequence[np.ndarray]
) -> bool:
    """Return whether a branch's outputs on held-out subjects are better than the classes' shares.

    That is where the gain in log-likelihood, calibrated on the other folds, is above its standard
    error over subjects. The outputs, shape (n, n_classes), are of networks trained without the
    rows' subjects, zeros where there is none. An ensemble of few subjects cannot find out that a
    branch is at chance: on held-out subjects such a branch is a little worse than chance, as it
    leans to the classes that they lack.
    """
    n_classes = outputs.shape[1]
    logits = np.log(np.maximum(outputs, _LEAST_OUTPUT))
    present: np.ndarray = np.any(outputs, axis=1)
    gain = np.zeros(len(outputs))
    for test in folds:
        train = np.setdiff1d(np.flatnonzero(present), test)
        tested = test[present[test]]
        if not len(train) or not len(tested):
            continue
        labels, targets = samples.labels[train], samples.labels[tested]
        fitted = fit_calibration(logits[train], labels, weights[train], n_classes)
        prior = class_shares(labels, n_classes, weights[train])
        p = calibrated(logits[tested], *fitted)[np.arange(len(tested)), targets]
        gain[tested] = weights[tested] * np.log(np.maximum(p, _LEAST_OUTPUT) / prior[targets])
    _, subject = np.unique(samples.subjects[present], return_inverse=True)
    sums = np.bincount(subject, gain[present])
    error = np.std(sums, ddof=1) / np.sqrt(len(sums)) if len(sums) > 1 else 0.0
    return bool(len(sums) and sums.mean() > error)


def fit_calibration(
    logits: np.ndarray, labels: np.ndarray, weights: np.ndarray, n_classes: int
) -> tuple[float, np.ndarray]:
    """Find the temperature and the bias of each class that make log-loss least.

    ``p = softmax(logits / temperature + bias)`` (Guo et al., ICML 2017, section 4.2; the bias is
    what brings the prior back after training with class weights). ``PRIOR_PULL`` clips more,
    divided equally, keep the probability of a rare class from 0: logits without information come to
    what `class_shares` gives. The logits, shape (n, n_classes), are of rows that the models have
    not seen.
    """
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    def loss(parameters: np.ndarray) -> float:
        scaled = logits * np.exp(-parameters[0]) + parameters[1:]
        log_p = log_softmax(scaled, axis=1)
        own = -np.sum(weights * log_p[np.arange(len(labels)), labels])
        pulled = -PRIOR_PULL * np.mean(log_softmax(parameters[1:]))
        return float((own + pulled) / (weights.sum() + PRIOR_PULL))

    start = np.r_[0.0, np.log(class_shares(labels, n_classes, weights))]
    low, high = np.log(TEMPERATURES)
    fit = minimize(
        loss, start, method="L-BFGS-B", bounds=[(low, high)] + [(-12.0, 12.0)] * n_classes
    )
    bias = fit.x[1:] - fit.x[1:].mean()
    return float(np.exp(fit.x[0])), bias


def class_shares(
    labels: np.ndarray, n_classes: int, weights: np.ndarray | None = None
) -> np.ndarray:
    """Share of each class, ``PRIOR_PULL`` clips more divided equally; float64, (n_classes,).

    So a class that is not there is rare, not impossible: a prior that called it so would be
    beaten by anything.
    """
    counts = np.bincount(labels, weights=weights, minlength=n_classes) + PRIOR_PULL / n_classes
    return np.asarray(counts / counts.sum())


def calibrated(logits: np.ndarray, temperature: float, bias: np.ndarray) -> np.ndarray:
    """Turn logits into probabilities; float64, shape (n, n_classes)."""
    from scipy.special import softmax

    return np.asarray(softmax(logits.astype(np.float64) / temperature + bias, axis=1))


def _cross_fitted_logits(
    outputs: Mapping[str, np.ndarray],
    rows: Rows,
    folds: Sequence[np.ndarray],
    n_classes: int,
    seed: int,
) -> np.ndarray:
    """Logits of each row by an ensemble that was fitted on the other folds."""
    logits = np.zeros((len(rows.labels), n_classes))
    for test in folds:
        train = np.setdiff1d(np.arange(len(rows.labels)), test)
        train_outputs = {name: values[train] for name, values in outputs.items()}
        model, _ = fitting.fit_ensemble(train_outputs, rows[train], n_classes, seed)
        logits[test] = fitting.ensemble_logits(
            model, {name: values[test] for name, values in outputs.items()}
        )
    return logits


def _fit_branch(
    branch: Branch, samples: Samples, n_classes: int, seed: int, stop_on: Samples | None = None
) -> tuple[keras.Model, Curves]:
    if not samples.has(branch.feature).any():
        raise CryvisionError(
            f"the branch {branch.name!r} must have rows with {branch.feature} to learn from in "
            "each fold; one has none"
        )
    rows = _rows_of_branch(branch, samples, n_classes)
    if stop_on is not None and stop_on.has(branch.feature).any():
        more = _rows_of_branch(branch, stop_on, n_classes)
        stopping = np.repeat([False, True], [len(rows.labels), len(more.labels)])
        both = {
            name: np.concatenate([getattr(rows, name), getattr(more, name)])
            for name in ("inputs", "labels", "weights", "subjects")
        }
        rows = Rows(**both, stopping=stopping)
    return branch.fit(rows, n_classes, seed)


def _rows_of_branch(branch: Branch, samples: Samples, n_classes: int) -> Rows:
    there = samples.has(branch.feature)
    own = samples if there.all() else samples[there]
    return _rows(own, own.features[branch.feature], n_classes)


def _branch_outputs(
    model: keras.Model, branch: Branch, samples: Samples, n_classes: int
) -> np.ndarray:
    there = samples.has(branch.feature)
    outputs = np.zeros((len(samples), n_classes), np.float32)
    if there.any():
        outputs[there] = fitting.predict(model, samples.features[branch.feature][there])
    return outputs


def _rows(samples: Samples, inputs: np.ndarray, n_classes: int) -> Rows:
    weights = fitting.class_weights(samples.labels, samples.clips, n_classes)
    return Rows(inputs, samples.labels, weights, samples.subjects)
