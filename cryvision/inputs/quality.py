"""The quality of a recording, minute by minute, as its sound arrives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryvision.config import SAMPLE_RATE_HZ
from cryvision.inputs.audio import LEVEL_FLOOR_DBFS

MINUTE_SECONDS = 60

CLIPPED_AT = 0.985
"""Amplitude that counts as full scale: sound that was resampled does not stay exactly there."""

SILENT_DBFS = -70.0
"""A tenth of a second below this level is silent: 10 dB below what is scored."""

NOISE_PERCENTILE = 10.0

_FRAME = SAMPLE_RATE_HZ // 10
_MINUTE = MINUTE_SECONDS * SAMPLE_RATE_HZ


@dataclass(frozen=True)
class MinuteQuality:
    """The sound of one minute of a recording.

    `seconds` is the sound that there is: 60, and less at the end. `clipped_share` is of the samples
    within 0.13 dB of full scale, `silent_share` of the tenths of a second below -70 dBFS, and
    `noise_floor_dbfs` the 10th percentile of their levels, over the whole band.
    """

    start_s: float
    seconds: float
    clipped_share: float
    silent_share: float
    noise_floor_dbfs: float


class QualityStream:
    """Measures the quality of a stream of sound; it holds less than a tenth of a second of it."""

    def __init__(self) -> None:
        self._minutes: list[MinuteQuality] = []
        self._rest = np.empty(0, np.float32)
        self._power: list[float] = []
        self._n = self._n_clipped = 0

    def push(self, samples: np.ndarray) -> None:
        """Take the next piece: float32, shape (n,), 16 kHz mono."""
        while len(samples):
            taken, samples = np.split(samples, [_MINUTE - self._n])
            self._n += len(taken)
            self._n_clipped += int(np.count_nonzero(np.abs(taken) >= CLIPPED_AT))
            sound = np.concatenate([self._rest, taken])
            n_frames = len(sound) // _FRAME
            frames = sound[: n_frames * _FRAME].reshape(n_frames, _FRAME)
            self._power += np.mean(np.square(frames, dtype=np.float64), axis=1).tolist()
            self._rest = sound[n_frames * _FRAME :].copy()
            if self._n == _MINUTE:
                self._close()

    def finish(self) -> tuple[MinuteQuality, ...]:
        """Return all minutes, the last one as far as it goes."""
        if self._n:
            self._close()
        return tuple(self._minutes)

    def _close(self) -> None:
        # What is shorter than a frame counts only where there is nothing else.
        power = self._power or [float(np.mean(np.square(self._rest, dtype=np.float64)))]
        levels_dbfs = 10 * np.log10(np.maximum(power, 10 ** (LEVEL_FLOOR_DBFS / 10)))
        self._minutes.append(
            MinuteQuality(
                start_s=float(len(self._minutes) * MINUTE_SECONDS),
                seconds=self._n / SAMPLE_RATE_HZ,
                clipped_share=self._n_clipped / self._n,
                silent_share=float(np.mean(levels_dbfs < SILENT_DBFS)),
                noise_floor_dbfs=float(np.percentile(levels_dbfs, NOISE_PERCENTILE)),
            )
        )
        self._rest, self._power = np.empty(0, np.float32), []
        self._n = self._n_clipped = 0
