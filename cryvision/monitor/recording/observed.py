"""How much of each minute was observed, and how much of it was crying: a small file a day."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path

from cryvision.config import SAMPLE_RATE_HZ
from cryvision.monitor.recording.folder import (
    OBSERVED_FORMAT,
    OBSERVED_NAME,
    PRIVATE_FILE,
    PRIVATE_FOLDER,
)
from cryvision.monitor.records import utc
from cryvision.monitor.session import Observation
from cryvision.spans import seconds_within

MINUTE = 60

SETTLED_SECONDS = 30.0
"""So long after its end a minute is written: by then the crying in it is known."""

MOST_BYTES = 256_000
"""1440 lines have half of it; a monitor that is started again and again writes no more."""


class ObservedMinutes:
    """Writes ``FOLDER/2026-11-29/observed.jsonl``, a line for each minute that was observed.

    The first line names the source. A day is one of local time, a minute one of UTC. A monitor that
    begins within a minute writes a line of its own for it: they add up.
    """

    def __init__(self, folder: Path, source: str) -> None:
        self._folder, self._source = folder, source
        self._observed: dict[int, float] = {}
        self._open: dict[float, float] = {}
        self._ended: list[tuple[float, float]] = []
        self._heard_until = 0.0

    def observe(self, observation: Observation) -> None:
        """Take the next observation, and write the minutes that are complete.

        Those that the system refuses are not written.
        """
        piece = observation.piece
        self._heard_until = observation.sound_time
        if piece is not None and observation.crying is not None:
            minute = int(self._heard_until // MINUTE)
            seconds = len(piece.samples) / SAMPLE_RATE_HZ
            self._observed[minute] = self._observed.get(minute, 0.0) + seconds
        for timed in observation.events:
            if timed.offset_time is None:
                self._open[timed.event.onset_s] = timed.onset_time
            else:
                self._open.pop(timed.event.onset_s, None)
                self._ended.append((timed.onset_time, timed.offset_time))
        if observation.fault is not None and observation.fault.restart:
            self._open.clear()
        self._write(int((observation.time - SETTLED_SECONDS) // MINUTE))

    def close(self) -> None:
        self._write(max(self._observed, default=0) + 1)

    def _write(self, before: int) -> None:
        due = sorted(minute for minute in self._observed if minute < before)
        if not due:
            return
        lines = {minute: self._line(minute, self._observed.pop(minute)) for minute in due}
        first_s = min(self._observed, default=before) * MINUTE
        self._ended = [span for span in self._ended if span[1] > first_s]
        for minute, line in lines.items():
            self._append(datetime.fromtimestamp(minute * MINUTE).strftime("%Y-%m-%d"), line)

    def _line(self, minute: int, observed_s: float) -> str:
        start, end = minute * MINUTE, (minute + 1) * MINUTE
        spans = [*self._ended, *((onset, self._heard_until) for onset in self._open.values())]
        crying_s = seconds_within(spans, start, end)
        record = {
            "minute": utc(start),
            "observed_s": round(min(observed_s, MINUTE), 1),
            "crying_s": round(min(crying_s, MINUTE), 1),
        }
        return json.dumps(record)

    def _append(self, day: str, line: str) -> None:
        path = self._folder / day / OBSERVED_NAME
        path.parent.mkdir(PRIVATE_FOLDER, exist_ok=True)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
        with open(os.open(path, flags, PRIVATE_FILE), "r+b", buffering=0) as file:
            n_bytes = file.seek(0, os.SEEK_END)
            if n_bytes > MOST_BYTES:
                return
            if not n_bytes:
                line = f"{json.dumps({'format': OBSERVED_FORMAT, 'source': self._source})}\n{line}"
            else:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # whoever wrote it was killed, or the disk was full
                    line = f"\n{line}"
            file.write(f"{line}\n".encode())
