"""DeepInfant V1: residual networks on pictures of mel spectra, and a VGG-like one on short windows.

The repository skytells-research/DeepInfant (README) fine-tunes a ResNet-34 on mel pictures (FFT
2048, hop 512, 128 bands) of 7 s, and names a model with the VGGish feature extractor on fixed
windows of 0.975 s. Both are built here from nothing: pretrained weights are not part of them.

Residual networks: K. He et al., "Deep residual learning for image recognition", CVPR 2016, table 1.
VGGish: S. Hershey et al., "CNN architectures for large-scale audio classification", ICASSP 2017.
"""

from __future__ import annotations

from typing import Any

from cryvision.errors import ConfigError
from cryvision.models.picture_network import BATCH_NORM_MOMENTUM

WIDTH = 64
"""Channels of the first stage as published; all others are in proportion."""

STAGES = {34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
"""Blocks of each stage, by the number of layers; from 50 on they are bottlenecks."""

BOTTLENECK_FROM = 50
EXPANSION = 4

VGG_STAGES = ((1, 1), (1, 2), (2, 4), (2, 8))
"""Convolutions of each stage of VGGish, and their channels in proportion to the width."""

EMBEDDING_PER_WIDTH = 2
DROPOUT = 0.3


def build_mel_resnet(picture: Any, width: int, n_layers: int = 34) -> Any:
    """Build the layers of a residual network.

    A 7 x 7 convolution with stride 2, 3 x 3 pooling with stride 2, four stages of residual blocks
    with ``width`` to ``8 * width`` channels (ResNet-50: four times as many out of each block), the
    mean over the picture, and dropout.
    """
    from keras import layers

    if n_layers not in STAGES:
        raise ConfigError(f"n_layers must be one of {', '.join(map(str, STAGES))}; got {n_layers}")
    x = _convolved(picture, width, 7, stride=2)
    x = layers.MaxPooling2D(3, strides=2, padding="same")(layers.ReLU()(x))
    for stage, n_blocks in enumerate(STAGES[n_layers]):
        for i in range(n_blocks):
            stride = 2 if stage and i == 0 else 1
            x = _block(x, width * 2**stage, stride, n_layers >= BOTTLENECK_FROM)
    x = layers.GlobalAveragePooling2D(name="pooled")(x)
    return layers.Dropout(DROPOUT)(x)


def build_vggish(picture: Any, width: int) -> Any:
    """Build the layers of VGGish with an embedding, on windows of at least 16 x 16.

    Stages of 3 x 3 convolutions with ReLU, each pooled 2 x 2: one of ``width`` channels, one of
    twice, two of four times and two of eight times as many; the mean over the picture; an embedding
    of ``2 * width`` units; dropout. The published network flattens the picture into two layers of
    4096 units instead, 67 million weights that this many clips cannot fill.
    """
    from keras import layers

    x = picture
    for n_convolutions, channels in VGG_STAGES:
        for _ in range(n_convolutions):
            x = layers.ReLU()(_convolved(x, channels * width, 3))
        x = layers.MaxPooling2D(2)(x)
    x = layers.GlobalAveragePooling2D(name="pooled")(x)
    x = layers.Dense(EMBEDDING_PER_WIDTH * width, activation="relu", name="embedding")(x)
    return layers.Dropout(DROPOUT)(x)


def _convolved(x: Any, n_channels: int, kernel: int, stride: int = 1) -> Any:
    from keras import layers

    x = layers.Conv2D(n_channels, kernel, strides=stride, padding="same", use_bias=False)(x)
    return layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM)(x)


def _block(x: Any, n_channels: int, stride: int, bottleneck: bool) -> Any:
    """Convolve twice, or in a bottleneck; add the shortcut, projected where its shape differs."""
    from keras import layers

    if bottleneck:
        y = layers.ReLU()(_convolved(x, n_channels, 1))
        y = layers.ReLU()(_convolved(y, n_channels, 3, stride))
        y = _convolved(y, EXPANSION * n_channels, 1)
    else:
        y = layers.ReLU()(_convolved(x, n_channels, 3, stride))
        y = _convolved(y, n_channels, 3)
    if stride > 1 or x.shape[-1] != y.shape[-1]:
        x = _convolved(x, y.shape[-1], 1, stride)
    return layers.ReLU()(layers.Add()([x, y]))
