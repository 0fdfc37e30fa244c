"""Sound becomes spectra and model inputs, in numpy alone: the definition of every sound feature.

A model input is computed from one span (context and window) of 16 kHz sound in three steps:

1. The published normalisation (Cha & Bae): standard scaling, then min-max scaling to 0..1. Both
   are affine, so together they are ``(x - min) / (max - min)``.
2. An un-centred short-time Fourier transform with a periodic Hann window; only the bins from
   ``min_hz`` to ``max_hz`` are kept.
3. ``stft``: decibels of the magnitude. ``mel``: decibels of the power in Slaney mel bands.
   ``mfcc``: the orthonormal DCT-II of ``mel``. ``hybrid``: these three side by side. Decibels are
   cut 80 dB below the span's largest, those of ``stft`` and of ``mel`` each below their own.

The values are those of librosa, which is not imported: it takes seconds to start.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike

from cryvision.config import SoundConfig
from cryvision.errors import ConfigError, CryvisionError
from cryvision.inputs.mixing import LARGEST_SAMPLE

AMIN_POWER = 1e-10
"""Power below which decibels stop, at -100 dB (librosa: ``amin`` 1e-10, or 1e-5 of amplitude)."""

INT16_SCALE = np.float32(1 / 32768)

TOP_DB = 80.0
"""Decibels kept below the largest value of a span (librosa: ``top_db``)."""

CONSTANT_RANGE = 1e-7
"""A span whose max - min is at most this is constant: below one step of 24-bit sound (1.2e-7)."""

LEVEL_FLOOR_DBFS = -120.0
"""Level given to digital silence."""

FIRST_FREE_BIN = 2
"""A constant offset under a periodic Hann window reaches bins 0 and 1, and no other."""


def as_array(values: ArrayLike, what: str) -> np.ndarray:
    """Make an array as NumPy does, of a list too; ConfigError where it cannot."""
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{what} must be an array of numbers; got {type(values).__name__}"
        ) from error


def as_floats(samples: ArrayLike) -> np.ndarray:
    """Give sound, int16 or float of any shape, as floating-point numbers with full scale 1."""
    values = as_array(samples, "sound")
    if values.dtype == np.int16:
        values = values.astype(np.float32) * INT16_SCALE
    if values.dtype.kind != "f":
        raise ConfigError(f"sound must be int16 or float; got {values.dtype}")
    return values


def as_sound(samples: np.ndarray) -> tuple[np.ndarray, int]:
    """Copy samples (float, shape (n,)) as float32, and count those that are no sound.

    Samples that are NaN, infinite, or beyond `LARGEST_SAMPLE` would overflow a spectrum; they
    become zero. The caller may reuse its array. Anything but one row of floating-point numbers is
    an error.
    """
    values = as_array(samples, "samples")
    if values.ndim != 1 or values.dtype.kind != "f":
        raise CryvisionError(
            "samples must be one row of floating-point numbers, full scale 1; "
            f"got {values.dtype} of shape {values.shape}"
        )
    with np.errstate(over="ignore"):  # too large for float32: infinite, and counted as such
        piece = values.astype(np.float32)
    finite = np.abs(piece) <= LARGEST_SAMPLE  # nor is NaN
    piece[~finite] = 0.0
    return piece, int(len(piece) - np.count_nonzero(finite))


def normalize(span: np.ndarray) -> np.ndarray:
    """Scale spans (float, shape (..., n)), each on its own, to 0..1; float32 of the same shape.

    The published standard scaling followed by min-max scaling; a constant span (see
    `CONSTANT_RANGE`) gives zeros.
    """
    return _min_max(span).astype(np.float32)


@lru_cache(maxsize=64)
def band_bins(config: SoundConfig) -> slice:
    """Spectrum bins whose frequency is from ``min_hz`` to ``max_hz``, both included.

    The band must hold a bin, and not reach down to bin 0 or 1: an offset of the sound leaks into
    those two, and a feature would depend on it.
    """
    bin_hz = config.sample_rate_hz / config.n_fft
    hz = np.arange(config.n_fft // 2 + 1) * bin_hz
    inside = np.flatnonzero((hz >= config.min_hz) & (hz <= config.max_hz))
    if not inside.size:
        raise ConfigError(
            f"min_hz to max_hz must hold a bin of the spectrum (one each {bin_hz:g} Hz); "
            f"got {config.min_hz:g} to {config.max_hz:g}"
        )
    if inside[0] < FIRST_FREE_BIN:
        raise ConfigError(
            f"min_hz must be above {bin_hz:g} Hz, bin 1 of a spectrum of n_fft {config.n_fft}; "
            f"got {config.min_hz:g}"
        )
    return slice(int(inside[0]), int(inside[-1]) + 1)


@lru_cache(maxsize=64)
def mel_filters(config: SoundConfig) -> np.ndarray:
    """Triangular mel bands of equal area, from ``min_hz`` to ``max_hz``.

    The same numbers as ``librosa.filters.mel(htk=False, norm="slaney")`` without the bins out of
    the band, where every weight is zero. Read-only, float64, shape (n_mels, n_bins_in_band).
    """
    bins = band_bins(config)
    hz = np.arange(bins.start, bins.stop) * (config.sample_rate_hz / config.n_fft)
    triangles, edges = mel_triangles(hz, config.n_mels, config.min_hz, config.max_hz)
    area = 2.0 / (edges[2:] - edges[:-2])
    return _read_only(triangles * area[:, None])


def mel_triangles(
    hz: np.ndarray, n_mels: int, min_hz: float, max_hz: float
) -> tuple[np.ndarray, np.ndarray]:
    """Triangular bands, equally wide and apart on Slaney's mel scale, each with a peak of 1.

    Returned are the bands at the frequencies ``hz``, shape (n_mels, len(hz)), and their edges in
    Hz, shape (n_mels + 2,): band k rises from edge k to k + 1 and falls to k + 2.
    """
    low, high = hz_to_mel(np.array([min_hz, max_hz]))
    edges = mel_to_hz(np.linspace(low, high, n_mels + 2))
    rising = (hz - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - hz) / np.diff(edges)[1:, None]
    return np.maximum(0.0, np.minimum(rising, falling)), edges


@lru_cache(maxsize=64)
def dct_matrix(config: SoundConfig) -> np.ndarray:
    """Orthonormal DCT-II, mel decibels to cepstra; float64, shape (n_mfcc, n_mels), read-only."""
    if config.n_mfcc > config.n_mels:
        raise ConfigError(f"n_mfcc must be at most n_mels; got {config.n_mfcc} and {config.n_mels}")
    order = np.arange(config.n_mfcc)[:, None]
    phase = np.pi * (2 * np.arange(config.n_mels) + 1) / (2 * config.n_mels)
    matrix = np.sqrt(2.0 / config.n_mels) * np.cos(order * phase)
    matrix[0] /= np.sqrt(2.0)
    return _read_only(matrix)


def n_features(config: SoundConfig) -> int:
    """Values per spectrum frame of the configured feature."""
    n_bands: int = spectra(config)[-1].stop
    if config.feature == "mfcc":
        return len(dct_matrix(config))
    return n_bands + len(dct_matrix(config)) if config.feature == "hybrid" else n_bands


def spectra(config: SoundConfig) -> tuple[slice, ...]:
    """Columns of `band_power` that are one spectrum each, whose decibels are cut on their own.

    There is one, but for ``hybrid``, which has its bins and its mel bands.
    """
    bins = band_bins(config)
    n_bins = bins.stop - bins.start
    if config.feature == "hybrid":
        return slice(0, n_bins), slice(n_bins, n_bins + config.n_mels)
    return (slice(0, n_bins if config.feature == "stft" else config.n_mels),)


def spectrum_power(samples: np.ndarray, config: SoundConfig) -> np.ndarray:
    """Power ``|X|**2`` of each un-centred frame of sound of shape (n,), in the configured band.

    Float64, shape (1 + (n - n_fft) // frame_hop_samples, n_bins_in_band): with an offset of 0.5
    under a sound of 1e-4, float32 would lose the sound.
    """
    if samples.ndim != 1 or len(samples) < config.n_fft:
        raise ConfigError(
            f"samples must be 1-D and hold one frame of {config.n_fft}; got shape {samples.shape}"
        )
    frames = sliding_window_view(samples, config.n_fft)[:: config.frame_hop_samples]
    spectrum = np.fft.rfft(frames * hann(config.n_fft), axis=-1)[:, band_bins(config)]
    return spectrum.real**2 + spectrum.imag**2


def band_power(power: np.ndarray, config: SoundConfig) -> np.ndarray:
    """Power in the bands that the configured feature is made of, before decibels.

    From `spectrum_power`, shape (n_frames, n_bins_in_band), to float64 of shape (n_frames,
    n_bands): the bins themselves for ``stft``, mel bands for ``mel`` and ``mfcc``, both for
    ``hybrid``.
    """
    if config.feature == "stft":
        return power
    # Not ``@``: threads of a BLAS cost more than they save at this size, the more so on busy
    # cores, and its sums depend on how many frames come together.
    mel = np.einsum("fb,mb->fm", power, mel_filters(config))
    return np.concatenate([power, mel], axis=1) if config.feature == "hybrid" else mel


def sound_feature(span: np.ndarray, config: SoundConfig) -> np.ndarray:
    """Compute the model input of one span, step by step: the definition of the feature.

    `cryvision.inputs.features` gives the same values for many windows at once, and faster.

    Parameters
    ----------
    span : ndarray of float, shape (config.span_samples,)
        Context and window at ``sample_rate_hz``.

    Returns
    -------
    ndarray of float32, shape (config.n_frames, n_features(config))
        Decibels, or for ``mfcc`` cepstral coefficients of decibels; for ``hybrid`` the columns of
        ``stft``, ``mel`` and ``mfcc``. A constant span gives zeros.

    Raises
    ------
    ConfigError
        If the span has another shape, or the configuration is not possible.
    """
    span = np.asarray(span)
    if span.shape != (config.span_samples,):
        raise ConfigError(f"a span must have shape ({config.span_samples},); got {span.shape}")
    scaled = _min_max(span)
    if not scaled.any():
        return np.zeros((config.n_frames, n_features(config)), np.float32)
    bands = band_power(spectrum_power(scaled, config), config)
    decibels = 10.0 * np.log10(np.maximum(bands, AMIN_POWER))
    for spectrum in spectra(config):
        part = decibels[:, spectrum]
        np.maximum(part, part.max() - TOP_DB, out=part)
    return with_cepstrum(decibels, config).astype(np.float32)


def with_cepstrum(decibels: np.ndarray, config: SoundConfig) -> np.ndarray:
    """Turn cut decibels of bands, shape (..., n_bands), into the feature, (..., n_features).

    Cepstral coefficients stand in their place for ``mfcc``, and behind them for ``hybrid``.
    """
    if config.feature not in ("mfcc", "hybrid"):
        return decibels
    cepstrum = decibels[..., spectra(config)[-1]] @ dct_matrix(config).T
    if config.feature == "mfcc":
        return np.asarray(cepstrum)
    return np.concatenate([decibels, cepstrum], axis=-1)


def band_mean_square(power: np.ndarray, config: SoundConfig) -> np.ndarray:
    """Mean square of the sound within the band, for each frame, by Parseval's theorem.

    From `spectrum_power` of sound that was not normalised; float64, shape (n_frames,); 0.5 for a
    full-scale sine in the band.
    """
    sides = np.full(power.shape[-1], 2.0)
    if 2 * (band_bins(config).stop - 1) == config.n_fft:
        sides[-1] = 1.0  # the bin at half the sample rate has no mirror image
    weights = sides / (config.n_fft * np.sum(hann(config.n_fft) ** 2))
    return np.asarray(np.einsum("fb,b->f", power, weights))


def level_dbfs(mean_square: np.ndarray) -> np.ndarray:
    """RMS level of frames together, in decibels relative to full scale (amplitude 1).

    From `band_mean_square`, shape (..., n_frames), to float32 of shape (...): -3.01 for a
    full-scale sine in the band, and never below `LEVEL_FLOOR_DBFS`.
    """
    return mean_square_dbfs(mean_square.mean(axis=-1))


def mean_square_dbfs(mean_square: np.ndarray) -> np.ndarray:
    """Turn mean squares into decibels relative to full scale; float32, of the same shape."""
    floor = 10.0 ** (LEVEL_FLOOR_DBFS / 10.0)
    return np.asarray(10.0 * np.log10(np.maximum(mean_square, floor)), np.float32)


def _min_max(span: np.ndarray) -> np.ndarray:
    span = np.asarray(span, np.float64)
    low = span.min(axis=-1, keepdims=True)
    width = span.max(axis=-1, keepdims=True) - low
    constant = width <= CONSTANT_RANGE
    return np.where(constant, 0.0, (span - low) / np.where(constant, 1.0, width))


@lru_cache(maxsize=64)
def hann(n: int) -> np.ndarray:
    """Periodic Hann window; float64, shape (n,)."""
    return _read_only(0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(n) / n))


# Slaney's Auditory Toolbox (1998): linear up to 1000 Hz = 15 mel, then 27 mel for each factor 6.4.
_MEL_PER_HZ = 3.0 / 200.0
_LOG_FROM_HZ = 1000.0
_LOG_FROM_MEL = _LOG_FROM_HZ * _MEL_PER_HZ
_MEL_PER_NEPER = 27.0 / np.log(6.4)


def hz_to_mel(hz: np.ndarray) -> np.ndarray:
    above = _LOG_FROM_MEL + _MEL_PER_NEPER * np.log(np.maximum(hz, _LOG_FROM_HZ) / _LOG_FROM_HZ)
    return np.where(hz < _LOG_FROM_HZ, hz * _MEL_PER_HZ, above)


def mel_to_hz(mel: np.ndarray) -> np.ndarray:
    above = _LOG_FROM_HZ * np.exp((np.maximum(mel, _LOG_FROM_MEL) - _LOG_FROM_MEL) / _MEL_PER_NEPER)
    return np.where(mel < _LOG_FROM_MEL, mel / _MEL_PER_HZ, above)


def _read_only(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array
