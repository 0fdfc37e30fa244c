"""Element by element: the arithmetic, comparing and reducing operations of a Core ML program.

Semantics and defaults follow the operation set of coremltools (iOS 16 and earlier).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray


def _sigmoid(x: Array) -> Array:
    return 0.5 * (1.0 + np.tanh(0.5 * x))  # unlike 1 / (1 + exp(-x)), never overflows


def _gelu(x: Array, mode: str = "EXACT") -> Array:
    passed: Array
    if mode == "SIGMOID_APPROXIMATION":
        passed = x * _sigmoid(1.702 * x)
    elif mode == "TANH_APPROXIMATION":
        passed = 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))
    else:
        passed = 0.5 * x * (1.0 + _erf(x / math.sqrt(2.0)))
    return passed


def _erf(x: Array) -> Array:
    integral: Array = np.vectorize(math.erf, otypes=[np.float64])(x)
    return integral


def _select(cond: Array, a: Array, b: Array) -> Array:
    return np.where(cond, a, b)


def _cast(x: Array, dtype: str) -> Array:
    names = {"fp16": "float16", "fp32": "float32", "bool": "bool"}
    kind = np.dtype(names.get(dtype, dtype))
    # Towards zero, as CoreML casts to integers.
    return np.asarray(x).astype(kind)


def _reduction(function: Callable[..., Array]) -> Callable[..., Array]:
    def reduce(x: Array, axes: Any = None, keep_dims: bool = False) -> Array:
        axis = None if axes is None else tuple(int(a) for a in axes)
        return function(np.asarray(x), axis=axis, keepdims=bool(keep_dims))

    return reduce


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

OPERATIONS: dict[str, Callable[..., Array]] = {
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
    "select": _select,
    "cast": _cast,
    "reduce_mean": _reduction(np.mean),
    "reduce_sum": _reduction(np.sum),
    "reduce_max": _reduction(np.max),
    "reduce_min": _reduction(np.min),
    "reduce_prod": _reduction(np.prod),
    "reduce_sum_square": _reduction(lambda x, **axes: np.sum(np.square(x), **axes)),
}
"""Operation to function; arguments are named as the operation's inputs are."""
