"""The sound branches: the feature's mean and spread in, class probabilities out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tolerances import RUNTIME_TOLERANCE

from cryvision.export.onnx.parts import part_files
from cryvision.models import cha_bae
from cryvision.runtime.loading import load_model
from cryvision.runtime.safe_load import check_keras, check_onnx

if TYPE_CHECKING:
    import keras

FLOAT32 = 1e-5

LARGEST_MEGABYTES = 1.0
SHAPES = {"mfcc": (97, 20), "stft": (97, 214)}
"""Of 2 s of sound."""

N_CLASSES = 5


def windows(feature: str, n: int = 6) -> np.ndarray:
    """Numbers in the range of decibels, loud and even in some windows and not in others."""
    rng = np.random.default_rng(0)
    level = np.linspace(-70, -10, n)[:, None, None]
    return (level + rng.normal(0, 8, (n, *SHAPES[feature]))).astype(np.float32)


def array(tensor: object) -> np.ndarray:
    import keras

    return np.asarray(keras.ops.convert_to_numpy(tensor))


def branch(feature: str) -> keras.Model:
    """An untrained branch that standardises by the windows above, calibrated by some numbers."""
    import keras

    keras.utils.set_random_seed(0)
    summary = cha_bae.build_summary(*SHAPES[feature], feature)
    summaries = array(summary(windows(feature)))
    scaling = cha_bae.build_scaling(summaries.mean(axis=0), summaries.var(axis=0))
    _, encoder = cha_bae.build_autoencoder(summaries.shape[1])
    classifier = cha_bae.build_classifier(encoder, N_CLASSES)
    classifier.get_layer("calibration").set_calibration(0.3, np.linspace(-1, 1, N_CLASSES))
    return cha_bae.build_branch(summary, scaling, classifier)


@pytest.fixture(scope="module", params=SHAPES)
def saved(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, keras.Model, dict[str, Path]]:
    feature = request.param
    model = branch(feature)
    folder = tmp_path_factory.mktemp("branch")
    files, _ = part_files(model, folder, f"branch_{feature}", {feature: windows(feature)})
    return feature, model, files


def test_both_files_give_what_the_model_gives_and_are_safe_to_read(
    saved: tuple[str, keras.Model, dict[str, Path]],
) -> None:
    feature, model, files = saved
    inputs = windows(feature)
    expected = array(model(inputs, training=False))
    assert expected.shape == (6, N_CLASSES)
    assert np.ptp(expected, axis=0).max() > 0.05
    for runtime, check in (("keras", check_keras), ("onnx", check_onnx)):
        data = files[runtime].read_bytes()
        check(data, runtime)
        assert len(data) < LARGEST_MEGABYTES * 1e6
        found = load_model(files[runtime], runtime).predict({feature: inputs})
        assert found == pytest.approx(expected, abs=RUNTIME_TOLERANCE)
        assert found.sum(axis=1) == pytest.approx(1, abs=FLOAT32)


def test_the_loaded_model_takes_windows_of_the_feature_by_its_name(
    saved: tuple[str, keras.Model, dict[str, Path]],
) -> None:
    feature, _, files = saved
    for runtime in files:
        model = load_model(files[runtime], runtime)
        assert (model.inputs, model.n_outputs) == ({feature: SHAPES[feature]}, N_CLASSES)


def test_the_summary_is_mean_and_standard_deviation_over_the_frames() -> None:
    inputs = windows("mfcc")
    inputs[0] = -40.0  # a constant window has no spread
    summary = array(cha_bae.build_summary(*SHAPES["mfcc"], "mfcc")(inputs))
    expected = np.concatenate([inputs.mean(axis=1), inputs.std(axis=1)], axis=1)
    assert summary == pytest.approx(expected, abs=1e-3)
    assert not summary[0, 20:].any()


def test_order_of_the_frames_has_no_say() -> None:
    model, inputs = branch("mfcc"), windows("mfcc")
    assert array(model(inputs[:, ::-1])) == pytest.approx(array(model(inputs)), abs=FLOAT32)


class TestScaling:
    def test_columns_are_standardised(self) -> None:
        rng = np.random.default_rng(0)
        rows = rng.normal([-50, 3], [7, 0.5], (200, 2)).astype(np.float32)
        scaled = array(cha_bae.build_scaling(rows.mean(axis=0), rows.var(axis=0))(rows))
        assert scaled.mean(axis=0) == pytest.approx([0, 0], abs=1e-4)
        assert scaled.std(axis=0) == pytest.approx([1, 1], abs=1e-4)

    def test_a_column_of_infinite_variance_is_silent(self) -> None:
        scaling = cha_bae.build_scaling(np.array([-40.0, 0.0]), np.array([np.inf, 1.0]))
        rows = np.array([[-40, 1], [60, 1]], np.float32)
        assert array(scaling(rows)) == pytest.approx(np.array([[0, 1], [0, 1]]), abs=1e-3)

    @pytest.mark.parametrize("unit", [1e-12, 1e8, 1e12])
    def test_columns_are_standardised_in_whatever_unit_they_are(self, unit: float) -> None:
        rows = (unit * np.random.default_rng(0).normal(0, 1, (200, 1))).astype(np.float32)
        variance = rows.var(axis=0, dtype=np.float64)
        scaled = array(cha_bae.build_scaling(rows.mean(axis=0), variance)(rows))
        assert scaled.std() == pytest.approx(1, abs=1e-4)

    def test_a_silent_column_stays_silent_however_far_it_moves(self) -> None:
        scaling = cha_bae.build_scaling(np.array([1e9]), np.array([np.inf]))
        assert array(scaling(np.array([[1e9], [5e9]], np.float32))) == pytest.approx(0, abs=1e-3)

    def test_nothing_in_it_is_trained(self) -> None:
        assert cha_bae.build_scaling(np.zeros(3), np.ones(3)).trainable_weights == []


def test_the_autoencoder_and_the_classifier_share_the_encoder() -> None:
    restorer, encoder = cha_bae.build_autoencoder(40)
    classifier = cha_bae.build_classifier(encoder, N_CLASSES)
    assert (restorer.output_shape, encoder.output_shape) == (
        (None, 40),
        (None, cha_bae.CODE_UNITS),
    )
    for name in ("encoder_hidden", "code"):
        assert classifier.get_layer(name) is restorer.get_layer(name)
    assert not {"decoder_hidden", "restored"} & {layer.name for layer in classifier.layers}


def test_the_joined_branch_is_the_trained_pieces_one_after_the_other() -> None:
    import keras

    keras.utils.set_random_seed(1)
    summary = cha_bae.build_summary(*SHAPES["mfcc"], "mfcc")
    scaling = cha_bae.build_scaling(np.linspace(-40, 5, 40), np.linspace(1, 9, 40))
    _, encoder = cha_bae.build_autoencoder(40)
    classifier = cha_bae.build_classifier(encoder, N_CLASSES)
    joined = cha_bae.build_branch(summary, scaling, classifier)
    inputs = windows("mfcc")
    expected = array(classifier(scaling(summary(inputs)), training=False))
    assert array(joined(inputs, training=False)) == pytest.approx(expected, abs=FLOAT32)
    logits = keras.Model(joined.inputs, joined.get_layer("logits").output)
    plain = array(keras.ops.softmax(logits([inputs])))
    assert plain == pytest.approx(expected, abs=FLOAT32)


def test_noise_and_dropout_work_in_training_alone() -> None:
    model, inputs = branch("mfcc"), windows("mfcc")
    still = array(model(inputs, training=False))
    np.testing.assert_array_equal(array(model(inputs, training=False)), still)
    assert array(model(inputs, training=True)) != pytest.approx(still, abs=1e-3)
