"""ELAN's annotation files (EAF)."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from cryvision.annotations.interval import BOUT_TIER, DamagedError, Entry, Sheet
from cryvision.annotations.text import parse_xml, read_text, refused

DECIMALS = 3
"""ELAN keeps whole milliseconds."""

_ID = re.compile('ANNOTATION_ID="([^"]*)"')


def read_eaf(text: str) -> Iterator[Entry]:
    """Read the annotations of an ELAN file, of all tiers whose annotations have times of their own.

    The tier ``bouts`` of our own files repeats the events and is passed over. An annotation without
    a text has its tier's name as its label.
    """
    root = _root(text)
    media = list(root.iter("MEDIA_DESCRIPTOR"))
    # Where the recording that was annotated does not start with its file.
    origin = int(media[0].get("TIME_ORIGIN") or 0) if len(media) == 1 else 0
    slots = {slot.get("TIME_SLOT_ID"): slot.get("TIME_VALUE") for slot in root.iter("TIME_SLOT")}
    lines = _lines_of(text)
    tiers = [tier for tier in root.iter("TIER") if tier.get("TIER_ID") != BOUT_TIER]
    for tier in tiers:
        tier_name = tier.get("TIER_ID", "")
        for annotation in tier.iter("ALIGNABLE_ANNOTATION"):
            name = annotation.get("ANNOTATION_ID", "")
            line = lines.get(name, 1)
            times = [slots.get(annotation.get(ref)) for ref in ("TIME_SLOT_REF1", "TIME_SLOT_REF2")]
            if not all(time and time.isdecimal() for time in times):
                raise DamagedError(line, f"annotation {name!r} must have times; got {times}")
            start, end = (f"{(int(time or 0) + origin) / 1000:.3f}" for time in times)
            label = (annotation.findtext("ANNOTATION_VALUE") or "").strip()
            yield Entry(line, start, end, label or tier_name, tier_name)


def _lines_of(text: str) -> dict[str, int]:
    """Find the line in which each annotation begins, as XML parsers do not give it."""
    lines: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        for name in _ID.findall(line):
            lines.setdefault(name, number)
    return lines


def write_eaf(sheet: Sheet, path: Path) -> None:
    """Write an ELAN file, linked to the recording on this machine.

    A template that is no ELAN file, or has a tier without times of its own where intervals are to
    be written, is an AnnotationError.
    """
    eaf = _from_template(sheet.template)
    # pympi writes the offset of a half-hour time zone in a form that is no XML date.
    eaf.adocument["DATE"] = datetime.now().astimezone().isoformat(timespec="seconds")
    if sheet.media and "://" not in sheet.media:
        kind = mimetypes.guess_type(sheet.media)[0] or "unknown"
        eaf.add_linked_file(Path(sheet.media).absolute().as_uri(), mimetype=kind)
    for name, intervals in sheet.tier_intervals(DECIMALS).items():
        if name not in eaf.tiers:
            eaf.add_tier(name)
        for start_s, end_s, label in intervals:
            eaf.add_annotation(name, round(start_s * 1000), round(end_s * 1000), label)
    eaf.to_file(str(path))


def _from_template(template: Path | None) -> Any:
    """Make an ELAN file without annotations."""
    from pympi import Eaf

    if template is None:
        eaf = Eaf(author="cryvision")
        eaf.remove_tier("default")
        return eaf
    try:
        _root(read_text(template))
    except DamagedError as error:
        raise refused(template, error.line, error.rule) from error
    try:
        eaf = Eaf(str(template), suppress_version_warning=True)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise refused(template, 1, f"pympi must be able to read the template: {error}") from error
    for name in eaf.tiers:
        eaf.remove_all_annotations_from_tier(name)
    eaf.media_descriptors.clear()
    return eaf


def _root(text: str) -> ElementTree.Element:
    root = parse_xml(text, "an ELAN file")
    units = [header.get("TIME_UNITS", "milliseconds") for header in root.iter("HEADER")]
    if root.tag != "ANNOTATION_DOCUMENT" or any(unit != "milliseconds" for unit in units):
        raise DamagedError(1, "it must be an ELAN file whose times are in milliseconds")
    return root
