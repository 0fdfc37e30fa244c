"""Reads what annotation editors and players keep: ELAN, WebVTT, and RTTM of diarization tools."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import NamedTuple
from xml.etree import ElementTree

BOUT_TIER = "bouts"
"""A tier of a TextGrid that is passed over: what `cryvision.outputs` writes beside the events."""

_CUE = re.compile(
    r"(?:(\d+):)?(\d\d):(\d\d[.,]\d{3})[ \t]+-->[ \t]+(?:(\d+):)?(\d\d):(\d\d[.,]\d{3})"
)
_MARKUP = re.compile(r"<[^>]*>")
_CONFIDENCE = re.compile(r" [01]\.\d\d$")
"""What `cryvision.outputs.labels` writes behind a label in a cue."""


class Entry(NamedTuple):
    """A label as it stands in a file: its line, and its times and text as they are written."""

    line: int
    start: str
    end: str
    label: str


class DamagedError(ValueError):
    """A file cannot be understood; the line, and the rule that is broken there."""

    def __init__(self, line: int, rule: str) -> None:
        super().__init__(line, rule)
        self.line, self.rule = line, rule


def read_eaf(text: str) -> Iterator[Entry]:
    """Read the annotations of an ELAN file, of all tiers whose annotations have times of their own.

    The tier ``bouts`` of our own files repeats the events and is passed over. An annotation without
    a text has its tier's name as its label.

    Raises
    ------
    DamagedError
        If it is no ELAN file, or a time of it is not known.
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise DamagedError(1, "an ELAN file must not declare a type or entities")
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        line = getattr(error, "position", (1, 0))[0]
        raise DamagedError(line, f"the ELAN file is cut off or damaged: {error}") from error
    units = [header.get("TIME_UNITS", "milliseconds") for header in root.iter("HEADER")]
    if root.tag != "ANNOTATION_DOCUMENT" or any(unit != "milliseconds" for unit in units):
        raise DamagedError(1, "it must be an ELAN file whose times are in milliseconds")
    media = list(root.iter("MEDIA_DESCRIPTOR"))
    # Where the recording that was annotated does not start with its file.
    origin = int(media[0].get("TIME_ORIGIN") or 0) if len(media) == 1 else 0
    slots = {slot.get("TIME_SLOT_ID"): slot.get("TIME_VALUE") for slot in root.iter("TIME_SLOT")}
    tiers = [tier for tier in root.iter("TIER") if tier.get("TIER_ID") != BOUT_TIER]
    for tier in tiers:
        for annotation in tier.iter("ALIGNABLE_ANNOTATION"):
            name = annotation.get("ANNOTATION_ID", "")
            line = text.count("\n", 0, max(0, text.find(f'ANNOTATION_ID="{name}"'))) + 1
            times = [slots.get(annotation.get(ref)) for ref in ("TIME_SLOT_REF1", "TIME_SLOT_REF2")]
            if not all(time and time.isdecimal() for time in times):
                raise DamagedError(line, f"annotation {name!r} must have times; got {times}")
            start, end = (f"{(int(time or 0) + origin) / 1000:.3f}" for time in times)
            label = (annotation.findtext("ANNOTATION_VALUE") or "").strip()
            yield Entry(line, start, end, label or tier.get("TIER_ID", ""))


def read_rttm(text: str) -> Iterator[Entry]:
    """Read the ``SPEAKER`` lines of an RTTM file of one recording; ``_`` in a name is a blank.

    Raises
    ------
    DamagedError
        If a line has too few fields, or there are lines of another recording.
    """
    recording = None
    for number, line in enumerate(text.split("\n"), start=1):
        fields = line.split()
        if not fields or fields[0] != "SPEAKER":
            continue
        if len(fields) < 8:
            raise DamagedError(number, f"a line must have 9 or 10 fields; got {len(fields)}")
        if recording not in (None, fields[1]):
            rule = f"all lines must be of one recording; got {recording!r} and {fields[1]!r}"
            raise DamagedError(number, rule)
        recording = fields[1]
        try:
            end = f"{float(fields[3]) + float(fields[4]):.6f}"
        except ValueError:
            end = fields[4]  # refused by whom it is given to
        yield Entry(number, fields[3], end, fields[7].replace("_", " "))


def read_vtt(text: str) -> Iterator[Entry]:
    """Read the cues of a WebVTT file; without the confidence that cryvision writes behind a label.

    Raises
    ------
    DamagedError
        If it does not begin as WebVTT does, or a cue's times are not written as there.
    """
    if not text.startswith("WEBVTT"):
        raise DamagedError(1, "a WebVTT file must begin with WEBVTT")
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
            yield Entry(number, *times, _CONFIDENCE.sub("", label))
        at += 1


def _seconds(hours: str | None, minutes: str, seconds: str) -> str:
    total = 3600 * int(hours or 0) + 60 * int(minutes) + float(seconds.replace(",", "."))
    return f"{total:.3f}"
