"""Random variations of a training clip: how strong they are, how one is drawn, and made.

Here sound gets another tempo, another pitch or another time, each without touching the other two;
``change_speed`` of `cryvision.augmentation.effects` changes tempo and pitch together. All sound is
mono, 16 kHz, shape (n,). What is not finite sound, and a setting out of its range, is a
ConfigError.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryvision.argument_types import check_types
from cryvision.augmentation.effects import CODECS, add_noise, checked, code
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.errors import ConfigError

STRETCH_FACTORS = (0.5, 2.0)
LARGEST_SEMITONES = 12.0

_N_FFT, _HOP = 1024, 256


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
        check_types(self)
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


def stretch_time(samples: np.ndarray, factor: float) -> np.ndarray:
    """Play faster or slower at the same pitch: speed 0.5 to 2, by the phase vocoder of librosa.

    Labels do not move along: multiply their times by ``1 / factor``.
    """
    samples = checked(samples)
    if not STRETCH_FACTORS[0] <= factor <= STRETCH_FACTORS[1]:
        raise ConfigError(
            f"factor must be {STRETCH_FACTORS[0]:g} to {STRETCH_FACTORS[1]:g}; got {factor:g}"
        )
    if factor == 1 or not len(samples):
        return samples.astype(np.float32)
    import librosa

    sound = np.asarray(samples, np.float32)
    return librosa.effects.time_stretch(sound, rate=factor, n_fft=_N_FFT, hop_length=_HOP)


def shift_pitch(samples: np.ndarray, semitones: float) -> np.ndarray:
    """Raise or lower the pitch at the same tempo; formants move along.

    What would rise above 8 kHz is removed.
    """
    samples = checked(samples)
    if not abs(semitones) <= LARGEST_SEMITONES:
        raise ConfigError(
            f"semitones must be {-LARGEST_SEMITONES:g} to {LARGEST_SEMITONES:g}; got {semitones:g}"
        )
    if semitones == 0 or not len(samples):
        return samples.astype(np.float32)
    import librosa

    return librosa.effects.pitch_shift(
        np.asarray(samples, np.float32),
        sr=SAMPLE_RATE_HZ,
        n_steps=semitones,
        n_fft=_N_FFT,
        hop_length=_HOP,
    )


def shift_time(samples: np.ndarray, seconds: float) -> np.ndarray:
    """Move the sound later, or with a negative time earlier; silence fills what becomes free."""
    samples = checked(samples)
    if not np.isfinite(seconds):
        raise ConfigError(f"seconds must be finite; got {seconds:g}")
    n_moved = round(seconds * SAMPLE_RATE_HZ)
    moved = np.zeros(len(samples), np.float32)
    if n_moved >= 0:
        moved[n_moved:] = samples[: max(0, len(samples) - n_moved)]
    else:
        moved[:n_moved] = samples[-n_moved:]
    return moved
