"""The time in the name of a recording, as recorders, phones and cameras write it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import PurePath

from cryvision.start_times.chunks import FIRST_YEAR, LAST_YEAR

UTC = timezone.utc

_UTC_NAMES = (
    ("AudioMoth", re.compile(r"(?:[0-9A-F]{16}_)?\d{8}_\d{6}(?:_\d{3})?T?\.WAV")),
    ("Pixel", re.compile(r"PXL_\d{8}_\d{9}.*")),
    ("Zoom meeting", re.compile(r"GMT\d{8}-\d{6}.*")),
)
"""Makers whose clocks run on UTC, whatever the country; all of the name fits."""

_LOCAL_NAMES = (
    ("LENA", re.compile(r"e?\d{8}_\d{6}_\d{6}\b.*")),
    ("Song Meter", re.compile(r"(?:SM|S4|2M|SMM|SMU)\w*?(?:_0[+-]\d)?_\d{8}_\d{6}.*", re.I)),
    ("phone", re.compile(r"(?:VID|IMG|AUD|MVIMG|REC|Recording|Voice)[ _-]?\d{6,8}[ _-]\d{6}.*")),
    ("WhatsApp", re.compile(r"WhatsApp .*")),
    ("screen recording", re.compile(r"screen.*", re.I)),
    ("camera", re.compile(r"(?:DJI|MDalarm|RecM\d\d|ch\d\d)_.*")),
)
"""Makers that write the time on the clock of the place; only their names come from here."""

_AUDIOMOTH_HEX = re.compile(r"([0-9A-F]{8})\.WAV")
_ZONE = r"(?P<zone>Z|(?:\+(?:0\d|1[0-4])|-(?:0\d|1[0-2])):?(?:00|15|30|45)(?!\d))?"
_HOUR = r"(?P<hour>\d\d|\d(?=[-_.:h]\d\d[-_.:m]\d\d))"
_FULL = re.compile(
    r"(?<!\d)(?P<year>(?:19|20)\d\d)(?P<mark>[-_.]?)(?P<month>\d\d)(?P=mark)(?P<day>\d\d)"
    r"(?P<before>[T _-]+|_?at_?| at )?" + _HOUR + r"[-_.:h]?(?P<minute>\d\d)[-_.:m]?"
    r"(?P<second>\d\d)(?:\s?(?P<half>[AP]M)\b)?"
    r"(?:(?:\.|_(?=\d{3}\D))?(?P<fraction>\d{3}))?" + _ZONE + r"(?!\d)"
)
_SHORT = re.compile(
    r"(?<!\d)(?P<year>\d\d)(?P<month>\d\d)(?P<day>\d\d)[-_ ]?"
    r"(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)(?!\d)"
)
_EPOCH = re.compile(
    r"(?<![\d.])(1\d{9})(?:(\d{3})(?!\d)|(?=\.\d{3})|(?<=-[0-9A-Fa-f]{12}-\d{10})(?=-))"
)
"""Ten digits alone may be any count: they have a fraction, or a UUID before them."""

_CLOCK = re.compile(r"(\d\d)-(\d\d)-(\d\d)(?:-\d+)?\.\w+")
_DATE_FOLDER = re.compile(r"(\d{4})-(\d\d)-(\d\d)")


def time_from_name(path: str) -> tuple[datetime, str] | None:
    """Find the start of a recording in its name, and say who names recordings so.

    The time has its zone where that is certain; without one it is what the recorder's clock showed.
    Of the folders only the last is looked at, and only for a date where the name is a time of day
    alone. A count or a date alone is no time.
    """
    for time, scheme in _candidates(PurePath(path.replace("\\", "/"))):
        if FIRST_YEAR <= time.year <= LAST_YEAR:
            return time, f"name: {scheme}"
    return None


def _candidates(path: PurePath) -> Iterator[tuple[datetime, str]]:
    name = path.name
    in_utc = next((maker for maker, pattern in _UTC_NAMES if pattern.fullmatch(name)), None)
    maker = next(
        (maker for maker, pattern in _LOCAL_NAMES if pattern.fullmatch(name)), "date and time"
    )
    for match in _FULL.finditer(name):
        time = _from_fields(match)
        if time is not None and in_utc and time.tzinfo is None:
            yield time.replace(tzinfo=UTC), in_utc
        elif time is not None:
            yield time, in_utc or maker
    hexadecimal = _AUDIOMOTH_HEX.fullmatch(name)
    if hexadecimal:
        yield datetime.fromtimestamp(int(hexadecimal[1], 16), UTC), "AudioMoth"
    for match in _EPOCH.finditer(name):
        seconds = int(match[1]) + (int(match[2]) / 1000 if match[2] else 0)
        yield datetime.fromtimestamp(seconds, UTC), "seconds since 1970"
    for match in _SHORT.finditer(name):
        time = _from_fields(match)
        if time is not None:
            yield time, maker
    clock, folder = _CLOCK.fullmatch(name), _DATE_FOLDER.fullmatch(path.parent.name)
    if clock and folder:
        time = _time(*map(int, (*folder.groups(), *clock.groups())))
        if time is not None:
            yield time, "folder of a day"


def _from_fields(match: re.Match[str]) -> datetime | None:
    fields = match.groupdict()
    year, hour = int(fields["year"]), int(fields["hour"])
    half = fields.get("half")
    if half and hour <= 12:
        hour = hour % 12 + (12 if half == "PM" else 0)
    month, day, minute, second = (
        int(fields[name]) for name in ("month", "day", "minute", "second")
    )
    time = _time(year + 2000 if year < 100 else year, month, day, hour, minute, second)
    if time is None:
        return None
    time = time.replace(microsecond=1000 * int(fields.get("fraction") or 0))
    zone = fields.get("zone")
    if zone and zone[0] == "-" and "T" not in (fields["before"] or ""):
        zone = None  # the time of the end
    return time if not zone else time.replace(tzinfo=_zone(zone))


def _time(*numbers: int) -> datetime | None:
    try:
        return datetime(*numbers)  # type: ignore[arg-type]
    except ValueError:
        return None


def _zone(text: str) -> timezone:
    if text == "Z":
        return UTC
    minutes = 60 * int(text[1:3]) + int(text[-2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))
