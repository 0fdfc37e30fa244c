"""The state of all sources on a terminal, and what happens at them, for people or for programs."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from cryvision.errors import CryvisionError
from cryvision.monitor import records
from cryvision.monitor.session import Observation
from cryvision.outputs.wording import printable

_CLEAR_LINE = "\r\x1b[2K"


class Screen:
    """Prints states, events, faults and alerts: JSON, or lines for people.

    On a terminal the states are one line on stderr that is written over; elsewhere only what
    changes is printed. The state of a source is shown each ``every_s`` seconds.
    """

    def __init__(self, print_line: Callable[[str], None], as_json: bool, every_s: float) -> None:
        self._print_line = print_line
        self._json = as_json
        self._every_s = every_s
        self._shown: dict[str, float] = {}
        self._diaries: dict[str, records.Diary] = {}
        self._states: dict[str, str] = {}
        self._lock = threading.Lock()
        self._failure: Exception | None = None
        self._live = not as_json and sys.stderr is not None and sys.stderr.isatty()

    def observe(self, observation: Observation) -> None:
        """Print what an observation says, or raise why stdout cannot be written."""
        if self._failure is not None:
            raise self._failure
        if self._json:
            self._write_records(observation)
            return
        diary = self._diaries.setdefault(observation.source, records.Diary())
        self._write_diary(observation.source, diary.lines(observation))
        if self._live and self._due(observation):
            self._states[observation.source] = records.state_line(observation)
            with self._lock:
                self._write_over(printable(" | ".join(self._states.values())))

    def write(self, line: str) -> None:
        """Print a line on stdout, from any thread; errors as `observe` has them."""
        with self._lock:
            if self._failure is not None:
                raise self._failure
            self._write_over("")
            try:
                self._print_line(line)
            except (OSError, CryvisionError) as error:
                self._failure = error
                raise

    def close(self) -> None:
        """Take the states away; print what is still open, where stdout can still be written."""
        with self._lock:
            self._write_over("")
        if self._failure is not None:
            return
        for name, diary in self._diaries.items():
            self._write_diary(name, diary.close())

    def _write_over(self, text: str) -> None:
        """Put a text, as much of it as fits, in place of the line of states."""
        if not self._live:
            return
        try:
            width = os.get_terminal_size(sys.stderr.fileno()).columns
            text = text[: max(1, width - 1)]
            print(f"{_CLEAR_LINE}{text}", end="", file=sys.stderr, flush=True)
        except OSError:
            # The terminal has gone; that is no reason not to watch.
            self._live = False

    def _write_diary(self, name: str, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(printable(f"{name}: {line}"))

    def _write_records(self, observation: Observation) -> None:
        found: list[dict[str, Any]] = [
            records.event_record(observation.source, timed) for timed in observation.events
        ]
        if (fault := records.fault_record(observation)) is not None:
            found.append(fault)
        if self._due(observation):
            found.append(records.state_record(observation))
        for record in found:
            self.write(json.dumps(record, allow_nan=False))

    def _due(self, observation: Observation) -> bool:
        """Whether it is time to show a state; also where the clock was set back."""
        shown = self._shown.get(observation.source)
        if shown is not None and 0 <= observation.time - shown < self._every_s:
            return False
        self._shown[observation.source] = observation.time
        return True
