"""A lab's annotated recordings become a detector; its skill is that on babies it never heard."""

from __future__ import annotations

import functools
import shutil
import sys
import warnings
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lab
import numpy as np
import pytest
from bundles import BUNDLE_V1
from logged import logged
from toy_recordings import toy_recording
from toy_stack import convert_once

from cryvision.augmentation.negatives import negative
from cryvision.bundle import Bundle
from cryvision.bundle.saving import Description
from cryvision.detector_training import pieces, saving
from cryvision.detector_training import train as detection
from cryvision.detector_training.calibration import Calibration
from cryvision.detector_training.pieces import Pieces
from cryvision.detector_training.recordings import MIN_LEVEL_DBFS, Cuttings, Recording
from cryvision.detector_training.saving import save_detector
from cryvision.detector_training.train import out_of_fold_logits, subject_folds, train_detector
from cryvision.errors import BundleError, ConfigError, CryvisionError
from cryvision.evaluation.event_metrics import intersection_over_union
from cryvision.export.onnx import parts as onnx
from cryvision.inference.clip import classify
from cryvision.inference.label_policy import has_skill
from cryvision.inputs import media
from cryvision.models import frame_network

N_STEPS, BATCH_SIZE = 100, 6
"""Enough to tell a glide from noise, in seconds."""

LEARNT_AUC = 0.95
FOUND_F1 = 0.7
MOST_FALSE_SHARE = 0.05
"""Of a clip: what a small training makes of a single click differs from processor to processor."""

FOUND_IOU = 0.5
"""What the project promises of scripted bouts."""


@dataclass
class Training:
    """One training and all that it said."""

    bundle: Bundle
    log: list[str] = field(default_factory=list)
    left_out: list[set[str]] = field(default_factory=list)


@pytest.fixture(scope="module")
def untagged() -> Bundle:
    """A bundle without a tagger."""
    return Bundle.load(BUNDLE_V1)


def fit_little(patch: pytest.MonkeyPatch) -> None:
    """Fit narrow edges for so long that they tell a glide from noise."""
    narrow = functools.partial(frame_network.build_frame_network, width=16)
    patch.setattr(frame_network, "build_frame_network", narrow)
    # One block spans as much as all of them, and is compiled in a third of the time.
    patch.setattr(frame_network, "DILATIONS", (sum(frame_network.DILATIONS),))
    patch.setattr(detection, "SYNTHETIC_PER_FAMILY", 1)
    patch.setattr(pieces, "BATCH_SIZE", BATCH_SIZE)
    patch.setattr(pieces, "MOST_STEPS", N_STEPS)
    patch.setattr(pieces, "MOST_PASSES", N_STEPS)


def fit_nothing(patch: pytest.MonkeyPatch) -> None:
    """Take edges that hear harmonic tones, and make no copies."""
    convert_once(patch)
    patch.setattr(detection, "SYNTHETIC_PER_FAMILY", 1)
    patch.setattr(detection, "fit_frame_network", lambda *given: lab.peak_edges())
    patch.setattr(detection, "altered_copies", lambda sound, rng: [sound])


@pytest.fixture(
    scope="module",
    params=[fit_nothing, pytest.param(fit_little, marks=pytest.mark.slow)],
    ids=["ready edges", "fitted edges"],
)
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, untagged: Bundle
) -> Training:
    """A detector of a lab with four babies; two of its files cannot be used.

    In the default run nothing is fitted, which takes long; that a fit learns is tested alone.
    """
    folder = tmp_path_factory.mktemp("lab")
    lab.write_lab(folder / "recordings")
    broken = folder / "recordings" / "ada" / "broken.wav"
    broken.write_text("this is no sound")
    lab.write_labels(broken, "csv", [(0.0, 1.0)])
    lab.write_wav(folder / "recordings" / "ben" / "unlabelled.wav", lab.crying(7)[0])
    left_out: list[set[str]] = []
    chosen = Cuttings.pieces

    def note(cuttings: Cuttings, shares: Any, out: Collection[str] = ()) -> Pieces:
        left_out.append(set(out))
        return chosen(cuttings, shares, out)

    with pytest.MonkeyPatch.context() as patch:
        request.param(patch)
        patch.setattr(Cuttings, "pieces", note)
        with logged() as log:
            bundle = train_detector(
                folder / "recordings",
                folder / "cries.v2",
                subject_pattern=lab.SUBJECT_PATTERN,
                n_folds=2,
                seed=3,
                base=untagged,
            )
    return Training(bundle, log, left_out)


