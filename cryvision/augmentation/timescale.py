"""Sound at another tempo, another pitch or another time, each without touching the other two.

For training clips only, beside `cryvision.augmentation.effects`, whose ``change_speed`` changes
tempo and pitch together. All sound is mono, 16 kHz, shape (n,). What is not finite sound, and a
setting out of its range, is a ConfigError.
"""

from __future__ import annotations

import numpy as np

from cryvision.augmentation.effects import checked
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.errors import ConfigError

STRETCH_FACTORS = (0.5, 2.0)
LARGEST_SEMITONES = 12.0

_N_FFT, _HOP = 1024, 256


def stretch_time(samples: np.ndarray, factor: float) -> np.ndarray:
    """Play faster or slower at the same pitch.

    The phase vocoder of librosa. Labels do not move along: multiply their times by ``1 / factor``.

    Parameters
    ----------
    samples : ndarray of float, shape (n,)
    factor : float
        Speed, 0.5 to 2; 1.1 is ten per cent faster.

    Returns
    -------
    ndarray of float32, shape (round(n / factor),)
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

    Parameters
    ----------
    samples : ndarray of float, shape (n,)
    semitones : float
        -12 to 12.

    Returns
    -------
    ndarray of float32, shape (n,)
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
    """Move the sound later, or with a negative time earlier; silence fills what becomes free.

    Returns
    -------
    ndarray of float32, shape (n,)
    """
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
