"""From the scores of the detector over a stream to the events that stand."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np

from cryvision.config import SAMPLE_RATE_HZ
from cryvision.inference.detector import CryDetector, DetectorWindows
from cryvision.inference.kept_events import KeptEvents
from cryvision.inference.smoothing import EventFollower
from cryvision.inference.veto import EventFilter
from cryvision.result import Event
from cryvision.spans import shorter


class EventStream:
    """Follows the scores of a detector and gives out the events that stand.

    An event comes out twice: without an offset as soon as it is certain that it will stand, and
    again when it has ended; between the two, it is `open`. Each step of the detector meets the
    tagger's windows that are known by then, and no later ones, so that the sizes of the pieces make
    no difference.
    """

    def __init__(self, detector: CryDetector) -> None:
        self._detector = detector
        self._follower = EventFollower(
            detector.gate,
            detector.span_samples / SAMPLE_RATE_HZ,
            detector.hop_samples / SAMPLE_RATE_HZ,
        )
        self._filter = EventFilter(detector.tags, detector.veto, detector.veto_level)
        self._tagged: deque[tuple[int, np.ndarray]] = deque()
        self.open: Event | None = None

    @property
    def rejected(self) -> KeptEvents:
        return self._filter.rejected

    @property
    def level_db(self) -> float:
        return self._follower.level_db

    @property
    def background_db(self) -> float:
        return self._follower.background_db

    def push(self, windows: DetectorWindows) -> list[Event]:
        """Follow the detector's next scores; give the events that began or ended, as described.

        Those that have ended come in the order of their onsets.
        """
        self._tagged.extend(
            zip(windows.tags.end_samples.tolist(), windows.tags.scores, strict=True)
        )
        lookahead, span = self._detector.part.lookahead_samples, self._detector.span_samples
        events: list[Event] = []
        rows = zip(
            windows.start_samples.tolist(),
            windows.end_samples.tolist(),
            windows.scores.tolist(),
            windows.level_dbfs.tolist(),
            strict=True,
        )
        for start, end, score, level in rows:
            events += self._push_tags(end + lookahead)
            # A last step that the end of the sound cuts short starts where any other would.
            closed = self._follower.push((start + span) / SAMPLE_RATE_HZ, score, level)
            events += self._add(closed)
            events += self._watch()
            self._filter.forget(start, none_open=self._follower.open_span_s is None)
        return events

    def finish(self, windows: DetectorWindows, end_s: float) -> list[Event]:
        """Follow the last scores of a sound that ends at a time, and decide on what is left."""
        events = self.push(windows)
        while self._tagged:
            events += self._filter.add_tags(*self._tagged.popleft())
        events += self._add(self._follower.finish(end_s))
        return events + self._filter.finish()

    def _add(self, closed: list[Event]) -> list[Event]:
        events: list[Event] = []
        for event in closed:
            onset, offset = map(_to_sample, event.span_s)
            exact = replace(event, onset_s=onset / SAMPLE_RATE_HZ, offset_s=offset / SAMPLE_RATE_HZ)
            events += self._filter.add(exact)
            self.open = None
        return events

    def _watch(self) -> list[Event]:
        """Return the open event once it is long enough and passes the veto."""
        span_s = self._follower.open_span_s
        if span_s is None:
            return []
        onset, until = map(_to_sample, span_s)
        stands = self._filter.watch(onset, until)
        shortest_s = self._detector.gate.min_event_seconds
        too_short = shorter((until - onset) / SAMPLE_RATE_HZ, shortest_s)
        if self.open is not None or not stands or too_short:
            return []
        exact = replace(self._follower.open_event, onset_s=onset / SAMPLE_RATE_HZ)
        self.open = self._filter.describe_open(exact)
        return [self.open]

    def _push_tags(self, until: int) -> list[Event]:
        events: list[Event] = []
        while self._tagged and self._tagged[0][0] <= until:
            events += self._filter.add_tags(*self._tagged.popleft())
        return events


def _to_sample(time_s: float) -> int:
    """Find the sample that is meant: seconds less a latency are a little off it."""
    return round(time_s * SAMPLE_RATE_HZ)
