"""Alerts: crying over wall time, and faults of a source, raised and cleared by rules for sinks."""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Protocol

from cryvision.errors import CryvisionError
from cryvision.monitor.alerting.crying_rules import (
    Change,
    CryingRule,
    Span,
    SustainedCrying,
    SustainedWatch,
    TotalCrying,
    watch,
)

if TYPE_CHECKING:
    from cryvision.monitor.session import Observation

MAX_STEP_S = 2.0
"""Longest time that an observation speaks for; of a longer gap nothing is known."""

FAULT_KINDS = ("lost", "stalled", "silent", "frozen")
"""Faults of a source that an alert is raised for when they last."""

_US = 1_000_000


@dataclass(frozen=True)
class FaultRule:
    """Raise an alert when a fault of the source has lasted ``after_s``.

    ``sinks`` names where its alerts go; empty means all.
    """

    name: str = "source"
    after_s: float = 60.0
    sinks: tuple[str, ...] = ()


Rule = SustainedCrying | TotalCrying | FaultRule

DEFAULT_RULES: tuple[Rule, ...] = (SustainedCrying(), FaultRule())


@dataclass(frozen=True)
class Alert:
    """One thing to tell people, of a rule and a source.

    Who receives one twice knows it by its `id`, 32 hexadecimal digits. The `state` is ``raised`` or
    ``cleared``, the `kind` ``crying`` or ``fault``. Times are ISO 8601 in UTC: `time`, when the
    rule's condition was met, and `crying_since`, None for a fault, or where no crying is left.
    `seconds` is how long the crying or the fault had lasted; for a total, the crying within its
    window. The `message` is one line for people.
    """

    id: str
    rule: str
    source: str
    state: str
    kind: str
    time: str
    crying_since: str | None
    seconds: float
    message: str

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Alert:
        return cls(**json.loads(text))


def cleared_at_start(raised: Alert) -> Alert:
    """Clear an alert that a monitor raised which ended before the alert did."""
    now = datetime.now(timezone.utc)
    return dataclasses.replace(
        raised,
        id=uuid.uuid4().hex,
        state="cleared",
        time=now.isoformat(timespec="milliseconds"),
        message=f"{raised.source}: the monitor has started again; how it went on is not known",
    )


