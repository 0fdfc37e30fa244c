"""Clean protocols keep subjects apart; the others leak what they say, and are no skill."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from cryvision.datasets.labelled import Dataset, LabelledClip
from cryvision.datasets.near_duplicates import NEAR, SAME_SOUND, CopyPair
from cryvision.datasets.protocols import (
    CLIPS_PER_CLASS,
    PROTOCOLS,
    clip_groups,
    divide,
    overlap,
    protocol,
    with_copies,
)
from cryvision.errors import ConfigError
from cryvision.inference.label_policy import NOT_APART, has_skill

CLEAN = [name for name, by in PROTOCOLS.items() if by.is_clean]
LEAKY = [name for name, by in PROTOCOLS.items() if not by.is_clean]


@pytest.fixture
def data() -> Dataset:
    """Twenty subjects with seven clips each: five of hungry, two of tired."""
    clips = [
        LabelledClip(
            Path(f"s{subject}-{n}.wav"), "tired" if n > 4 else "hungry", f"s{subject}", "pattern"
        )
        for subject in range(20)
        for n in range(7)
    ]
    return Dataset(tuple(clips), ())


def test_the_clean_ones_are_these_and_all_others_warn() -> None:
    assert CLEAN == ["grouped", "grouped-holdout", "grouped-kfold-10"]
    assert [
        *("random", "kfold-10", "leak-duplicate", "leak-augment", "leak-early-stopping")
    ] == LEAKY
    assert all("on both sides" in PROTOCOLS[name].warning for name in LEAKY)
    with pytest.raises(ConfigError, match=r"one of grouped, .*; got 'best'"):
        protocol("best")


@pytest.mark.parametrize("name", CLEAN)
def test_clean_protocols_share_nothing(data: Dataset, name: str) -> None:
    folds = divide(PROTOCOLS[name], data, 5, seed=0)
    assert set(overlap(data.clips, folds).values()) == {0}
    assert len(folds) == {"grouped": 5, "grouped-holdout": 1, "grouped-kfold-10": 10}[name]
    assert with_copies(PROTOCOLS[name], data, seed=0) is data


@pytest.mark.parametrize("name", LEAKY)
def test_leaky_protocols_share_what_they_say(data: Dataset, name: str) -> None:
    by = PROTOCOLS[name]
    grown = with_copies(by, data, seed=0)
    folds = divide(by, grown, 5, seed=0)
    shared = overlap(grown.clips, folds)
    assert shared["subjects"] > 10
    assert bool(shared["same_files"]) == bool(by.copies)
    if by.copies:
        # Of a hundred clips of forty originals nearly each judged one was learnt.
        assert shared["same_files"] > 0.25 * len(folds[0])
    n_tested = sum(len(fold) for fold in folds)
    assert n_tested == pytest.approx(len(grown.clips) * (1 if name == "kfold-10" else 0.2), abs=2)
    assert len(set(clip_groups(by, grown.clips))) == len(grown.clips)


def test_copies_bring_classes_to_one_size_and_are_spread_evenly(data: Dataset) -> None:
    for name, altered in (("leak-duplicate", False), ("leak-augment", True)):
        grown = with_copies(PROTOCOLS[name], data, seed=3)
        sizes = Counter(clip.label for clip in grown.clips)
        assert sizes == dict.fromkeys(("hungry", "tired"), CLIPS_PER_CLASS)
        times = Counter(clip.path for clip in grown.clips if clip.label == "tired")
        assert set(times.values()) == {2, 3}  # 40 clips, 100 places
        numbers = {path: [clip.copy for clip in grown.clips if clip.path == path] for path in times}
        assert all(
            sorted(copies) == (list(range(len(copies))) if altered else [0] * len(copies))
            for copies in numbers.values()
        )
        assert with_copies(PROTOCOLS[name], data, seed=3) == grown
        assert with_copies(PROTOCOLS[name], data, seed=4) != grown


def test_nothing_measured_with_subjects_on_both_sides_is_skill() -> None:
    entry = {
        "part": "ensemble",
        "modalities": ["sound"],
        "unit": "clip",
        "figures": {
            "balanced_accuracy": {"value": 0.99, "interval": [0.98, 1.0]},
            "log_loss": {"value": 0.01},
        },
        "chance": 0.5,
        "prior": {"log_loss": 0.69},
        "subjects": "pattern",
    }
    assert has_skill([entry], "ensemble", ("sound",))
    assert not has_skill([{**entry, "subjects": NOT_APART}], "ensemble", ("sound",))


def test_stretches_of_one_recording_are_not_the_same_clip() -> None:
    clips = [
        LabelledClip(Path("day.wav"), "hungry", "ada", "manifest", start, start + 5.0)
        for start in (0.0, 5.0, 0.0)
    ]
    assert overlap(clips, [np.array([1])])["same_files"] == 0
    assert overlap(clips, [np.array([0])])["same_files"] == 1


def test_copies_in_other_files_are_counted_as_the_closest_kind() -> None:
    names = ("a", "a again", "a coded", "b", "c")
    clips = [
        LabelledClip(Path(f"{name}.wav"), "hungry", f"baby {i}", "manifest")
        for i, name in enumerate(names)
    ]

    def pair(first: int, second: int, kind: str) -> CopyPair:
        labels, subjects = ("hungry", "hungry"), (clips[first].subject, clips[second].subject)
        return CopyPair(
            clips[first].name, clips[second].name, kind, 0.9, 1.0, 0.0, labels, subjects
        )

    copies = [pair(0, 1, SAME_SOUND), pair(0, 2, NEAR)]
    nothing = {"subjects": 0, "same_files": 0, "duplicates": 0, "near_duplicates": 0}
    assert overlap(clips, [np.array([1])], copies) == {**nothing, "duplicates": 1}
    # What is near a clip is near its duplicate too, which was not compared itself.
    coded_and_first = [np.array([0, 2])]
    assert overlap(clips, coded_and_first, copies) == {
        **nothing, "duplicates": 1, "near_duplicates": 1
    }  # fmt: skip
    assert overlap(clips, [np.array([0, 1, 2]), np.array([3])], copies) == nothing
    assert overlap(clips, [np.array([0])]) == nothing
