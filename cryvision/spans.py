"""Spans of time, each an onset and an offset in seconds: put together, and summed up."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta, tzinfo

Span = tuple[float, float]

_DECIMALS = 6


def shorter(length_s: float, limit_s: float) -> bool:
    """Tell whether a length is below a limit: to the microsecond, for 2.28 - 2.08 is below 0.2."""
    return round(length_s, _DECIMALS) < round(limit_s, _DECIMALS)


def joined(spans: Iterable[Span], gap_s: float = 0.0) -> list[Span]:
    """Put spans together that overlap, meet, or are less than a gap apart; in order of time."""
    together: list[Span] = []
    for onset, offset in sorted(spans):
        if together and (onset <= together[-1][1] or shorter(onset - together[-1][1], gap_s)):
            together[-1] = (together[-1][0], max(together[-1][1], offset))
        else:
            together.append((onset, offset))
    return together


def covered_seconds(spans: Iterable[Span]) -> float:
    """Sum up spans; what lies in several counts once."""
    return math.fsum(end - start for start, end in joined(spans))


def seconds_within(spans: Iterable[Span], start: float, end: float) -> float:
    """Sum up how much of each span lies between two times."""
    return math.fsum(max(0.0, min(b, end) - max(a, start)) for a, b in spans)


def clock_hours(day: date, zone: tzinfo | None) -> list[Span]:
    """Give the hours of a day by the clock of a zone, also where that is changed by half an hour.

    The first begins at midnight, the last ends there. All times are seconds since 1970; without a
    zone it is that of this machine.
    """
    first, last = (datetime.combine(one, time(), zone) for one in (day, day + timedelta(days=1)))
    start, end = first.timestamp(), last.timestamp()
    hours = []
    while start < end:
        clock = datetime.fromtimestamp(start, zone)
        stop = min(end, start + 3600 - 60 * clock.minute - clock.second)
        hours.append((start, stop))
        start = stop
    return hours
