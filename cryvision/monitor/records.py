"""What a monitor prints: JSON objects for programs, lines for people."""

from __future__ import annotations

import math
import time
from datetime import datetime, timezone
from typing import Any

from cryvision.monitor.session import Observation, TimedEvent
from cryvision.outputs.shown import tag_words
from cryvision.outputs.wording import clock, counted, rounded

SURE, UNSURE = 0.9, 0.7
"""Scores from which on crying is called sure, and below which it is called unsure."""

LOUD_DB = 20.0
"""Level above background from which on crying is called loud."""

PAUSE_SECONDS = 5.0
"""For people, crying with shorter pauses is one."""


def utc(wall_time: float | None) -> str | None:
    """Write a wall time, seconds since 1970, in ISO 8601 to the millisecond; None stays None."""
    if wall_time is None:
        return None
    moment = datetime.fromtimestamp(wall_time, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def state_record(observation: Observation) -> dict[str, Any]:
    state, since = observation.state, observation.since
    return {
        "type": "state",
        "source": observation.source,
        "time": utc(observation.time),
        "crying": observation.crying,
        "likely": observation.likely,
        "since": utc(since),
        "seconds": None if since is None else round(observation.time - since, 2),
        "probability": rounded(state.probability, 4),
        "level_dbfs": rounded(state.level_dbfs, 1),
        "above_background_db": rounded(state.above_background_db, 1),
        "tags": {tag: rounded(score, 3) for tag, score in state.tags.items()},
        "not_scored": state.not_scored,
    }


def event_record(source: str, timed: TimedEvent) -> dict[str, Any]:
    """Give an event that began (``onset``) or ended (``event``) as a JSON object."""
    event, kind, ending = timed.event, "onset", {}
    if timed.offset_time is not None:
        kind = "event"
        ending = {"offset": utc(timed.offset_time), "duration_s": round(event.duration_s, 3)}
    return {
        "type": kind,
        "source": source,
        "onset": utc(timed.onset_time),
        **ending,
        "confidence": rounded(event.confidence, 4),
        "intensity_db": rounded(event.intensity_db, 1),
        "above_background_db": rounded(event.above_background_db, 1),
        "other_tag": event.other_tag or None,
    }


def fault_record(observation: Observation) -> dict[str, Any] | None:
    """Give a fault of a source, or its end, as a JSON object; None where there is none."""
    fault = observation.fault
    if fault is None:
        return None
    return {
        "type": "fault",
        "source": observation.source,
        "time": utc(fault.time),
        "kind": fault.kind,
        "ended": fault.ended or None,
        "message": fault.message,
    }


def state_line(observation: Observation) -> str:
    """Say what is known of a source now, on one line."""
    state = observation.state
    parts = [_crying(observation)]
    if math.isfinite(state.level_dbfs):
        parts.append(f"{state.level_dbfs:.0f} dBFS")
    parts += [tag_words(tag) for tag in state.tags]
    parts += [f"{what}: {why}" for what, why in state.not_scored.items()]
    return f"{observation.source}: {', '.join(parts)}"


class Diary:
    """Lines for people on what happened at one source: crying with its pauses, and faults."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._until = 0.0
        self._is_open = False
        self._n_events = 0

    def lines(self, observation: Observation) -> list[str]:
        """Give the lines that an observation adds, without the name of the source."""
        lines = []
        for timed in observation.events:
            if self._since is None:
                self._since, self._n_events = timed.onset_time, 0
                lines.append(f"{local(timed.onset_time)} crying")
            self._until = timed.offset_time or observation.time
            self._is_open = timed.offset_time is None
            self._n_events += timed.offset_time is not None
        if observation.crying:
            # A bout goes on for a while after its last event, to see whether another one follows.
            self._until = observation.time if self._is_open else self._until
        # The clock may also have been set back.
        elif self._since is not None and abs(observation.time - self._until) >= PAUSE_SECONDS:
            lines += self.close()
        if observation.fault is not None:
            lines.append(f"{local(observation.fault.time)} {observation.fault.message}")
        return lines

    def close(self) -> list[str]:
        if self._since is None:
            return []
        since, self._since = self._since, None
        return [
            f"{local(self._until)} no crying, after {clock(self._until - since, decimals=0)} "
            f"({counted(self._n_events, 'event')})"
        ]


def local(wall_time: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(wall_time))


def _crying(observation: Observation) -> str:
    if observation.crying is None:
        return "unknown"
    if not observation.crying:
        return "crying is likely" if observation.likely else "no crying"
    words = ["crying"]
    if observation.since is not None:
        words.append(f"for {clock(observation.time - observation.since, decimals=0)}")
    probability = observation.state.probability
    if probability is not None and not UNSURE <= probability < SURE:
        words.append("(sure)" if probability >= SURE else "(unsure)")
    if observation.state.above_background_db >= LOUD_DB:
        words.append("loud")
    return " ".join(words)
