"""A voice has the pitch and the resonances that were asked for."""

from __future__ import annotations

import numpy as np
import pytest

from cryvision.augmentation.source_filter import VOWELS_HZ, vocal_folds, vocal_tract
from cryvision.config import SAMPLE_RATE_HZ

PITCH_TOLERANCE_HZ = 1.0
"""One bin of the spectrum of a second; jitter moves single pulses, not their number."""

FORMANT_TOLERANCE_HZ = 30.0
"""The slope of the other resonances moves a peak a little from its own place."""


@pytest.mark.parametrize("f0_hz", [80.0, 217.3, 450.0])
def test_there_is_one_pulse_a_period(f0_hz: float) -> None:
    pulses = vocal_folds(np.random.default_rng(0), np.full(SAMPLE_RATE_HZ, f0_hz))
    assert pulses.shape == (SAMPLE_RATE_HZ,)
    spectrum = np.abs(np.fft.rfft(pulses * np.hanning(SAMPLE_RATE_HZ)))
    lowest, highest = int(0.5 * f0_hz), int(1.5 * f0_hz)
    strongest_hz = lowest + np.argmax(spectrum[lowest:highest])
    assert strongest_hz == pytest.approx(f0_hz, abs=PITCH_TOLERANCE_HZ)


def test_the_pitch_follows_its_line() -> None:
    line = np.repeat([120.0, 240.0], SAMPLE_RATE_HZ)
    pulses = vocal_folds(np.random.default_rng(0), line)
    counts = [np.count_nonzero(np.diff(np.flatnonzero(half)) > 1) for half in np.split(pulses, 2)]
    assert counts == pytest.approx([120, 240], abs=2)


@pytest.mark.parametrize("vowel", [0, 4, 7])
def test_a_click_in_the_tract_rings_at_the_first_two_formants(vowel: int) -> None:
    formants_hz = np.append(VOWELS_HZ[vowel], 3400.0)[None]
    click = np.zeros(SAMPLE_RATE_HZ)
    click[SAMPLE_RATE_HZ // 2] = 1.0
    filtered = vocal_tract(np.random.default_rng(0), click, np.zeros(1), formants_hz)
    assert filtered.shape == click.shape
    gains = np.abs(np.fft.rfft(filtered))
    for place_hz in formants_hz[0, :2]:
        lowest, highest = int(place_hz) - 120, int(place_hz) + 120
        loudest_hz = lowest + np.argmax(gains[lowest:highest])
        assert loudest_hz == pytest.approx(place_hz, abs=FORMANT_TOLERANCE_HZ)


def test_the_tract_moves_nothing_in_time_and_its_formants_glide() -> None:
    clicks = np.zeros(2 * SAMPLE_RATE_HZ)
    places = [SAMPLE_RATE_HZ // 4, 7 * SAMPLE_RATE_HZ // 4]
    clicks[places] = 1.0
    formants_hz = np.array([[300.0, 900, 2300, 3400], [700.0, 1700, 2300, 3400]])
    filtered = vocal_tract(np.random.default_rng(0), clicks, np.array([0.25, 1.75]), formants_hz)
    loudest_hz = []
    for place in places:
        near = filtered[place - 4000 : place + 4000]
        assert abs(int(np.argmax(np.abs(near))) - 4000) <= 2
        loudest_hz.append(2 * np.argmax(np.abs(np.fft.rfft(near))[:450]))
    assert loudest_hz == pytest.approx([300, 700], abs=FORMANT_TOLERANCE_HZ)
