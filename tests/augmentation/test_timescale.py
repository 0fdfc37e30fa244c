"""Tempo, pitch and time of a sound change one by one, by as much as was asked for."""

from __future__ import annotations

import numpy as np
import pytest

from cryvision.augmentation.variation import shift_pitch, shift_time, stretch_time
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.errors import ConfigError

HERTZ = 2.0  # two bins of a spectrum of one second
HALF_FRAME = 512  # samples within which a vocoder spreads a sudden sound
LEVEL = 0.1  # a vocoder does not keep the waveform, but the loudness to a tenth


def tone(hz: float, seconds: float = 2.0) -> np.ndarray:
    time_s = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return (0.3 * np.sin(2 * np.pi * hz * time_s)).astype(np.float32)


def loudest_hz(sound: np.ndarray) -> float:
    middle = sound[len(sound) // 2 - SAMPLE_RATE_HZ // 2 :][:SAMPLE_RATE_HZ]
    return float(np.argmax(np.abs(np.fft.rfft(middle * np.hanning(len(middle))))))


def rms(sound: np.ndarray) -> float:
    return float(np.sqrt(np.mean(sound[2000:-2000].astype(np.float64) ** 2)))


@pytest.mark.parametrize("factor", [0.9, 1.0, 1.1, 1.7])
def test_another_tempo_has_another_length_and_the_same_pitch(factor: float) -> None:
    given = tone(440)
    found = stretch_time(given, factor)
    assert found.dtype == np.float32
    assert len(found) == round(len(given) / factor)
    assert loudest_hz(found) == pytest.approx(440, abs=HERTZ)
    assert rms(found) == pytest.approx(rms(given), rel=LEVEL)


def test_what_comes_late_in_a_clip_comes_late_in_its_stretched_copy() -> None:
    given = np.zeros(2 * SAMPLE_RATE_HZ, np.float32)
    given[24_000:25_000] = tone(800, 1.0)[:1000]
    found = stretch_time(given, 0.8)
    centre = np.average(np.arange(len(found)), weights=found.astype(np.float64) ** 2)
    assert centre == pytest.approx(24_500 / 0.8, abs=HALF_FRAME)


@pytest.mark.parametrize("semitones", [-2.0, 0.5, 2.0])
def test_another_pitch_keeps_the_length(semitones: float) -> None:
    given = tone(440)
    found = shift_pitch(given, semitones)
    assert found.shape == given.shape
    assert loudest_hz(found) == pytest.approx(440 * 2 ** (semitones / 12), abs=HERTZ)
    assert rms(found) == pytest.approx(rms(given), rel=LEVEL)


@pytest.mark.parametrize(("seconds", "expected"), [(0.1, 6600), (-0.1, 3400), (1.0, None)])
def test_a_move_leaves_silence_behind(seconds: float, expected: int | None) -> None:
    given = np.zeros(10_000, np.float32)
    given[5000] = 1.0
    found = shift_time(given, seconds)
    assert found.shape == given.shape
    assert np.flatnonzero(found).tolist() == ([] if expected is None else [expected])


def test_what_was_given_stays_as_it_was() -> None:
    given = tone(300)
    kept = given.copy()
    for change in (stretch_time(given, 1.1), shift_pitch(given, 1.0), shift_time(given, 0.05)):
        assert np.isfinite(change).all()
    np.testing.assert_array_equal(given, kept)


def test_silence_stays_silent() -> None:
    assert not stretch_time(np.zeros(5000, np.float32), 1.1).any()
    assert stretch_time(np.zeros(0, np.float32), 1.1).shape == (0,)


@pytest.mark.parametrize(
    ("change", "amount"),
    [(stretch_time, 0.1), (stretch_time, np.nan), (shift_pitch, 13.0), (shift_time, np.inf)],
)
def test_impossible_amounts_are_refused(change, amount: float) -> None:
    with pytest.raises(ConfigError, match="must be"):
        change(tone(300), amount)


def test_what_is_no_sound_is_refused() -> None:
    for given in (np.zeros((2, 5)), np.zeros(5, int), np.full(5, np.nan)):
        with pytest.raises(ConfigError, match="must be finite floating-point sound"):
            shift_time(given, 0.0)
