"""The time at which an MP4 or QuickTime file was made, as its header states it."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import BinaryIO

from cryvision.start_times.chunks import FIRST_YEAR, LAST_YEAR, iso_time

_EPOCH = datetime(1904, 1, 1, tzinfo=timezone.utc)

_MOST_BOXES = 1000
_MOST_BYTES = 1 << 20
_CREATION_DATE = b"com.apple.quicktime.creationdate"
_ANDROID = b"com.android.version"
_DATE = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:?\d\d)")


def time_from_mp4(path: str | os.PathLike[str]) -> tuple[datetime, str] | None:
    """Find when an MP4 or QuickTime file was made, with its zone, and what in it says so.

    Apple's own creation date, which has the zone of the place, goes before that of the header,
    which is UTC. Android writes the header when a recording ends, with the time of that moment.
    """
    if not os.path.isfile(path):  # a pipe would be waited for
        return None
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            for name, start, end in _boxes(file, 0, size):
                if name == b"moov":
                    return _of_movie(file, start, end)
    except (OSError, OverflowError, struct.error):
        return None
    return None


def _of_movie(file: BinaryIO, start: int, end: int) -> tuple[datetime, str] | None:
    header, length_s, from_android = None, None, False
    for name, at, stop in _boxes(file, start, end):
        if name == b"mvhd":
            file.seek(at)
            wide = file.read(4)[:1] == b"\1"
            raw = file.read(28 if wide else 16)
            seconds, _, rate, ticks = struct.unpack(">QQIQ" if wide else ">IIII", raw)
            header = _EPOCH + timedelta(seconds=seconds)
            is_known = rate and ticks != (2**64 if wide else 2**32) - 1
            length_s = ticks / rate if is_known else None
        elif name == b"meta" and stop - at <= _MOST_BYTES:
            file.seek(at)
            raw = file.read(stop - at)
            from_android = _ANDROID in raw
            date = _DATE.search(raw) if _CREATION_DATE in raw else None
            time = iso_time(date[0].decode("ascii")) if date else None
            if time is not None:
                return time, "QuickTime creation date"
    # Cameras without a clock start in 1904 or in 1970.
    if header is None or not FIRST_YEAR <= header.year <= LAST_YEAR:
        return None
    if from_android:
        # It is the end there.
        if length_s is None:
            return None
        header -= timedelta(seconds=length_s)
    return header, "MP4 creation time"


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    for _ in range(_MOST_BOXES):
        if start + 8 > end:
            return
        file.seek(start)
        head = file.read(16)
        size, name, content = int.from_bytes(head[:4], "big"), head[4:8], start + 8
        if size == 1:
            size, content = int.from_bytes(head[8:16], "big"), start + 16
        stop = end if size == 0 else start + size
        if stop < content or stop > end:
            return
        yield name, content, stop
        start = stop
