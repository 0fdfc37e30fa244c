"""Hours and days add up, recordings are joined, and what was not observed is never no crying."""

from __future__ import annotations

import csv
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cryvision.batch.hours import DAY, HOUR, Period, find_recordings, totals, write_periods
from cryvision.batch.sources import ListedClip
from cryvision.start_times import recording_start

ZONE = "Europe/Berlin"

Row = tuple[ListedClip, dict[str, Any]]


def row(
    start: str, seconds: float, *events: tuple[float, float], name: str = "a.wav", **facts: Any
) -> Row:
    found = recording_start(name, stated=start, zone=ZONE) if start else None
    record = {
        "status": "ok",
        "detector_cry": bool(events),
        "duration_s": seconds,
        "sound_s": seconds,
        "events": [{"onset_s": a, "offset_s": b} for a, b in events],
        "start": found.time.isoformat() if found else None,
        **facts,
    }
    return ListedClip("k", name, 1, name), record


def periods(*rows: Row, pattern: str | None = None) -> list[Period]:
    return totals(find_recordings(rows, ZONE, pattern)[0])


def of_hours(found: list[Period], **wanted: int) -> dict[int, Period]:
    return {one.start.hour: one for one in found if one.kind == HOUR}


def test_crying_is_summed_by_hour_and_day() -> None:
    found = periods(row("2024-06-01T09:30:00", 3600, (60, 90), (1790, 1830)))
    hours = of_hours(found)
    assert (hours[9].observed_s, hours[9].cry_s, hours[9].n_events) == (1800, 40, 2)
    assert (hours[10].observed_s, hours[10].cry_s, hours[10].n_events) == (1800, 30, 0)
    (day,) = [one for one in found if one.kind == DAY]
    assert (day.observed_s, day.cry_s, day.n_events) == (3600, 70, 2)
    assert day.not_observed_s == 23 * 3600
    assert len(hours) == 24


def test_what_was_not_observed_is_not_called_no_crying(tmp_path: Path) -> None:
    rows = [
        row("2024-06-01T09:00:00", 3600),
        row("2024-06-01T11:00:00", 3600, detector_cry=None),
        row("2024-06-01T12:00:00", 3600, status="MediaError"),
    ]
    hours = of_hours(periods(*rows))
    assert hours[9].cry_s == 0
    assert [hours[h].cry_s for h in (10, 11, 12)] == [None, None, None]
    write_periods(tmp_path / "h.csv", list(hours.values()))
    with open(tmp_path / "h.csv", encoding="utf-8", newline="") as file:
        written = {line["start"][11:13]: line for line in csv.DictReader(file)}
    assert (written["09"]["cry_s"], written["09"]["n_events"]) == ("0.0", "0")
    assert (written["10"]["cry_s"], written["10"]["n_events"]) == ("", "")
    assert written["10"]["not_observed_s"] == "3600.0"


def test_sound_too_quiet_to_be_scored_is_told_from_sound_without_crying(tmp_path: Path) -> None:
    quiet = [0.0] * 50 + [60.0] * 10 + [45.0]
    switched_off = row("2024-06-01T09:10:00", 3660, too_quiet_minutes_s=quiet)
    hours = of_hours(periods(switched_off))
    assert (hours[9].observed_s, hours[9].too_quiet_s) == (3000, pytest.approx(0, abs=1e-3))
    assert (hours[10].observed_s, hours[10].too_quiet_s) == (660, pytest.approx(645))
    write_periods(tmp_path / "hours.csv", periods(switched_off))
    with (tmp_path / "hours.csv").open(newline="") as file:
        written = {row["start"][11:13]: row["too_quiet_s"] for row in csv.DictReader(file)}
    assert (written["09"], written["10"], written["11"]) == ("0.0", "645.0", "")
    # Another recorder of the same subject was loud enough in five of the minutes.
    other = row("2024-06-01T10:00:00", 300, name="b.wav")
    assert of_hours(periods(switched_off, other))[10].too_quiet_s == pytest.approx(345)


def test_crying_is_unknown_where_all_sound_was_too_quiet(tmp_path: Path) -> None:
    quiet = [0.0] * 50 + [60.0] * 60 + [30.0]
    hours = of_hours(periods(row("2024-06-01T09:10:00", 6660, (10, 11), too_quiet_minutes_s=quiet)))
    assert (hours[9].cry_s, hours[9].n_events) == (1, 1)
    assert (hours[10].cry_s, hours[10].n_events, hours[10].too_quiet_s) == (None, None, 3600)
    assert (hours[11].cry_s, hours[11].n_events) == (0, 0)
    write_periods(tmp_path / "hours.csv", [hours[10]])
    with (tmp_path / "hours.csv").open(newline="") as file:
        (written,) = csv.DictReader(file)
    assert [written[name] for name in ("observed_s", "too_quiet_s")] == ["3600.0"] * 2
    assert [written[name] for name in ("cry_s", "cry_share", "n_events")] == ["", "", ""]


def test_the_end_of_a_quiet_recording_that_fills_no_window_is_not_loud() -> None:
    quiet = {"detector_cry": None, "too_quiet_s": 59.6, "too_quiet_minutes_s": [59.6]}
    hour = of_hours(periods(row("2024-06-01T09:00:00", 60, **quiet)))[9]
    assert (hour.observed_s, hour.too_quiet_s, hour.cry_s) == (60, 60, None)


def test_crying_is_known_though_its_minute_seems_too_quiet() -> None:
    # Of the minute that the hour cuts, the first half is cried through and the second is quiet.
    cut = row("2024-06-01T09:59:30", 60, (0, 30), too_quiet_minutes_s=[30.0])
    hours = of_hours(periods(cut))
    assert (hours[9].cry_s, hours[9].n_events) == (30, 1)


