"""The cry detector: one window of mel spectrum, and the sound before it, becomes a cry score."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryvision.models.calibration import calibration_layer_class

if TYPE_CHECKING:
    import keras

DROPOUT = 0.3
STRIDE = 2
KERNELS = (5, 5, 3)

DECIBELS_PER_UNIT = 20.0
OFFSET = 2.0
"""Mel spectra of spans scaled to 0..1 lie from -100 to about 10 dB, most near -40."""

WINDOW_STEPS = 3
"""Newest steps that the head sees one by one; the convolutions leave one step each 0.16 s."""


def build_detector(n_frames: int, n_bands: int, width: int = 64) -> keras.Model:
    """Build the convolutional cry detector.

    Three strided convolutions over time, with the mel bands as channels. The head sees the newest
    steps, which are the window that the score is about, beside the mean and the largest value
    over all steps, which are what came before it. How loud a recording is has no say, for the
    features are relative to the loudest of the span; how loud the window is beside what came
    before it has, and without that the detector would be much worse.

    Parameters
    ----------
    n_frames, n_bands : int
        Shape of one input.
    width : int
        Channels of the convolutions and units of the head.

    Returns
    -------
    keras.Model
        From ``mel``, float32, shape (batch, n_frames, n_bands), in dB, to the probability that
        the window is cry, shape (batch, 1). The layer ``logits`` comes before the calibration.
    """
    import keras
    from keras import layers

    mel = keras.Input((n_frames, n_bands), name="mel")
    x = layers.Rescaling(1 / DECIBELS_PER_UNIT, offset=OFFSET)(mel)
    for kernel in KERNELS:
        x = layers.Conv1D(width, kernel, strides=STRIDE, padding="same", use_bias=False)(x)
        # Runs are short: at Keras' own momentum of 0.99 the averages would lag behind.
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.ReLU()(x)
        x = layers.SpatialDropout1D(0.1)(x)
    newest = layers.Flatten()(layers.Cropping1D((x.shape[1] - WINDOW_STEPS, 0))(x))
    x = layers.Concatenate()(
        [newest, layers.GlobalAveragePooling1D()(x), layers.GlobalMaxPooling1D()(x)]
    )
    x = layers.Dropout(DROPOUT)(x)
    x = layers.Dense(width, activation="relu")(x)
    x = layers.Dropout(DROPOUT)(x)
    logits = layers.Dense(1, name="logits")(x)
    probability = calibration_layer_class()(name="calibration")(logits)
    return keras.Model(mel, probability, name="detector")
