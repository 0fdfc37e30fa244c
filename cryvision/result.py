"""What a classification holds: plain data that knows nobody."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Event:
    """One bout of crying.

    Attributes
    ----------
    onset_s, offset_s : float
        Seconds from the start of the clip, the detector's latency already taken off.
    label : str
        ``cry``, or the reason the bundle gives.
    confidence : float
        Mean cry score over the event, 0 to 1.
    intensity_db : float
        Level over the event in the bundle's frequency band, dB relative to full scale.
    above_background_db : float
        The same above the background: a low percentile of the past minute's levels.
    branches : dict of str to dict of str to float
        What each branch of the bundle said of the event: mean probability of each class. Without
        the branches that had nothing to say.
    """

    onset_s: float
    offset_s: float
    label: str
    confidence: float
    intensity_db: float
    above_background_db: float
    branches: dict[str, dict[str, float]] = field(default_factory=dict, hash=False)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.offset_s - self.onset_s


@dataclass(frozen=True)
class Detection:
    """Whether a clip holds crying at all.

    Attributes
    ----------
    cry : bool or None
        True when there is at least one event; None where there was no sound to decide from.
    probability : float or None
        The clip's own score: mean over the windows that pass the energy gate (0 when none does).
    seconds : float
        Sum of the events' lengths.
    """

    cry: bool | None
    probability: float | None
    seconds: float


@dataclass(frozen=True)
class Classification:
    """The result of one clip.

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
        nothing is known. ``time_s``, ``cry``, ``cry_smooth``, each class and its ``_smooth``.
    events : tuple of Event
    modalities : tuple of str
        What the label was decided from: ``sound``, ``face``.
    bundle : dict
        ``name`` and ``sha256`` of the bundle.
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
    events: tuple[Event, ...]
    modalities: tuple[str, ...]
    bundle: dict[str, str]
    skill: list[dict[str, Any]]
    media: dict[str, Any] = field(default_factory=dict)
    face_share: float | None = None
    warnings: tuple[str, ...] = ()
