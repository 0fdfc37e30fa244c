"""Labelled recordings become labelled windows, with the altered copies that training adds."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cryvision.config import SAMPLE_RATE_HZ, SoundConfig
from cryvision.inputs import augment
from cryvision.inputs.features import sound_windows
from cryvision.learning import synthesis
from cryvision.learning.annotations import Interval, window_labels

WEAK_RANGE_DB = 15.0
"""Windows of a weakly labelled clip that lie further than this below its loudest are left out."""

MIN_LEVEL_DBFS = -60.0
"""Quieter windows are not scored: the energy gate, the same in training and in use."""


COPIES = "-copies"
"""What is put behind a source's name for the altered copies of its recordings."""


@dataclass(frozen=True)
class LabelledSound:
    """One recording, or an altered copy of one, with the stretches that are cry.

    Attributes
    ----------
    samples : ndarray of float32, shape (n,)
    cry : tuple of Interval
    subject : str
        Who or what it was recorded from; no subject is on both sides of a split.
    source : str
        The corpus it comes from.
    clip : str
        Its own name, shared by its copies.
    noise_subject : str
        What the noise that was mixed in was recorded from; empty where none was.
    weak : bool
        The label is the whole clip's: windows far below its loudest may be anything.
    """

    samples: np.ndarray
    cry: tuple[Interval, ...]
    subject: str
    source: str
    clip: str
    noise_subject: str = ""
    weak: bool = False


@dataclass(frozen=True)
class Windows:
    """Windows of many recordings, one row each.

    Attributes
    ----------
    inputs : ndarray of float16, shape (n, n_frames, n_features)
        Model inputs; half precision is 0.03 dB at most, and halves the memory.
    cry : ndarray of float32, shape (n,)
        Share of the window that is cry.
    end_s : ndarray of float64, shape (n,)
    level_dbfs : ndarray of float32, shape (n,)
    subject, noise_subject, source, clip : ndarray of str, shape (n,)
    """

    inputs: np.ndarray
    cry: np.ndarray
    end_s: np.ndarray
    level_dbfs: np.ndarray
    subject: np.ndarray
    noise_subject: np.ndarray
    source: np.ndarray
    clip: np.ndarray

    def __len__(self) -> int:
        return len(self.cry)

    def __getitem__(self, rows: np.ndarray | slice) -> Windows:
        return Windows(**{name: column[rows] for name, column in vars(self).items()})

    @property
    def scored(self) -> np.ndarray:
        """Which windows pass the energy gate; shape (n,), bool."""
        return self.level_dbfs >= MIN_LEVEL_DBFS

    def holds(self, subjects: Collection[str]) -> np.ndarray:
        """Which windows hold sound of any of these subjects, also as noise; shape (n,), bool."""
        listed = list(subjects)
        return np.isin(self.subject, listed) | np.isin(self.noise_subject, listed)


def windows_of(sounds: Sequence[LabelledSound], config: SoundConfig, every: int = 1) -> Windows:
    """Cut recordings into windows.

    Parameters
    ----------
    sounds : sequence of LabelledSound
    config : SoundConfig
    every : int
        Keep every n-th window.
    """
    rows = [_rows(sound, config, every) for sound in sounds]
    return concatenate(rows)


def concatenate(sets: Sequence[Windows]) -> Windows:
    """Put sets of windows behind one another."""
    return Windows(
        **{name: np.concatenate([getattr(s, name) for s in sets]) for name in vars(sets[0])}
    )


def _rows(sound: LabelledSound, config: SoundConfig, every: int) -> Windows:
    windows = sound_windows(sound.samples, config)
    ends = windows.end_samples[::every]
    n = len(ends)
    rows = Windows(
        inputs=windows.inputs[::every].astype(np.float16),
        cry=window_labels(sound.cry, ends, config.window_samples, SAMPLE_RATE_HZ),
        end_s=ends / SAMPLE_RATE_HZ,
        level_dbfs=windows.level_dbfs[::every],
        subject=np.full(n, sound.subject, object),
        noise_subject=np.full(n, sound.noise_subject, object),
        source=np.full(n, sound.source, object),
        clip=np.full(n, sound.clip, object),
    )
    if sound.weak and n:
        rows = rows[rows.level_dbfs >= rows.level_dbfs.max() - WEAK_RANGE_DB]
    return rows


def altered_copies(
    sound: LabelledSound, noises: Sequence[LabelledSound], rng: np.random.Generator
) -> list[LabelledSound]:
    """Make the copies that training adds: phone-coded, under noise, and changed.

    Parameters
    ----------
    sound : LabelledSound
    noises : sequence of LabelledSound
        Recordings without crying, as they were recorded; a synthetic negative is drawn as often.
    rng : numpy.random.Generator
    """
    codec = str(rng.choice(augment.available_codecs()))
    coded = replace(sound, samples=augment.code(sound.samples, codec))
    copies = [coded, _noisy(sound, noises, rng), _changed(sound, rng)]
    return [replace(copy, source=f"{sound.source}{COPIES}") for copy in copies]


def _noisy(
    sound: LabelledSound, noises: Sequence[LabelledSound], rng: np.random.Generator
) -> LabelledSound:
    candidates = [noise for noise in noises if noise.subject != sound.subject]
    if candidates and rng.random() < 0.5:
        chosen = candidates[rng.integers(len(candidates))]
        noise, subject = chosen.samples, chosen.subject
    else:
        family = str(rng.choice(list(synthesis.NEGATIVES)))
        noise = synthesis.negative(rng, family, len(sound.samples) / SAMPLE_RATE_HZ)
        subject = ""
    mixed = augment.add_noise(sound.samples, noise, rng.uniform(0.0, 25.0), rng)
    return replace(sound, samples=mixed, noise_subject=subject)


def _changed(sound: LabelledSound, rng: np.random.Generator) -> LabelledSound:
    factor = rng.uniform(0.85, 1.15)
    samples = augment.change_speed(sound.samples, factor)
    samples = augment.equalise(samples, rng, strength_db=8.0)
    if rng.random() < 0.5:
        samples = augment.reverberate(samples, rng, rng.uniform(0.15, 0.8))
    cry = tuple(replace(i, start_s=i.start_s / factor, end_s=i.end_s / factor) for i in sound.cry)
    return replace(sound, samples=samples.astype(np.float32), cry=cry)


def synthetic_negatives(n_per_family: int, seconds: float, seed: int) -> list[LabelledSound]:
    """Draw sounds of every synthetic family; none holds crying.

    Parameters
    ----------
    n_per_family : int
    seconds : float
        Length of each.
    seed : int
    """
    rng = np.random.default_rng(seed)
    return [
        LabelledSound(
            samples=synthesis.negative(rng, family, seconds).astype(np.float32),
            cry=(),
            subject=f"synthetic-{family}-{number}",
            source=synthesis.KINDS[family],
            clip=f"synthetic-{family}-{number}",
        )
        for family in synthesis.NEGATIVES
        for number in range(n_per_family)
    ]
