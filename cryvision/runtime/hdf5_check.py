"""Judges the weights within a ``.keras`` file from their bytes: plain arrays, all in that file.

HDF5 has many ways to point elsewhere (external storage, virtual data sets, external and soft
links, filters that load libraries) and many to claim more than there is. Keras uses none of them:
it writes groups and contiguous arrays in HDF5's first format. That alone is read here, and the
rest refused, whatever it is; so that what is not on a list need not be known as dangerous.

The names of things are those of the "HDF5 File Format Specification", version 1.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from cryvision.errors import BundleError

MAX_OBJECTS = 50_000
"""Groups, arrays and blocks of their lists; ResNet-50 has about 1,500."""

MAX_RANK = 8
MAX_TEXT_BYTES = 4096

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_UNDEFINED = 2**64 - 1
_NIL, _DATASPACE, _DATATYPE, _FILL, _LAYOUT, _ATTRIBUTE = 0x0, 0x1, 0x3, 0x5, 0x8, 0xC
_CONTINUATION, _MODIFIED, _GROUP = 0x10, 0x12, 0x11
_NUMBERS = (0, 1)  # classes of types: integers and floating point
_OPEN_TEXT = 9
_TEXTS = (3, _OPEN_TEXT)  # in attributes alone: of one length and of any


class _Message(NamedTuple):
    kind: int
    data: memoryview


class _File:
    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._n_objects = 0
        self._entered: set[int] = set()
        self.stored_bytes = 0

    def __len__(self) -> int:
        return len(self._data)

    def part(self, at: int, size: int) -> memoryview:
        if not 0 <= at <= at + size <= len(self._data):
            raise ValueError("cut short")
        return self._data[at : at + size]

    def name(self, at: int) -> bytes:
        """The four letters that a part of the file starts with."""
        return bytes(self.part(at, 4))

    def numbers(self, form: str, at: int) -> tuple[Any, ...]:
        return struct.unpack("<" + form, self.part(at, struct.calcsize("<" + form)))

    def enter(self, at: int) -> None:
        """Take note of an object or a block; each is reached in one way, or there were rings."""
        self._n_objects += 1
        if at in self._entered or self._n_objects > MAX_OBJECTS:
            raise ValueError("an object in two places, or too many of them")
        self._entered.add(at)


def check_hdf5(data: bytes, where: str) -> None:
    """Refuse weights, ``model.weights.h5``, that are more than plain arrays within these bytes.

    Refused are links, storage elsewhere, filters, virtual or chunked data sets, types that are no
    numbers, shapes larger than the data, and a file that is damaged or in another format.
    """
    try:
        file = _File(data)
        waiting = [_root(file)]
        while waiting:
            waiting.extend(_object(file, *waiting.pop()))
    except (ValueError, struct.error) as error:
        raise BundleError(
            f"{where}: the weights must be plain arrays as Keras writes them: {error}"
        ) from error


def _root(file: _File) -> tuple[int, tuple[int, int] | None]:
    """Where the first group lies, once the superblock is that of the first format."""
    if file.part(0, 8) != _SIGNATURE:
        raise ValueError("this is no HDF5 file")
    versions = file.numbers("8B", 8)
    if (versions[0], versions[2], versions[4], *versions[5:7]) != (0, 0, 0, 8, 8):
        raise ValueError("another version of HDF5")
    base, _, end, driver = file.numbers("4Q", 24)
    if base or driver != _UNDEFINED or end != len(file):
        raise ValueError("a driver, an offset or another length")
    return _entry(file, 56)


def _entry(file: _File, at: int) -> tuple[int, tuple[int, int] | None]:
    """Object header of a symbol table entry, and the group's lists as the entry has them."""
    _, header, cache, _, tree, heap = file.numbers("QQIIQQ", at)
    if cache not in (0, 1):
        raise ValueError("a link to another place")
    return header, (tree, heap) if cache else None


def _object(
    file: _File, header: int, lists: tuple[int, int] | None
) -> list[tuple[int, tuple[int, int] | None]]:
    """Check a group or an array; give what a group holds."""
    messages: dict[int, list[memoryview]] = {}
    for message in _messages(file, header):
        messages.setdefault(message.kind, []).append(message.data)
    for attribute in messages.pop(_ATTRIBUTE, []):
        _check_attribute(attribute)
    kinds = set(messages) - {_NIL, _CONTINUATION, _MODIFIED}
    once = all(len(messages[kind]) == 1 for kind in kinds)
    if once and kinds == {_GROUP}:
        named = struct.unpack_from("<QQ", messages[_GROUP][0])
        if lists not in (None, named):
            raise ValueError("a group with two lists")
        return list(_members(file, *named))
    if once and lists is None and kinds - {_FILL} == {_DATASPACE, _DATATYPE, _LAYOUT}:
        _check_array(file, *(messages[kind][0] for kind in (_DATASPACE, _DATATYPE, _LAYOUT)))
        return []
    raise ValueError(f"an object of other parts than a group or an array: {sorted(kinds)}")


