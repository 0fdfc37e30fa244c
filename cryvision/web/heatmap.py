"""Minutes of crying by hour, for clips whose names say when they were recorded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

HOURS = 24
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class TimedClip(NamedTuple):
    """When a clip was recorded, local time, and when there is crying in it.

    ``duration_s`` is the length of its sound: crying can be found in that alone. Events are onsets
    and offsets in seconds of the clip.
    """

    start: datetime
    duration_s: float
    events: tuple[tuple[float, float], ...]


def heatmap(clips: Iterable[TimedClip], by: str) -> dict[str, Any]:
    """Sum up crying by hour: for each date, or by ``week`` the mean over the dates of a weekday.

    Returns
    -------
    dict
        ``days`` (names of the rows), ``hours`` (0 to 23), ``minutes`` of crying (a list for each
        row), and ``recorded_minutes``. Where nothing was recorded, ``minutes`` is None.
    """
    crying: dict[tuple[date, int], float] = defaultdict(float)
    recorded: dict[tuple[date, int], float] = defaultdict(float)
    for clip in clips:
        for cell, seconds in _by_hour(clip.start, 0.0, clip.duration_s):
            recorded[cell] += seconds
        for onset_s, offset_s in clip.events:
            for cell, seconds in _by_hour(clip.start, onset_s, offset_s):
                crying[cell] += seconds
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
        "recorded_minutes": [
            [round(sum(recorded.get((day, h), 0.0) for day in days) / 60, 2) for h in range(HOURS)]
            for days in rows.values()
        ],
    }


def _mean(
    crying: dict[tuple[date, int], float],
    recorded: dict[tuple[date, int], float],
    days: list[date],
    hour: int,
) -> float | None:
    """Minutes of crying in an hour, over the days on which any of it was recorded."""
    cells = [(day, hour) for day in days if (day, hour) in recorded]
    if not cells:
        return None
    return round(sum(crying.get(cell, 0.0) for cell in cells) / 60 / len(cells), 3)


def _by_hour(
    start: datetime, onset_s: float, offset_s: float
) -> Iterator[tuple[tuple[date, int], float]]:
    """Cut a stretch at the hours; yield the date and hour, and the seconds in it."""
    at, end = start + timedelta(seconds=onset_s), start + timedelta(seconds=offset_s)
    while at < end:
        next_hour = at.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        until = min(next_hour, end)
        yield (at.date(), at.hour), (until - at).total_seconds()
        at = until
