"""The size that a saved Keras model would have, from its configuration alone."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any


def declared_numbers(config: dict[str, Any]) -> int:
    """Count the numbers that a model would hold and compute, setting aside none of them.

    These are weights, and outputs of all layers for one item; the configuration is that of
    ``config.json`` of a ``.keras`` file. A few lines of it can ask for more weights than any
    machine has memory, and Keras would make them before it sees that the file does not hold them.
    """
    import keras

    # In this scope Keras takes note of the shapes of weights, and makes none.
    own = {**copy.deepcopy(config), "compile_config": None}  # Keras takes it apart
    try:
        with keras.StatelessScope(initialize_variables=False):
            model = keras.saving.deserialize_keras_object(own, safe_mode=True)
    finally:
        _forget_unmade()
    weights: int = sum(math.prod(weight.shape) for weight in model.variables)
    return weights + sum(_outputs(model))


def _forget_unmade() -> None:
    """Have Keras not make those weights after all when another such scope ends."""
    from keras.src.backend.common import global_state

    global_state.set_global_attribute("uninitialized_variables", [])


def _outputs(model: Any) -> Iterator[int]:
    import keras

    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _outputs(layer)
        for tensor in keras.tree.flatten(layer.output):
            yield math.prod(size or 1 for size in tensor.shape[1:])
