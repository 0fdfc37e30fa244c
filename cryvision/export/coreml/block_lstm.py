"""LSTM layers in the one form that coremltools converts: TensorFlow's BlockLSTM operation.

Keras writes an LSTM as a loop, at which coremltools 9 fails; BlockLSTM becomes one operation of the
Core ML program. The two differ in the order of the gates: Keras has input, forget, cell, output.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cryvision.errors import CryvisionError

if TYPE_CHECKING:
    import keras


def without_loops(model: keras.Model) -> keras.Model:
    """Give a copy of a model, and of models inside, in which LSTMs work on one item.

    All other layers are shared. An LSTM of a form that BlockLSTM has not, with other activations,
    masks, states that are kept or handed out, is a CryvisionError.
    """
    import keras

    def swapped(layer: Any) -> Any:
        if isinstance(layer, keras.layers.LSTM):
            return _block_lstm(layer)
        if isinstance(layer, keras.layers.Bidirectional):
            return _both_ways(layer)
        if isinstance(layer, keras.Model):
            return without_loops(layer)
        return layer

    return keras.models.clone_model(model, clone_function=swapped)


def _both_ways(layer: Any) -> Any:
    import keras

    if layer.merge_mode != "concat":
        raise CryvisionError(
            f"{layer.name}: a bidirectional layer must concatenate; got {layer.merge_mode!r}"
        )
    forward, backward = _block_lstm(layer.forward_layer), _block_lstm(layer.backward_layer)

    class BothWays(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any, mask: Any = None) -> Any:
            before, after = forward(x), backward(x)
            if layer.return_sequences:  # what ran backwards comes out newest first
                after = keras.ops.flip(after, axis=1)
            return keras.ops.concatenate([before, after], axis=-1)

    return BothWays(name=layer.name)


def _block_lstm(layer: Any) -> Any:
    import keras
    import tensorflow as tf

    _check(layer)
    kernel, recurrent, *bias = layer.get_weights()
    n_units = layer.units
    weights = np.concatenate([_gates(kernel), _gates(recurrent)])
    biases = _gates(bias[0]) if bias else np.zeros(4 * n_units, np.float32)
    zeros = np.zeros(n_units, np.float32)

    class BlockLSTM(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any, mask: Any = None) -> Any:
            steps = tf.transpose(x, [1, 0, 2])
            if layer.go_backwards:
                steps = tf.reverse(steps, [0])
            state = tf.zeros((1, n_units))
            result = tf.raw_ops.BlockLSTM(
                seq_len_max=tf.constant(x.shape[1], tf.int64),
                x=steps,
                cs_prev=state,
                h_prev=state,
                w=weights,
                wci=zeros,
                wcf=zeros,
                wco=zeros,
                b=biases,
                forget_bias=0.0,
                cell_clip=-1.0,
                use_peephole=False,
            )
            if not layer.return_sequences:
                return result.h[-1]
            return tf.transpose(result.h, [1, 0, 2])

        def compute_output_spec(self, x: Any, mask: Any = None) -> Any:
            shape = (x.shape[0], x.shape[1]) if layer.return_sequences else (x.shape[0],)
            return keras.KerasTensor((*shape, n_units), dtype=x.dtype)

    return BlockLSTM(name=layer.name)


def _check(layer: Any) -> None:
    import keras

    plain = (
        isinstance(layer, keras.layers.LSTM)
        and layer.activation is keras.activations.tanh
        and layer.recurrent_activation is keras.activations.sigmoid
        and not (layer.stateful or layer.return_state)
    )
    if not plain:
        raise CryvisionError(
            f"{layer.name}: Core ML takes LSTM layers with tanh and sigmoid that keep no state; "
            f"got {type(layer).__name__}"
        )


def _gates(weights: np.ndarray) -> np.ndarray:
    """Input, forget, cell, output in Keras become input, cell, forget, output in BlockLSTM."""
    i, f, c, o = np.split(weights, 4, axis=-1)
    return np.concatenate([i, c, f, o], axis=-1)
