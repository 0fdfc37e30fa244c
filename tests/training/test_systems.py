"""Every published system learns, judges strangers, and becomes a bundle like any other."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from tones import LABELS, WIDTHS, mean_network, rows_of, samples_of, small, sound_of, strangers
from toy_stack import fit_at_once

from cryvision.bundle import Bundle
from cryvision.bundle.saving import Description
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.errors import ConfigError
from cryvision.inference.clip import classify
from cryvision.training import branches
from cryvision.training.networks import Network
from cryvision.training.options import SoundOptions
from cryvision.training.saving import save_stack
from cryvision.training.stacking import Samples, Stack, fit_stack
from cryvision.training.systems import CRY, NONE, SYSTEMS, System, system

TRAIN_ACCURACY = 0.75
"""Of three classes as different as these: far above the third that guessing gets."""

SAME = 1e-4
"""ONNX and Keras sum in another order."""

DEEP = ("deepinfant-v2", "deepinfant-v1", "deepinfant-vggish", "tinytoes")
CLASSICAL = tuple(name for name in SYSTEMS if name.endswith("-mfcc"))

FITTED = [
    pytest.param(name, marks=pytest.mark.slow if name in (*DEEP, "dnn-mfcc") else ())
    for name in (*DEEP, *CLASSICAL)
]
"""Deep systems take minutes; in the default run, a smaller network is fitted in their way."""

SAVED = "random-forest-mfcc"
BUNDLED = [
    pytest.param(name, marks=() if name == SAVED else pytest.mark.slow)
    for name in (*DEEP, *CLASSICAL)
]
"""One becomes a bundle in the default run. That a file of each classifier says the same in ONNX is
tested with `cryvision.models.baselines`."""


@dataclass(frozen=True)
class Fitted:
    """A system fitted on two thirds of the subjects, and how it told the sounds of the others."""

    system: System
    samples: Samples
    seen: Samples
    model: Any
    accuracy: float


@pytest.fixture(scope="module")
def fitted():
    """Return ``fitted(name) -> Fitted``, fitted once."""
    done: dict[str, Fitted] = {}

    def give(name: str) -> Fitted:
        if name not in done:
            done[name] = fit(small(name))
        return done[name]

    return give


@pytest.fixture(scope="module")
def bundled(fitted, tmp_path_factory: pytest.TempPathFactory):
    """Return ``bundled(name) -> Bundle`` with what was fitted, saved once."""
    done: dict[str, Bundle] = {}

    def give(name: str) -> Bundle:
        if name not in done:
            done[name] = save(fitted(name), tmp_path_factory.mktemp("systems") / name)
        return done[name]

    return give


def fit(chosen: System) -> Fitted:
    samples = samples_of(chosen)
    aside = strangers(samples)
    seen, unseen = samples[np.flatnonzero(~aside)], samples[np.flatnonzero(aside)]
    (branch,) = chosen.recipe
    model, curves = branch.fit(rows_of(seen, branch.feature), len(LABELS), 0)
    assert curves["loss"]
    predicted = branches.predict(model, unseen.features[branch.feature])
    right = float(np.mean(predicted.argmax(axis=1) == unseen.labels))
    return Fitted(chosen, samples, seen, model, right)


def save(known: Fitted, folder: Path) -> Bundle:
    """Put the branch behind an ensemble that learned at once from all it said."""
    (branch,) = known.system.recipe
    rows = rows_of(known.seen, branch.feature)
    outputs = {branch.name: branches.predict(known.model, known.seen.features[branch.feature])}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(branches, "fit_early_stopped", fit_at_once)
        ensemble, _ = branches.fit_ensemble(outputs, rows, len(LABELS), 0)
    stack = Stack(
        {branch.name: known.model}, ensemble, {"temperature": 1.0, "bias": np.zeros(3)}, {}
    )
    description = Description("tones", LABELS)
    settings = known.system.settings
    return save_stack(stack, known.system.recipe, settings, known.samples, folder, description)


@pytest.fixture(scope="module")
def wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of the low tone."""
    path = tmp_path_factory.mktemp("sound") / "low.wav"
    sound = sound_of("low", 3 * SAMPLE_RATE_HZ, np.random.default_rng(5))
    soundfile.write(path, sound, SAMPLE_RATE_HZ)
    return path


