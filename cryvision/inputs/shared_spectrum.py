"""Spectra of the newest sound, shared by all features that are made of them.

The definition of a window's input is `cryvision.inputs.audio.sound_feature`. Here the same values
come without normalising each window: windows overlap by up to 95 %, the normalisation of a window
is a gain and an offset, and the offset reaches no bin that is kept. So each spectrum frame of the
raw sound is computed once, turned into decibels once, and a window only adds its gain.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from cryvision.config import SoundConfig
from cryvision.errors import ConfigError
from cryvision.inputs.audio import (
    AMIN_POWER,
    CONSTANT_RANGE,
    TOP_DB,
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


class SharedSpectrum:
    """Features of the same `spectrum_of`, by name, and the decibels of its newest frames."""

    def __init__(self, sounds: Mapping[str, SoundConfig]) -> None:
        self._sounds = sounds
        self._config = config = next(iter(sounds.values()))
        self._n_features = {name: n_features(sound) for name, sound in sounds.items()}
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
        self.context_samples = config.context_samples
        self._step = config.hop_samples // config.frame_hop_samples
        self._first_frame = 0
        self._mean_square = np.empty(0)
        self._decibels = {
            name: np.empty((0, spectra(sound)[-1].stop)) for name, sound in sounds.items()
        }

    def none(self, n_windows: int) -> Iterator[tuple[str, tuple[np.ndarray, np.ndarray]]]:
        """Give for each feature its name, and inputs and levels to be written."""
        for name, width in self._n_features.items():
            shape = (n_windows, self._config.n_frames, width)
            yield name, (np.empty(shape, np.float32), np.empty(n_windows, np.float32))

    def compute(
        self,
        buffer: np.ndarray,
        number: int,
        outputs: Mapping[str, tuple[np.ndarray, np.ndarray]],
        rows: slice,
    ) -> None:
        """Write inputs and levels of windows that follow each other, block by block.

        The ``buffer`` is float32 sound from the start of the span of the first window, whose number
        is given, on; the ``rows`` of ``outputs`` (from `none`) are written.
        """
        per_block = max(1, BLOCK_FRAMES // self._step)
        for first in range(rows.start, rows.stop, per_block):
            block = slice(first, min(first + per_block, rows.stop))
            offset, n = first - rows.start, block.stop - first
            sound = buffer[offset * self._config.hop_samples :]
            self._add_frames(sound, number + offset, n)
            width = _window_ranges(sound, n, self._config)
            mean_square = sliding_window_view(self._mean_square, self._config.n_frames)
            levels = level_dbfs(mean_square[:: self._step, self._context_frames :])
            for name, config in self._sounds.items():
                outputs[name][1][block] = levels
                _fill(outputs[name][0][block], self._decibels[name], width, self._step, config)

    def _add_frames(self, sound: np.ndarray, number: int, n_windows: int) -> None:
        """Have the frames of some windows; those of the windows before are still there."""
        config = self._config
        first = number * self._step
        overlap = slice(first - self._first_frame, None)
        self._first_frame = first
        self._mean_square = self._mean_square[overlap]
        start = len(self._mean_square) * config.frame_hop_samples
        n_frames = (n_windows - 1) * self._step + config.n_frames
        stop = (n_frames - 1) * config.frame_hop_samples + config.n_fft
        power = spectrum_power(sound[start:stop], config)
        self._mean_square = np.concatenate([self._mean_square, band_mean_square(power, config)])
        bands: dict[tuple[str, int], np.ndarray] = {}
        for name, sound_config in self._sounds.items():
            is_mel = sound_config.feature in ("mel", "mfcc")
            alike = ("mel" if is_mel else sound_config.feature, sound_config.n_mels)
            if alike not in bands:
                of_bands = np.maximum(band_power(power, sound_config), _SMALLEST_POWER)
                bands[alike] = 10.0 * np.log10(of_bands)
            self._decibels[name] = np.concatenate([self._decibels[name][overlap], bands[alike]])


def spectrum_of(config: SoundConfig) -> tuple[float, ...]:
    """Return the settings of a feature that its spectrum depends on."""
    return (
        *(config.sample_rate_hz, config.window_samples, config.hop_samples),
        *(config.context_samples, config.n_fft, config.frame_hop_samples),
        *(config.min_hz, config.max_hz),
    )


def _fill(
    inputs: np.ndarray, decibels: np.ndarray, width: np.ndarray, step: int, config: SoundConfig
) -> None:
    """Write the inputs of windows from the decibels of their frames and the range of each."""
    constant = width <= CONSTANT_RANGE
    gain_db = -20.0 * np.log10(np.where(constant, 1.0, width))
    windows = sliding_window_view(decibels, config.n_frames, axis=0)[::step].swapaxes(1, 2)
    whole = config.feature in ("mfcc", "hybrid")  # float64 for what is computed from it
    scaled = np.empty(windows.shape) if whole else inputs
    np.add(windows, gain_db[:, None, None], out=scaled)
    for spectrum in spectra(config):
        part, loudest = scaled[..., spectrum], decibels[:, spectrum].max(axis=1)
        peaks = sliding_window_view(loudest, config.n_frames)[::step].max(axis=1)
        floors = np.maximum(LOWEST_DB, peaks + gain_db - TOP_DB)
        np.maximum(part, floors[:, None, None].astype(part.dtype), out=part)
    if whole:
        inputs[:] = with_cepstrum(scaled, config)
    inputs[constant] = 0.0


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
