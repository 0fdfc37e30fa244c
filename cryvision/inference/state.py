"""The state of a stream at this moment."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(frozen=True)
class StreamState:
    """What is known of the newest sound and picture of a stream.

    Attributes
    ----------
    time_s : float
        Seconds of the stream so far.
    crying : bool or None
        Whether there is crying now: an event that stands is open, or ended less than the bout gap
        ago. None where nothing is known: see ``not_scored``.
    since_s : float or None
        Onset of the bout of that crying, in seconds of the stream; None where there is none.
    probability : float or None
        Cry score of the newest step, as in the timeline; None where it was not scored.
    level_dbfs : float
        Mean level of the past second in the band of the detector; NaN before its first step.
    above_background_db : float
        The same above the background: a low percentile of the past minute's levels.
    tags : dict of str to float
        Scores of the other tags detected in the tagger's newest window, the highest first;
        empty without a tagger.
    not_scored : dict of str to str
        ``sound`` or ``face`` to why nothing is known of it now.
    recent_probability : float
        Mean cry score of the past second; what was not scored counts as 0.
    """

    time_s: float
    crying: bool | None
    since_s: float | None
    probability: float | None
    level_dbfs: float
    above_background_db: float
    tags: dict[str, float] = field(default_factory=dict, hash=False)
    not_scored: dict[str, str] = field(default_factory=dict, hash=False)
    recent_probability: float = 0.0

    @classmethod
    def unknown(cls, time_s: float, why: str) -> StreamState:
        """Make the state of a stream in which nothing of the sound is scored."""
        return cls(time_s, None, None, None, math.nan, math.nan, not_scored={"sound": why})