def table(path: Path, bundle: Bundle, runtime: str) -> np.ndarray:
    """Probabilities on the timeline, shape (n_frames, n_classes)."""
    result = classify(path, bundle, runtime=runtime)
    return np.stack([result.timeline[label] for label in LABELS], axis=1)


def by_both_runtimes(saved: Bundle, path: Path) -> np.ndarray:
    """Give what is said of a file, once both runtimes say the same; shape (n_frames, n_classes)."""
    bundle = Bundle.load(saved.folder)
    by_onnx, by_keras = (table(path, bundle, runtime) for runtime in ("onnx", "keras"))
    known = ~np.isnan(by_onnx).any(axis=1)
    assert known.any()
    np.testing.assert_allclose(by_onnx[known], by_keras[known], atol=SAME)
    return by_onnx[known]


class TestTraining:
    @pytest.mark.parametrize("name", FITTED)
    def test_it_tells_sounds_of_subjects_it_has_not_heard(self, name: str, fitted) -> None:
        assert fitted(name).accuracy > TRAIN_ACCURACY

    @pytest.mark.parametrize("name", BUNDLED)
    def test_its_bundle_classifies_a_file_as_keras_does(
        self, name: str, bundled, wav: Path
    ) -> None:
        predicted = by_both_runtimes(bundled(name), wav)
        assert LABELS[int(predicted.mean(axis=0).argmax())] == "low"

    def test_a_network_tells_sounds_of_subjects_it_has_not_heard(self) -> None:
        network = Network("mel", mean_network, width=8, epochs=30, rate=1e-2)
        chosen = replace(small("deepinfant-vggish"), network=network, recipe=(network.branch(),))
        assert fit(chosen).accuracy > TRAIN_ACCURACY

    @pytest.mark.slow
    def test_the_deepest_network_does_both(self, fitted, bundled, wav: Path) -> None:
        self.test_it_tells_sounds_of_subjects_it_has_not_heard("tinytoes-resnet50", fitted)
        # As narrow as here, it is not sure enough of one file for its label to be tested.
        by_both_runtimes(bundled("tinytoes-resnet50"), wav)

    @pytest.mark.slow
    def test_the_same_seed_gives_the_same_network(self) -> None:
        chosen = small("deepinfant-vggish").with_network(width=2, epochs=1)
        samples = samples_of(chosen)
        (branch,) = chosen.recipe
        predicted = []
        for seed in (0, 0, 1):
            model, curves = branch.fit(rows_of(samples, "mel"), len(LABELS), seed)
            predicted.append(branches.predict(model, samples.features["mel"][:8]))
        np.testing.assert_array_equal(predicted[0], predicted[1])
        assert np.abs(predicted[0] - predicted[2]).max() > SAME
        assert len(curves["loss"]) == 1

    def test_one_branch_takes_the_way_of_all_stacks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(branches, "fit_early_stopped", fit_at_once)
        chosen = small("naive-bayes-mfcc")
        samples = samples_of(chosen)
        stack = fit_stack(chosen.recipe, samples, len(LABELS), 0, n_folds=2)
        predicted = stack.predict(chosen.recipe, samples)
        assert np.mean(predicted.argmax(axis=1) == samples.labels) > TRAIN_ACCURACY
        assert stack.calibration["temperature"] != 1.0


