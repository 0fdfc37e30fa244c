"""Tones of a known level, with labels of when somebody cries."""

from __future__ import annotations

import numpy as np

from cryvision.annotations import Interval
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.detector_training.labelled_sound import LabelledSound


def tone(seconds: float, dbfs: float = -20.0) -> np.ndarray:
    """A 440 Hz sine whose RMS level is given."""
    times_s = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    wave = np.sqrt(2) * 10 ** (dbfs / 20) * np.sin(2 * np.pi * 440 * times_s)
    return wave.astype(np.float32)


def labelled(samples: np.ndarray, *cry: tuple[float, float], **changes: object) -> LabelledSound:
    """Label a sound as crying from one time to another, in seconds, as often as is given."""
    intervals = tuple(Interval(start_s, end_s, "cry") for start_s, end_s in cry)
    facts = {"subject": "ada", "source": "own", "clip": "ada/1.wav"} | changes
    return LabelledSound(samples, intervals, **facts)  # type: ignore[arg-type]
