"""F0, voice quality, spectrum and timing of each cry and bout, measured by Praat."""

from __future__ import annotations

from cryvision.acoustics.clip import measure_bouts, measure_clip
from cryvision.acoustics.cry import measure_cry
from cryvision.acoustics.measures import Acoustics, BoutAcoustics, CryAcoustics

__all__ = [
    "Acoustics",
    "BoutAcoustics",
    "CryAcoustics",
    "measure_bouts",
    "measure_clip",
    "measure_cry",
]