def test_the_published_classifiers_need_no_library_of_their_own(bundled, wav: Path) -> None:
    folder = bundled(SAVED).folder
    code = (
        "import sys\n"
        "for name in 'sklearn scipy keras tensorflow onnx'.split(): sys.modules[name] = None\n"
        "import cryvision\n"
        f"found = cryvision.classify({str(wav)!r}, {str(folder)!r})\n"
        "print(found.timeline['low'][-1] > 0.5)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "True", done.stderr


class TestExport:
    @pytest.mark.slow
    @pytest.mark.parametrize("kind", ["onnx", "litert", "coreml"])
    @pytest.mark.parametrize("name", [*WIDTHS, *CLASSICAL])
    def test_every_kind_of_file_agrees(
        self, name: str, kind: str, bundled, tmp_path: Path, wav: Path
    ) -> None:
        from cryvision.export.deploy import SUFFIXES, export

        if kind == "coreml":
            pytest.importorskip("coremltools", reason="coremltools has no wheel here")
        target = tmp_path / f"system{SUFFIXES[kind]}"
        report = export(bundled(name), target, precision="fp32", representative=wav)
        assert report.proofs[0].labels_predicted["probabilities"] > 1


class TestRegistry:
    def test_all_published_systems_are_there(self) -> None:
        table_2 = {
            f"{classifier}-{feature}"
            for classifier in ("svm", "naive-bayes", "random-forest", "decision-tree", "knn", "dnn")
            for feature in ("mfcc", "stft")
        }
        assert set(SYSTEMS) == {"cha-bae", "tinytoes-resnet50", *DEEP, *table_2}
        assert all(name == found.name for name, found in SYSTEMS.items())

    def test_an_unknown_name_is_refused_with_those_there_are(self) -> None:
        with pytest.raises(ConfigError, match=r"tinytoes, .*got 'whisper'"):
            system("whisper")

    @pytest.mark.parametrize("name", SYSTEMS)
    def test_a_stream_can_compute_what_it_hears(self, name: str) -> None:
        from cryvision.inference.branch_inputs import BranchInputs

        found = system(name)
        assert {branch.feature for branch in found.recipe} == set(found.settings)
        BranchInputs(found.settings, None, None, None)
        assert found.gate in (CRY, NONE)

    def test_windows_are_the_published_ones(self) -> None:
        v2, vggish = system("deepinfant-v2"), system("deepinfant-vggish")
        assert v2.settings["mel"].n_frames == 434  # 7 s at hop 256, frames not centred
        assert (vggish.settings["mel"].n_frames, vggish.settings["mel"].n_mels) == (96, 64)

    def test_windows_may_be_of_another_length(self) -> None:
        short = system("deepinfant-v2").with_window(2.0, 0.512)
        assert short.settings["mel"].window_seconds == 2.0
        assert short.settings["mel"].n_mels == 80
        assert system("deepinfant-v2").settings["mel"].window_seconds == 7.0

    def test_a_narrower_network_is_what_the_recipe_fits(self) -> None:
        narrow = system("tinytoes").with_network(width=4)
        assert narrow.network.width == 4
        assert narrow.recipe[0].fit == narrow.network.fit
        with pytest.raises(ConfigError, match="svm-mfcc is no single network"):
            system("svm-mfcc").with_network(width=4)

    def test_facts_tell_systems_and_their_changed_copies_apart(self) -> None:
        copies = [
            *SYSTEMS.values(),
            system("tinytoes").with_network(width=4),
            system("tinytoes").with_window(2.048, 0.512),
        ]
        facts = {json.dumps(found.facts(), sort_keys=True) for found in copies}
        assert len(facts) == len(copies)


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"arch": "deepinfant-v1", "gate": "mine"}, "deepinfant-v1 takes whole clips"),
        ({"protocol": "kfold-10", "n_folds": 3}, "kfold-10 has 10 folds of its own; got 3"),
    ],
)
def test_a_setting_that_the_system_or_the_protocol_has_no_use_for_is_refused(
    options: dict[str, Any], rule: str
) -> None:
    with pytest.raises(ConfigError, match=rule):
        SoundOptions(**options)
