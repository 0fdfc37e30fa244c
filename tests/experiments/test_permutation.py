"""A permutation test finds what labels tell, and is not taken in by clips of one subject."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from permutation import move_between_subjects, subject_permutation_test

from cryvision.errors import ConfigError
from cryvision.evaluation.metrics import balanced_accuracy

N_TESTS = 200
LEVEL = 0.05
MOST_FALSE = 0.09
"""Share of tests below the level that chance leaves: 5 %, and 2.6 standard deviations of 200."""


def subjects_of(sizes: list[int]) -> np.ndarray:
    return np.repeat([f"baby {i}" for i in range(len(sizes))], sizes)


def test_labels_that_are_told_are_found() -> None:
    subjects = subjects_of([3] * 20)
    labels = np.repeat(np.arange(20) % 2, 3)
    found = subject_permutation_test(
        labels, subjects, lambda moved: balanced_accuracy(moved, labels), 99
    )
    assert found.value == 1
    assert found.p_value == pytest.approx(0.01)
    assert found.null_mean == pytest.approx(0.5, abs=0.05)
    assert found.n_draws == 99


def test_subjects_that_are_all_alike_in_themselves_are_no_finding() -> None:
    """Labels and sound are each the same within a subject, and have nothing to do with another.

    Were clips moved one by one, two clips a subject would count as two pieces of evidence.
    """
    rng = np.random.default_rng(0)
    subjects = subjects_of([8] * 12)
    p_values = []
    for _ in range(N_TESTS):
        labels = np.repeat(rng.integers(0, 2, 12), 8)
        predicted = np.repeat(rng.integers(0, 2, 12), 8)
        agreement = lambda moved, predicted=predicted: float(np.mean(moved == predicted))  # noqa: E731
        p_values.append(subject_permutation_test(labels, subjects, agreement, 39).p_value)
    assert np.mean(np.array(p_values) <= LEVEL) <= MOST_FALSE


def test_blocks_stay_together_and_labels_stay_as_common() -> None:
    subjects = subjects_of([2, 2, 2, 3, 3, 5])
    labels = np.array([0, 1, 1, 1, 2, 0, 0, 0, 2, 1, 1, 1, 3, 3, 3, 3, 3])
    rng = np.random.default_rng(1)
    seen = set()
    for _ in range(50):
        moved = move_between_subjects(labels, subjects, rng)
        assert Counter(moved.tolist()) == Counter(labels.tolist())
        blocks = [tuple(moved[subjects == name].tolist()) for name in np.unique(subjects)]
        assert sorted(blocks[:3]) == [(0, 1), (1, 1), (2, 0)]
        assert sorted(blocks[3:5]) == [(0, 0, 2), (1, 1, 1)]
        assert blocks[5] == (3, 3, 3, 3, 3)
        seen.add(tuple(blocks))
    assert len(seen) == 12  # 3! ways of two clips, 2! of three


@pytest.mark.parametrize(
    ("subjects", "n_draws", "words"),
    [
        (["a", "b"], 9, "a subject for each label"),
        (["a", "b", "b"], 0, "0 draws"),
        (["a", "b", "b"], 9, "two subjects with the same number of clips"),
    ],
)
def test_what_cannot_be_tested_is_refused(subjects: list[str], n_draws: int, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        subject_permutation_test([0, 1, 0], subjects, lambda moved: 0.0, n_draws)
