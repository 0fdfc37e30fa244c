"""Sound of any rate, type and number of channels becomes the same 16 kHz mono sound."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryvision.config import SAMPLE_RATE_HZ
from cryvision.errors import ConfigError
from cryvision.inputs.resampling import Resampler

RATES_HZ = (8000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000)

LEVEL_TOLERANCE = 1e-3
"""Ripple of the filter in its pass band, and the step of int16."""

HERTZ_TOLERANCE = 0.1
"""Step of the spectrum that finds the pitch."""


def tone(rate_hz: float, seconds: float = 1.0, hz: float = 440.0) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(round(rate_hz * seconds)) / rate_hz) / 2


def resampled(sound: np.ndarray, rate_hz: float, sizes: tuple[int, ...] = ()) -> np.ndarray:
    """Push a sound in pieces of these sizes, then the rest."""
    resampler, parts, at = Resampler(rate_hz), [], 0
    for size in (*sizes, len(sound)):
        parts.append(resampler.push(sound[at : at + size]))
        at += size
    return np.concatenate([*parts, resampler.finish()])


@given(
    rate_hz=st.sampled_from((16_000, *RATES_HZ)),
    n_channels=st.integers(1, 3),
    sizes=st.lists(st.integers(0, 9000), max_size=12),
    as_int16=st.booleans(),
)
@settings(max_examples=60)
def test_the_sizes_of_the_pieces_make_no_difference(rate_hz, n_channels, sizes, as_int16):
    rng = np.random.default_rng(len(sizes))
    sound = rng.uniform(-0.5, 0.5, (rate_hz // 2 + 7, n_channels)).astype(np.float32)
    if as_int16:
        sound = (sound * 32767).astype(np.int16)
    if n_channels == 1 and len(sizes) % 2:
        sound = sound[:, 0]
    whole = resampled(sound, rate_hz)
    np.testing.assert_array_equal(resampled(sound, rate_hz, tuple(sizes)), whole)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.float64])
def test_a_tone_keeps_its_pitch_its_level_and_its_length(rate_hz: int, dtype: type) -> None:
    sound = tone(rate_hz)
    scaled = (sound * 32768).astype(dtype) if dtype is np.int16 else sound.astype(dtype)
    out = resampled(scaled, rate_hz, (1000,) * 5)
    assert out.dtype == np.float32
    assert abs(len(out) - SAMPLE_RATE_HZ) <= 1
    middle = out[2000:-2000]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), 1 << 18))
    assert spectrum.argmax() * SAMPLE_RATE_HZ / (1 << 18) == pytest.approx(440, abs=HERTZ_TOLERANCE)
    assert np.sqrt(2 * np.mean(middle**2)) == pytest.approx(0.5, rel=LEVEL_TOLERANCE)


def test_nothing_of_the_end_is_lost() -> None:
    """A click in the last hundredth of a second comes out where it was."""
    sound = np.zeros(48_000, np.float32)
    sound[-400] = 1.0
    out = resampled(sound, 48_000, (480,) * 100)
    assert len(out) == SAMPLE_RATE_HZ
    assert np.abs(out).argmax() == pytest.approx(SAMPLE_RATE_HZ - 400 / 3, abs=1)


def test_mono_sound_at_16_khz_comes_out_at_once_and_unchanged() -> None:
    sound = tone(SAMPLE_RATE_HZ).astype(np.float32)
    resampler = Resampler(SAMPLE_RATE_HZ)
    np.testing.assert_array_equal(resampler.push(sound[:77]), sound[:77])
    np.testing.assert_array_equal(resampler.push(sound[77:, None]), sound[77:])
    assert len(resampler.finish()) == 0


def test_channels_that_cancel_out_or_are_silent_are_no_loss() -> None:
    sound = tone(48_000)
    opposite = resampled(np.stack([sound, -sound], 1), 48_000)
    of_four = resampled(np.stack([sound, *[0 * sound] * 3], 1), 48_000)
    for out in (opposite, of_four):
        assert np.sqrt(2 * np.mean(out[2000:-2000] ** 2)) == pytest.approx(0.5, rel=LEVEL_TOLERANCE)


def test_what_is_no_number_spoils_nothing_else() -> None:
    sound = tone(48_000).astype(np.float32)
    sound[24_000:24_010] = np.nan
    out = resampled(sound, 48_000, (4800,) * 5)
    assert np.isfinite(out).all()
    assert np.abs(out[12_000:14_000]).max() == pytest.approx(0.5, rel=0.01)


@pytest.mark.parametrize("n", [0, 1, 2, 100])
def test_a_very_short_sound_has_its_length(n: int) -> None:
    assert abs(len(resampled(np.zeros(n, np.int16), 48_000)) - n / 3) <= 1


def test_numbers_in_a_list_are_sound() -> None:
    wave = np.sin(np.arange(1600) / 10)
    resampler = Resampler(16_000)
    np.testing.assert_array_equal(resampler.push(wave.tolist()), wave.astype(np.float32))
    two = Resampler(16_000)
    two.push(np.stack([wave, wave], axis=1).tolist())
    assert len(two.finish()) == 0


def test_wrong_sound_is_one_line() -> None:
    for rate_hz in (0, 999, 5_000_000, float("nan")):
        with pytest.raises(ConfigError, match="1000 to 4000000 samples a second"):
            Resampler(rate_hz)
    for wrong, words in (
        (np.zeros((2, 2, 2), np.float32), "shape"),
        (np.zeros(4, np.int32), "int16 or float; got int32"),
        ([0, 1], "int16 or float; got int64"),
        (["a"], "int16 or float; got <U1"),
        ([[0.0], [0.0, 1.0]], "must be an array of numbers; got list"),
        (object(), "must have the shape"),
        (np.zeros((4, 300), np.float32), "1 to 256 channels; got 300"),
    ):
        with pytest.raises(ConfigError, match=words):
            Resampler(48_000).push(wrong)
    resampler = Resampler(48_000)
    resampler.push(np.zeros((10, 2), np.int16))
    with pytest.raises(ConfigError, match="must have 2 channels; got 1"):
        resampler.push(np.zeros(10, np.int16))
    resampler.finish()
    with pytest.raises(ConfigError, match="follow the end"):
        resampler.push(np.zeros((10, 2), np.int16))
