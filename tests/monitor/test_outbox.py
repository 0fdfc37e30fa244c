"""The outbox: nothing is lost, whatever becomes of the receiver, the process or the disk."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from pages import ROOT
from receivers import make_alert, web_receiver
from waiting import until

from cryvision.errors import CryvisionError
from cryvision.monitor.alerting import outbox as outboxes
from cryvision.monitor.alerting import outbox_file
from cryvision.monitor.alerting.alerts import Alert, DeliveryError
from cryvision.monitor.alerting.outbox import LONGEST_RETRY_AFTER_S, MOST_ATTEMPTS, Outbox, wait_s
from cryvision.monitor.sinks.http import Webhook

PATIENCE_S = 30.0
"""Longest wait for what takes milliseconds on a free machine."""

HERE = Path(__file__).parent
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(map(str, (ROOT, HERE, HERE.parent))),
}
"""Of processes that the tests start."""


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    set_waits(monkeypatch, 0.001, 0.02, most_attempts=100_000)


def set_waits(
    monkeypatch: pytest.MonkeyPatch, first_s: float, longest_s: float, most_attempts: int
) -> None:
    monkeypatch.setattr(outboxes, "FIRST_WAIT_S", first_s)
    monkeypatch.setattr(outboxes, "LONGEST_WAIT_S", longest_s)
    monkeypatch.setattr(outboxes, "MOST_ATTEMPTS", most_attempts)


class Receiver:
    """A sink that keeps what it gets, and fails as long as ``error`` is set."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.alerts: list[Alert] = []
        self.attempts = 0

    def deliver(self, alert: Alert) -> None:
        self.attempts += 1
        if self.error is not None:
            raise self.error
        self.alerts.append(alert)

    def close(self) -> None:
        pass


