"""How good a stack is on subjects it has never seen: outer folds, and figures with intervals."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cryvision.learning import evaluation
from cryvision.learning.bootstrap import Statistic
from cryvision.learning.branches import Branch
from cryvision.learning.checkpoints import Checkpoints
from cryvision.learning.splits import check_disjoint
from cryvision.learning.stacking import Samples, Stack, class_shares, fit_stack

Say = Callable[[str], None]


@dataclass(frozen=True)
class Measured:
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


def cross_validate(
    recipe: Sequence[Branch],
    samples: Samples,
    clip_labels: np.ndarray,
    clip_subjects: np.ndarray,
    folds: Sequence[np.ndarray],
    n_classes: int,
    seed: int,
    checkpoints: Checkpoints | None = None,
    say: Say = lambda line: None,
) -> tuple[Measured, Measured]:
    """Fit the whole stack once for each fold of clips, without them, and let it judge them.

    Parameters
    ----------
    recipe : sequence of Branch
    samples : Samples
        ``clips`` holds the number of each row's clip.
    clip_labels, clip_subjects : ndarray, shape (n_clips,)
        Of all clips, those without a row among them.
    folds : sequence of ndarray of int
        Numbers of the clips of each fold; no subject is in two, nor in a fold and in none.
    n_classes, seed : int
    checkpoints : Checkpoints, optional
        Where finished folds are kept and found again.
    say : callable

    Returns
    -------
    clips, windows : Measured
        Of the clips that are in a fold. A clip's probabilities are the mean over its windows; a
        clip that none of the windows comes from gets the prior, for nothing was heard of it.
    """
    return cross_validate_each(
        recipe, samples, clip_labels, clip_subjects, folds, n_classes, seed, [set()],
        checkpoints, say,
    )[0]  # fmt: skip


def cross_validate_each(
    recipe: Sequence[Branch],
    samples: Samples,
    clip_labels: np.ndarray,
    clip_subjects: np.ndarray,
    folds: Sequence[np.ndarray],
    n_classes: int,
    seed: int,
    silenced: Sequence[Collection[str]],
    checkpoints: Checkpoints | None = None,
    say: Say = lambda line: None,
    stops_on_test: bool = False,
    altered: Samples | None = None,
) -> list[tuple[Measured, Measured]]:
    """Do what `cross_validate` does, and judge also with some of the branches silenced.

    Parameters
    ----------
    silenced : sequence of collections of str
        Names of the branches that have nothing to say, for each judgement.
    stops_on_test : bool
        Whether the clips that are judged tell when to stop, as in some published figures.
    altered : Samples, optional
        Altered copies that the branches learn from too, but for those of subjects that are judged.

    Returns
    -------
    list of tuple of Measured
        Clips and windows, for each judgement. The prior stands for a window that no branch says
        anything of.
    """
    clip_of_row = samples.clips.astype(int)
    prior = np.zeros((len(clip_labels), n_classes))
    row_prior = np.zeros((len(samples), n_classes))
    probabilities = np.zeros((len(silenced), len(samples), n_classes))
    fold_of_clip = np.full(len(clip_labels), -1)
    for number, test in enumerate(folds):
        train = np.setdiff1d(np.arange(len(clip_labels)), test)
        apart = clip_subjects[test]
        check_disjoint(clip_subjects[train], apart)
        fold_of_clip[test] = number
        rows = np.isin(clip_of_row, test)
        prior[test] = class_shares(clip_labels[train], n_classes)
        row_prior[rows] = class_shares(samples.labels[~rows], n_classes)
        name = f"fold-{number}"
        found = checkpoints.load(name) if checkpoints else None
        if found is None:
            say(f"fold {number + 1} of {len(folds)}")
            tested = samples[np.flatnonzero(rows)]
            stack = fit_stack(
                recipe,
                samples[np.flatnonzero(~rows)],
                n_classes,
                seed,
                say=_numbered(say, number),
                stop_on=tested if stops_on_test else None,
                altered=None if altered is None else altered.without_subjects(apart),
            )
            found = {"probabilities": _judged(stack, recipe, tested, n_classes, silenced)}
            if checkpoints:
                checkpoints.save(name, found)
        probabilities[:, rows] = found["probabilities"]
    judged = np.flatnonzero(fold_of_clip >= 0)
    rows = fold_of_clip[clip_of_row] >= 0
    told = rows & ~np.isnan(probabilities).any(axis=2)
    probabilities = np.where(told[:, :, None], probabilities, row_prior)
    return [
        (
            Measured(
                "clip",
                clip_labels[judged],
                clip_means(table[known], clip_of_row[known], prior)[judged],
                prior[judged],
                clip_subjects[judged],
                fold_of_clip[judged],
            ),
            Measured(
                "window",
                samples.labels[rows],
                table[rows],
                row_prior[rows],
                samples.subjects[rows],
                fold_of_clip[clip_of_row[rows]],
            ),
        )
        for table, known in zip(probabilities, told, strict=True)
    ]


def _judged(
    stack: Stack,
    recipe: Sequence[Branch],
    tested: Samples,
    n_classes: int,
    silenced: Sequence[Collection[str]],
) -> np.ndarray:
    """Probabilities, shape (n_judgements, n, n_classes); NaN where no branch says anything."""
    judged = np.full((len(silenced), len(tested), n_classes), np.nan)
    outputs = stack.outputs(recipe, tested) if len(tested) else {}
    for table, silent in zip(judged, silenced, strict=True):
        heard = {name: values * (name not in silent) for name, values in outputs.items()}
        spoke = np.any([values.any(axis=1) for values in heard.values()], axis=0)
        if np.any(spoke):
            table[spoke] = stack.fuse({name: values[spoke] for name, values in heard.items()})
    return judged


def _numbered(say: Say, fold: int) -> Say:
    return lambda line: say(f"fold {fold + 1}: {line}")


def clip_means(probabilities: np.ndarray, clip_of_row: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Average rows by clip; the prior where a clip has none.

    Parameters
    ----------
    probabilities : ndarray of float, shape (n_rows, n_classes)
    clip_of_row : ndarray of int, shape (n_rows,)
    prior : ndarray of float, shape (n_clips, n_classes)
    """
    counts = np.bincount(clip_of_row, minlength=len(prior))
    sums = np.zeros_like(prior)
    np.add.at(sums, clip_of_row, probabilities)
    return np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], prior)


