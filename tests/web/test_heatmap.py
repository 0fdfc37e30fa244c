"""Crying is summed up by the hours at which it was recorded."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from cryvision.web.heatmap import TimedClip, heatmap

NIGHT = TimedClip(datetime(2026, 5, 3, 23, 50), 1200.0, ((540.0, 660.0), (1190.0, 1200.0)))
"""From 23:50 to 00:10; a minute of crying on each side of midnight, and ten seconds at the end."""


def test_crying_is_cut_at_the_hour_and_at_midnight() -> None:
    found = heatmap([NIGHT], "day")
    assert found["days"] == ["2026-05-03", "2026-05-04"]
    assert found["minutes"][0][23] == pytest.approx(1.0)
    assert found["minutes"][1][0] == pytest.approx(1 + 10 / 60, abs=1e-3)
    assert found["recorded_minutes"][0][23] == found["recorded_minutes"][1][0] == 10


def test_hours_without_a_recording_are_not_calm() -> None:
    quiet = TimedClip(datetime(2026, 5, 4, 12), 60.0, ())
    (row,) = heatmap([quiet], "day")["minutes"]
    assert row[12] == 0.0
    assert row[11] is None


def test_what_was_too_quiet_is_told_from_calm() -> None:
    off = TimedClip(datetime(2026, 5, 4, 12, 30), 3600.0, (), quiet=((0.0, 60.0), (1770.0, 1890.0)))
    found = heatmap([off], "day")
    assert found["recorded_minutes"][0][12:14] == [30, 30]
    assert found["too_quiet_minutes"][0][12:14] == [1.5, 1.5]
    assert found["minutes"][0][12] == 0.0


def test_a_week_is_the_mean_over_its_days() -> None:
    mondays = [
        TimedClip(datetime(2026, 5, 4, 12), 3600.0, ((0.0, 600.0),)),
        TimedClip(datetime(2026, 5, 11, 12), 3600.0, ()),
    ]
    week = heatmap(mondays, "week")
    assert week["days"][0] == "Monday"
    assert week["minutes"][0][12] == pytest.approx(5.0)
    assert week["minutes"][1] == [None] * 24


def test_a_day_of_which_nothing_is_known_does_not_lower_the_mean_of_its_weekday() -> None:
    mondays = [
        TimedClip(datetime(2026, 5, 4, 12), 3600.0, ((0.0, 600.0),)),
        TimedClip(datetime(2026, 5, 11, 12), 3600.0, (), quiet=((0.0, 3600.0),)),
    ]
    week = heatmap(mondays, "week")
    assert week["minutes"][0][12] == pytest.approx(10.0)
    assert week["recorded_minutes"][0][12] == 120
    assert week["too_quiet_minutes"][0][12] == 60
    days = heatmap(mondays, "day")["minutes"]
    assert [row[12] for row in days] == [pytest.approx(10.0), None]


def test_two_cameras_of_one_room_count_once() -> None:
    one = TimedClip(datetime(2026, 5, 4, 12), 1800.0, ((60.0, 120.0),), quiet=((0.0, 60.0),))
    other = TimedClip(datetime(2026, 5, 4, 12), 1800.0, ((90.0, 180.0),), quiet=((0.0, 30.0),))
    found = heatmap([one, other], "day")
    assert found["minutes"][0][12] == pytest.approx(2.0)
    assert found["recorded_minutes"][0][12] == 30.0
    assert found["too_quiet_minutes"][0][12] == 0.5


def test_events_that_overlap_count_once() -> None:
    clip = TimedClip(datetime(2026, 5, 4, 12), 1800.0, ((60.0, 180.0), (120.0, 240.0)))
    assert heatmap([clip], "day")["minutes"][0][12] == pytest.approx(3.0)


def test_hours_are_those_of_the_clock_when_it_is_put_forward() -> None:
    start = datetime(2026, 3, 29, 1, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    night = TimedClip(start, 3600.0, ((2400.0, 2460.0),))
    found = heatmap([night], "day")
    assert found["recorded_minutes"][0][1:4] == [30, 0, 30]
    assert found["minutes"][0][1:4] == [0.0, None, 1.0]
