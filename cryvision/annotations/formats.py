"""The table of formats, and reading and writing by it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryvision.annotations import elan, lines, subtitles, tables, textgrid
from cryvision.annotations.interval import DamagedError, Entry, Interval, Sheet
from cryvision.annotations.text import read_seconds, read_text, refused
from cryvision.atomic import staged
from cryvision.errors import AnnotationError, ConfigError

_NUMBERED = "all lines must be of one recording; got {!r} and {!r}"


@dataclass(frozen=True)
class Format:
    """A format of annotation files.

    Attributes
    ----------
    suffixes : tuple of str
        Ends of the names of such files, in lower case.
    decimals : int
        Places of a second that are written.
    read : callable or None
        Takes the text of a file and gives its entries.
    write : callable or None
        Takes what is to be written and the path.
    """

    suffixes: tuple[str, ...]
    decimals: int
    read: Callable[[str], Iterator[Entry]] | None = None
    write: Callable[[Sheet, Path], None] | None = None


FORMATS: Mapping[str, Format] = {
    "audacity": Format(
        (".txt",), lines.AUDACITY_DECIMALS, lines.read_audacity, lines.write_audacity
    ),
    "csv": Format((".csv",), 3, tables.read_csv),
    "eaf": Format((".eaf",), elan.DECIMALS, elan.read_eaf, elan.write_eaf),
    "rttm": Format((".rttm",), lines.RTTM_DECIMALS, lines.read_rttm, lines.write_rttm),
    "srt": Format((".srt",), subtitles.DECIMALS, subtitles.read_cues, subtitles.write_srt),
    "textgrid": Format(
        (".textgrid",), textgrid.DECIMALS, textgrid.read_textgrid, textgrid.write_textgrid
    ),
    "vtt": Format((".vtt",), subtitles.DECIMALS, subtitles.read_vtt, subtitles.write_vtt),
}
"""All formats by name."""


def read_annotations(path: str | os.PathLike[str]) -> list[Interval]:
    """Read the labels of one clip.

    Parameters
    ----------
    path : path
        By suffix: ``.TextGrid``, long or short form, all interval tiers but ``bouts``, without the
        blank intervals that Praat puts between the labelled ones; ``.txt``, an Audacity label
        track; ``.eaf``, an ELAN file, all tiers with times of their own but ``bouts``; ``.vtt``
        and ``.srt``, the cues; ``.rttm``, the ``SPEAKER`` lines of one recording; ``.csv``, with a
        header that names ``start_s`` and ``end_s`` (or ``onset_s`` and ``offset_s``) and perhaps
        ``label``; without that column every row is crying. The text is UTF-8, UTF-16 with a byte
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
    read = _reader(path)
    intervals = []
    recording = None
    try:
        for entry in read(read_text(path)):
            if recording not in (None, entry.recording):
                raise DamagedError(entry.line, _NUMBERED.format(recording, entry.recording))
            recording = entry.recording
            intervals.append(_interval(entry))
    except DamagedError as error:
        raise refused(path, error.line, error.rule) from error
    return sorted(intervals)


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
        If no such format is written, or a template is given for another one than ``eaf``.
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
    sheet = Sheet(
        sorted(intervals),
        os.fspath(media),
        duration_s,
        tuple(tiers),
        None if template is None else Path(template),
    )
    with staged(Path(path), overwrite=True) as file:
        write(sheet, file)


def _reader(path: Path) -> Callable[[str], Iterator[Entry]]:
    name = path.name.lower()
    for form in FORMATS.values():
        if form.read is not None and name.endswith(form.suffixes):
            return form.read
    allowed = ", ".join(
        sorted({s for form in FORMATS.values() if form.read for s in form.suffixes})
    )
    raise AnnotationError(f"{path}: labels must be a file of {allowed}; got {path.suffix!r}")


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
