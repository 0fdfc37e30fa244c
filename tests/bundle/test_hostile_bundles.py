"""Descriptions and models that lie: one BundleError, exit status 1, no traceback, no result."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import toy_videos
from bundles import BUNDLE_V1, mel_samples, reasons_bundle
from hostile import change_wildly, edit, keras_with, put, refusal

from cryvision import cli
from cryvision.bundle import Bundle
from cryvision.config import FaceConfig, to_json
from cryvision.errors import BundleError, ConfigError
from cryvision.inputs.pictures.backbone import cache_weights


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(BUNDLE_V1, tmp_path / "bundle"))


@pytest.fixture
def reasons(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a bundle with branches and an ensemble."""
    return Path(shutil.copytree(reasons_bundle(tmp_path_factory).folder, tmp_path / "reasons"))


@pytest.mark.parametrize("number", ["1" + "0" * 400, "-1" + "0" * 400, "1e400", "9" * 5000])
@pytest.mark.parametrize("field", ["smooth_seconds", "seed", "chance", "n_samples"])
def test_numbers_that_nothing_can_hold(folder: Path, field: str, number: str) -> None:
    place = folder / "bundle.json"
    text = place.read_text("utf-8")
    start = text.index(f'"{field}": ') + len(field) + 4
    end = min(text.index(mark, start) for mark in (",", "\n"))
    place.write_text(text[:start] + number + text[end:], "utf-8")
    assert "not JSON" in refusal(folder)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("smooth_seconds", 1e308),
        ("smooth_seconds", 3601),
        ("gate.min_event_seconds", 1e308),
        ("gate.min_gap_seconds", 1e300),
        ("gate.latency_seconds", 1e300),
        ("sound.hop_seconds", 1e-4),
        ("sound.hop_seconds", 1e308),
        ("sound.frame_hop_samples", 1),
        ("sound.n_mels", 10**9),
        ("sound.n_mfcc", 10**9),
        ("sound.n_fft", 10**12),
        ("sound.window_seconds", 1e308),
    ],
)
def test_settings_that_would_take_all_time_or_memory(
    folder: Path, place: str, value: float
) -> None:
    def change(description: dict[str, Any]) -> None:
        *group, name = place.split(".")
        holder = description
        if group:
            holder = description["parts"][0]["sound"] if group == ["sound"] else description["gate"]
        holder[name] = value

    edit(folder, change)
    refusal(folder)


@pytest.mark.parametrize("label", ["time_s", "cry", "face", "heard_cry", "heard_", "hungry_smooth"])
def test_labels_that_are_columns_already(reasons: Path, label: str) -> None:
    edit(reasons, lambda d: d.update(labels=[*d["labels"][:-1], label]))
    message = refusal(reasons)
    assert "must not have the name of a column" in message
    assert label in message


