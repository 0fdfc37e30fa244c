"""Variations of a clip stay within their bounds, and a seed draws the same ones again."""

from __future__ import annotations

import numpy as np
import pytest

from cryvision.augmentation.variation import Variation, vary
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.errors import ConfigError


@pytest.fixture
def clip() -> np.ndarray:
    time_s = np.arange(2 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    return (0.2 * np.sin(2 * np.pi * 400 * time_s)).astype(np.float32)


def test_the_seed_draws_it(clip: np.ndarray) -> None:
    drawn = [vary(clip, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert len(drawn[2]) != len(drawn[0]) or not np.array_equal(drawn[2], drawn[0])


def test_lengths_stay_within_the_stretch(clip: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    bounds = Variation(coded_share=0.0)
    lengths = np.array([len(vary(clip, rng, bounds)) for _ in range(12)]) / len(clip)
    assert lengths.min() >= 1 / 1.1 - 1e-3
    assert lengths.max() <= 1 / 0.9 + 1e-3
    assert np.ptp(lengths) > 0.05


def test_noise_is_as_strong_as_was_drawn(clip: np.ndarray) -> None:
    still = Variation(0.0, 0.0, 0.0, lowest_snr_db=20.0, highest_snr_db=20.0, coded_share=0.0)
    added = vary(clip, np.random.default_rng(0), still).astype(np.float64) - clip
    snr_db = 10 * np.log10(np.mean(clip.astype(np.float64) ** 2) / np.mean(added**2))
    assert snr_db == pytest.approx(20.0, abs=0.1)


def test_recorded_noise_may_be_given(clip: np.ndarray) -> None:
    still = Variation(0.0, 0.0, 0.0, coded_share=0.0)
    hum = np.ones(10)
    added = vary(clip, np.random.default_rng(0), still, hum) - clip
    assert np.ptp(added) < 1e-6
    assert added.mean() > 0


def test_coding_takes_its_share(clip: np.ndarray) -> None:
    always = Variation(0.0, 0.0, 0.0, 60.0, 60.0, coded_share=1.0, codecs=("mulaw",))
    coded = vary(clip, np.random.default_rng(0), always)
    assert coded.shape == clip.shape
    error = np.sqrt(np.mean((coded - clip) ** 2))
    assert 1e-4 < error < 0.02  # eight bits a sample are heard, but hide nothing


@pytest.mark.parametrize(
    "settings",
    [
        {"pitch_semitones": -1.0},
        {"stretch": 0.9},
        {"shift_seconds": -0.1},
        {"coded_share": 2.0},
        {"lowest_snr_db": 50.0},
        {"codecs": ("wax",)},
        {"codecs": ()},
    ],
)
def test_impossible_settings_are_refused(settings: dict) -> None:
    with pytest.raises(ConfigError, match="must"):
        Variation(**settings)
