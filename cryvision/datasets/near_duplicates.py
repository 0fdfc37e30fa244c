"""Clips of a corpus that hold the same sound, byte for byte, sample for sample or changed."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryvision.datasets.clip_stats import ClipFacts, read_facts
from cryvision.datasets.fingerprints import find_copies
from cryvision.datasets.labelled import LabelledClip
from cryvision.inputs.audio import LEVEL_FLOOR_DBFS

SAME_FILE, SAME_SOUND, NEAR, ALTERED = "same file", "same sound", "near copy", "altered copy"

_UNCHANGED_SPEED = 0.015
"""Speeds are found to 1 %."""

_UNCHANGED_SEMITONES = 0.75
"""Pitch is found in steps of half a semitone."""

_GENERATED_NAME = re.compile(
    r"(?<![a-z])(?:generated|augment(?:ed)?|aug|copy|stretch(?:ed)?|pitch(?:ed)?)(?![a-z])"
    r"| \(\d+\)$",
    re.IGNORECASE,
)
"""What tools that make copies put into a file's name, as words of their own."""


@dataclass(frozen=True)
class CopyPair:
    """Two clips, by name, that hold the same sound.

    The kind is ``same file`` (every byte), ``same sound`` (every decoded sample), ``near copy``
    (coded again, louder, shifted, cut) or ``altered copy`` (another speed or pitch). The similarity
    is 1, or that of the fingerprints; see `cryvision.datasets.fingerprints`. Speed and semitones
    are how much faster and higher the second is.
    """

    first: str
    second: str
    kind: str
    similarity: float
    speed: float
    semitones: float
    labels: tuple[str, str]
    subjects: tuple[str, str]

    @property
    def is_exact(self) -> bool:
        """Whether every sample is the same."""
        return self.kind in (SAME_FILE, SAME_SOUND)


def copies_among(clips: Sequence[LabelledClip]) -> list[CopyPair]:
    """Read clips and find those that hold the same sound; see `copies_of`.

    Clips of the same name are looked at once, and those without sound, or that cannot be read, not
    at all.
    """
    once = {clip.name: clip for clip in clips}
    return copies_of([one for one in read_facts(list(once.values())) if one.problem is None])


def copies_of(facts: Sequence[ClipFacts]) -> list[CopyPair]:
    """Find the clips that hold the same sound, among those that could be read.

    Exact copies come first, each with the first clip of its kind; then the others, those most alike
    first. Only the first of several exact copies is compared with other sounds. Digital silence is
    no copy of other silence, unless the files are the same.
    """
    pairs = []
    taken: set[int] = set()
    for kind, keys in (
        (SAME_FILE, [(one.file_sha256, one.clip.start_s, one.clip.end_s) for one in facts]),
        (
            SAME_SOUND,
            [one.sound_sha256 if one.level_dbfs > LEVEL_FLOOR_DBFS else None for one in facts],
        ),
    ):
        for first, again in _equal(keys, taken):
            pairs.append(_pair(facts[first], facts[again], kind))
            taken.add(again)
    rest = [number for number in range(len(facts)) if number not in taken]
    near = find_copies([facts[number].fingerprint for number in rest])
    for copy in sorted(near, key=lambda copy: -copy.similarity):
        changed = (
            abs(copy.speed - 1) > _UNCHANGED_SPEED or abs(copy.semitones) > _UNCHANGED_SEMITONES
        )
        one, other = facts[rest[copy.first]], facts[rest[copy.second]]
        kind = ALTERED if changed else NEAR
        pairs.append(_pair(one, other, kind, copy.similarity, copy.speed, copy.semitones))
    return pairs


def has_generated_name(path: Path) -> bool:
    """Return whether a file's name shows that a tool made it from another file."""
    return _GENERATED_NAME.search(path.stem) is not None


def _equal(keys: Sequence[Hashable], taken: set[int]) -> Iterator[tuple[int, int]]:
    """The first of each key with each other one, less those that are copies already."""
    numbers: dict[Hashable, list[int]] = defaultdict(list)
    for number, key in enumerate(keys):
        if key is not None and number not in taken:
            numbers[key].append(number)
    for first, *others in numbers.values():
        for other in others:
            yield first, other


def _pair(first: ClipFacts, second: ClipFacts, kind: str, *measured: float) -> CopyPair:
    similarity, speed, semitones = measured or (1.0, 1.0, 0.0)
    labels = first.clip.label, second.clip.label
    subjects = first.clip.subject, second.clip.subject
    return CopyPair(first.name, second.name, kind, similarity, speed, semitones, labels, subjects)
