"""SqueezeNet v1.1 without its classifier: a small backbone of 0.7 million weights.

Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters", arXiv 1602.07360,
2016; version 1.1 with its smaller first layer and earlier pooling.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

FIRE_CHANNELS = (
    *((16, 64), (16, 64), (32, 128), (32, 128)),
    *((48, 192), (48, 192), (64, 256), (64, 256)),
)
"""Channels of each fire module: squeezed, and expanded by each of its two convolutions."""

POOLED_BEFORE = (0, 2, 4)
"""Fire modules that come after a pooling."""


def build_squeezenet(size: int) -> keras.Model:
    """Build the network up to its last fire module, and the mean over the picture.

    The order of its weights is that of the Keras files of SqueezeNet v1.1 "notop". It goes from BGR
    pictures without their ImageNet mean, float32, shape (batch, size, size, 3), to float32, shape
    (batch, 512).
    """
    import keras
    from keras import layers

    picture = keras.Input((size, size, 3), name="picture")
    x = layers.Conv2D(64, 3, strides=2, activation="relu", name="conv1")(picture)
    for i, (squeezed, expanded) in enumerate(FIRE_CHANNELS):
        if i in POOLED_BEFORE:
            x = layers.MaxPooling2D(3, strides=2)(x)
        x = _fire(x, squeezed, expanded, f"fire{i + 2}")
    x = layers.GlobalAveragePooling2D(name="pooled")(x)
    return keras.Model(picture, x, name="squeezenet")


def _fire(x: Any, squeezed: int, expanded: int, name: str) -> Any:
    from keras import layers

    x = layers.Conv2D(squeezed, 1, activation="relu", name=f"{name}_squeeze1x1")(x)
    one = layers.Conv2D(expanded, 1, activation="relu", name=f"{name}_expand1x1")(x)
    three = layers.Conv2D(expanded, 3, padding="same", activation="relu", name=f"{name}_expand3x3")(
        x
    )
    return layers.Concatenate(name=f"{name}_concat")([one, three])
