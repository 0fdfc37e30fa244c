"""Alerts: when they are raised and cleared, and what no clock and no gap may do to them."""

from __future__ import annotations

import dataclasses
import math
import random
import re
import sys
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryvision.monitor.alerting.alerts import (
    FAULT_KINDS,
    MAX_STEP_S,
    Alert,
    AlertMonitor,
    FaultRule,
)
from cryvision.monitor.alerting.crying_rules import SustainedCrying, TotalCrying

START = 1_760_000_000.0
STEP = 0.25
"""Four observations a second."""

SUSTAINED = SustainedCrying("crying", after_s=10, hold_s=3, release_s=20, rearm_s=30)
TOTAL = TotalCrying("total", crying_minutes=1, within_minutes=3, release_s=20, rearm_s=30)

Stretch = tuple[float, bool | None]
"""Seconds, and what holds in them."""


def steps(stretches: list[Stretch]) -> list[tuple[float, bool | None]]:
    """Observations four times a second; the first one only starts the clock."""
    observations: list[tuple[float, bool | None]] = [(START, None)]
    for seconds, crying in stretches:
        for _ in range(round(seconds / STEP)):
            observations.append((observations[-1][0] + STEP, crying))
    return observations


def alerts_of(
    observations: list[tuple[float, bool | None]], *rules: SustainedCrying | TotalCrying
) -> list[Alert]:
    monitor = AlertMonitor("nursery", rules)
    return [alert for time, crying in observations for alert in monitor.update(time, crying)]


def shown(alerts: list[Alert]) -> list[tuple[str, str, float]]:
    """Rule, state and seconds since the start."""
    return [(a.rule, a.state, datetime.fromisoformat(a.time).timestamp() - START) for a in alerts]


def without_ids(alerts: list[Alert]) -> list[Alert]:
    return [dataclasses.replace(alert, id="") for alert in alerts]


def test_likely_crying_counts_where_it_lasts_and_not_in_a_total():
    monitor = AlertMonitor("nursery", [SUSTAINED, TOTAL])
    likely = [(k * STEP, 20 <= k * STEP < 100) for k in range(round(200 / STEP))]
    alerts = [a for at, is_likely in likely for a in monitor.update(START + at, False, is_likely)]
    assert [(a.rule, a.state) for a in alerts] == [("crying", "raised"), ("crying", "cleared")]
    assert shown(alerts)[0][2] == pytest.approx(30, abs=STEP)
    known = AlertMonitor("nursery", [SUSTAINED])
    assert [a for at, _ in likely for a in known.update(START + at, None, True)] == []


def test_crying_is_raised_when_it_lasted_and_cleared_after_calm():
    alerts = alerts_of(steps([(5, False), (30, True), (60, False)]), SUSTAINED)
    assert shown(alerts) == [("crying", "raised", 15), ("crying", "cleared", 55)]
    raised, cleared = alerts
    assert raised.message == "nursery: crying for 10 s"
    assert cleared.message == "nursery: calm for 20 s, after crying for 30 s"
    assert (raised.seconds, cleared.seconds) == (10, 30)
    for alert in alerts:
        assert re.fullmatch("[0-9a-f]{32}", alert.id)
        assert alert.crying_since is not None
        assert datetime.fromisoformat(alert.crying_since).timestamp() == START + 5
        assert Alert.from_json(alert.to_json()) == alert
    assert raised.id != cleared.id


def test_short_pauses_are_bridged_and_longer_ones_begin_anew():
    bridged = [(4.0, True), (2.75, False)] * 4
    assert shown(alerts_of(steps(bridged), SUSTAINED)) == [("crying", "raised", 10)]
    parted = [(4.0, True), (3.0, False)] * 20
    assert alerts_of(steps(parted), SUSTAINED) == []


def test_the_time_is_never_up_in_a_pause():
    alerts = alerts_of(steps([(9, True), (2, False), (1, True)]), SUSTAINED)
    assert shown(alerts) == [("crying", "raised", 11)]


def test_without_bridging_every_pause_begins_anew():
    rule = dataclasses.replace(SUSTAINED, hold_s=0)
    assert shown(alerts_of(steps([(11, True)]), rule)) == [("crying", "raised", 10)]
    assert alerts_of(steps([(9, True), (0.25, False), (9, True)]), rule) == []


