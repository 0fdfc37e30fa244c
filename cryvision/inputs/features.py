"""The one path from any stretch of media to model inputs, for training and for inference.

Sound arrives in pieces of any size and leaves as windows; how it was cut does not matter.

The definition of a window's input is `cryvision.inputs.audio.sound_feature`. Here the same values
come without normalising each window: windows overlap by up to 95 %, the normalisation of a window
is a gain and an offset, and the offset reaches no bin that is kept. So each spectrum frame of the
raw sound is computed once, turned into decibels once, and a window only adds its gain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from cryvision.config import SoundConfig
from cryvision.errors import ConfigError, CryvisionError
from cryvision.inputs.audio import (
    AMIN_POWER,
    CONSTANT_RANGE,
    TOP_DB,
    as_sound,
    band_mean_square,
    band_power,
    level_dbfs,
    n_features,
    spectra,
    spectrum_power,
    with_cepstrum,
)

BLOCK_FRAMES = 512
"""New spectrum frames computed at a time (about 10 s of sound, 8 MB): bounds the memory."""

LOWEST_DB = 10.0 * math.log10(AMIN_POWER)
"""Where decibels stop."""

_SMALLEST_POWER = np.finfo(np.float64).tiny
"""Stands for zero power: no gain of a window lifts it to ``AMIN_POWER``."""


@dataclass(frozen=True)
class SoundWindows:
    """Windows of sound, ready for a model.

    Attributes
    ----------
    end_samples : ndarray of int64, shape (n,)
        Samples of the stream up to the end of each window.
    inputs : ndarray of float32, shape (n, config.n_frames, n_features)
        What a model is given.
    level_dbfs : ndarray of float32, shape (n,)
        RMS level of the window, without its context, from ``min_hz`` to ``max_hz``; decibels
        relative to full scale.
    padded : bool
        The sound was shorter than one window, and silence stands before it.
    """

    end_samples: np.ndarray
    inputs: np.ndarray
    level_dbfs: np.ndarray
    padded: bool = False


class SoundFeatureStream:
    """Cuts a stream of sound into windows and computes the model input of each.

    Window k ends at ``window_samples + k * hop_samples``. Context before the start of the stream
    is silence. Between calls at most one span and one hop of sound are kept.

    Parameters
    ----------
    config : SoundConfig
        What to compute.

    Attributes
    ----------
    config : SoundConfig
        As given.
    non_finite : int
        Samples so far that were NaN or infinite, as a damaged float file may hold; they count as
        silence.

    Raises
    ------
    ConfigError
        If the configuration is not possible; ``hop_samples`` must be a multiple of
        ``frame_hop_samples``, and the window must hold one whole frame after the context.
    """

    def __init__(self, config: SoundConfig) -> None:
        if config.hop_samples % config.frame_hop_samples:
            raise ConfigError(
                "hop_seconds must be a multiple of frame_hop_samples "
                f"({config.frame_hop_samples} samples); got {config.hop_seconds:g} s = "
                f"{config.hop_samples} samples"
            )
        self._context_frames = -(-config.context_samples // config.frame_hop_samples)
        if self._context_frames >= config.n_frames:
            raise ConfigError(
                f"the window must hold one whole frame of {config.n_fft} samples after the "
                f"context; got {config.window_samples} after {config.context_samples} samples"
            )
        self.config = config
        self.non_finite = 0
        self._n_features = n_features(config)
        self._frames_per_hop = config.hop_samples // config.frame_hop_samples
        self._received = 0
        self._n_windows = 0
        self._finished = False
        # What is buffered starts with the span of the next window, and so do the frames.
        self._pieces = [np.zeros(config.context_samples, np.float32)]
        self._buffered = config.context_samples
        self._to_skip = 0
        self._spectra = spectra(config)
        self._decibels = np.empty((0, self._spectra[-1].stop))
        self._mean_square = np.empty(0)

    def push(self, samples: np.ndarray) -> SoundWindows:
        """Take the next piece of the stream.

        Parameters
        ----------
        samples : ndarray of float, shape (n,)
            Sound at ``sample_rate_hz``, full scale 1; any length, also none.

        Returns
        -------
        SoundWindows
            Every window that these samples complete; none is possible.

        Raises
        ------
        CryvisionError
            If the samples are not one row of floating-point numbers, or the stream was finished.
        """
        if self._finished:
            raise CryvisionError("a finished stream takes no more samples; start a new one")
        piece, n_non_finite = as_sound(samples)
        self.non_finite += n_non_finite
        self._received += len(piece)
        skipped = min(self._to_skip, len(piece))
        self._to_skip -= skipped
        if len(piece) > skipped:
            self._pieces.append(piece[skipped:])
            self._buffered += len(piece) - skipped

        config = self.config
        n_new = max(0, 1 + (self._buffered - config.span_samples) // config.hop_samples)
        if not n_new:
            return self._no_windows()
        buffer = np.concatenate(self._pieces)
        inputs, levels = self._compute(buffer, n_new)
        index = np.arange(self._n_windows, self._n_windows + n_new, dtype=np.int64)
        self._n_windows += n_new
        self._keep_from(buffer, n_new * config.hop_samples)
        return SoundWindows(config.window_samples + index * config.hop_samples, inputs, levels)

    def finish(self) -> SoundWindows:
        """End the stream.

        Returns
        -------
        SoundWindows
            The one left-padded window of a stream that was shorter than a window, its end at the
            last sample; else none, and none for a stream without any sample.
        """
        ended, self._finished = self._finished, True
        if ended or self._n_windows or not self._received:
            return self._no_windows()
        sound = np.concatenate(self._pieces)  # the context's zeros, then every sample
        padding = np.zeros(self.config.span_samples - len(sound), np.float32)
        inputs, levels = self._compute(np.concatenate([padding, sound]), 1)
        return SoundWindows(np.array([self._received], np.int64), inputs, levels, padded=True)

    def _no_windows(self) -> SoundWindows:
        shape = (0, self.config.n_frames, self._n_features)
        return SoundWindows(
            np.empty(0, np.int64), np.empty(shape, np.float32), np.empty(0, np.float32)
        )

    def _keep_from(self, buffer: np.ndarray, start: int) -> None:
        """Forget the sound before the next window; it may start beyond what has arrived."""
        rest = buffer[start:].copy()  # a view would hold the whole buffer in memory
        self._pieces = [rest]
        self._buffered = len(rest)
        self._to_skip = max(0, start - len(buffer))

    def _compute(self, buffer: np.ndarray, n_windows: int) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and levels of the first windows of the buffer, block by block."""
        config = self.config
        inputs = np.empty((n_windows, config.n_frames, self._n_features), np.float32)
        levels = np.empty(n_windows, np.float32)
        windows_per_block = max(1, BLOCK_FRAMES // self._frames_per_hop)
        for first in range(0, n_windows, windows_per_block):
            block = slice(first, min(first + windows_per_block, n_windows))
            self._fill(buffer[first * config.hop_samples :], inputs[block], levels[block])
        return inputs, levels

    def _fill(self, buffer: np.ndarray, inputs: np.ndarray, levels: np.ndarray) -> None:
        """Write the windows at the head of the buffer, and move the frames on past them."""
        config, step = self.config, self._frames_per_hop
        n_windows = len(inputs)
        decibels = self._frames_until(buffer, (n_windows - 1) * step + config.n_frames)
        self._decibels = decibels[n_windows * step :].copy()
        mean_square = sliding_window_view(self._mean_square, config.n_frames)[::step]
        levels[:] = level_dbfs(mean_square[:, self._context_frames :])
        self._mean_square = self._mean_square[n_windows * step :].copy()

        width = _window_ranges(buffer, n_windows, config)
        constant = width <= CONSTANT_RANGE
        gain_db = -20.0 * np.log10(np.where(constant, 1.0, width))
        windows = sliding_window_view(decibels, config.n_frames, axis=0)[::step].swapaxes(1, 2)
        whole = config.feature in ("mfcc", "hybrid")  # float64 for what is computed from it
        scaled = np.empty(windows.shape) if whole else inputs
        np.add(windows, gain_db[:, None, None], out=scaled)
        for spectrum in self._spectra:
            part, loudest = scaled[..., spectrum], decibels[:, spectrum].max(axis=1)
            peaks = sliding_window_view(loudest, config.n_frames)[::step].max(axis=1)
            floors = np.maximum(LOWEST_DB, peaks + gain_db - TOP_DB)
            np.maximum(part, floors[:, None, None].astype(part.dtype), out=part)
        if whole:
            inputs[:] = with_cepstrum(scaled, config)
        inputs[constant] = 0.0

    def _frames_until(self, buffer: np.ndarray, n_frames: int) -> np.ndarray:
        """Decibels of the buffer's first frames; only those not known yet are computed."""
        config = self.config
        start = len(self._decibels) * config.frame_hop_samples
        stop = (n_frames - 1) * config.frame_hop_samples + config.n_fft
        power = spectrum_power(buffer[start:stop], config)
        decibels = 10.0 * np.log10(np.maximum(band_power(power, config), _SMALLEST_POWER))
        self._mean_square = np.concatenate([self._mean_square, band_mean_square(power, config)])
        return np.concatenate([self._decibels, decibels])


def sound_windows(samples: np.ndarray, config: SoundConfig) -> SoundWindows:
    """Compute all windows of a clip that is in memory.

    Parameters
    ----------
    samples : ndarray of float, shape (n,)
        The whole clip at ``sample_rate_hz``, full scale 1.
    config : SoundConfig
        What to compute.

    Returns
    -------
    SoundWindows
        As from a `SoundFeatureStream`: one padded window if the clip is shorter than a window,
        none if it has no samples.

    Raises
    ------
    ConfigError, CryvisionError
        As `SoundFeatureStream` and its ``push``.
    """
    stream = SoundFeatureStream(config)
    windows = stream.push(samples)
    return windows if len(windows.end_samples) else stream.finish()


def _window_ranges(buffer: np.ndarray, n_windows: int, config: SoundConfig) -> np.ndarray:
    """Largest less smallest sample of each window's span; float64, shape (n_windows,)."""
    span, hop = config.span_samples, config.hop_samples
    # Spans start and end on multiples of this, so each stretch between is searched once.
    stretch = math.gcd(span, hop)
    stretches = buffer[: (n_windows - 1) * hop + span].reshape(-1, stretch)

    def over_spans(values: np.ndarray) -> np.ndarray:
        return sliding_window_view(values, span // stretch)[:: hop // stretch]

    highest = over_spans(stretches.max(axis=1)).max(axis=1)
    lowest = over_spans(stretches.min(axis=1)).min(axis=1)
    ranges: np.ndarray = highest.astype(np.float64) - lowest
    return ranges
