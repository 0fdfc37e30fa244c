"""The veto: an event of the edges stands only where the tagger detects crying."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from cryvision.config import SAMPLE_RATE_HZ, VETO_LEVELS, VetoConfig
from cryvision.inference.kept_events import KeptEvents
from cryvision.inference.tags import HEARD, SILENCE_TAG
from cryvision.result import Event

NOT_CRYING = "not crying"
"""The reason for rejecting a candidate where no other tag was detected either."""

NAMED_REJECTED = 0.25
"""Score from which on the strongest other tag names the reason for a rejection."""

CERTAIN = 1e-4
"""Products are kept this far from 0 and 1, where a logit would make much of their rounding."""

Numbers = TypeVar("Numbers", float, np.ndarray)


def fused(scores: Numbers, tag_cry: Numbers, veto: VetoConfig, level: str) -> Numbers:
    """Multiply scores of the edges by the tagger's clipped largest score of crying beside each."""
    product: Numbers = scores * np.minimum(1.0, tag_cry / veto.live(level))
    return product


def largest_tag_cry(
    step_ends: np.ndarray,
    tag_ends: np.ndarray,
    tag_cry: np.ndarray,
    lookahead_samples: int,
    veto: VetoConfig,
) -> np.ndarray:
    """Find the tagger's largest score of crying in the past of each step, and in its look-ahead.

    Ends of steps and of the tagger's windows, of which ``tag_cry`` are the scores, are in samples.
    """
    past = step_ends - round(veto.live_seconds * SAMPLE_RATE_HZ)
    first = np.searchsorted(tag_ends, past, side="right")
    last = np.searchsorted(tag_ends, step_ends + lookahead_samples, side="right")
    largest = [tag_cry[a:b].max(initial=0.0) for a, b in zip(first, last, strict=True)]
    return np.array(largest, np.float32)


def calibrated(product: Numbers, veto: VetoConfig) -> Numbers:
    """Turn fused scores into probabilities."""
    inside = np.clip(product, CERTAIN, 1 - CERTAIN)
    logits = np.log(inside / (1 - inside)) / veto.temperature + veto.bias
    probabilities: Numbers = 1 / (1 + np.exp(-logits))
    return probabilities


@dataclass
class _Candidate:
    """An event of the edges and the tagger's scores near it; times in samples."""

    onset: int
    near_from: int
    largest_at: np.ndarray
    at_until: int = 0
    near_until: int = 0
    near: float = 0.0
    last_end: int = -1
    event: Event | None = None
    stands: bool | None = None

    def update(self, end: int, scores: np.ndarray) -> None:
        """Add a window of the tagger that ends at a sample, later than those before."""
        self.last_end = end
        if self.onset <= end <= self.at_until:
            self.largest_at = np.maximum(self.largest_at, scores)
        if self.near_from <= end <= self.near_until:
            self.near = max(self.near, float(scores[0]))

    @property
    def at(self) -> float:
        """Largest score of crying in the windows at the event."""
        return float(self.largest_at[0])


