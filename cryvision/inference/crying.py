"""Crying and other tags in a stream of sound: scores, columns and events."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from cryvision.bundle import Bundle
from cryvision.config import FRAME_RATE_HZ, SAMPLE_RATE_HZ
from cryvision.inference.detector import CryDetector, DetectorWindows
from cryvision.inference.events import EventStream
from cryvision.inference.kept_events import KeptEvents
from cryvision.inference.label_policy import CRY
from cryvision.inference.options import Options
from cryvision.inference.state import StreamState
from cryvision.inference.tags import HEARD, SILENCE_TAG, TagWindows
from cryvision.inference.timeline import HeldPredictions
from cryvision.inputs.frame_rows import RowFiles
from cryvision.inputs.quality import MINUTE_SECONDS
from cryvision.result import Event
from cryvision.spans import shorter

HEARD_COLUMN = "heard_{}"
"""Name of a tag's column in the timeline."""

SOUND = "sound"

_MINUTE = MINUTE_SECONDS * SAMPLE_RATE_HZ

WORTH_SAYING = 0.1
"""Share of a clip too quiet to be scored from which on the result has a warning."""


PEAK_SECONDS = 0.5
"""A clip's score is its highest mean score over so long."""

MOST_WITHOUT_EVENT = 0.5
"""Highest score of a clip in which no event stands: the veto knows what the timeline does not."""


