"""JSON from elsewhere, checked field by field: whatever is wrong is refused by name."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any, TypeVar

from cryvision.errors import BundleError, ConfigError
from cryvision.runtime import safe_load

NUMBER = (int, float)

T = TypeVar("T")


def fields(data: Any, where: str, **types: type | tuple[type, ...]) -> dict[str, Any]:
    """Give a JSON object as a dict once it has exactly these fields of these types."""
    if not isinstance(data, dict):
        raise BundleError(f"{where}: must be an object; got {data!r:.80}")
    for name in types:
        if name not in data:
            raise BundleError(f"{where}: the field {name!r} is missing")
    for name, value in data.items():
        if name not in types:
            raise BundleError(f"{where}: there is no field {name!r:.80} here")
        # bool is an int to Python, not to JSON.
        if isinstance(value, bool) or not isinstance(value, types[name]):
            raise BundleError(f"{where}: {name} has the wrong type; got {value!r:.80}")
    return dict(data)


def strings(values: list[Any], where: str) -> None:
    """Refuse a list that holds anything but texts."""
    if not all(isinstance(value, str) for value in values):
        raise BundleError(f"{where}: must hold texts only; got {values!r:.80}")


def numbers(values: Mapping[Any, Any], where: str) -> None:
    """Refuse an object that holds anything but numbers."""
    for value in values.values():
        if isinstance(value, bool) or not isinstance(value, NUMBER):
            raise BundleError(f"{where}: must hold numbers only; got {value!r:.80}")


def settings(kind: type[T], data: Any, where: str) -> T:
    """Build a settings dataclass from JSON data, an object with known fields of the right types.

    A BundleError, which begins with ``where``, says what is not so, or is out of range.
    """
    if not isinstance(data, dict):
        raise BundleError(f"{where}: {kind.__name__} must be an object; got {data!r:.80}")
    unknown = sorted(set(data) - {field.name for field in dataclasses.fields(kind)})  # type: ignore[arg-type]
    if unknown:
        raise BundleError(f"{where}: {kind.__name__} has no field {unknown[0]!r}")
    try:
        return kind(**data)
    except (ConfigError, OverflowError) as error:
        raise BundleError(f"{where}: {error}") from error


def strict_json(text: bytes, where: str) -> Any:
    """Parse JSON proper: UTF-8, no NaN or infinity, no field twice."""

    def finite(number: str) -> float:
        value = float(number)
        if not math.isfinite(value):
            raise ValueError(f"{number} is not a finite number")
        return value

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            raise ValueError(f"a field is there twice among {', '.join(sorted(fields))}")
        return fields

    def whole(number: str) -> int:
        value = int(number)
        if abs(value) >= 2**63:
            raise ValueError(f"{number[:20]}... has more than 64 bits")
        return value

    safe_load.check_not_too_long(text, where)
    try:
        return json.loads(
            text.decode("utf-8"),
            parse_int=whole,
            parse_float=finite,
            parse_constant=finite,
            object_pairs_hook=unique,
        )
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{where}: not JSON: {error}") from error
