"""``train`` hands on what it is told, lists what it left out, and can be gone on with."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import lab
import numpy as np
import pytest
from bundles import BUNDLE_V1

from cryvision.bundle import Bundle
from cryvision.config import FaceConfig
from cryvision.training import train as fusion
from cryvision.training.options import VideoOptions
from cryvision.training.saving import Trained
from cryvision.training.systems import system


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What training is given, in place of training: it would take minutes."""
    seen: dict[str, Any] = {}

    def train(source: str, out: str, options: VideoOptions) -> Trained:
        seen.update(source=source, out=out, **vars(options))
        logging.getLogger("cryvision.training").info("fold 1 of 5")
        return Trained(Bundle.load(BUNDLE_V1), (), Path(f"{out}-report"))

    monkeypatch.setattr(fusion, "train_with", train)
    return seen


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of sound of two babies each."""
    place = tmp_path_factory.mktemp("clips")
    for label in ("calm", "loud"):
        for baby in ("ada", "ben"):
            sound = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
            lab.write_wav(place / label / f"{baby}-1.wav", sound)
    return place


def test_the_bundle_is_described_on_stdout_and_its_places_go_to_stderr(
    run: Any, given: dict[str, Any], tmp_path: Path
) -> None:
    done = run("train", "videos", "--out", tmp_path / "mine")
    assert done.code == 0
    assert done.out.startswith("bundle tiny, sha256 ")
    assert done.err.splitlines() == [
        "cryvision: fold 1 of 5",
        f"cryvision: wrote {BUNDLE_V1}",
        f"cryvision: wrote {tmp_path / 'mine-report'}",
    ]


def test_each_line_is_printed_once_though_a_library_gave_the_root_logger_a_handler(
    run: Any, given: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    handler = logging.StreamHandler(sys.stderr)
    logging.getLogger().addHandler(handler)
    try:
        done = run("train", "videos", "--out", "mine")
    finally:
        logging.getLogger().removeHandler(handler)
    assert done.err.count("fold 1 of 5") == 1
    logging.getLogger("cryvision.training").warning("the command has ended")
    assert capsys.readouterr().err == ""


def test_without_options_training_has_its_defaults(run: Any, given: dict[str, Any]) -> None:
    assert run("train", "videos", "--out", "mine").code == 0
    assert given == {
        "source": "videos",
        "out": "mine",
        "face": None,
        "require_face": False,
        "gate": "cry",
        "arch": system("cha-bae"),
        "protocol": "grouped",
        "augment": 0,
        "subject_pattern": None,
        "n_folds": 5,
        "seed": 0,
        "cache": None,
        "tensorboard": None,
        "overwrite": False,
    }


def test_every_option_reaches_the_training(run: Any, given: dict[str, Any]) -> None:
    options = (
        *("--gate", "none", "--subject-pattern", "(b)", "--folds", "10"),
        *("--seed", "7", "--require-face", "--face-mode", "tracked", "--detect-every", "3"),
        *("--embed-every", "2", "--backbone-weights", "random", "--cache", "kept", "--overwrite"),
        *("--tensorboard", "curves", "--protocol", "kfold-10"),
    )
    assert run("train", "videos", "--out", "mine", *options).code == 0
    assert given["face"] == FaceConfig(
        mode="tracked",
        detect_every_frames=3,
        embed_every_frames=2,
        backbone_weights="random",
    )
    assert (given["gate"], given["subject_pattern"], given["n_folds"]) == ("none", "(b)", 10)
    assert (given["seed"], given["cache"], given["tensorboard"]) == (7, "kept", "curves")
    assert given["protocol"] == "kfold-10"
    assert given["require_face"]
    assert given["overwrite"]


@pytest.mark.parametrize(
    "option",
    [
        *(("--require-face",), ("--face-mode", "center"), ("--embed-every", "2")),
        *(("--detect-every", "2"), ("--backbone-weights", "random"), ("--tensorboard", "curves")),
    ],
    ids=lambda option: option[0],
)
def test_what_a_system_cannot_do_is_refused_by_name(
    run: Any, tmp_path: Path, option: tuple[str, ...]
) -> None:
    (tmp_path / "videos").mkdir()
    options = ("--out", tmp_path / "mine", "--arch", "tinytoes", *option)
    done = run("train", tmp_path / "videos", *options)
    assert done.code == 2
    assert "for cha-bae alone" in done.err
    assert "tinytoes" in done.err


def test_a_preset_is_a_system(run: Any, given: dict[str, Any]) -> None:
    assert run("train", "videos", "--out", "mine", "--preset", "svm-mfcc").code == 0
    assert given["arch"] == system("svm-mfcc")


def test_a_file_of_weights_is_found_from_any_folder(
    run: Any, given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("train", "videos", "--out", "mine", "--backbone-weights", "w.h5").code == 0
    assert given["face"].backbone_weights == str(tmp_path / "w.h5")


def test_the_exit_status_says_that_clips_failed(
    run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def train(*given: Any) -> Trained:
        return Trained(Bundle.load(BUNDLE_V1), ("a.mp4: there is no such file",))

    monkeypatch.setattr(fusion, "train_with", train)
    done = run("train", "videos", "--out", tmp_path / "mine")
    assert done.code == 3
    assert done.out.startswith("bundle tiny")


def test_a_stopped_training_says_that_it_can_be_gone_on_with(
    run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def stop(*given: Any, **settings: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fusion, "train_with", stop)
    done = run("train", "videos", "--out", tmp_path / "mine")
    assert (done.code, done.out) == (130, "")
    assert done.err.splitlines() == [
        "cryvision: the same command goes on from what is done",
        "cryvision: stopped",
    ]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ((), "--out"),
        (("--out", "mine", "--gate", "maybe"), "'maybe'"),
        (("--out", "mine", "--face-mode", "prettiest"), "'prettiest'"),
        (("--out", "mine", "--embed-every", "0"), "embed_every_frames must be 1 to"),
        (("--out", "mine", "--detect-every", "often"), "'often'"),
        (("--out", "mine", "--detect-every", "2", "--face-mode", "center"), "got center"),
        (("--out", "mine", "--folds", "two"), "'two'"),
    ],
)
def test_wrong_usage_is_exit_status_2(
    run: Any, given: dict[str, Any], options: tuple[str, ...], error: str
) -> None:
    done = run("train", "videos", *options)
    assert (done.code, done.out) == (2, "")
    assert error in done.err.splitlines()[-1]
    assert not given


# --- refused before anything is computed ----------------------------------------------------------


def refusal(done: Any, code: int) -> str:
    """The one line that was said."""
    assert (done.code, done.out) == (code, "")
    (line,) = done.err.splitlines()
    return line.removeprefix("cryvision: ")


def test_a_place_that_is_taken_is_refused(run: Any, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("notes")
    error = refusal(run("train", folder, "--out", tmp_path / "mine", "--overwrite"), 1)
    assert str(tmp_path / "mine") in error
    assert (tmp_path / "mine").read_text() == "notes"


def test_a_source_that_is_not_there_is_named(run: Any, tmp_path: Path) -> None:
    error = refusal(run("train", tmp_path / "none", "--out", tmp_path / "mine"), 1)
    assert str(tmp_path / "none") in error


def test_a_class_of_one_subject_is_refused(run: Any, folder: Path, tmp_path: Path) -> None:
    same = ("--subject-pattern", "(wav)")
    error = refusal(run("train", folder, "--out", tmp_path / "mine", *same), 2)
    assert "at least two subjects; 'calm' has one" in error


def test_a_manifest_with_a_missing_file_is_refused_by_its_line(
    run: Any, folder: Path, tmp_path: Path
) -> None:
    manifest = folder / "manifest.csv"
    manifest.write_text("path,label\ncalm/ada-1.wav,calm\ngone.wav,loud\n")
    error = refusal(run("train", manifest, "--out", tmp_path / "mine"), 1)
    assert f"{manifest}: files of a manifest must be there; missing are line 3: 'gone.wav'" in error


def test_required_faces_that_cannot_be_looked_at_end_the_training(
    run: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("CRYVISION_CACHE", str(tmp_path / "cache"))
    options = ("--gate", "none", "--folds", "2", "--require-face")
    done = run("train", folder, "--out", tmp_path / "mine", *options)
    assert (done.code, done.out) == (1, "")
    assert "cryvision fetch backbone" in done.err.splitlines()[-1]
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("option", ["--arch", "--protocol"])
def test_unknown_systems_and_protocols_are_refused_at_once(
    run: Any, folder: Path, tmp_path: Path, option: str
) -> None:
    done = run("train", folder, "--out", tmp_path / "mine", option, "best")
    assert (done.code, done.out) == (2, "")
    assert "must be one of" in done.err
    assert "got 'best'" in done.err
    assert not any(tmp_path.iterdir())
