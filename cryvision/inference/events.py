"""From what the detector says of a stream to the events that stand."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np

from cryvision.config import SAMPLE_RATE_HZ
from cryvision.inference.detector import CryDetector, DetectorWindows
from cryvision.inference.smoothing import EventFollower
from cryvision.inference.veto import EventJudge
from cryvision.result import Event


class EventStream:
    """Follows the scores of a detector and gives out the events that stand.

    Each step of the detector meets the tagger's windows that are known by then, and no later
    ones, so that the sizes of the pieces make no difference.

    Parameters
    ----------
    detector : CryDetector
        Whose scores will be followed.
    """

    def __init__(self, detector: CryDetector) -> None:
        self._detector = detector
        self._follower = EventFollower(
            detector.gate,
            detector.span_samples / SAMPLE_RATE_HZ,
            detector.hop_samples / SAMPLE_RATE_HZ,
        )
        self._judge = EventJudge(detector.tags, detector.veto, detector.veto_level)
        self._tagged: deque[tuple[int, np.ndarray]] = deque()

    @property
    def rejected(self) -> tuple[Event, ...]:
        """Candidates so far that do not stand."""
        return tuple(self._judge.rejected)

    def push(self, windows: DetectorWindows) -> list[Event]:
        """Follow the detector's next scores; give the events that are certain, by onset."""
        self._tagged.extend(
            zip(windows.tags.end_samples.tolist(), windows.tags.scores, strict=True)
        )
        lookahead, span = self._detector.part.lookahead_samples, self._detector.span_samples
        found: list[Event] = []
        rows = zip(
            windows.start_samples.tolist(),
            windows.end_samples.tolist(),
            windows.scores.tolist(),
            windows.level_dbfs.tolist(),
            strict=True,
        )
        for start, end, score, level in rows:
            found += self._hear_until(end + lookahead)
            # A last step that the end of the sound cuts short starts where any other would.
            closed = self._follower.push((start + span) / SAMPLE_RATE_HZ, score, level)
            found += self._add(closed)
            onset_s = self._follower.onset_s
            self._judge.forget(start if onset_s is None else round(onset_s * SAMPLE_RATE_HZ))
        return found

    def finish(self, windows: DetectorWindows, end_s: float) -> list[Event]:
        """Follow the last scores of a sound that ends at a time, and decide on what is left."""
        found = self.push(windows)
        while self._tagged:
            found += self._judge.hear(*self._tagged.popleft())
        found += self._add(self._follower.finish(end_s))
        return found + self._judge.finish()

    def _add(self, closed: list[Event]) -> list[Event]:
        found: list[Event] = []
        for event in closed:
            # Seconds less a latency are a little off the sample that is meant.
            onset, offset = (round(t * SAMPLE_RATE_HZ) for t in (event.onset_s, event.offset_s))
            exact = replace(event, onset_s=onset / SAMPLE_RATE_HZ, offset_s=offset / SAMPLE_RATE_HZ)
            found += self._judge.add(exact)
        return found

    def _hear_until(self, sample: int) -> list[Event]:
        found: list[Event] = []
        while self._tagged and self._tagged[0][0] <= sample:
            found += self._judge.hear(*self._tagged.popleft())
        return found
