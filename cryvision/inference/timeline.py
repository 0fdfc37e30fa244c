"""What is known at each frame of the 30 Hz clock, in columns that grow as the stream is read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cryvision.config import FRAME_RATE_HZ, SAMPLE_RATE_HZ
from cryvision.inference.smoothing import RollingPrediction
from cryvision.inputs.frame_rows import FrameRows, RowFiles


class HeldPredictions:
    """Columns of predictions: each frame holds the newest one whose window has ended by then.

    Beside each column stands its smoothed one, ``<name>_smooth``, but where ``smooth_seconds`` is
    None: the mean of a rolling deque over the frames. Frames at which nothing is known are NaN in
    both; where they last longer than the deque, it is cleared, so that nothing from before a gap
    counts after it. The frames of a long stream go to ``files``; nothing of it can then be
    forgotten.
    """

    def __init__(
        self, names: Sequence[str], smooth_seconds: float | None, files: RowFiles | None = None
    ) -> None:
        self.names = tuple(names)
        self._raw = FrameRows(len(self.names), files)
        self._smooth = FrameRows(len(self.names), files)
        self._rolling = None if smooth_seconds is None else RollingPrediction(smooth_seconds)
        self._held = np.full(len(self.names), np.nan)
        self._n_unknown = 0
        self._first = 0

    def __len__(self) -> int:
        return self._first + len(self._raw)

    def write(self, ends: np.ndarray, predictions: np.ndarray, n_samples: int) -> None:
        """Write every frame that lies before a sample.

        Each of ``predictions``, shape (n, n_names), NaN where a window has none, is held from its
        sample in ``ends`` on, growing. No later one may be held from before ``n_samples``.
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
            for _, rows in self._stored():
                rows.replace(last, self._held)

    def forget(self, first: int) -> None:
        n = min(first, len(self)) - self._first
        if n > 0:
            for _, rows in self._stored():
                rows.forget(n)
            self._first += n

    def columns(self, n_frames: int, first: int = 0) -> dict[str, np.ndarray]:
        """Give the columns, raw then smoothed, up to a frame; NaN where nothing was written.

        Each is float32 of shape (n_frames - first,): ``n_frames`` is the length of the whole
        timeline, ``first`` the frame to begin with.
        """
        columns = {}
        for suffix, rows in self._stored():
            table = rows.table(max(0, first - self._first), max(0, n_frames - self._first))
            columns.update(
                {f"{name}{suffix}": table[:, index] for index, name in enumerate(self.names)}
            )
        return columns

    def _stored(self) -> list[tuple[str, FrameRows]]:
        """Give the rows by the suffix of their columns."""
        smoothed = [] if self._rolling is None else [("_smooth", self._smooth)]
        return [("", self._raw), *smoothed]

    def _append(self, rows: np.ndarray) -> None:
        if not len(rows):
            return
        self._raw.append(rows)
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
        self._smooth.append(smooth)
