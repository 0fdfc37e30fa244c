"""Layers of networks: products, convolutions, pooling, normalisation, LSTM, compressed weights.

Semantics and defaults follow the operation set of coremltools (iOS 16 and earlier). ``same``
padding is TensorFlow's, with which coremltools compares its own conversions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from cryvision.export.coreml.mil_arrays import OPERATIONS as ELEMENTWISE

Array = np.ndarray


def _matmul(x: Array, y: Array, transpose_x: bool = False, transpose_y: bool = False) -> Array:
    x = np.swapaxes(x, -1, -2) if transpose_x else x
    y = np.swapaxes(y, -1, -2) if transpose_y else y
    return np.asarray(np.matmul(x, y))


def _linear(x: Array, weight: Array, bias: Array | float = 0.0) -> Array:
    return np.asarray(x @ weight.T + bias)


def _conv(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    strides: Sequence[int] | None = None,
    pad_type: str = "valid",
    pad: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    groups: int = 1,
) -> Array:
    """Channels first: x (n, c_in, *space), weight (c_out, c_in / groups, *kernel)."""
    n_space = x.ndim - 2
    steps = [1] * n_space if strides is None else [int(s) for s in strides]
    spread = [1] * n_space if dilations is None else [int(d) for d in dilations]
    reach = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], spread, strict=True)]
    windows = _windows(x, reach, steps, _padding(x, reach, steps, pad_type, pad), 0.0)
    steps_of_axes: list[Any] = [Ellipsis, *(slice(None, None, d) for d in spread)]
    windows = windows[tuple(steps_of_axes)]
    outputs = []
    for part, filters in zip(
        np.split(windows, int(groups), axis=1), np.split(weight, int(groups)), strict=True
    ):
        over = [1, *range(2 + n_space, 2 + 2 * n_space)]
        outputs.append(np.tensordot(part, filters, (over, list(range(1, 2 + n_space)))))
    out = np.moveaxis(np.concatenate(outputs, axis=-1), -1, 1)
    return out if bias is None else out + bias.reshape(1, -1, *[1] * n_space)


def _max_pool(x: Array, **window: Any) -> Array:
    windows = _pool_windows(x, -np.inf, **window)
    return np.asarray(windows.max(axis=tuple(range(x.ndim, windows.ndim))))


def _avg_pool(x: Array, exclude_padding_from_average: bool = False, **window: Any) -> Array:
    windows = _pool_windows(x, 0.0, **window)
    over = tuple(range(x.ndim, windows.ndim))
    if not exclude_padding_from_average:
        return np.asarray(windows.mean(axis=over))
    counted = _pool_windows(np.ones_like(x), 0.0, **window).sum(axis=over)
    return np.asarray(windows.sum(axis=over) / counted)


def _pool_windows(
    x: Array,
    filler: float,
    kernel_sizes: Sequence[int],
    strides: Sequence[int] | None = None,
    pad_type: str = "valid",
    pad: Sequence[int] | None = None,
    ceil_mode: bool = False,
) -> Array:
    if ceil_mode:
        raise NotImplementedError("pooling with ceil_mode")
    kernel = [int(k) for k in kernel_sizes]
    steps = [1] * len(kernel) if strides is None else [int(s) for s in strides]
    return _windows(x, kernel, steps, _padding(x, kernel, steps, pad_type, pad), filler)


def _padding(
    x: Array, reach: Sequence[int], steps: Sequence[int], pad_type: str, pad: Sequence[int] | None
) -> list[tuple[int, int]]:
    """Before and after each axis of space."""
    if pad_type == "valid":
        return [(0, 0)] * len(reach)
    if pad_type == "custom":
        pairs = np.reshape(np.zeros(2 * len(reach)) if pad is None else pad, (-1, 2))
        return [(int(before), int(after)) for before, after in pairs]
    pads = []
    for size, width, step in zip(x.shape[2:], reach, steps, strict=True):
        missing = max(0, (-(-size // step) - 1) * step + width - size)
        less, more = missing // 2, missing - missing // 2
        pads.append((more, less) if pad_type == "same_lower" else (less, more))
    return pads


def _windows(
    x: Array,
    reach: Sequence[int],
    steps: Sequence[int],
    padding: Sequence[tuple[int, int]],
    filler: float,
) -> Array:
    """Every place of a kernel: (n, c, *places, *reach)."""
    padded = np.pad(x, [(0, 0), (0, 0), *padding], constant_values=filler)
    windows = sliding_window_view(padded, tuple(reach), axis=tuple(range(2, x.ndim)))
    return windows[(slice(None),) * 2 + tuple(slice(None, None, s) for s in steps)]


def _batch_norm(
    x: Array,
    mean: Array,
    variance: Array,
    gamma: Array | float = 1.0,
    beta: Array | float = 0.0,
    epsilon: float = 1e-5,
) -> Array:
    shape = (1, -1, *[1] * (x.ndim - 2))
    scale = np.broadcast_to(gamma, mean.shape) / np.sqrt(variance + epsilon)
    shift = np.broadcast_to(beta, mean.shape) - mean * scale
    return x * scale.reshape(shape) + shift.reshape(shape)


def _layer_norm(
    x: Array,
    axes: Sequence[int] | None = None,
    gamma: Array | float = 1.0,
    beta: Array | float = 0.0,
    epsilon: float = 1e-5,
) -> Array:
    over = tuple(range(x.ndim)) if axes is None else tuple(int(a) for a in axes)
    centred = x - x.mean(axis=over, keepdims=True)
    deviation = np.sqrt(np.mean(centred**2, axis=over, keepdims=True) + epsilon)
    return np.asarray(centred / deviation * gamma + beta)


def _softmax(x: Array, axis: int = -1) -> Array:
    powers = np.exp(x - x.max(axis=int(axis), keepdims=True))
    return np.asarray(powers / powers.sum(axis=int(axis), keepdims=True))


@dataclass(frozen=True)
class _LstmSettings:
    direction: str = "forward"
    output_sequence: bool = False
    recurrent_activation: str = "sigmoid"
    cell_activation: str = "tanh"
    activation: str = "tanh"


def _lstm(
    x: Array,
    initial_h: Array,
    initial_c: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias: Array | float = 0.0,
    **settings: Any,
) -> tuple[Array, Array, Array]:
    """x (steps, n, in); the gates of the weights in the order input, forget, output, cell."""
    chosen = _LstmSettings(**settings)
    gate = ELEMENTWISE[chosen.recurrent_activation]
    inner, outer = ELEMENTWISE[chosen.cell_activation], ELEMENTWISE[chosen.activation]
    direction = chosen.direction
    if direction not in ("forward", "reverse"):
        raise NotImplementedError(f"an LSTM of direction {direction}")
    hidden, cell = initial_h, initial_c
    steps = x if direction == "forward" else x[::-1]
    sequence = []
    for step in steps:
        i, f, o, z = np.split(step @ weight_ih.T + hidden @ weight_hh.T + bias, 4, axis=-1)
        cell = gate(f) * cell + gate(i) * inner(z)
        hidden = gate(o) * outer(cell)
        sequence.append(hidden)
    if direction == "reverse":
        sequence.reverse()
    return np.stack(sequence) if chosen.output_sequence else hidden[None], hidden, cell


def _affine_dequantize(quantized_data: Array, zero_point: Array, scale: Array, axis: int) -> Array:
    shape = [1] * quantized_data.ndim
    shape[int(axis)] = -1
    scales = np.reshape(scale, shape).astype(np.float32)
    offset = quantized_data.astype(np.float32) - np.reshape(zero_point, shape)
    return np.asarray(scales * offset)


def _classify(probabilities: Array, classes: Sequence[str]) -> tuple[str, dict[str, float]]:
    flat = np.ravel(probabilities)
    return classes[int(flat.argmax())], dict(zip(classes, flat.tolist(), strict=True))


OPERATIONS: dict[str, Callable[..., Any]] = {
    "matmul": _matmul,
    "linear": _linear,
    "conv": _conv,
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "softmax": _softmax,
    "lstm": _lstm,
    "constexpr_affine_dequantize": _affine_dequantize,
    "classify": _classify,
}
"""Operation to function; arguments are named as the operation's inputs are."""
