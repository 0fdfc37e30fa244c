"""Sound becomes log-mel frames: the input of the frame network and of the tagger.

Frame f stands for the samples ``frame_samples * f`` to ``frame_samples * (f + 1)``. Its spectra
reach a little further to both sides; before the start of the sound there is silence. A stream
gives the same frames as the whole clip, whatever the sizes of its pieces.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from cryvision.config import SAMPLE_RATE_HZ, LogMelConfig
from cryvision.inputs.audio import as_sound, hann, mel_triangles

FLOOR_POWER = 1e-7
"""Added to the power of each band, in units of a full scale of 1: bounds the logarithm."""

SILENCE = float(np.log(FLOOR_POWER))
"""Value of every band in digital silence."""

OFFSET, SCALE = 6.0, 5.0
"""Natural logarithms of power are given to models as ``(x + OFFSET) / SCALE``."""

LOUDEST, RANGE = 4.0, 12.0
"""Relative windows: where the loudest value is moved to, and how far below it values are cut."""

BLOCK_FRAMES = 1024
"""Frames computed at a time (20 s of sound, 4 MB): bounds the memory."""


@dataclass(frozen=True)
class Frames:
    """Log-mel frames of a stretch of sound.

    `log_power`, float32 of shape (n, n_mels), is the natural logarithm of the power in each band,
    not scaled yet; `mean_square`, float32 of shape (n,), is of the sound from ``min_hz`` to
    ``max_hz``, full scale 1.
    """

    log_power: np.ndarray
    mean_square: np.ndarray

    def __len__(self) -> int:
        return len(self.log_power)


class LogMelStream:
    """Turns a stream of sound into log-mel frames; less than one spectrum of sound is kept.

    `n_samples` counts the samples so far, `non_finite` those of them that were NaN or infinite,
    which count as silence.
    """

    def __init__(self, config: LogMelConfig) -> None:
        self.config = config
        self.non_finite = 0
        self.n_samples = 0
        # Centres the spectra of a frame on it.
        self._rest = np.zeros(reach_samples(config), np.float32)

    def push(self, samples: np.ndarray) -> Frames:
        """Take the next samples, floating point, shape (n,), and give the frames they complete."""
        piece, n_non_finite = as_sound(samples)
        self.non_finite += n_non_finite
        self.n_samples += len(piece)
        return self._frames(np.concatenate([self._rest, piece]))

    def finish(self) -> Frames:
        """End the stream: the frames that its last samples belong to, silence behind them."""
        config = self.config
        n_total = -(-self.n_samples // config.frame_samples)
        n_returned = max(0, self.n_samples - reach_samples(config)) // config.frame_samples
        n_left = n_total - n_returned
        needed = n_left * config.frame_samples + 2 * reach_samples(config)
        frames = self._frames(np.pad(self._rest, (0, max(0, needed - len(self._rest)))))
        return Frames(frames.log_power[:n_left], frames.mean_square[:n_left])

    def _frames(self, buffer: np.ndarray) -> Frames:
        config = self.config
        n = max(0, (len(buffer) - 2 * reach_samples(config)) // config.frame_samples)
        log_power = np.empty((n, config.n_mels), np.float32)
        mean_square = np.empty(n, np.float32)
        for first in range(0, n, BLOCK_FRAMES):
            last = min(first + BLOCK_FRAMES, n)
            start, stop = first * config.frame_samples, last * config.frame_samples
            block = buffer[start : stop + 2 * reach_samples(config)]
            log_power[first:last], mean_square[first:last] = _spectra(block, config)
        self._rest = buffer[n * config.frame_samples :].copy()
        return Frames(log_power, mean_square)


def log_mel(samples: np.ndarray, config: LogMelConfig) -> Frames:
    """Compute the frames of a clip in memory: ``ceil(len(samples) / config.frame_samples)``."""
    stream = LogMelStream(config)
    first, last = stream.push(samples), stream.finish()
    return Frames(
        np.concatenate([first.log_power, last.log_power]),
        np.concatenate([first.mean_square, last.mean_square]),
    )


def model_input(log_power: np.ndarray, config: LogMelConfig) -> np.ndarray:
    """Scale windows of log-mel frames, shape (..., n_frames, n_mels), as a model takes them."""
    values = np.asarray(log_power, np.float32)
    if config.relative:
        loudest = values.max(axis=(-2, -1), keepdims=True)
        values = np.maximum(values - (loudest - LOUDEST), LOUDEST - RANGE)
    return np.asarray((values + OFFSET) / SCALE, np.float32)


def reach_samples(config: LogMelConfig) -> int:
    """Give the samples that the spectra of a frame reach beyond it, on each side."""
    half = config.frame_samples // 2
    return -(-(config.spectrum_samples - half) // 2)


@lru_cache(maxsize=16)
def mel_filters(config: LogMelConfig) -> np.ndarray:
    """Triangular mel bands (Slaney's scale) with a peak of 1, from ``min_hz`` to ``max_hz``.

    Read-only, float32, shape (n_fft // 2 + 1, n_mels).
    """
    hz = np.arange(config.n_fft // 2 + 1) * (SAMPLE_RATE_HZ / config.n_fft)
    triangles, _ = mel_triangles(hz, config.n_mels, config.min_hz, config.max_hz)
    filters: np.ndarray = triangles.T.astype(np.float32, order="C")
    filters.setflags(write=False)
    return filters


@lru_cache(maxsize=16)
def band_weights(config: LogMelConfig) -> np.ndarray:
    """Weights from the power of bins to the mean square of the band (Parseval's theorem).

    Float32, shape (n_fft // 2 + 1,).
    """
    hz = np.arange(config.n_fft // 2 + 1) * (SAMPLE_RATE_HZ / config.n_fft)
    inside = (hz >= config.min_hz) & (hz <= config.max_hz)
    window = hann(config.spectrum_samples)
    weights = 2.0 * inside / (config.n_fft * np.sum(window**2))
    return np.asarray(weights, np.float32)


def _spectra(block: np.ndarray, config: LogMelConfig) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of band power and mean square of the frames of a block."""
    half = config.frame_samples // 2
    segments = sliding_window_view(block, config.spectrum_samples)[::half]
    n = len(segments) // 2
    # An offset of the microphone far above the sound would leave float32 nothing of it.
    segments = segments[: 2 * n] - segments[: 2 * n].mean(axis=1, keepdims=True)
    window = hann(config.spectrum_samples).astype(np.float32)
    spectrum = np.fft.rfft(segments * window, config.n_fft)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    power = power.reshape(n, 2, -1).mean(axis=1)
    # Not a matrix product, for which every core would be woken: on a busy machine they then wait
    # for each other longer than the whole computation takes.
    bands = np.einsum("fb,bm->fm", power, mel_filters(config))
    return np.log(bands + FLOOR_POWER), np.einsum("fb,b->f", power, band_weights(config))