fitted = pytest.mark.parametrize(
    "trained",
    [pytest.param(fit_little, marks=pytest.mark.slow)],
    indirect=True,
    ids=["fitted edges"],
)
"""For what a fit learns."""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training that fits nothing and makes no copies: for what does not depend on either."""
    fit_nothing(monkeypatch)


def test_new_crying_is_found_where_it_is(trained: Training, tmp_path: Path) -> None:
    samples, bouts = lab.crying(seed=99)
    result = classify(lab.write_wav(tmp_path / "new.wav", samples), trained.bundle)
    events = [(event.onset_s, event.offset_s) for event in result.events]
    assert len(events) == len(bouts)
    for bout, event in zip(bouts, events, strict=True):
        assert intersection_over_union([bout], [event]) >= FOUND_IOU


@fitted
def test_new_crying_is_called_so(trained: Training, tmp_path: Path) -> None:
    clip = lab.write_wav(tmp_path / "new.wav", lab.crying(seed=99)[0])
    assert classify(clip, trained.bundle).label == "cry"


@pytest.mark.parametrize("family", ["rumble_and_wind", "clicks"])
def test_what_is_no_crying_is_not_called_so(trained: Training, tmp_path: Path, family: str) -> None:
    samples = negative(np.random.default_rng(77), family, lab.CLIP_SECONDS)
    result = classify(lab.write_wav(tmp_path / "new.wav", samples), trained.bundle)
    assert result.detector.seconds <= MOST_FALSE_SHARE * lab.CLIP_SECONDS


def test_the_bundle_says_what_it_is_and_how_it_was_measured(trained: Training) -> None:
    bundle = Bundle.load(trained.bundle.folder)
    assert bundle.sha256 == trained.bundle.sha256
    assert (bundle.name, bundle.seed) == ("cries.v2", 3)
    assert bundle.labels == ("no cry", "cry")
    assert [part.name for part in bundle.parts] == ["edges"]
    assert bundle.gate is not None
    assert (bundle.gate.min_gap_seconds, bundle.gate.latency_seconds) == (0.0, 0.04)
    assert (bundle.veto, bundle.format_version) == (None, 2)
    (skill,) = bundle.skill
    assert skill["protocol"] == "grouped 2-fold"
    assert (skill["part"], skill["unit"], skill["subjects"]) == ("edges", "window", "pattern")
    assert 0 < skill["prior"]["cry"] < 0.5  # two bouts of a second in half of the clips
    assert skill["prior"]["cry"] + skill["prior"]["no cry"] == pytest.approx(1)


@fitted
def test_it_is_good_on_subjects_that_it_never_heard(trained: Training) -> None:
    (skill,) = trained.bundle.skill
    assert skill["figures"]["auc"]["value"] > LEARNT_AUC
    assert skill["figures"]["event_f1"]["value"] > FOUND_F1
    assert skill["figures"]["bout_f1"]["value"] > FOUND_F1
    assert has_skill(trained.bundle.skill, "edges", ("sound",))


def test_each_subject_is_left_out_once_and_none_in_the_end(trained: Training) -> None:
    *folds, whole = trained.left_out
    assert len(folds) == 2
    assert set.union(*folds) == set(lab.SUBJECTS)
    assert sum(map(len, folds)) == len(lab.SUBJECTS)
    assert whole == set()


def test_what_cannot_be_used_is_told_and_the_rest_goes_on(trained: Training) -> None:
    unlabelled, broken = [line for line in trained.log if line.startswith("left out: ")]
    assert unlabelled.endswith("unlabelled.wav: a clip without labels")
    assert "broken.wav" in broken
    assert not any("\n" in line for line in trained.log)
    assert sum(line.startswith("reading") for line in trained.log) == 9
    assert trained.log[-4:] == [
        "fold 1 of 2",
        "fold 2 of 2",
        "tagger: none, for the base bundle has none",
        "training on all recordings",
    ]


def test_subjects_guessed_by_file_never_qualify_for_skill(
    quick: None, untagged: Bundle, tmp_path: Path
) -> None:
    source = lab.write_lab(tmp_path / "lab")
    bundle = train_detector(source, tmp_path / "one.zip", n_folds=2, base=untagged)
    assert bundle.name == "one"
    (skill,) = bundle.skill
    assert skill["subjects"] == "file"
    assert skill["figures"]["balanced_accuracy"]["interval"][0] > 0.5  # and yet
    assert not has_skill(bundle.skill, "edges", ("sound",))
    clip = lab.write_wav(tmp_path / "new.wav", lab.crying(99)[0])
    result = classify(clip, bundle)
    assert (result.label, bool(result.events)) == ("not sure", True)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("/usr/bin/cryvision", "cryvision"),
        ("/usr/lib/python/cryvision/__main__.py", "cryvision"),
        ("experiments/train_default.py", "train_default.py"),
    ],
)
def test_the_bundle_keeps_the_command_as_it_can_be_run_again(
    monkeypatch: pytest.MonkeyPatch, program: str, words: str
) -> None:
    kept: list[str] = []
    monkeypatch.setattr(onnx, "part_files", lambda *given: ({}, {}))
    monkeypatch.setattr(sys, "argv", [program, "train-detector", "my lab"])
    monkeypatch.setattr(saving, "save", lambda out, about, *rest: kept.append(about.command))
    log_power = np.zeros((3, 200, 64), np.float16)
    calibration, description = Calibration(1.0, 0.0, 0.5), Description("any")
    save_detector(lab.peak_edges(), calibration, log_power, "anywhere", description)
    assert kept == [f"{words} train-detector 'my lab'"]


def test_recordings_beyond_the_memory_are_cut_at_a_longer_hop(
    quick: None, untagged: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[int] = []

    def stop(sets: list[Cuttings]) -> None:
        measured.append(sum(len(cuttings) for cuttings in sets if "own" in cuttings.source))
        raise CryvisionError("that was all")

    monkeypatch.setattr(Cuttings, "joined", stop)
    for number in range(2):
        clip = lab.write_wav(tmp_path / "lab" / f"{number}.wav", np.tile(lab.crying(0)[0], 5))
        lab.write_labels(clip, "csv", [(0.6, 1.6)])
    for most in (10**6, 25):
        monkeypatch.setattr(detection, "MOST_PIECES", most)
        with pytest.raises(CryvisionError, match="that was all"):
            train_detector(tmp_path / "lab", tmp_path / "out", base=untagged)
    # Of 20 s: pieces of 4 s, each 2 s, then each 4 s; of a copy each 4 s, then each 8 s.
    assert measured == [2 * (9 + 5), 2 * (5 + 3)]


def test_fewer_false_alarms_mean_a_higher_threshold(
    quick: None, untagged: Bundle, tmp_path: Path
) -> None:
    source = lab.write_lab(tmp_path / "lab")
    enter = []
    for number, per_hour in enumerate((120, 900)):  # one, and eight, in 32 s
        bundle = train_detector(
            source,
            tmp_path / str(number),
            subject_pattern=lab.SUBJECT_PATTERN,
            n_folds=2,
            false_alarms_per_hour=per_hour,
            base=untagged,
        )
        assert bundle.gate is not None
        enter.append(bundle.gate.enter)
    assert enter[0] > enter[1]


def small_lab(folder: Path, *bouts: list[tuple[float, float]]) -> Path:
    """Write a clip of one subject each, with these bouts."""
    for number, found in enumerate(bouts):
        clip = lab.write_wav(folder / f"s{number}" / "clip.wav", lab.crying(number)[0])
        lab.write_labels(clip, "csv", found)
    return folder


@pytest.mark.parametrize(
    ("bouts", "rule"),
    [
        ([[], []], "has none with crying"),
        ([[(0.0, 4.0)], [(0.0, 4.0)]], "has none with no crying"),
        ([[(0.6, 1.6)]], "crying of at least two subjects.* 1 of 1"),
        ([[(0.6, 1.6)], []], "crying of at least two subjects.*got 1 and 2 of 2"),
    ],
)
def test_a_corpus_that_skill_cannot_be_measured_on_is_refused(
    quick: None, tmp_path: Path, bouts: list[list[tuple[float, float]]], rule: str
) -> None:
    source = small_lab(tmp_path / "lab", *bouts)
    with pytest.raises(ConfigError, match=rule):
        train_detector(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_where_nothing_can_be_read_it_is_said_why(quick: None, tmp_path: Path) -> None:
    source = small_lab(tmp_path / "lab", [(0.6, 1.6)], [])
    for clip in source.glob("*/clip.wav"):
        clip.write_bytes(b"")
    (source / "s0" / "clip.csv").unlink()
    with (
        pytest.raises(CryvisionError, match="no annotated recording could be read"),
        logged() as lines,
    ):
        train_detector(source, tmp_path / "out")
    problems = [line for line in lines if line.startswith("left out: ")]
    assert len(problems) == 2
    assert "s0" in problems[0]
    assert "s1" in problems[1]


@pytest.fixture
def no_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(path: Path) -> None:
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr(media, "read_sound", read)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_place_that_is_taken_is_refused_before_any_work(
    no_reading: None, tmp_path: Path, overwrite: bool
) -> None:
    source = small_lab(tmp_path / "lab", [(0.6, 1.6)], [])
    taken = tmp_path / "thesis"
    taken.mkdir()
    (taken / "chapter.txt").write_text("years of work")
    with pytest.raises(BundleError, match="thesis: "):
        train_detector(source, str(taken), overwrite=overwrite)
    assert (taken / "chapter.txt").read_text() == "years of work"


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"n_folds": 1}, "n_folds must be at least 2; got 1"),
        ({"seed": -1}, "seed must be .*; got -1"),
        ({"false_alarms_per_hour": -0.5}, "false alarms per hour must be .*; got -0.5"),
        ({"false_alarms_per_hour": float("nan")}, "false alarms per hour must be .*; got nan"),
        ({"subject_pattern": "("}, "regular expression"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_any_work(
    no_reading: None, tmp_path: Path, settings: dict[str, Any], rule: str
) -> None:
    source = small_lab(tmp_path / "lab", [(0.6, 1.6)], [])
    with pytest.raises(ConfigError, match=rule):
        train_detector(source, tmp_path / "out", **settings)


def test_an_older_bundle_is_replaced_on_demand(
    quick: None, untagged: Bundle, trained: Training, tmp_path: Path
) -> None:
    source = small_lab(tmp_path / "lab", [(0.6, 1.6)], [(0.6, 1.6)])
    out = tmp_path / "out"
    shutil.copytree(trained.bundle.folder, out)
    bundle = train_detector(source, out, overwrite=True, seed=8, base=untagged)
    assert Bundle.load(out).sha256 == bundle.sha256 != trained.bundle.sha256
    assert bundle.seed == 8


def test_no_step_is_scored_by_a_network_that_knows_its_subject(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Networks that stand for the subjects they were fitted on, and score by who they know."""
    np.save(tmp_path / "frames.npy", np.zeros((6, 64), np.float16))
    subjects = ["ada", "ben", "cleo", "dan"]
    recordings = [
        toy_recording(np.zeros(3), name, log_power=tmp_path / "frames.npy") for name in subjects
    ]
    recordings[1].level_dbfs[1] = MIN_LEVEL_DBFS - 1
    cuttings = Cuttings(
        np.zeros((4, 200, 64), np.float16),
        np.zeros((4, 100), np.uint8),
        np.array(subjects, object),
        np.full(4, "own", object),
    )
    fitted: list[int] = []

    def fit(chosen: Pieces, seed: int) -> int:
        fitted.append(len(chosen))
        return len(fitted)

    monkeypatch.setattr(detection, "fit_frame_network", fit)
    monkeypatch.setattr(detection, "step_logits", lambda model, frames: np.full(3, model))
    folds = [{"ada", "dan"}, {"ben", "cleo"}]
    with logged() as lines:
        logits = out_of_fold_logits(recordings, cuttings, folds, {"own": 1.0}, 0)
    assert fitted == [2, 2]
    assert [own.max() for own in logits] == [1, 2, 2, 1]
    assert np.isneginf(logits[1]).tolist() == [False, True, False]
    assert lines == ["fold 1 of 2", "fold 2 of 2"]


