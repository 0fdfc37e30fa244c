"""The spectrogram shows the right level at the right time, however long the clip."""

from __future__ import annotations

import numpy as np
import pytest

from cryvision.outputs.spectrogram import FLOOR_DBFS, MAX_COLUMNS, N_FFT, pooled_spectrogram

RATE_HZ = 16_000
BIN_HZ = RATE_HZ / N_FFT
# A Hann window loses up to 1.4 dB where a tone falls between two bins; this one is on a bin.
LEVEL_TOLERANCE_DB = 0.05


def _tone(seconds: float, amplitude: float = 1.0) -> np.ndarray:
    at_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (amplitude * np.sin(2 * np.pi * 32 * BIN_HZ * at_s)).astype(np.float32)


def _split(sound: np.ndarray, sizes: tuple[int, ...]) -> list[np.ndarray]:
    return np.split(sound, np.cumsum(sizes))


@pytest.mark.parametrize("amplitude", [1.0, 0.1])
def test_a_tone_has_its_level_at_its_frequency(amplitude):
    levels = pooled_spectrogram([_tone(2, amplitude)], 2.0)
    middle = levels[:, levels.shape[1] // 2]
    assert middle.argmax() == 32
    assert middle.max() == pytest.approx(20 * np.log10(amplitude), abs=LEVEL_TOLERANCE_DB)


def test_the_sizes_of_the_pieces_do_not_matter():
    seconds = 100  # so long that several windows, of different pieces, share a column
    sound = np.random.default_rng(0).normal(0, 0.1, seconds * RATE_HZ).astype(np.float32)
    whole = pooled_spectrogram([sound], seconds)
    split = pooled_spectrogram(_split(sound, (1, 0, 511, *[7001] * 200)), seconds)
    np.testing.assert_array_equal(split, whole)


def test_digital_silence_is_at_the_floor():
    levels = pooled_spectrogram([np.zeros(RATE_HZ, dtype=np.float32)], 1.0)
    assert (levels == FLOOR_DBFS).all()


def test_a_click_in_a_long_clip_is_shown_when_it_sounds():
    seconds, click_s = 120, 77.7

    def pieces():
        for second in range(seconds):
            sound = np.zeros(RATE_HZ, dtype=np.float32)
            if second == int(click_s):
                sound[round((click_s - second) * RATE_HZ)] = 1
            yield sound

    levels = pooled_spectrogram(pieces(), seconds)
    assert levels.shape == (N_FFT // 2 + 1, MAX_COLUMNS)
    (loud,) = np.nonzero(levels.max(axis=0) > FLOOR_DBFS)
    shown_s = (loud + 0.5) * seconds / MAX_COLUMNS
    # A window reaches 16 ms to each side of its centre, a column spans 60 ms.
    assert np.abs(shown_s - click_s).max() <= 0.016 + seconds / MAX_COLUMNS


@pytest.mark.parametrize("duration_s", [0.0, 0.001, 0.2, 1.0, 31.97, 70.0])
def test_no_column_is_left_empty_while_there_is_sound(duration_s):
    sound = np.full(round(duration_s * RATE_HZ) + 1, 0.1, dtype=np.float32)
    levels = pooled_spectrogram([sound], duration_s)
    assert 1 <= levels.shape[1] <= MAX_COLUMNS
    assert np.isfinite(levels).all()


def test_columns_after_the_sound_has_ended_are_unknown():
    levels = pooled_spectrogram([_tone(1)], 4.0)
    known = np.isfinite(levels).all(axis=0)
    assert known.mean() == pytest.approx(0.25, abs=0.02)
    assert not known[levels.shape[1] // 2 :].any()


def test_sound_after_the_end_of_the_clip_is_left_out():
    np.testing.assert_array_equal(
        pooled_spectrogram([_tone(3)], 1.0)[:, :400], pooled_spectrogram([_tone(2)], 1.0)[:, :400]
    )


def test_without_sound_every_column_is_unknown():
    assert np.isnan(pooled_spectrogram([], 2.0)).all()
