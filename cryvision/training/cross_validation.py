"""Fit a stack of branches once for each fold of subjects, and judge it on those it has not seen."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from cryvision.datasets.splits import check_disjoint
from cryvision.evaluation.skill import OutOfFoldPredictions
from cryvision.training.branches import Branch
from cryvision.training.checkpoints import Checkpoints
from cryvision.training.fit_log import FitLog
from cryvision.training.stacking import Samples, Stack, class_shares, fit_stack
from cryvision.training.tensorboard import CurveLog

log = logging.getLogger(__name__)

Measured = tuple[OutOfFoldPredictions, OutOfFoldPredictions]
"""Clips and windows, as they were judged."""


@dataclass(frozen=True)
class Division:
    """Clips, and how they are divided.

    Attributes
    ----------
    labels, subjects : ndarray, shape (n_clips,)
        Of all clips, those without a row among them.
    folds : sequence of ndarray of int
        Numbers of the clips of each fold; no subject is in two, nor in a fold and in none.
    n_classes : int
    stops_on_test : bool
        Whether the clips that are judged tell when to stop, as in some published figures.
    """

    labels: np.ndarray
    subjects: np.ndarray
    folds: Sequence[np.ndarray]
    n_classes: int
    stops_on_test: bool = False

    def __post_init__(self) -> None:
        for test in self.folds:
            check_disjoint(np.delete(self.subjects, test), self.subjects[test])


def cross_validate(
    recipe: Sequence[Branch],
    samples: Samples,
    division: Division,
    seed: int,
    silenced: Sequence[Collection[str]] = ((),),
    checkpoints: Checkpoints | None = None,
    curves: CurveLog | None = None,
    altered: Samples | None = None,
) -> list[Measured]:
    """Fit the whole stack once for each fold of clips, without them, and let it judge them.

    Parameters
    ----------
    recipe : sequence of Branch
    samples : Samples
        ``clips`` holds the number of each row's clip.
    division : Division
    seed : int
    silenced : sequence of collections of str
        Names of the branches that have nothing to say, for each judgement; by default there is
        one, with all of them.
    checkpoints : Checkpoints, optional
        Where finished folds are kept and found again.
    curves : CurveLog, optional
        Gets the learning curves of all folds.
    altered : Samples, optional
        Altered copies that the branches learn from too, but for those of subjects that are judged.

    Returns
    -------
    list of tuple of OutOfFoldPredictions
        Clips and windows, for each judgement, of the clips that are in a fold. A clip's
        probabilities are the mean over its windows. The prior stands for a window that no branch
        says anything of, and for a clip that no window comes from: nothing was heard of it.
    """
    tables = np.full((len(silenced), len(samples), division.n_classes), np.nan)
    for number, test in enumerate(division.folds):
        rows = np.isin(samples.clips.astype(int), test)
        found = checkpoints.load(f"fold-{number}") if checkpoints else None
        if found is None:
            log.info("fold %d of %d", number + 1, len(division.folds))
            tested = samples[np.flatnonzero(rows)]
            stack = fit_stack(
                recipe,
                samples[np.flatnonzero(~rows)],
                division.n_classes,
                seed,
                fits=FitLog(number + 1, curves),
                stop_on=tested if division.stops_on_test else None,
                altered=None
                if altered is None
                else altered.without_subjects(division.subjects[test]),
            )
            found = {"probabilities": _judged(stack, recipe, tested, division.n_classes, silenced)}
            if checkpoints:
                checkpoints.save(f"fold-{number}", found)
        tables[:, rows] = found["probabilities"]
    return [_measured(samples, division, table) for table in tables]


def _measured(samples: Samples, division: Division, probabilities: np.ndarray) -> Measured:
    """Clips and windows by what was said of each row; the prior where that is NaN."""
    clip_of_row = samples.clips.astype(int)
    prior = np.zeros((len(division.labels), division.n_classes))
    row_prior = np.zeros_like(probabilities)
    fold_of_clip = np.full(len(division.labels), -1)
    for number, test in enumerate(division.folds):
        rows = np.isin(clip_of_row, test)
        prior[test] = class_shares(np.delete(division.labels, test), division.n_classes)
        row_prior[rows] = class_shares(samples.labels[~rows], division.n_classes)
        fold_of_clip[test] = number
    known = ~np.isnan(probabilities).any(axis=1)
    means = clip_means(probabilities[known], clip_of_row[known], prior)
    clips = np.flatnonzero(fold_of_clip >= 0)
    rows = fold_of_clip[clip_of_row] >= 0
    return (
        OutOfFoldPredictions(
            "clip",
            division.labels[clips],
            means[clips],
            prior[clips],
            division.subjects[clips],
            fold_of_clip[clips],
        ),
        OutOfFoldPredictions(
            "window",
            samples.labels[rows],
            np.where(known[:, None], probabilities, row_prior)[rows],
            row_prior[rows],
            samples.subjects[rows],
            fold_of_clip[clip_of_row[rows]],
        ),
    )


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
