"""The windows that the default detector is trained on: real clips, their copies, and negatives."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import recordings

from cryvision.learning.decisions import SOUND
from cryvision.learning.windows import (
    LabelledSound,
    Windows,
    altered_copies,
    concatenate,
    synthetic_negatives,
    windows_of,
)

SHARES = {
    "donateacry": 0.70,
    "donateacry-copies": 0.03,
    "esc10-cry": 0.015,
    "esc10-cry-copies": 0.01,
    "esc10-other": 0.05,
    "esc10-other-copies": 0.025,
    "digits": 0.03,
    "living": 0.03,
    "noise": 0.03,
    "tonal": 0.06,
    "music": 0.08,
}
"""How often training draws from each source."""

SYNTHETIC_PER_FAMILY = 120
SYNTHETIC_SECONDS = 5.0


def real_windows(sounds: Sequence[LabelledSound]) -> Windows:
    """Windows of recordings as they are, one each 0.1 s."""
    return windows_of(sounds, SOUND)


def added_windows(
    donateacry: Sequence[LabelledSound], esc10: Sequence[LabelledSound], seed: int
) -> Windows:
    """Windows of what training adds: altered copies, spoken digits and synthetic negatives."""
    noises = [sound for sound in esc10 if sound.source == "esc10-other"]
    copies = []
    for number, sound in enumerate([*donateacry, *esc10]):
        rng = np.random.default_rng([seed, number])
        copies.append(windows_of(altered_copies(sound, noises, rng), SOUND, every=2))
        if number % 100 == 0:
            print(f"copies of clip {number}", file=sys.stderr)
    digits = recordings.digits(seed=seed)
    negatives = synthetic_negatives(SYNTHETIC_PER_FAMILY, SYNTHETIC_SECONDS, seed)
    return concatenate(
        [*copies, windows_of(digits, SOUND, every=2), windows_of(negatives, SOUND, every=2)]
    )
