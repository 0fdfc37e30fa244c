"""Copies of a sound are found however they were changed, and no other sound is taken for one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from lab import babble

from cryvision.augmentation.effects import change_speed, code
from cryvision.datasets import fingerprints
from cryvision.datasets.fingerprints import (
    FINGERPRINT_SECONDS,
    N_BANDS,
    band_levels,
    find_copies,
    fingerprint,
)

RATE_HZ = 16_000
N_SOUNDS, N_OTHERS = 7, 2

SPEED_STEP = 0.015
"""Speeds are looked for in steps of 2 %, then of 1 %."""

SEMITONES_STEP = 0.5


def mark(samples: np.ndarray) -> np.ndarray | None:
    return fingerprint(band_levels(samples))


@pytest.fixture(scope="module")
def marks() -> list[np.ndarray | None]:
    return [mark(babble(seed)) for seed in range(N_SOUNDS)]


CHANGES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float, float]] = {
    "quieter": (lambda sound: 0.25 * sound, 1.0, 0.0),
    "telephone": (lambda sound: code(sound, "mulaw"), 1.0, 0.0),
    "compressed": (lambda sound: code(sound, "adpcm"), 1.0, 0.0),
    "later": (lambda sound: np.concatenate([sound[-4800:], sound]), 1.0, 0.0),
    "cut": (lambda sound: sound[RATE_HZ:], 1.0, 0.0),
    "faster": (lambda sound: change_speed(sound, 1.1), 1.1, 12 * np.log2(1.1)),
    "slower": (lambda sound: change_speed(sound, 0.9), 0.9, 12 * np.log2(0.9)),
    "noisy": (
        lambda sound: sound + np.random.default_rng(0).normal(0, 0.01, len(sound)), 1.0, 0.0
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found_and_no_other_sound(
    marks: list[np.ndarray | None], change: str
) -> None:
    changed, speed, semitones = CHANGES[change]
    (copy,) = find_copies([*marks[:N_OTHERS], mark(babble(5)), mark(changed(babble(5)))])
    assert (copy.first, copy.second) == (N_OTHERS, N_OTHERS + 1)
    assert copy.speed == pytest.approx(speed, abs=SPEED_STEP)
    assert copy.semitones == pytest.approx(semitones, abs=SEMITONES_STEP)
    assert copy.similarity <= 1


def test_it_does_not_matter_which_of_two_comes_first() -> None:
    slow, fast = mark(babble(1)), mark(change_speed(babble(1), 1.08))
    (there,), (back,) = find_copies([slow, fast]), find_copies([fast, slow])
    assert there.speed == pytest.approx(1 / back.speed)
    assert there.semitones == -back.semitones
    assert there.similarity == pytest.approx(back.similarity)


def test_sounds_of_their_own_are_no_copies(marks: list[np.ndarray | None]) -> None:
    assert find_copies(marks) == []


def test_one_sound_or_none_has_no_copies(marks: list[np.ndarray | None]) -> None:
    assert find_copies([]) == find_copies([None]) == find_copies(marks[:1]) == []


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(4 * RATE_HZ, np.float32),
        np.full(4 * RATE_HZ, 0.3, np.float32),
        babble(0, seconds=1.0),
        np.zeros(0, np.float32),
    ],
    ids=["silence", "offset", "short", "empty"],
)
def test_what_cannot_be_told_apart_is_like_nothing(samples: np.ndarray) -> None:
    assert mark(samples) is None
    assert find_copies([mark(samples), mark(samples)]) == []


def test_a_list_and_whole_numbers_of_16_bits_are_sound_too() -> None:
    whole = np.random.default_rng(0).integers(-999, 999, 16000).astype(np.int16)
    levels = band_levels(whole / np.float32(32768))
    np.testing.assert_array_equal(band_levels((whole / 32768).tolist()), levels)
    np.testing.assert_array_equal(band_levels(whole), levels)


def test_a_long_sound_costs_no_more_than_its_start() -> None:
    long = babble(3, seconds=FINGERPRINT_SECONDS + 5)
    start = long[: round(FINGERPRINT_SECONDS * RATE_HZ)]
    levels = band_levels(long)
    assert levels.shape[1] == N_BANDS
    np.testing.assert_array_equal(levels, band_levels(start))


def test_many_copies_of_one_sound_hang_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "_MOST_CANDIDATES", 4)  # 20 of more than 24 take long
    sound = mark(babble(2))
    copies = find_copies([sound] * N_SOUNDS)
    assert len(copies) < N_SOUNDS * (N_SOUNDS - 1) / 2
    reached = {0}
    for _ in copies:
        reached |= {n for copy in copies if {copy.first, copy.second} & reached for n in copy[:2]}
    assert reached == set(range(N_SOUNDS))
