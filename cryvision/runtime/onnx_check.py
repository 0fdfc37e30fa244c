"""Judges an ONNX file from its bytes: nothing is run that reaches outside itself or has no end.

A file is refused unless each byte of it means to this reader what it means to every other one:
fields of the lists below alone, each tag and integer in its one shortest form. What is not on a
list need not be known as dangerous. ``onnx`` itself is not needed to classify, and not used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cryvision.errors import BundleError

DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
"""Operators of these are run: the standard ones."""

MAX_FIELDS = 1_000_000
MAX_NODES = 20_000
"""ResNet-50 has fewer than 200 nodes; the longest recurrent network unrolled has thousands."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# What the fields of each message are: a number, a text, bytes, packed or repeated numbers, or
# the name of another message; ``*`` marks those that may be there more than once.
_NUMBER, _TEXT, _DATA, _FLOAT, _DOUBLE = "number", "text", "data", "float", "double"
_PROPERTIES = "StringStringEntryProto*"
FIELDS: dict[str, dict[int, str]] = {
    "ModelProto": {
        **{1: _NUMBER, 2: _TEXT, 3: _TEXT, 4: _TEXT, 5: _NUMBER, 6: _TEXT},
        **{7: "GraphProto", 8: "OperatorSetIdProto*", 14: _PROPERTIES},
    },
    "OperatorSetIdProto": {1: _TEXT, 2: _NUMBER},
    "GraphProto": {
        **{1: "NodeProto*", 2: _TEXT, 5: "TensorProto*", 10: _TEXT},
        **{11: "ValueInfoProto*", 12: "ValueInfoProto*", 13: "ValueInfoProto*", 16: _PROPERTIES},
    },
    "NodeProto": {
        **{1: _TEXT + "*", 2: _TEXT + "*", 3: _TEXT, 4: _TEXT, 5: "AttributeProto*", 6: _TEXT},
        **{7: _TEXT, 8: _TEXT, 9: _PROPERTIES},
    },
    "AttributeProto": {
        **{1: _TEXT, 2: _FLOAT, 3: _NUMBER, 4: _DATA, 5: "TensorProto", 7: _FLOAT + "*"},
        **{8: _NUMBER + "*", 9: _DATA + "*", 10: "TensorProto*", 13: _TEXT, 20: _NUMBER},
    },
    "TensorProto": {
        **{1: _NUMBER + "*", 2: _NUMBER, 4: _FLOAT + "*", 5: _NUMBER + "*", 7: _NUMBER + "*"},
        **{8: _TEXT, 9: _DATA, 10: _DOUBLE + "*", 11: _NUMBER + "*", 12: _TEXT, 14: _NUMBER},
        **{16: _PROPERTIES},
    },
    "StringStringEntryProto": {1: _TEXT, 2: _TEXT},
    "ValueInfoProto": {1: _TEXT, 2: "TypeProto", 3: _TEXT, 4: _PROPERTIES},
    "TypeProto": {1: "Tensor", 6: _TEXT},
    "Tensor": {1: _NUMBER, 2: "TensorShapeProto"},
    "TensorShapeProto": {1: "Dimension*"},
    "Dimension": {1: _NUMBER, 2: _TEXT, 3: _TEXT},
}
"""The messages of onnx.proto that a model of this package's kind is made of."""

_OWN_WEIGHTS = "an ONNX model must hold its weights itself"
_NO_FUNCTIONS = "an ONNX model must not bring functions of its own"
_NO_CONTROL = "an ONNX model must have no loops and branches (graphs within nodes)"
_REFUSED = {
    ("ModelProto", 20): _NO_FUNCTIONS,
    ("ModelProto", 25): _NO_FUNCTIONS,
    ("AttributeProto", 6): _NO_CONTROL,
    ("AttributeProto", 11): _NO_CONTROL,
    ("TensorProto", 13): _OWN_WEIGHTS,
}
_WIRES = {
    **{_NUMBER: _VARINT, _TEXT: _BYTES, _DATA: _BYTES},
    **{_FLOAT: _FIXED32, _DOUBLE: _FIXED64},
}
_PACKED = (_NUMBER, _FLOAT, _DOUBLE)


