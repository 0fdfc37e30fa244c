"""Formats of one line an interval: label tracks of Audacity, and RTTM of diarization tools."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cryvision.annotations.interval import UNLABELLED, DamagedError, Entry, Sheet, rounded
from cryvision.annotations.text import write_text
from cryvision.safe_text import one_line

AUDACITY_DECIMALS = 6
RTTM_DECIMALS = 3


def read_audacity(text: str) -> Iterator[Entry]:
    """Read a label track: onset, offset and label, separated by tabs.

    Raises
    ------
    DamagedError
        If a line has fewer than two fields.
    """
    for number, line in enumerate(text.split("\n"), start=1):
        # A backslash starts the second line of a spectral selection: its frequencies.
        if not line.strip() or line.startswith("\\"):
            continue
        fields = line.split("\t", 2)
        if len(fields) < 2:
            rule = f"a label must be onset, offset and text, separated by tabs; got {line!r:.80}"
            raise DamagedError(number, rule)
        yield Entry(number, fields[0], fields[1], fields[2] if len(fields) == 3 else "")


def write_audacity(sheet: Sheet, path: Path) -> None:
    """Write a label track; a label may be without length."""
    lines = (
        f"{i.start_s:.{AUDACITY_DECIMALS}f}\t{i.end_s:.{AUDACITY_DECIMALS}f}\t{one_line(i.label)}\n"
        for i in sheet.intervals
    )
    write_text(path, "".join(lines))


def read_rttm(text: str) -> Iterator[Entry]:
    """Read the ``SPEAKER`` lines of an RTTM file; ``_`` in a name is a blank.

    Raises
    ------
    DamagedError
        If a line has too few fields.
    """
    for number, line in enumerate(text.split("\n"), start=1):
        fields = line.split()
        if not fields or fields[0] != "SPEAKER":
            continue
        if len(fields) < 8:
            raise DamagedError(number, f"a line must have 9 or 10 fields; got {len(fields)}")
        try:
            end = f"{float(fields[3]) + float(fields[4]):.6f}"
        except ValueError:
            end = fields[4]  # refused by whom it is given to
        confidence = fields[8] if len(fields) > 8 and fields[8] != "<NA>" else ""
        label = fields[7].replace("_", " ")
        yield Entry(number, fields[3], end, label, label, fields[1], confidence)


def write_rttm(sheet: Sheet, path: Path) -> None:
    """Write Rich Transcription Time Marks, for tools for diarization and for daylong recordings.

    Each interval is a ``SPEAKER`` line: the clip's name without its suffix, channel 1, onset and
    length in seconds, the label as the speaker's name, and the confidence (NIST, "The 2009 Rich
    Transcription Meeting Recognition Evaluation Plan", appendix A). Fields are separated by blanks,
    so that those in names become ``_``.
    """
    clip = sheet.media_stem.replace(" ", "_")
    lines = []
    for interval in sheet.intervals:
        start_s, end_s = rounded(interval, RTTM_DECIMALS)
        label = one_line(interval.label).replace(" ", "_") or UNLABELLED
        confidence = "<NA>" if interval.confidence is None else f"{interval.confidence:.4f}"
        times = f"{start_s:.3f} {end_s - start_s:.3f}"
        lines.append(f"SPEAKER {clip} 1 {times} <NA> <NA> {label} {confidence} <NA>\n")
    write_text(path, "".join(lines))
