"""Fundamental frequency (F0) of crying, frame by frame, as sound arrives.

The method is YIN: A. de Cheveigne and H. Kawahara, "YIN, a fundamental frequency estimator for
speech and music", J. Acoust. Soc. Am. 111 (2002) 1917-1930, steps 1 to 5, in numpy alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from cryvision.config import SAMPLE_RATE_HZ
from cryvision.inputs.frame_rows import FrameRows, RowFiles

LOWEST_HZ, HIGHEST_HZ = 200.0, 1000.0
"""F0 that is reported. Infants' phonated crying lies mostly between 350 and 750 Hz (LaGasse, Neal
and Lester, Ment. Retard. Dev. Disabil. Res. Rev. 11, 2005, 83-93); the hyperphonation above
1,000 Hz is another mode of the larynx and would need another window."""

HOP_SECONDS = 0.02
"""Time from one frame to the next."""

WINDOW_SECONDS = 0.025
"""Sound that is compared with itself: five periods of the lowest F0."""

MAX_APERIODICITY = 0.15
"""A frame is voiced where YIN's normalised difference falls below this; the paper uses 0.1 for
clean speech. White noise stays above 0.5."""

QUIETEST_RMS = 1e-3
"""Frames below -60 dB relative to full scale are unvoiced, as the detector's gate leaves them."""

_BLOCK_FRAMES = 512  # about 10 s of sound, 8 MB at a time
_HOP = round(HOP_SECONDS * SAMPLE_RATE_HZ)
_WINDOW = round(WINDOW_SECONDS * SAMPLE_RATE_HZ)
# One lag more on either side, for the parabola. Lags are searched down to half the shortest
# reported period: a higher tone is then found, and left out, rather than taken for half of itself.
_LONGEST_LAG = int(SAMPLE_RATE_HZ / LOWEST_HZ) + 1
_SHORTEST_LAG = int(SAMPLE_RATE_HZ / HIGHEST_HZ) // 2
_SPAN = _WINDOW + _LONGEST_LAG
_FFT = 1 << (_SPAN - 1).bit_length()


@dataclass(frozen=True)
class PitchTrack:
    """F0 over a stretch of sound: float32, shape (n,), by frame.

    NaN where it is unvoiced, or its F0 outside `LOWEST_HZ` to `HIGHEST_HZ`.
    """

    f0_hz: np.ndarray

    @property
    def time_s(self) -> np.ndarray:
        """Middle of each frame, in seconds from the start of the sound; float64, shape (n,)."""
        middle_s: np.ndarray = (_SPAN / 2 + _HOP * np.arange(len(self.f0_hz))) / SAMPLE_RATE_HZ
        return middle_s

    def within(self, intervals: Iterable[tuple[float, float]]) -> np.ndarray:
        """Voiced F0 in Hz of the frames whose middle lies in one of the stretches (onset, offset),
        in s."""
        edges_s = np.reshape(list(intervals), (-1, 2))
        # Not from `time_s`: for a day of sound that is an array of 35 MB.
        edges = np.ceil((edges_s * SAMPLE_RATE_HZ - _SPAN / 2) / _HOP).clip(0).astype(int)
        inside = [self.f0_hz[start:stop] for start, stop in edges.tolist()]
        f0_hz = np.concatenate([np.empty(0, np.float32), *inside])
        voiced: np.ndarray = f0_hz[~np.isnan(f0_hz)]
        return voiced


class PitchStream:
    """Tracks F0 in a stream of sound; the sizes of its pieces make no difference.

    What is kept of the stream is less than a frame of sound and four bytes for each frame, those of
    a long stream in a file.
    """

    def __init__(self, files: RowFiles | None = None) -> None:
        self._rest = np.empty(0, np.float32)
        self._f0_hz = FrameRows(1, files or RowFiles())

    def push(self, samples: np.ndarray) -> None:
        """Take the next piece, any length of finite mono sound at 16 kHz, full scale 1."""
        sound = np.concatenate([self._rest, samples.astype(np.float32)])
        n_frames = max(0, 1 + (len(sound) - _SPAN) // _HOP)
        if n_frames:
            frames = sliding_window_view(sound, _SPAN)[::_HOP]
            for first in range(0, n_frames, _BLOCK_FRAMES):
                f0_hz = _yin(frames[first : first + _BLOCK_FRAMES].astype(np.float64))
                self._f0_hz.append(f0_hz[:, None])
        self._rest = sound[n_frames * _HOP :].copy()  # a view would hold all of it in memory

    def track(self) -> PitchTrack:
        """Return F0 up to here; what is shorter than a frame at the end has none."""
        return PitchTrack(self._f0_hz.table(0, len(self._f0_hz))[:, 0])


def _yin(frames: np.ndarray) -> np.ndarray:
    """F0 in Hz of frames of shape (n, _SPAN); NaN where there is none to report."""
    difference = _difference(frames)
    lags = np.arange(1, _LONGEST_LAG + 1)
    total = np.cumsum(difference[:, 1:], axis=1)
    # Step 3, the cumulative mean normalised difference; silence has none, and counts as noise.
    normalised = np.ones_like(difference)
    np.divide(difference[:, 1:] * lags, total, out=normalised[:, 1:], where=total > 0)

    # Step 4: the first lag whose difference falls below the threshold, then down to its dip.
    searched = normalised[:, _SHORTEST_LAG:_LONGEST_LAG]
    below = searched < MAX_APERIODICITY
    turns_up = normalised[:, _SHORTEST_LAG + 1 :] >= searched
    start = np.argmax(below, axis=1)
    dips = turns_up & below & (np.arange(below.shape[1]) >= start[:, None])
    voiced = dips.any(axis=1) & (np.sqrt(np.mean(frames**2, axis=1)) >= QUIETEST_RMS)
    lag = _SHORTEST_LAG + np.argmax(dips, axis=1)

    f0_hz = SAMPLE_RATE_HZ / (lag + _parabola(difference, lag))
    voiced &= (f0_hz >= LOWEST_HZ) & (f0_hz <= HIGHEST_HZ)
    return np.where(voiced, f0_hz, np.nan)


def _difference(frames: np.ndarray) -> np.ndarray:
    """Steps 1 and 2: squared difference of the window and itself later, for lags from 0 on."""
    spectrum = np.fft.rfft(frames, _FFT)
    window = np.fft.rfft(frames[:, :_WINDOW], _FFT)
    correlation = np.fft.irfft(spectrum * window.conj(), _FFT)[:, : _LONGEST_LAG + 1]
    energy = np.cumsum(np.pad(frames**2, ((0, 0), (1, 0))), axis=1)
    later = energy[:, _WINDOW : _WINDOW + _LONGEST_LAG + 1] - energy[:, : _LONGEST_LAG + 1]
    difference: np.ndarray = np.maximum(later + later[:, :1] - 2 * correlation, 0.0)
    return difference


def _parabola(difference: np.ndarray, lag: np.ndarray) -> np.ndarray:
    """Step 5: offset of the dip from its lag, by a parabola through it and its neighbours."""
    rows = np.arange(len(lag))
    before, at, after = (difference[rows, lag + step] for step in (-1, 0, 1))
    curvature = before - 2 * at + after
    offset = np.zeros(len(lag))
    np.divide(before - after, 2 * curvature, out=offset, where=curvature > 0)
    return np.clip(offset, -1.0, 1.0)
