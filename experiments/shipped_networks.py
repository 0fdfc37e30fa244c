"""What only the training of the shipped networks needs: the tagger, and the weight of loudness."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cryvision.models.frame_network import LOUDNESS_LAYER, SCORE_LAYER
from cryvision.models.tagger import CONTEXT, TAGS

if TYPE_CHECKING:
    import keras

LOUDNESS = 1.25
"""How much a step gains by being as loud as the loudest of the window: logits a unit of the scaled
log-mel. Found on folds by phone for networks that are trained on mixtures, which make too little of
it (`loudness.py`). Steady noise gains by it too: it is for edges beside a tagger."""


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


def enable_loudness(network: keras.Model) -> None:
    """Enable a trained network's path for the level of a step; until then it gives nothing."""
    network.get_layer(LOUDNESS_LAYER).set_weights([np.full((1, 1, 1), LOUDNESS, np.float32)])
    kernel, bias = network.get_layer(SCORE_LAYER).get_weights()
    kernel[:, -1] = 1.0
    network.get_layer(SCORE_LAYER).set_weights([kernel, bias])