def figures(measured: Measured, n_draws: int = 1000) -> dict[str, dict[str, Any]]:
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
        "balanced_accuracy": lambda w: evaluation.balanced_accuracy(labels, called, w),
        "accuracy": lambda w: float(np.sum(w * (labels == called)) / np.sum(w)),
        "macro_f1": lambda w: evaluation.macro_f1(labels, called, w),
        "log_loss": lambda w: evaluation.log_loss(labels, table, w),
        "ece": lambda w: evaluation.expected_calibration_error(labels, table, weights=w),
        "auc": lambda w: fold_auc(measured, w),
    }
    found = {}
    for name, statistic in statistics.items():
        draws = min(n_draws, 200) if name == "auc" else n_draws
        estimate = evaluation.subject_bootstrap(measured.subjects, statistic, draws)
        entry: dict[str, Any] = {"value": estimate.value}
        if np.isfinite(estimate.low):
            entry["interval"] = [estimate.low, estimate.high]
        if np.isfinite(estimate.value):
            found[name] = entry
    return found


def fold_auc(measured: Measured, weights: np.ndarray | None = None) -> float:
    """Mean over folds, and over the classes that a fold holds, of one-against-the-rest AUC."""
    weight = np.ones(len(measured.labels)) if weights is None else weights
    values = []
    for fold in np.unique(measured.fold):
        rows = measured.fold == fold
        for label in np.unique(measured.labels[rows]):
            is_label = (measured.labels[rows] == label).astype(int)
            values.append(
                evaluation.auc(is_label, measured.probabilities[rows, label], weight[rows])
            )
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


def majority(labels: np.ndarray) -> dict[str, float]:
    """Figures of the answer that is always the commonest class."""
    called = np.full(len(labels), np.bincount(labels).argmax())
    return {
        "accuracy": float(np.mean(labels == called)),
        "balanced_accuracy": evaluation.balanced_accuracy(labels, called),
        "macro_f1": evaluation.macro_f1(labels, called),
    }


def skill_entry(
    measured: Measured,
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
    measured : Measured
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
        "prior": {**prior, "log_loss": evaluation.log_loss(measured.labels, measured.prior)},
    }
