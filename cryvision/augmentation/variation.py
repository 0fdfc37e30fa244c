"""Random variations of a training clip: how strong they are, and how one is drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryvision.augmentation.effects import CODECS, add_noise, code
from cryvision.augmentation.timescale import shift_pitch, shift_time, stretch_time
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.errors import ConfigError


@dataclass(frozen=True)
class Variation:
    """How much a training clip is changed; each is drawn evenly within its bounds.

    Only training clips are varied, and only after the split from those that
    are tested: a varied copy on the other side of a split is a leak.

    Attributes
    ----------
    pitch_semitones : float
        Largest change of pitch, up or down.
    stretch : float
        Largest change of tempo, as a share.
    shift_seconds : float
        Largest move, earlier or later.
    lowest_snr_db, highest_snr_db : float
        Bounds of the ratio of the clip to the noise that is added.
    coded_share : float
        Share of the clips that are coded as by a phone.
    codecs : tuple of str
        Of `cryvision.augmentation.effects.CODECS`; those by default are in every ffmpeg.
    """

    pitch_semitones: float = 2.0
    stretch: float = 0.1
    shift_seconds: float = 0.1
    lowest_snr_db: float = 15.0
    highest_snr_db: float = 40.0
    coded_share: float = 0.3
    codecs: tuple[str, ...] = ("g723.1", "g726", "alaw", "mulaw")

    def __post_init__(self) -> None:
        if not (0 <= self.pitch_semitones <= 12 and 0 <= self.stretch <= 0.5):
            raise ConfigError(
                "pitch_semitones must be 0 to 12 and stretch 0 to 0.5; got "
                f"{self.pitch_semitones:g} and {self.stretch:g}"
            )
        if not (self.shift_seconds >= 0 and 0 <= self.coded_share <= 1):
            raise ConfigError(
                "shift_seconds must not be negative and coded_share 0 to 1; got "
                f"{self.shift_seconds:g} and {self.coded_share:g}"
            )
        if not -np.inf < self.lowest_snr_db <= self.highest_snr_db < np.inf:
            raise ConfigError(
                "lowest_snr_db must be at most highest_snr_db; got "
                f"{self.lowest_snr_db:g} and {self.highest_snr_db:g}"
            )
        unknown = set(self.codecs) - set(CODECS)
        if unknown or (self.coded_share and not self.codecs):
            raise ConfigError(f"codecs must be of {', '.join(CODECS)}; got {self.codecs!r}")


def vary(
    samples: np.ndarray,
    rng: np.random.Generator,
    variation: Variation | None = None,
    noise: np.ndarray | None = None,
) -> np.ndarray:
    """Draw one variation of a clip: of pitch, tempo, time and noise, and at times of coding.

    Parameters
    ----------
    samples : ndarray of float, shape (n,)
        Sound, 16 kHz.
    rng : numpy.random.Generator
        Draws it; the same numbers are drawn whatever comes of them.
    variation : Variation, optional
    noise : ndarray of float, shape (m,), optional
        Recorded noise to add; white noise without it.

    Returns
    -------
    ndarray of float32, shape (about n,)
        Its length goes with the tempo. Labels keep their place up to tempo and move.

    Raises
    ------
    ConfigError
        If samples or noise are not finite sound.
    MediaError, MissingDependencyError
        If ffmpeg fails or lacks the codec.
    """
    bounds = variation or Variation()
    semitones, stretch, shift = rng.uniform(-1, 1, 3)
    snr_db = rng.uniform(bounds.lowest_snr_db, bounds.highest_snr_db)
    coded = rng.random() < bounds.coded_share
    codec = bounds.codecs[int(rng.integers(len(bounds.codecs)))] if bounds.codecs else ""
    added = rng.standard_normal(SAMPLE_RATE_HZ) if noise is None else noise
    varied = shift_pitch(samples, semitones * bounds.pitch_semitones)
    varied = stretch_time(varied, 1 + stretch * bounds.stretch)
    varied = shift_time(varied, shift * bounds.shift_seconds)
    varied = add_noise(varied, added, snr_db, rng)
    return code(varied, codec) if coded else varied
