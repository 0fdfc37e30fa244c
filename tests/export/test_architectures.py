"""Layers that converters stumble over: LSTM, attention, gates; in every kind of file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toys

from cryvision.bundle import Bundle
from cryvision.errors import CryvisionError
from cryvision.export.block_lstm import without_loops
from cryvision.export.deploy import SUFFIXES, export

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


@pytest.mark.slow
def test_eight_bits_for_litert_are_made_or_clearly_refused(
    branch: dict[str, Bundle], tmp_path: Path, recordings: Path
) -> None:
    # TensorFlow 2.21 crashes there; a version that does not may write the file.
    target = tmp_path / "branch.tflite"
    refusal = ""
    try:
        export(branch["lstm"], target, precision="int8", representative=recordings)
    except CryvisionError as error:
        refusal = str(error)
    assert target.is_file() == (refusal == "")
    assert refusal == "" or "LiteRT in int8: TensorFlow's converter failed" in refusal


class TestWithoutLoops:
    @pytest.fixture(scope="class")
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
