"""The size that a saved Keras model would have, from its configuration alone."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any


def declared_numbers(config: dict[str, Any]) -> int:
    """Count the numbers that a model would hold and compute, setting aside none of them.

    A configuration of a few lines can ask for more weights than any machine has memory, and Keras
    would make them before it sees that the file does not hold them.

    Parameters
    ----------
    config : dict
        As ``config.json`` of a ``.keras`` file holds it.

    Returns
    -------
    int
        Weights, and outputs of all layers for one item.
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
