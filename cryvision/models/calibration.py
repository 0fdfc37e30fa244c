"""Calibration as a layer of the model, so that every runtime gives the same probabilities."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from cryvision.errors import ConfigError

if TYPE_CHECKING:
    import keras


@functools.cache
def calibration_layer_class() -> type:
    """Give the Keras layer ``Calibration``, registered for loading; made on the first call.

    The layer takes logits of shape (n, k) and gives probabilities of the same shape: softmax of
    ``logits / temperature + bias``, or its logistic function where k is 1. Temperature and bias
    are weights that training leaves alone; ``set_calibration`` sets them afterwards.

    Temperature scaling and the per-class bias follow C. Guo et al., "On calibration of modern
    neural networks", ICML 2017, section 4.2.
    """
    import keras

    @keras.saving.register_keras_serializable(package="cryvision")
    class Calibration(keras.layers.Layer):  # type: ignore[misc]
        """Logits to calibrated probabilities."""

        def build(self, input_shape: tuple[int | None, ...]) -> None:
            self.temperature = self.add_weight(
                shape=(), initializer="ones", trainable=False, name="temperature"
            )
            self.bias = self.add_weight(
                shape=(input_shape[-1],), initializer="zeros", trainable=False, name="bias"
            )

        def call(self, logits: Any) -> Any:
            scaled = logits / self.temperature + self.bias
            if logits.shape[-1] == 1:
                return keras.ops.sigmoid(scaled)
            return keras.ops.softmax(scaled, axis=-1)

        def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> Any:
            return input_shape

        def set_calibration(self, temperature: float, bias: np.ndarray) -> None:
            """Set the temperature (positive) and the bias, shape (k,), of a built layer."""
            bias = np.asarray(bias, np.float32)
            if not (np.isfinite(temperature) and temperature > 0):
                raise ConfigError(f"temperature must be positive; got {temperature}")
            if bias.shape != tuple(self.bias.shape) or not np.isfinite(bias).all():
                raise ConfigError(f"bias must be {self.bias.shape[0]} finite numbers; got {bias}")
            self.temperature.assign(temperature)
            self.bias.assign(bias)

    return Calibration


def classes_of(inputs: Any, x: Any, n_classes: int, name: str | None = None) -> keras.Model:
    """Put the classes, by a layer ``logits``, and their calibration behind the last layer.

    The model gives class probabilities, shape (batch, n_classes).
    """
    import keras

    logits = keras.layers.Dense(n_classes, name="logits")(x)
    probabilities = calibration_layer_class()(name="calibration")(logits)
    return keras.Model(inputs, probabilities, name=name)
