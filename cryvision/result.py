"""The result of a classification: plain data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cryvision.spans import covered_seconds, shorter

if TYPE_CHECKING:
    from cryvision.acoustics.measures import Acoustics
    from cryvision.inputs.quality import MinuteQuality
    from cryvision.start_times import RecordingStart


@dataclass(frozen=True)
class Event:
    """One cry: a stretch of crying without a pause.

    Attributes
    ----------
    onset_s : float
        Seconds from the start of the clip, the detector's latency already taken off.
    offset_s : float or None
        The same for its end. None while a stream is still inside the event; all events of a
        result have ended.
    label : str
        ``cry``, or the reason the bundle gives.
    confidence : float
        Mean cry score over the event, lowered where the tagger heard less crying at it, 0 to 1.
    intensity_db, above_background_db : float
        Level over the event in the bundle's frequency band, dB relative to full scale, and above
        the background: a low percentile of the past minute's levels.
    branches : dict of str to dict of str to float
        Each branch's mean probability of each class over the event; without branches that have no
        output.
    other_tag, other_tag_score : str, float
        The strongest other tag at the event, as ``music``, and its score, 0 to 1; empty where
        nothing else was detected, or the bundle has no tagger.
    rejected : str
        Empty for an event that stands. Else the reason of its rejection: ``other_tag``, or ``not
        crying`` where no other tag was detected.
    """

    onset_s: float
    offset_s: float | None
    label: str
    confidence: float
    intensity_db: float
    above_background_db: float
    branches: dict[str, dict[str, float]] = field(default_factory=dict, hash=False)
    other_tag: str = ""
    other_tag_score: float = 0.0
    rejected: str = ""

    @property
    def span_s(self) -> tuple[float, float]:
        """Onset and offset in seconds; ValueError for an event that has not ended."""
        if self.offset_s is None:
            raise ValueError(f"the event that began at {self.onset_s:g} s has not ended")
        return self.onset_s, self.offset_s

    @property
    def duration_s(self) -> float:
        """Length in seconds; ValueError for an event that has not ended."""
        onset_s, offset_s = self.span_s
        return offset_s - onset_s


BOUT_GAP_SECONDS = 0.5
"""Events less than this far apart belong to one bout."""


@dataclass(frozen=True)
class Bout:
    """Events that follow each other less than a stated gap apart: a view of the events.

    `cry_seconds` is the bout without its pauses; `confidence` is the mean of the events', weighted
    by their lengths, `intensity_db` that of their power, and `above_background_db` the largest
    distance of an event from its background, both of the events whose level is known.
    """

    onset_s: float
    offset_s: float
    n_events: int
    cry_seconds: float
    confidence: float
    intensity_db: float
    above_background_db: float

    @property
    def span_s(self) -> tuple[float, float]:
        return self.onset_s, self.offset_s

    @property
    def duration_s(self) -> float:
        """Length in seconds, pauses included."""
        return self.offset_s - self.onset_s


def find_bouts(events: Sequence[Event], gap_seconds: float = BOUT_GAP_SECONDS) -> tuple[Bout, ...]:
    """Put events less than ``gap_seconds`` apart together; they must be in order of time."""
    bouts: list[Bout] = []
    group: list[Event] = []
    end_s = -math.inf
    for event in events:
        if group and not shorter(event.onset_s - end_s, gap_seconds):
            bouts.append(_bout(group))
            group = []
        group.append(event)
        end_s = max(end_s, event.span_s[1])
    return (*bouts, _bout(group)) if group else ()


def _bout(events: list[Event]) -> Bout:
    seconds = np.array([event.duration_s for event in events])
    weights = (
        seconds / seconds.sum() if seconds.sum() > 0 else np.full(len(events), 1 / len(events))
    )
    # What a person found, the detector knows no level of.
    levels_db = np.array([event.intensity_db for event in events])
    known = weights * ~np.isnan(levels_db)
    power = math.nan
    if known.any():
        power = float(known @ 10 ** (np.nan_to_num(levels_db) / 10) / known.sum())
    return Bout(
        onset_s=events[0].onset_s,
        offset_s=max(event.span_s[1] for event in events),
        n_events=len(events),
        cry_seconds=covered_seconds(event.span_s for event in events),
        confidence=float(weights @ np.array([event.confidence for event in events])),
        intensity_db=-math.inf if power == 0 else 10 * math.log10(power),
        above_background_db=float(np.fmax.reduce([e.above_background_db for e in events])),
    )


@dataclass(frozen=True)
class Detection:
    """Whether a clip holds crying at all.

    Attributes
    ----------
    cry : bool or None
        True when there is at least one event; None where there was no sound to decide from.
    probability : float or None
        The clip's own score: the highest mean of the timeline's cry score over half a second (0
        where nothing passes the energy gate); at most 0.5 without an event.
    seconds : float
        Sum of the events' lengths; 0 means nothing where ``cry`` is None.
    """

    cry: bool | None
    probability: float | None
    seconds: float


_REPR_PATH_LETTERS = 60


@dataclass(frozen=True, eq=False, repr=False)
class Classification:
    """The result of one clip. Two are equal only if they are the same object.

    Attributes
    ----------
    path : str
        The clip, as it was given; empty for a live stream.
    duration_s : float
        Length of the timeline in seconds.
    label : str
        ``no cry``, ``cry`` or a reason, or ``not sure``.
    probabilities : dict of str to float
        Per label, in the bundle's order; empty where there was nothing to decide from.
    detector : Detection
    timeline : dict of str to ndarray
        Columns of float32, shape (n_frames,), one row a frame of the 30 Hz clock; NaN where
        nothing is known. ``time_s`` (float64), ``cry``, ``cry_smooth``, each class and its
        ``_smooth``, and ``heard_<tag>`` for each tag of the bundle's tagger.
    events : sequence of Event
    rejected : sequence of Event
        Candidates that the tagger did not detect as crying; they count nowhere.
    bout_gap_s : float
        Events less than this far apart make one bout.
    threshold, min_duration_s, min_gap_s : float or None
        Score at which an event opened, the shortest event, and the gap from which on none was
        bridged: as they were used. None where the bundle has no detector.
    veto : str
        ``off``, ``normal`` or ``strict``: how much crying the tagger had to detect.
    heard_seconds : dict of str to float
        Seconds in which each tag was detected; empty without a tagger.
    acoustics : Acoustics or None
        Measures of each cry and bout, from `cryvision.acoustics.measure_clip`.
    start : RecordingStart or None
        When the recording started, where that is known.
    quality : tuple of MinuteQuality
        Of the sound of each minute; empty for a stream.
    quiet_seconds : tuple of float
        Of each minute of the sound, seconds below the level gate: they were not scored. Empty
        where the bundle has no detector, 0 for minutes that a stream has forgotten.
    modalities : tuple of str
        What the label was decided from: ``sound``, ``face``.
    bundle : dict
        ``name`` and ``sha256`` of the bundle, and ``band_hz``: the lowest and the highest frequency
        of its detector.
    skill : list of dict
        What was measured of the bundle on subjects it had not seen.
    media : dict
        What was found in the file.
    face_share : float or None
        Share of the frames that show a face; None where faces were not looked for.
    warnings : tuple of str
    """

    path: str
    duration_s: float
    label: str
    probabilities: dict[str, float]
    detector: Detection
    timeline: dict[str, np.ndarray]
    events: Sequence[Event]
    modalities: tuple[str, ...]
    bundle: dict[str, Any]
    skill: list[dict[str, Any]]
    media: dict[str, Any] = field(default_factory=dict)
    face_share: float | None = None
    warnings: tuple[str, ...] = ()
    rejected: Sequence[Event] = ()
    bout_gap_s: float = BOUT_GAP_SECONDS
    threshold: float | None = None
    min_duration_s: float | None = None
    min_gap_s: float | None = None
    veto: str = "off"
    heard_seconds: dict[str, float] = field(default_factory=dict)
    acoustics: Acoustics | None = None
    start: RecordingStart | None = None
    quality: tuple[MinuteQuality, ...] = ()
    quiet_seconds: tuple[float, ...] = ()

    @property
    def bouts(self) -> tuple[Bout, ...]:
        """The crying put together where less than ``bout_gap_s`` lies between two events."""
        return find_bouts(self.crying, self.bout_gap_s)

    @property
    def crying(self) -> Sequence[Event]:
        """The events that make bouts: all that a detector finds."""
        return self.events

    def is_crying(self, event: Event) -> bool:
        return True

    def __repr__(self) -> str:
        path = repr(self.path)
        if len(path) > _REPR_PATH_LETTERS:
            path = f"'...{path[-_REPR_PATH_LETTERS:]}"
        crying = f"{self.detector.seconds:.2f} s of crying in {len(self.events)} events"
        crying = "crying unknown" if self.detector.cry is None else crying
        return f"<Classification {path}: {self.duration_s:.2f} s, label {self.label!r}, {crying}>"
