"""Synthetic sounds that are not crying: negatives that a cry detector is trained against.

Recorded negatives cover few of the sounds of a home, and a detector trained without a steady
tone takes it for a cry. Each family here draws new parameters at every call, so that what is learnt
is the kind of sound. A test of generalisation needs generators that share nothing with these: the
voices that sing and swing here are pulses through resonances, those of the tests sums of sines; the
musical toys here are frequency modulation, those of the tests square waves and fixed partials;
sirens and plucked strings are kept out of here. Voices and animals are in this
module, tones, music and noise in `cryvision.augmentation.tones_and_noise`.

Every family is a function of a random generator and a number of samples. It returns float64 of that
length at no particular level; :func:`negative` sets level, pauses and background.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cryvision.augmentation.effects import reverberate
from cryvision.augmentation.source_filter import VOWELS_HZ, vocal_folds, vocal_tract
from cryvision.augmentation.tones_and_noise import (
    band_gain,
    band_noise,
    beeps,
    bowed,
    chords,
    clicks,
    coloured_noise,
    cycles_of,
    faded,
    filtered,
    harmonic_wave,
    hum,
    log_uniform,
    music_box,
    notes,
    random_amplitudes,
    random_curve,
    random_spans,
    rumble_and_wind,
    steady_cycles,
    sweeps,
    tones,
    unit_level,
)
from cryvision.config import SAMPLE_RATE_HZ, check_choice
from cryvision.errors import ConfigError

CHEAP_CHANCE, ROOM_CHANCE = 0.35, 0.25
"""Share of negatives that cheap electronics play, and that sound in a room."""


STAGE_CHANCE = 0.6
"""Of each of the three things that cheap electronics may do."""

HELD_RATE_HZ = (3000.0, 12_000.0)
DRIVE = (0.3, 10.0)
BITS = (4, 9)
RT60_SECONDS = (0.15, 0.8)


def synthetic_speech(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """A talking voice, a man's to a child's: syllables of vowels, hisses and pauses."""
    f0_hz = log_uniform(rng, 80, 330)
    # Vocal tracts shorten as voices rise: formants of a child lie a third above a man's.
    tract = np.clip((f0_hz / 120) ** 0.3, 0.9, 1.4) * rng.uniform(0.92, 1.08)
    rate_hz = rng.uniform(3, 6)
    n_syllables = 2 + int(rate_hz * n_samples / SAMPLE_RATE_HZ)
    lengths_s = rng.uniform(0.7, 1.3, n_syllables) / rate_hz
    pauses_s = np.where(rng.random(n_syllables) < 0.22, rng.uniform(0.1, 0.8, n_syllables), 0)
    starts_s = np.cumsum(lengths_s + pauses_s) - lengths_s
    loudness = rng.uniform(0.4, 1, n_syllables)
    bends = starts_s[:, None] + lengths_s[:, None] * np.array([0, 0.25, 0.7, 0.97])
    heights = loudness[:, None] * np.array([0, 1, 0.75, 0])
    times_s = np.arange(n_samples) / SAMPLE_RATE_HZ
    envelope = np.interp(times_s, bends.reshape(-1), heights.reshape(-1))
    pitch = f0_hz * np.exp(rng.normal(0, rng.uniform(0.04, 0.18), n_syllables))
    line = np.clip(np.interp(times_s, starts_s, pitch), 70, 400)
    breath = rng.standard_normal(n_samples)
    source = envelope * (vocal_folds(rng, line) + breath * log_uniform(rng, 0.02, 0.3))
    vowels = VOWELS_HZ[rng.integers(len(VOWELS_HZ), size=n_syllables)] * tract
    formants = np.column_stack([vowels, np.full(n_syllables, 3400 * tract)])
    voice = vocal_tract(rng, source, starts_s + 0.4 * lengths_s, formants)
    hissed = np.where(rng.random(n_syllables) < 0.4, rng.uniform(0.2, 1.0, n_syllables), 0)
    edges = starts_s[:, None] + lengths_s[:, None] * np.array([-0.25, -0.1, 0.1, 0.2])
    puffs = hissed[:, None] * np.array([0.0, 1.0, 1.0, 0.0])
    hiss = filtered(breath, lambda f: band_gain(f, 2200 * tract, 5500 * tract))
    hiss *= np.interp(times_s, np.maximum.accumulate(edges.reshape(-1)), puffs.reshape(-1))
    return unit_level(voice) + hiss * rng.uniform(0.1, 0.5)


def laughter(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """Series of three to ten short breathy vowels, four to six a second, and pauses."""
    f0_hz, breathiness = log_uniform(rng, 160, 520), log_uniform(rng, 0.1, 1)
    knots: list[tuple[float, float, float, float]] = []
    at_s, end_s = rng.uniform(0, 0.3), n_samples / SAMPLE_RATE_HZ
    while at_s < end_s or not knots:
        rate_hz, count = rng.uniform(4, 6), int(rng.integers(3, 11))
        start_hz, fall, loud = f0_hz * rng.uniform(0.8, 1.2), rng.uniform(0.6, 1.05), 1.0
        for k in range(count):
            length_s = rng.uniform(0.06, 0.15)
            top_hz = np.clip(start_hz * fall ** (k / count) * rng.uniform(0.92, 1.08), 150, 600)
            foot_hz = top_hz * rng.uniform(0.75, 1.0)
            loud *= rng.uniform(0.85, 1.05)
            knots += [
                (at_s - 0.03, 0.0, 0.0, top_hz),
                (at_s, 0.0, loud, top_hz),
                (at_s + 0.25 * length_s, loud, 0.4 * loud, top_hz),
                (at_s + length_s, 0.0, 0.3 * loud, foot_hz),
                (at_s + length_s + 0.04, 0.0, 0.0, foot_hz),
            ]
            at_s += max(1 / rate_hz, length_s + 0.075)
        at_s += rng.uniform(0.3, 1.5)
    knots_s, voiced, breathed, pitch = np.array(knots).T
    times_s = np.arange(n_samples) / SAMPLE_RATE_HZ
    line = np.interp(times_s, knots_s, pitch)
    source = vocal_folds(rng, line) * np.interp(times_s, knots_s, voiced)
    puffs = rng.standard_normal(n_samples) * np.interp(times_s, knots_s, breathed)
    tract = np.clip((f0_hz / 150) ** 0.3, 0.95, 1.5)
    formants = np.append(VOWELS_HZ[rng.choice([2, 3, 4, 6, 8])], 3400)[None, :] * tract
    return vocal_tract(rng, source + puffs * breathiness, np.zeros(1), formants)


def singing(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """A voice that sings or hums: long vowels on notes of a scale, gliding over, with vibrato."""
    home_hz, note_s = log_uniform(rng, 110, 500), log_uniform(rng, 0.25, 1.8)
    n_notes = 2 + int(n_samples / SAMPLE_RATE_HZ / (0.7 * note_s))
    lengths_s = note_s * rng.uniform(0.7, 1.4, n_notes)
    starts_s = np.cumsum(lengths_s) - lengths_s
    steps = rng.choice([0, 2, 4, 5, 7, 9, 11, 12], n_notes) + 12 * rng.integers(-1, 1, n_notes)
    glide_s = rng.uniform(0.03, 0.2)
    bends = np.stack([starts_s, np.maximum(starts_s + lengths_s - glide_s, starts_s)], axis=1)
    times_s = np.arange(n_samples) / SAMPLE_RATE_HZ
    heights = np.repeat(home_hz * 2 ** (steps / 12), 2)
    line = np.interp(times_s, bends.reshape(-1), heights)
    depth = rng.uniform(0, 0.05) * random_curve(rng, n_samples, 1.0, 0, 1)
    line = line * (1 + depth * np.sin(2 * np.pi * steady_cycles(rng.uniform(4, 8), n_samples)))
    line = np.clip(line, 70, 1100)
    breath = rng.standard_normal(n_samples) * log_uniform(rng, 0.01, 0.2)
    tract = np.clip((home_hz / 150) ** 0.3, 0.9, 1.5) * rng.uniform(0.95, 1.05)
    vowels = VOWELS_HZ[rng.integers(len(VOWELS_HZ), size=n_notes)] * tract
    formants = np.column_stack([vowels, np.full(n_notes, 3400 * tract)])
    loud = np.interp(times_s, starts_s, rng.uniform(0.3, 1, n_notes))
    return vocal_tract(rng, (vocal_folds(rng, line) + breath) * loud, starts_s, formants)


def babble(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """Several people talking at once: two voices, each also from another moment on."""
    voices = [unit_level(synthetic_speech(rng, n_samples)) for _ in range(2)]
    voices += [np.roll(voice, rng.integers(n_samples)) for voice in voices]
    return np.asarray(sum(voice * log_uniform(rng, 0.2, 1) for voice in voices))


def animal_like(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """Barks and chirps: harmonic bursts shorter than a quarter of a second."""
    sound = np.zeros(n_samples)
    bird = rng.random() < 0.5
    base_hz = log_uniform(rng, 1200, 4000) if bird else log_uniform(rng, 150, 900)
    longest_s, widest_pause_s = rng.uniform(0.06, 0.24), log_uniform(rng, 0.1, 1.2)
    for start, end in random_spans(rng, n_samples, (0.03, longest_s), (0.04, widest_pause_s)):
        first_hz, last_hz = base_hz * rng.uniform(0.7, 1.4, 2)
        pitch = np.linspace(first_hz, last_hz, end - start)
        amplitudes = random_amplitudes(rng, max(first_hz, last_hz), 2 if bird else 25, 0.8)
        burst = harmonic_wave(rng, cycles_of(pitch), amplitudes)
        if not bird:
            burst = burst + rng.normal(0, rng.uniform(0.02, 0.5), end - start)
        sound[start:end] = faded(burst, 0.01) * rng.uniform(0.3, 1)
    return sound


_KINDS = {
    "tonal": (tones, beeps, sweeps),
    "music": (chords, notes, bowed, music_box),
    "noise": (coloured_noise, hum, clicks, rumble_and_wind),
    "living": (synthetic_speech, singing, laughter, babble, animal_like),
}

KINDS = {family.__name__: kind for kind, families in _KINDS.items() for family in families}
"""The kind of sound of each family. Crying may be under noise, and be taken for music."""

NEGATIVES: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    family.__name__: family for families in _KINDS.values() for family in families
}
"""The families by name."""


def cheap_electronics(rng: np.random.Generator, sound: np.ndarray) -> np.ndarray:
    """Play a sound as toys, alarms and old telephones do, at the level that it had.

    Its samples are held for a while without any filter, which folds its partials back to where they
    do not belong; an amplifier is overdriven, perhaps more to one side; and few bits are left.
    """
    level = np.sqrt(np.mean(sound**2))
    if level == 0:
        return sound
    played = sound / level
    if rng.random() < STAGE_CHANCE:
        step = SAMPLE_RATE_HZ / log_uniform(rng, *HELD_RATE_HZ)
        held = np.floor(np.arange(len(sound)) / step) * step
        played = played[held.astype(np.int64)]
    if rng.random() < STAGE_CHANCE:
        drive, lean = log_uniform(rng, *DRIVE), rng.uniform(-0.7, 0.7)
        played = np.tanh(drive * played + lean) - np.tanh(lean)
    if rng.random() < STAGE_CHANCE:
        finest = np.abs(played).max() / 2 ** (int(rng.integers(*BITS)) - 1)
        played = np.round(played / finest) * finest
    left = np.sqrt(np.mean(played**2))
    return played * (level / left) if left > 0 else sound


def negative(rng: np.random.Generator, family: str, seconds: float) -> np.ndarray:
    """Draw one sound of a family of :data:`NEGATIVES`, float32, 16 kHz, within -1 to 1.

    Some of the sounds come from cheap electronics, some from a room. The level is random (-50 to -8
    dBFS where it sounds, less if it would clip), half of the draws have pauses, and half a quiet
    background of noise.
    """
    check_choice("family", family, NEGATIVES)
    n_samples = round(seconds * SAMPLE_RATE_HZ) if np.isfinite(seconds) else 0
    if n_samples < 1:
        raise ConfigError(f"seconds must be positive and finite; got {seconds:g}")
    sound = NEGATIVES[family](rng, n_samples)
    if rng.random() < CHEAP_CHANCE:
        sound = cheap_electronics(rng, sound)
    sounding = np.sqrt(np.mean(sound**2))
    if rng.random() < 0.5:
        pattern = np.zeros(n_samples)
        for start, end in random_spans(rng, n_samples, (0.3, 3.0), (0.1, 1.5)):
            pattern[start:end] = faded(np.ones(end - start), log_uniform(rng, 0.005, 0.2))
        sound = sound * pattern
    if rng.random() < ROOM_CHANCE:
        sound = reverberate(sound, rng, rng.uniform(*RT60_SECONDS)).astype(np.float64)
    if rng.random() < 0.5:
        background = unit_level(band_noise(rng, n_samples, rng.uniform(0, 2), 20, 8000))
        sound = sound + background * sounding * 10 ** (rng.uniform(-50, -15) / 20)
    peak = np.abs(sound).max()
    if peak > 0:
        sound = sound * min(10 ** (rng.uniform(-50, -8) / 20) / sounding, 1 / peak)
    return sound.astype(np.float32)
