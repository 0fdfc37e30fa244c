"""Fit a stack of branches once for each fold of subjects, and test it on the held-out ones."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from cryvision.datasets.splits import check_disjoint
from cryvision.evaluation.skill import OutOfFoldPredictions
from cryvision.training.branches import Branch
from cryvision.training.checkpoints import Checkpoints
from cryvision.training.stacking import Samples, Stack, class_shares, fit_stack
from cryvision.training.tensorboard import CurveLog, FitLog

log = logging.getLogger(__name__)

Measured = tuple[OutOfFoldPredictions, OutOfFoldPredictions]
"""Clips and windows, out of fold."""


@dataclass(frozen=True)
class Division:
    """Clips, and how they are divided.

    ``labels`` and ``subjects`` are of all clips, those without a row among them. The folds hold
    numbers of clips; no subject is in two, nor in a fold and in none. ``stops_on_test``: the test
    clips decide when to stop, as in some published figures.
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
    """Fit the whole stack once for each fold of clips, without them, and predict them.

    ``clips`` of the samples holds the number of each row's clip. ``silenced`` names the branches
    without output, for each prediction; by default there is one, with all of them. Finished folds
    are kept in ``checkpoints`` and found again, and ``curves`` gets the learning curves of all
    folds. Branches train on the altered copies too, but for those of test subjects.

    For each prediction there are the clips that are in a fold, and windows. A clip's probabilities
    are the mean over its windows. The prior stands for a window that no branch has an output for,
    and for a clip without windows.
    """
    tables = np.full((len(silenced), len(samples), division.n_classes), np.nan)
    for number, test in enumerate(division.folds):
        rows = np.isin(samples.clips.astype(int), test)
        saved = checkpoints.load(f"fold-{number}") if checkpoints else None
        if saved is None:
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
            saved = {"probabilities": _tables(stack, recipe, tested, division.n_classes, silenced)}
            if checkpoints:
                checkpoints.save(f"fold-{number}", saved)
        tables[:, rows] = saved["probabilities"]
    return [_measured(samples, division, table) for table in tables]


def _measured(samples: Samples, division: Division, probabilities: np.ndarray) -> Measured:
    """Clips and windows by the prediction of each row; the prior where that is NaN."""
    clip_of_row = samples.clips.astype(int)
    prior = np.zeros((len(division.labels), division.n_classes))
    row_prior = np.zeros_like(probabilities)
    fold_of_clip = np.full(len(division.labels), -1)
    for number, test in enumerate(division.folds):
        rows = np.isin(clip_of_row, test)
        prior[test] = class_shares(np.delete(division.labels, test), division.n_classes)
        row_prior[rows] = class_shares(samples.labels[~rows], division.n_classes)
        fold_of_clip[test] = number
    finite = ~np.isnan(probabilities).any(axis=1)
    means = clip_means(probabilities[finite], clip_of_row[finite], prior)
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
            np.where(finite[:, None], probabilities, row_prior)[rows],
            row_prior[rows],
            samples.subjects[rows],
            fold_of_clip[clip_of_row[rows]],
        ),
    )


def _tables(
    stack: Stack,
    recipe: Sequence[Branch],
    tested: Samples,
    n_classes: int,
    silenced: Sequence[Collection[str]],
) -> np.ndarray:
    """Probabilities, shape (n_predictions, n, n_classes); NaN where no branch has an output."""
    tables = np.full((len(silenced), len(tested), n_classes), np.nan)
    outputs = stack.outputs(recipe, tested) if len(tested) else {}
    for table, silent in zip(tables, silenced, strict=True):
        used = {name: values * (name not in silent) for name, values in outputs.items()}
        rows = np.any([values.any(axis=1) for values in used.values()], axis=0)
        if np.any(rows):
            table[rows] = stack.fuse({name: values[rows] for name, values in used.items()})
    return tables


def clip_means(probabilities: np.ndarray, clip_of_row: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Average rows by clip; ``prior``, shape (n_clips, n_classes), stands for one without any."""
    counts = np.bincount(clip_of_row, minlength=len(prior))
    sums = np.zeros_like(prior)
    np.add.at(sums, clip_of_row, probabilities)
    return np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], prior)
