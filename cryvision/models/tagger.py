"""The tagger: a small convolutional network over two seconds of log-mel frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryvision.config import LogMelConfig

if TYPE_CHECKING:
    import keras

TAGS = (
    "cry",
    "baby_voice",
    "child_speech",
    "adult_speech",
    "music",
    "human_noise",
    "animal",
    "household",
    "alarm",
    "silence",
)
"""The tags; several may be detected at once."""

CONTEXT = LogMelConfig(window_frames=100, hop_frames=12, relative=True)
"""What the tagger takes: 2 s of sound, each 0.24 s (a whole number of the edges' steps)."""


def build_tagger(n_tags: int = len(TAGS)) -> keras.Model:
    """Build the tagger: strided and residual convolutions; mean and maximum over time.

    It goes from ``logmel`` as of ``CONTEXT``, float32, shape (batch, window_frames, n_mels), to one
    score from 0 to 1 for each tag, shape (batch, n_tags). The layer ``embedding`` gives 96 numbers,
    the layer ``logits`` the scores before the logistic function.
    """
    import keras
    from keras import layers

    frames = keras.Input((CONTEXT.window_frames, CONTEXT.n_mels), name="logmel")
    x = layers.Reshape((CONTEXT.window_frames, CONTEXT.n_mels, 1))(frames)
    x = _convolution(x, 16, 5, 2)
    x = _convolution(x, 32, 3, 2)
    x = layers.Add()([x, _convolution(x, 32, 3, 1)])
    x = _convolution(x, 64, 3, 2)
    x = layers.Add()([x, _convolution(x, 64, 3, 1)])
    x = layers.SpatialDropout2D(0.1)(x)
    x = _convolution(x, 128, 3, 2)
    x = layers.Conv2D(128, (1, x.shape[2]), use_bias=False)(x)
    x = layers.BatchNormalization(momentum=0.9)(x)
    x = layers.ReLU()(x)
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)])
    x = layers.Dropout(0.2)(x)
    x = layers.Dense(96, activation="relu", name="embedding")(x)
    logits = layers.Dense(n_tags, name="logits")(x)
    scores = layers.Activation("sigmoid", name="scores")(logits)
    return keras.Model(frames, scores, name="tagger")


def _convolution(x: Any, width: int, kernel: int, stride: int) -> Any:
    from keras import layers

    x = layers.Conv2D(width, kernel, strides=stride, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization(momentum=0.9)(x)
    return layers.ReLU()(x)
