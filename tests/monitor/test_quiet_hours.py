"""Quiet hours in local time, on ordinary days and on those that change the clock."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
import receivers

from cryvision.monitor.alerting.alerts import Alert
from cryvision.monitor.alerting.quiet_hours import AlertRouter, QuietHours

NIGHT = (time(22), time(6, 30))

CHANGES = {
    "Europe/Berlin": ("2026-03-29", "2026-10-25"),
    "America/New_York": ("2026-03-08", "2026-11-01"),
}
"""Days of 2026 on which clocks are set forward, and back."""


def quiet_minutes(hours: QuietHours, day: str) -> list[datetime]:
    """Local times of the minutes that are quiet, from noon of the day before to noon."""
    zone = ZoneInfo(hours.zone)
    noon = datetime.combine(datetime.fromisoformat(day), time(12), zone)
    begin = (noon - timedelta(days=1)).timestamp()
    found = []
    moment = begin
    while moment < noon.timestamp():
        if hours.cover(moment):
            found.append(datetime.fromtimestamp(moment, zone))
        moment += 60
    return found


def stretches(minutes: list[datetime]) -> int:
    """Count the stretches without a gap."""
    stamps = [minute.timestamp() for minute in minutes]
    return sum(1 for i, stamp in enumerate(stamps) if i == 0 or stamp - stamps[i - 1] > 60)


def walls(minutes: list[datetime]) -> tuple[str, str]:
    """First quiet minute, and the one after the last, on the clock of the wall."""
    end = minutes[-1].timestamp() + 60
    return f"{minutes[0]:%H:%M}", f"{datetime.fromtimestamp(end, minutes[0].tzinfo):%H:%M}"


@pytest.mark.parametrize("zone", CHANGES)
@pytest.mark.parametrize(("change", "hours"), [(None, 8.5), (0, 7.5), (1, 9.5)])
def test_a_night_begins_and_ends_by_the_clock_on_the_wall(
    zone: str, change: int | None, hours: float
):
    day = "2026-06-15" if change is None else CHANGES[zone][change]
    minutes = quiet_minutes(QuietHours(*NIGHT, zone), day)
    assert walls(minutes) == ("22:00", "06:30")
    assert len(minutes) == hours * 60
    assert stretches(minutes) == 1


@pytest.mark.parametrize("zone", CHANGES)
def test_where_an_hour_comes_twice_there_is_one_beginning_and_one_end(zone: str):
    first = time(1, 30) if zone == "America/New_York" else time(2, 30)
    day = CHANGES[zone][1]
    ending = quiet_minutes(QuietHours(time(22), first, zone), day)
    beginning = quiet_minutes(QuietHours(first, time(6), zone), day)
    assert stretches(ending) == stretches(beginning) == 1
    # The first of the two half hours: from 22:00 as many hours as on any day, from then one more.
    assert len(ending) == (first.hour + 2) * 60 + 30
    assert len(beginning) == (6 - first.hour) * 60 + 30
    assert ending[-1].fold == beginning[0].fold == 0


@pytest.mark.parametrize("zone", CHANGES)
def test_where_an_hour_is_left_out_what_falls_into_it_is_the_change(zone: str):
    day = CHANGES[zone][0]
    beginning = quiet_minutes(QuietHours(time(2, 30), time(6), zone), day)
    ending = quiet_minutes(QuietHours(time(22), time(2, 30), zone), day)
    assert walls(beginning) == ("03:00", "06:00")
    assert walls(ending) == ("22:00", "03:00")
    assert len(ending) == 4 * 60


def test_hours_within_a_day_do_not_cross_midnight():
    noon = QuietHours(time(12, 30), time(14), "Asia/Kolkata")
    zone = ZoneInfo("Asia/Kolkata")
    for hour, minute, quiet in ((12, 29, False), (12, 30, True), (13, 59, True), (14, 0, False)):
        moment = datetime(2026, 5, 5, hour, minute, tzinfo=zone)
        assert noon.cover(moment.timestamp()) is quiet


def make_alert(hour: int, state: str = "raised", rule: str = "crying") -> Alert:
    moment = f"2026-06-15T{hour:02d}:00:00.000+00:00"
    return receivers.make_alert(time=moment, state=state, rule=rule)


QUIET = QuietHours(time(22), time(6), "UTC", sinks=("log",))


def test_in_quiet_hours_alerts_go_elsewhere_or_nowhere():
    router = AlertRouter(["log", "phone"], {}, QUIET)
    assert router.sinks(make_alert(23)) == ("log",)
    assert router.sinks(make_alert(12)) == ("log", "phone")
    muted = AlertRouter(["log", "phone"], {}, QuietHours(time(22), time(6), "UTC"))
    assert muted.sinks(make_alert(23)) == ()


def test_a_rule_has_its_own_sinks():
    router = AlertRouter(["log", "phone"], {"total": ["log"], "crying": []})
    assert router.sinks(make_alert(12, rule="total")) == ("log",)
    assert router.sinks(make_alert(12, rule="crying")) == ("log", "phone")


def test_an_alert_is_cleared_where_it_was_raised():
    router = AlertRouter(["log", "phone"], {}, QUIET)
    router.sinks(make_alert(21))
    assert router.sinks(make_alert(23, "cleared")) == ("log", "phone")
    router.sinks(make_alert(5))
    assert router.sinks(make_alert(7, "cleared")) == ("log",)
