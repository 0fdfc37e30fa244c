"""Epochs of training as compiled graphs, which networks of one architecture share.

The networks of all folds differ in weights alone. Tracing each of them, and starting each step from
Python, took most of the time where networks are small.
"""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

GRAPHS_IN_MEMORY = 16
"""Enough for all branches of a stack and its ensemble."""


class Epochs:
    """Trains a copy of a model, which itself is left as it is. One fit at a time.

    It starts from the model's weights, with an optimizer that has not taken any step. Inputs,
    targets and weights all have n rows.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        loss: str,
        inputs: Sequence[np.ndarray],
        targets: np.ndarray,
        weights: np.ndarray,
    ) -> None:
        import tensorflow as tf

        with tf.device("/CPU:0"):  # a GPU gets one batch at a time
            self._examples = (
                tuple(map(tf.convert_to_tensor, inputs)),
                tf.convert_to_tensor(targets),
                tf.convert_to_tensor(weights.astype(np.float32)),
            )
        # Any number of rows, or each fold would have a graph of its own.
        signature = tf.nest.map_structure(
            lambda tensor: tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype), self._examples
        )
        architecture = [
            *(model.get_config(), loss, type(optimizer).__name__, optimizer.get_config()),
            repr(signature),
        ]
        self._graphs = _graphs(json.dumps(architecture, default=repr))
        self._graphs.start(model, optimizer, loss, signature)

    def train(self, order: np.ndarray, n_batch: int) -> float:
        """Take a step on each batch of rows in their order; return the mean loss."""
        return float(self._graphs.train(*self._examples, order, n_batch))

    def test(self, order: np.ndarray, n_batch: int) -> float:
        """Return the mean loss of rows, and learn nothing from them."""
        return float(self._graphs.test(*self._examples, order, n_batch))

    def copy_to(self, model: keras.Model, weights: list[np.ndarray] | None = None) -> None:
        """Give a model the state of what draws dropout and noise, and weights (the newest)."""
        for variable, own in zip(model.variables, self._graphs.model.variables, strict=True):
            variable.assign(own)
        if weights is not None:
            model.set_weights(weights)

    def get_weights(self) -> list[np.ndarray]:
        """Return the weights so far, in the order of the model's."""
        return list(self._graphs.model.get_weights())


class _Graphs:
    model: Any = None

    def start(self, model: keras.Model, optimizer: Any, loss: str, signature: Any) -> None:
        """Take over the state of a model, and forget the steps of the fit before."""
        if self.model is None:
            self._build(model, optimizer, loss, signature)
        # Variables are weights and the state of what draws dropout and noise.
        for own, other in zip(self.model.variables, model.variables, strict=True):
            own.assign(other)
        for own, first in zip(self._optimizer.variables, self._first_state, strict=True):
            own.assign(first)

    def _build(self, model: keras.Model, optimizer: Any, loss: str, signature: Any) -> None:
        import keras
        import tensorflow as tf

        # Layers draw their seeds here: those of layers made later must not depend on this copy.
        drawn = random.getstate()
        copied = keras.models.clone_model(model)
        random.setstate(drawn)
        copied.compile(optimizer=optimizer, loss=loss)
        optimizer.build(copied.trainable_variables)
        self._optimizer = optimizer
        self._first_state = [variable.numpy() for variable in optimizer.variables]
        self.train, self.test = (
            tf.function(
                functools.partial(_epoch, copied, step),
                input_signature=[
                    *signature,
                    tf.TensorSpec((None,), tf.int64),
                    tf.TensorSpec((), tf.int64),
                ],
            )
            for step in (copied.train_step, copied.test_step)
        )
        self.model = copied


def _epoch(
    model: Any, step: Any, inputs: Any, targets: Any, weights: Any, order: Any, n_batch: Any
) -> Any:
    """Run a step on each batch; traced by TensorFlow, which makes a loop of it."""
    import tensorflow as tf

    model.reset_metrics()
    loss = tf.constant(0.0)
    for first in tf.range(0, tf.size(order, tf.int64), n_batch):
        batch = order[first : first + n_batch]
        rows = [tf.gather(array, batch) for array in inputs]
        examples = rows[0] if len(rows) == 1 else rows
        loss = step((examples, tf.gather(targets, batch), tf.gather(weights, batch)))["loss"]
    return loss


@functools.lru_cache(GRAPHS_IN_MEMORY)
def _graphs(architecture: str) -> _Graphs:
    return _Graphs()
