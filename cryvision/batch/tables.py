"""Writes the table of a run as CSV, JSON lines or Parquet."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from cryvision.batch.rows import kind_of
from cryvision.errors import ConfigError, MissingDependencyError
from cryvision.safe_text import escaped_json, spreadsheet_cell

Row = dict[str, Any]

PARQUET_ROWS = 10_000
"""Rows of a row group: a few megabytes in memory."""


def writer(out: str) -> Callable[[Path, Sequence[str], Iterator[Row]], None]:
    """Find what writes a table, on this machine or at a URL, by the suffix of its name.

    It takes the path to write, the columns in order, and the rows. What a row does not hold is
    empty, or null.
    """
    suffix = PurePosixPath(out.replace("\\", "/")).suffix.lower()
    writers = {".csv": write_csv, ".jsonl": write_jsonl, ".parquet": write_parquet}
    if suffix not in writers:
        raise ConfigError(f"the table must end in {', '.join(writers)}; got {out!r}")
    if suffix == ".parquet":
        _pyarrow()
    return writers[suffix]


def write_csv(path: Path, columns: Sequence[str], rows: Iterator[Row]) -> None:
    """Write CSV in UTF-8: truths are ``true`` and ``false``, lists are JSON.

    Text is as `cryvision.safe_text.spreadsheet_cell` makes it: a path that starts as a
    formula does has an apostrophe before it.
    """
    with open(path, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(map(spreadsheet_cell, columns))
        table.writerows([_cell(row.get(name)) for name in columns] for row in rows)


def write_jsonl(path: Path, columns: Sequence[str], rows: Iterator[Row]) -> None:
    """Write a JSON object a line, in ASCII; lists are lists."""
    with open(path, "w", encoding="ascii", newline="\n") as file:
        for row in rows:
            record = {name: row.get(name) for name in columns}
            file.write(json.dumps(record, allow_nan=False) + "\n")


def write_parquet(path: Path, columns: Sequence[str], rows: Iterator[Row]) -> None:
    """Write Parquet: lists are JSON text."""
    pyarrow, parquet = _pyarrow()
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


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingDependencyError(
            "a table in Parquet needs pyarrow, which is not installed: "
            "pip install 'cryvision[batch]'"
        ) from error
    return pyarrow, pyarrow.parquet


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return spreadsheet_cell(value)
    return escaped_json(json.dumps(value, ensure_ascii=False))


def _value(value: Any, kind: str) -> Any:
    if value is None or kind in ("real", "whole", "truth"):
        return value
    text = value if kind == "text" else json.dumps(value, ensure_ascii=False)
    # A file name may hold bytes that are no UTF-8.
    return text.encode("utf-8", "backslashreplace").decode()
