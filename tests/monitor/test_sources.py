"""A live source loses no sound, drops pictures when the reader is slow, and says so."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Iterable, Iterator

import leftovers
import numpy as np
import pytest
from listening import faults, kinds, read_until, seconds, set_waits, sound
from waiting import comes_true

from cryvision.config import SAMPLE_RATE_HZ
from cryvision.monitor.sources import source as sources
from cryvision.monitor.sources.pictures import Pictures
from cryvision.monitor.sources.source import Backoff, DisconnectedError, LiveSource, Piece

BLOCK = SAMPLE_RATE_HZ // 10


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    set_waits(monkeypatch, stall=1.0, first_retry=0.01, longest_retry=0.05, slow=2.0)


class Script:
    """A connection that gives what an iterator gives, blocks of sound or exceptions, or nothing."""

    def __init__(self, steps: Iterable[np.ndarray | Exception] | None) -> None:
        self._steps = steps
        self._ended = threading.Event()
        self.closed = False

    def blocks(self) -> Iterator[tuple[np.ndarray, float]]:
        if self._steps is None:
            self._ended.wait()
        for step in self._steps or ():
            if isinstance(step, Exception):
                raise step
            yield step, time.time()

    def end(self) -> None:
        self._ended.set()

    def close(self) -> None:
        self.closed = True


class Scripted(LiveSource):
    """A source whose connections are scripts, one after the other."""

    def __init__(self, *scripts, pictures: Pictures | None = None) -> None:
        super().__init__("made up", pictures)
        self._scripts = iter(scripts)
        self.connections: list[Script] = []

    def connect(self) -> Script:
        self.connections.append(Script(next(self._scripts)))
        return self.connections[-1]


class Painted(Pictures):
    """Gives numbered pictures, as fast as they are taken."""

    def frames(self, over: threading.Event):
        k = 0
        while not over.wait(0.002):
            yield np.full((2, 2, 3), k % 256, np.uint8)
            k += 1

    def end(self) -> None:
        pass


def numbered(n_blocks: int, pause_s: float = 0.0) -> Iterator[np.ndarray]:
    """Sound in which each sample tells its place."""
    for k in range(n_blocks):
        time.sleep(pause_s)
        yield np.arange(k * BLOCK, (k + 1) * BLOCK, dtype=np.float32)


def for_ever() -> Iterator[np.ndarray]:
    while True:
        yield from numbered(1, 0.02)


def test_sound_comes_in_order_and_whole_however_slow_the_reader_is() -> None:
    n_blocks = 200
    source = Scripted([*numbered(n_blocks)], for_ever(), pictures=Painted("painted"))
    items, stop = [], threading.Event()
    for item in source.pieces(stop):
        if not items:
            time.sleep(0.5)
        items.append(item)
        if any(fault.ended == "slow" for fault in faults(items)):
            stop.set()
    samples = sound(items)[: n_blocks * BLOCK]
    np.testing.assert_array_equal(samples, np.arange(n_blocks * BLOCK, dtype=np.float32))
    slow, recovered = [f for f in faults(items) if "slow" in (f.kind, f.ended)]
    assert (slow.kind, recovered.kind) == ("slow", "recovered")
    assert not slow.restart
    assert not recovered.restart
    assert "of sound wait to be classified" in slow.message
    assert "% of the pictures were dropped" in recovered.message


def test_a_reader_that_keeps_up_loses_no_picture_to_slowness() -> None:
    source = Scripted(numbered(50, 0.01), pictures=Painted("painted"))
    items = read_until(source, seconds(4.9))
    shown = [i for i in items if isinstance(i, Piece) and i.frame is not None]
    assert not faults(items)
    assert len(shown) > 30
    times = [p.frame_time_s for p in shown]
    assert all(a < b for a, b in itertools.pairwise(times))


def test_the_reader_of_the_source_waits_when_very_much_is_queued(monkeypatch) -> None:
    monkeypatch.setattr(sources, "QUEUE_SECONDS", 3.0)
    taken = []

    def counted() -> Iterator[np.ndarray]:
        for block in numbered(200):
            taken.append(block)
            yield block

    source, stop = Scripted(counted()), threading.Event()
    pieces = source.pieces(stop)
    next(pieces)
    time.sleep(0.3)
    assert 30 <= len(taken) <= 33
    items = []
    for item in pieces:
        items.append(item)
        if seconds(19.9)(items):
            stop.set()
    assert len(sound(items)) >= 199 * BLOCK


def test_a_piece_comes_four_times_a_second_where_there_is_no_sound() -> None:
    source = Scripted(None)
    begun = time.monotonic()
    items = read_until(source, lambda items: len(items) == 4)
    assert time.monotonic() - begun < 4 * 0.25 + 0.5
    assert all(len(item.samples) == 0 for item in items)
    assert items[-1].time == pytest.approx(time.time(), abs=1)


def test_faults_and_recoveries_alternate_and_are_in_order_with_the_sound() -> None:
    source = Scripted(
        [*numbered(2), DisconnectedError("lost", "a cable is off")],
        [DisconnectedError("lost", "still off")],
        [*numbered(3), DisconnectedError("stalled", "nothing comes")],
        for_ever(),
    )
    items = read_until(source, lambda items: kinds(items).count("recovered") == 2)
    order = "".join(
        item.kind[0] if not isinstance(item, Piece) else "." * bool(len(item.samples))
        for item in items
    )
    assert order == "..lr...sr"
    assert [f.ended for f in faults(items)] == ["", "lost", "", "stalled"]
    assert all(f.restart for f in faults(items))
    assert faults(items)[0].message == "a cable is off"
    assert all(connection.closed for connection in source.connections)


def test_the_clock_of_the_pictures_starts_again_with_a_connection() -> None:
    pictures = Painted("painted")
    source = Scripted(numbered(20, 0.01), numbered(20, 0.01), for_ever(), pictures=pictures)
    items = read_until(source, lambda items: kinds(items) == ["lost", "recovered"] * 2)
    times = [i.frame_time_s for i in items if isinstance(i, Piece) and i.frame_time_s is not None]
    assert sum(b < a for a, b in itertools.pairwise(times)) == 1
    assert max(times) <= 2.0


def test_what_is_unforeseen_ends_the_source_and_reaches_its_reader() -> None:
    source = Scripted([*numbered(2), ZeroDivisionError("a bug")])
    items = []
    with pytest.raises(ZeroDivisionError, match="a bug"):
        items += source.pieces(threading.Event())
    assert comes_true(lambda: not leftovers.threads(), 1)


def test_a_source_can_be_read_again() -> None:
    source = Scripted(for_ever(), for_ever())
    for _ in range(2):
        assert not faults(read_until(source, seconds(0.3)))
    assert comes_true(lambda: not leftovers.threads(), 1)


class Hanging(Scripted):
    """A source whose driver hangs in the named call of its first connection, until it is freed."""

    def __init__(self, call: str, *scripts) -> None:
        super().__init__(*scripts)
        self._call, self.freed, self.n_connected = call, threading.Event(), 0

    def connect(self) -> Script:
        self.n_connected += 1
        first = self.n_connected == 1
        if first and self._call == "connect":
            self.freed.wait()
            raise DisconnectedError("lost", "too late")
        connection = super().connect()
        if first and self._call == "close":
            connection.close = self.freed.wait  # type: ignore[method-assign,assignment]
        return connection


@pytest.mark.parametrize("call", ["connect", "blocks", "close"])
def test_a_driver_that_hangs_is_a_fault_and_another_thread_reads_on(
    call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "HANG_SECONDS", 0.3)
    gone = DisconnectedError("lost", "the device is gone")
    scripts = {"connect": (), "blocks": (None,), "close": ([*numbered(2), gone],)}
    source = Hanging(call, *scripts[call], for_ever())
    items = read_until(source, lambda items: "recovered" in kinds(items) and seconds(0.5)(items))
    first, second = faults(items)
    assert (first.kind, second.ended) == ("lost" if call == "close" else "stalled",) * 2
    assert "not answered" in first.message or call == "close"
    for connection in source.connections:
        connection.end()
    source.freed.set()
    assert comes_true(lambda: not leftovers.threads(), 1)


def test_drivers_that_always_hang_hold_no_more_than_some_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sources, "HANG_SECONDS", 0.02)
    monkeypatch.setattr(sources, "TICK_SECONDS", 0.05)
    monkeypatch.setattr(sources, "MOST_HANGING", 3)
    source = Scripted(*[None] * 50)
    items = read_until(source, lambda items: len(items) >= 10)
    assert kinds(items) == ["stalled"]
    assert len(source.connections) == 4
    for connection in source.connections:
        connection.end()
    assert comes_true(lambda: not leftovers.threads(), 1)


def test_waits_double_up_to_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    set_waits(monkeypatch, first_retry=1, longest_retry=60)
    backoff = Backoff()
    assert [backoff.next_s() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    backoff.reset()
    assert backoff.next_s() == 1


def test_lost_pictures_are_one_line_in_the_log_and_the_sound_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Dark(Painted):
        def frames(self, over: threading.Event):
            raise DisconnectedError("lost", "the lens is covered")
            yield

    with caplog.at_level(logging.WARNING):
        items = read_until(Scripted(for_ever(), pictures=Dark("dark")), seconds(1))
    assert not faults(items)
    assert [r.getMessage() for r in caplog.records] == [
        "dark: there are no pictures: the lens is covered"
    ]
