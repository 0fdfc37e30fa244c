"""The edges of crying: a causal network over log-mel frames, one cry score each 40 ms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryvision.config import LogMelConfig
from cryvision.models.calibration import calibration_layer_class

if TYPE_CHECKING:
    import keras

KERNEL, STRIDE = 5, 2
"""The first convolution turns frames of 20 ms into steps of 40 ms."""

WIDTH, DROPOUT = 48, 0.2
"""Channels, and the share that is dropped, for what a lab trains. What ships is wider."""

DILATIONS = (1, 2, 4, 8, 16)
AVERAGED_STEPS = 3
"""A score is the mean logit of so many steps."""

LOUDNESS_LAYER, SCORE_LAYER = "loudness", "score"

_SPAN = 1 + sum(2 * dilation for dilation in DILATIONS)
_STEPS = _SPAN + AVERAGED_STEPS - 1

EDGES = LogMelConfig(
    window_frames=KERNEL + STRIDE * (_STEPS - 1), hop_frames=STRIDE, lookahead_frames=10
)
"""What the frame network takes: 2.65 s of sound, of which 0.2 s lie ahead of the step."""


def build_frame_network(width: int = WIDTH, dropout: float = DROPOUT) -> keras.Model:
    """Build the temporal convolutional network that places the edges of crying, from ``EDGES``.

    A strided convolution over the mel bands, then residual blocks of dilated convolutions (S. Bai
    et al., "An empirical evaluation of generic convolutional and recurrent networks for sequence
    modeling", 2018). Beside them a path of one weight: how loud the step is, in its loudest band,
    beside the loudest of the window. None is padded: ``n`` frames give ``(n - EDGES.window_frames)
    // EDGES.hop_frames + 1`` steps, each from a window of its own, so that a stream and a whole
    clip give the same.

    It goes from ``logmel``, float32, shape (batch, n_frames, n_mels), to the probability of crying,
    shape (batch, n_steps, 1). The layer ``logits`` comes before the calibration.
    """
    import keras
    from keras import layers

    frames = keras.Input((None, EDGES.n_mels), name="logmel")
    x = layers.Conv1D(width, KERNEL, strides=STRIDE, use_bias=False, name="steps")(frames)
    x = layers.BatchNormalization(momentum=0.9)(x)
    x = layers.ReLU()(x)
    for dilation in DILATIONS:
        y = layers.Conv1D(width, 3, dilation_rate=dilation, use_bias=False)(x)
        y = layers.BatchNormalization(momentum=0.9)(y)
        y = layers.ReLU()(y)
        y = layers.SpatialDropout1D(dropout)(y)
        x = layers.Add()([layers.Cropping1D(dilation)(x), y])
    x = layers.Conv1D(width, 1, activation="relu")(x)
    x = layers.Dropout(dropout)(x)
    x = layers.Concatenate()([x, _loudness(frames)])
    x = layers.Conv1D(1, 1, name=SCORE_LAYER)(x)
    logits = layers.AveragePooling1D(AVERAGED_STEPS, strides=1, name="logits")(x)
    probability = calibration_layer_class()(name="calibration")(logits)
    return keras.Model(frames, probability, name="frame_network")


def _loudness(frames: Any) -> Any:
    """How far each step lies below the loudest of its window, weighted; none at first."""
    from keras import layers, ops

    loudest = ops.max(frames, axis=-1, keepdims=True)
    steps = layers.AveragePooling1D(KERNEL, strides=STRIDE)(loudest)
    behind = EDGES.lookahead_frames // STRIDE - AVERAGED_STEPS // 2 - 1
    step = layers.Cropping1D((_SPAN - 1 - behind, behind))(steps)
    below = step - layers.MaxPooling1D(_SPAN, strides=1)(steps)
    weight = layers.Conv1D(1, 1, use_bias=False, kernel_initializer="zeros", name=LOUDNESS_LAYER)
    weight.trainable = False
    return weight(below)
