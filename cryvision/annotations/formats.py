"""The table of formats, and reading and writing by it.

A reader takes the text of a file and gives its entries; where the text is not of its format, it
raises DamagedError.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryvision.annotations import chat, corrections, elan, json_files, lena, lines, tables, textgrid
from cryvision.annotations.interval import DamagedError, Entry, Interval, Sheet
from cryvision.annotations.text import LONGEST_SECONDS, read_seconds, read_text, refused
from cryvision.argument_types import check_types, typed
from cryvision.atomic import staged
from cryvision.errors import AnnotationError, ConfigError


@dataclass(frozen=True)
class Format:
    """A format of annotation files.

    ``suffixes`` are the ends of the names of such files, in lower case; the first stands behind the
    name of a clip. ``decimals`` are the places of a second that are written. ``is_it`` tells
    whether a text in a file with such a suffix has this format.
    """

    suffixes: tuple[str, ...]
    decimals: int
    read: Callable[[str], Iterator[Entry]] | None = None
    write: Callable[[Sheet, Path], None] | None = None
    is_it: Callable[[str], bool] = lambda text: True


_TABLES = (".tsv", ".csv", ".txt")
_JSON = (".json", ".jsonl")


def _table(
    suffix: str, layout: tables.Layout, write: Callable[[Sheet, Path], None], *more: str
) -> Format:
    """Describe a kind of table by its layout; ``more`` are columns that it must have too."""
    is_it = tables.has_columns(layout.start, layout.end, *more)
    return Format((suffix, *_TABLES), tables.DECIMALS, tables.reader(layout), write, is_it)


FORMATS: Mapping[str, Format] = {
    "corrections": Format(
        (corrections.SUFFIX,),
        corrections.DECIMALS,
        corrections.read_entries,
        is_it=corrections.is_corrections,
    ),
    "eaf": Format((".eaf",), elan.DECIMALS, elan.read_eaf, elan.write_eaf),
    "textgrid": Format(
        (".textgrid",), textgrid.DECIMALS, textgrid.read_textgrid, textgrid.write_textgrid
    ),
    "raven": Format(
        (".selections.txt", *_TABLES),
        tables.RAVEN_DECIMALS,
        tables.read_raven,
        tables.write_raven,
        tables.has_columns("begin time (s)", "end time (s)"),
    ),
    "boris": Format(
        (".boris.tsv", *_TABLES),
        tables.DECIMALS,
        tables.read_boris,
        tables.write_boris,
        tables.is_boris,
    ),
    "childproject": _table(".childproject.csv", tables.CHILDPROJECT, tables.write_childproject),
    "audioset": _table(".audioset.tsv", tables.AUDIOSET, tables.write_audioset, "segment_id"),
    "dcase": _table(".dcase.tsv", tables.DCASE, tables.write_dcase, "filename", "event_label"),
    "cryvision": Format((*_JSON, ".csv"), 3, json_files.read_results, is_it=json_files.is_results),
    "label-studio": Format(
        (".label-studio.json", *_JSON),
        json_files.DECIMALS,
        json_files.read_label_studio,
        json_files.write_label_studio,
        json_files.is_label_studio,
    ),
    "csv": Format((".csv", ".tsv"), tables.DECIMALS, tables.read_csv, tables.write_csv),
    "audacity": Format(
        (".txt",), lines.AUDACITY_DECIMALS, lines.read_audacity, lines.write_audacity
    ),
    "chat": Format((".cha",), chat.DECIMALS, chat.read_chat, chat.write_chat),
    "its": Format((".its",), 2, lena.read_its),
    "rttm": Format((".rttm",), lines.RTTM_DECIMALS, lines.read_rttm, lines.write_rttm),
    "vtt": Format((".vtt",), lines.SUBTITLE_DECIMALS, lines.read_vtt, lines.write_vtt),
    "srt": Format((".srt",), lines.SUBTITLE_DECIMALS, lines.read_cues, lines.write_srt),
}
"""All formats by name. Of those that share a suffix, the first whose text it is counts."""


@typed
def read_annotations(path: str | os.PathLike[str]) -> list[Interval]:
    """Read the labels of one clip.

    Parameters
    ----------
    path : path
        In one of the `FORMATS`, by suffix and, where formats share it, by content. Tiers called
        ``bouts``, which cryvision itself writes beside the events, are passed over. The text is
        UTF-8, UTF-16 with a byte order mark, or else Latin-1. Times may have a decimal comma, and
        the cells of a CSV semicolons or tabs between them.

    Returns
    -------
    list of Interval
        Sorted by time; empty for a file without entries, and for an empty file of a format without
        a header, such as a label track of Audacity.

    Raises
    ------
    AnnotationError
        If the file cannot be read, has labels of more than one recording, or a time is not a
        number, not finite, negative or before its start; the message names file and line.
    """
    path = Path(path)
    recordings: dict[str, list[Interval]] = {}
    for line, recording, interval in _intervals(path):
        if recordings and recording not in recordings:
            first = next(iter(recordings))
            rule = f"all lines must be of one recording; got {first!r} and {recording!r}"
            raise refused(path, line, rule)
        recordings.setdefault(recording, []).extend(interval)
    return sorted(next(iter(recordings.values()), []))


@typed
def read_recordings(path: str | os.PathLike[str]) -> dict[str, list[Interval]]:
    """Read a file with the labels of many clips, such as a table of a challenge.

    Parameters
    ----------
    path : path
        As for `read_annotations`.

    Returns
    -------
    dict of str to list of Interval
        Sorted, by what the file calls the recording; an empty name where it names none. A recording
        that is named without any labels has an empty list.

    Raises
    ------
    AnnotationError
        As of `read_annotations`.
    """
    recordings: dict[str, list[Interval]] = {}
    for _, recording, interval in _intervals(Path(path)):
        recordings.setdefault(recording, []).extend(interval)
    return {recording: sorted(intervals) for recording, intervals in recordings.items()}


def _intervals(path: Path) -> Iterator[tuple[int, str, list[Interval]]]:
    """Give line, recording and interval of each entry; no interval where it is the name alone."""
    text, form = _opened(path)
    assert form.read is not None
    try:
        for entry in form.read(text):
            named_only = entry.start == entry.end == ""
            yield entry.line, entry.recording, [] if named_only else [_interval(entry)]
    except DamagedError as error:
        raise refused(path, error.line, error.rule) from error


def format_of(path: str | os.PathLike[str]) -> str:
    """Find the format of a file that is there."""
    form = _opened(Path(path))[1]
    return next(name for name, one in FORMATS.items() if one is form)


@typed
def write_annotations(
    intervals: Sequence[Interval],
    path: str | os.PathLike[str],
    format: str,
    *,
    media: str | os.PathLike[str] = "",
    duration_s: float | None = None,
    tiers: Sequence[str] = (),
    template: str | os.PathLike[str] | None = None,
) -> None:
    """Write the labels of one clip, whole or not at all.

    Parameters
    ----------
    intervals : sequence of Interval
    path : path
        The file; one that is there is replaced.
    format : str
        A key of `FORMATS` that can be written.
    media : path
        The recording: its name stands in the file where the format has a place for it.
    duration_s : float, optional
        Its length; by default the end of the last interval.
    tiers : sequence of str
        Tiers that are there even if they are empty, before all others.
    template : path, optional
        ELAN file or template whose tiers, types and vocabularies an ELAN file takes over.

    Raises
    ------
    ConfigError
        If no such format is written, a template is given for another one than ``eaf``, or a time is
        wrong: negative, not finite, longer than any recording, or an end before its start.
    AnnotationError
        If the template cannot be read.
    OSError
        If the system refuses.
    """
    write = FORMATS[format].write if format in FORMATS else None
    if write is None:
        allowed = ", ".join(name for name, form in FORMATS.items() if form.write)
        raise ConfigError(f"the format of annotations must be one of {allowed}; got {format!r}")
    if template is not None and format != "eaf":
        raise ConfigError(f"a template is for the format eaf; got {format!r}")
    if duration_s is not None and not 0 <= duration_s <= LONGEST_SECONDS:
        raise ConfigError(
            f"duration_s must lie between 0 and {LONGEST_SECONDS:.0f}; got {duration_s:g}"
        )
    for interval in intervals:
        check_types(interval)
        _check_times(interval, FORMATS[format].decimals)
    sheet = Sheet(
        sorted(intervals),
        os.fspath(media),
        duration_s,
        tuple(tiers),
        None if template is None else Path(template),
    )
    with staged(Path(path), overwrite=True) as file:
        write(sheet, file)


def _check_times(interval: Interval, decimals: int) -> None:
    """Refuse what could not be read again; a negative time that rounds to 0 is 0."""
    start_s, end_s = (round(float(time), decimals) for time in (interval.start_s, interval.end_s))
    if not 0 <= start_s <= end_s <= LONGEST_SECONDS:
        raise ConfigError(
            f"an interval must satisfy 0 <= start_s <= end_s <= {LONGEST_SECONDS:.0f}; "
            f"{interval.label!r:.40} got {interval.start_s:g} to {interval.end_s:g} s"
        )


def _opened(path: Path) -> tuple[str, Format]:
    name = path.name.lower()
    forms = [form for form in FORMATS.values() if form.read and name.endswith(form.suffixes)]
    if not forms:
        suffixes = ", ".join(sorted({s for form in FORMATS.values() for s in form.suffixes}))
        raise AnnotationError(f"{path}: labels must be a file of {suffixes}; got {path.suffix!r}")
    text = read_text(path)
    form = next((form for form in forms if form.is_it(text)), None)
    if form is None:
        names = ", ".join(name for name, form in FORMATS.items() if form in forms)
        raise refused(path, 1, f"a file {path.suffix} must be in one of the formats {names}")
    return text, form


def _interval(entry: Entry) -> Interval:
    try:
        start_s, end_s = read_seconds(entry.start), read_seconds(entry.end)
    except ValueError as error:
        raise DamagedError(entry.line, str(error)) from error
    if end_s < start_s:
        rule = f"the end must not be before the start; got {entry.start} to {entry.end}"
        raise DamagedError(entry.line, rule)
    return Interval(start_s, end_s, entry.label.strip(), entry.tier, _confidence(entry))


def _confidence(entry: Entry) -> float | None:
    """Read a score from 0 to 1; what else stands in its place says nothing."""
    try:
        score = float(entry.confidence)
    except ValueError:
        return None
    return score if 0 <= score <= 1 else None
