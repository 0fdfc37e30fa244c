"""Sound of any rate and number of channels, piece by piece, becomes 16 kHz mono."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from cryvision.config import SAMPLE_RATE_HZ
from cryvision.errors import ConfigError
from cryvision.inputs.audio import as_array, as_floats
from cryvision.inputs.decoding import MOST_CHANNELS, SAMPLE_RATES_HZ
from cryvision.inputs.mixing import BLOCK_SAMPLES, Downmix
from cryvision.layers import needed


class Resampler:
    """Resamples a stream of sound; the sizes of the pieces make no difference.

    Mono sound at 16 kHz comes out at once and unchanged. Other sound is held back for some
    hundredths of a second by the filter, and its samples that are not finite count as zero. Several
    channels are mixed as those of a file are, in blocks of 0.1 s.
    """

    def __init__(self, rate_hz: float) -> None:
        lowest, highest = SAMPLE_RATES_HZ
        if not lowest <= rate_hz <= highest:
            raise ConfigError(
                f"sound must have {lowest} to {highest} samples a second; got {rate_hz}"
            )
        self._rate_hz = rate_hz
        self._n_channels = 0
        self._finished = False

    def push(self, samples: ArrayLike) -> np.ndarray:
        """Take the next samples and return what is ready: float32, shape (m,).

        They are int16 or float, full scale 32768 or 1, of shape (n,) or (n, n_channels).
        """
        if self._finished:
            raise ConfigError("no sound may follow the end of a stream")
        block = _as_block(samples)
        if not self._n_channels:
            self._begin(block.shape[1])
        if block.shape[1] != self._n_channels:
            raise ConfigError(
                f"all sound of a stream must have {self._n_channels} channels; got {block.shape[1]}"
            )
        if self._stream is None and self._n_channels == 1:
            return block[:, 0]
        block = np.where(np.isfinite(block), block, np.float32(0))
        return self._mixed(block if self._stream is None else self._stream.resample_chunk(block))

    def finish(self) -> np.ndarray:
        """End the stream, and return what was held back; float32, shape (m,)."""
        ended, self._finished = self._finished, True
        if ended or not self._n_channels:
            return np.zeros(0, np.float32)
        rest = np.zeros((0, self._n_channels), np.float32)
        if self._stream is not None:
            rest = self._stream.resample_chunk(rest, last=True)
        return self._mixed(rest)

    def _begin(self, n_channels: int) -> None:
        if not 1 <= n_channels <= MOST_CHANNELS:
            raise ConfigError(f"sound must have 1 to {MOST_CHANNELS} channels; got {n_channels}")
        self._n_channels = n_channels
        self._stream = None
        if self._rate_hz != SAMPLE_RATE_HZ:
            with needed(f"sound of {self._rate_hz:g} Hz", "soxr"):
                import soxr
            self._stream = soxr.ResampleStream(self._rate_hz, SAMPLE_RATE_HZ, n_channels, "float32")
        self._mixer = Downmix(n_channels)
        self._unmixed = np.zeros((0, n_channels), np.float32)

    def _mixed(self, block: np.ndarray) -> np.ndarray:
        """Mix to one channel, in whole blocks up to the end."""
        if self._n_channels == 1:
            return block[:, 0]
        block = np.concatenate([self._unmixed, block])
        n = len(block) if self._finished else len(block) // BLOCK_SAMPLES * BLOCK_SAMPLES
        self._unmixed = block[n:]
        parts = [
            self._mixer.mix(block[i : min(n, i + BLOCK_SAMPLES)])
            for i in range(0, n, BLOCK_SAMPLES)
        ]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _as_block(samples: ArrayLike) -> np.ndarray:
    """Return samples as float32, shape (n, n_channels)."""
    values = as_array(samples, "sound")
    if values.ndim not in (1, 2):
        raise ConfigError(f"sound must have the shape (n,) or (n, channels); got {values.shape}")
    block = as_floats(values).astype(np.float32, copy=False)
    return block[:, None] if block.ndim == 1 else block
