"""The spectrogram of a clip of any length in a bounded number of columns."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from cryvision.config import SAMPLE_RATE_HZ

MAX_COLUMNS = 2000
N_FFT = 512
FLOOR_DBFS = -120.0

_MIN_HOP_SAMPLES = 32
_MAX_HOP_SAMPLES = 256  # half a window: nothing between two windows is missed


def pooled_spectrogram(
    pieces: Iterable[NDArray[np.float32]], duration_s: float
) -> NDArray[np.float32]:
    """Compute a spectrogram from pieces of 16 kHz sound, keeping each column's loudest moment.

    Windows of 32 ms (Hann) are centred every 2 to 16 ms; with more of them than `MAX_COLUMNS`,
    neighbours are pooled by maximum, so a short cry in an hour stays visible. The columns span
    ``duration_s``; sound after it is left out.

    Float32, shape (257, n_columns): level in dB relative to a full-scale sine, from 0 to 8 kHz, at
    least `FLOOR_DBFS`; NaN where the sound has ended before the clip.
    """
    total = max(1, round(duration_s * SAMPLE_RATE_HZ))
    hop = min(_MAX_HOP_SAMPLES, max(_MIN_HOP_SAMPLES, total // MAX_COLUMNS))
    n_columns = min(MAX_COLUMNS, max(1, total // hop))
    power = np.full((n_columns, N_FFT // 2 + 1), np.nan, dtype=np.float32)
    for first, block in _powers(pieces, hop):
        column = (np.arange(first, first + len(block)) * hop * n_columns) // total
        inside = column < n_columns
        if not inside.any():
            break
        column, block = column[inside], block[inside]
        starts = np.flatnonzero(np.diff(column, prepend=-1))
        rows = column[starts]
        power[rows] = np.fmax(power[rows], np.maximum.reduceat(block, starts, axis=0))
    floor = np.float32(10 ** (FLOOR_DBFS / 10))
    decibels = 10 * np.log10(np.maximum(power, floor))
    picture: NDArray[np.float32] = np.maximum(decibels, np.float32(FLOOR_DBFS)).T
    return picture


class Spectra:
    """Power spectra of 16 kHz sound that comes in pieces: Hann windows of 32 ms.

    Window k is centred on sample k * hop_samples.
    """

    def __init__(self, hop_samples: int) -> None:
        self._hop = hop_samples
        self._window = np.hanning(N_FFT + 1)[:-1].astype(np.float32)
        # A full-scale sine has power 1.
        self._scale = np.float32((self._window.sum() / 2) ** 2)
        # Zeros on both sides centre the windows.
        self._pending = np.zeros(N_FFT // 2, dtype=np.float32)

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the next sound; return the spectra that are complete, float32, shape (n, 257)."""
        pending = np.concatenate([self._pending, samples])
        count = max(0, 1 + (len(pending) - N_FFT) // self._hop)
        self._pending = pending[count * self._hop :]
        if not count:
            return np.empty((0, N_FFT // 2 + 1), np.float32)
        frames = np.lib.stride_tricks.sliding_window_view(pending, N_FFT)[:: self._hop][:count]
        spectra = np.fft.rfft(frames * self._window, axis=1)
        return np.asarray(np.abs(spectra) ** 2 / self._scale, np.float32)

    def finish(self) -> NDArray[np.float32]:
        """Return the spectra that reach beyond the end of the sound."""
        return self.push(np.zeros(N_FFT // 2, dtype=np.float32))


def _powers(
    pieces: Iterable[NDArray[np.float32]], hop: int
) -> Iterable[tuple[int, NDArray[np.float32]]]:
    """Yield the number of a first window and the power spectra from it on, shape (n, 257)."""
    spectra = Spectra(hop)
    done, has_sound = 0, False
    for samples in pieces:
        has_sound = has_sound or len(samples) > 0
        block = spectra.push(samples)
        if len(block):
            yield done, block
            done += len(block)
    if has_sound and len(block := spectra.finish()):
        yield done, block
