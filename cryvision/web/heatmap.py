"""Minutes of crying by hour, for clips whose names say when they were recorded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime
from typing import Any, NamedTuple

from cryvision.spans import Span, covered_seconds

HOURS = 24
HOUR_SECONDS = 3600.0
_TICK_SECONDS = 1e-3
_LEAST_LOUD = 0.02
"""An hour of which less was loud is not known: a rest too short to be scored counts for nothing."""

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


Cell = tuple[date, int]
"""A date and an hour of it."""


class TimedClip(NamedTuple):
    """When a clip was recorded, and when there is crying in it.

    The clock is that of the start's zone, or of this machine. ``duration_s`` is the length of its
    sound: crying can be found in that alone. Events are onsets and offsets in seconds of the clip,
    and so are ``quiet`` stretches, in order, too quiet to be scored.
    """

    start: datetime
    duration_s: float
    events: tuple[Span, ...]
    quiet: tuple[Span, ...] = ()

    @property
    def loud(self) -> list[Span]:
        """What the quiet stretches leave of its sound."""
        ends = [0.0, *(offset for _, offset in self.quiet)]
        onsets = [*(onset for onset, _ in self.quiet), self.duration_s]
        return [(a, b) for a, b in zip(ends, onsets, strict=True) if a < b]


def heatmap(clips: Iterable[TimedClip], by: str) -> dict[str, Any]:
    """Sum up crying by hour: for each date, or by ``week`` the mean over the dates of a weekday.

    Each of ``days``, the names of the rows, has a list by hour of ``minutes`` of crying, None where
    nothing is known of it, of ``recorded_minutes`` and of ``too_quiet_minutes``, the part of these
    in which all that was recorded was too quiet to be scored. A date on which an hour was not
    recorded, or all of it too quiet, is left out of its mean. What several clips have at the same
    time counts once.
    """
    clips = list(clips)
    recorded = _seconds((clip.start, (0.0, clip.duration_s)) for clip in clips)
    crying = _seconds((clip.start, span) for clip in clips for span in clip.events)
    loud = _seconds((clip.start, span) for clip in clips for span in clip.loud)
    quiet = {cell: seconds - loud.get(cell, 0.0) for cell, seconds in recorded.items()}
    known = {
        cell
        for cell, seconds in recorded.items()
        if cell in crying or loud.get(cell, 0.0) > _LEAST_LOUD * seconds
    }
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
            [_mean(crying, known, days, h) for h in range(HOURS)] for days in rows.values()
        ],
        "recorded_minutes": [_sums(recorded, days) for days in rows.values()],
        "too_quiet_minutes": [_sums(quiet, days) for days in rows.values()],
    }


def _sums(seconds: Mapping[Cell, float], days: list[date]) -> list[float]:
    """Minutes of each hour over all days."""
    sums = (sum(seconds.get((day, hour), 0.0) for day in days) for hour in range(HOURS))
    return [round(total / 60, 2) for total in sums]


def _mean(
    crying: Mapping[Cell, float], known: Collection[Cell], days: list[date], hour: int
) -> float | None:
    """Minutes of crying in an hour, over the days on which something is known of it."""
    cells = [(day, hour) for day in days if (day, hour) in known]
    if not cells:
        return None
    return round(sum(crying.get(cell, 0.0) for cell in cells) / 60 / len(cells), 3)


def _seconds(spans: Iterable[tuple[datetime, Span]]) -> dict[Cell, float]:
    """Sum up spans, each in seconds after a start, by hour; where they overlap they count once."""
    cells: dict[Cell, list[Span]] = defaultdict(list)
    for start, (onset_s, offset_s) in spans:
        at, end = start.timestamp() + onset_s, start.timestamp() + offset_s
        while at < end:
            clock = datetime.fromtimestamp(at, start.tzinfo)
            into_hour_s = 60 * clock.minute + clock.second + clock.microsecond / 1e6
            until = min(at + max(HOUR_SECONDS - into_hour_s, _TICK_SECONDS), end)
            cells[clock.date(), clock.hour].append((at, until))
            at = until
    return {cell: covered_seconds(own) for cell, own in cells.items()}
