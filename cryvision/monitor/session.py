"""One source, classified as it comes: what is known now, what begins and ends, what is wrong."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cryvision.bundle import Bundle
from cryvision.inference.classifier import StreamClassifier
from cryvision.inference.state import StreamState
from cryvision.monitor.sources.source import BREAKS, Piece, Source, SourceFault
from cryvision.monitor.sources.watch import Watch
from cryvision.result import Event

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from cryvision.inference.options import OptionValues

KEEP_SECONDS = 60.0
"""How much of the timeline a session keeps: nothing of a session reads further back."""

LATE_SECONDS = 60.0
"""A network or a driver holds sound back for less than this, and then gives all of it."""

LIKELY = 0.5
"""Mean cry score of the past second from which on crying is likely, or the threshold of events
where that is higher; unless another sound is heard that it may be: singing scores as high."""

NOISE_TAG = "household"
"""The tag of noise, which crying is not mistaken for."""

DEAF_FAULTS = (*BREAKS, "silent")
"""While one of these lasts, nothing is known of the sound."""


@dataclass(frozen=True)
class TimedEvent:
    """An event of a session, with wall times, seconds since 1970; no offset while it lasts.

    The times of the event itself are those of the connection that it was heard on. When it ends its
    onset is the one that it began with, whatever the clock did meanwhile.
    """

    event: Event
    onset_time: float
    offset_time: float | None

    @classmethod
    def of(cls, event: Event, start: float) -> TimedEvent:
        """Time an event of a stream that began at some wall time."""
        offset = None if event.offset_s is None else start + event.offset_s
        return cls(event, start + event.onset_s, offset)


@dataclass(frozen=True)
class Observation:
    """What a session says after a piece of sound, or of a fault.

    Attributes
    ----------
    source : str
    time : float
        Wall time, seconds since 1970.
    start : float
        Wall time at which the stream began, after the newest break in the sound: its sound and its
        events have their places from there. Sound that comes late does not move it.
    state : StreamState
    crying : bool or None
        Whether there is crying now. A room below the energy gate is quiet, so False; None where
        nothing is known, before the first score or while the source is lost or digitally silent.
    since : float or None
        Wall time of the onset of the bout; None where there is no crying.
    events : tuple of TimedEvent
        What began or ended.
    fault : SourceFault or None
    piece : Piece or None
    likely : bool or None
        Whether there is crying, or the mean cry score of the past second says so while nothing
        else but noise is heard; None as for ``crying``. An event stands only where the tagger is
        sure of crying near it: in noise, or far from the microphone, it may never be, however long
        there is crying.
    """

    source: str
    time: float
    state: StreamState
    crying: bool | None
    since: float | None
    events: tuple[TimedEvent, ...] = ()
    fault: SourceFault | None = None
    piece: Piece | None = field(default=None, repr=False)
    likely: bool | None = None
    start: float = field(kw_only=True)

    @property
    def sound_time(self) -> float:
        """Wall time of the newest sound."""
        return self.start + self.state.time_s


class LiveSession:
    """Classifies what a source gives.

    After a break in the sound the classifier begins anew: nothing from before it counts after it.
    The bundle, by default the one that ships with the package, is taken without its reasons: a
    monitor says when, and reasons are for whole clips. The options are the fields of
    `cryvision.inference.options.Options`.
    """

    def __init__(
        self, source: Source, bundle: Bundle | None = None, **options: Unpack[OptionValues]
    ) -> None:
        loaded = (bundle or Bundle.load()).keeping_models()
        detecting = tuple(part for part in loaded.parts if part.kind in ("detector", "tagger"))
        self.bundle = replace(loaded, parts=detecting) if detecting else loaded
        self._source = source
        self._options = options
        enter = 0.0 if self.bundle.gate is None else self.bundle.gate.enter
        self._likely = max(LIKELY, options.get("threshold") or enter)
        self._faults: set[str] = set()
        self._time = 0.0
        self._begin()

    @property
    def name(self) -> str:
        return self._source.name

    def observations(self, stop: threading.Event) -> Iterator[Observation]:
        """Iterate over what there is to say, until the source ends or within a second of a stop."""
        try:
            watch = Watch(has_camera=self._source.has_camera)
            for item in watch.watched(self._source.pieces(stop)):
                if isinstance(item, SourceFault):
                    yield self._fault(item)
                else:
                    yield self._piece(item)
            yield self._observation(self._end())
        finally:
            self._source.close()

    def _begin(self) -> None:
        self._stream = StreamClassifier(
            self.bundle, path=self.name, keep_seconds=KEEP_SECONDS, **self._options
        )
        self._newest_onset_s = -1.0
        self._start = _StreamStart()
        self._announced: dict[float, float] = {}

    def _piece(self, piece: Piece) -> Observation:
        frame = piece.frame if self._stream.takes_frames else None
        events = self._stream.push(piece.samples, frame, piece.frame_time_s)
        self._time = piece.time
        if len(piece.samples):
            self._start.note(self._stream.state.time_s, piece.time)
        return replace(self._observation(events), piece=piece)

    def _fault(self, fault: SourceFault) -> Observation:
        if fault.kind == "recovered":
            self._faults.discard(fault.ended)
        else:
            self._faults.add(fault.kind)
        events = self._end() if fault.breaks else []
        found = replace(self._observation(events), time=fault.time, fault=fault)
        if fault.breaks:
            self._begin()
        return found

    def _end(self) -> list[Event]:
        result = self._stream.finish()
        return [event for event in result.events if event.onset_s > self._newest_onset_s]

    def _observation(self, events: list[Event]) -> Observation:
        state = self._stream.state
        start = self._start.at(self._time - state.time_s)
        ended = [event.onset_s for event in events if event.offset_s is not None]
        self._newest_onset_s = max([self._newest_onset_s, *ended])
        crying = state.crying
        if crying is None and state.probability is None and state.level_dbfs == state.level_dbfs:
            crying = False
        if self._faults.intersection(DEAF_FAULTS):
            crying = None
        likely = crying
        if crying is False and state.recent_probability >= self._likely:
            likely = not state.tags.keys() - {NOISE_TAG}
        since = None if not crying or state.since_s is None else start + state.since_s
        timed = tuple(self._timed(event, start) for event in events)
        return Observation(
            self.name, self._time, state, crying, since, timed, likely=likely, start=start
        )

    def _timed(self, event: Event, start: float) -> TimedEvent:
        start = self._announced.pop(event.onset_s, start)
        if event.offset_s is None:
            self._announced[event.onset_s] = start
        return TimedEvent.of(event, start)


class _StreamStart:
    """Wall time at which a stream began, by the piece of late that came soonest after its sound.

    A network or a driver holds pieces back; none comes before it was heard.
    """

    def __init__(self) -> None:
        self._starts: deque[tuple[float, float]] = deque()  # rising, from the soonest on

    def note(self, end_s: float, time: float) -> None:
        """Take the end of a piece in the stream, and the wall time at which it came."""
        start = time - end_s
        while self._starts and self._starts[-1][1] >= start:
            self._starts.pop()
        self._starts.append((end_s, start))
        while end_s - self._starts[0][0] > LATE_SECONDS:
            self._starts.popleft()

    def at(self, otherwise: float) -> float:
        """Give the start; before the first piece the other."""
        return self._starts[0][1] if self._starts else otherwise