def check_onnx(data: bytes, where: str) -> None:
    """Refuse an ONNX file that reaches outside itself or outside the standard operators.

    Refused are weights kept in other files, operators of custom domains, functions or training
    steps of its own, loops and branches, tensors that claim to be larger than their data, and bytes
    that another reader might understand in another way, or that are not an ONNX model.
    """
    try:
        _check(memoryview(data), where)
    except (ValueError, IndexError) as error:
        raise BundleError(f"{where}: not an ONNX model: {error}") from error


def _check(model: memoryview, where: str) -> None:
    """Walk the messages without recursion, so that no depth of nesting matters."""
    counts = dict.fromkeys(FIELDS, 0)
    n_fields = 0
    waiting = [("ModelProto", model)]
    while waiting:
        kind, message = waiting.pop()
        counts[kind] += 1
        values: dict[int, list[Any]] = {}
        for number, wire, value in _fields(message):
            n_fields += 1
            if n_fields > MAX_FIELDS or counts["NodeProto"] > MAX_NODES:
                raise ValueError(f"more than {MAX_FIELDS} fields or {MAX_NODES} nodes")
            if (kind, number) in _REFUSED:
                raise BundleError(f"{where}: {_REFUSED[kind, number]}")
            values.setdefault(number, []).append(_value(kind, number, wire, value))
        for number, items in values.items():
            what = FIELDS[kind][number]
            if len(items) > 1 and not what.endswith("*"):
                raise ValueError(f"{kind} has field {number} twice")
            if what.rstrip("*") in FIELDS:
                waiting.extend((what.rstrip("*"), value) for value in items)
        _check_meaning(kind, values, len(message), where)
    if not (counts["GraphProto"] and counts["OperatorSetIdProto"]):
        raise ValueError("it has no graph")


def _value(kind: str, number: int, wire: int, value: int | memoryview) -> Any:
    """One field's value once it is of the type that the field has to every reader."""
    what = FIELDS[kind].get(number)
    if what is None:
        raise ValueError(f"{kind} must not have the field {number}")
    plain = what.rstrip("*")
    packed = wire == _BYTES and what.endswith("*") and plain in _PACKED
    if wire != _WIRES.get(plain, _BYTES) and not packed:
        raise ValueError(f"field {number} of {kind} has the wrong type")
    if plain == _TEXT and isinstance(value, memoryview):
        return str(value, "utf-8")
    return value


def _check_meaning(kind: str, values: dict[int, list[Any]], size: int, where: str) -> None:
    """Refuse foreign operators, weights elsewhere and tensors larger than what they hold."""
    domains = values.get({"OperatorSetIdProto": 1, "NodeProto": 7}.get(kind, 0), [])
    for domain in domains:
        if domain not in DOMAINS:
            raise BundleError(f"{where}: only standard ONNX operators are run; got {domain!r:.80}")
    if kind != "TensorProto":
        return
    if any(values.get(14, [])):
        raise BundleError(f"{where}: {_OWN_WEIGHTS}")
    n_elements = 1
    for dim in _numbers(values.get(1, [])):
        n_elements *= dim
        # Each element takes a byte or more; a negative size is read as a huge one here.
        if n_elements > size:
            raise BundleError(f"{where}: a tensor must not claim more than the data it holds")


def _numbers(items: list[int | memoryview]) -> Iterator[int]:
    """The integers of a repeated field, each by itself or packed."""
    for value in items:
        if isinstance(value, int):
            yield value
            continue
        at = 0
        while at < len(value):
            number, at = _varint(value, at, 64)
            yield number


def _fields(message: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """Yield number, wire type and value of one message's fields: an int, or the bytes of it."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at, 32)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(message, at, 64)
            yield number, wire, value
            continue
        if wire == _BYTES:
            size, at = _varint(message, at, 32)
        elif wire in (_FIXED32, _FIXED64):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError("an unknown wire type")
        if at + size > len(message):
            raise ValueError("cut short")
        yield number, wire, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int, n_bits: int) -> tuple[int, int]:
    """Read one base-128 integer in its shortest form; give it and the place after it."""
    value = 0
    for shift in range(0, n_bits, 7):
        if at >= len(message):
            raise ValueError("cut short")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> n_bits or (not byte and shift):
                raise ValueError("an integer that is too long")
            return value, at
    raise ValueError("an integer that is too long")