def rows(path: Path) -> list[tuple[str, str, str]]:
    """Sink, state and error of each delivery, once the file is closed."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT sink, state, error FROM delivery").fetchall()


def test_alerts_arrive_in_order_at_each_of_their_sinks(tmp_path: Path):
    one, other = Receiver(), Receiver()
    outbox = Outbox(tmp_path / "outbox", {"one": one, "other": other})
    alerts = [make_alert() for _ in range(20)]
    for i, alert in enumerate(alerts):
        outbox.put(alert, ["one", "other"] if i % 2 else ["one"])
    outbox.close(PATIENCE_S)
    assert one.alerts == alerts
    assert other.alerts == alerts[1::2]
    assert {state for _, state, _ in rows(tmp_path / "outbox")} == {"delivered"}


def test_a_receiver_that_was_away_gets_everything_once_and_in_order(tmp_path: Path):
    with web_receiver() as receiver:
        port = receiver.port
    hook = Webhook("hook", f"http://127.0.0.1:{port}", timeout_s=5)
    outbox = Outbox(tmp_path / "outbox", {"hook": hook})
    alerts = [make_alert() for _ in range(10)]
    for alert in alerts:
        outbox.put(alert, ["hook"])
    time.sleep(0.1)
    assert outbox.pending == {"hook": 10}
    with web_receiver(port) as receiver:
        outbox.close(PATIENCE_S)
        assert receiver.ids == [alert.id for alert in alerts]


def test_a_sink_that_is_away_holds_up_no_other(tmp_path: Path):
    away, there = Receiver(DeliveryError("away")), Receiver()
    outbox = Outbox(None, {"away": away, "there": there})
    for _ in range(5):
        outbox.put(make_alert(), ["away", "there"])
    until(lambda: len(there.alerts) == 5)
    assert outbox.pending == {"away": 5, "there": 0}
    outbox.close()


def test_putting_waits_for_no_receiver():
    class Slow(Receiver):
        def deliver(self, alert: Alert) -> None:
            go.wait(PATIENCE_S)
            super().deliver(alert)

    go = threading.Event()
    slow = Slow()
    outbox = Outbox(None, {"slow": slow})
    began = time.monotonic()
    for _ in range(100):
        outbox.put(make_alert(), ["slow"])
    assert time.monotonic() - began < PATIENCE_S / 2
    go.set()
    outbox.close(PATIENCE_S)
    assert len(slow.alerts) == 100


def test_a_refusal_for_good_is_not_tried_again_and_holds_nothing_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    class Picky(Receiver):
        def deliver(self, alert: Alert) -> None:
            self.error = DeliveryError("answered 404", retry=False) if alert == bad else None
            super().deliver(alert)

    bad, good = make_alert(), make_alert()
    picky = Picky()
    outbox = Outbox(tmp_path / "outbox", {"picky": picky})
    outbox.put(bad, ["picky"])
    outbox.put(good, ["picky"])
    outbox.close(PATIENCE_S)
    assert (picky.alerts, picky.attempts) == ([good], 2)
    assert rows(tmp_path / "outbox") == [
        ("picky", "dead", "answered 404"),
        ("picky", "delivered", ""),
    ]
    assert f"picky: alert {bad.id} is given up: answered 404" in caplog.text


def test_attempts_end_at_the_stated_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    set_waits(monkeypatch, 0.001, 0.002, most_attempts=7)
    away = Receiver(DeliveryError("away"))
    outbox = Outbox(tmp_path / "outbox", {"away": away})
    outbox.put(make_alert(), ["away"])
    outbox.close(PATIENCE_S)
    assert away.attempts == 7
    assert rows(tmp_path / "outbox") == [("away", "dead", "away")]


def test_waits_double_up_to_the_longest_and_differ(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.undo()
    for attempts in range(1, 2000):
        longest = min(300, 2 ** (attempts - 1))
        waits = {wait_s(attempts) for _ in range(3)}
        assert len(waits) > 1
        assert all(longest / 2 <= wait <= longest for wait in waits)
    # What the documentation says: about a day.
    assert 18 < sum(wait_s(i) for i in range(1, MOST_ATTEMPTS)) / 3600 < 36


def test_a_receiver_is_left_alone_as_long_as_it_asks_but_not_for_ever():
    busy = Receiver(DeliveryError("answered 429", retry_after_s=0.3))
    outbox = Outbox(None, {"busy": busy})
    outbox.put(make_alert(), ["busy"])
    until(lambda: busy.attempts == 1)
    time.sleep(0.15)
    assert busy.attempts == 1
    until(lambda: busy.attempts >= 2)
    assert LONGEST_RETRY_AFTER_S == 3600
    outbox.close()


def test_an_unexpected_error_is_tried_again_and_its_text_kept_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    odd = Receiver(ValueError("password hunter2"))
    outbox = Outbox(tmp_path / "outbox", {"odd": odd})
    outbox.put(make_alert(), ["odd"])
    until(lambda: odd.attempts > 3)
    odd.error = None
    outbox.close(PATIENCE_S)
    assert len(odd.alerts) == 1
    assert "ValueError" in caplog.text
    assert "hunter2" not in caplog.text


def test_what_waits_is_delivered_by_the_next_process(tmp_path: Path):
    path = tmp_path / "made" / "outbox"
    outbox = Outbox(path, {"sink": Receiver(DeliveryError("away"))})
    alerts = [make_alert() for _ in range(5)]
    for alert in alerts:
        outbox.put(alert, ["sink"])
    outbox.close()
    sink = Receiver()
    outbox = Outbox(path, {"sink": sink})
    outbox.close(PATIENCE_S)
    assert sink.alerts == alerts
    if os.name == "posix":
        assert path.stat().st_mode & 0o077 == 0


def test_what_waits_for_a_sink_that_is_gone_is_given_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    outbox = Outbox(tmp_path / "outbox", {"old": Receiver(DeliveryError("away"))})
    outbox.put(make_alert(), ["old"])
    outbox.close()
    Outbox(tmp_path / "outbox", {"new": Receiver()}).close()
    assert rows(tmp_path / "outbox") == [("old", "dead", "the sink no longer exists")]
    assert "no sink old" in caplog.text


def test_a_second_process_is_refused(tmp_path: Path):
    outbox = Outbox(tmp_path / "outbox", {})
    with pytest.raises(CryvisionError, match="outbox: an outbox is for one process"):
        Outbox(tmp_path / "outbox", {})
    outbox.close()


def test_alerts_of_another_version_are_no_obstacle(tmp_path: Path):
    path = tmp_path / "outbox"
    outbox = Outbox(path, {"sink": Receiver(DeliveryError("away"))})
    outbox.put(make_alert(), ["sink"])
    outbox.close()
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE delivery SET body = json_set(body, '$.colour', 'red')")
    connection.close()
    sink = Receiver()
    outbox = Outbox(path, {"sink": sink})
    new = make_alert()
    outbox.put(new, ["sink"])
    outbox.close(PATIENCE_S)
    assert sink.alerts == [new]


def test_a_damaged_file_is_put_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = tmp_path / "outbox"
    path.write_bytes(b"no database" * 1000)
    sink = Receiver()
    outbox = Outbox(path, {"sink": sink})
    outbox.put(make_alert(), ["sink"])
    outbox.close(PATIENCE_S)
    assert len(sink.alerts) == 1
    assert path.with_name("outbox.damaged").read_bytes().startswith(b"no database")
    assert "is damaged" in caplog.text


def test_the_file_and_the_queue_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cryvision.monitor.alerting.outbox.MAX_PENDING", 20)
    monkeypatch.setattr(outbox_file, "KEPT_FINISHED", 30)
    set_waits(monkeypatch, 60, 60, most_attempts=400)
    away = Receiver(DeliveryError("away"))
    outbox = Outbox(tmp_path / "outbox", {"away": away})
    alerts = [make_alert() for _ in range(100)]
    for alert in alerts:
        outbox.put(alert, ["away"])
    assert outbox.pending == {"away": 20}
    outbox.close()
    states = [state for _, state, _ in rows(tmp_path / "outbox")]
    assert states.count("pending") == 20
    assert states.count("dead") <= 30
    set_waits(monkeypatch, 0.001, 0.02, most_attempts=400)
    sink = Receiver()
    outbox = Outbox(tmp_path / "outbox", {"away": sink})
    outbox.close(PATIENCE_S)
    # The first was under way; of the others the newest are left.
    assert sink.alerts == [alerts[0], *alerts[-19:]]


def test_an_alert_stays_raised_however_many_of_another_source_follow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(outbox_file, "KEPT_FINISHED", 5)
    outbox = Outbox(tmp_path / "outbox", {"sink": Receiver()})
    raised = make_alert(source="attic")
    for alert in [raised, *(make_alert(source="nursery", state="cleared") for _ in range(20))]:
        outbox.put(alert, ["sink"])
    outbox.close(PATIENCE_S)
    assert len(rows(tmp_path / "outbox")) <= 5 + 1
    again = Outbox(tmp_path / "outbox", {"sink": Receiver()})
    assert again.raised == {raised: ["sink"]}
    again.close()


FULL_DISK = """
import resource, sys, time
from pathlib import Path
from receivers import make_alert
from cryvision.monitor.alerting import outbox as outboxes
import logging; logging.basicConfig(format="%(message)s")

