"""What is known at each frame of the 30 Hz clock, in columns that grow as the stream is read."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np

from cryvision.config import FRAME_RATE_HZ, SAMPLE_RATE_HZ
from cryvision.inference.smoothing import RollingPrediction


class HeldPredictions:
    """Columns of predictions: each frame holds the newest one whose window has ended by then.

    Beside each column stands its smoothed one, ``<name>_smooth``: the mean of a rolling deque over
    the frames. Frames at which nothing is known are NaN in both; where they last longer than the
    deque, it is cleared, so that nothing from before a gap counts after it.

    Parameters
    ----------
    names : sequence of str
        One column for each value of a prediction.
    smooth_seconds : float or None
        Length of the deque; None for columns without a smoothed one.
    """

    def __init__(self, names: Sequence[str], smooth_seconds: float | None) -> None:
        self.names = tuple(names)
        self._raw = array("f")
        self._smooth = array("f")
        self._rolling = None if smooth_seconds is None else RollingPrediction(smooth_seconds)
        self._held = np.full(len(self.names), np.nan)
        self._n_unknown = 0
        self._first = 0

    def __len__(self) -> int:
        return self._first + len(self._raw) // len(self.names)

    def write(self, ends: np.ndarray, predictions: np.ndarray, n_samples: int) -> None:
        """Write every frame that lies before a sample.

        Parameters
        ----------
        ends : ndarray of int, shape (n,)
            Sample from which on each new prediction is held, growing.
        predictions : ndarray of float, shape (n, n_names)
            NaN where a window has no prediction.
        n_samples : int
            No later prediction may be held from before this sample.
        """
        until = -(-n_samples * FRAME_RATE_HZ // SAMPLE_RATE_HZ)
        frames = np.arange(len(self), until, dtype=np.int64)
        newest = np.searchsorted(ends * FRAME_RATE_HZ, frames * SAMPLE_RATE_HZ, side="right")
        held = np.concatenate([self._held[None], predictions])
        self._append(held[newest])
        self._held = held[-1]

    def fill_last(self, n_frames: int) -> None:
        """Let the last of so many frames hold the newest prediction, which ended after it."""
        last = min(len(self), n_frames) - 1 - self._first
        if last >= 0:
            n = len(self.names)
            for column in (self._raw, self._smooth)[: 1 if self._rolling is None else 2]:
                column[last * n : (last + 1) * n] = array("f", self._held.tolist())

    def forget(self, first: int) -> None:
        """Forget the frames before this one."""
        n_values = min(first - self._first, len(self) - self._first) * len(self.names)
        if n_values > 0:
            del self._raw[:n_values]
            del self._smooth[:n_values]
            self._first += n_values // len(self.names)

    def columns(self, n_frames: int, first: int = 0) -> dict[str, np.ndarray]:
        """Give the columns up to a frame, NaN where nothing was written.

        Parameters
        ----------
        n_frames : int
            Length of the whole timeline.
        first : int
            Frame to begin with.

        Returns
        -------
        dict of str to ndarray of float32, shape (n_frames - first,)
            First the raw columns, then the smoothed ones.
        """
        columns = {}
        both = ((self._raw, ""), (self._smooth, "_smooth"))
        for values, suffix in both[: 1 if self._rolling is None else 2]:
            rows = np.frombuffer(values, np.float32).reshape(-1, len(self.names))
            rows = rows[max(0, first - self._first) : max(0, n_frames - self._first)]
            for index, name in enumerate(self.names):
                column = np.full(max(0, n_frames - first), np.nan, np.float32)
                column[: len(rows)] = rows[:, index]
                columns[f"{name}{suffix}"] = column
        return columns

    def _append(self, rows: np.ndarray) -> None:
        if not len(rows):
            return
        self._raw.frombytes(rows.astype(np.float32).tobytes())
        if self._rolling is None:
            return
        smooth = np.full(rows.shape, np.nan, np.float32)
        has_values = ~np.isnan(rows).any(axis=1)
        for run in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(has_values)) + 1):
            if has_values[run[0]]:
                self._n_unknown = 0
                smooth[run] = self._rolling.push_all(rows[run])
                continue
            self._n_unknown += len(run)
            if self._n_unknown > self._rolling.n:
                self._rolling.clear()
        self._smooth.frombytes(smooth.tobytes())
