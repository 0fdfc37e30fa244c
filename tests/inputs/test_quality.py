"""Each minute of a recording says how much of it is clipped, silent and noisy."""

from __future__ import annotations

import numpy as np
import pytest

from cryvision.config import SAMPLE_RATE_HZ
from cryvision.inputs.quality import MinuteQuality, QualityStream

FLOOR_TOLERANCE_DB = 0.5  # a percentile of levels of noise


def quality(sound: np.ndarray, piece: int = SAMPLE_RATE_HZ) -> tuple[MinuteQuality, ...]:
    stream = QualityStream()
    for first in range(0, len(sound), piece):
        stream.push(sound[first : first + piece])
    return stream.finish()


def test_each_minute_has_its_own_numbers() -> None:
    rng = np.random.default_rng(0)
    minute = 60 * SAMPLE_RATE_HZ
    sound = (0.01 * rng.normal(size=2 * minute + minute // 2)).astype(np.float32)
    sound[minute : minute + minute // 2] = 0
    sound[2 * minute : 2 * minute + minute // 4] = 1
    first, second, third = quality(sound)
    assert [m.start_s for m in (first, second, third)] == [0, 60, 120]
    assert [m.seconds for m in (first, second, third)] == [60, 60, 30]
    assert (first.clipped_share, first.silent_share) == (0, 0)
    assert first.noise_floor_dbfs == pytest.approx(-40, abs=FLOOR_TOLERANCE_DB)
    assert second.silent_share == pytest.approx(0.5, abs=0.01)
    assert second.noise_floor_dbfs == -120
    assert third.clipped_share == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("piece", [777, 16_000, 3_000_000])
def test_the_pieces_make_no_difference(piece: int) -> None:
    sound = np.random.default_rng(1).normal(size=70 * SAMPLE_RATE_HZ).astype(np.float32)
    assert quality(sound, piece) == quality(sound)


def test_no_sound_has_no_minutes_and_little_has_one() -> None:
    assert quality(np.zeros(0, np.float32)) == ()
    (only,) = quality(np.full(100, 0.1, np.float32))
    assert only.noise_floor_dbfs == pytest.approx(-20, abs=0.01)
