"""Values that do not fit the annotations of arguments and settings are refused, by name.

Libraries that check types refuse the numbers of numpy or turn strings into numbers without a word.
"""

from __future__ import annotations

import functools
import inspect
import os
import reprlib
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from numbers import Real
from types import NoneType, SimpleNamespace, UnionType
from typing import Any, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

from cryvision.errors import ConfigError

P = ParamSpec("P")
R = TypeVar("R")

_NAMES: dict[Any, str] = {
    **{str: "a string", bool: "True or False", int: "a whole number", float: "a number"},
    **{os.PathLike: "a path", NoneType: "None"},
}

_SEQUENCES = (Iterable, Sequence, tuple)


class _UnfitError(Exception):
    """The value does not fit."""


def check_types(settings: Any) -> None:
    """Refuse a dataclass with a value that does not fit the type of its field with ConfigError.

    Numbers of numpy become those of Python, whole ones in fields of floats become floats, and
    sequences become tuples, so that settings that are equal are stored as the same.
    """
    for name, kind in _annotations(settings.__class__).items():
        object.__setattr__(settings, name, _fitted(name, getattr(settings, name), kind))


def typed(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function refuse arguments that do not fit its annotations with ConfigError."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:
            return function(*args, **kwargs)  # which names itself in its error
        kinds = _annotations(function)
        for name in bound.arguments.keys() & kinds.keys():
            bound.arguments[name] = _fitted(name, bound.arguments[name], kinds[name])
        return function(*bound.args, **bound.kwargs)

    return checked


@functools.cache
def _annotations(owner: Any) -> dict[str, Any]:
    """Resolve annotations, except those of ``**options``, which type checkers alone know."""
    if isinstance(owner, type):
        return get_type_hints(owner)
    own = {
        name: argument.annotation
        for name, argument in inspect.signature(owner).parameters.items()
        if argument.kind is not argument.VAR_KEYWORD and argument.annotation is not argument.empty
    }
    return get_type_hints(SimpleNamespace(__annotations__=own), owner.__globals__)


def _fitted(name: str, value: Any, kind: Any) -> Any:
    try:
        return _as_kind(value, kind)
    except _UnfitError:
        allowed = " or ".join(dict.fromkeys(_described(kind)))
        raise ConfigError(f"{name} must be {allowed}; got {reprlib.repr(value)}") from None


def _described(kind: Any) -> list[str]:
    origin = get_origin(kind) or kind
    if origin in (Union, UnionType):
        return [name for one in get_args(kind) for name in _described(one)]
    if origin in _SEQUENCES:
        names = (f"{name.split(' ', 1)[-1]}s" for name in _described(get_args(kind)[0]))
        return [f"a list of {' or '.join(names)}"]
    return [_NAMES.get(origin) or _with_article(getattr(origin, "__name__", str(origin)))]


def _with_article(name: str) -> str:
    return f"an {name}" if name[0].lower() in "aeio" or name == "ndarray" else f"a {name}"


def _as_kind(value: Any, kind: Any) -> Any:
    """Give a value as its annotation has it."""
    origin, kinds = get_origin(kind) or kind, get_args(kind)
    if origin in (Union, UnionType):
        for one in kinds:
            try:
                return _as_kind(value, one)
            except _UnfitError:
                continue
        raise _UnfitError
    if origin in _NAMES:
        return _as_plain(value, origin)
    if origin in _SEQUENCES:
        return _as_tuple(value, origin, kinds)
    if origin is Any or not isinstance(origin, type) or isinstance(value, origin):
        return value
    raise _UnfitError


def _as_plain(value: Any, kind: Any) -> Any:
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        value = value.item()  # a number of numpy
    fits = isinstance(value, Real if kind is float else kind)
    if not fits or (isinstance(value, bool) and kind is not bool):
        raise _UnfitError
    if kind is os.PathLike and not isinstance(os.fspath(value), str):
        raise _UnfitError
    if kind is not float:
        return value
    try:
        return float(value)
    except OverflowError:
        raise _UnfitError from None


def _as_tuple(value: Any, origin: Any, kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    """Make a tuple of anything that can be iterated over, such as an array or a column."""
    single = isinstance(value, str | bytes) or getattr(value, "shape", None) == ()
    unordered = isinstance(value, Set | Mapping) and origin is not Iterable
    if single or unordered or not isinstance(value, Iterable):
        raise _UnfitError
    value = tuple(value)
    if len(kinds) == 1 or kinds[-1] is ...:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise _UnfitError
    return tuple(_as_kind(one, kind) for one, kind in zip(value, kinds, strict=True))
