"""Praat's TextGrids."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryvision.annotations.interval import BOUT_TIER, DamagedError, Entry, Sheet
from cryvision.annotations.text import line_at, read_seconds

DECIMALS = 4
"""Finer, praatio writes 1e-05, a form that it does not read."""

_TIME = re.compile(r"^([ \t]*(?:xmin|xmax|number)[ \t]*=[ \t]*)(.*?)[ \t]*$", re.MULTILINE)
_END = re.compile(r'"TextGrid"\s+(?:xmin\s*=\s*)?\S+\s+(?:xmax\s*=\s*)?(\S+)')
_N_TIERS = re.compile(r"<exists>[^\d\n]*\n?[^\d\n]*(\d+)")
_N_ENTRIES = re.compile(
    r'"(?:IntervalTier|TextTier)"[ \t]*\n.*\n.*\n.*\n[^\d\n]*(\d+)[ \t]*$', re.MULTILINE
)


def read_textgrid(text: str) -> Iterator[Entry]:
    """Read all interval tiers but ``bouts``, less the blank intervals between the labelled ones."""
    if "ooTextFile" not in text.split("\n", 1)[0]:
        raise DamagedError(1, 'a TextGrid must begin with File type = "ooTextFile"')
    text = _with_plain_times(text)
    values = [line.rpartition("=")[2].strip() for line in text.split("\n")]
    at = 0
    for tier in _tiers(text):
        read = tier["class"] == "IntervalTier" and tier["name"] != BOUT_TIER
        for start, end, label in tier["entries"] if read else ():
            # praatio gives no lines: the next such pair of times is where it has read them.
            pairs = (i for i in range(at, len(values) - 1) if values[i : i + 2] == [start, end])
            at = next(pairs, at)
            if label.strip():
                yield Entry(at + 2, start, end, label, tier["name"])
            at += 2


def textgrid_end_s(text: str) -> float | None:
    """Return where a TextGrid ends, which is the length of the sound that Praat made it for."""
    stated = _END.search(text)
    if stated is None:
        return None
    try:
        return read_seconds(stated[1])
    except ValueError as error:
        raise DamagedError(line_at(text, stated.start(1)), str(error)) from error


def write_textgrid(sheet: Sheet, path: Path) -> None:
    """Write interval tiers without gaps, in the long form."""
    from praatio import textgrid

    end_s = sheet.end_s(DECIMALS)
    grid = textgrid.Textgrid(0.0, end_s)
    for name, intervals in sheet.tier_intervals(DECIMALS).items():
        grid.addTier(textgrid.IntervalTier(name, intervals, 0.0, end_s))
    grid.save(str(path), format="long_textgrid", includeBlankSpaces=True)


def _with_plain_times(text: str) -> str:
    """Check the times of a long TextGrid, and write out those with an exponent.

    praatio drops the sign of a time and cannot read ``1e-05``.
    """

    def plain(match: re.Match[str]) -> str:
        try:
            return f"{match[1]}{read_seconds(match[2]):.9f}"
        except ValueError as error:
            raise DamagedError(line_at(text, match.start()), str(error)) from error

    return _TIME.sub(plain, text)


def _tiers(text: str) -> list[dict[str, Any]]:
    """Let praatio read the tiers; refuse a file that was cut off, which it would take as it is."""
    from praatio.utilities import errors, textgrid_io

    last_line = line_at(text, len(text.rstrip()))
    try:
        tiers: list[dict[str, Any]] = textgrid_io.parseTextgridStr(
            text + "\n", includeEmptyIntervals=True
        )["tiers"]
    except (errors.PraatioException, ValueError, IndexError) as error:
        rule = f"the TextGrid is cut off or damaged: {' '.join(str(error).split())}"
        raise DamagedError(last_line, rule) from error
    n_tiers = _N_TIERS.search(text)
    promised = [int(number) for number in _N_ENTRIES.findall(text)]
    counts = [len(tier["entries"]) for tier in tiers]
    if n_tiers is None or int(n_tiers[1]) != len(counts) or promised != counts:
        rule = (
            "the TextGrid is cut off or damaged: entries of its tiers are counted as "
            f"{promised} and found as {counts}, for {n_tiers[1] if n_tiers else 'no'} tiers"
        )
        raise DamagedError(last_line, rule)
    return tiers
