"""What recordings of a monitor say of each day: how much crying, when, how much was observed."""

from __future__ import annotations

import json
import logging
import math
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from pathlib import Path
from typing import Any

from cryvision.inputs.ffmpeg import shown
from cryvision.monitor.recording.folder import (
    OBSERVED_FORMAT,
    OBSERVED_NAME,
    day_folders,
    read_recording,
)
from cryvision.monitor.recording.observed import MINUTE, MOST_BYTES
from cryvision.monitor.records import PAUSE_SECONDS, utc
from cryvision.os_errors import os_errors
from cryvision.outputs.wording import counted, length, printable, rounded
from cryvision.spans import Span, clock_hours, joined

HOUR = 3600

LONGEST_EVENT_S = 86_400.0
LATEST_TIME = 32_503_680_000.0
"""Year 3000. A file with a longer event, or a later one, is damaged."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Hour:
    """An hour of a day, by the clock of a place; without a zone, by that of this machine.

    The start is wall time, seconds since 1970. ``observed_s`` is None where no file says it.
    ``too_quiet`` tells that all of it was too quiet to be scored.
    """

    start: float
    crying_s: float
    observed_s: float | None
    zone: tzinfo | None = None
    too_quiet: bool = False

    @property
    def clock(self) -> str:
        """Local time at its start, as ``07:00``."""
        return datetime.fromtimestamp(self.start, self.zone).strftime("%H:%M")


@dataclass(frozen=True)
class Day:
    """A day of one source, from midnight to midnight local time.

    `day_s` is 24 hours, or 23 or 25 where the clocks are changed. `bouts` are onset and offset,
    wall time, of those in recordings that begin on that day: crying without a pause of
    `PAUSE_SECONDS` or more.
    """

    source: str
    date: date
    day_s: float
    hours: tuple[Hour, ...]
    bouts: tuple[Span, ...]

    @property
    def crying_s(self) -> float:
        return math.fsum(hour.crying_s for hour in self.hours)

    @property
    def observed_s(self) -> float | None:
        """Seconds that were observed; None where no file says it."""
        known = [hour.observed_s for hour in self.hours if hour.observed_s is not None]
        return math.fsum(known) if known else None

    @property
    def longest_s(self) -> float:
        """Length of the longest bout, pauses included; 0 where there is none."""
        return max((offset - onset for onset, offset in self.bouts), default=0.0)


@dataclass
class _Source:
    """What the files say of a source; minutes are counted from 1970, UTC."""

    events: list[Span] = field(default_factory=list)
    observed: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    crying: dict[int, float] = field(default_factory=lambda: defaultdict(float))


def read(folder: Path) -> list[Day]:
    """Read what a `Recorder` has written into a folder, by source and date.

    How much of each minute was crying is taken from ``observed.jsonl``, and where that has no line
    from the events of the recordings. Bouts are those of the recordings that are still there. A
    damaged file, and one of another program, is left out with one line in the log.
    """
    sources: dict[str, _Source] = defaultdict(_Source)
    with os_errors(f"{shown(folder)}: a folder of recordings must be readable"):
        for day in day_folders(folder):
            for path in sorted(day.iterdir()):
                if path.name == OBSERVED_NAME:
                    usable = _read_observed(path, sources)
                elif path.suffix == ".json":
                    usable = _read_events(path, sources)
                else:
                    continue
                if not usable:
                    log.warning("%s: not a complete file of a recorder; skipped", shown(path))
    days = [day for name in sorted(sources) for day in _days(name, sources[name])]
    if not days:
        log.warning("%s: there are no recordings of a monitor", shown(folder))
    return days


def text(days: list[Day]) -> str:
    """Write the days for people: a line for each, and the minutes of crying of each hour."""
    lines = []
    for day in days:
        bouts = counted(len(day.bouts), "recorded bout")
        if day.bouts:
            bouts += f", the longest {length(day.longest_s, decimals=0)}"
        lines += [
            f"{printable(day.source)}, {day.date.isoformat()}: "
            f"{length(day.crying_s, decimals=0)} of crying, {bouts}; {share_observed(day)}",
            "  hour    " + "".join(f"{hour.clock[:2]:>3}" for hour in day.hours),
            "  minutes " + "".join(f"{_cell(hour):>3}" for hour in day.hours),
        ]
    if days:
        lines.append("(. no crying, - not observed, 0 less than half a minute)")
    return "\n".join(lines)


def share_observed(day: Day) -> str:
    if day.observed_s is None:
        return "observed time unknown"
    return f"{min(1.0, day.observed_s / day.day_s):.0%} of {day.day_s / HOUR:g} h observed"


def record(days: list[Day]) -> list[dict[str, Any]]:
    """Give the days as JSON objects; times are ISO 8601 in UTC, dates those of local time."""
    return [
        {
            "source": day.source,
            "date": day.date.isoformat(),
            "day_s": day.day_s,
            "observed_s": rounded(day.observed_s, 1),
            "crying_s": rounded(day.crying_s, 1),
            "longest_bout_s": rounded(day.longest_s, 1),
            "bouts": [{"onset": utc(onset), "offset": utc(offset)} for onset, offset in day.bouts],
            "hours": [
                {
                    "start": utc(hour.start),
                    "clock": hour.clock,
                    "crying_s": rounded(hour.crying_s, 1),
                    "observed_s": rounded(hour.observed_s, 1),
                }
                for hour in day.hours
            ],
        }
        for day in days
    ]


def _read_observed(path: Path, sources: dict[str, _Source]) -> bool:
    """Take the minutes of a file; say whether all lines could be read."""
    if path.is_symlink() or path.stat().st_size > 2 * MOST_BYTES:
        return False
    lines = path.read_bytes().splitlines()
    header = _object(lines[0]) if lines else {}
    name = header.get("source")
    if header.get("format") != OBSERVED_FORMAT or not isinstance(name, str):
        return False
    whole, source = True, sources[name]
    for line in lines[1:]:
        found = _object(line)
        start, observed_s, crying_s = (
            _time(found.get("minute")),
            _seconds(found.get("observed_s")),
            _seconds(found.get("crying_s")),
        )
        if start is None or observed_s is None or crying_s is None:
            whole = False
            continue
        minute = int(start // MINUTE)
        source.observed[minute] = min(MINUTE, source.observed[minute] + observed_s)
        source.crying[minute] = min(MINUTE, source.crying[minute] + crying_s)
    return whole


def _read_events(path: Path, sources: dict[str, _Source]) -> bool:
    """Take the events of a recording; say whether it is one."""
    found = read_recording(path)
    if found is None:
        return False
    name, end, events = found.get("source"), _time(found.get("end")), found.get("events")
    if not isinstance(name, str) or end is None or not isinstance(events, list):
        return False
    spans = []
    for event in events:
        if not isinstance(event, dict):
            return False
        onset, offset = _time(event.get("onset")), _time(event.get("offset"))
        if onset is None:
            return False
        # One that goes on in the next recording has its offset there.
        spans.append((onset, max(onset, end if offset is None else offset)))
        if spans[-1][1] - onset > LONGEST_EVENT_S:
            return False
    sources[name].events += spans
    return True


def _days(name: str, source: _Source) -> list[Day]:
    bouts = joined(source.events, PAUSE_SECONDS)
    crying = {**_minutes(joined(source.events)), **source.crying}
    starts = [minute * MINUTE for minute in (*crying, *source.observed)]
    dates = sorted({datetime.fromtimestamp(start).date() for start in starts})
    return [_day(name, day, crying, source.observed, bouts) for day in dates]


def _day(
    name: str, day: date, crying: dict[int, float], observed: dict[int, float], bouts: list[Span]
) -> Day:
    hours, spans = [], clock_hours(day, None)
    for at, stop in spans:
        minutes = range(int(at // MINUTE), int(stop // MINUTE))
        known = [observed[minute] for minute in minutes if minute in observed]
        hours.append(
            Hour(
                at,
                math.fsum(crying.get(minute, 0.0) for minute in minutes),
                math.fsum(known) if known else (0.0 if observed else None),
            )
        )
    start, end = spans[0][0], spans[-1][1]
    own = tuple(bout for bout in bouts if start <= bout[0] < end)
    return Day(name, day, end - start, tuple(hours), own)


def _minutes(spans: list[Span]) -> dict[int, float]:
    """Measure how much of each minute lies in spans that do not overlap."""
    seconds: dict[int, float] = defaultdict(float)
    for onset, offset in spans:
        for minute in range(int(onset // MINUTE), math.ceil(offset / MINUTE)):
            start = minute * MINUTE
            seconds[minute] += min(offset, start + MINUTE) - max(onset, start)
    return seconds


def _object(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _time(value: object) -> float | None:
    """Read a time of ISO 8601 with its zone; None for anything else."""
    try:
        moment = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
        time = moment.timestamp() if moment.tzinfo else -1.0
    except (ValueError, OverflowError):
        return None
    return time if 0 <= time < LATEST_TIME else None


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and 0 <= value <= MINUTE else None


def _cell(hour: Hour) -> str:
    if not hour.crying_s:
        return "-" if hour.observed_s == 0 else "."
    return f"{hour.crying_s / MINUTE:.0f}"
