"""Plain text: label tracks of Audacity, RTTM of diarization tools, and subtitles of videos."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path

from cryvision.annotations.interval import UNLABELLED, DamagedError, Entry, Interval, Sheet, rounded
from cryvision.annotations.text import write_text
from cryvision.safe_text import one_line

AUDACITY_DECIMALS = 6
RTTM_DECIMALS = 3
SUBTITLE_DECIMALS = 3

_CUE = re.compile(
    r"(?:(\d+):)?(\d\d):(\d\d[.,]\d{3})[ \t]+-->[ \t]+(?:(\d+):)?(\d\d):(\d\d[.,]\d{3})"
)
_MARKUP = re.compile(r"<[^>]*>")
_CONFIDENCE = re.compile(r" ([01]\.\d\d)$")
# Marks that players take for markup; SRT has no way to escape them.
_SRT_MARKUP = str.maketrans("<>{}", "\u2039\u203a()")


def read_audacity(text: str) -> Iterator[Entry]:
    """Read a label track: onset, offset and label, separated by tabs."""
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
    """Read the ``SPEAKER`` lines of an RTTM file; ``_`` in a name is a blank."""
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


def read_vtt(text: str) -> Iterator[Entry]:
    """Read the cues of a WebVTT file; a number such as 0.93 behind a label is its confidence."""
    if not text.startswith("WEBVTT"):
        raise DamagedError(1, "a WebVTT file must begin with WEBVTT")
    return read_cues(text)


def read_cues(text: str) -> Iterator[Entry]:
    """Read the cues of a WebVTT or SubRip file."""
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        if "-->" in lines[at]:
            cue = _CUE.match(lines[at].strip())
            if cue is None:
                raise DamagedError(at + 1, f"a cue must be start --> end; got {lines[at]!r:.80}")
            number = at + 1
            lines_of_cue = []
            while at + 1 < len(lines) and lines[at + 1].strip():
                at += 1
                lines_of_cue.append(lines[at].strip())
            label = html.unescape(_MARKUP.sub("", " ".join(lines_of_cue)))
            times = (_seconds(*cue.groups()[:3]), _seconds(*cue.groups()[3:]))
            confidence = _CONFIDENCE.search(label)
            label = _CONFIDENCE.sub("", label)
            yield Entry(number, *times, label, confidence=confidence[1] if confidence else "")
        at += 1


def write_vtt(sheet: Sheet, path: Path) -> None:
    """Write WebVTT cues: label and confidence."""
    blocks = ["WEBVTT"]
    for interval in sheet.intervals:
        text = _text(interval)
        for char, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            text = text.replace(char, entity)
        blocks.append(f"{_times(interval, '.')}\n{text}")
    write_text(path, "\n\n".join(blocks) + "\n")


def write_srt(sheet: Sheet, path: Path) -> None:
    """Write SubRip subtitles, for players that read no WebVTT."""
    blocks = [
        f"{number}\n{_times(interval, ',')}\n{_text(interval).translate(_SRT_MARKUP)}\n"
        for number, interval in enumerate(sheet.intervals, start=1)
    ]
    write_text(path, "\n".join(blocks))


def _text(interval: Interval) -> str:
    confidence = "" if interval.confidence is None else f" {interval.confidence:.2f}"
    return one_line(interval.label) + confidence


def _times(interval: Interval, point: str) -> str:
    """Write onset and offset; a cue must have a length."""
    onset_ms = max(0, round(interval.start_s * 1000))
    offset_ms = max(round(interval.end_s * 1000), onset_ms + 1)
    return f"{_clock(onset_ms, point)} --> {_clock(offset_ms, point)}"


def _clock(total_ms: int, point: str) -> str:
    minutes, ms = divmod(total_ms, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{ms // 1000:02d}{point}{ms % 1000:03d}"


def _seconds(hours: str | None, minutes: str, seconds: str) -> str:
    total = 3600 * int(hours or 0) + 60 * int(minutes) + float(seconds.replace(",", "."))
    return f"{total:.3f}"
