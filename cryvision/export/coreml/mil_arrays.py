"""The operations of a Core ML program that compute element by element, or move elements.

Semantics and defaults follow the operation set of coremltools (iOS 16 and earlier).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Array = np.ndarray


def _sigmoid(x: Array) -> Array:
    return 0.5 * (1.0 + np.tanh(0.5 * x))  # unlike 1 / (1 + exp(-x)), never overflows


def _gelu(x: Array, mode: str = "EXACT") -> Array:
    if mode == "SIGMOID_APPROXIMATION":
        return np.asarray(x * _sigmoid(1.702 * x))
    if mode == "TANH_APPROXIMATION":
        scaled = math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)
        return np.asarray(0.5 * x * (1.0 + np.tanh(scaled)))
    return np.asarray(0.5 * x * (1.0 + _erf(x / math.sqrt(2.0))))


def _erf(x: Array) -> Array:
    return np.asarray(np.vectorize(math.erf, otypes=[np.float64])(x))


def _cast(x: Array, dtype: str) -> Array:
    names = {"fp16": "float16", "fp32": "float32", "bool": "bool"}
    kind = np.dtype(names.get(dtype, dtype))
    # Towards zero, as CoreML casts to integers.
    return np.asarray(x).astype(kind)


def _reduction(function: Callable[..., Array]) -> Callable[..., Array]:
    def reduce(x: Array, axes: Any = None, keep_dims: bool = False) -> Array:
        return function(np.asarray(x), axis=_axes(axes), keepdims=bool(keep_dims))

    return reduce


def _reshape(x: Array, shape: Array) -> Array:
    # Unlike in numpy, 0 keeps the size of that axis.
    sizes = [x.shape[i] if size == 0 else int(size) for i, size in enumerate(shape)]
    return np.reshape(x, sizes)


def _axes(axes: Array | None) -> tuple[int, ...] | None:
    return None if axes is None else tuple(int(a) for a in axes)


def _concat(values: Sequence[Array], axis: int, interleave: bool = False) -> Array:
    if interleave:
        stacked = np.stack(values, axis=int(axis) + 1 if axis >= 0 else int(axis))
        shape = list(values[0].shape)
        shape[int(axis)] *= len(values)
        return stacked.reshape(shape)
    return np.concatenate(values, axis=int(axis))


def _split(
    x: Array, axis: int, num_splits: int | None = None, split_sizes: Array | None = None
) -> tuple[Array, ...]:
    if split_sizes is None:
        return tuple(np.split(x, int(num_splits or 1), axis=int(axis)))
    return tuple(np.split(x, np.cumsum(split_sizes)[:-1], axis=int(axis)))


def _slice_by_index(
    x: Array,
    begin: Array,
    end: Array,
    stride: Array | None = None,
    begin_mask: Array | None = None,
    end_mask: Array | None = None,
    squeeze_mask: Array | None = None,
) -> Array:
    def at(mask: Array | None, axis: int) -> bool:
        return mask is not None and bool(mask[axis])

    index: list[Any] = []
    for axis in range(x.ndim):
        if at(squeeze_mask, axis):
            index.append(int(begin[axis]))
            continue
        first = None if at(begin_mask, axis) else int(begin[axis])
        last = None if at(end_mask, axis) else int(end[axis])
        index.append(slice(first, last, None if stride is None else int(stride[axis])))
    return np.asarray(x[tuple(index)])


def _slice_by_size(x: Array, begin: Array, size: Array) -> Array:
    starts = [int(b) for b in begin]
    stops = [None if n == -1 else b + int(n) for b, n in zip(starts, size, strict=True)]
    return x[tuple(slice(b, e) for b, e in zip(starts, stops, strict=True))]


def _crop(x: Array, crop_height: Array, crop_width: Array) -> Array:
    """Cut off rows and columns, before and after, of the last two axes."""
    top, bottom = (int(n) for n in crop_height)
    left, right = (int(n) for n in crop_width)
    return x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right]


def _gather(x: Array, indices: Array, axis: int = 0, **_validate: Any) -> Array:
    return np.take(x, np.asarray(indices, np.int64), axis=int(axis))


def _pad(x: Array, pad: Array, mode: str = "constant", constant_val: float = 0.0) -> Array:
    pairs = np.reshape(pad, (-1, 2)).astype(int).tolist()
    widths = [[0, 0]] * (x.ndim - len(pairs)) + pairs  # of the last axes
    if mode == "constant":
        return np.pad(x, widths, constant_values=constant_val)
    return np.pad(x, widths, mode="reflect" if mode == "reflect" else "edge")


def _topk(
    x: Array, k: int, axis: int = -1, ascending: bool = False, **_more: Any
) -> tuple[Array, Array]:
    """Largest or smallest values along an axis, best first, and where they stand."""
    order = np.argsort(x if ascending else -x, axis=int(axis), kind="stable")
    indices = np.take(order, np.arange(int(k)), axis=int(axis)).astype(np.int32)
    return np.take_along_axis(x, indices, axis=int(axis)), indices


def _by_name(function: Callable[..., Array]) -> Callable[..., Array]:
    """Let a function of numpy, which takes no names, take ``x`` and perhaps ``y`` by name."""

    def operate(x: Array, y: Array | None = None) -> Array:
        return function(x) if y is None else function(x, y)

    return operate


_OF_NUMPY = (
    *("abs", "exp", "sign", "sqrt", "square", "tanh", "maximum", "minimum"),
    *("greater", "greater_equal", "less", "less_equal", "equal", "not_equal"),
    *("logical_and", "logical_or", "logical_not"),
)
"""Operations that numpy has under the same name."""

OPERATIONS: dict[str, Callable[..., Any]] = {
    **{name: _by_name(getattr(np, name)) for name in _OF_NUMPY},
    "add": _by_name(np.add),
    "sub": _by_name(np.subtract),
    "mul": _by_name(np.multiply),
    "real_div": _by_name(np.divide),
    "floor_div": _by_name(np.floor_divide),
    "pow": _by_name(np.power),
    "identity": _by_name(np.asarray),
    "erf": _erf,
    "sigmoid": _sigmoid,
    "silu": lambda x: x * _sigmoid(x),
    "softplus": lambda x: np.logaddexp(x, 0.0),
    "relu": lambda x: np.maximum(x, 0.0),
    "relu6": lambda x: np.clip(x, 0.0, 6.0),
    "elu": lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0))),
    "leaky_relu": lambda x, alpha: np.where(x > 0, x, alpha * x),
    "sigmoid_hard": lambda x, alpha=0.2, beta=0.5: np.clip(alpha * x + beta, 0.0, 1.0),
    "gelu": _gelu,
    "log": lambda x, epsilon=1e-45: np.log(x + epsilon),
    "rsqrt": lambda x, epsilon=1e-12: 1.0 / np.sqrt(x + epsilon),
    "inverse": lambda x, epsilon=1e-4: 1.0 / (x + epsilon),
    "clip": lambda x, alpha, beta: np.clip(x, alpha, beta),
    "select": lambda cond, a, b: np.where(cond, a, b),
    "cast": _cast,
    "reduce_mean": _reduction(np.mean),
    "reduce_sum": _reduction(np.sum),
    "reduce_max": _reduction(np.max),
    "reduce_min": _reduction(np.min),
    "reduce_prod": _reduction(np.prod),
    "reduce_sum_square": _reduction(lambda x, **axes: np.sum(np.square(x), **axes)),
    "reshape": _reshape,
    "transpose": lambda x, perm: np.transpose(x, _axes(perm)),
    "expand_dims": lambda x, axes: np.expand_dims(x, tuple(int(a) for a in axes)),
    "squeeze": lambda x, axes=None: np.squeeze(x, _axes(axes)),
    "concat": _concat,
    "split": _split,
    "stack": lambda values, axis: np.stack(values, axis=int(axis)),
    "slice_by_index": _slice_by_index,
    "slice_by_size": _slice_by_size,
    "crop": _crop,
    "gather": _gather,
    "pad": _pad,
    "topk": _topk,
    "reverse": lambda x, axes=None: np.flip(x, _axes(axes)),
    "tile": lambda x, reps: np.tile(x, [int(n) for n in reps]),
    "fill": lambda shape, value=0.0: np.full([int(n) for n in shape], value),
}
"""Operation to function; arguments are named as the operation's inputs are."""
