"""Synthetic negatives: what every family must be, whatever the random generator says."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest

from cryvision.augmentation import negatives as synthesis
from cryvision.augmentation.negatives import NEGATIVES, negative
from cryvision.augmentation.tones_and_noise import band_noise
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.errors import ConfigError

FAMILIES = sorted(NEGATIVES)
SEEDS = range(6)

LOUDEST_DBFS = -8.0 + 0.1
"""The top of the documented range; the background of noise may add 0.1 dB."""

CPU_SECONDS_FOR_FIVE = 0.15
"""Ten thousand negatives must not hold training up: three times what a slow core takes."""

TONAL_DB = 18.0
"""By how much the strongest bin of tones stands above the mean of the spectrum: short beeps, with
many harmonics, have the least. White noise reaches 5 dB."""

SLOPE_TOLERANCE_DB = 1.5
"""Spread of an octave's power in 5 s of noise is below 0.5 dB; the band's edges add the rest."""


def power(sound: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return bin frequencies in Hz, and mean power of half-second pieces."""
    n = SAMPLE_RATE_HZ // 2
    pieces = sound[: len(sound) // n * n].reshape(-1, n) * np.hanning(n)
    return np.fft.rfftfreq(n, 1 / SAMPLE_RATE_HZ), np.mean(np.abs(np.fft.rfft(pieces)) ** 2, axis=0)


def bursts_s(sound: np.ndarray) -> np.ndarray:
    """Return how long each stretch of sound lasts, at a threshold 20 dB below the loudest."""
    hop = SAMPLE_RATE_HZ // 200
    loud = np.sqrt(np.mean(sound[: len(sound) // hop * hop].reshape(-1, hop) ** 2, axis=1))
    on = np.concatenate([[0], (loud > 0.1 * loud.max()).astype(int), [0]])
    starts, ends = np.flatnonzero(np.diff(on) == 1), np.flatnonzero(np.diff(on) == -1)
    return (ends - starts) / 200


@pytest.mark.parametrize("family", FAMILIES)
def test_a_negative_is_finite_sound_of_the_wanted_length_within_full_scale(family: str) -> None:
    for seed in SEEDS:
        for seconds in (0.01, 0.73, 3.0):
            sound = negative(np.random.default_rng(seed), family, seconds)
            assert sound.shape == (round(seconds * SAMPLE_RATE_HZ),)
            assert sound.dtype == np.float32
            assert np.isfinite(sound).all()
            assert np.abs(sound).max() <= 1


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_seed_gives_the_same_sound_and_another_seed_another(family: str) -> None:
    first, again = (negative(np.random.default_rng(3), family, 1.0) for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, negative(np.random.default_rng(4), family, 1.0))


@pytest.mark.parametrize("family", FAMILIES)
def test_levels_spread_below_the_documented_limit(family: str) -> None:
    sounds = [negative(np.random.default_rng(seed), family, 2.0) for seed in range(16)]
    levels = [20 * np.log10(np.sqrt(np.mean(s.astype(float) ** 2)) + 1e-9) for s in sounds]
    assert max(levels) <= LOUDEST_DBFS
    assert np.ptp(levels) > 10


@pytest.mark.parametrize("family", FAMILIES)
def test_five_seconds_are_made_quickly(family: str) -> None:
    taken = []
    for seed in range(3):
        start = time.process_time()
        negative(np.random.default_rng(seed), family, 5.0)
        taken.append(time.process_time() - start)
    assert min(taken) < CPU_SECONDS_FOR_FIVE


def test_some_negatives_pause_and_some_do_not() -> None:
    sounds = [negative(np.random.default_rng(seed), "tones", 4.0) for seed in range(24)]
    quiet = [np.mean(np.abs(s) < 0.1 * np.abs(s).max()) > 0.25 for s in sounds]
    assert 4 <= sum(quiet) <= 20


def test_an_unknown_family_and_a_length_of_nothing_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ConfigError, match=r"family must be one of .*'siren'"):
        negative(rng, "siren", 1.0)
    for seconds in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="seconds must be positive"):
            negative(rng, "hum", seconds)


@pytest.mark.parametrize("slope", [0.0, 1.0, 2.0])
def test_noise_falls_by_its_slope_in_every_octave(slope: float) -> None:
    sound = band_noise(np.random.default_rng(1), 5 * SAMPLE_RATE_HZ, slope, 5, 8000)
    frequency_hz, levels = power(sound)
    edges = (125, 250, 500, 1000, 2000)
    density = [levels[(frequency_hz >= a) & (frequency_hz < b)].mean() for a, b in pairwise(edges)]
    falls_db = -np.diff(10 * np.log10(density))
    assert np.allclose(falls_db, 3.01 * slope, atol=SLOPE_TOLERANCE_DB)


@pytest.mark.parametrize("family", ["tones", "beeps", "chords"])
def test_tonal_families_have_narrow_lines_and_noise_has_none(family: str) -> None:
    for seed in SEEDS:
        _, tonal = power(NEGATIVES[family](np.random.default_rng(seed), 4 * SAMPLE_RATE_HZ))
        assert 10 * np.log10(tonal.max() / tonal.mean()) > TONAL_DB
    _, white = power(band_noise(np.random.default_rng(0), 4 * SAMPLE_RATE_HZ, 0, 5, 8000))
    assert 10 * np.log10(white.max() / white.mean()) < TONAL_DB / 2


def test_tones_stay_where_they_are_and_sweeps_move() -> None:
    def wandering(family: str, seed: int) -> float:
        sound = NEGATIVES[family](np.random.default_rng(seed), 4 * SAMPLE_RATE_HZ)
        pieces = sound.reshape(-1, SAMPLE_RATE_HZ // 20) * np.hanning(SAMPLE_RATE_HZ // 20)
        loud = pieces[np.abs(pieces).max(axis=1) > 0.1 * np.abs(pieces).max()]
        return float(np.std(np.argmax(np.abs(np.fft.rfft(loud)), axis=1) * 20.0))

    assert max(wandering("tones", seed) for seed in (1, 2, 3, 4)) < 100
    assert min(wandering("sweeps", seed) for seed in (1, 2, 3, 4)) > 100


@pytest.mark.parametrize("family", ["hum", "rumble_and_wind"])
def test_low_sounds_have_their_power_at_low_frequencies(family: str) -> None:
    shares = []
    for seed in SEEDS:
        sound = NEGATIVES[family](np.random.default_rng(seed), 4 * SAMPLE_RATE_HZ)
        frequency_hz, levels = power(sound)
        shares.append(levels[frequency_hz < 4000].sum() / levels.sum())
    assert min(shares) > 0.7


def test_barks_and_chirps_are_shorter_than_a_quarter_of_a_second() -> None:
    for seed in SEEDS:
        sound = synthesis.animal_like(np.random.default_rng(seed), 4 * SAMPLE_RATE_HZ)
        assert bursts_s(sound).max() <= 0.25


def test_laughter_comes_in_short_bursts_a_few_times_a_second() -> None:
    for seed in SEEDS:
        lengths_s = bursts_s(synthesis.laughter(np.random.default_rng(seed), 6 * SAMPLE_RATE_HZ))
        assert 0.03 < np.median(lengths_s) < 0.25
        assert len(lengths_s) >= 9


def test_a_voice_has_its_power_where_formants_are() -> None:
    for seed in SEEDS:
        sound = synthesis.synthetic_speech(np.random.default_rng(seed), 4 * SAMPLE_RATE_HZ)
        frequency_hz, levels = power(sound)
        assert levels[(frequency_hz > 80) & (frequency_hz < 4000)].sum() > 0.6 * levels.sum()


def test_sounds_kept_for_testing_are_not_trained_on() -> None:
    names = " ".join(vars(synthesis))
    for kept in ("siren", "vibrato", "pluck", "karplus", "melod"):
        assert kept not in names.lower()
