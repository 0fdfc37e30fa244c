"""The text of annotators' files: its encodings, tables with a header, and times."""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
from pathlib import Path
from xml.etree import ElementTree

from cryvision.annotations.interval import DamagedError
from cryvision.errors import AnnotationError
from cryvision.os_errors import os_errors

Rows = list[tuple[int, dict[str, str]]]
"""Line of the file, and the cells by column."""

_NOT_TEXT = re.compile(r"[\x00-\x08\x0e-\x14\x16-\x1f]")
# \x15 stands around the times of CHAT.
_SNIFFED_LETTERS = 4096

LONGEST_SECONDS = 1e7
"""116 days: a larger time is one in milliseconds, or damaged."""


def read_text(path: Path) -> str:
    """Read a file of UTF-8, UTF-16 with a byte order mark, or else Latin-1; lines end in ``\\n``.

    What cannot be read, or is no text, is an AnnotationError.
    """
    with os_errors(f"{path}: the labels could not be read", AnnotationError):
        raw = path.read_bytes()
    try:
        marked = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = raw.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        if marked:
            raise refused(path, 1, "the text must be UTF-16, as its first bytes state") from error
        text = raw.decode("latin-1")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    odd = _NOT_TEXT.search(text)
    if odd is not None:
        raise refused(path, line_at(text, odd.start()), f"labels must be text; got {odd[0]!r}")
    return text


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 with ``\\n`` at the end of each line on all systems."""
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)


def read_rows(path: Path) -> tuple[list[str], Rows]:
    """Read a CSV file with a header: the names of its columns in lower case, none in an empty file.

    The rows have the line of the file, and the cells by column without outer blanks. Blank rows are
    skipped. A row that has not as many cells as the header is an AnnotationError.
    """
    try:
        return parse_rows(read_text(path))
    except DamagedError as error:
        raise refused(path, error.line, error.rule) from error


def parse_rows(text: str) -> tuple[list[str], Rows]:
    """Do as `read_rows` with a text; raise DamagedError."""
    if text[:4].lower() == "sep=" and text[5:6] == "\n":
        text = "\n" + text[6:]  # what spreadsheets write above the header
    reader = csv.reader(io.StringIO(text), strict=True, delimiter=delimiter_of(text))
    header: list[str] = []
    rows = []
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if not header:
                header = [cell.lower() for cell in cells]
            elif len(cells) != len(header):
                rule = f"a row must have {len(header)} cells, as the header has; got {len(cells)}"
                raise DamagedError(reader.line_num, rule)
            else:
                rows.append((reader.line_num, dict(zip(header, cells, strict=True))))
    except csv.Error as error:
        raise DamagedError(reader.line_num, f"not a CSV file: {error}") from error
    return header, rows


def header_of(text: str) -> set[str]:
    """Return the names of a table's columns in lower case, and nothing of the rest."""
    if text[:4].lower() == "sep=" and text[5:6] == "\n":
        text = text[6:]
    line = text.lstrip("\n").partition("\n")[0][:_SNIFFED_LETTERS]
    cells = next(csv.reader([line], delimiter=delimiter_of(line)), [])
    return {cell.strip().lower() for cell in cells}


def delimiter_of(text: str) -> str:
    """Return what parts the cells of a table, by its header: a comma, semicolon or tab."""
    header_line = text.lstrip("\n").partition("\n")[0]
    return next((mark for mark in ",;\t" if mark in header_line), ",")


def read_seconds(text: str) -> float:
    """Read a time in a recording, with a decimal point or comma.

    What is not a number, negative, or more than any recording has, is a ValueError whose message is
    the rule.
    """
    seconds = _number(text)
    if not 0 <= seconds <= LONGEST_SECONDS:
        raise ValueError(
            f"a time must lie between 0 and {LONGEST_SECONDS:.0f} seconds; got {text!r:.40}"
        )
    return seconds + 0.0  # no "-0.0"


def read_clock(text: str) -> float:
    """Read seconds from any fixed point, such as the year 1970; as `read_seconds` but for limits.

    What is not a finite number is a ValueError whose message is the rule.
    """
    seconds = _number(text)
    if not math.isfinite(seconds):
        raise ValueError(f"a time must be a finite number of seconds; got {text!r:.40}")
    return seconds


def _number(text: str) -> float:
    try:
        # float() alone takes 1_0 for 10. Two commas are none of them decimal.
        comma = text.count(",") == 1 and "." not in text
        return float(text.replace("_", "x").replace(",", "." if comma else ","))
    except ValueError:
        raise ValueError(f"a time must be a number of seconds; got {text!r:.40}") from None


def parse_xml(text: str, what: str) -> ElementTree.Element:
    """Parse XML; a type or entities of its own, and damage, are a DamagedError."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise DamagedError(1, f"{what} must not declare a type or entities")
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        line = getattr(error, "position", (1, 0))[0]
        raise DamagedError(line, f"{what} is cut off or damaged: {error}") from error


def line_at(text: str, position: int) -> int:
    """Return the number of the line at a position."""
    return text.count("\n", 0, position) + 1


def refused(path: Path, line: int, rule: str) -> AnnotationError:
    """Make the error that names a file, its line, and the rule that was broken there."""
    return AnnotationError(f"{path}: line {line}: {rule}")
