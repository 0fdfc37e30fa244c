"""Tables with a header and a row an interval: each program and corpus has its own columns."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryvision.annotations.interval import UNLABELLED, DamagedError, Entry, Interval, Sheet, rounded
from cryvision.annotations.text import header_of, parse_rows, read_seconds
from cryvision.safe_text import one_line, plain_cell, spreadsheet_cell

DECIMALS = 3
RAVEN_DECIMALS = 6

TIME_COLUMNS = (("start_s", "end_s"), ("onset_s", "offset_s"))
"""Columns of a CSV that hold the times: the first pair that is there."""

VOCALISATIONS = {
    **{"Y": "cry", "L": "laugh", "C": "canonical", "N": "non-canonical"},
    **{"J": "junk", "U": "uncertain"},
}
"""Vocal maturity in ChildProject's column ``vcm_type``, by its letter."""

BABY_CRY = "/t/dd00002"
"""AudioSet's class "Baby cry, infant cry"."""

_CHILD = "CHI"
_BANDS = "0", "8000"


@dataclass(frozen=True)
class Layout:
    """The columns of a kind of table, in lower case.

    ``start`` and ``end`` are those of the times. Of other names, of which any may be there, the
    first is taken whose cell is not empty. ``words`` are labels by what stands for them.
    """

    start: str
    end: str
    label: tuple[str, ...]
    tier: tuple[str, ...] = ()
    recording: tuple[str, ...] = ()
    confidence: tuple[str, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)
    units_per_second: float = 1.0


RAVEN = Layout(
    *("begin time (s)", "end time (s)"),
    label=("annotation", "label", "common name", "species", "call type"),
    tier=("tier",),
    recording=("begin file", "begin path"),
    confidence=("confidence", "score"),
)
BORIS = Layout(
    *("start (s)", "stop (s)"),
    label=("behavior",),
    tier=("subject",),
    recording=("media file name", "observation id"),
)
CHILDPROJECT = Layout(
    *("segment_onset", "segment_offset"),
    label=("label", "vcm_type", "speaker_type"),
    tier=("tier", "speaker_type", "speaker_id"),
    recording=("recording_filename", "raw_filename"),
    words=VOCALISATIONS,
    units_per_second=1000.0,
)
AUDIOSET = Layout(
    *("start_time_seconds", "end_time_seconds"),
    label=("label",),
    recording=("segment_id",),
    words={BABY_CRY: "cry"},
)
DCASE = Layout(*("onset", "offset"), label=("event_label",), recording=("filename",))
"""A row without times is a file without events."""


def has_columns(*names: str) -> Callable[[str], bool]:
    """Make the test whether a text is a table with these columns."""
    return lambda text: set(names) <= header_of(text)


def read_csv(text: str) -> Iterator[Entry]:
    """Read a table with times in seconds, and perhaps labels, tiers, recordings and confidence."""
    header = header_of(text)
    columns = next((pair for pair in TIME_COLUMNS if set(pair) <= header), None)
    if columns is None:
        parse_rows(text)
        pairs = " or ".join(f"{start} and {end}" for start, end in TIME_COLUMNS)
        shown = text.lstrip("\n").partition("\n")[0]
        raise DamagedError(1, f"the header must name {pairs}; got {shown:.80}")
    layout = Layout(
        *columns,
        label=("label",),
        tier=("tier", "coder", "annotator"),
        recording=("path", "recording", "filename"),
        confidence=("confidence",),
    )
    for entry in _entries(text, layout):
        yield entry if "label" in header else entry._replace(label=UNLABELLED)


def read_raven(text: str) -> Iterator[Entry]:
    """Read a selection table of Raven, or of BirdNET; a selection in two views counts once.

    Of files that were opened one after another as one sound, the times are those of all of it; the
    file offset is that of the selection in its file.
    """
    seen = set()
    _, rows = parse_rows(text)
    for row, entry in zip(rows, _entries(text, RAVEN), strict=True):
        number = row[1].get("selection")
        if number is None or (number, *entry[1:]) not in seen:
            seen.add((number, *entry[1:]))
            yield _in_its_file(entry, row[1].get("file offset (s)", ""))


def _in_its_file(entry: Entry, offset: str) -> Entry:
    try:
        start_s = read_seconds(offset)
        length_s = read_seconds(entry.end) - read_seconds(entry.start)
    except ValueError:
        return entry  # whose times stand as they are, or are refused by whom it is given to
    return entry._replace(start=f"{start_s:.6f}", end=f"{start_s + length_s:.6f}")


def read_boris(text: str) -> Iterator[Entry]:
    """Read events that BORIS has exported, aggregated (start and stop) or one by one."""
    if "start (s)" in header_of(text):
        yield from _entries(text, BORIS)
        return
    _, rows = parse_rows(text)
    started: dict[tuple[str, str, str], tuple[int, str]] = {}
    for line, row in rows:
        recording = _first(row, ("media file name", "media file path", "observation id"))
        key = (_first(row, BORIS.label), _first(row, BORIS.tier), recording)
        kind = _first(row, ("behavior type", "status")).upper()
        if kind == "START" or (kind == "STATE" and key not in started):
            started[key] = line, row["time"]
        elif kind == "POINT":
            yield Entry(line, row["time"], row["time"], *key)
        elif key in started:
            first_line, start = started.pop(key)
            yield Entry(first_line, start, row["time"], *key)
        else:
            raise DamagedError(line, f"{key[0]!r} must start before it stops")
    for (label, *_), (line, _) in started.items():
        raise DamagedError(line, f"{label!r} must stop; it only starts")


