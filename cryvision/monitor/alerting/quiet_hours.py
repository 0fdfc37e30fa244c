"""Quiet hours: in local time, alerts go to fewer places or nowhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfo

from cryvision.monitor.alerting.alerts import Alert


@dataclass(frozen=True)
class QuietHours:
    """A stretch of each day in local time; it may cross midnight, and begins and ends at two times.

    It begins, and ends, the first time on a day that the clocks show ``start`` (``end``) or later.
    So where clocks are set back it has one beginning and one end, and where they are set forward
    over ``start``, it begins at that moment. Alerts go to ``sinks`` instead; empty means nowhere.
    The zone is one such as ``Europe/Berlin``.
    """

    start: time
    end: time
    zone: str
    sinks: tuple[str, ...] = ()

    def cover(self, moment: float) -> bool:
        """Whether a wall time, in seconds since 1970, is within."""
        local = datetime.fromtimestamp(moment, ZoneInfo(self.zone))
        begun, ended = _passed(self.start, local), _passed(self.end, local)
        return begun and not ended if self.start < self.end else begun or not ended


def _passed(reading: time, local: datetime) -> bool:
    """Whether clocks have shown a reading on this day, the first time of two."""
    if local.time() >= reading:
        return True
    if not local.fold:
        return False
    at = datetime.combine(local.date(), reading, local.tzinfo)
    first, second = at.utcoffset(), at.replace(fold=1).utcoffset()
    # In the second pass of an hour that comes twice, all of the first has been shown.
    return first is not None and second is not None and first > second


class AlertRouter:
    """Which sinks an alert goes to: those of its rule, or all; in quiet hours those of quiet hours.

    An alert that is cleared goes where it was raised, so that nobody is left with one that never
    ends.
    """

    def __init__(
        self,
        sinks: Sequence[str],
        rule_sinks: Mapping[str, Sequence[str]] | None = None,
        quiet_hours: QuietHours | None = None,
    ) -> None:
        self._sinks = tuple(sinks)
        self._rule_sinks = dict(rule_sinks or {})
        self._quiet_hours = quiet_hours
        self._raised: dict[tuple[str, str], tuple[str, ...]] = {}

    def sinks(self, alert: Alert) -> tuple[str, ...]:
        """Return the names of an alert's sinks; none where it is muted."""
        key = (alert.source, alert.rule)
        if alert.state == "cleared" and key in self._raised:
            return self._raised.pop(key)
        names = tuple(self._rule_sinks.get(alert.rule) or self._sinks)
        moment = datetime.fromisoformat(alert.time).timestamp()
        if self._quiet_hours is not None and self._quiet_hours.cover(moment):
            names = self._quiet_hours.sinks
        if alert.state == "raised":
            self._raised[key] = names
        return names
