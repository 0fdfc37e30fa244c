"""Altered copies keep their labels and say where they come from; negatives are of every family."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from labelled_tones import labelled, tone

from cryvision.augmentation import effects
from cryvision.augmentation.negatives import KINDS
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.detector_training.labelled_sound import (
    BAND_LIMITS_HZ,
    COPIES,
    FAMILIES,
    LabelledSound,
    altered_copies,
    synthetic_negatives,
)

TIME_TOLERANCE_S = 0.006
"""Where the loudest sample of a 5 ms pulse may lie once a codec or a room has smeared it."""


@pytest.fixture
def no_codecs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coding takes most of the time, and changes nothing in the noise."""
    monkeypatch.setattr(effects, "code", lambda samples, codec: samples)


def pulses(*times_s: float) -> LabelledSound:
    """Three seconds of silence with 5 ms pulses, and a label that starts at the middle of each."""
    samples = np.zeros(3 * SAMPLE_RATE_HZ, np.float32)
    n = SAMPLE_RATE_HZ // 200
    for time_s in times_s:
        at = round(time_s * SAMPLE_RATE_HZ) - n // 2
        samples[at : at + n] = 0.8 * np.hanning(n) * np.cos(2 * np.pi * 1000 * np.arange(n) / 16e3)
    return labelled(samples, *((time_s, time_s + 0.3) for time_s in times_s))


@pytest.mark.parametrize("seed", range(4))
def test_labels_of_altered_copies_stay_with_the_sound(seed: int) -> None:
    original = pulses(0.8, 2.2)
    before = original.samples.copy()
    coded, noisy, changed = altered_copies(original, np.random.default_rng(seed))
    assert np.array_equal(original.samples, before)
    for copy in (coded, noisy, changed):
        assert copy.samples.dtype == np.float32
        assert not np.array_equal(copy.samples, before)
        for interval in copy.cry:
            first = round((interval.start_s - 0.3) * SAMPLE_RATE_HZ)
            near = np.abs(copy.samples[first : first + round(0.6 * SAMPLE_RATE_HZ)])
            heard_s = (first + int(np.argmax(near))) / SAMPLE_RATE_HZ
            assert heard_s == pytest.approx(interval.start_s, abs=TIME_TOLERANCE_S)
    assert coded.cry == noisy.cry == original.cry
    assert len(coded.samples) == len(noisy.samples) == len(before)
    factor = len(before) / len(changed.samples)
    assert abs(factor - 1) > 0.01  # otherwise these seeds would show nothing
    assert changed.cry[1].end_s == pytest.approx(2.5 / factor, rel=1e-3)


def test_altered_copies_say_where_they_come_from() -> None:
    original = labelled(tone(1), (0, 1))
    copies = altered_copies(original, np.random.default_rng(0))
    for copy in copies:
        assert (copy.subject, copy.source, copy.clip) == ("ada", f"own{COPIES}", "ada/1.wav")


@pytest.mark.parametrize("copies", ["altered", "synthetic"])
def test_half_of_what_is_added_has_a_band_limit(
    no_codecs: None, monkeypatch: pytest.MonkeyPatch, copies: str
) -> None:
    limits_hz: list[float] = []

    def note(samples: np.ndarray, cutoff_hz: float) -> np.ndarray:
        limits_hz.append(cutoff_hz)
        return samples

    monkeypatch.setattr(effects, "low_pass", note)
    if copies == "synthetic":
        n = len(synthetic_negatives(6, 0.1, seed=0))
    else:
        sounds = [labelled(tone(0.2), (0, number % 2)) for number in range(30)]
        n = sum(len(altered_copies(s, np.random.default_rng(i))) for i, s in enumerate(sounds))
    assert 0.35 < len(limits_hz) / n < 0.65
    low_hz, high_hz = BAND_LIMITS_HZ
    assert low_hz <= min(limits_hz) < low_hz + 500 < high_hz - 500 < max(limits_hz) <= high_hz


def test_synthetic_negatives_are_of_each_family_and_nobody() -> None:
    negatives = synthetic_negatives(2, 0.5, seed=3)
    assert len(negatives) == 2 * len(FAMILIES)
    assert len({sound.subject for sound in negatives}) == len(negatives)
    assert len({sound.clip for sound in negatives}) == len(negatives)
    assert all(sound.cry == () for sound in negatives)
    # Each kind is a source, so that training can draw the harder ones more often.
    assert Counter(sound.source for sound in negatives) == {
        kind: 2 * n for kind, n in Counter(KINDS[name] for name in FAMILIES).items()
    }
    assert all(sound.samples.shape == (SAMPLE_RATE_HZ // 2,) for sound in negatives)
    again, other = synthetic_negatives(2, 0.5, seed=3), synthetic_negatives(2, 0.5, seed=4)
    pairs = list(zip(negatives, again, strict=True))
    assert all(np.array_equal(a.samples, b.samples) for a, b in pairs)
    assert not np.array_equal(negatives[0].samples, other[0].samples)