class CryStream:
    """Follows the crying in a stream of sound.

    The bundle, to which the options have been applied, must have a detector; ``files`` as for
    `HeldPredictions`. `events` are those so far that stand and have ended, `n_scored` the windows
    or steps so far that passed the energy gate.
    """

    def __init__(self, bundle: Bundle, options: Options, files: RowFiles | None) -> None:
        self._detector = CryDetector(bundle, options.runtime, options.veto)
        self._bout_gap_s = options.bout_gap_s
        self._bout_onset_s = 0.0
        self._newest_probability: float | None = None
        n_recent = max(1, SAMPLE_RATE_HZ // self._detector.hop_samples)
        self._recent = deque([0.0] * n_recent, n_recent)
        self._newest_tags = np.zeros(len(self._detector.tags), np.float32)
        self._following = EventStream(self._detector)
        self._cry = HeldPredictions((CRY,), bundle.smooth_seconds, files)
        self._tag_columns: HeldPredictions | None = None
        if self._detector.tags:
            self._tag_columns = HeldPredictions(
                [HEARD_COLUMN.format(tag) for tag in self._detector.tags], None, files
            )
        self._tag_samples = np.zeros(len(self._detector.tags), np.int64)
        self._n_tagged = self._tagged_until = 0
        self._n_samples = 0
        self._n_peak = max(1, int(PEAK_SECONDS * SAMPLE_RATE_HZ) // self._detector.hop_samples)
        self._newest_scores = np.empty(0)
        self._peak: float | None = None
        self._padded = self._cried = False
        self.n_scored = 0
        self._n_quiet = 0
        self._quiet_samples: dict[int, int] = {}
        self.events = KeptEvents()

    @property
    def rejected(self) -> KeptEvents:
        """Candidates so far that do not stand, by onset."""
        return self._following.rejected

    @property
    def veto(self) -> str:
        """Level of the veto; ``off`` where nothing is vetoed."""
        return self._detector.veto_level

    @property
    def score(self) -> float:
        """Highest mean of the timeline over half a second; at most 0.5 while no event stands."""
        peak = self._peak
        if peak is None:  # shorter than that
            peak = float(np.mean(self._newest_scores)) if len(self._newest_scores) else 0.0
        return peak if self._cried else min(peak, MOST_WITHOUT_EVENT)

    @property
    def heard_seconds(self) -> dict[str, float]:
        seconds = (self._tag_samples / SAMPLE_RATE_HZ).tolist()
        return dict(zip(self._detector.tags, seconds, strict=True))

    @property
    def quiet_seconds(self) -> tuple[float, ...]:
        """Seconds of each minute so far that were too quiet to be scored; 0 of forgotten ones."""
        n_minutes = -(-self._n_samples // _MINUTE)
        return tuple(self._quiet_samples.get(m, 0) / SAMPLE_RATE_HZ for m in range(n_minutes))

    def push(self, samples: np.ndarray) -> tuple[DetectorWindows, list[Event]]:
        """Take the next samples; give the detector's scores, and what began or ended."""
        self._n_samples += len(samples)
        windows = self._detector.push(samples)
        self._note(windows)
        events = self._following.push(windows)
        for event in events:
            self._note_event(event)
        return windows, events

    def state(self) -> StreamState:
        time_s = self._n_samples / SAMPLE_RATE_HZ
        level_db = self._following.level_db
        scored = self._newest_probability is not None
        crying = self._following.open is not None or (
            bool(self.events) and shorter(time_s - self.events[-1].span_s[1], self._bout_gap_s)
        )
        tags = zip(self._detector.tags[1:], self._newest_tags[1:].tolist(), strict=True)
        detected = {tag: score for tag, score in tags if score >= HEARD and tag != SILENCE_TAG}
        quiet = f"quieter than {self._detector.gate.min_level_dbfs:g} dBFS"
        return StreamState(
            time_s=time_s,
            crying=crying if crying or scored else None,
            since_s=self._bout_onset_s if crying else None,
            probability=self._newest_probability,
            recent_probability=float(np.mean(self._recent)),
            level_dbfs=level_db,
            above_background_db=level_db - self._following.background_db,
            tags=dict(sorted(detected.items(), key=lambda item: -item[1])),
            not_scored={} if scored else {SOUND: quiet if self._n_samples else "no sound yet"},
        )

    def finish(self) -> DetectorWindows:
        windows = self._detector.finish()
        self._note(windows)
        for event in self._following.finish(windows, self._n_samples / SAMPLE_RATE_HZ):
            self._note_event(event)
        # No frame lies behind the end of a clip's only window, so the last one carries it.
        n_frames = round(self._n_samples / SAMPLE_RATE_HZ * FRAME_RATE_HZ)
        self._padded = windows.padded
        if windows.padded:
            self._cry.fill_last(n_frames)
        if self._tag_columns is not None and self._n_tagged == 1:
            self._tag_columns.fill_last(n_frames)
        return windows

    def columns(self, n_frames: int, first: int = 0) -> dict[str, np.ndarray]:
        tags = {} if self._tag_columns is None else self._tag_columns.columns(n_frames, first)
        return {**self._cry.columns(n_frames, first), **tags}

    def forget(self, first: int) -> None:
        self._cry.forget(first)
        if self._tag_columns is not None:
            self._tag_columns.forget(first)
        first_minute = first // (MINUTE_SECONDS * FRAME_RATE_HZ)
        self._quiet_samples = {m: n for m, n in self._quiet_samples.items() if m >= first_minute}
        for events in (self.events, self.rejected):
            events.forget(first / FRAME_RATE_HZ)

    def notes(self) -> list[str]:
        notes: list[str] = []
        level = self._detector.gate.min_level_dbfs
        if self._n_samples and not self.n_scored:
            notes.append(f"no window is louder than {level:g} dBFS: nothing was scored")
        elif self._n_quiet > WORTH_SAYING * (self._n_quiet + self.n_scored):
            share = self._n_quiet / (self._n_quiet + self.n_scored)
            notes.append(
                f"{share:.0%} of the sound is below {level:g} dBFS, too quiet to be scored"
            )
        if self._padded:
            seconds = self._detector.span_samples / SAMPLE_RATE_HZ
            notes.append(f"shorter than one window ({seconds:g} s): padded with silence")
        if self._detector.non_finite:
            notes.append(
                f"{self._detector.non_finite} samples were not finite, or far beyond full scale, "
                "and count as zero"
            )
        return notes

    def _note_event(self, event: Event) -> None:
        """Keep an event that has ended, and the onset of the bout that it belongs to."""
        last_s = self.events[-1].span_s[1] if self.events else -math.inf
        if not shorter(event.onset_s - last_s, self._bout_gap_s):
            self._bout_onset_s = event.onset_s
        if event.offset_s is not None:
            self.events.append(event)
            self._cried = True

    def _note(self, windows: DetectorWindows) -> None:
        """Write the frames that are settled, and count."""
        if len(windows.scored):
            newest = float(windows.probabilities[-1])
            self._newest_probability = newest if windows.scored[-1] else None
        if len(windows.tags):
            self._newest_tags = windows.tags.scores[-1]
        scores = windows.probabilities * windows.scored
        self._recent.extend(scores.tolist())
        self._note_peak(scores)
        n_scored = int(np.count_nonzero(windows.scored))
        self.n_scored += n_scored
        self._n_quiet += len(windows.scored) - n_scored
        self._note_quiet(windows)
        probabilities = windows.probabilities[:, None]
        self._cry.write(windows.shown_samples, probabilities, windows.settled_samples)
        if self._tag_columns is not None:
            self._note_tags(self._tag_columns, windows.tags)

    def _note_peak(self, scores: np.ndarray) -> None:
        """Keep the highest mean over so many scores one after the other."""
        scores = np.concatenate([self._newest_scores, scores])
        if len(scores) >= self._n_peak:
            spans = np.lib.stride_tricks.sliding_window_view(scores, self._n_peak)
            self._peak = max(self._peak or 0.0, float(spans.mean(axis=1).max()))
        self._newest_scores = scores[max(0, len(scores) - self._n_peak + 1) :]

    def _note_quiet(self, windows: DetectorWindows) -> None:
        """Count what is shown of each window that is too quiet, in the minute it begins in."""
        quiet = ~windows.scored
        spans = windows.end_samples[quiet] - windows.start_samples[quiet]
        n_shown = np.minimum(spans, self._detector.hop_samples)
        minutes = windows.shown_samples[quiet] // _MINUTE
        for minute in np.unique(minutes).tolist():
            n_samples = int(n_shown[minutes == minute].sum())
            self._quiet_samples[minute] = self._quiet_samples.get(minute, 0) + n_samples

    def _note_tags(self, columns: HeldPredictions, tags: TagWindows) -> None:
        columns.write(tags.end_samples, tags.scores, min(tags.settled_samples, self._n_samples))
        hops = np.diff(tags.end_samples, prepend=self._tagged_until)
        self._tag_samples += hops @ (tags.scores >= HEARD)
        self._n_tagged += len(tags)
        if len(tags):
            self._tagged_until = int(tags.end_samples[-1])