class EventFilter:
    """Decides which candidates stand, each as soon as it can be known.

    The tags of the tagger begin with crying; there are none without one. Without a veto, or with
    the level ``off``, every candidate stands. `rejected` are those so far that do not, in order of
    onset.
    """

    def __init__(self, tags: Sequence[str], veto: VetoConfig | None, level: str) -> None:
        self._tags = tuple(tags)
        self._veto = VetoConfig() if veto is None else veto
        self._level = level if veto is not None else VETO_LEVELS[0]
        self._others = [i for i, tag in enumerate(tags) if i and tag != SILENCE_TAG]
        self._windows: deque[tuple[int, np.ndarray]] = deque()
        self._waiting: deque[_Candidate] = deque()
        self._open: _Candidate | None = None
        self.rejected = KeptEvents()

    def add_tags(self, end: int, scores: np.ndarray) -> list[Event]:
        """Add the tagger's next window, which ends at a sample; return events that now stand."""
        self._windows.append((end, scores))
        for candidate in self._waiting:
            if candidate.stands is None:
                candidate.update(end, scores)
                self._decide(candidate, end)
        return self._decided()

    def watch(self, onset: int, until: int) -> bool:
        """Follow a candidate that has not ended; return whether it stands already.

        It began at the sample ``onset`` and can end at ``until`` at the earliest. What stands once
        stands for good: the windows that count for it only become more.
        """
        candidate = self._open
        if candidate is None or candidate.onset != onset:
            candidate = self._open = self._candidate(onset)
        self._extend(candidate, until)
        for end, scores in self._windows:
            if candidate.last_end < end <= min(candidate.at_until, candidate.near_until):
                candidate.update(end, scores)
        return self._enough(candidate)

    def describe_open(self, event: Event) -> Event:
        """Return the watched event with its confidence and its strongest other tag."""
        return event if self._open is None else self._described(event, self._open, stands=True)

    def add(self, event: Event) -> list[Event]:
        """Take the next candidate, which has ended; give what stands, in order of onset."""
        onset, offset = (round(t * SAMPLE_RATE_HZ) for t in event.span_s)
        candidate, self._open = self._open, None
        if candidate is None or candidate.onset != onset:
            candidate = self._candidate(onset)
        candidate.event = event
        self._extend(candidate, offset)
        for end, scores in self._windows:
            if end > candidate.last_end:
                candidate.update(end, scores)
        self._decide(candidate, self._windows[-1][0] if self._windows else 0)
        self._waiting.append(candidate)
        return self._decided()

    def forget(self, before: int, *, none_open: bool) -> None:
        """Forget windows that no candidate with an onset from this sample on can ask for.

        With ``none_open``, nothing is watched any more.
        """
        if none_open:
            self._open = None
        first = before - self._near_samples
        if self._open is not None:
            first = min(first, self._open.last_end + 1)
        while self._windows and self._windows[0][0] < first:
            self._windows.popleft()

    def finish(self) -> list[Event]:
        """Decide what is left at the end of the stream; give what stands."""
        for candidate in self._waiting:
            candidate.stands = bool(candidate.stands)
        return self._decided()

    @property
    def _near_samples(self) -> int:
        return round(self._veto.near_seconds * SAMPLE_RATE_HZ)

    def _candidate(self, onset: int) -> _Candidate:
        silent = np.zeros(max(1, len(self._tags)), np.float32)
        return _Candidate(onset, onset - self._near_samples, silent)

    def _extend(self, candidate: _Candidate, offset: int) -> None:
        """Let the windows count that count for an end at this sample."""
        candidate.at_until = offset + round(self._veto.after_seconds * SAMPLE_RATE_HZ)
        candidate.near_until = offset + self._near_samples

    def _enough(self, candidate: _Candidate) -> bool:
        at, near = self._veto.at(self._level), self._veto.near(self._level)
        return candidate.at >= at and candidate.near >= near

    def _decide(self, candidate: _Candidate, now: int) -> None:
        if self._enough(candidate):
            candidate.stands = True
        elif now > candidate.near_until or (
            now > candidate.at_until and candidate.at < self._veto.at(self._level)
        ):
            candidate.stands = False

    def _decided(self) -> list[Event]:
        """Take the candidates that need not wait for an earlier one; give those that stand."""
        standing = []
        while self._waiting and self._waiting[0].stands is not None:
            candidate = self._waiting.popleft()
            if candidate.event is None:
                continue
            event = self._described(candidate.event, candidate, stands=bool(candidate.stands))
            if candidate.stands:
                standing.append(event)
            else:
                self.rejected.append(replace(event, rejected=event.other_tag or NOT_CRYING))
        return standing

    def _described(self, event: Event, candidate: _Candidate, *, stands: bool) -> Event:
        """Return an event with its confidence and its strongest other tag."""
        if self._level != VETO_LEVELS[0]:
            product = fused(event.confidence, candidate.at, self._veto, self._level)
            event = replace(event, confidence=float(calibrated(product, self._veto)))
        if not self._others:
            return event
        largest = max(self._others, key=lambda i: candidate.largest_at[i])
        score = float(candidate.largest_at[largest])
        if score < (HEARD if stands else NAMED_REJECTED):
            return event
        return replace(event, other_tag=self._tags[largest], other_tag_score=score)
