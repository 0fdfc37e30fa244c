"""Labelled intervals of a recording, as they are in memory and as they stand in a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import NamedTuple

from cryvision.safe_text import one_line

BOUT_TIER = "bouts"
"""Name of a tier that is passed over in reading: what `cryvision.outputs` writes beside the events,
which it repeats."""

UNLABELLED = "cry"
"""What an interval of a file without labels means."""

_SHORTEST_SECONDS = 0.001


@dataclass(frozen=True, order=True)
class Interval:
    """A labelled stretch of a clip, in seconds from its start.

    Attributes
    ----------
    start_s, end_s : float
    label : str
    tier : str
        The tier, speaker or subject that it belongs to; empty where the file has none. Two
        intervals are equal whatever their tiers are.
    confidence : float or None
        0 to 1, where the file has one; not compared either.
    """

    start_s: float
    end_s: float
    label: str
    tier: str = field(default="", compare=False)
    confidence: float | None = field(default=None, compare=False)


class Entry(NamedTuple):
    """An interval as it stands in a file: its line, and its times and texts as they are written."""

    line: int
    start: str
    end: str
    label: str
    tier: str = ""
    recording: str = ""
    confidence: str = ""


class DamagedError(ValueError):
    """A file cannot be understood; the line, and the rule that is broken there."""

    def __init__(self, line: int, rule: str) -> None:
        super().__init__(line, rule)
        self.line, self.rule = line, rule


@dataclass(frozen=True)
class Sheet:
    """What is written into one file.

    ``media`` is the path or name of the recording, empty where there is none, ``duration_s`` its
    length, None where it is not known. ``tiers`` are there even if they are empty, in this order
    before all others. From the template, an ELAN file, an ELAN file takes over tiers, types and
    vocabularies.
    """

    intervals: Sequence[Interval]
    media: str = ""
    duration_s: float | None = None
    tiers: Sequence[str] = ()
    template: Path | None = None

    @property
    def media_name(self) -> str:
        """File name of the recording in one line; ``live`` where there is none."""
        return one_line(PurePath(self.media).name) or "live"

    @property
    def media_stem(self) -> str:
        """The same without its suffix."""
        return one_line(PurePath(self.media).stem) or "live"

    def end_s(self, decimals: int) -> float:
        """Return the length of the recording, or more where an interval lies behind it; not 0."""
        ends = [rounded(interval, decimals)[1] for interval in self.intervals]
        return max(round(float(self.duration_s or 0), decimals), *ends, _SHORTEST_SECONDS)

    def tier_intervals(self, decimals: int) -> dict[str, list[tuple[float, float, str]]]:
        """Sort the intervals into tiers in which none overlap: start, end and label, by tier.

        What overlaps an interval of its own tier is in one called ``<tier> (2)``, and so on.
        """
        tiers: dict[str, list[tuple[float, float, str]]] = {name: [] for name in self.tiers}
        for interval in sorted(self.intervals):
            start_s, end_s = rounded(interval, decimals)
            base = one_line(interval.tier) or UNLABELLED
            name, number = base, 1
            while tiers.get(name) and tiers[name][-1][1] > start_s:
                number += 1
                name = f"{base} ({number})"
            label = one_line(interval.label) or base
            tiers.setdefault(name, []).append((start_s, end_s, label))
        return tiers


def rounded(interval: Interval, decimals: int) -> tuple[float, float]:
    """Round the times of an interval that must have a length.

    They are not negative, and at least one unit of the last place apart.
    """
    start_s = max(0.0, round(float(interval.start_s), decimals))
    end_s = round(float(interval.end_s), decimals)
    return start_s, max(end_s, round(start_s + 10.0**-decimals, decimals))