class Sink:
    got = []
    def deliver(self, alert): self.got.append(alert.id)
    def close(self): pass

path = Path(sys.argv[1])
outboxes.FIRST_WAIT_S, outboxes.LONGEST_WAIT_S = 0.001, 0.01
outbox = outboxes.Outbox(path, {"sink": Sink()})
put = []
def several():
    for _ in range(20):
        put.append(make_alert(message="x" * 5000))
        outbox.put(put[-1], ["sink"])
several()
free = resource.getrlimit(resource.RLIMIT_FSIZE)
full = path.with_name(path.name + "-wal").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (full, free[1]))
several()
resource.setrlimit(resource.RLIMIT_FSIZE, free)
several()
outbox.close(30)
assert Sink.got == [alert.id for alert in put]
"""


@pytest.mark.skipif(os.name != "posix", reason="files are limited in size on POSIX only")
def test_with_a_full_disk_alerts_go_on_in_memory_and_come_back_to_disk(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "outbox")],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    cannot, can = done.stderr.splitlines()
    assert "cannot be written" in cannot
    assert "alerts are kept in memory" in cannot
    assert can.endswith("can be written again")
    states = [state for _, state, _ in rows(tmp_path / "outbox")]
    assert states == ["delivered"] * 60


def test_a_folder_that_cannot_be_written_stops_no_alert(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    (tmp_path / "file").write_text("")
    sink = Receiver()
    outbox = Outbox(tmp_path / "file" / "outbox", {"sink": sink})
    outbox.put(make_alert(), ["sink"])
    outbox.close(PATIENCE_S)
    assert len(sink.alerts) == 1
    assert caplog.text.count("cannot be written") == 1


def kill_while_delivering(path: Path, kills: int) -> None:
    """Kill the process again and again; what it took must have arrived in the end."""
    chance = random.Random(kills)
    taken: list[str] = []
    with web_receiver() as receiver:
        # Some attempts fail, so that kills meet retries too.
        receiver.answer = lambda request: (200 if chance.random() < 0.7 else 500, {})
        for _ in range(kills):
            with subprocess.Popen(
                [
                    sys.executable,
                    "-S",
                    HERE / "outbox_process.py",
                    path,
                    receiver.url,
                    str(len(taken)),
                ],
                env=ENVIRONMENT,
                stdout=subprocess.PIPE,
                text=True,
            ) as process:
                assert process.stdout is not None
                first = process.stdout.readline()
                time.sleep(chance.uniform(0, 0.15))
                process.kill()
                lines = (first + process.stdout.read()).split("\n")
                # The last line may be half of one; then the next process takes its number again.
                taken += [line for line in lines if len(line) == 32]
        receiver.answer = lambda request: (200, {})
        outbox = Outbox(path, {"hook": Webhook("hook", receiver.url)})
        outbox.close(PATIENCE_S)
        arrived = receiver.ids
    assert len(taken) >= kills
    assert set(taken) - set(arrived) == set()


def test_nothing_is_lost_when_the_process_is_killed_while_delivering(tmp_path: Path):
    kill_while_delivering(tmp_path / "outbox", kills=3)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_nothing_is_lost_in_two_hundred_kills(tmp_path: Path):
    kill_while_delivering(tmp_path / "outbox", kills=200)


def test_the_log_has_a_line_when_an_alert_waits(caplog: pytest.LogCaptureFixture):
    away = Receiver(DeliveryError("there was no way"))
    outbox = Outbox(None, {"away": away})
    with caplog.at_level(logging.WARNING):
        outbox.put(make_alert(), ["away"])
        until(lambda: away.attempts > 5)
    outbox.close()
    assert [r.getMessage() for r in caplog.records] == ["away: an alert waits: there was no way"]
