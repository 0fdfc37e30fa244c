"""Minutes of crying by hour, for clips whose names say when they were recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from cryvision.spans import Span

HOURS = 24
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


Cell = tuple[date, int]
"""A date and an hour of it."""


class TimedClip(NamedTuple):
    """When a clip was recorded, local time, and when there is crying in it.

    ``duration_s`` is the length of its sound: crying can be found in that alone. Events are onsets
    and offsets in seconds of the clip, and so are ``quiet`` stretches, too quiet to be scored.
    """

    start: datetime
    duration_s: float
    events: tuple[Span, ...]
    quiet: tuple[Span, ...] = ()


def heatmap(clips: Iterable[TimedClip], by: str) -> dict[str, Any]:
    """Sum up crying by hour: for each date, or by ``week`` the mean over the dates of a weekday.

    Each of ``days``, the names of the rows, has a list by hour of ``minutes`` of crying, None where
    nothing was recorded, of ``recorded_minutes`` and of ``too_quiet_minutes``, the part of these
    that was too quiet to be scored.
    """
    crying: dict[Cell, float] = {}
    recorded: dict[Cell, float] = {}
    quiet: dict[Cell, float] = {}
    for clip in clips:
        whole = ((0.0, clip.duration_s),)
        for sums, spans in ((recorded, whole), (crying, clip.events), (quiet, clip.quiet)):
            for span in spans:
                for cell, seconds in _by_hour(clip.start, *span):
                    sums[cell] = sums.get(cell, 0.0) + seconds
    dates = sorted({day for day, _ in recorded})
    if by == "week":
        rows = {
            name: [day for day in dates if day.weekday() == number]
            for number, name in enumerate(WEEKDAYS)
        }
    else:
        rows = {day.isoformat(): [day] for day in dates}
    return {
        "days": list(rows),
        "hours": list(range(HOURS)),
        "minutes": [
            [_mean(crying, recorded, days, h) for h in range(HOURS)] for days in rows.values()
        ],
        "recorded_minutes": [_sums(recorded, days) for days in rows.values()],
        "too_quiet_minutes": [_sums(quiet, days) for days in rows.values()],
    }


def _sums(seconds: Mapping[Cell, float], days: list[date]) -> list[float]:
    """Minutes of each hour over all days."""
    sums = (sum(seconds.get((day, hour), 0.0) for day in days) for hour in range(HOURS))
    return [round(total / 60, 2) for total in sums]


def _mean(
    crying: Mapping[Cell, float], recorded: Mapping[Cell, float], days: list[date], hour: int
) -> float | None:
    """Minutes of crying in an hour, over the days on which any of it was recorded."""
    cells = [(day, hour) for day in days if (day, hour) in recorded]
    if not cells:
        return None
    return round(sum(crying.get(cell, 0.0) for cell in cells) / 60 / len(cells), 3)


def _by_hour(start: datetime, onset_s: float, offset_s: float) -> Iterator[tuple[Cell, float]]:
    """Cut a stretch at the hours; yield the date and hour, and the seconds in it."""
    at, end = start + timedelta(seconds=onset_s), start + timedelta(seconds=offset_s)
    while at < end:
        next_hour = at.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        until = min(next_hour, end)
        yield (at.date(), at.hour), (until - at).total_seconds()
        at = until
