"""Sound at another tempo, another pitch or another time, each without touching the other two.

For training clips only, beside `cryvision.augmentation.effects`, whose ``change_speed`` changes
tempo and pitch together. All sound is mono, 16 kHz, shape (n,).
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from cryvision.augmentation.effects import change_speed, checked
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.errors import ConfigError

STRETCH_FACTORS = (0.5, 2.0)
LARGEST_SEMITONES = 12.0

_N_FFT, _HOP = 1024, 256
_SMALLEST_OVERLAP = 1e-6


def stretch_time(samples: np.ndarray, factor: float) -> np.ndarray:
    """Play faster or slower at the same pitch.

    A phase vocoder: spectra are read at another pace, and each bin's phase goes on at the
    frequency that two neighbouring spectra tell (J. Flanagan, R. Golden, "Phase vocoder", Bell
    System Technical Journal 45, 1966). Labels do not move along: multiply their times by
    ``1 / factor``.

    Parameters
    ----------
    samples : ndarray of float, shape (n,)
    factor : float
        Speed, 0.5 to 2; 1.1 is ten per cent faster.

    Returns
    -------
    ndarray of float32, shape (round(n / factor),)

    Raises
    ------
    ConfigError
        On a factor outside its range, or samples that are not finite sound.
    """
    samples = checked(samples)
    if not STRETCH_FACTORS[0] <= factor <= STRETCH_FACTORS[1]:
        raise ConfigError(
            f"factor must be {STRETCH_FACTORS[0]:g} to {STRETCH_FACTORS[1]:g}; got {factor:g}"
        )
    n_out = round(len(samples) / factor)
    if factor == 1 or not len(samples):
        return samples.astype(np.float32)
    # Centred frames, and one more behind the last that is read.
    padded = np.pad(samples.astype(np.float64), (_N_FFT // 2, _N_FFT // 2 + 2 * _HOP))
    spectra = np.fft.rfft(sliding_window_view(padded, _N_FFT)[::_HOP] * _window())
    places = np.arange(0, len(spectra) - 1, factor)
    before = places.astype(int)
    part = (places - before)[:, None]
    magnitude = (1 - part) * np.abs(spectra[before]) + part * np.abs(spectra[before + 1])
    advance = 2 * np.pi * _HOP * np.arange(_N_FFT // 2 + 1) / _N_FFT
    turned = np.angle(spectra[before + 1]) - np.angle(spectra[before]) - advance
    turned -= 2 * np.pi * np.round(turned / (2 * np.pi))
    phase = np.angle(spectra[0]) + np.concatenate(
        [np.zeros((1, len(advance))), np.cumsum(advance + turned[:-1], axis=0)]
    )
    sound = _joined(np.fft.irfft(magnitude * np.exp(1j * phase), _N_FFT))[_N_FFT // 2 :]
    sound = np.pad(sound, (0, max(0, n_out - len(sound))))
    return sound[:n_out].astype(np.float32)


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

    Raises
    ------
    ConfigError
        On a shift outside its range, or samples that are not finite sound.
    """
    samples = checked(samples)
    if not abs(semitones) <= LARGEST_SEMITONES:
        raise ConfigError(
            f"semitones must be {-LARGEST_SEMITONES:g} to {LARGEST_SEMITONES:g}; got {semitones:g}"
        )
    ratio = 2.0 ** (semitones / 12.0)
    shifted = change_speed(stretch_time(samples, 1 / ratio), ratio)
    return np.pad(shifted, (0, max(0, len(samples) - len(shifted))))[: len(samples)]


def shift_time(samples: np.ndarray, seconds: float) -> np.ndarray:
    """Move the sound later, or with a negative time earlier; silence fills what becomes free.

    Returns
    -------
    ndarray of float32, shape (n,)

    Raises
    ------
    ConfigError
        On a time that is not finite, or samples that are not finite sound.
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


def _window() -> np.ndarray:
    """Periodic Hann window, for taking frames and for joining them."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_N_FFT) / _N_FFT)


def _joined(frames: np.ndarray) -> np.ndarray:
    """Overlap and add frames, weighed so that frames of one sound give it back."""
    window = _window()
    n_samples = (len(frames) - 1) * _HOP + _N_FFT
    sound, weight = np.zeros(n_samples), np.zeros(n_samples)
    for i, frame in enumerate(frames):
        here = slice(i * _HOP, i * _HOP + _N_FFT)
        sound[here] += frame * window
        weight[here] += window**2
    return sound / np.maximum(weight, _SMALLEST_OVERLAP)
