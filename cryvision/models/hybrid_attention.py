"""TinyToes: convolution blocks, multi-head attention and an LSTM on a hybrid picture of sound.

The article (rajendrancodes, "Infant cry detection", on the cry analyser of the TinyToes platform)
puts a spectrogram, a mel spectrogram and cepstral coefficients into one picture and gives it to
local feature extraction blocks, attention over many heads, an LSTM and a softmax. It states the
order of the layers, not their sizes; those are chosen here for a few hundred clips. Its text also
names a ResNet-50, which is `cryvision.models.mel_resnet.build_mel_resnet` with 50 layers on the
same picture.

Attention: A. Vaswani et al., "Attention is all you need", NeurIPS 2017, section 3.2.
"""

from __future__ import annotations

from typing import Any

from cryvision.models.picture_network import BATCH_NORM_MOMENTUM

WIDTH = 16
"""Channels of the first block; all other sizes are in proportion."""

CHANNELS = (1, 2, 2, 4)
"""Of each block, in proportion to the width."""

POOLS = ((2, 2), (2, 2), (2, 4), (1, 4))
"""Frames and columns that each block pools: the columns of a hybrid picture are many."""

N_HEADS = 4
LSTM_PER_WIDTH = 4
DROPOUT = 0.2


def build_hybrid_attention(picture: Any, width: int) -> Any:
    """Build the layers of the network, on windows from 8 frames and 64 columns on.

    Four blocks of 3 x 3 convolution, ReLU, dropout, batch normalisation and pooling; attention of
    four heads of ``width`` numbers over the frames that are left; an LSTM of ``4 * width`` units.
    """
    from keras import layers

    x = picture
    for channels, pool in zip(CHANNELS, POOLS, strict=True):
        x = layers.Conv2D(channels * width, 3, padding="same", activation="relu")(x)
        x = layers.Dropout(DROPOUT)(x)
        x = layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM)(x)
        x = layers.MaxPooling2D(pool)(x)
    x = layers.Reshape((x.shape[1], x.shape[2] * x.shape[3]))(x)
    x = layers.MultiHeadAttention(N_HEADS, width, name="attention")(x, x)
    return layers.LSTM(LSTM_PER_WIDTH * width, name="lstm")(x)
