"""Crying by hour and by day: recordings of a subject are joined, and what was not observed is."""

from __future__ import annotations

import logging
import math
import os
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

from cryvision.atomic import check_suffix
from cryvision.batch import remote
from cryvision.batch.job import Job
from cryvision.batch.placing import put
from cryvision.batch.rows import OK
from cryvision.batch.sources import ListedClip, subject_of
from cryvision.batch.store import Store
from cryvision.errors import CryvisionError
from cryvision.inputs.quality import MINUTE_SECONDS
from cryvision.outputs.wording import counted
from cryvision.safe_text import spreadsheet_cell, write_rows
from cryvision.spans import Span, clock_hours, joined, seconds_within
from cryvision.start_times import time_zone
from cryvision.subjects import compile_subject_pattern

HOUR, DAY = "hour", "day"

COLUMNS = (
    *("subject", "period", "start", "end", "observed_s", "not_observed_s", "too_quiet_s"),
    *("cry_s", "cry_share", "n_events"),
)
_LONGEST_HEADER = 1000

FILE_GAP_SECONDS = 2.0
"""Recordings of a subject that are less than this apart follow each other: a recorder that goes on
in a new file loses up to a second or two."""

EDGE_SECONDS = 1.0
"""So near to the end of a recording, crying goes on in the one that follows."""

_TICK_SECONDS = 0.001

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Period:
    """An hour or a day of a subject.

    `kind` is `HOUR` or `DAY`, by the clock of the place: a day may have 23 or 25 hours. In
    `observed_s` of its seconds there was sound to find crying in; in `too_quiet_s` of these all
    sound was below the level from which on it is scored, as in a quiet room, or from a microphone
    that is switched off. `cry_s` is None where nothing was observed or all of it was too quiet,
    which is not the same as no crying; so is `n_events`, those that begin in it.
    """

    subject: str
    kind: str
    start: datetime
    end: datetime
    observed_s: float
    too_quiet_s: float
    cry_s: float | None
    n_events: int | None

    @property
    def not_observed_s(self) -> float:
        """Seconds of it of which nothing is known."""
        return max(0.0, self.end.timestamp() - self.start.timestamp() - self.observed_s)


@dataclass(frozen=True)
class Recording:
    """A scored clip whose start is known; times are seconds since 1970.

    `start` and `end` are those of its sound; `loud` is the sound that was loud enough to be scored,
    to the minute; `zone` is that of the clock of the place.
    """

    start: float
    end: float
    events: tuple[Span, ...]
    loud: tuple[Span, ...]
    zone: tzinfo


class Hours:
    """The table of hours and days of a run, on this machine or at a URL.

    For ``subject_pattern`` see `find_recordings`; `periods` are those that were written.
    """

    def __init__(self, path: str, subject_pattern: str | None = None) -> None:
        self.paths = (path,)
        self.periods: list[Period] = []
        self._pattern = subject_pattern
        if not remote.is_url(path) and os.path.lexists(path) and not _is_ours(path):
            raise CryvisionError(f"{path}: only a summary is replaced; this is another file")
        check_suffix("the summary", path, ".csv")

    def write(self, store: Store, job: Job) -> None:
        """Write the table, and log how many clips have no start."""
        (target,) = self.paths
        recordings, left_out = find_recordings(store.rows(), job.timezone, self._pattern)
        if left_out:
            log.warning(
                "%s: not in the totals, as nothing states their start: %s, the first is %s; a "
                "manifest may have a column start",
                *(target, counted(len(left_out), "clip"), left_out[0]),
            )
        self.periods = totals(recordings)
        put(target, lambda path: write_periods(path, self.periods))


def _is_ours(path: str) -> bool:
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline(_LONGEST_HEADER).strip() == ",".join(COLUMNS)
    except (OSError, UnicodeDecodeError):
        return False


def find_recordings(
    rows: Iterable[tuple[ListedClip, Mapping[str, Any]]],
    zone: str = "",
    subject_pattern: str | None = None,
) -> tuple[dict[str, list[Recording]], list[str]]:
    """Sort the rows of a table by subject, and list the clips without a start, by path.

    Of each subject, those recordings come in order of time in which there was sound to find crying
    in. For ``zone`` see `cryvision.start_times.recording_start`, for ``subject_pattern`` see
    `subject_of`. Without it and without a manifest's, all clips are of one subject, whose name is
    empty; with it, a clip that it misses is a subject of its own, named by its path, and a warning
    is logged.
    """
    pattern = compile_subject_pattern(subject_pattern)
    place = time_zone(zone)
    found: dict[str, list[Recording]] = defaultdict(list)
    left_out, nameless = [], []
    for clip, row in rows:
        searched = row.get("detector_cry") is not None or row.get("too_quiet_s")
        if row["status"] != OK or not searched:
            continue
        if not row.get("start"):
            left_out.append(clip.path)
            continue
        subject = subject_of(clip, pattern)
        if pattern is not None and not subject:
            nameless.append(clip.path)
            subject = clip.path
        found[subject].append(_recording(row, place, keep=not zone))
    if nameless:
        log.warning(
            "%s without a subject, as the subject pattern is not in the path; each is summed up "
            "alone; the first is %s",
            *(counted(len(nameless), "clip"), nameless[0]),
        )
    for recordings in found.values():
        recordings.sort(key=lambda one: (one.start, one.end))
    return dict(found), left_out


