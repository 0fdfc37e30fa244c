"""Whether a figure could come about if labels had nothing to do with the sound."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryvision.errors import ConfigError

Figure = Callable[[NDArray[np.int64]], float]
"""A figure as a function of the labels: a whole cross-validation, fitting and all."""


class PermutationTest(NamedTuple):
    """A figure beside those of moved labels.

    Attributes
    ----------
    value : float
        With the labels as they are.
    p_value : float
        Share of all draws, the labels as they are among them, that reach it.
    null_mean, null_deviation : float
        Of the moved labels.
    n_draws : int
    """

    value: float
    p_value: float
    null_mean: float
    null_deviation: float
    n_draws: int


def subject_permutation_test(
    labels: ArrayLike, subjects: ArrayLike, figure: Figure, n_draws: int = 99, seed: int = 0
) -> PermutationTest:
    """Test whether labels tell more than chance, subjects moved as blocks.

    Clips of a subject are no independent trials, so its labels stay together: they are exchanged
    for those of another subject with as many clips (whole-block exchange; A. Winkler et al.,
    "Multi-level block permutation", NeuroImage 123, 2015). A subject with a number of clips that no
    other has keeps its own, which makes the test the more careful. The p value counts the labels as
    they are among the draws (B. Phipson and G. Smyth, Stat. Appl. Genet. Mol. Biol. 9, 2010).

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        Of each clip.
    subjects : array_like of str, shape (n,)
    figure : callable
        ``figure(labels)``; higher is better. It must do all that depends on labels anew, fitting
        too: predictions of models that were fitted on other labels tell less than chance.
    n_draws : int
        The smallest p value is 1 / (n_draws + 1).
    seed : int

    Raises
    ------
    ConfigError
        If the arrays do not fit, there are no draws, or no two subjects could be exchanged.
    """
    truth, names = np.asarray(labels), np.asarray(subjects)
    if truth.ndim != 1 or truth.shape != names.shape or n_draws < 1:
        raise ConfigError(
            f"a permutation test needs a subject for each label, and draws; got shapes "
            f"{truth.shape} and {names.shape}, and {n_draws} draws"
        )
    if all(len(blocks) < 2 for blocks in _blocks_by_size(names).values()):
        raise ConfigError("a permutation test needs two subjects with the same number of clips")
    rng = np.random.default_rng(seed)
    value = float(figure(truth))
    null = np.array([figure(move_between_subjects(truth, names, rng)) for _ in range(n_draws)])
    reached = 1 + int(np.sum(null >= value))
    return PermutationTest(
        value, reached / (n_draws + 1), float(null.mean()), float(null.std()), n_draws
    )


def move_between_subjects(
    labels: NDArray[np.int64], subjects: NDArray[np.str_], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Give each subject the labels of one with as many clips, drawn without replacement."""
    moved: NDArray[np.int64] = labels.copy()
    for blocks in _blocks_by_size(subjects).values():
        for block, source in zip(blocks, rng.permutation(len(blocks)), strict=True):
            moved[block] = labels[blocks[source]]
    return moved


def _blocks_by_size(subjects: NDArray[np.str_]) -> dict[int, list[NDArray[np.intp]]]:
    """Row numbers of each subject, by how many there are."""
    blocks: dict[int, list[NDArray[np.intp]]] = {}
    for name in np.unique(subjects):
        block = np.flatnonzero(subjects == name)
        blocks.setdefault(len(block), []).append(block)
    return blocks
