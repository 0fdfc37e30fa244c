"""Fit a stack of branches once for each fold of subjects, and judge it on those it has not seen."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np

from cryvision.datasets.splits import check_disjoint
from cryvision.evaluation.skill import OutOfFoldPredictions
from cryvision.training.branches import Branch
from cryvision.training.checkpoints import Checkpoints
from cryvision.training.stacking import Samples, Stack, class_shares, fit_stack

Say = Callable[[str], None]


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
) -> tuple[OutOfFoldPredictions, OutOfFoldPredictions]:
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
    clips, windows : OutOfFoldPredictions
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
) -> list[tuple[OutOfFoldPredictions, OutOfFoldPredictions]]:
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
    list of tuple of OutOfFoldPredictions
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
            OutOfFoldPredictions(
                "clip",
                clip_labels[judged],
                clip_means(table[known], clip_of_row[known], prior)[judged],
                prior[judged],
                clip_subjects[judged],
                fold_of_clip[judged],
            ),
            OutOfFoldPredictions(
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