class DeliveryError(CryvisionError):
    """An alert was not delivered; the message holds no credentials.

    ``retry`` says whether a later attempt may succeed, and ``retry_after_s`` for how many seconds
    the receiver wants to be left alone, 0 where it does not say.
    """

    def __init__(self, message: str, *, retry: bool = True, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry = retry
        self.retry_after_s = retry_after_s


class Sink(Protocol):
    """A receiver of alerts; those that keep nothing open inherit `close`."""

    def deliver(self, alert: Alert) -> None:
        """Bring an alert to the receiver, within a few seconds.

        A DeliveryError says that it is not certain that the receiver has it.
        """

    def close(self) -> None:
        """Let go of connections."""
        return


class AlertMonitor:
    """The rules of one source, whose names must differ, and what they make of its observations.

    It reads no clock: each observation comes with its wall time. An observation speaks for the time
    since the one before, up to `MAX_STEP_S`; so the alerts and their times are the same however
    often a source is observed. Time that nobody observed, or of which nothing is known, counts
    neither as crying nor as calm. A clock that is set back adds no time and takes none away.
    """

    def __init__(self, source: str, rules: Sequence[Rule] = DEFAULT_RULES) -> None:
        self.source = source
        self._crying = [watch(rule) for rule in rules if not isinstance(rule, FaultRule)]
        self._faults = [_FaultWatch(rule) for rule in rules if isinstance(rule, FaultRule)]
        self._time: int | None = None

    @property
    def crying_raised(self) -> bool:
        return any(one.raised for one in self._crying)

    @property
    def fault_raised(self) -> bool:
        return any(one.raised for one in self._faults)

    def observe(self, observation: Observation) -> list[Alert]:
        """Take the next observation of a session: what is known of the sound, or a fault."""
        fault = observation.fault
        if fault is not None:
            return self.fault(fault.time, fault.kind, fault.message, fault.ended)
        return self.update(observation.time, observation.crying, observation.likely)

    def update(self, time: float, crying: bool | None, likely: bool | None = None) -> list[Alert]:
        """Take an observation; while a source is lost, call it at least once a second too.

        The time is wall time, seconds since 1970 as ``time.time()`` gives them; ``crying`` is None
        where nothing is known. A `SustainedCrying` counts what is ``likely``, too. What was raised
        and cleared since the last observation is returned in order; mostly nothing.
        """
        return self._advance(round(time * _US), crying, likely)

    def fault(self, time: float, kind: str, message: str = "", ended: str = "") -> list[Alert]:
        """Take word of a fault of the source, or of its end, at a wall time in seconds.

        The kind is one of `FAULT_KINDS`, or ``recovered`` from the fault that `ended`; others raise
        no alert. The message is one line for people. An alert ends with the last of its faults.
        """
        now = round(time * _US)
        # A report that comes a little late must not turn the clock back.
        alerts = [] if self._time is not None and now < self._time else self._advance(now, None)
        for one in self._faults:
            if kind in FAULT_KINDS:
                one.begin(kind, message)
            elif kind == "recovered":
                alerts += [self._fault_alert(one, change) for change in one.end(ended, now)]
        return alerts

    def _advance(self, now: int, crying: bool | None, likely: bool | None = None) -> list[Alert]:
        before, self._time = self._time, now
        if before is None or now <= before:
            return []
        if now - before > MAX_STEP_S * _US:
            crying = None
        span = Span(before, now - before, crying)
        lasting = span if crying is None else span._replace(crying=crying or bool(likely))
        alerts = [
            self._crying_alert(one.rule, change)
            for one in self._crying
            for change in one.advance(lasting if isinstance(one, SustainedWatch) else span)
        ]
        alerts += [
            self._fault_alert(one, change) for one in self._faults for change in one.advance(span)
        ]
        return sorted(alerts, key=lambda alert: alert.time)

    def _crying_alert(self, rule: CryingRule, change: Change) -> Alert:
        if isinstance(rule, SustainedCrying):
            text = f"crying for {_length(change.us)}"
            if change.state == "cleared":
                text = f"calm for {_length(rule.release_s * _US)}, after {text}"
        else:
            what = f"{rule.crying_minutes:g} min of crying within {rule.within_minutes:g} min"
            text = what if change.state == "raised" else f"calm, and no more {what}"
        return self._alert(rule.name, "crying", change, text)

    def _fault_alert(self, fault: _FaultWatch, change: Change) -> Alert:
        if change.state == "cleared":
            text = f"recovered after {_length(change.us)}"
        else:
            kind, message = fault.oldest
            text = f"{kind} for {_length(change.us)}{message and f': {message}'}"
        return self._alert(fault.rule.name, "fault", change, text)

    def _alert(self, rule: str, kind: str, change: Change, text: str) -> Alert:
        return Alert(
            id=uuid.uuid4().hex,
            rule=rule,
            source=self.source,
            state=change.state,
            kind=kind,
            time=_iso(change.time),
            crying_since=_iso(change.since) if change.since is not None else None,
            seconds=change.us / _US,
            message=f"{self.source}: {text}",
        )


class _FaultWatch:
    """Whether there have been faults for long enough; wall time counts, known or not."""

    def __init__(self, rule: FaultRule) -> None:
        self.rule = rule
        self.raised = False
        self._after = round(rule.after_s * _US)
        self._messages: dict[str, str] = {}
        self._lasted = 0

    @property
    def oldest(self) -> tuple[str, str]:
        """The kind that began first of those that go on, and its message."""
        return next(iter(self._messages.items()))

    def begin(self, kind: str, message: str) -> None:
        if not self._messages:
            self._lasted = 0
        self._messages[kind] = message

    def advance(self, span: Span) -> Iterator[Change]:
        if not self._messages:
            return
        left = max(0, self._after - self._lasted)
        self._lasted += span.us
        if not self.raised and left <= span.us:
            self.raised = True
            yield Change("raised", span.start + left, None, self._after)

    def end(self, kind: str, now: int) -> Iterator[Change]:
        self._messages.pop(kind, None)
        if self.raised and not self._messages:
            self.raised = False
            yield Change("cleared", now, None, self._lasted)


def _iso(us: int) -> str:
    seconds, rest = divmod(us, _US)
    moment = datetime.fromtimestamp(seconds, timezone.utc).replace(microsecond=rest)
    return moment.isoformat(timespec="milliseconds")


def _length(us: float) -> str:
    # It brings numpy, which delivering alerts does not need.
    from cryvision.outputs.wording import length

    return length(us / _US, decimals=0)
