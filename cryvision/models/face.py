"""The face branch of Cha & Bae: a small head on the pooled output of a frozen ResNet-50."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryvision.models.calibration import calibration_layer_class

if TYPE_CHECKING:
    import keras

LAYERS = ("standardised", "flat", "less", "hidden", "less_hidden", "logits", "calibration")
"""Names that the input of a head must not have."""

HIDDEN_UNITS = 64
DROPOUT = 0.5


def build_head(
    scaling: keras.layers.Layer, n_inputs: int, n_classes: int, name: str
) -> keras.Model:
    """Build the head: flatten, dense, softmax.

    Parameters
    ----------
    scaling : keras.layers.Layer
        Standardises the input; see `cryvision.models.autoencoder.build_scaling`.
    n_inputs : int
        Width of the pooled backbone, or of any row of numbers.
    n_classes : int
    name : str
        Of the input; not one of ``LAYERS``.

    Returns
    -------
    keras.Model
        From float32 (batch, n_inputs) to class probabilities (batch, n_classes). The layer
        ``logits`` comes before the calibration.
    """
    import keras
    from keras import layers

    row = keras.Input((n_inputs,), name=name)
    x = layers.Flatten(name="flat")(scaling(row))
    x = layers.Dropout(DROPOUT, name="less")(x)
    x = layers.Dense(HIDDEN_UNITS, activation="relu", name="hidden")(x)
    x = layers.Dropout(DROPOUT, name="less_hidden")(x)
    logits = layers.Dense(n_classes, name="logits")(x)
    probabilities = calibration_layer_class()(name="calibration")(logits)
    return keras.Model(row, probabilities)