def test_such_labels_are_refused_before_training(tmp_path: Path) -> None:
    import cryvision

    rows = np.random.default_rng(0).normal(size=(40, 3))
    labels = ["cry", "other"] * 20
    subjects = [str(i // 2) for i in range(40)]
    with pytest.raises(ConfigError, match="name of a column; got 'cry'"):
        cryvision.train_arrays({"mine": rows}, labels, subjects, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_detector_alone_may_have_the_label_cry() -> None:
    assert Bundle.load(BUNDLE_V1).labels == ("no cry", "cry")


def test_settings_that_do_not_fit_the_model(folder: Path, tone_wav: Path) -> None:
    """Found at loading, by the bundle's own fault: not a usage error in the middle."""
    edit(folder, lambda d: d["parts"][0]["sound"].update(n_mels=41))
    with pytest.raises(BundleError, match=r"'mel' must have the shape \(22, 41\)"):
        Bundle.load(folder).model("detector")
    assert cli.main(["classify", str(tone_wav), "--bundle", str(folder)]) == 1


def test_an_ensemble_of_another_number_of_classes(reasons: Path) -> None:
    edit(reasons, lambda d: d.update(labels=["hungry", "tired"]))
    with pytest.raises(BundleError, match="must have"):
        Bundle.load(reasons).model("ensemble")


class TestKeras:
    """The same models by way of Keras, which is asked for by name."""

    @staticmethod
    def with_weights(change: Callable[[np.ndarray], np.ndarray]) -> bytes:
        with zipfile.ZipFile(BUNDLE_V1 / "detector.keras") as archive:
            weights = io.BytesIO(archive.read("model.weights.h5"))
        with h5py.File(weights, "r+") as file:
            place = file["layers/dense_1/vars/1"]
            place[...] = change(place[...])
        return keras_with(model__weights__h5=weights.getvalue())

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_weights_that_are_no_numbers(
        self, folder: Path, value: float, tone_wav: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        put(folder, "detector.keras", self.with_weights(lambda w: w * np.float32(value)))
        with pytest.raises(BundleError, match="not from 0 to 1"):
            Bundle.load(folder).model("detector", "keras").predict({"mel": mel_samples(3) * np.inf})
        arguments = ["--bundle", str(folder), "--runtime", "keras"]
        status = cli.main(["classify", str(tone_wav), *arguments])
        printed, errors = capfd.readouterr()
        if np.isnan(value):
            assert (status, printed) == (1, "")
            assert errors.splitlines()[-1].endswith("not from 0 to 1")
        assert "Traceback" not in errors

    def test_layers_that_fail_at_run_time(self, folder: Path) -> None:
        def change(config: dict[str, Any]) -> None:
            layer = config["config"]["layers"][1]
            layer.update(class_name="Embedding", module="keras.layers")
            layer["config"] = {"name": "rescaling", "input_dim": 2, "output_dim": 2}

        put(folder, "detector.keras", keras_with(change))
        with pytest.raises(BundleError, match=r"detector\.keras"):
            Bundle.load(folder).model("detector", "keras").predict({"mel": mel_samples(3)})


def test_many_changed_descriptions_never_give_a_traceback(folder: Path, tone_wav: Path) -> None:
    """Whatever stands in a field, the command ends as it should."""
    place = folder / "bundle.json"
    original = json.loads(place.read_text("utf-8"))
    random = np.random.default_rng(11)
    for _ in range(150):
        description = json.loads(json.dumps(original))
        for _ in range(random.integers(1, 3)):
            change_wildly(description, random)
        place.write_text(json.dumps(description), "utf-8")
        assert cli.main(["classify", str(tone_wav), "--bundle", str(folder)]) in (0, 1)


@pytest.mark.parametrize(
    "weights",
    [
        *("/etc/passwd", "../w.onnx", "w.onnx", "C:/w.h5", r"\\host\share\w.onnx", "/dev/zero"),
        *("sha256:", "sha256:../../w", "sha256:" + "0" * 63, "SHA256:" + "0" * 64, "http://h/w.h5"),
    ],
)
def test_a_bundle_names_no_path_for_its_backbone(folder: Path, weights: str) -> None:
    """A pipe would hang, a share would be told who asks."""

    def change(description: dict[str, Any]) -> None:
        face = to_json(FaceConfig(backbone_weights="imagenet"))
        part = {**description["parts"][0], "kind": "branch", "name": "f", "inputs": ["face"]}
        part.update(sound=None, face={**face, "backbone_weights": weights})
        description["parts"].append(part)

    edit(folder, change)
    message = refusal(folder)
    assert "parts[1]" in message
    assert "backbone_weights" in message or "embedding_width" in message


def test_weights_that_a_path_names_are_saved_by_their_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRYVISION_CACHE", str(tmp_path / "cache"))
    config = toy_videos.face_config(tmp_path)
    Path(config.backbone_weights).chmod(0o400)
    named = cache_weights(config)
    assert named.backbone_weights.startswith("sha256:")
    assert str(tmp_path) not in json.dumps(to_json(named))
