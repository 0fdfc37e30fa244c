"""The chunks of a WAV file, and what its header states of its length, beside how long it is.

The header has 32 bits for a size. A recording beyond 4 GB wraps it round, a recorder that is cut
off leaves what it had written first, and two files joined byte by byte keep the first one's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

LARGEST_STATED_BYTES = 0x7FFF0000
"""A file that states this size or more was written to a pipe, where nobody knew its size."""

_TAGS = (b"ID3", b"TAG", b"APETAGEX")
"""What taggers write behind the chunks of a file, against the rules."""

_SHORTEST_SECONDS = 0.1
_MOST_CHUNKS = 1000


@dataclass(frozen=True)
class Header:
    """The sound of a WAV file, as its header has it: where it starts, and its stated size."""

    data_start: int
    data_bytes: int
    bytes_per_second: int
    file_bytes: int

    def seconds(self, n_bytes: int) -> float:
        return n_bytes / self.bytes_per_second


def stated_seconds(path: str | os.PathLike[str], header: Header) -> float | None:
    """Return the length of a WAV file: what it states, or what is there, where that is more.

    The header is that of `read_header`.
    """
    if not 0 < header.data_bytes < LARGEST_STATED_BYTES:
        return None
    if goes_on(path)[0] == "sound":
        return header.seconds(header.file_bytes - header.data_start)
    return header.seconds(header.data_bytes)


def goes_on(path: str | os.PathLike[str]) -> tuple[str | None, float]:
    """Say what follows the end that a WAV file states, and its length, were it the same sound.

    ``sound`` where it can only be more of the same, ``file`` where another file or stretch begins,
    None where there is nothing, or what belongs there: chunks of text.
    """
    header = read_header(path)
    if header is None or header.data_bytes == 0:
        return None, 0.0
    end = header.data_start + header.data_bytes
    seconds = header.seconds(header.file_bytes - end)
    if seconds < _SHORTEST_SECONDS:
        return None, 0.0
    with open(path, "rb") as file:
        # Some writers forget the byte that makes a size even.
        kinds = [_behind(file, start, header.file_bytes) for start in {end, end + end % 2}]
    return next((kind for kind in kinds if kind != "sound"), "sound"), seconds


def read_header(path: str | os.PathLike[str]) -> Header | None:
    """Read the header of a WAV file of plain samples; None where it is none, or is damaged."""
    with open(path, "rb") as file:
        file_bytes = os.fstat(file.fileno()).st_size
        per_second = 0
        for name, at, size in chunks(file, (b"RIFF",)):
            if name == b"data":
                return Header(at, size, per_second, file_bytes) if per_second else None
            if name == b"fmt ":
                per_second = int.from_bytes(file.read(12)[8:], "little")
    return None


def chunks(file: BinaryIO, kinds: tuple[bytes, ...]) -> Iterator[tuple[bytes, int, int]]:
    """Give name, place and size of each chunk; the file, of one of some kinds, is at that place."""
    start = file.read(12)
    if start[:4] not in kinds or start[8:] != b"WAVE":
        return
    data_bytes = None
    for _ in range(_MOST_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            return
        name, size = head[:4], int.from_bytes(head[4:], "little")
        at = file.tell()
        if name == b"ds64":
            data_bytes = int.from_bytes(file.read(16)[8:], "little")
            file.seek(at)
        elif name == b"data" and size == 0xFFFFFFFF and data_bytes is not None:
            size = data_bytes
        yield name, at, size
        file.seek(at + size + size % 2)


def _behind(file: BinaryIO, start: int, end: int) -> str | None:
    """Say what lies from a place to a file's end."""
    n_chunks = 0
    while start + 8 <= end and n_chunks < _MOST_CHUNKS:
        file.seek(start)
        head = file.read(12)
        name, size = head[:4], int.from_bytes(head[4:8], "little")
        if head.startswith(_TAGS):
            return None
        if not (name.isascii() and name.decode("ascii").isprintable() and name[:1].isalpha()):
            return None if n_chunks else "sound"
        if name in (b"RIFF", b"RF64", b"data"):
            return "file"
        start += 8 + size + size % 2
        if start > end + 1:
            return None if n_chunks else "sound"
        n_chunks += 1
    return None
