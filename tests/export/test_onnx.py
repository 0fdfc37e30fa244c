"""ONNX copies: made, compared with Keras, and refused when they differ."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from bundles import BUNDLE_V1, build_tiny_detector, make_tiny_bundle, mel_samples
from shipped_networks import build_tagger

from cryvision.bundle import Bundle
from cryvision.errors import ConfigError, CryvisionError
from cryvision.export import parity
from cryvision.export.onnx.parts import ONNX_TOLERANCE, compare, convert, part_files
from cryvision.models import frame_network
from cryvision.models.frame_network import EDGES, build_frame_network
from cryvision.models.tagger import CONTEXT, TAGS
from cryvision.runtime.loading import load_model

if TYPE_CHECKING:
    import keras

V1_ONNX = BUNDLE_V1 / "detector.onnx"
SAMPLES = {"mel": mel_samples(16)}
ONE = {"probabilities": np.array([[0.5], [0.25]], np.float32)}


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return build_tiny_detector(seed=1)


@pytest.fixture(scope="module")
def reference() -> dict[str, np.ndarray]:
    """What Keras gives for the model whose ONNX copy is in the first bundle."""
    import keras

    from cryvision.models.calibration import calibration_layer_class

    calibration_layer_class()
    v1 = keras.saving.load_model(BUNDLE_V1 / "detector.keras")
    both = keras.Model(v1.inputs, [v1.get_layer("logits").output, v1.outputs[0]])
    outputs = both([SAMPLES["mel"]], training=False)
    names = ("logits", "probabilities")
    return {n: keras.ops.convert_to_numpy(o) for n, o in zip(names, outputs, strict=True)}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return Bundle.load(make_tiny_bundle(tmp_path_factory.mktemp("tiny") / "bundle"))


def rewritten(path: Path, change: float) -> Path:
    """A copy of the first bundle's ONNX file with its weights multiplied."""
    copy = onnx.load(V1_ONNX)
    for tensor in copy.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype == np.float32:
            tensor.CopyFrom(onnx.numpy_helper.from_array(values * np.float32(change), tensor.name))
    onnx.save(copy, path)
    return path


def noise(n_frames: int) -> np.ndarray:
    """Frames as a frame network takes them, of four items."""
    rng = np.random.default_rng(n_frames)
    return rng.normal(size=(4, n_frames, EDGES.n_mels)).astype(np.float32)


