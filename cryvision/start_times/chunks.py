"""The time of a recording in the chunks of a WAV file: GUANO, BWF, AudioMoth's and Song Meter's."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import datetime

from cryvision.inputs import riff

FIRST_YEAR, LAST_YEAR = 1990, 2099
"""Of recordings; clocks that were never set start before, and damaged ones show any year."""

_MOST_BYTES = 1 << 20
"""Of a chunk of text; what is larger is something else."""

_RECORDED_AT = re.compile(
    r"Recorded at (\d\d):(\d\d):(\d\d)(?:\.(\d{3}))? (\d\d)/(\d\d)/(\d{4}) "
    r"\(UTC(?:([+-])(\d{1,2})(?::(\d\d))?)?\)"
)
TIME_RULE = (
    f"must be a date and time of ISO 8601 from {FIRST_YEAR} to {LAST_YEAR}, YYYY-MM-DDTHH:MM:SS, "
    "with or without an offset from UTC such as +01:00"
)
"""What is said of a start that `iso_time` does not read."""

_BEXT_DATE, _BEXT_TIME = slice(320, 330), slice(330, 338)
_WAMD_TIMESTAMP = 5


def time_from_chunks(path: str | os.PathLike[str]) -> tuple[datetime, str] | None:
    """Find the start of a recording in the chunks of its WAV file, and which chunk has it.

    The time has its zone where the chunk states it.
    """
    readers: dict[bytes, tuple[str, Callable[[bytes], datetime | None]]] = {
        b"guan": ("GUANO", _guano),
        b"wamd": ("Song Meter's metadata", _wamd),
        b"LIST": ("AudioMoth's comment", _comment),
        b"bext": ("BWF", _bext),
    }
    if not os.path.isfile(path):  # a pipe would be waited for
        return None
    try:
        with open(path, "rb") as file:
            chunks = {
                name: file.read(size)
                for name, _, size in riff.chunks(file, (b"RIFF", b"RF64"))
                if name in readers and size <= _MOST_BYTES
            }
    except OSError:
        return None
    for name, (source, read) in readers.items():
        time = read(chunks[name]) if name in chunks else None
        if time is not None:
            return time, source
    return None


def _guano(chunk: bytes) -> datetime | None:
    for line in chunk.decode("utf-8", "replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "Timestamp":
            return iso_time(value.strip())
    return None


def _wamd(chunk: bytes) -> datetime | None:
    at = 0
    while at + 6 <= len(chunk):
        kind = int.from_bytes(chunk[at : at + 2], "little")
        size = int.from_bytes(chunk[at + 2 : at + 6], "little")
        if kind == _WAMD_TIMESTAMP:
            return iso_time(chunk[at + 6 : at + 6 + size].decode("ascii", "replace").strip("\0 "))
        at += 6 + size
    return None


def _comment(chunk: bytes) -> datetime | None:
    match = _RECORDED_AT.search(chunk.decode("latin-1"))
    if match is None:
        return None
    hour, minute, second, ms, day, month, year, sign, ahead, quarters = match.groups()
    zone = f"{sign or '+'}{int(ahead or 0):02d}:{quarters or '00'}"
    return iso_time(f"{year}-{month}-{day}T{hour}:{minute}:{second}.{ms or '0'}{zone}")


def _bext(chunk: bytes) -> datetime | None:
    date, clock = (chunk[part].decode("ascii", "replace") for part in (_BEXT_DATE, _BEXT_TIME))
    # EBU Tech 3285 leaves the marks between the numbers to the writer.
    return iso_time("-".join(re.split(r"\D", date)) + "T" + ":".join(re.split(r"\D", clock)))


def iso_time(text: str) -> datetime | None:
    """Read a date and time of ISO 8601, as loosely as recorders write it.

    None for all else, and for years before `FIRST_YEAR` or after `LAST_YEAR`.
    """
    match = re.fullmatch(
        r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(:\d\d)?(?:[.,](\d{1,6})\d*)?\s*(Z|[+-]\d\d(?::?\d\d)?)?",
        text,
    )
    if match is None:
        return None
    date, clock, seconds, fraction, zone = match.groups()
    zone = "+00:00" if zone == "Z" else zone or ""
    if zone:
        zone = f"{zone[:3]}:{zone[3:].lstrip(':') or '00'}"
    try:
        time = datetime.fromisoformat(
            f"{date}T{clock}{seconds or ':00'}.{(fraction or '0').ljust(6, '0')}{zone}"
        )
    except ValueError:
        return None
    return time if FIRST_YEAR <= time.year <= LAST_YEAR else None
