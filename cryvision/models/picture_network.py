"""Classifiers of windows as pictures: what is around the layers of each, and learning rates."""

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


def build_optimizer(
    lowest: float, highest: float | None = None, cycle_steps: int = 1
) -> keras.optimizers.Optimizer:
    """Build Adam with a constant or a cyclical learning rate.

    The cycle, from the lowest rate to the highest and back in ``cycle_steps``, is the triangular
    policy of L. Smith, "Cyclical learning rates for training neural networks", WACV 2017, section
    3.1.
    """
    import keras

    if highest is None:
        return keras.optimizers.Adam(lowest)
    rise = highest - lowest

    class Triangles(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
        """Up from the lowest rate to the highest and down again, over and over."""

        def __call__(self, step: Any) -> Any:
            phase = keras.ops.cast(step % cycle_steps, "float32") / cycle_steps
            return lowest + rise * (1 - keras.ops.abs(2 * phase - 1))

        def get_config(self) -> dict[str, float]:
            return {"lowest": lowest, "rise": rise, "cycle_steps": cycle_steps}

    return keras.optimizers.Adam(Triangles())