def _recording(row: Mapping[str, Any], place: tzinfo, keep: bool) -> Recording:
    stated = datetime.fromisoformat(row["start"])
    start = stated.timestamp()
    events = tuple((start + e["onset_s"], start + e["offset_s"]) for e in row["events"])
    # An offset that is not that of the place was stated by the recording.
    elsewhere = keep and stated.astimezone(place).utcoffset() != stated.utcoffset()
    zone = stated.tzinfo if elsewhere else place
    end = start + row.get("sound_s", row["duration_s"])
    # Where nothing was scored, a rest too short to be scored may not count as quiet.
    scored = row.get("detector_cry") is not None
    loud = _loud(start, end, row.get("too_quiet_minutes_s", ())) if scored else ()
    return Recording(start, end, events, loud, zone or place)


def _loud(start: float, end: float, quiet_s: Sequence[float]) -> tuple[Span, ...]:
    """Give what is left of each minute of a recording; it is taken to be the minute's end."""
    n_minutes = math.ceil((end - start) / MINUTE_SECONDS)
    minutes = [start + MINUTE_SECONDS * number for number in range(n_minutes)]
    quiet = [*quiet_s, *[0.0] * (n_minutes - len(quiet_s))]
    spans = (
        (minute + seconds, min(minute + MINUTE_SECONDS, end))
        for minute, seconds in zip(minutes, quiet, strict=False)
    )
    return tuple((onset, offset) for onset, offset in spans if onset < offset)


def joined_events(recordings: Sequence[Recording]) -> list[Span]:
    """Give the events of a subject; one that goes on in the following recording is one event.

    Where recordings overlap, what both have found counts once.
    """
    merged: list[Span] = []
    ends = sorted(recording.end for recording in recordings)
    events = sorted((*event, one.start) for one in recordings for event in one.events)
    for onset, offset, start in events:
        if merged and (
            onset <= merged[-1][1]
            or (onset - start < EDGE_SECONDS and _ends_before(ends, start, merged[-1][1]))
        ):
            merged[-1] = (merged[-1][0], max(merged[-1][1], offset))
        else:
            merged.append((onset, offset))
    return merged


def _ends_before(ends: Sequence[float], start: float, offset: float) -> bool:
    """Tell whether an event ends with a recording that another one follows at `start`."""
    before = ends[bisect_right(ends, start - FILE_GAP_SECONDS) : bisect_right(ends, start)]
    return any(abs(end - offset) < EDGE_SECONDS for end in before)


def totals(recordings: Mapping[str, Sequence[Recording]]) -> list[Period]:
    """Sum up each hour and each day, from the first day of a subject to its last.

    By subject: each day, and behind it its hours.
    """
    periods = []
    for subject in sorted(recordings):
        own = recordings[subject]
        zone = own[0].zone
        observed = joined((one.start, one.end) for one in own)
        loud = joined(span for one in own for span in one.loud)
        crying = joined(event for one in own for event in one.events)
        onsets = [onset for onset, _ in joined_events(own)]
        first = datetime.fromtimestamp(own[0].start, zone).date()
        # A recording that ends at midnight has nothing in the day after.
        last = datetime.fromtimestamp(max(one.end for one in own) - _TICK_SECONDS, zone).date()
        for number in range((last - first).days + 1):
            hours = clock_hours(first + timedelta(days=number), zone)
            spans = [(DAY, hours[0][0], hours[-1][1]), *((HOUR, *hour) for hour in hours)]
            periods += [
                _period(subject, span, zone, (observed, loud, crying), onsets) for span in spans
            ]
    return periods


def write_periods(path: Path, periods: Sequence[Period]) -> None:
    """Write a CSV with a row a period; crying is empty where nothing was scored."""
    rows = []
    for one in periods:
        known = [f"{one.too_quiet_s:.1f}" if one.observed_s > 0 else "", "", "", ""]
        if one.cry_s is not None:
            share = f"{one.cry_s / one.observed_s:.4f}"
            known[1:] = [f"{one.cry_s:.1f}", share, f"{one.n_events}"]
        rows.append(
            [
                *(spreadsheet_cell(one.subject), one.kind),
                *(time.isoformat(timespec="seconds") for time in (one.start, one.end)),
                *(f"{one.observed_s:.1f}", f"{one.not_observed_s:.1f}", *known),
            ]
        )
    write_rows(path, COLUMNS, rows)


def _period(
    subject: str,
    span: tuple[str, float, float],
    zone: tzinfo,
    states: tuple[Sequence[Span], Sequence[Span], Sequence[Span]],
    onsets: Sequence[float],
) -> Period:
    kind, start, end = span
    observed_s, loud_s, cry_s = (seconds_within(spans, start, end) for spans in states)
    # Where in its minute sound was loud is not known: crying may lie where all seems too quiet.
    known = loud_s > _TICK_SECONDS or cry_s > 0
    return Period(
        subject,
        kind,
        datetime.fromtimestamp(start, zone),
        datetime.fromtimestamp(end, zone),
        observed_s,
        too_quiet_s=max(0.0, observed_s - loud_s),
        cry_s=cry_s if known else None,
        n_events=sum(start <= onset < end for onset in onsets) if known else None,
    )
