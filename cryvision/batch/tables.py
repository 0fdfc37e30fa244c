"""Writes the table of a run, and one of all events, as CSV, JSON lines or Parquet."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from cryvision.batch.job import Job
from cryvision.batch.placing import check_ours, exists, put
from cryvision.batch.rows import kind_of
from cryvision.batch.sources import subject_of
from cryvision.batch.store import Store
from cryvision.errors import ConfigError
from cryvision.outputs.event_rows import (
    DICTIONARY_SUFFIX,
    event_measures,
    event_rows,
    write_dictionary,
)
from cryvision.outputs.timeline_tables import import_pyarrow
from cryvision.safe_text import write_records
from cryvision.subjects import compile_subject_pattern

Row = dict[str, Any]

PARQUET_ROWS = 10_000
"""Rows of a row group: a few megabytes in memory."""


def writer(out: str) -> Callable[[Path, Sequence[str], Iterator[Row]], None]:
    """Find what writes a table, on this machine or at a URL, by the suffix of its name.

    It takes the path to write, the columns in order, and the rows. What a row does not hold is
    empty, or null.
    """
    suffix = PurePosixPath(out.replace("\\", "/")).suffix.lower()
    writers = {".csv": write_records, ".jsonl": write_jsonl, ".parquet": write_parquet}
    if suffix not in writers:
        raise ConfigError(f"the table must end in {', '.join(writers)}; got {out!r}")
    if suffix == ".parquet":
        import_pyarrow()
    return writers[suffix]


def write_jsonl(path: Path, columns: Sequence[str], rows: Iterator[Row]) -> None:
    """Write a JSON object a line, in ASCII; lists are lists."""
    with open(path, "w", encoding="ascii", newline="\n") as file:
        for row in rows:
            record = {name: row.get(name) for name in columns}
            file.write(json.dumps(record, allow_nan=False) + "\n")


def write_parquet(path: Path, columns: Sequence[str], rows: Iterator[Row]) -> None:
    """Write Parquet: lists are JSON text."""
    pyarrow, parquet = import_pyarrow()
    types = {
        "text": pyarrow.string(),
        "json": pyarrow.string(),
        "real": pyarrow.float64(),
        "whole": pyarrow.int64(),
        "truth": pyarrow.bool_(),
    }
    kinds = {name: kind_of(name) for name in columns}
    schema = pyarrow.schema([(name, types[kind]) for name, kind in kinds.items()])
    with parquet.ParquetWriter(path, schema) as table:
        while batch := list(itertools.islice(rows, PARQUET_ROWS)):
            values = {
                name: [_value(row.get(name), kind) for row in batch] for name, kind in kinds.items()
            }
            table.write_table(pyarrow.Table.from_pydict(values, schema))


def _value(value: Any, kind: str) -> Any:
    if value is None or kind in ("real", "whole", "truth"):
        return value
    text = value if kind == "text" else json.dumps(value, ensure_ascii=False)
    # A file name may hold bytes that are no UTF-8.
    return text.encode("utf-8", "backslashreplace").decode()


class EventTable:
    """A table of events, made from the rows of the clips: it holds each event exactly once.

    `paths` are those of the table, ``.csv``, ``.jsonl`` or ``.parquet``, on this machine or at a
    URL, and of what its columns mean; for ``subject_pattern`` see `subject_of`.
    """

    def __init__(self, path: str, subject_pattern: str | None = None) -> None:
        self._pattern = compile_subject_pattern(subject_pattern)
        self._write = writer(path)
        self.paths = (path, path + DICTIONARY_SUFFIX)
        if not exists(self.paths[1]):
            check_ours(*self.paths)

    def write(self, store: Store, job: Job) -> None:
        measures = event_measures(job.acoustics)
        names = [measure.name for measure in measures]
        rows = (
            event
            for clip, row in store.rows()
            for event in event_rows(row, subject=subject_of(clip, self._pattern))
        )
        table, dictionary = self.paths
        put(dictionary, lambda path: write_dictionary(path, measures))
        put(table, lambda path: self._write(path, names, rows))
