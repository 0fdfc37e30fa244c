"""No subject is on both sides of a split."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryvision.datasets.splits import check_disjoint, grouped_folds
from cryvision.errors import ConfigError, CryvisionError

N_EXAMPLES = 40
"""A split takes milliseconds; more would add nothing but time."""

SHARE_TOLERANCE = 0.1
"""30 subjects of 20 samples in 5 folds: whole subjects cannot be divided more evenly."""


@settings(max_examples=N_EXAMPLES, deadline=None)
@given(st.data(), st.integers(2, 5), st.integers(0, 99))
@pytest.mark.filterwarnings("ignore:The least populated class")
def test_each_sample_is_tested_once_and_apart_from_its_subject(
    data: st.DataObject, n_folds: int, seed: int
) -> None:
    extra = data.draw(st.lists(st.integers(0, 8), max_size=40))
    subjects = [f"s{i}" for i in [*range(n_folds), *extra]]
    labels = data.draw(
        st.lists(st.booleans(), min_size=len(subjects), max_size=len(subjects)).filter(
            lambda drawn: max(sum(drawn), len(drawn) - sum(drawn)) >= n_folds
        )
    )
    folds = grouped_folds(subjects, labels, n_folds, seed)
    assert len(folds) == n_folds
    assert sorted(np.concatenate(folds)) == list(range(len(subjects)))
    for fold in folds:
        test = set(fold.tolist())
        check_disjoint(
            [subject for i, subject in enumerate(subjects) if i not in test],
            [subjects[i] for i in test],
        )


def test_folds_depend_on_the_seed_alone_and_share_the_labels() -> None:
    rng = np.random.default_rng(0)
    subjects = [f"phone-{i // 20}" for i in range(600)]
    labels = (rng.random(600) < 0.3).astype(int).tolist()
    folds = grouped_folds(subjects, labels, seed=1)
    again = grouped_folds(subjects, labels, seed=1)
    other = grouped_folds(subjects, labels, seed=2)
    assert all(np.array_equal(a, b) for a, b in zip(folds, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(folds, other, strict=True))
    for fold in folds:
        assert abs(np.mean(np.array(labels)[fold]) - np.mean(labels)) < SHARE_TOLERANCE


def test_subjects_are_compared_exactly() -> None:
    folds = grouped_folds(["A", "a", "a\0", "A"], [0, 1, 0, 1], n_folds=2)
    assert sorted(np.concatenate(folds)) == [0, 1, 2, 3]
    with pytest.raises(ConfigError, match="2 subjects for 3 folds"):
        grouped_folds(["A", "a", "A", "a"], [0, 0, 0, 0], n_folds=3)
    assert len(grouped_folds(["A", "a", "a\0"], [0, 0, 0], n_folds=3)) == 3


@pytest.mark.parametrize(
    ("subjects", "labels", "n_folds", "rule"),
    [
        (["a", "b"], [0, 1], 1, "at least 2"),
        (["a", "b"], [0], 2, "one length"),
        (["a", "b", "c"], [0, 1, 2], 2, "a sample for each of 2 folds"),
        ([], [], 5, "0 subjects for 5 folds"),
    ],
)
def test_impossible_splits_are_refused(
    subjects: list[str], labels: list[int], n_folds: int, rule: str
) -> None:
    with pytest.raises(ConfigError, match=rule):
        grouped_folds(subjects, labels, n_folds)


def test_a_shared_subject_is_named() -> None:
    check_disjoint(["a", "b"], ["c"])
    with pytest.raises(CryvisionError, match="'b'"):
        check_disjoint(["a", "b"], ["b", "c"])
