"""Health checks and Prometheus metrics, asked over HTTP as others ask them."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from cryvision.errors import CryvisionError
from cryvision.inference.state import StreamState
from cryvision.monitor import health as monitored
from cryvision.monitor.alerting.alerts import Alert
from cryvision.monitor.health import Health, HealthServer
from cryvision.monitor.session import Observation, TimedEvent
from cryvision.monitor.sources.source import Piece, SourceFault
from cryvision.result import Event

NOW = 1_700_000_000.0
QUOTED = 'a "room"\n'

STATE = StreamState(5.0, True, 1.0, 0.97, -21.5, 18.0)
HEARD = Observation(
    QUOTED,
    NOW,
    STATE,
    True,
    NOW - 4,
    piece=Piece(np.zeros(1600, np.float32), None, None, NOW),
    start=NOW - 5,
)


class Clock:
    """Stands in for the module time: wall time, and seconds that no setting of it changes."""

    wall_s = steady_s = NOW

    def time(self) -> float:
        return self.wall_s

    def monotonic(self) -> float:
        return self.steady_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(monitored, "time", clock)
    return clock


@pytest.fixture
def health(clock: Clock) -> Health:
    return Health([QUOTED, "quiet"])


@pytest.fixture
def server(health: Health) -> Iterator[HealthServer]:
    server = HealthServer(health, 0)
    yield server
    server.close()


def get(server: HealthServer, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=5) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def values(server: HealthServer) -> dict[str, float]:
    status, text = get(server, "/metrics")
    assert status == 200
    line = re.compile(r'^(\w+\{(?:\w+="(?:[^"\\\n]|\\.)*",?)*\}) (\S+)$')
    rows = [row for row in text.splitlines() if not row.startswith("#")]
    matches = [line.match(row) for row in rows]
    assert all(matches)
    return {match[1]: float(match[2]) for match in matches if match}


def test_what_is_observed_is_in_the_metrics(health: Health, server: HealthServer) -> None:
    event = Event(1.0, 31.0, "cry", 0.9, -20.0, 20.0)
    health.observe(replace(HEARD, events=(TimedEvent(event, NOW - 30, NOW),)))
    health.note(Alert("0", "crying", "quiet", "raised", "crying", "", None, 10.0, "crying"))
    found = values(server)
    room = r'{source="a \"room\"\n"}'
    assert found[f"cryvision_crying{room}"] == 1
    assert found[f"cryvision_probability{room}"] == pytest.approx(0.97)
    assert found[f"cryvision_level_dbfs{room}"] == pytest.approx(-21.5)
    assert found[f"cryvision_crying_minutes_today{room}"] == pytest.approx(0.5)
    assert found[f"cryvision_events_total{room}"] == 1
    assert found['cryvision_alerts_total{source="quiet",rule="crying"}'] == 1
    assert 'cryvision_crying{source="quiet"}' not in found


def test_minutes_begin_anew_at_midnight(health: Health, clock: Clock) -> None:
    event = Event(1.0, 31.0, "cry", 0.9, -20.0, 20.0)
    health.observe(replace(HEARD, events=(TimedEvent(event, NOW - 30, NOW),)))
    clock.wall_s += 24 * 3600
    assert health.minutes_today(QUOTED) == 0


def test_of_crying_over_midnight_the_minutes_after_it_count(health: Health, clock: Clock) -> None:
    midnight = datetime.fromtimestamp(NOW).replace(hour=0, minute=0, second=0).timestamp()
    event = Event(1.0, 91.9, "cry", 0.9, -20.0, 20.0)
    over = TimedEvent(event, midnight - 60, midnight + 30.9)
    health.observe(replace(HEARD, events=(over,)))
    assert health.minutes_today(QUOTED) == pytest.approx(30.9 / 60)


def test_a_source_that_gives_nothing_is_not_healthy(
    health: Health, server: HealthServer, clock: Clock
) -> None:
    assert get(server, "/healthz")[0] == 200
    clock.steady_s += 20
    health.observe(HEARD)
    status, text = get(server, "/healthz")
    sources = json.loads(text)["sources"]
    assert status == 503
    assert sources[QUOTED]["seconds_since_sound"] == 0
    assert sources["quiet"]["seconds_since_sound"] == 20


def test_a_fault_is_not_healthy_until_it_ends(health: Health, server: HealthServer) -> None:
    health.observe(replace(HEARD, fault=SourceFault("frozen", "it stands still", NOW)))
    status, text = get(server, "/healthz")
    assert (status, json.loads(text)["sources"][QUOTED]["faults"]) == (503, ["frozen"])
    over = SourceFault("recovered", "it moves", NOW, ended="frozen")
    health.observe(replace(HEARD, fault=over))
    assert get(server, "/healthz")[0] == 200
    assert values(server)[r'cryvision_faults_total{source="a \"room\"\n",kind="frozen"}'] == 1


def test_nothing_else_is_served_and_only_here(server: HealthServer) -> None:
    assert get(server, "/")[0] == 404
    assert server._server.server_address[0] == "127.0.0.1"


def test_a_port_that_is_taken_is_one_line(health: Health, server: HealthServer) -> None:
    with pytest.raises(
        CryvisionError, match=rf"must be free on 127\.0\.0\.1; {server.port} is not"
    ):
        HealthServer(health, server.port)


@pytest.mark.parametrize("jump_s", [-3600.0, 3600.0])
def test_a_clock_that_is_set_neither_hides_nor_makes_a_silence(jump_s: float, clock: Clock) -> None:
    health = Health([QUOTED])
    health.observe(HEARD)
    clock.wall_s += jump_s
    assert health.report()[0]
    clock.steady_s += 60
    well, report = health.report()
    assert not well
    assert report["sources"][QUOTED]["seconds_since_sound"] == 60
