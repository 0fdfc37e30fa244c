"""Tags in a stream of log-mel frames: a tagger over a stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from cryvision.config import LogMelConfig
from cryvision.inputs.audio import mean_square_dbfs
from cryvision.inputs.logmel import SILENCE, Frames, model_input
from cryvision.runtime.loading import Predictor

HEARD = 0.5
"""Score from which on a tag counts as detected."""

SILENCE_TAG = "silence"
"""What a window is that is too quiet to be scored."""

BLOCK_VALUES = 1 << 19
"""Values of windows scored at a time (2 MB): bounds the memory."""


@dataclass(frozen=True)
class TagWindows:
    """The scores of the tagger: float32, shape (n, n_tags), for windows that end at `end_samples`.

    No later window ends before `settled_samples`.
    """

    end_samples: np.ndarray
    scores: np.ndarray
    settled_samples: int

    def __len__(self) -> int:
        return len(self.end_samples)


NO_TAGS = TagWindows(np.empty(0, np.int64), np.empty((0, 0), np.float32), 0)
"""The windows without a tagger."""


class TagScorer:
    """Scores the windows of a stream of log-mel frames; silence stands before it.

    The model takes ``logmel`` of ``config.window_frames`` frames to a score for each tag. A window
    below ``min_level_dbfs`` is not scored: it is silence. Between calls one window and one hop of
    frames are kept.
    """

    def __init__(
        self, model: Predictor, config: LogMelConfig, tags: Sequence[str], min_level_dbfs: float
    ) -> None:
        self._model = model
        self._config = config
        self._quiet = np.array([tag == SILENCE_TAG for tag in tags], np.float32)
        self._min_level_dbfs = min_level_dbfs
        self._n_windows = 0
        # A hop more than the next window needs, for the last one of a stream.
        self._log_power = np.full((config.window_frames, config.n_mels), SILENCE, np.float32)
        self._mean_square = np.zeros(config.window_frames, np.float32)

    def push(self, frames: Frames) -> TagWindows:
        config = self._config
        self._log_power = np.concatenate([self._log_power, frames.log_power])
        self._mean_square = np.concatenate([self._mean_square, frames.mean_square])
        n = (len(self._log_power) - config.window_frames) // config.hop_frames
        log_power = self._log_power[config.hop_frames :]
        mean_square = self._mean_square[config.hop_frames :]
        scores = self._scored(log_power, mean_square, n)
        ends = np.arange(self._n_windows + 1, self._n_windows + n + 1, dtype=np.int64)
        self._n_windows += n
        self._log_power = self._log_power[n * config.hop_frames :].copy()
        self._mean_square = self._mean_square[n * config.hop_frames :].copy()
        next_end = (self._n_windows + 1) * config.hop_samples
        return TagWindows(ends * config.hop_samples, scores, next_end)

    def finish(self, frames: Frames, n_samples: int) -> TagWindows:
        """Score what is left of a sound of so many samples, given its last frames.

        Its end is the end of one more window, if none ends there already.
        """
        windows = self.push(frames)
        ends = np.minimum(windows.end_samples, n_samples)
        n_frames = self._config.window_frames
        if n_samples <= self._n_windows * self._config.hop_samples:
            return TagWindows(ends, windows.scores, n_samples)
        last = self._scored(self._log_power[-n_frames:], self._mean_square[-n_frames:], 1)
        scores = np.concatenate([windows.scores, last])
        return TagWindows(np.append(ends, n_samples), scores, n_samples)

    def _scored(self, log_power: np.ndarray, mean_square: np.ndarray, n: int) -> np.ndarray:
        """Score the first so many windows of these frames."""
        config = self._config
        scores = np.tile(self._quiet, (n, 1))
        if not n:
            return scores
        windows = sliding_window_view(log_power, config.window_frames, axis=0)
        squares = sliding_window_view(mean_square, config.window_frames)
        levels = mean_square_dbfs(squares[:: config.hop_frames][:n].mean(axis=1))
        loud = np.flatnonzero(levels >= self._min_level_dbfs)
        at_once = max(1, BLOCK_VALUES // (config.window_frames * config.n_mels))
        for first in range(0, len(loud), at_once):
            rows = loud[first : first + at_once]
            block = windows[rows * config.hop_frames].swapaxes(1, 2)
            scores[rows] = self._model.predict({"logmel": model_input(block, config)})
        return scores