def lively(model: keras.Model) -> keras.Model:
    """Give batch normalizations statistics that are not those of an untrained model."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.path.endswith("moving_variance"):
            weight.assign(rng.uniform(1.0, 3.0, weight.shape))
        elif weight.path.endswith(("moving_mean", "beta")):
            weight.assign(rng.normal(0, 0.3, weight.shape))
    return model


@pytest.fixture(scope="module")
def network_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Path]]:
    """Files of a frame network and of a tagger, by name and runtime."""
    import keras

    keras.utils.set_random_seed(1)
    with pytest.MonkeyPatch.context() as patch:
        # One block spans as much as all of them, and is converted in a third of the time.
        patch.setattr(frame_network, "DILATIONS", (sum(frame_network.DILATIONS),))
        edges = lively(build_frame_network(width=16))
    folder = tmp_path_factory.mktemp("networks")
    samples = {"logmel": noise(100)}
    frames = {"logmel": noise(EDGES.window_frames + 3)}
    return {
        "edges": part_files(edges, folder, "edges", frames)[0],
        "tagger": part_files(lively(build_tagger()), folder, "tagger", samples)[0],
    }


class TestComparing:
    def test_a_true_copy_agrees(self, reference: dict[str, np.ndarray]) -> None:
        agreement = compare(V1_ONNX, SAMPLES, reference, "v1")
        assert agreement["n_samples"] == 16
        assert set(agreement["max_difference"]) == {"logits", "probabilities"}
        assert max(agreement["max_difference"].values()) <= ONNX_TOLERANCE

    @pytest.mark.parametrize(
        ("change", "named"), [(1.02, "must agree within 0.0001"), (np.nan, "not finite")]
    )
    def test_a_wrong_copy_fails(
        self, reference: dict[str, np.ndarray], tmp_path: Path, change: float, named: str
    ) -> None:
        wrong = rewritten(tmp_path / "wrong.onnx", change)
        with pytest.raises(CryvisionError, match=named):
            compare(wrong, SAMPLES, reference, "wrong.onnx")

    def test_samples_of_another_shape_fail(self, reference: dict[str, np.ndarray]) -> None:
        with pytest.raises(ConfigError, match="shape"):
            compare(V1_ONNX, {"mel": SAMPLES["mel"][:, 1:]}, reference, "v1")


class TestConverting:
    def test_the_copy_has_free_batches_named_inputs_and_both_outputs(
        self, model: keras.Model, tmp_path: Path
    ) -> None:
        path = tmp_path / "model.onnx"
        agreement = convert(model, path, SAMPLES)
        assert max(agreement["max_difference"].values()) <= ONNX_TOLERANCE
        graph = onnx.load(path).graph
        assert [i.name for i in graph.input] == ["mel"]
        assert {o.name for o in graph.output} == {"logits", "probabilities"}
        assert not graph.input[0].type.tensor_type.shape.dim[0].HasField("dim_value")
        assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]

    def test_weights_that_are_not_finite_fail_and_leave_no_file(self, tmp_path: Path) -> None:
        broken = build_tiny_detector()
        hidden = broken.get_layer("hidden")
        hidden.set_weights([w * np.nan for w in hidden.get_weights()])
        with pytest.raises(CryvisionError, match="not finite"):
            convert(broken, tmp_path / "model.onnx", SAMPLES)
        assert list(tmp_path.iterdir()) == []

    def test_a_model_without_logits_and_samples_without_its_inputs_are_named(
        self, model: keras.Model, tmp_path: Path
    ) -> None:
        import keras

        headless = keras.Model(model.inputs, model.get_layer("hidden").output)
        with pytest.raises(CryvisionError, match="layer named 'logits'"):
            convert(headless, tmp_path / "model.onnx", SAMPLES)
        with pytest.raises(CryvisionError, match="'mel' is missing"):
            convert(model, tmp_path / "model.onnx", {"mfcc": SAMPLES["mel"]})

    def test_a_compiled_model_is_saved_without_what_training_needs(
        self, tmp_path: Path, model: keras.Model
    ) -> None:
        import keras

        compiled = keras.Model(model.inputs, model.outputs)
        compiled.compile("adam", "binary_crossentropy")
        files, _ = part_files(compiled, tmp_path, "detector", SAMPLES)
        assert set(files) == {"keras", "onnx"}
        with zipfile.ZipFile(files["keras"]) as archive:
            assert not json.loads(archive.read("config.json"))["compile_config"]

    def test_arguments_that_an_older_keras_does_not_know_are_left_out(
        self, tmp_path: Path, model: keras.Model
    ) -> None:
        files, _ = part_files(model, tmp_path, "detector", SAMPLES)
        with zipfile.ZipFile(files["keras"]) as archive:
            config = archive.read("config.json").decode()
        newer = ("input_axes", "output_axes", "quantization_config", "renorm")  # than 3.12
        assert [name for name in newer if name in config] == []


class TestLogMelNetworks:
    def test_a_frame_network_gives_steps_for_any_number_of_frames(
        self, network_files: dict[str, dict[str, Path]]
    ) -> None:
        onnx_model, keras_model = (
            load_model(network_files["edges"][r], r) for r in ("onnx", "keras")
        )
        for n_more in (0, 1, 10, 151):
            batch = {"logmel": noise(EDGES.window_frames + n_more)}
            expected = keras_model.predict(batch)
            assert expected.shape == (4, 1 + n_more // EDGES.hop_frames, 1)
            assert np.abs(onnx_model.predict(batch) - expected).max() <= ONNX_TOLERANCE
        assert expected.std() > 0.01

    def test_a_tagger_gives_a_score_for_each_tag_and_is_small(
        self, network_files: dict[str, dict[str, Path]]
    ) -> None:
        batch = {"logmel": noise(CONTEXT.window_frames)}
        onnx_model, keras_model = (
            load_model(network_files["tagger"][r], r) for r in ("onnx", "keras")
        )
        expected = keras_model.predict(batch)
        assert expected.shape == (4, len(TAGS))
        assert expected.std() > 0.01
        assert np.abs(onnx_model.predict(batch) - expected).max() <= ONNX_TOLERANCE
        assert network_files["tagger"]["onnx"].stat().st_size < 1_000_000


class TestBundles:
    def test_both_runtimes_of_a_saved_bundle_agree(self, bundle: Bundle) -> None:
        onnx_model, keras_model = (bundle.model("detector", r) for r in ("onnx", "keras"))
        difference = onnx_model.predict(SAMPLES) - keras_model.predict(SAMPLES)
        assert np.abs(difference).max() <= ONNX_TOLERANCE

    def test_the_same_seed_gives_the_first_bundle_again(self, bundle: Bundle) -> None:
        again = bundle.model("detector").predict(SAMPLES)
        first = Bundle.load(BUNDLE_V1).model("detector").predict(SAMPLES)
        np.testing.assert_allclose(again, first, atol=ONNX_TOLERANCE)


class TestCalibration:
    @pytest.mark.parametrize("k", [1, 3])
    def test_probabilities_are_those_of_the_published_formula(self, k: int) -> None:
        import keras

        from cryvision.models.calibration import calibration_layer_class

        logits = np.linspace(-4, 4, 5 * k, dtype=np.float32).reshape(5, k)
        bias = np.linspace(-0.5, 1, k, dtype=np.float32)
        layer = calibration_layer_class()()
        layer(logits)
        layer.set_calibration(2.5, bias)
        scaled = logits / 2.5 + bias
        expected = 1 / (1 + np.exp(-scaled))
        if k > 1:
            expected = np.exp(scaled) / np.exp(scaled).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(logits)), expected, atol=1e-6)
        assert layer.trainable_weights == []

    @pytest.mark.parametrize(("temperature", "bias"), [(0, [0]), (np.nan, [0]), (1, [0, 0])])
    def test_settings_that_make_no_sense(self, temperature: float, bias: list[float]) -> None:
        from cryvision.models.calibration import calibration_layer_class

        layer = calibration_layer_class()()
        layer(np.zeros((1, 1), np.float32))
        with pytest.raises(ConfigError, match=r"temperature|bias"):
            layer.set_calibration(temperature, np.array(bias))


class TestParity:
    @pytest.mark.parametrize(
        ("candidate", "named"),
        [
            ({}, "got none"),
            ({"probabilities": np.zeros((1, 1), np.float32)}, "shape"),
            ({"probabilities": np.full((2, 1), np.nan, np.float32)}, "not finite"),
            ({"probabilities": np.full((2, 1), 0.5, np.float32)}, "differs by 0.25"),
        ],
    )
    def test_disagreements_fail(self, candidate: dict[str, np.ndarray], named: str) -> None:
        with pytest.raises(CryvisionError, match=named):
            parity.max_differences(ONE, candidate, 1e-4, "here")

    def test_nothing_to_compare_fails(self) -> None:
        nothing = {"probabilities": np.zeros((0, 1), np.float32)}
        with pytest.raises(CryvisionError, match="hold something"):
            parity.max_differences(nothing, nothing, 1e-4, "here")
