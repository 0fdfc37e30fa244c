"""Layers that converters stumble over: LSTM, attention, gates; in every kind of file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toys

from cryvision.bundle import Bundle
from cryvision.errors import ConfigError, CryvisionError
from cryvision.export import windows
from cryvision.export.coreml.block_lstm import without_loops
from cryvision.export.deploy import export
from cryvision.export.graph import build_graph
from cryvision.export.options import SUFFIXES

pytestmark = pytest.mark.usefixtures("few_windows")

FLOAT32 = 1e-5

BUILDERS = {"lstm": toys.build_lstm_branch, "attention": toys.build_attention_branch}


@pytest.fixture(scope="module")
def branch(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    folder = tmp_path_factory.mktemp("branches")
    return {
        name: toys.save(folder / name, {name: ("branch", toys.MFCC, build(toys.MFCC))})
        for name, build in BUILDERS.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("kind", SUFFIXES)
def test_every_kind_of_file_agrees(
    branch: dict[str, Bundle], tmp_path: Path, name: str, kind: str
) -> None:
    if kind == "coreml":
        pytest.importorskip("coremltools", reason="coremltools has no wheel here")
    target = tmp_path / f"branch{SUFFIXES[kind]}"
    report = export(branch[name], target, part="reason", precision="fp16")
    assert report.proofs[0].labels_predicted["probabilities"] == len(toys.LABELS)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Sound and face together, on a small backbone with random weights."""
    return toys.make_face_bundle(tmp_path_factory.mktemp("faces") / "bundle")


class TestFaces:
    @pytest.mark.slow
    @pytest.mark.parametrize("kind", SUFFIXES)
    def test_crops_go_into_the_file(self, faces: Bundle, tmp_path: Path, kind: str) -> None:
        if kind == "coreml":
            pytest.importorskip("coremltools", reason="coremltools has no wheel here")
        target = tmp_path / f"reason{SUFFIXES[kind]}"
        report = export(faces, target, precision="fp32")
        inputs = json.loads(report.sidecar.read_text())["inputs"]
        assert set(inputs) == {"waveform", "face", "face_seen"}
        assert inputs["face"]["shape"] == [1, 64, 64, 3]

    def test_a_face_that_is_not_seen_has_no_say(self, faces: Bundle) -> None:
        graph = build_graph(faces, "reason")
        sound = np.repeat(toys.features(toys.MFCC, 1), 6, axis=0)
        inputs = {"mfcc": sound, "face": windows.pictures(64, 6)}
        for seen in (0.0, 1.0):
            inputs["face_seen"] = np.full((6, 1), seen, np.float32)
            found = np.asarray(graph.network(inputs)["probabilities"])
            assert (np.ptp(found, axis=0).max() < FLOAT32) == (seen == 0.0)

    def test_eight_bits_need_sound(self, faces: Bundle, tmp_path: Path) -> None:
        arguments = {"part": "face", "features": True, "precision": "int8"}
        with pytest.raises(ConfigError, match="the face takes none"):
            export(faces, tmp_path / "face.onnx", representative=tmp_path, **arguments)  # type: ignore[arg-type]

    def test_a_face_alone_needs_no_waveform(self, faces: Bundle, tmp_path: Path) -> None:
        report = export(faces, tmp_path / "face.tflite", part="face", features=True)
        inputs = json.loads(report.sidecar.read_text())["inputs"]
        assert inputs["face"]["shape"] == [1, 512]
        assert set(inputs) == {"face"}


class TestWithoutLoops:
    @pytest.fixture
    def model(self) -> Any:
        import keras
        from keras import layers

        keras.utils.set_random_seed(0)
        x = keras.Input((9, 4), name="x")
        both = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(x)
        last = layers.Bidirectional(layers.LSTM(3))(both)
        inner = keras.Model(x, last, name="inner")
        y = keras.Input((9, 4), name="y")
        backwards = layers.LSTM(3, return_sequences=True, go_backwards=True, use_bias=False)(y)
        return keras.Model({"y": y}, {"inner": inner(y), "backwards": backwards})

    def test_the_copy_gives_the_same(self, model: Any) -> None:
        x = np.random.default_rng(0).normal(size=(1, 9, 4)).astype(np.float32)
        expected, found = model({"y": x}), without_loops(model)({"y": x})
        for name in expected:
            np.testing.assert_allclose(found[name], expected[name], atol=FLOAT32)

    @pytest.mark.parametrize(
        ("options", "wrapped"),
        [({"activation": "relu"}, False), ({"stateful": True}, False), ({}, True)],
    )
    def test_other_forms_are_named(self, options: dict[str, Any], wrapped: bool) -> None:
        import keras
        from keras import layers

        x = keras.Input((9, 4), batch_size=1)
        layer = layers.LSTM(3, name="memory", **options)
        if wrapped:
            layer = layers.Bidirectional(layer, merge_mode="sum", name="memory")
        with pytest.raises(CryvisionError, match="memory"):
            without_loops(keras.Model(x, layer(x)))
