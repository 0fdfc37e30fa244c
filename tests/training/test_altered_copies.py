"""Altered copies are learnt from where their clip is, and are never judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toy_stack import Spy, nearest_row_branch, subject_samples, use_trusting_ensemble

from cryvision.datasets.labelled import Dataset, LabelledClip
from cryvision.datasets.splits import grouped_folds
from cryvision.errors import ConfigError
from cryvision.training.cross_validation import Division, cross_validate
from cryvision.training.options import MOST_COPIES, SystemOptions
from cryvision.training.stacking import Samples, fit_stack
from cryvision.training.training_set import altered_copies

MARK = 1000.0
"""Added to a row's number in a copy of it."""


def numbered(n_subjects: int = 12, n_rows: int = 2) -> tuple[Samples, Samples]:
    """Rows that hold their number, each a clip, and a copy of each."""
    samples = subject_samples(n_subjects, n_rows, 3, planted=False)
    numbers = np.arange(len(samples), dtype=np.float32)[:, None]
    samples = replace(
        samples, features={"voice": numbers}, clips=np.arange(len(samples)).astype(str)
    )
    return samples, replace(samples, features={"voice": numbers + MARK})


def test_no_copy_of_what_is_judged_is_learnt_from(monkeypatch: pytest.MonkeyPatch) -> None:
    use_trusting_ensemble(monkeypatch)
    samples, copies = numbered()
    folds = grouped_folds(samples.subjects.tolist(), samples.labels.tolist(), 3, seed=0)
    spy = Spy()
    division = Division(samples.labels, samples.subjects, folds, 3)
    ((clips, _),) = cross_validate(
        [nearest_row_branch("voice", spy)], samples, division, 0, altered=copies
    )
    assert len(clips.labels) == len(samples)
    n_tested = 0
    for fit, tested in zip(spy.fits, spy.predicted, strict=True):
        inputs = fit.inputs[:, 0]
        assert sorted(inputs[inputs >= MARK] - MARK) == sorted(inputs[inputs < MARK])
        for rows in tested:
            assert rows.max() < MARK  # copies are never judged
            n_tested += len(rows)
            subjects = set(samples.subjects[rows[:, 0].astype(int)])
            assert not subjects & set(fit.subjects)
    assert n_tested == 3 * len(samples)  # once by its outer fold, and in two inner ones


def test_a_clip_with_copies_counts_as_much_as_one_without(monkeypatch: pytest.MonkeyPatch) -> None:
    use_trusting_ensemble(monkeypatch)
    samples, copies = numbered()
    spy = Spy()
    some = copies[np.arange(4)]
    fit_stack([nearest_row_branch("voice", spy)], samples, 3, seed=0, altered=some)
    final = spy.fits[-1]
    of_clip = np.bincount((final.inputs[:, 0] % MARK).astype(int), weights=final.weights)
    for label in range(3):
        assert np.ptp(of_clip[samples.labels == label]) == pytest.approx(0)


def test_copies_are_of_all_clips_and_lack_what_only_the_clips_have() -> None:
    clips = [
        LabelledClip(Path(f"{name}.wav"), "hungry", name, "manifest") for name in ("ada", "bo")
    ]
    asked: list[LabelledClip] = []

    def windows(copies: Sequence[LabelledClip]) -> Samples:
        asked.extend(copies)  # no window of the second copy of ada
        return Samples(
            {"mfcc": np.ones((3, 2, 2), np.float16)},
            np.zeros(3, int),
            np.array(["ada", "bo", "bo"]),
            np.array(["0", "2", "3"]),
        )

    samples = Samples(
        {"mfcc": np.ones((2, 2, 2), np.float16), "face": np.ones((2, 5), np.float16)},
        np.zeros(2, int),
        np.array(["ada", "bo"]),
        np.array(["0", "1"]),
    )
    found = altered_copies(Dataset(tuple(clips), ()), 2, samples, windows)
    assert found is not None
    assert [(clip.subject, clip.copy) for clip in asked] == [
        *(("ada", 1), ("ada", 2), ("bo", 1), ("bo", 2))
    ]
    assert found.clips.tolist() == ["0", "1", "1"]
    assert found.has("mfcc").all()
    assert not found.has("face").any()
    assert found.features["face"].shape == (3, 5)
    assert altered_copies(Dataset(tuple(clips), ()), 0, samples, windows) is None


@pytest.mark.parametrize(
    ("n_of_each", "protocol", "words"),
    [
        (-1, "grouped", "got -1"),
        (MOST_COPIES + 1, "grouped", f"from 0 to {MOST_COPIES} copies"),
        (1, "leak-augment", "make no copies themselves; got leak-augment"),
        (0, "best", "got 'best'"),
    ],
)
def test_what_cannot_be_made_is_refused(n_of_each: int, protocol: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        SystemOptions(protocol=protocol, augment=n_of_each)
