"""A synthetic voice: pulses of the vocal folds, sent through the resonances of a vocal tract.

The source-filter model of G. Fant, "Acoustic Theory of Speech Production", 1960.
"""

from __future__ import annotations

import numpy as np

from cryvision.augmentation.tones_and_noise import log_uniform
from cryvision.config import SAMPLE_RATE_HZ

_FRAME = 512
_FRAME_HOP = 256
_FRAME_FFT = 1024

VOWELS_HZ = np.array(
    [
        [270, 390, 530, 660, 730, 570, 440, 300, 640, 490],
        [2290, 1990, 1840, 1720, 1090, 840, 1020, 870, 1190, 1350],
        [3010, 2550, 2480, 2410, 2440, 2410, 2240, 2240, 2390, 1690],
    ]
).T
"""Mean F1 to F3 of ten vowels spoken by men, shape (10, 3): Peterson & Barney (1952), J. Acoust.
Soc. Am. 24(2), table II."""


def vocal_folds(rng: np.random.Generator, f0_hz: np.ndarray) -> np.ndarray:
    """Give one pulse a period of a pitch, in Hz at each sample, with a little jitter and shimmer.

    They lie between samples where they fall so.
    """
    cycles = np.cumsum(f0_hz) / SAMPLE_RATE_HZ
    pulses = np.arange(1, int(cycles[-1]) + 1) + rng.normal(0, 0.01, int(cycles[-1]))
    samples_at = np.interp(pulses, cycles, np.arange(len(cycles), dtype=np.float64))
    whole = samples_at.astype(np.int64)
    sizes = rng.normal(1, 0.06, len(samples_at)) * np.sqrt(SAMPLE_RATE_HZ / f0_hz[whole])
    late = samples_at - whole
    early = np.bincount(whole, sizes * (1 - late), minlength=len(f0_hz) + 1)
    return np.asarray((early + np.bincount(whole + 1, sizes * late, len(f0_hz) + 1))[: len(f0_hz)])


def vocal_tract(
    rng: np.random.Generator, source: np.ndarray, knots_s: np.ndarray, formants_hz: np.ndarray
) -> np.ndarray:
    """Pass a source through four resonances that glide between the times at which they are given.

    The formants have shape (n_knots, 4). Drawn are the roll-off of the source and the width of the
    resonances.
    """
    n_frames = 1 + -(-len(source) // _FRAME_HOP)
    padded = np.zeros((n_frames + 1) * _FRAME_HOP, dtype=np.float32)
    padded[_FRAME_HOP : _FRAME_HOP + len(source)] = source
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[::_FRAME_HOP]
    frames = frames * np.hanning(_FRAME + 1)[:-1].astype(np.float32)
    gains = _gains(rng, np.arange(n_frames) * (_FRAME_HOP / SAMPLE_RATE_HZ), knots_s, formants_hz)
    turned = np.fft.irfft(np.fft.rfft(frames, _FRAME_FFT) * gains, _FRAME_FFT)
    # The gains have no phase, so half of the response comes before the frame.
    turned = np.roll(turned, _FRAME_HOP, axis=1).reshape(n_frames, -1, _FRAME_HOP)
    out = np.zeros((n_frames + turned.shape[1], _FRAME_HOP))
    for part in range(turned.shape[1]):
        out[part : part + n_frames] += turned[:, part]
    return out.reshape(-1)[2 * _FRAME_HOP : 2 * _FRAME_HOP + len(source)]


def _gains(
    rng: np.random.Generator, times_s: np.ndarray, knots_s: np.ndarray, formants_hz: np.ndarray
) -> np.ndarray:
    """Gain of the tract at each time and bin, float32: single precision halves the work."""
    frequency_hz = np.fft.rfftfreq(_FRAME_FFT, 1 / SAMPLE_RATE_HZ).astype(np.float32)
    roll_off_hz = log_uniform(rng, 150, 900)
    gains = 1 / np.sqrt(1 + (frequency_hz / roll_off_hz) ** 2)
    bandwidths_hz = float(rng.uniform(0.8, 1.6)) * np.array([70, 100, 160, 250], dtype=np.float32)
    for formant, bandwidth_hz in zip(formants_hz.T, bandwidths_hz, strict=True):
        centre = np.interp(times_s, knots_s, formant).astype(np.float32)[:, None]
        away = np.square(centre * centre - np.square(frequency_hz))
        gains = gains * (centre * centre / np.sqrt(away + np.square(bandwidth_hz * frequency_hz)))
    return np.asarray(gains)
