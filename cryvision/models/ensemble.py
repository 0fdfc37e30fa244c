"""The ensemble of Cha & Bae: the branches' class probabilities, concatenated, decide together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cryvision.models.calibration import calibration_layer_class

if TYPE_CHECKING:
    import keras

HIDDEN_UNITS = 16


def build_ensemble(branches: Sequence[str], n_classes: int) -> keras.Model:
    """Build the ensemble: concatenate, flatten, dense with ReLU, softmax.

    Parameters
    ----------
    branches : sequence of str
        Names of the branches, which are the names of the inputs.
    n_classes : int

    Returns
    -------
    keras.Model
        From the branches' probabilities, each (batch, n_classes), to probabilities of the same
        shape. A branch without an output gives zeros, which no softmax does. The layer
        ``logits`` comes before the calibration.
    """
    import keras
    from keras import layers

    inputs = [keras.Input((n_classes,), name=name) for name in branches]
    joined = layers.Concatenate()(inputs) if len(inputs) > 1 else inputs[0]
    x = layers.Flatten()(joined)
    x = layers.Dense(HIDDEN_UNITS, activation="relu", name="hidden")(x)
    logits = layers.Dense(n_classes, name="logits")(x)
    probabilities = calibration_layer_class()(name="calibration")(logits)
    return keras.Model(inputs, probabilities, name="ensemble")
