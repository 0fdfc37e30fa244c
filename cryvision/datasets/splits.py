"""Folds that keep each subject on one side."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Iterable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cryvision.argument_types import typed
from cryvision.errors import ConfigError, CryvisionError

_DIVISIONS_IN_MEMORY = 8


@typed
def check_numbers(n_folds: int, seed: int) -> None:
    """Refuse before anything is read what would be refused hours later."""
    if n_folds < 2:
        raise ConfigError(f"n_folds must be at least 2; got {n_folds}")
    if not 0 <= seed < 2**32:
        raise ConfigError(f"seed must be 0 to {2**32 - 1}; got {seed}")


def grouped_folds(
    subjects: Sequence[Hashable], labels: Sequence[Hashable], n_folds: int = 5, seed: int = 0
) -> list[NDArray[np.intp]]:
    """Split samples into folds so that no subject is in two of them.

    The folds hold about the same share of each label, as far as whole subjects allow
    (scikit-learn's `StratifiedGroupKFold`).

    Parameters
    ----------
    subjects : sequence of hashable, length n
        Compared exactly: ``"A"`` and ``"a"`` are two subjects.
    labels : sequence of hashable, length n
    n_folds : int
        At least 2.
    seed : int
        Of the shuffle; the same seed gives the same folds.

    Returns
    -------
    list of ndarray of int
        The test indices of each fold, in order; together they are all of ``range(n)``, once.

    Raises
    ------
    ConfigError
        If a number is out of range, there are fewer subjects than folds, no label has as many
        samples as there are folds, a fold would be empty, or the lengths differ.
    """
    check_numbers(n_folds, seed)
    if len(subjects) != len(labels):
        raise ConfigError(
            "subjects and labels must be of one length; "
            f"got {len(subjects)} subjects and {len(labels)} labels"
        )
    groups, classes = _codes(subjects), _codes(labels)
    n_subjects = len(set(groups))
    if n_subjects < n_folds:
        raise ConfigError(
            f"each fold needs a subject of its own; got {n_subjects} subjects for {n_folds} folds"
        )
    most = int(np.bincount(classes).max())
    if most < n_folds:
        raise ConfigError(
            f"a label must have a sample for each of {n_folds} folds; the commonest has {most}"
        )
    folds = [
        fold.copy() for fold in _stratified(groups.tobytes(), classes.tobytes(), n_folds, seed)
    ]
    if not all(len(fold) for fold in folds):
        raise ConfigError(
            f"{n_subjects} subjects of too unequal size leave one of {n_folds} folds empty; "
            "use fewer folds"
        )
    return folds


@lru_cache(_DIVISIONS_IN_MEMORY)
def _stratified(groups: bytes, classes: bytes, n_folds: int, seed: int) -> list[NDArray[np.intp]]:
    """Divide numbers of subjects and labels; the branches of a stack ask for the same folds."""
    from sklearn.model_selection import StratifiedGroupKFold

    subjects, labels = np.frombuffer(groups, np.intp), np.frombuffer(classes, np.intp)
    splitter = StratifiedGroupKFold(n_splits=n_folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # That a rare label does not reach every fold is what whole subjects may ask for.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        return [test for _, test in splitter.split(np.zeros(len(subjects)), labels, subjects)]


def check_disjoint(subjects_train: Iterable[Hashable], subjects_test: Iterable[Hashable]) -> None:
    """Make sure that no subject is on both sides of a split.

    Raises
    ------
    CryvisionError
        If one is; the message names it.
    """
    shared = set(subjects_train) & set(subjects_test)
    if shared:
        raise CryvisionError(
            "a subject must not be in training and test; "
            f"{len(shared)} are, such as {min(map(str, shared))!r}"
        )


def _codes(values: Sequence[Hashable]) -> NDArray[np.intp]:
    """Number the values by first appearance; an array of strings could make two of them alike."""
    code = {value: i for i, value in enumerate(dict.fromkeys(values))}
    return np.array([code[value] for value in values], dtype=np.intp)
