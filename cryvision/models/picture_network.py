"""Classifiers of windows as pictures: what stands before and behind the layers of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cryvision.models.calibration import classes_of

if TYPE_CHECKING:
    import keras

BATCH_NORM_MOMENTUM = 0.9
"""Runs are short: at Keras' own 0.99 the averages would not arrive."""


def build_picture_network(
    layers: Callable[[Any, int], Any],
    scaling: keras.layers.Layer,
    n_frames: int,
    n_columns: int,
    n_classes: int,
    feature: str,
    width: int,
) -> keras.Model:
    """Build a classifier of windows of a feature.

    ``layers(picture, width)`` goes from a picture, shape (batch, n_frames, n_columns, 1), to what
    the classes are told by, shape (batch, n). The scaling standardises the columns; see
    `cryvision.models.cha_bae.build_scaling`.

    The model goes from float32 (batch, n_frames, n_columns), an input named as the feature, to
    class probabilities (batch, n_classes); the layer ``logits`` comes before the calibration.
    """
    import keras

    window = keras.Input((n_frames, n_columns), name=feature)
    picture = keras.layers.Reshape((n_frames, n_columns, 1))(scaling(window))
    return classes_of(window, layers(picture, width), n_classes, "picture_network")
