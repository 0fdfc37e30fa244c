"""What people see on a terminal, however narrow, and when it or the reader of stdout goes away."""

from __future__ import annotations

import contextlib
import fcntl
import io
import math
import os
import pty
import select
import struct
import termios
from collections.abc import Iterator
from dataclasses import replace

import pytest

from cryvision.commands.terminal import log
from cryvision.errors import CryvisionError
from cryvision.inference.state import StreamState
from cryvision.monitor.records import Diary
from cryvision.monitor.screen import Screen
from cryvision.monitor.session import Observation, TimedEvent
from cryvision.result import Event

NOW = 1_700_000_000.0


def observation(time: float = NOW, *events: TimedEvent) -> Observation:
    state = StreamState(1.0, False, None, 0.1, -50.0, math.nan)
    return Observation("nursery", time, state, False, None, events, start=time - 1)


class Terminal:
    """A terminal in place of stderr."""

    def __init__(self) -> None:
        self._ours, theirs = pty.openpty()
        self.stream = os.fdopen(theirs, "w", encoding="utf-8")

    def set_width(self, columns: int) -> None:
        fcntl.ioctl(self.stream, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def shown(self) -> str:
        found = b""
        # What is written arrives in pieces.
        while select.select([self._ours], [], [], 0.1)[0]:
            found += os.read(self._ours, 10_000)
        return found.decode()

    def vanish(self) -> None:
        os.close(self._ours)


@contextlib.contextmanager
def terminal() -> Iterator[Terminal]:
    # No fixture: pytest sets stderr anew between a fixture and its test.
    found = Terminal()
    try:
        with contextlib.redirect_stderr(found.stream):
            yield found
    finally:
        with contextlib.suppress(OSError):
            found.stream.close()


@pytest.mark.parametrize("columns", [0, 1, 2, 10, 500])
def test_the_states_never_break_a_line(columns: int) -> None:
    with terminal() as stderr:
        stderr.set_width(columns)
        screen = Screen(print, as_json=False, every_s=1.0)
        screen.observe(observation())
        text = stderr.shown().split("\x1b[2K")[-1]
    assert text == "nursery: no crying, -50 dBFS"[: max(1, columns - 1)]


def test_what_is_logged_stands_on_a_line_of_its_own() -> None:
    with terminal() as stderr:
        stderr.set_width(80)
        screen = Screen(print, as_json=False, every_s=1.0)
        screen.observe(observation())
        log("nursery: it is lost")
        assert stderr.shown().endswith("dBFS\r\x1b[2Kcryvision: nursery: it is lost\r\n")
        screen.observe(observation(NOW + 1))
        screen.close()
        assert stderr.shown().endswith("\x1b[2K")


def test_a_terminal_that_goes_away_does_not_end_the_watch() -> None:
    printed: list[str] = []
    with terminal() as stderr:
        screen = Screen(printed.append, as_json=False, every_s=1.0)
        stderr.vanish()
        screen.observe(observation())
        screen.write("an alert")
    assert printed == ["an alert"]


def test_once_stdout_cannot_be_written_the_watch_ends_whoever_noticed() -> None:
    calls = io.StringIO()

    def full(line: str) -> None:
        calls.write("x")
        raise CryvisionError("no space")

    screen = Screen(full, as_json=True, every_s=1.0)
    with pytest.raises(CryvisionError, match="no space"):
        screen.write("an alert, from a thread of its own")
    with pytest.raises(CryvisionError, match="no space"):
        screen.observe(observation())
    with pytest.raises(CryvisionError, match="no space"):
        screen.write("the same alert once more")
    assert calls.getvalue() == "x"
    screen.close()


def test_crying_is_over_also_when_the_clock_was_set_back_by_an_hour() -> None:
    diary = Diary()
    event = Event(1.0, 3.0, "cry", 0.9, -30.0, 20.0)
    diary.lines(observation(NOW, TimedEvent(event, NOW - 3, NOW - 1)))
    (line,) = diary.lines(observation(NOW - 3600))
    assert "no crying, after 0:02 (1 event)" in line


def test_crying_ends_with_its_last_event_and_not_with_the_wait_for_another_one() -> None:
    diary = Diary()
    event = Event(1.0, 3.0, "cry", 0.9, -30.0, 20.0)

    def crying(time: float, *events: TimedEvent) -> list[str]:
        return diary.lines(replace(observation(time, *events), crying=True))

    crying(NOW, TimedEvent(event, NOW, None))
    crying(NOW + 2)
    crying(NOW + 2.4, TimedEvent(event, NOW, NOW + 2))
    crying(NOW + 2.8)
    (line,) = diary.lines(observation(NOW + 8))
    assert "no crying, after 0:02 (1 event)" in line
    crying(NOW + 20, TimedEvent(event, NOW + 20, None))
    crying(NOW + 29)  # an event that is open goes on
    (line,) = diary.lines(observation(NOW + 40))
    assert "no crying, after 0:09 (0 events)" in line
