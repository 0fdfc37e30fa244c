"""Learning rates of the published systems: constant, or going up and down in cycles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


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