def test_the_next_alert_needs_calm_first():
    hour = [(20.0, True), (25.0, False)] * 80
    assert [state for _, state, _ in shown(alerts_of(steps(hour), SUSTAINED))] == [
        "raised",
        "cleared",
    ]
    calm = [(20.0, True), (30.0, False)] * 80
    assert len(alerts_of(steps(calm), SUSTAINED)) == 160


def test_minutes_within_minutes_count_crying_in_pieces():
    pieces = [(10.0, True), (20.0, False)] * 6
    alerts = alerts_of(steps([*pieces, (200, False)]), TOTAL)
    # The sixth piece ends at 160 s. The window of 180 s begins to lose crying at 180 s.
    assert shown(alerts) == [("total", "raised", 160), ("total", "cleared", 180)]
    assert alerts[0].message == "nursery: 1 min of crying within 3 min"
    sparse = [(10.0, True), (30.0, False)] * 40
    assert alerts_of(steps(sparse), TOTAL) == []


def test_unknown_time_is_neither_crying_nor_calm():
    lost = (3600.0, None)
    halves = alerts_of(steps([(6, True), lost, (4, True)]), SUSTAINED)
    assert shown(halves) == [("crying", "raised", 3610)]
    assert alerts_of(steps([(6, True), lost]), SUSTAINED, TOTAL) == []
    still = AlertMonitor("nursery", [SUSTAINED])
    for time, crying in steps([(12, True), lost]):
        still.update(time, crying)
    assert still.crying_raised


def test_a_gap_without_observations_is_unknown_time():
    monitor = AlertMonitor("nursery", [SUSTAINED])
    monitor.update(START, True)
    assert monitor.update(START + MAX_STEP_S + 9, True) == []
    assert not monitor.crying_raised


@pytest.mark.parametrize("jump_s", [-3600.0, -1.0, 3600.0])
def test_a_clock_that_jumps_raises_nothing_and_loses_nothing(jump_s: float):
    before = steps([(8, True)])
    after = [(time + jump_s, crying) for time, crying in steps([(60, True), (60, False)])]
    after = [(time + 8, crying) for time, crying in after]
    calm = [(time, False) for time, _ in before]
    assert alerts_of([*calm, *[(time, False) for time, _ in after]], SUSTAINED, TOTAL) == []
    states = [a.state for a in alerts_of([*before, *after], SUSTAINED)]
    assert states == ["raised", "cleared"]
    # The step in which the clock jumped counts for nothing: at most one step is missing.
    *_, last = [a for a in alerts_of([*before, *after], SUSTAINED) if a.state == "cleared"]
    assert 68 - STEP <= last.seconds <= 68


def test_a_clock_that_goes_back_and_forth_for_ever_raises_nothing():
    monitor = AlertMonitor("nursery", [SUSTAINED, TOTAL])
    for _ in range(10_000):
        assert monitor.update(START + 5, True) == []
        assert monitor.update(START, True) == []


stretches = st.lists(
    st.tuples(
        st.integers(1, 80).map(lambda steps: steps * STEP), st.sampled_from([True, False, None])
    ),
    min_size=1,
    max_size=15,
)
rules = st.builds(
    SustainedCrying,
    name=st.just("crying"),
    after_s=st.sampled_from([0, 0.3, 5, 17.1]),
    hold_s=st.sampled_from([0, 0.6, 4]),
    release_s=st.sampled_from([0.1, 3, 11.5]),
    rearm_s=st.sampled_from([0, 2, 12.5]),
) | st.builds(
    TotalCrying,
    name=st.just("total"),
    crying_minutes=st.sampled_from([0.01, 0.2, 0.5]),
    within_minutes=st.sampled_from([0.5, 1.3]),
    release_s=st.sampled_from([0.1, 3, 11.5]),
    rearm_s=st.sampled_from([0, 2, 12.5]),
)


