"""The system of Cha & Bae: branches on sound and on the face, and the ensemble that joins them.

A sound branch is a denoising autoencoder whose encoder feeds a small network. It first takes the
mean and the standard deviation of its feature over the frames of the window, standardised by the
training data. The autoencoder learns to give that back from a noisy copy (P. Vincent et al.,
"Extracting and composing robust features with denoising autoencoders", ICML 2008); then its decoder
is dropped, and dense layers on the code predict the classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cryvision.models.calibration import classes_of

if TYPE_CHECKING:
    import keras

HIDDEN_UNITS = 64
CODE_UNITS = 24
CLASSIFIER_UNITS = 32
NOISE = 0.3
"""Standard deviation of the noise on the autoencoder's standardised input."""

DROPOUT = 0.4
HEAD_LAYERS = ("standardised", "flat", "less", "hidden", "less_hidden", "logits", "calibration")
"""Names that the input of a head must not have."""

HEAD_UNITS, HEAD_DROPOUT = 64, 0.5
ENSEMBLE_UNITS = 16
LARGEST_VARIANCE = 1e36
"""Stands for an infinite one, which not every runtime divides by: next to the largest float32, so
that no column that varies reaches it."""

SMALLEST_VARIANCE = 1e-36
"""What is added to each variance: nothing to those of features in any unit."""


def build_summary(n_frames: int, n_features: int, feature: str) -> keras.Model:
    """Build what turns a window into the autoencoder's input; nothing in it is learned.

    It goes from float32 (batch, n_frames, n_features), an input named as the feature, to the mean
    and the standard deviation of each column over the frames, (batch, 2 * n_features).
    """
    import keras

    window = keras.Input((n_frames, n_features), name=feature)
    mean, spread = keras.ops.mean(window, axis=1), keras.ops.std(window, axis=1)
    return keras.Model(window, keras.ops.concatenate([mean, spread], axis=-1))


def build_scaling(mean: np.ndarray, variance: np.ndarray, n_axes: int = 2) -> keras.layers.Layer:
    """Build the layer that standardises summaries, or the columns of windows, of ``n_axes``.

    Mean and variance, shape (n_inputs,), are of the training data; an infinite variance silences
    its column.
    """
    import keras

    # Not Normalization: it holds tensors, which the ONNX exporter takes for inputs of the model.
    scaling = keras.layers.BatchNormalization(
        center=False, scale=False, epsilon=SMALLEST_VARIANCE, trainable=False, name="standardised"
    )
    scaling.build((*[None] * (n_axes - 1), len(mean)))
    scaling.set_weights([mean, np.minimum(variance, LARGEST_VARIANCE)])
    return scaling


def build_autoencoder(n_inputs: int) -> tuple[keras.Model, keras.Model]:
    """Build a denoising autoencoder for a standardised input, and its encoder, which share layers.

    They go from (batch, n_inputs) to (batch, n_inputs), and to the code (batch, ``CODE_UNITS``).
    """
    import keras
    from keras import layers

    clean = keras.Input((n_inputs,), name="summary")
    x = layers.GaussianNoise(NOISE)(clean)
    x = layers.Dense(HIDDEN_UNITS, activation="relu", name="encoder_hidden")(x)
    code = layers.Dense(CODE_UNITS, activation="relu", name="code")(x)
    x = layers.Dense(HIDDEN_UNITS, activation="relu", name="decoder_hidden")(code)
    restored = layers.Dense(n_inputs, name="restored")(x)
    return keras.Model(clean, restored), keras.Model(clean, code)


def build_classifier(encoder: keras.Model, n_classes: int) -> keras.Model:
    """Put the dense layers that predict the classes behind an encoder."""
    from keras import layers

    x = layers.Dropout(DROPOUT)(encoder.output)
    x = layers.Dense(CLASSIFIER_UNITS, activation="relu", name="classifier_hidden")(x)
    return classes_of(encoder.input, layers.Dropout(DROPOUT)(x), n_classes)


def build_branch(
    summary: keras.Model, scaling: keras.layers.Layer, classifier: keras.Model
) -> keras.Model:
    """Join the trained pieces: from a window of the feature to class probabilities.

    The classifier has its encoder in it; its layers are copied.
    """
    import keras

    x = scaling(summary.output)
    for trained in classifier.layers[1:]:
        # Called a second time, a layer would still give its first output, of another graph.
        layer = type(trained).from_config(trained.get_config())
        x = layer(x)
        layer.set_weights(trained.get_weights())
    return keras.Model(summary.input, x)


def build_head(
    scaling: keras.layers.Layer, n_inputs: int, n_classes: int, name: str
) -> keras.Model:
    """Build the head on a pooled ResNet-50, or on any row of numbers: flatten, dense, softmax.

    The scaling (see `build_scaling`) standardises the input, float32 (batch, n_inputs), whose name
    is not one of ``HEAD_LAYERS``.
    """
    import keras
    from keras import layers

    row = keras.Input((n_inputs,), name=name)
    x = layers.Flatten(name="flat")(scaling(row))
    x = layers.Dropout(HEAD_DROPOUT, name="less")(x)
    x = layers.Dense(HEAD_UNITS, activation="relu", name="hidden")(x)
    return classes_of(row, layers.Dropout(HEAD_DROPOUT, name="less_hidden")(x), n_classes)


def build_ensemble(branches: Sequence[str], n_classes: int) -> keras.Model:
    """Build the ensemble: concatenate, flatten, dense with ReLU, softmax.

    The inputs, named as the branches, are their probabilities, each (batch, n_classes). A branch
    without an output gives zeros, which no softmax does.
    """
    import keras
    from keras import layers

    inputs = [keras.Input((n_classes,), name=name) for name in branches]
    joined = layers.Concatenate()(inputs) if len(inputs) > 1 else inputs[0]
    x = layers.Dense(ENSEMBLE_UNITS, activation="relu", name="hidden")(layers.Flatten()(joined))
    return classes_of(inputs, x, n_classes, "ensemble")