def _messages(file: _File, header: int) -> Iterator[_Message]:
    file.enter(header)
    version, _, n_messages, _, size = file.numbers("BBHII", header)
    if version != 1:
        raise ValueError("an object of another version")
    blocks = [(header + 16, size)]
    n_read = 0
    while blocks:
        at, size = blocks.pop()
        end = at + size
        while at < end and n_read < n_messages:
            kind, length, flags = file.numbers("HHB", at)
            if flags & ~0x01 or at + 8 + length > end:
                raise ValueError("a message that is shared or cut short")
            data = file.part(at + 8, length)
            if kind == _CONTINUATION:
                address, room = struct.unpack_from("<QQ", data)
                file.enter(address)
                blocks.append((address, room))
            yield _Message(kind, data)
            n_read += 1
            at += 8 + length
    if n_read != n_messages:
        raise ValueError("an object that lacks a message")


def _members(file: _File, tree: int, heap: int) -> Iterator[tuple[int, tuple[int, int] | None]]:
    if file.name(heap) != b"HEAP":
        raise ValueError("a group without names")
    waiting = [tree]
    nodes: set[int] = {_UNDEFINED}
    neighbours: set[int] = set()
    while waiting:
        at = waiting.pop()
        file.enter(at)
        nodes.add(at)
        if file.name(at) == b"SNOD":
            for i in range(file.numbers("H", at + 6)[0]):
                yield _entry(file, at + 8 + 40 * i)
            continue
        kind, _, n_children, left, right = file.numbers("BBHQQ", at + 4)
        if file.name(at) != b"TREE" or kind:
            raise ValueError("a group without a list of its members")
        waiting.extend(file.numbers("Q", at + 32 + 16 * i)[0] for i in range(n_children))
        neighbours.update((left, right))
    if not neighbours <= nodes:
        raise ValueError("a list that goes on elsewhere")


def _check_array(file: _File, space: memoryview, datatype: memoryview, layout: memoryview) -> None:
    """Refuse an array that is not stored in one piece within the file, or claims to be larger."""
    size = _type_size(datatype, _NUMBERS) * math.prod(_shape(space))
    version, kind, address, stored = struct.unpack_from("<BBQQ", layout)
    if (version, kind) != (3, 1):
        raise ValueError("an array that is chunked, virtual or stored elsewhere")
    if stored != size or (size and address == _UNDEFINED):
        raise ValueError("an array that is not as large as its shape")
    if size:
        file.part(address, size)
    file.stored_bytes += size
    if file.stored_bytes > len(file):
        raise ValueError("arrays that share their data")


def _check_attribute(attribute: memoryview) -> None:
    """Refuse an attribute that is not a number or a text, or is larger than its message."""
    version, _, *sizes = struct.unpack_from("<BBHHH", attribute)
    if version != 1:
        raise ValueError("an attribute of another version")
    starts = [8]
    for size in sizes:
        starts.append(starts[-1] + -(-size // 8) * 8)
    datatype, space = attribute[starts[1] : starts[2]], attribute[starts[2] : starts[3]]
    size = _type_size(datatype, _NUMBERS + _TEXTS) * math.prod(_shape(space))
    if starts[3] + size > len(attribute):
        raise ValueError("an attribute that is cut short")


def _type_size(datatype: memoryview, classes: tuple[int, ...]) -> int:
    first, size = struct.unpack_from("<B3xI", datatype)
    kind = first & 0xF
    most = 8 if kind in _NUMBERS else MAX_TEXT_BYTES
    if first >> 4 != 1 or kind not in classes or not 0 < size <= most:
        raise ValueError("a type that is neither a number nor a text")
    if kind == _OPEN_TEXT and datatype[1] & 0xF != 1:
        raise ValueError("a list of any length")
    return int(size)


def _shape(space: memoryview) -> tuple[int, ...]:
    """Lengths of the axes; () for a single number."""
    version, rank, flags = struct.unpack_from("<3B", space)
    if version != 1 or rank > MAX_RANK or flags not in (0, 1):
        raise ValueError("a shape of another version")
    shape = struct.unpack_from(f"<{rank}Q", space, 8)
    if flags and struct.unpack_from(f"<{rank}Q", space, 8 + 8 * rank) != shape:
        raise ValueError("an array that can grow")
    return shape
