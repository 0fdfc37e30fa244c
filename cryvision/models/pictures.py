"""What the networks on pictures of sound have in common: how a window becomes a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryvision.models.calibration import calibration_layer_class

if TYPE_CHECKING:
    import keras

BATCH_NORM_MOMENTUM = 0.9
"""Runs are short: at Keras' own 0.99 the averages would not arrive."""


def picture_of_window(
    scaling: keras.layers.Layer, n_frames: int, n_columns: int, feature: str
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Take a window, standardise its columns, and give it the one channel of a picture.

    Returns
    -------
    window : keras.KerasTensor, shape (batch, n_frames, n_columns)
        The input, named as the feature.
    picture : keras.KerasTensor, shape (batch, n_frames, n_columns, 1)
    """
    import keras
    from keras import layers

    window = keras.Input((n_frames, n_columns), name=feature)
    return window, layers.Reshape((n_frames, n_columns, 1))(scaling(window))


def classes_of(window: Any, x: Any, n_classes: int, name: str) -> keras.Model:
    """Put the classes and their calibration behind the last layer, and make the network."""
    import keras
    from keras import layers

    logits = layers.Dense(n_classes, name="logits")(x)
    probabilities = calibration_layer_class()(name="calibration")(logits)
    return keras.Model(window, probabilities, name=name)
