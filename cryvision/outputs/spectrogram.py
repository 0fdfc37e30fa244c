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
    """Compute a spectrogram from pieces of sound, keeping each column's loudest moment.

    Windows of 32 ms (Hann) are centred every 2 to 16 ms; with more of them than `MAX_COLUMNS`,
    neighbours are pooled by maximum, so a short cry in an hour stays visible.

    Parameters
    ----------
    pieces : iterable of float32 array, shape (n,)
        Sound at 16 kHz, in order; any sizes.
    duration_s : float
        Time that the columns span, in seconds. Sound after it is left out.

    Returns
    -------
    ndarray of float32, shape (257, n_columns)
        Level in dB relative to a full-scale sine, from 0 to 8 kHz, at least `FLOOR_DBFS`. NaN
        where the sound has ended before the clip.
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


def _powers(
    pieces: Iterable[NDArray[np.float32]], hop: int
) -> Iterable[tuple[int, NDArray[np.float32]]]:
    """Yield the number of a first window and the power spectra from it on, shape (n, 257)."""
    window = np.hanning(N_FFT + 1)[:-1].astype(np.float32)
    scale = np.float32((window.sum() / 2) ** 2)  # a full-scale sine has power 1
    # Zeros on both sides centre window k on sample k * hop.
    pending = np.zeros(N_FFT // 2, dtype=np.float32)
    done = 0
    for samples in _then_silence(pieces):
        pending = np.concatenate([pending, samples])
        count = max(0, 1 + (len(pending) - N_FFT) // hop)
        if count:
            frames = np.lib.stride_tricks.sliding_window_view(pending, N_FFT)[::hop][:count]
            spectra = np.fft.rfft(frames * window, axis=1)
            yield done, (np.abs(spectra) ** 2 / scale).astype(np.float32)
            done += count
            pending = pending[count * hop :]


def _then_silence(pieces: Iterable[NDArray[np.float32]]) -> Iterable[NDArray[np.float32]]:
    has_sound = False
    for samples in pieces:
        has_sound = has_sound or len(samples) > 0
        yield samples
    if has_sound:
        yield np.zeros(N_FFT // 2, dtype=np.float32)
