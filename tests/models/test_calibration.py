"""Calibration is part of the model: what is set is what every runtime computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryvision.errors import ConfigError
from cryvision.models.calibration import calibration_layer_class

FLOAT32 = 1e-6
"""Probabilities are float32: seven digits."""

LOGITS = np.array([[-3.0, 0.5, 2.0], [0.0, 0.0, 0.0], [40.0, -40.0, 1.0]], np.float32)


def applied(layer: Any, logits: np.ndarray) -> np.ndarray:
    import keras

    return np.asarray(keras.ops.convert_to_numpy(layer(logits)))


def softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def test_a_new_layer_gives_the_plain_probabilities() -> None:
    assert applied(calibration_layer_class()(), LOGITS) == pytest.approx(
        softmax(LOGITS), abs=FLOAT32
    )
    one = applied(calibration_layer_class()(), LOGITS[:, :1])
    assert one == pytest.approx(1 / (1 + np.exp(-LOGITS[:, :1])), abs=FLOAT32)


def test_temperature_divides_before_the_bias_is_added() -> None:
    layer = calibration_layer_class()()
    layer.build((None, 3))
    bias = np.array([0.5, -1.0, 0.0])
    layer.set_calibration(2.5, bias)
    assert applied(layer, LOGITS) == pytest.approx(softmax(LOGITS / 2.5 + bias), abs=FLOAT32)
    single = calibration_layer_class()()
    single.build((None, 1))
    single.set_calibration(0.5, np.array([-1.0]))
    expected = 1 / (1 + np.exp(-(LOGITS[:, 1:2] / 0.5 - 1.0)))
    assert applied(single, LOGITS[:, 1:2]) == pytest.approx(expected, abs=FLOAT32)


def test_training_leaves_the_calibration_alone() -> None:
    layer = calibration_layer_class()()
    layer.build((None, 3))
    assert layer.trainable_weights == []
    assert {weight.name for weight in layer.weights} == {"temperature", "bias"}


@pytest.mark.parametrize(
    ("temperature", "bias", "rule"),
    [
        (0.0, [0.0, 0.0], "temperature must be positive; got 0"),
        (-1.0, [0.0, 0.0], "temperature must be positive"),
        (float("nan"), [0.0, 0.0], "temperature must be positive"),
        (float("inf"), [0.0, 0.0], "temperature must be positive"),
        (1.0, [0.0], "bias must be 2 finite numbers"),
        (1.0, [0.0, float("nan")], "bias must be 2 finite numbers"),
        (1.0, [[0.0, 0.0]], "bias must be 2 finite numbers"),
    ],
)
def test_what_is_no_calibration_is_refused_and_changes_nothing(
    temperature: float, bias: list[Any], rule: str
) -> None:
    layer = calibration_layer_class()()
    layer.build((None, 2))
    layer.set_calibration(1.5, np.array([0.1, 0.2]))
    with pytest.raises(ConfigError, match=rule):
        layer.set_calibration(temperature, np.array(bias))
    assert float(layer.temperature.numpy()) == 1.5
    assert layer.bias.numpy() == pytest.approx([0.1, 0.2])


def test_a_saved_model_keeps_its_calibration(tmp_path: Path) -> None:
    import keras

    inputs = keras.Input((3,))
    layer = calibration_layer_class()(name="calibration")
    model = keras.Model(inputs, layer(inputs))
    layer.set_calibration(3.0, np.array([1.0, 0.0, -1.0]))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert np.array_equal(applied(loaded, LOGITS), applied(model, LOGITS))
    assert applied(loaded, LOGITS) != pytest.approx(softmax(LOGITS), abs=0.01)


def test_the_layer_class_is_made_once() -> None:
    assert calibration_layer_class() is calibration_layer_class()
