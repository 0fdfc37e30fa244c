"""Crying is summed up by the hours at which it was recorded."""

from __future__ import annotations

from datetime import datetime

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
