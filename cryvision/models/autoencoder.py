"""The sound branches of Cha & Bae: a denoising autoencoder whose encoder feeds a small network.

Each branch first takes the mean and the standard deviation of its feature over the frames of the
window, standardised by the training data. The autoencoder learns to give that back from a noisy
copy (P. Vincent et al., "Extracting and composing robust features with denoising autoencoders",
ICML 2008); then its decoder is dropped, and dense layers on the code predict the classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryvision.models.calibration import calibration_layer_class

if TYPE_CHECKING:
    import keras

HIDDEN_UNITS = 64
CODE_UNITS = 24
CLASSIFIER_UNITS = 32
NOISE = 0.3
"""Standard deviation of the noise on the autoencoder's standardised input."""

DROPOUT = 0.4
LARGEST_VARIANCE = 1e12
"""Stands for an infinite one, which not every runtime divides by."""

SMALLEST_VARIANCE = 1e-20
"""What is added to each variance: nothing to those of features in any usual unit."""


def build_summary(n_frames: int, n_features: int, feature: str) -> keras.Model:
    """Build what turns a window into the autoencoder's input; nothing in it is learned.

    Parameters
    ----------
    n_frames, n_features : int
        Shape of one window.
    feature : str
        Name of the input.

    Returns
    -------
    keras.Model
        From float32 (batch, n_frames, n_features) to the mean and the standard deviation of each
        feature over the frames, (batch, 2 * n_features).
    """
    import keras

    window = keras.Input((n_frames, n_features), name=feature)
    mean, spread = keras.ops.mean(window, axis=1), keras.ops.std(window, axis=1)
    return keras.Model(window, keras.ops.concatenate([mean, spread], axis=-1))


def build_scaling(mean: np.ndarray, variance: np.ndarray, n_axes: int = 2) -> keras.layers.Layer:
    """Build the layer that standardises summaries, or the columns of windows.

    Parameters
    ----------
    mean, variance : ndarray of float, shape (n_inputs,)
        Of the training data; an infinite variance silences its column.
    n_axes : int
        Of what it is given, the batch among them.
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
    """Build a denoising autoencoder.

    Parameters
    ----------
    n_inputs : int
        Length of its standardised input.

    Returns
    -------
    autoencoder, encoder : keras.Model
        From (batch, n_inputs) to (batch, n_inputs), and to the code (batch, ``CODE_UNITS``);
        they share the encoder's layers.
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
    """Put the dense layers that predict the classes behind an encoder.

    Returns
    -------
    keras.Model
        From the encoder's input to class probabilities (batch, n_classes). The layer ``logits``
        comes before the calibration.
    """
    import keras
    from keras import layers

    x = layers.Dropout(DROPOUT)(encoder.output)
    x = layers.Dense(CLASSIFIER_UNITS, activation="relu", name="classifier_hidden")(x)
    x = layers.Dropout(DROPOUT)(x)
    logits = layers.Dense(n_classes, name="logits")(x)
    probabilities = calibration_layer_class()(name="calibration")(logits)
    return keras.Model(encoder.input, probabilities)


def build_branch(
    summary: keras.Model, scaling: keras.layers.Layer, classifier: keras.Model
) -> keras.Model:
    """Join the trained pieces: from a window of the feature to class probabilities.

    Parameters
    ----------
    summary : keras.Model
        From `build_summary`.
    scaling : keras.layers.Layer
        From `build_scaling`.
    classifier : keras.Model
        From `build_classifier`, its encoder in it; its layers are copied.
    """
    import keras

    x = scaling(summary.output)
    for trained in classifier.layers[1:]:
        # Called a second time, a layer would still give its first output, of another graph.
        layer = type(trained).from_config(trained.get_config())
        x = layer(x)
        layer.set_weights(trained.get_weights())
    return keras.Model(summary.input, x)