@settings(deadline=None)  # a busy machine is no fault of the rules
@given(stretches, rules)
def test_raised_and_cleared_alternate(stretches: list[Stretch], rule: SustainedCrying):
    states = [alert.state for alert in alerts_of(steps(stretches), rule)]
    assert states == ["raised", "cleared"] * (len(states) // 2) + ["raised"] * (len(states) % 2)


@settings(deadline=None)  # a busy machine is no fault of the rules
@given(stretches, rules, st.integers(0, 1000))
def test_alerts_are_the_same_however_often_the_source_is_observed(
    stretches: list[Stretch], rule: SustainedCrying, seed: int
):
    every, chance = steps(stretches), random.Random(seed)
    some = [every[0]]
    for (time, crying), after in zip(every[1:], [*every[2:], None], strict=True):
        changes = after is None or after[1] is not crying
        if changes or time + STEP - some[-1][0] > MAX_STEP_S or chance.random() < 0.3:
            some.append((time, crying))
    assert without_ids(alerts_of(some, rule)) == without_ids(alerts_of(every, rule))


@settings(deadline=None)  # a busy machine is no fault of the rules
@given(stretches, rules, st.lists(st.floats(-7200, 7200), max_size=15))
def test_whatever_the_clock_does_alerts_alternate_and_need_crying(
    stretches: list[Stretch], rule: SustainedCrying, jumps: list[float]
):
    observations: list[tuple[float, bool | None]] = []
    for i, stretch in enumerate(stretches):
        shift = jumps[i] if i < len(jumps) else 0.0
        observations += [(time + shift, crying) for time, crying in steps([stretch])]
    states = [alert.state for alert in alerts_of(observations, rule)]
    assert states[::2] == ["raised"] * math.ceil(len(states) / 2)
    assert states[1::2] == ["cleared"] * (len(states) // 2)
    if not any(crying for _, crying in observations):
        assert states == []


def test_a_fault_that_lasts_is_raised_once_and_cleared_when_it_ends():
    monitor = AlertMonitor("nursery", [FaultRule(after_s=60)])
    monitor.update(START, False)
    assert monitor.fault(START + 1, "lost", "connection refused") == []
    alerts = [a for i in range(2, 90) for a in monitor.update(START + i, None)]
    assert shown(alerts) == [("source", "raised", 61)]
    assert alerts[0].message == "nursery: lost for 60 s: connection refused"
    assert (alerts[0].kind, alerts[0].crying_since) == ("fault", None)
    assert monitor.fault_raised
    assert not monitor.crying_raised
    ended = monitor.fault(START + 91, "recovered", ended="lost")
    assert shown(ended) == [("source", "cleared", 91)]
    assert ended[0].message == "nursery: recovered after 90 s"
    assert monitor.fault(START + 92, "recovered", ended="lost") == []


def test_the_end_of_another_fault_does_not_end_the_alert_of_a_muted_microphone():
    monitor = AlertMonitor("nursery", [FaultRule(after_s=60)])
    monitor.fault(START, "silent", "all samples have been 0")
    monitor.fault(START + 10, "frozen", "the picture has not changed")
    alerts = [a for i in range(11, 90) for a in monitor.update(START + i, None)]
    assert [a.message for a in alerts] == ["nursery: silent for 60 s: all samples have been 0"]
    for i, kind in enumerate(("clock", "slow", "frozen"), 90):
        assert monitor.fault(START + i, "recovered", ended=kind) == []
    assert monitor.fault_raised
    ended = monitor.fault(START + 100, "recovered", ended="silent")
    assert [a.message for a in ended] == ["nursery: recovered after 100 s"]


@pytest.mark.parametrize("kind", ["clock", "slow"])
def test_faults_that_lose_no_sound_raise_nothing(kind: str):
    monitor = AlertMonitor("nursery", [FaultRule(after_s=60)])
    monitor.fault(START, kind, "")
    assert [a for i in range(1, 200) for a in monitor.update(START + i, False)] == []


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_a_short_fault_raises_nothing(kind: str):
    monitor = AlertMonitor("nursery", [FaultRule(after_s=60)])
    for i in range(0, 3000, 59):
        assert monitor.fault(START + i, kind, "") == []
        assert monitor.fault(START + i + 58, "recovered", ended=kind) == []


def test_a_fault_of_an_unobserved_source_is_still_raised_at_its_time():
    monitor = AlertMonitor("nursery", [FaultRule(after_s=60)])
    monitor.fault(START, "lost", "")
    assert shown(monitor.update(START + 3600, None)) == [("source", "raised", 60)]


def test_memory_does_not_grow_with_time():
    monitor = AlertMonitor("nursery", [SUSTAINED, TOTAL])
    total = monitor._crying[1]
    largest = 0
    for i in range(40_000):
        monitor.update(START + i * STEP, i % 2 == 0)
        largest = max(largest, len(total._seconds))
    assert largest <= TOTAL.within_minutes * 60
    assert sys.getsizeof(total._seconds) < 10_000