def is_boris(text: str) -> bool:
    """Whether a text is a table that BORIS has exported."""
    header = header_of(text)
    return "behavior" in header and (
        {"start (s)", "stop (s)"} <= header
        or ("time" in header and bool(header & {"behavior type", "status"}))
    )


def reader(layout: Layout) -> Callable[[str], Iterator[Entry]]:
    """Make the function that reads tables of a layout."""
    return lambda text: _entries(text, layout)


def write_csv(sheet: Sheet, path: Path) -> None:
    """Write onset, offset, label, tier and confidence."""
    _write(
        path,
        ("onset_s", "offset_s", "label", "tier", "confidence"),
        ((*_times(i), i.label, i.tier, _score(i)) for i in sheet.intervals),
        delimiter=",",
    )


def write_raven(sheet: Sheet, path: Path) -> None:
    """Write a selection table: each interval a box over all frequencies of speech and crying."""
    name = sheet.media_name
    header = (
        *("Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)"),
        *("High Freq (Hz)", "Begin File", "Annotation", "Tier", "Confidence"),
    )
    rows = (
        (
            *(str(number), "Spectrogram 1", "1", *_times(i, RAVEN_DECIMALS), *_BANDS),
            *(name, i.label, i.tier, _score(i)),
        )
        for number, i in enumerate(sheet.intervals, start=1)
    )
    _write(path, header, rows)


def write_boris(sheet: Sheet, path: Path) -> None:
    """Write aggregated events as BORIS exports them: behaviours of subjects, all of them states."""
    duration = "" if sheet.duration_s is None else f"{sheet.duration_s:.3f}"
    header = (
        *("Observation id", "Observation type", "Source", "Media duration (s)", "Subject"),
        *("Behavior", "Behavior type", "Start (s)", "Stop (s)", "Duration (s)", "Media file name"),
    )
    rows = []
    for interval in sheet.intervals:
        start_s, end_s = rounded(interval, DECIMALS)
        rows.append(
            (
                *(sheet.media_stem, "Media file", sheet.media_name, duration, interval.tier),
                *(interval.label, "STATE", f"{start_s:.3f}", f"{end_s:.3f}"),
                *(f"{end_s - start_s:.3f}", sheet.media_name),
            )
        )
    _write(path, header, rows)


def write_childproject(sheet: Sheet, path: Path) -> None:
    """Write an annotation file of ChildProject, with the label and the tier in columns of its own.

    Crying is of the key child, ``CHI``, with the vocal maturity ``Y``.
    """
    letters = {word: letter for letter, word in VOCALISATIONS.items()} | {"crying": "Y"}
    header = (
        *("segment_onset", "segment_offset", "speaker_type", "vcm_type", "label", "tier"),
        "raw_filename",
    )
    rows = []
    for interval in sheet.intervals:
        times = [str(round(1000 * time_s)) for time_s in rounded(interval, DECIMALS)]
        letter = letters.get(interval.label.strip().casefold(), "NA")
        speaker = "NA" if letter == "NA" else _CHILD
        row = (*times, speaker, letter, interval.label, interval.tier, sheet.media_name)
        rows.append(row)
    _write(path, header, rows, delimiter=",")


def write_audioset(sheet: Sheet, path: Path) -> None:
    """Write strong labels as AudioSet has them: crying by its identifier, other labels as text."""
    words = {"cry": BABY_CRY, "crying": BABY_CRY}
    rows = (
        (sheet.media_stem, *_times(i), words.get(i.label.strip().casefold(), i.label))
        for i in sheet.intervals
    )
    _write(path, ("segment_id", "start_time_seconds", "end_time_seconds", "label"), rows)


def write_dcase(sheet: Sheet, path: Path) -> None:
    """Write events as the DCASE challenges list them; a file without any is a row without times."""
    rows = [(sheet.media_name, *_times(i), i.label) for i in sheet.intervals]
    rows = rows or [(sheet.media_name, "", "", "")]
    _write(path, ("filename", "onset", "offset", "event_label"), rows)


def _write(
    path: Path, header: Sequence[str], rows: Iterable[Sequence[str]], delimiter: str = "\t"
) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        table.writerow(header)
        table.writerows([spreadsheet_cell(one_line(cell)) for cell in row] for row in rows)


def _times(interval: Interval, decimals: int = DECIMALS) -> tuple[str, str]:
    start_s, end_s = rounded(interval, decimals)
    return f"{start_s:.{decimals}f}", f"{end_s:.{decimals}f}"


def _score(interval: Interval) -> str:
    return "" if interval.confidence is None else f"{interval.confidence:.4f}"


def _entries(text: str, layout: Layout) -> Iterator[Entry]:
    _, rows = parse_rows(text)
    for line, row in rows:
        label = _first(row, layout.label)
        yield Entry(
            line,
            _in_seconds(row[layout.start], layout.units_per_second),
            _in_seconds(row[layout.end], layout.units_per_second),
            layout.words.get(label, label),
            _first(row, layout.tier),
            _first(row, layout.recording),
            _first(row, layout.confidence),
        )


def _first(row: Mapping[str, str], names: Iterable[str]) -> str:
    """Return the first of some cells that says anything."""
    cells = (row.get(name, "") for name in names)
    return plain_cell(next((cell for cell in cells if cell not in ("", "NA")), ""))


def _in_seconds(cell: str, units_per_second: float) -> str:
    if units_per_second == 1.0:
        return cell
    try:
        return f"{float(cell) / units_per_second:.6f}"
    except ValueError:
        return cell  # refused by whom it is given to
