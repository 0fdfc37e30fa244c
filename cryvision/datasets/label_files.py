"""Reads files of labels: TextGrids, Audacity tracks, ELAN, WebVTT, RTTM, CSV, corrections."""

from __future__ import annotations

import codecs
import csv
import io
import math
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryvision.datasets import corrections, editor_files
from cryvision.datasets.editor_files import BOUT_TIER, DamagedError, Entry
from cryvision.errors import AnnotationError

TIME_COLUMNS = (("start_s", "end_s"), ("onset_s", "offset_s"))
"""Columns of a CSV that hold the times: the first pair that is there."""

UNLABELLED = "cry"
"""What the rows of a CSV without a column ``label`` mean."""

_NOT_TEXT = re.compile(r"[\x00-\x08\x0e-\x1f]")
_TEXTGRID_TIME = re.compile(r"^([ \t]*(?:xmin|xmax|number)[ \t]*=[ \t]*)(.*?)[ \t]*$", re.MULTILINE)
_TEXTGRID_N_TIERS = re.compile(r"<exists>[^\d\n]*\n?[^\d\n]*(\d+)")
_TEXTGRID_N_ENTRIES = re.compile(
    r'"(?:IntervalTier|TextTier)"[ \t]*\n.*\n.*\n.*\n[^\d\n]*(\d+)[ \t]*$', re.MULTILINE
)


@dataclass(frozen=True, order=True)
class Interval:
    """A labelled stretch of a clip, in seconds from its start."""

    start_s: float
    end_s: float
    label: str


