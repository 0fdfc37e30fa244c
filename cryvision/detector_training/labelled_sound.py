"""Labelled sound, the altered copies that training adds, and sounds that are no crying."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cryvision.annotations import Interval
from cryvision.augmentation import effects
from cryvision.augmentation import negatives as synthesis
from cryvision.config import SAMPLE_RATE_HZ

COPIES = "-copies"
"""What is put behind a source's name for the altered copies of its recordings."""

BAND_LIMITED_SHARE = 0.5
BAND_LIMITS_HZ = (3000.0, 7500.0)
"""So many of the copies and negatives lose what is above a random limit: how a recording was kept
must not separate crying from the rest."""


FAMILIES = tuple(family for family in synthesis.NEGATIVES if family != "music_box")
"""Synthetic sounds that the edges of a lab are trained against. Musical toys are left to the tagger
that knows them: in so short a training they cost crying that is found."""


@dataclass(frozen=True)
class LabelledSound:
    """One recording, or an altered copy of one, with the stretches that are cry.

    ``samples`` are float32, shape (n,). The subject is who or what it was recorded from; no subject
    is on both sides of a split. The source is the corpus it comes from, and the clip's name is
    shared by its copies.
    """

    samples: np.ndarray
    cry: tuple[Interval, ...]
    subject: str
    source: str
    clip: str


def altered_copies(sound: LabelledSound, rng: np.random.Generator) -> list[LabelledSound]:
    """Make the copies that training adds: phone-coded, under noise, and changed.

    Half of them are band-limited.
    """
    codec = str(rng.choice(effects.available_codecs()))
    coded = replace(sound, samples=effects.code(sound.samples, codec))
    copies = [coded, _noisy(sound, rng), _changed(sound, rng)]
    return [replace(_band_limited(copy, rng), source=f"{sound.source}{COPIES}") for copy in copies]


def _band_limited(sound: LabelledSound, rng: np.random.Generator) -> LabelledSound:
    cutoff_hz = rng.uniform(*BAND_LIMITS_HZ)
    if rng.random() >= BAND_LIMITED_SHARE:
        return sound
    return replace(sound, samples=effects.low_pass(sound.samples, cutoff_hz))


def _noisy(sound: LabelledSound, rng: np.random.Generator) -> LabelledSound:
    family = str(rng.choice(FAMILIES))
    noise = synthesis.negative(rng, family, len(sound.samples) / SAMPLE_RATE_HZ)
    return replace(
        sound, samples=effects.add_noise(sound.samples, noise, rng.uniform(0.0, 25.0), rng)
    )


def _changed(sound: LabelledSound, rng: np.random.Generator) -> LabelledSound:
    factor = rng.uniform(0.85, 1.15)
    samples = effects.change_speed(sound.samples, factor)
    samples = effects.equalise(samples, rng, strength_db=8.0)
    if rng.random() < 0.5:
        samples = effects.reverberate(samples, rng, rng.uniform(0.15, 0.8))
    cry = tuple(replace(i, start_s=i.start_s / factor, end_s=i.end_s / factor) for i in sound.cry)
    return replace(sound, samples=samples.astype(np.float32), cry=cry)


def synthetic_negatives(n_per_family: int, seconds: float, seed: int) -> list[LabelledSound]:
    """Draw sounds of each of `FAMILIES`, half of them band-limited; none holds crying."""
    rng = np.random.default_rng(seed)
    sounds = []
    for family in FAMILIES:
        for number in range(n_per_family):
            name = f"synthetic-{family}-{number}"
            samples = synthesis.negative(rng, family, seconds)
            sound = LabelledSound(samples, (), name, synthesis.KINDS[family], name)
            sounds.append(_band_limited(sound, rng))
    return sounds
