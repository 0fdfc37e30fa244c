"""When a recording started: what was stated, its chunks, its name, or its header."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cryvision.argument_types import typed
from cryvision.errors import ConfigError
from cryvision.start_times.chunks import TIME_RULE, iso_time, time_from_chunks
from cryvision.start_times.mp4 import time_from_mp4
from cryvision.start_times.names import time_from_name

UTC = timezone.utc


@dataclass(frozen=True)
class RecordingStart:
    """When a recording started, with its time zone.

    Attributes
    ----------
    time : datetime
    source : str
        Where it is from: ``stated``, the name of a chunk, or ``name: <scheme>``.
    remark : str
        Empty, or what is doubtful: the clock showed this time twice, or never.
    """

    time: datetime
    source: str
    remark: str = ""

    def after(self, seconds: float) -> datetime:
        """Give the time some seconds later, by the clock of the place."""
        return later(self.time, seconds)


@typed
def recording_start(
    path: str | os.PathLike[str], *, stated: str = "", zone: str = "", name: str | None = None
) -> RecordingStart | None:
    """Find when a recording started.

    Of what is there, the first counts: what was stated; GUANO; the metadata of Song Meter and of
    AudioMoth; BWF; the name; the creation time of an MP4.

    Parameters
    ----------
    path : path
        The file. It need not be there, if its name is enough.
    stated : str
        Date and time of ISO 8601, with or without an offset from UTC.
    zone : str
        Time zone of the IANA data base, such as ``Europe/Berlin``: of the clock of the recorder,
        and of the times that are given out. By default that of this machine; a time that states
        its own offset keeps it.
    name : str, optional
        Name to look at in place of the path's, as of a copy.

    Returns
    -------
    RecordingStart or None
        None where nothing has a time.

    Raises
    ------
    ConfigError
        If what was stated is no time of the years 1990 to 2099, or the zone is not known.
    """
    place = time_zone(zone)
    if stated:
        time = iso_time(stated.strip())
        if time is None:
            raise ConfigError(f"the start of a recording {TIME_RULE}; got {stated!r:.60}")
        return _in_zone(time, place, "stated", keep=not zone)
    found = (
        time_from_chunks(path)
        or time_from_name(os.fspath(path) if name is None else name)
        or time_from_mp4(path)
    )
    return None if found is None else _in_zone(found[0], place, found[1], keep=not zone)


def time_zone(name: str) -> tzinfo:
    """Find a time zone by its name; without one, that of this machine."""
    if not name:
        from dateutil import tz

        local: tzinfo = tz.gettz() or tz.tzlocal()
        return local
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            f"a time zone must be one of the IANA data base, such as Europe/Berlin; got {name!r}"
        ) from error


def later(time: datetime, seconds: float) -> datetime:
    """Add seconds that passed, also where the clock was changed in between.

    Within one zone, Python's own sum is one of clock times.
    """
    passed = time.astimezone(UTC) + timedelta(seconds=seconds)
    return passed.astimezone(time.tzinfo)


def _in_zone(time: datetime, place: tzinfo, source: str, keep: bool) -> RecordingStart:
    """Give a time its zone.

    A clock time that was shown twice is the first of the two. One that was never shown is that of
    a clock which had not been put forward yet.
    """
    if time.tzinfo is not None:
        own = keep and time.utcoffset() != timedelta(0)
        return RecordingStart(time if own else time.astimezone(place), source)
    local = time.replace(tzinfo=place, fold=0)
    second = local.replace(fold=1)
    remark = ""
    shown = later(local, 0.0)
    if shown.replace(tzinfo=None, fold=0) != time:
        remark = f"the clock never showed {time:%Y-%m-%d %H:%M:%S}: it was put forward"
        local = shown
    elif second.utcoffset() != local.utcoffset():
        remark = f"the clock showed {time:%Y-%m-%d %H:%M:%S} twice: the first is taken"
    return RecordingStart(local, source, remark)
