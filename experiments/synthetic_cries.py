"""Cries whose F0, phases and modes are set: harmonics of a drawn contour, through formants.

The sum of harmonics has no period grid, so F0 is exact at every sample. The formants are those of
a tube of about 8 cm, closed at the folds (Fant, "Acoustic Theory of Speech Production", 1960):
1,100, 3,300 and 5,500 Hz.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryvision.config import SAMPLE_RATE_HZ

CONTOURS = ("steady", "rising", "falling", "arch", "vibrato")
FORMANTS_HZ = (1100.0, 3300.0, 5500.0)
LOWEST_HZ, HIGHEST_HZ = 200.0, 1500.0
FADE_SECONDS = 0.05
QUIET_SECONDS = 0.3
"""Before and after each cry."""


@dataclass(frozen=True)
class SyntheticCry:
    """A cry and the truth about it.

    Attributes
    ----------
    samples : ndarray of float32, shape (n,)
        16 kHz mono, noise included.
    f0_hz : ndarray of float64, shape (n,)
        NaN where nothing is sung.
    onset_s, offset_s : float
    contour : str
    """

    samples: np.ndarray
    f0_hz: np.ndarray
    onset_s: float
    offset_s: float
    contour: str

    def f0_at(self, time_s: np.ndarray) -> np.ndarray:
        """F0 in Hz at some times; NaN outside the cry."""
        return self.f0_hz[
            np.clip(np.round(time_s * SAMPLE_RATE_HZ).astype(int), 0, len(self.f0_hz) - 1)
        ]


def draw_cry(
    rng: np.random.Generator,
    snr_db: float,
    contour: str | None = None,
    middle_hz: float | None = None,
    seconds: float | None = None,
) -> SyntheticCry:
    """Draw one cry in noise.

    Parameters
    ----------
    rng : numpy.random.Generator
    snr_db : float
        Power of the cry over that of the noise, both over the cry's own time.
    contour : str, optional
        One of `CONTOURS`; drawn by default.
    middle_hz, seconds : float, optional
        Drawn by default: F0 within 200 to 1,500 Hz with its whole contour, 0.5 to 1.5 s.
    """
    contour = contour or str(rng.choice(CONTOURS))
    seconds = seconds or rng.uniform(0.5, 1.5)
    f0_hz = draw_contour(rng, contour, round(seconds * SAMPLE_RATE_HZ), middle_hz)
    voice = sing(rng, f0_hz)
    quiet = round(QUIET_SECONDS * SAMPLE_RATE_HZ)
    noise = draw_noise(rng, len(voice) + 2 * quiet)
    noise *= np.sqrt(np.mean(voice**2) / np.mean(noise**2)) * 10 ** (-snr_db / 20)
    whole = np.pad(voice, quiet) + noise
    scale = 10 ** (rng.uniform(-30, -6) / 20) / np.abs(whole).max()
    return SyntheticCry(
        (whole * scale).astype(np.float32),
        np.pad(f0_hz, quiet, constant_values=np.nan),
        QUIET_SECONDS, QUIET_SECONDS + len(voice) / SAMPLE_RATE_HZ, contour,
    )  # fmt: skip


MODES = ("phonation", "hyperphonation", "dysphonation")


@dataclass(frozen=True)
class SyntheticMixture:
    """A cry that changes between modes, and the truth about it.

    Attributes
    ----------
    samples : ndarray of float32, shape (n,)
        16 kHz mono, noise included.
    modes : ndarray of int, shape (n,)
        Index in `MODES` of each sample; -1 outside the cry.
    onset_s, offset_s : float
    """

    samples: np.ndarray
    modes: np.ndarray
    onset_s: float
    offset_s: float


def draw_mixture(rng: np.random.Generator, snr_db: float) -> SyntheticMixture:
    """Draw a cry of two to five stretches, each of one mode and as loud as the others."""
    parts, modes = [], []
    for _ in range(rng.integers(2, 6)):
        mode = int(rng.integers(len(MODES)))
        n = round(rng.uniform(0.2, 0.6) * SAMPLE_RATE_HZ)
        if MODES[mode] == "dysphonation":
            part = _breath(rng, n)
        else:
            low_hz, high_hz = (1100, 1900) if MODES[mode] == "hyperphonation" else (250, 700)
            middle_hz = float(np.exp(rng.uniform(np.log(low_hz), np.log(high_hz))))
            way = np.linspace(-0.5, 0.5, n) * rng.uniform(-0.1, 0.1)
            part = sing(rng, middle_hz * 2**way)
        parts.append(part / np.sqrt(np.mean(part**2)))
        modes.append(np.full(n, mode))
    quiet = round(QUIET_SECONDS * SAMPLE_RATE_HZ)
    voice = np.pad(np.concatenate(parts), quiet)
    noise = draw_noise(rng, len(voice))
    whole = voice + noise * 10 ** (-snr_db / 20) / np.sqrt(np.mean(noise**2))
    return SyntheticMixture(
        (whole * 0.3 / np.abs(whole).max()).astype(np.float32),
        np.pad(np.concatenate(modes), quiet, constant_values=-1),
        QUIET_SECONDS, len(voice) / SAMPLE_RATE_HZ - QUIET_SECONDS,
    )  # fmt: skip


def _breath(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """Noise through the formants, fading in and out."""
    spectrum = np.fft.rfft(rng.normal(size=n_samples))
    gain = _formant_gain(np.fft.rfftfreq(n_samples, 1 / SAMPLE_RATE_HZ))
    return np.fft.irfft(spectrum * gain, n_samples) * _envelope(n_samples)


def _envelope(n_samples: int) -> np.ndarray:
    edge = np.minimum(np.arange(n_samples), np.arange(n_samples)[::-1]) / SAMPLE_RATE_HZ
    return np.asarray(np.sin(np.pi / 2 * np.minimum(1, edge / FADE_SECONDS)) ** 2)


def draw_contour(
    rng: np.random.Generator, contour: str, n_samples: int, middle_hz: float | None = None
) -> np.ndarray:
    """Draw F0 in Hz at each sample, all of it within 200 to 1,500 Hz."""
    way = np.linspace(0, 1, n_samples)
    time_s = np.arange(n_samples) / SAMPLE_RATE_HZ
    octaves = {
        "steady": 0 * way,
        "rising": rng.uniform(0.2, 0.8) * (way - 0.5),
        "falling": rng.uniform(0.2, 0.8) * (0.5 - way),
        "arch": rng.uniform(0.2, 0.7) * (np.sin(np.pi * way) - 0.5),
        "vibrato": rng.uniform(0.04, 0.12) * np.sin(2 * np.pi * rng.uniform(4, 8) * time_s),
    }[contour]
    low, high = np.log2(LOWEST_HZ) - octaves.min(), np.log2(HIGHEST_HZ) - octaves.max()
    middle = rng.uniform(low, high) if middle_hz is None else np.log2(middle_hz)
    return np.asarray(2 ** (middle + octaves))


def sing(
    rng: np.random.Generator,
    f0_hz: np.ndarray,
    jitter: float = 0.003,
    shimmer: float = 0.02,
    tilt_db_per_octave: float | None = None,
) -> np.ndarray:
    """Sing a contour: harmonics up to 7.6 kHz with a drawn tilt, fading in and out.

    Parameters
    ----------
    rng : numpy.random.Generator
    f0_hz : ndarray of float64, shape (n,)
    jitter, shimmer : float
        Standard deviation of a period's length and of its amplitude, both relative.
    tilt_db_per_octave : float, optional
        Of the source; -6 to -14 by default.

    Returns
    -------
    ndarray of float64, shape (n,)
    """
    cycles = np.cumsum(f0_hz) / SAMPLE_RATE_HZ
    marks = np.arange(int(cycles[-1]) + 2)
    cycles = cycles + np.interp(cycles, marks, np.cumsum(rng.normal(0, jitter, len(marks))))
    sizes = np.interp(cycles, marks, 1 + rng.normal(0, shimmer, len(marks)))
    tilt = rng.uniform(-14, -6) if tilt_db_per_octave is None else tilt_db_per_octave
    wave = np.zeros(len(f0_hz))
    for k in range(1, int(7600 / f0_hz.min()) + 1):
        at_hz = k * f0_hz
        gain = 10 ** (tilt * np.log2(k) / 20) * _formant_gain(at_hz) * (at_hz < 7600)
        wave += gain * np.sin(2 * np.pi * k * cycles + rng.uniform(0, 2 * np.pi))
    return wave * sizes * _envelope(len(wave))


def draw_noise(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """Draw noise of a room, between white and pink."""
    spectrum = np.fft.rfft(rng.normal(size=n_samples))
    frequency_hz = np.maximum(np.fft.rfftfreq(n_samples, 1 / SAMPLE_RATE_HZ), 50)
    return np.fft.irfft(spectrum / frequency_hz ** (rng.uniform(0, 1) / 2), n_samples)


def _formant_gain(at_hz: np.ndarray) -> np.ndarray:
    gain = np.ones_like(at_hz)
    for centre_hz in FORMANTS_HZ:
        width_hz = 0.12 * centre_hz
        gain = gain + 9 / (1 + ((at_hz - centre_hz) / width_hz) ** 2)
    return gain