def test_a_night_too_quiet_to_be_scored_is_observed_however_it_is_split() -> None:
    quiet = {"detector_cry": None, "too_quiet_s": 600.0, "too_quiet_minutes_s": [60.0] * 10}
    later = row("2024-06-01T09:10:00", 600, (1, 2), name="b.wav")
    hour = of_hours(periods(row("2024-06-01T09:00:00", 600, **quiet), later))[9]
    assert (hour.observed_s, hour.too_quiet_s) == (1200, pytest.approx(600))
    assert (hour.cry_s, hour.n_events) == (1, 1)


def test_a_cry_that_goes_on_in_the_next_file_is_one_event() -> None:
    first = row("2024-06-01T09:00:00", 599, (10, 20), (590, 598.9), name="p1/1.wav")
    second = row("2024-06-01T09:10:00", 600, (0.1, 5), (300, 310), name="p1/2.wav")
    hours = of_hours(periods(first, second))
    assert hours[9].n_events == 3
    assert hours[9].cry_s == pytest.approx(10 + 8.9 + 4.9 + 10)
    assert hours[9].observed_s == 1199


def test_between_two_recordings_no_crying_is_counted() -> None:
    starts = ("09:00:00", "09:01:01.9", "09:02:03.8")
    found = periods(*(row(f"2024-06-01T{start}", 60, (0, 60)) for start in starts))
    hour = of_hours(found)[9]
    assert (hour.observed_s, hour.cry_s) == (pytest.approx(180), pytest.approx(180))
    assert hour.n_events == 1


def test_recordings_far_apart_or_of_two_subjects_are_not_joined() -> None:
    first = row("2024-06-01T09:00:00", 600, (590, 600), name="p1/1.wav")
    later = row("2024-06-01T09:11:00", 600, (0, 5), name="p1/2.wav")
    assert of_hours(periods(first, later))[9].n_events == 2
    other = row("2024-06-01T09:10:00", 600, (0, 5), name="p2/2.wav")
    found = periods(first, other, pattern=r"(p\d)")
    assert [(one.subject, one.n_events) for one in found if one.kind == DAY] == [
        ("p1", 1),
        ("p2", 1),
    ]


def test_two_recorders_at_once_are_observed_once() -> None:
    rows = [row("2024-06-01T09:00:00", 600, (5, 15)), row("2024-06-01T09:05:00", 600, (0, 3))]
    rows.append(row("2024-06-01T09:00:00", 600, (5, 16)))
    hours = of_hours(periods(*rows))
    assert (hours[9].observed_s, hours[9].cry_s, hours[9].n_events) == (900, 14, 2)


def test_pictures_that_go_on_without_sound_are_not_observed() -> None:
    film = row("2024-06-01T09:00:00", 60, (1, 2), sound_s=7.0)
    later = row("2024-06-01T09:10:00", 60, sound_s=60.0)
    hours = of_hours(periods(film, later))
    assert (hours[9].observed_s, hours[9].cry_s) == (67, 1)


def test_no_cry_is_lost_where_recordings_overlap() -> None:
    first = row("2024-06-01T09:00:00", 3599, (10, 12), (3000, 3002))
    second = row("2024-06-01T09:01:40", 3000, (100, 110), (2990, 2995))
    hours = of_hours(periods(first, second))
    assert (hours[9].cry_s, hours[9].n_events) == (2 + 2 + 10 + 5, 4)


@pytest.mark.parametrize(("day", "n_hours"), [("2024-03-31", 23), ("2024-10-27", 25)])
def test_a_day_on_which_the_clock_is_changed_has_its_own_length(day: str, n_hours: int) -> None:
    seconds = n_hours * 3600
    found = periods(row(f"{day}T00:00:00", seconds, (0, seconds)))
    hours = [one for one in found if one.kind == HOUR]
    assert len(hours) == n_hours
    assert {(one.cry_s, one.not_observed_s) for one in hours} == {(3600, 0)}
    (whole,) = [one for one in found if one.kind == DAY]
    assert (whole.cry_s, whole.not_observed_s) == (seconds, 0)


def test_clips_without_a_start_are_named() -> None:
    recordings, left_out = find_recordings([row("", 10, name="x.wav")], ZONE)
    assert (recordings, left_out) == ({}, ["x.wav"])


def test_clips_that_the_pattern_misses_are_named_and_kept_apart(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = [
        row("2024-06-01T09:00:00", 60, (0, 60), name="p1/a.wav"),
        row("2024-06-01T09:00:00", 60, (0, 60), name="x.wav"),
        row("2024-06-01T09:01:00", 60, (0, 60), name="y.wav"),
    ]
    days = [one for one in periods(*rows, pattern=r"(p\d)/") if one.kind == DAY]
    assert [(one.subject, one.n_events) for one in days] == [("p1", 1), ("x.wav", 1), ("y.wav", 1)]
    (warning,) = caplog.messages
    assert "2 clips without a subject" in warning
    assert "x.wav" in warning


def test_one_clip_without_a_subject_is_singular(caplog: pytest.LogCaptureFixture) -> None:
    periods(row("2024-06-01T09:00:00", 60, (0, 60), name="x.wav"), pattern=r"(p\d)/")
    (warning,) = caplog.messages
    assert warning.startswith("1 clip without a subject")


def test_a_recording_that_states_another_zone_keeps_its_day() -> None:
    clip, record = row("2024-06-01T23:30:00", 600, (0, 10))
    record["start"] = "2024-06-01T23:30:00+09:30"
    found = totals(find_recordings([(clip, record)])[0])
    assert found[0].start == datetime.fromisoformat("2024-06-01T00:00:00+09:30")
