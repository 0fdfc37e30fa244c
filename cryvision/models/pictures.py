"""What the networks on pictures of sound have in common: how a window becomes a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

BATCH_NORM_MOMENTUM = 0.9
"""Runs are short: at Keras' own 0.99 the averages would not arrive."""


def picture_of_window(
    scaling: keras.layers.Layer, n_frames: int, n_columns: int, feature: str
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Take a window, standardise its columns, and give it the one channel of a picture.

    The window, named as the feature, has shape (batch, n_frames, n_columns), the picture (batch,
    n_frames, n_columns, 1).
    """
    import keras
    from keras import layers

    window = keras.Input((n_frames, n_columns), name=feature)
    return window, layers.Reshape((n_frames, n_columns, 1))(scaling(window))
