"""Text from outside, made safe to write into files that people and tools open."""

from __future__ import annotations

import csv
import json
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

# Control characters, those that end a line, those that turn the direction of the text around, and
# bytes that could not be decoded.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
# What a spreadsheet takes for a formula, also in the wide forms of East Asian keyboards.
_FORMULA_STARTS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")

# What some file system refuses in a name, and names that Windows keeps for devices.
_FORBIDDEN = re.compile(r'[<>:"/\\|?*]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


def escaped(text: str) -> str:
    """Make any text safe in a file, changed as little as may be: a name stays what it was.

    It is valid UTF-8 in one line. Control characters, those that turn the direction of the text
    around, and undecodable bytes are escapes; all else stays.
    """
    return _UNSAFE.sub(lambda match: escape(match[0]), text)


def escaped_json(text: str) -> str:
    """Do as `escaped` in a text that is JSON, and leave it JSON."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def escape(char: str) -> str:
    """Write a character as an escape such as ``\\x1b``."""
    return char.encode("unicode_escape").decode("ascii")


def one_line(text: str) -> str:
    """Make a text `escaped`, with one blank in place of tabs, line ends and rows of blanks."""
    return escaped(" ".join(text.split()))


def spreadsheet_cell(text: str) -> str:
    """Make a text safe in a cell of CSV: `escaped`, and no spreadsheet takes it for a formula.

    Text from outside, as a path, a label or an error, gets an apostrophe where it starts as a
    formula does (OWASP, "CSV Injection"). Numbers need none of this, and ``-18.3`` would suffer.
    """
    return ("'" if text.startswith(_FORMULA_STARTS) else "") + escaped(text)


def csv_cell(value: Any) -> str:
    """Write a value of plain data as a cell of CSV: nothing for None, lists and truths as JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return spreadsheet_cell(value)
    if isinstance(value, float):  # of which a timeline has millions
        return str(value)
    return escaped_json(json.dumps(value, ensure_ascii=False))


def plain_cell(cell: str) -> str:
    """Take off the apostrophe that `spreadsheet_cell` puts before a formula."""
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(_FORMULA_STARTS) else cell


def portable_name(text: str) -> str:
    """Turn any text into a file name that file systems take, but for its length."""
    # Cc, Cf, Cs: control characters, invisible ones that reorder a name, undecodable bytes.
    name = "".join("_" if unicodedata.category(c) in ("Cc", "Cf", "Cs") else c for c in text)
    name = _FORBIDDEN.sub("_", name).rstrip(" .") or "clip"
    return f"_{name}" if _RESERVED.match(name) else name


def pairing_name(text: str) -> str:
    """Make names equal that a clip and the files of it may have: portable, in one Unicode form."""
    return unicodedata.normalize("NFC", portable_name(text))


def path_on_disk(path: str) -> str:
    """Give a path in the Unicode form that its file has; as it is where there is no such file.

    Systems write accents in one form or the other, and what writes a table may choose it anew.
    """
    forms = (path, *(unicodedata.normalize(form, path) for form in ("NFC", "NFD")))
    return next((form for form in forms if os.path.lexists(form)), path)


def write_rows(path: Path, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write CSV in UTF-8; texts among the cells must be safe already."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(map(spreadsheet_cell, header))
        table.writerows(rows)


def write_records(path: Path, columns: Sequence[str], records: Iterable[Mapping[str, Any]]) -> None:
    """Write CSV in UTF-8, a row a record; what a record does not hold is empty."""
    write_rows(
        path, columns, ([csv_cell(record.get(name)) for name in columns] for record in records)
    )