def read_intervals(path: str | os.PathLike[str]) -> list[Interval]:
    """Read the labels of one clip.

    Parameters
    ----------
    path : path
        By suffix: ``.TextGrid``, long or short form, all interval tiers but ``bouts``, without the
        blank intervals that Praat puts between the labelled ones; ``.txt``, an Audacity label
        track; ``.eaf``, an ELAN file, all tiers with times of their own but ``bouts``; ``.vtt``,
        the cues of WebVTT; ``.rttm``, the ``SPEAKER`` lines of one recording; ``.csv``, with a
        header that names ``start_s`` and ``end_s`` (or ``onset_s`` and ``offset_s``) and perhaps
        ``label``; without that column every row is crying; ``.corrections.json``, what was
        corrected on the page of ``cryvision serve``. The text is UTF-8, UTF-16 with a byte
        order mark, or else Latin-1. Times may have a decimal comma, and the cells of a CSV
        semicolons or tabs between them.

    Returns
    -------
    list of Interval
        Sorted by time; empty for a TextGrid or a CSV header without entries.

    Raises
    ------
    AnnotationError
        If the file cannot be read or is empty, or a time is not a number, not finite, negative or
        before its start; the message names file and line.
    """
    path = Path(path)
    if path.name.lower().endswith(corrections.SUFFIX):
        events = corrections.read_corrections(path).events
        return sorted(Interval(event.onset_s, event.offset_s, event.label) for event in events)
    readers: dict[str, Callable[[Path, str], list[Interval]]] = {
        ".textgrid": _read_textgrid,
        ".txt": _read_audacity,
        ".csv": _read_csv,
        ".eaf": _read_with(editor_files.read_eaf),
        ".rttm": _read_with(editor_files.read_rttm),
        ".vtt": _read_with(editor_files.read_vtt),
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise AnnotationError(
            f"{path}: labels must be a .TextGrid, .txt, .eaf, .rttm, .vtt, .csv or "
            f"{corrections.SUFFIX} file; got {path.suffix!r}"
        )
    return sorted(reader(path, _read_text(path)))


def read_rows(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Read a CSV file with a header.

    Returns
    -------
    header : list of str
        Names of the columns, in lower case and without outer blanks.
    rows : list of (int, dict of str to str)
        Line of the file, and the cells by column without outer blanks. Blank rows are skipped.

    Raises
    ------
    AnnotationError
        If the file cannot be read or is empty, or a row has not as many cells as the header.
    """
    return _parse_rows(path, _read_text(path))


def _parse_rows(path: Path, text: str) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    if text[:4].lower() == "sep=" and text[5:6] == "\n":
        text = "\n" + text[6:]  # what spreadsheets write above the header
    header_line = text.lstrip("\n").partition("\n")[0]
    between = next((mark for mark in ",;\t" if mark in header_line), ",")
    reader = csv.reader(io.StringIO(text), strict=True, delimiter=between)
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
                raise refused(path, reader.line_num, rule)
            else:
                rows.append((reader.line_num, dict(zip(header, cells, strict=True))))
    except csv.Error as error:
        raise refused(path, reader.line_num, f"not a CSV file: {error}") from error
    return header, rows


def _read_with(read: Callable[[str], Iterator[Entry]]) -> Callable[[Path, str], list[Interval]]:
    def reader(path: Path, text: str) -> list[Interval]:
        try:
            return [_interval(path, *entry) for entry in read(text)]
        except DamagedError as error:
            raise refused(path, error.line, error.rule) from error

    return reader


def _read_csv(path: Path, text: str) -> list[Interval]:
    header, rows = _parse_rows(path, text)
    columns = next((pair for pair in TIME_COLUMNS if set(pair) <= set(header)), None)
    if columns is None:
        pairs = " or ".join(f"{start} and {end}" for start, end in TIME_COLUMNS)
        raise refused(path, 1, f"the header must name {pairs}; got {', '.join(header):.80}")
    start, end = columns
    return [
        _interval(path, line, row[start], row[end], row.get("label", UNLABELLED))
        for line, row in rows
    ]


def _read_audacity(path: Path, text: str) -> list[Interval]:
    intervals = []
    for number, line in enumerate(text.split("\n"), start=1):
        # A backslash starts the second line of a spectral selection: its frequencies.
        if not line.strip() or line.startswith("\\"):
            continue
        fields = line.split("\t", 2)
        if len(fields) < 2:
            rule = f"a label must be onset, offset and text, separated by tabs; got {line!r:.80}"
            raise refused(path, number, rule)
        label = fields[2] if len(fields) == 3 else ""
        intervals.append(_interval(path, number, fields[0], fields[1], label))
    return intervals


def _read_textgrid(path: Path, text: str) -> list[Interval]:
    if "ooTextFile" not in text.split("\n", 1)[0]:
        raise refused(path, 1, 'a TextGrid must begin with File type = "ooTextFile"')
    text = _with_plain_times(path, text)
    values = [line.rpartition("=")[2].strip() for line in text.split("\n")]
    intervals = []
    at = 0
    for tier in _textgrid_tiers(path, text):
        read = tier["class"] == "IntervalTier" and tier["name"] != BOUT_TIER
        for start, end, label in tier["entries"] if read else ():
            # praatio gives no lines: the next such pair of times is where it has read them.
            pairs = (i for i in range(at, len(values) - 1) if values[i : i + 2] == [start, end])
            at = next(pairs, at)
            interval = _interval(path, at + 2, start, end, label)
            if interval.label:
                intervals.append(interval)
            at += 2
    return intervals


def _with_plain_times(path: Path, text: str) -> str:
    """Check the times of a long TextGrid, and write out those with an exponent.

    praatio drops the sign of a time and cannot read ``1e-05``.
    """

    def plain(match: re.Match[str]) -> str:
        try:
            return f"{match[1]}{read_seconds(match[2]):.9f}"
        except ValueError as error:
            raise refused(path, _line_at(text, match.start()), str(error)) from error

    return _TEXTGRID_TIME.sub(plain, text)


def _textgrid_tiers(path: Path, text: str) -> list[dict[str, Any]]:
    """Let praatio read the tiers; refuse a file that was cut off, which it would take as it is."""
    from praatio.utilities import errors, textgrid_io

    last_line = _line_at(text, len(text.rstrip()))
    try:
        tiers: list[dict[str, Any]] = textgrid_io.parseTextgridStr(
            text + "\n", includeEmptyIntervals=True
        )["tiers"]
    except (errors.PraatioException, ValueError, IndexError) as error:
        rule = f"the TextGrid is cut off or damaged: {' '.join(str(error).split())}"
        raise refused(path, last_line, rule) from error
    n_tiers = _TEXTGRID_N_TIERS.search(text)
    promised = [int(number) for number in _TEXTGRID_N_ENTRIES.findall(text)]
    counts = [len(tier["entries"]) for tier in tiers]
    if n_tiers is None or int(n_tiers[1]) != len(counts) or promised != counts:
        rule = (
            "the TextGrid is cut off or damaged: entries of its tiers are counted as "
            f"{promised} and found as {counts}, for {n_tiers[1] if n_tiers else 'no'} tiers"
        )
        raise refused(path, last_line, rule)
    return tiers


def _read_text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise AnnotationError(
            f"{path}: the labels could not be read: {error.strerror or error}"
        ) from error
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
        raise refused(path, _line_at(text, odd.start()), f"labels must be text; got {odd[0]!r}")
    if not text.strip():
        raise refused(path, 1, "a file of labels must not be empty")
    return text


def _interval(path: Path, line: int, start: str, end: str, label: str) -> Interval:
    try:
        start_s, end_s = read_seconds(start), read_seconds(end)
    except ValueError as error:
        raise refused(path, line, str(error)) from error
    if end_s < start_s:
        raise refused(path, line, f"the end must not be before the start; got {start} to {end}")
    return Interval(start_s, end_s, label.strip())


def read_seconds(text: str) -> float:
    """Read a time, with a decimal point or comma.

    Raises
    ------
    ValueError
        If it is not a number, not finite or negative; the message is the rule.
    """
    try:
        # float() alone takes 1_0 for 10. Two commas are none of them decimal.
        comma = text.count(",") == 1 and "." not in text
        seconds = float(text.replace("_", "x").replace(",", "." if comma else ","))
    except ValueError:
        raise ValueError(f"a time must be a number of seconds; got {text!r:.40}") from None
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"a time must be finite and not negative; got {text!r:.40}")
    return seconds + 0.0  # no "-0.0"


def _line_at(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def refused(path: Path, line: int, rule: str) -> AnnotationError:
    """Make the error that names a file, its line, and the rule that was broken there."""
    return AnnotationError(f"{path}: line {line}: {rule}")
