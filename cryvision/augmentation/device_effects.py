"""Effects on a sound before a microphone records it: cheap electronics, and a room."""

from __future__ import annotations

import numpy as np

from cryvision.augmentation.effects import reverberate
from cryvision.config import SAMPLE_RATE_HZ

STAGE_CHANCE = 0.6
"""Of each of the three things that cheap electronics may do."""

HELD_RATE_HZ = (3000.0, 12_000.0)
DRIVE = (0.3, 10.0)
BITS = (4, 9)
RT60_SECONDS = (0.15, 0.8)


def cheap_electronics(rng: np.random.Generator, sound: np.ndarray) -> np.ndarray:
    """Play a sound as toys, alarms and old telephones do.

    Its samples are held for a while without any filter, which folds its partials back to where
    they do not belong; an amplifier is overdriven, perhaps more to one side; and few bits are left.

    Parameters
    ----------
    rng : numpy.random.Generator
    sound : ndarray of float64, shape (n,), 16 kHz

    Returns
    -------
    ndarray of float64, shape (n,)
        At the level that it had.
    """
    level = np.sqrt(np.mean(sound**2))
    if level == 0:
        return sound
    played = sound / level
    if rng.random() < STAGE_CHANCE:
        step = SAMPLE_RATE_HZ / np.exp(rng.uniform(*np.log(HELD_RATE_HZ)))
        held = np.floor(np.arange(len(sound)) / step) * step
        played = played[held.astype(np.int64)]
    if rng.random() < STAGE_CHANCE:
        drive, lean = np.exp(rng.uniform(*np.log(DRIVE))), rng.uniform(-0.7, 0.7)
        played = np.tanh(drive * played + lean) - np.tanh(lean)
    if rng.random() < STAGE_CHANCE:
        finest = np.abs(played).max() / 2 ** (int(rng.integers(*BITS)) - 1)
        played = np.round(played / finest) * finest
    left = np.sqrt(np.mean(played**2))
    return played * (level / left) if left > 0 else sound


def room(rng: np.random.Generator, sound: np.ndarray) -> np.ndarray:
    """Put a sound into a room of any kind; float64, shape (n,)."""
    return reverberate(sound, rng, rng.uniform(*RT60_SECONDS)).astype(np.float64)