def clips(shares: dict[str, list[float]]) -> list[Recording]:
    """Ten steps a clip; of each subject's clips, the share of steps that is crying."""
    return [
        toy_recording(np.arange(10) < 10 * share, subject)
        for subject, of_clips in shares.items()
        for share in of_clips
    ]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("shares", "n_folds"),
    [
        ({"a": [0.9], "b": [0.8], "c": [0.0], "d": [0.0]}, 2),  # a clip a subject, of one kind
        ({"a": [0.3], "b": [0.2], "c": [0.4], "d": [0.0], "e": [0.1]}, 5),
        ({name: [0.9, 0.0] for name in "abcdefg"}, 5),
        ({"a": [0.9, 0.0, 0.0], "b": [0.7], "c": [0.2]}, 3),
    ],
)
def test_every_fold_leaves_both_kinds_to_learn_from(
    shares: dict[str, list[float]], n_folds: int, seed: int
) -> None:
    recordings = clips(shares)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a user would see it, and could do nothing about it
        folds = subject_folds(recordings, 5, seed)
    assert len(folds) == n_folds
    assert sorted(name for fold in folds for name in fold) == sorted(shares)
    for fold in folds:
        others = [own.labels for own in recordings if own.subject not in fold]
        assert set(np.concatenate(others)) == {0, 1}


def test_folds_repeat_by_seed() -> None:
    recordings = clips({name: [0.9, 0.0] for name in "abcdefgh"})
    first = subject_folds(recordings, 4, 1)
    assert subject_folds(recordings, 4, 1) == first
    assert any(subject_folds(recordings, 4, seed) != first for seed in range(2, 6))
