"""``train-audio-only`` makes a bundle and a report of a corpus; when stopped, it goes on later."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import lab
import numpy as np
import phones
import pytest
from bundles import reasons_bundle, untrained_branch
from toy_stack import fit_at_once, untrained_ensemble

from cryvision import cli
from cryvision.bundle import Bundle
from cryvision.commands import evaluate, train_audio_only
from cryvision.datasets import protocols
from cryvision.errors import CryvisionError
from cryvision.inference.label_policy import has_skill
from cryvision.training import (
    branches,
    clip_features,
    cross_validation,
    stacking,
    systems,
    train_stack,
)
from cryvision.training.branches import Branch, Curves, Rows
from cryvision.training.options import SoundOptions
from cryvision.training.saving import Trained

N_PHONES = 4
Command = Callable[..., Any]


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle whose detector hears tones as crying."""
    return reasons_bundle(tmp_path_factory)


@pytest.fixture
def command(run: Command, gate: Bundle, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Return ``command(*arguments) -> Done``; the gate is the bundle that ships, too."""
    load = Bundle.load
    monkeypatch.setattr(
        Bundle, "load", classmethod(lambda cls, path=None: load(path or gate.folder))
    )
    monkeypatch.setattr(cli, "GROUPS", {"use": (train_audio_only, evaluate)})
    return run


@pytest.fixture
def train(command: Command, gate: Bundle) -> Command:
    """Return ``train(*arguments) -> Done`` with the gate that hears tones, and two folds."""
    options = ("--gate", gate.folder, "--folds", "2")
    return lambda *arguments: command("train-audio-only", *options, *arguments)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Branches that are not fitted, and an ensemble that is, at once."""
    system = systems.SYSTEMS["cha-bae"]
    recipe = tuple(_unfitted(branch.feature) for branch in system.recipe)
    monkeypatch.setattr(
        systems, "SYSTEMS", {**systems.SYSTEMS, "cha-bae": replace(system, recipe=recipe)}
    )
    monkeypatch.setattr(branches, "fit_early_stopped", fit_at_once)
    for module in (cross_validation, train_stack):
        fit = functools.partial(stacking.fit_stack, n_folds=2)
        monkeypatch.setattr(module, "fit_stack", fit)


@pytest.fixture
def unfitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ensemble that is not fitted, where it does not matter what it learns."""
    monkeypatch.setattr(branches, "fit_ensemble", untrained_ensemble)


def _unfitted(feature: str) -> Branch:
    made: dict[tuple[int, ...], Any] = {}

    def fit(rows: Rows, n_classes: int, seed: int) -> tuple[Any, Curves]:
        # One network for all folds: making one takes longer than all that is done with it.
        shape = (*rows.inputs.shape[1:], n_classes)
        if shape not in made:
            made[shape] = untrained_branch(feature, rows.inputs.astype(np.float32), n_classes)
        return made[shape], {"classifier loss": [1.0]}

    return Branch(f"branch_{feature}", feature, fit)


def log_lines(err: str) -> list[str]:
    """Lines of the log; what TensorFlow writes of itself is not ours."""
    lines = [line for line in err.splitlines() if line.startswith("cryvision: ")]
    return [line.removeprefix("cryvision: ") for line in lines]


@pytest.mark.usefixtures("quick")
def test_a_training_that_is_stopped_goes_on_and_says_what_it_is_worth(
    train: Command, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    corpus = phones.write_corpus(tmp_path / "corpus", N_PHONES)
    broken = corpus / "tired" / phones.clip_name(0, 9, "tired")
    broken.write_text("this is no sound")
    out = tmp_path / "reasons"
    fit = cross_validation.fit_stack
    n_fits = 0

    def stopped_in_the_second_fold(*given: Any, **options: Any) -> Any:
        nonlocal n_fits
        n_fits += 1
        if n_fits == 2:
            raise KeyboardInterrupt
        return fit(*given, **options)

    monkeypatch.setattr(cross_validation, "fit_stack", stopped_in_the_second_fold)
    first = train(corpus, "--out", out)
    assert (first.code, first.out) == (130, "")
    assert "fold 1 of 2" in log_lines(first.err)
    assert not out.exists()

    second = train(corpus, "--out", out)
    assert second.code == 3  # a clip failed
    assert any(line.startswith(f"left out: {broken}") for line in log_lines(second.err))
    assert "fold 1 of 2" not in log_lines(second.err)
    assert "fold 2 of 2" in log_lines(second.err)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("corpus", "reasons", "reasons-report")
    ]
    _check_bundle(second, out)
    _check_report(tmp_path / "reasons-report")
    _check_evaluation(command("evaluate", out, corpus, "--json"))


@pytest.mark.usefixtures("quick", "unfitted", "no_figures")
def test_copies_are_told_those_that_are_found_and_those_that_are_made(
    train: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_features, "vary", lambda samples, rng: samples * rng.uniform(0.5, 1))
    corpus = phones.write_corpus(tmp_path / "corpus", N_PHONES)
    original = corpus / "tired" / phones.clip_name(0, 1, "tired")
    for phone in range(1, N_PHONES):
        copy = corpus / "tired" / phones.clip_name(phone, 10 * phone + 1, "tired")
        copy.write_bytes(original.read_bytes())
    done = train(corpus, "--out", tmp_path / "out", "--augment", "1")
    assert done.code == 0, done.err
    # Two folds of four phones: whichever way they fall, each has a copy of what the other learns.
    (line,) = (line for line in log_lines(done.err) if "also in training" in line)
    assert "cryvision audit names the copies" in line
    record = json.loads((tmp_path / "out-report" / "report.json").read_text())
    assert record["on_both_sides"]["duplicates"] == N_PHONES
    assert record["on_both_sides"]["subjects"] == 0
    protocol = "grouped 2-fold, training clips with altered copies (1 each)"
    assert protocol in done.out
    assert record["protocol"] == protocol
    assert record["units"]["clip"]["n"] == 2 * N_PHONES  # what is judged stays as recorded


@pytest.mark.usefixtures("quick", "unfitted", "no_figures")
def test_a_leaky_protocol_warns_wherever_its_figures_stand(
    command: Command, gate: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(protocols, "CLIPS_PER_CLASS", 6)
    corpus = phones.write_corpus(tmp_path / "corpus", N_PHONES)
    options = ("--gate", gate.folder, "--protocol", "leak-duplicate")
    done = command("train-audio-only", corpus, "--out", tmp_path / "out", *options)
    assert done.code == 0, done.err
    warning = protocols.PROTOCOLS["leak-duplicate"].warning
    assert any("not a measure of skill" in line and warning in line for line in log_lines(done.err))
    assert "not a measure of skill" in done.out
    bundle = Bundle.load(tmp_path / "out")
    entry = next(e for e in bundle.skill if e["part"] == "ensemble")
    assert entry["protocol"].startswith("leak-duplicate: ")
    assert not has_skill(bundle.skill, "ensemble", ("sound",))
    assert warning in (tmp_path / "out-report" / "report.md").read_text()
    record = json.loads((tmp_path / "out-report" / "report.json").read_text())
    assert record["on_both_sides"]["same_files"] > 0


def _check_bundle(done: Any, out: Path) -> None:
    bundle = Bundle.load(out)
    assert bundle.labels == ("hungry", "tired")
    assert [part.kind for part in bundle.parts] == ["detector", "branch", "branch", "ensemble"]
    assert {entry["unit"] for entry in bundle.skill if entry["part"] == "ensemble"} == {
        *("clip", "window")
    }
    assert done.out.startswith("bundle reasons, sha256 ")
    assert "grouped 2-fold" in done.out
    assert log_lines(done.err)[-2:] == [f"wrote {out}", f"wrote {out}-report"]


def _check_report(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {
        *("report.json", "report.md", "confusion.png", "reliability.png", "learning_curves.png")
    }
    record = json.loads((folder / "report.json").read_text())
    assert record["subjects"] == {"n": N_PHONES, "known_from": "pattern"}
    shared = record["on_both_sides"]  # near-duplicates too: notes of one pitch are alike
    assert (shared["subjects"], shared["same_files"], shared["duplicates"]) == (0, 0, 0)
    assert set(record["learning_curves"]) == {"branch_mfcc", "branch_stft", "ensemble"}
    assert record["learning_curves"]["ensemble"] == {"loss": [0.0]}
    windows = record["units"]["window"]
    assert windows["n"] == 2 * N_PHONES * 4  # windows of 2 s end at 2, 2.5, 3 and 3.5 of 3.7 s


def _check_evaluation(done: Any) -> None:
    """Judged on what it was trained on, the bundle says so."""
    assert done.code == 3
    (record,) = done.objects
    assert record["units"]["clip"]["n"] == 2 * N_PHONES
    assert any("may have been in the bundle's training" in word for word in record["warnings"])


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--folds", "1"), 2, "n_folds must be at least 2; got 1"),
        (("--folds", "two"), 2, "invalid int value: 'two'"),
        (("--subject-pattern", "nobody"), 2, "must have a group"),
        (("--gate", "nowhere"), 1, "nowhere"),
        (("--arch", "best"), 2, "got 'best'"),
        (("--protocol", "best"), 2, "got 'best'"),
        (("--augment", "-1"), 2, "from 0 to 20 copies; got -1"),
        (("--augment", "1", "--protocol", "leak-augment"), 2, "make no copies themselves"),
        (("--width", "4"), 2, "cha-bae is no single network"),
        (("--arch", "tinytoes", "--width", "0"), 2, "must be at least 1; got 0"),
        (("--arch", "tinytoes", "--learning-rate", "-1"), 2, "must be positive; got -1"),
        (("--window", "0.001"), 2, "got 0.001"),
        (("--protocol", "kfold-10", "--folds", "3"), 2, "10 folds of its own; got 3"),
        (("--arch", "tinytoes", "--gate", "mine"), 2, "tinytoes takes whole clips"),
    ],
)
def test_wrong_usage_is_a_line_and_leaves_nothing(
    command: Command, tmp_path: Path, options: tuple[str, ...], code: int, words: str
) -> None:
    corpus = phones.write_corpus(tmp_path / "corpus")
    done = command("train-audio-only", corpus, "--out", tmp_path / "out", *options)
    assert (done.code, done.out) == (code, "")
    assert words in done.err.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


def test_a_system_may_be_changed_on_the_command_line(
    run: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given: list[SoundOptions] = []

    def stop(corpus: str, out: str, options: SoundOptions) -> Trained:
        given.append(options)
        raise CryvisionError("seen enough")

    monkeypatch.setattr("cryvision.training.train.train_sound_with", stop)
    monkeypatch.setattr(cli, "GROUPS", {"use": (train_audio_only,)})
    options = ("--width", "8", "--window", "0.975", "--learning-rate", "0.01", "--augment", "3")
    assert run("train-audio-only", tmp_path, "--arch", "deepinfant-v1", *options).code == 1
    changed = given[0].system
    (sound,) = changed.settings.values()
    # A hop of 1.024 s would leave gaps; frames are 32 ms apart.
    assert (sound.window_seconds, sound.hop_seconds) == pytest.approx((0.975, 0.96))
    assert (changed.network.width, changed.network.highest_rate) == (8, 0.01)
    published = systems.system("deepinfant-v1").network
    assert changed.network.rate / 0.01 == pytest.approx(published.rate / published.highest_rate)
    assert given[0].augment == 3


def test_a_window_too_short_for_a_network_is_one_line(command: Command, tmp_path: Path) -> None:
    corpus = phones.write_corpus(tmp_path / "corpus", N_PHONES)
    options = ("--arch", "deepinfant-v2", "--window", "0.1")
    done = command("train-audio-only", corpus, "--out", tmp_path / "out", *options)
    assert done.code == 2
    assert "a window must have more than 3 frames of 80 columns" in log_lines(done.err)[-1]


def test_a_place_that_is_taken_is_refused_at_once(train: Command, tmp_path: Path) -> None:
    taken = tmp_path / "notes"
    taken.write_text("mine")
    done = train(tmp_path, "--out", taken)
    assert (done.code, done.out) == (1, "")
    assert log_lines(done.err) == [f"{taken}: exists already; nothing was written"]
    assert taken.read_text() == "mine"


def test_a_corpus_of_one_class_or_without_crying_trains_nothing(
    train: Command, tmp_path: Path
) -> None:
    corpus = phones.write_corpus(tmp_path / "one", 2, {"hungry": 300.0})
    done = train(corpus, "--out", tmp_path / "out")
    assert done.code == 2
    assert "clips of two classes or more; got hungry" in done.err
    silent = phones.write_corpus(tmp_path / "silent")
    for path in silent.rglob("*.wav"):
        lab.write_wav(path, np.zeros(48_000, np.float32))
    done = train(silent, "--out", tmp_path / "out")
    assert done.code == 1
    assert "training needs clips with crying in them" in done.err


def test_without_a_corpus_donateacry_is_asked_for(
    train: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fetched() -> Path:
        return tmp_path / "fetched"

    monkeypatch.setattr("cryvision.datasets.donateacry.fetch_donateacry", fetched)
    done = train("--out", tmp_path / "out")
    assert done.code == 1
    assert f"nothing is at {tmp_path / 'fetched'}" in done.err
