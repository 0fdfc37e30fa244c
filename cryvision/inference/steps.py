"""Cry scores of a stream of log-mel frames, one each step: a frame network over a stream."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryvision.config import LogMelConfig
from cryvision.inputs.audio import mean_square_dbfs
from cryvision.inputs.logmel import SILENCE, Frames, model_input
from cryvision.runtime.loading import Model

BLOCK_STEPS = 1024
"""Steps scored at a time (40 s of sound): bounds the memory."""


@dataclass(frozen=True)
class Steps:
    """The scores of a frame network over a stretch of sound.

    `start_samples` and `end_samples` are the span of each score, int64; the last step ends with the
    sound. `scores` of crying, 0 where a step is too quiet, and `level_dbfs` are float32; all of
    shape (n,).
    """

    start_samples: np.ndarray
    end_samples: np.ndarray
    scores: np.ndarray
    level_dbfs: np.ndarray

    def __len__(self) -> int:
        return len(self.end_samples)

    def __getitem__(self, rows: slice) -> Steps:
        return Steps(
            self.start_samples[rows],
            self.end_samples[rows],
            self.scores[rows],
            self.level_dbfs[rows],
        )

    @classmethod
    def none(cls) -> Steps:
        no_times, no_values = np.empty(0, np.int64), np.empty(0, np.float32)
        return cls(no_times, no_times, no_values, no_values)

    @classmethod
    def joined(cls, first: Steps, second: Steps) -> Steps:
        """Put steps behind others."""
        return cls(
            np.concatenate([first.start_samples, second.start_samples]),
            np.concatenate([first.end_samples, second.end_samples]),
            np.concatenate([first.scores, second.scores]),
            np.concatenate([first.level_dbfs, second.level_dbfs]),
        )


class StepScorer:
    """Scores the steps of a stream of log-mel frames; silence stands before and behind it.

    The model takes ``logmel`` of any length to one score each ``config.hop_frames``. A step below
    ``min_level_dbfs`` is not scored: it is no cry. Between calls one window of frames is kept;
    `n_steps` were given so far.
    """

    def __init__(self, model: Model, config: LogMelConfig, min_level_dbfs: float) -> None:
        self._model = model
        self._config = config
        self._min_level_dbfs = min_level_dbfs
        self.n_steps = 0
        # The first step is the first hop of the sound.
        n_before = config.window_frames - config.lookahead_frames - config.hop_frames
        self._log_power = np.full((n_before, config.n_mels), SILENCE, np.float32)
        self._mean_square = np.empty(0, np.float32)

    def push(self, frames: Frames) -> Steps:
        self._take(frames.log_power, frames.mean_square)
        complete = (len(self._log_power) - self._config.window_frames) // self._config.hop_frames
        return self._scored(max(0, complete + 1))

    def finish(self, frames: Frames, n_samples: int) -> Steps:
        """Score what is left of a sound of so many samples, given its last frames."""
        config = self._config
        self._take(frames.log_power, frames.mean_square)
        n_left = -(-n_samples // config.hop_samples) - self.n_steps
        n_needed = (n_left - 1) * config.hop_frames + config.window_frames
        missing = max(0, n_needed - len(self._log_power))
        silence = np.full((missing, config.n_mels), SILENCE, np.float32)
        self._take(silence, np.zeros(missing, np.float32))
        steps = self._scored(n_left)
        ends = np.minimum(steps.end_samples, n_samples)
        return Steps(steps.start_samples, ends, steps.scores, steps.level_dbfs)

    def _take(self, log_power: np.ndarray, mean_square: np.ndarray) -> None:
        self._log_power = np.concatenate([self._log_power, log_power])
        self._mean_square = np.concatenate([self._mean_square, mean_square])

    def _scored(self, n: int) -> Steps:
        """Score the next steps, and move the frames on past them."""
        config = self._config
        n_frames = n * config.hop_frames
        mean_square = self._mean_square[:n_frames].reshape(n, config.hop_frames)
        levels = mean_square_dbfs(mean_square.mean(axis=1))
        loud = levels >= self._min_level_dbfs
        scores = np.zeros(n, np.float32)
        for first in range(0, n, BLOCK_STEPS):
            block = slice(first, min(first + BLOCK_STEPS, n))
            if loud[block].any():
                stop = (block.stop - 1) * config.hop_frames + config.window_frames
                window = model_input(self._log_power[first * config.hop_frames : stop], config)
                scores[block] = self._model.predict({"logmel": window[None]})[0, :, 0]
        scores[~loud] = 0.0
        starts = np.arange(self.n_steps, self.n_steps + n, dtype=np.int64) * config.hop_samples
        self.n_steps += n
        self._log_power = self._log_power[n_frames:].copy()
        self._mean_square = self._mean_square[n_frames:].copy()
        return Steps(starts, starts + config.hop_samples, scores, levels)
