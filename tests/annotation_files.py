"""Writes annotations and reads them again, for tests and for ``benchmarks/annotations.py``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cryvision.annotations import FORMATS, Interval, read_annotations, write_annotations

WRITABLE = [name for name, form in FORMATS.items() if form.write]

PRECISION_SHARE = 1.0
"""Of the last place that a format writes: half of it is lost in rounding, and what is shorter than
one gets the length of one."""

_FLOAT_ERROR_S = 1e-9


def write_and_read(intervals: Sequence[Interval], folder: Path, form: str) -> list[Interval]:
    """Write some intervals in a format, and read the file."""
    path = folder / f"a{FORMATS[form].suffixes[0]}"
    write_annotations(intervals, path, form, media="night 1.wav")
    return read_annotations(path)


def lost_or_moved(
    written: Sequence[Interval], read: Sequence[Interval], form: str
) -> list[Interval]:
    """List the intervals that are not among those that were read, within the format's precision."""
    tolerance_s = PRECISION_SHARE * 10.0 ** -FORMATS[form].decimals + _FLOAT_ERROR_S
    left, lost = list(read), []
    for interval in written:
        for candidate in left:
            if (
                candidate.label == interval.label
                and abs(candidate.start_s - interval.start_s) <= tolerance_s
                and abs(candidate.end_s - interval.end_s) <= tolerance_s
            ):
                left.remove(candidate)
                break
        else:
            lost.append(interval)
    return lost
