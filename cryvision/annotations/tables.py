"""Tables with a header and a row an interval."""

from __future__ import annotations

from collections.abc import Iterator

from cryvision.annotations.interval import UNLABELLED, DamagedError, Entry
from cryvision.annotations.text import parse_rows

TIME_COLUMNS = (("start_s", "end_s"), ("onset_s", "offset_s"))
"""Columns of a CSV that hold the times: the first pair that is there."""


def read_csv(text: str) -> Iterator[Entry]:
    """Read a table with times in seconds, and perhaps labels.

    Raises
    ------
    DamagedError
        If it is no table, or none with these columns.
    """
    header, rows = parse_rows(text)
    columns = next((pair for pair in TIME_COLUMNS if set(pair) <= set(header)), None)
    if columns is None:
        pairs = " or ".join(f"{start} and {end}" for start, end in TIME_COLUMNS)
        raise DamagedError(1, f"the header must name {pairs}; got {', '.join(header):.80}")
    start, end = columns
    for line, row in rows:
        yield Entry(line, row[start], row[end], row.get("label", UNLABELLED))
