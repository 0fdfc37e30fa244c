"""Rules about crying: for how long without calm, or how much within a window of time.

Times and lengths are whole microseconds, so that sums of them are exact: it makes no difference
in how many spans the same time arrives.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

_US = 1_000_000


@dataclass(frozen=True)
class SustainedCrying:
    """Raise an alert when crying, with pauses shorter than ``hold_s``, has lasted ``after_s``.

    Likely crying counts, too: see `Observation`.
    It is cleared after ``release_s`` without crying. The next one needs ``rearm_s`` without crying
    first. ``sinks`` names where its alerts go; empty means all.
    """

    name: str = "crying"
    after_s: float = 10.0
    hold_s: float = 5.0
    release_s: float = 60.0
    rearm_s: float = 60.0
    sinks: tuple[str, ...] = ()


@dataclass(frozen=True)
class TotalCrying:
    """Raise an alert at ``crying_minutes`` of crying within the last ``within_minutes``.

    The window moves in steps of a second. The alert is cleared when less crying is left in the
    window and there was none for ``release_s``. ``rearm_s`` and ``sinks`` are those of
    `SustainedCrying`.
    """

    name: str = "total"
    crying_minutes: float = 5.0
    within_minutes: float = 30.0
    release_s: float = 60.0
    rearm_s: float = 60.0
    sinks: tuple[str, ...] = ()


CryingRule = SustainedCrying | TotalCrying


class Span(NamedTuple):
    """A stretch of wall time in which one thing holds; ``crying`` is None where nothing is known.

    The start is in microseconds since 1970; the length ``us`` is above 0.
    """

    start: int
    us: int
    crying: bool | None


class Change(NamedTuple):
    """A rule's alert is ``raised`` or ``cleared``.

    ``time`` and ``since`` are wall times of the change and of the beginning of what it is about,
    and ``us`` is how long that had lasted; all in microseconds.
    """

    state: str
    time: int
    since: int | None
    us: int


class _Watch:
    """Calm since the last crying, and whether the alert is raised and may be raised again.

    Unknown time stops the clock: it adds nothing to crying, to a pause or to calm.
    """

    def __init__(self, rule: CryingRule) -> None:
        self.rule = rule
        self.raised = False
        self._armed = True
        self._calm = 0
        self._release = round(rule.release_s * _US)
        self._rearm = round(rule.rearm_s * _US)

    def _arm(self) -> None:
        """At the start of crying, look back on the calm before it."""
        if not self.raised and self._calm >= self._rearm:
            self._armed = True

    def _raise(self, time: int, since: int | None, us: int) -> Change:
        self.raised, self._armed = True, False
        return Change("raised", time, since, us)

    def _clear(self, time: int, since: int | None, us: int) -> Change:
        self.raised = False
        return Change("cleared", time, since, us)


class SustainedWatch(_Watch):
    """A `SustainedCrying` over time."""

    def __init__(self, rule: SustainedCrying) -> None:
        super().__init__(rule)
        self._after = round(rule.after_s * _US)
        self._hold = round(rule.hold_s * _US)
        self._since: int | None = None
        self._lasted = 0

    def advance(self, span: Span) -> Iterator[Change]:
        """Take a span; yield what changed in it."""
        if span.crying:
            yield from self._cry(span)
        elif span.crying is False:
            left = self._release - self._calm
            if self.raised and left <= span.us:
                yield self._clear(span.start + left, self._since, self._lasted)
                self._since = None
            self._calm += span.us

    def _cry(self, span: Span) -> Iterator[Change]:
        self._arm()
        if self._since is None or (not self.raised and self._calm >= max(self._hold, 1)):
            self._since, self._lasted = span.start, 0
        else:
            self._lasted += self._calm
        left = max(0, self._after - self._lasted)
        if self._armed and not self.raised and left <= span.us:
            yield self._raise(span.start + left, self._since, self._lasted + left)
        self._lasted += span.us
        self._calm = 0


class _Second(NamedTuple):
    number: int
    us: int
    since: int


class TotalWatch(_Watch):
    """A `TotalCrying` over time: the crying of each second of the window that has any."""

    def __init__(self, rule: TotalCrying) -> None:
        super().__init__(rule)
        self._needed = round(rule.crying_minutes * 60 * _US)
        self._window_s = round(rule.within_minutes * 60)
        self._seconds: deque[_Second] = deque()
        self._total = 0
        self._elapsed = 0

    def advance(self, span: Span) -> Iterator[Change]:
        """Take a span; yield what changed in it."""
        if span.crying is None:
            self._elapsed += span.us
            self._forget()
            return
        start, left = span.start, span.us
        while left:
            self._forget()
            us = min(left, _US - self._elapsed % _US)
            piece = Span(start, us, span.crying)
            yield from self._cry(piece) if span.crying else self._rest(piece)
            self._elapsed += us
            start, left = start + us, left - us

    def _forget(self) -> None:
        first = self._elapsed // _US - self._window_s + 1
        while self._seconds and self._seconds[0].number < first:
            self._total -= self._seconds.popleft().us

    def _cry(self, piece: Span) -> Iterator[Change]:
        self._arm()
        number = self._elapsed // _US
        if self._seconds and self._seconds[-1].number == number:
            last = self._seconds.pop()
            self._seconds.append(last._replace(us=last.us + piece.us))
        else:
            self._seconds.append(_Second(number, piece.us, piece.start))
        left = max(0, self._needed - self._total)
        if self._armed and not self.raised and left <= piece.us:
            total = self._total + left
            yield self._raise(piece.start + left, self._seconds[0].since, total)
        self._total += piece.us
        self._calm = 0

    def _rest(self, piece: Span) -> Iterator[Change]:
        left = max(0, self._release - self._calm)
        if self.raised and self._total < self._needed and left <= piece.us:
            since = self._seconds[0].since if self._seconds else None
            yield self._clear(piece.start + left, since, self._total)
        self._calm += piece.us


def watch(rule: CryingRule) -> SustainedWatch | TotalWatch:
    """Return what follows a rule over time."""
    if isinstance(rule, SustainedCrying):
        return SustainedWatch(rule)
    return TotalWatch(rule)
