"""What LENA's software writes of a day: its files ``.its``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree

from cryvision.annotations.interval import DamagedError, Entry
from cryvision.annotations.text import parse_xml

_SECONDS = re.compile(r"PT?(\d+(?:\.\d+)?)S")
_KEY_CHILD = "CHN"
_PARTS = {"Cry": "cry", "Vfx": "vegetative sound", "Utt": "utterance"}
"""What is in a segment of the key child, by the attributes with its times."""


def read_its(text: str) -> Iterator[Entry]:
    """Read the segments, with their speaker as label and tier.

    Segments of the key child hold cries, vegetative sounds and utterances: those stand for the
    segment.
    """
    root = parse_xml(text, "a LENA file")
    if root.tag != "ITS":
        raise DamagedError(1, f"a LENA file must hold ITS; got {root.tag:.40}")
    for segment in root.iter("Segment"):
        speaker = segment.get("spkr", "")
        parts = list(_parts(segment)) if speaker == _KEY_CHILD else []
        whole = (speaker, segment.get("startTime", ""), segment.get("endTime", ""))
        for label, start, end in parts or [whole]:
            yield Entry(1, _seconds(start), _seconds(end), label, speaker)


def _parts(segment: ElementTree.Element) -> Iterator[tuple[str, str, str]]:
    for element in (segment, *segment.iter("UTT")):
        for kind, label in _PARTS.items():
            for name, start in element.items():
                if re.fullmatch(rf"start{kind}\d+", name):
                    yield label, start, element.get(name.replace("start", "end", 1), "")


def _seconds(text: str) -> str:
    match = _SECONDS.fullmatch(text)
    if match is None:
        raise DamagedError(1, f"a time of LENA must be like PT1.25S; got {text!r:.40}")
    return match[1]
