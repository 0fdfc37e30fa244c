"""DeepInfant V2: convolutions with squeeze-and-excitation, and a two-layer bidirectional LSTM.

Layers and sizes are those of ``train.py`` in the repository skytells-research/DeepInfant (commit
7526568), on log-mel pictures. That file cannot run as published, and two places are mended here:

- Its squeeze-and-excitation block replaces the picture by its 256 channel weights, of which the
  LSTM's 2560 inputs cannot be made. The weights gate the picture here, as in the paper that the
  block comes from (J. Hu, L. Shen, G. Sun, "Squeeze-and-excitation networks", CVPR 2018).
- It takes the last step of the upper bidirectional LSTM, at which the backward half has seen one
  frame only. Both halves are taken where each has seen all.
"""

from __future__ import annotations

from typing import Any

from cryvision.models.picture_network import BATCH_NORM_MOMENTUM

WIDTH = 64
"""Channels of the first convolution as published; all other sizes are in proportion."""

POOL = 2
N_CONVOLUTIONS = 3
SQUEEZE_RATIO = 16
LSTM_PER_WIDTH = 8
DROPOUT = 0.3


def build_cnn_lstm(picture: Any, width: int) -> Any:
    """Build the layers of the network, on windows of at least 8 x 8.

    Three times 3 x 3 convolution, batch normalisation, ReLU and 2 x 2 pooling with ``width``, twice
    and four times as many channels; a squeeze-and-excitation gate; bidirectional LSTMs of ``8 *
    width`` units each way over the frames, dropout between them; a dense layer of ``8 * width``
    units, and dropout. As published: 64, 128 and 256 channels, 512 units.
    """
    from keras import layers

    x = picture
    for i in range(N_CONVOLUTIONS):
        x = layers.Conv2D(width * 2**i, 3, padding="same")(x)
        x = layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM)(x)
        x = layers.ReLU()(x)
        x = layers.MaxPooling2D(POOL)(x)
    x = _gated(x)
    x = layers.Reshape((x.shape[1], x.shape[2] * x.shape[3]))(x)
    n_units = LSTM_PER_WIDTH * width
    x = layers.Bidirectional(layers.LSTM(n_units, return_sequences=True), name="lower_lstm")(x)
    x = layers.Dropout(DROPOUT)(x)
    x = layers.Bidirectional(layers.LSTM(n_units), name="upper_lstm")(x)
    x = layers.Dense(n_units, activation="relu", name="hidden")(x)
    return layers.Dropout(DROPOUT)(x)


def _gated(picture: Any) -> Any:
    """Weigh the channels of a picture by what they hold on the average."""
    from keras import layers

    n_channels = picture.shape[-1]
    squeezed = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(picture)
    hidden = layers.Conv2D(max(1, n_channels // SQUEEZE_RATIO), 1, activation="relu")(squeezed)
    gate = layers.Conv2D(n_channels, 1, activation="sigmoid", name="excitation")(hidden)
    return layers.Multiply(name="gated")([picture, gate])
