"""Windows carry the label, the level and the origin of the sound that they were cut from."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from cryvision.config import SAMPLE_RATE_HZ, SoundConfig
from cryvision.inputs import augment
from cryvision.inputs.features import sound_windows
from cryvision.learning.annotations import Interval
from cryvision.learning.synthesis import KINDS, NEGATIVES
from cryvision.learning.training import NOISE
from cryvision.learning.windows import (
    COPIES,
    MIN_LEVEL_DBFS,
    WEAK_RANGE_DB,
    LabelledSound,
    Windows,
    altered_copies,
    concatenate,
    synthetic_negatives,
    windows_of,
)

CONFIG = SoundConfig(window_seconds=0.5, context_seconds=0.5, hop_seconds=0.1)

SHARE_TOLERANCE = 1e-6
"""Shares are float32: seven digits."""

HALF_PRECISION_DB = 0.04
"""Between 64 and 128 dB a step of float16 is 0.0625 dB; rounding errs by half of it."""

TIME_TOLERANCE_S = 0.006
"""Where the loudest sample of a 5 ms pulse may lie once a codec or a room has smeared it."""


def tone(seconds: float, dbfs: float = -20.0) -> np.ndarray:
    """A 440 Hz sine whose RMS level is given."""
    times_s = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    wave = np.sqrt(2) * 10 ** (dbfs / 20) * np.sin(2 * np.pi * 440 * times_s)
    return wave.astype(np.float32)


def labelled(samples: np.ndarray, *cry: tuple[float, float], **changes: object) -> LabelledSound:
    intervals = tuple(Interval(start_s, end_s, "cry") for start_s, end_s in cry)
    facts = {"subject": "ada", "source": "own", "clip": "ada/1.wav"} | changes
    return LabelledSound(samples, intervals, **facts)  # type: ignore[arg-type]


def test_a_window_is_labelled_by_the_share_of_it_that_is_cry() -> None:
    windows = windows_of([labelled(tone(3), (1.0, 1.7), (2.0, 2.25))], CONFIG)
    start_s = windows.end_s - 0.5
    expected = sum(
        np.clip(np.minimum(windows.end_s, b) - np.maximum(start_s, a), 0, None)
        for a, b in ((1.0, 1.7), (2.0, 2.25))
    )
    assert np.allclose(windows.end_s, 0.5 + 0.1 * np.arange(26))
    assert np.allclose(windows.cry, expected / 0.5, atol=SHARE_TOLERANCE)
    assert windows.cry.max() == pytest.approx(1.0)


def test_the_inputs_are_those_of_the_one_path_in_half_precision() -> None:
    sound = labelled(tone(2) + np.random.default_rng(0).normal(0, 0.01, 32_000).astype(np.float32))
    windows, reference = windows_of([sound], CONFIG), sound_windows(sound.samples, CONFIG)
    assert windows.inputs.dtype == np.float16
    assert np.abs(windows.inputs.astype(np.float32) - reference.inputs).max() < HALF_PRECISION_DB
    assert np.array_equal(windows.level_dbfs, reference.level_dbfs)


def test_every_second_window_is_the_first_the_third_and_so_on() -> None:
    sounds = [labelled(tone(2), (0.7, 1.2)), labelled(tone(1.3), clip="ada/2.wav")]
    every, second = windows_of(sounds, CONFIG), windows_of(sounds, CONFIG, every=2)
    kept = np.concatenate([np.arange(0, 16, 2), np.arange(16, 25, 2)])
    for name, column in vars(second).items():
        assert np.array_equal(column, getattr(every, name)[kept]), name


def test_windows_far_below_the_loudest_of_a_weakly_labelled_clip_are_left_out() -> None:
    samples = np.concatenate([tone(1, -15), tone(1, -45)])
    known = windows_of([labelled(samples, (0, 2))], CONFIG)
    weak = windows_of([labelled(samples, (0, 2), weak=True)], CONFIG)
    near = known.level_dbfs >= known.level_dbfs.max() - WEAK_RANGE_DB
    assert 0 < near.sum() < len(known)
    assert np.array_equal(weak.end_s, known.end_s[near])


def test_windows_below_the_energy_gate_are_not_scored() -> None:
    samples = np.concatenate([tone(1, MIN_LEVEL_DBFS + 3), tone(1, MIN_LEVEL_DBFS - 3)])
    windows = windows_of([labelled(samples)], CONFIG)
    assert windows.scored[windows.end_s <= 1.0].all()
    assert not windows.scored[windows.end_s >= 1.5].any()


def test_a_clip_shorter_than_a_window_is_one_window_and_an_empty_one_is_none() -> None:
    short = windows_of([labelled(tone(0.3), (0.0, 0.2))], CONFIG)
    assert short.end_s.tolist() == [0.3]
    assert short.cry[0] == pytest.approx(0.4)  # 0.2 s of the window's 0.5 s
    assert len(windows_of([labelled(tone(0))], CONFIG)) == 0
    assert len(windows_of([labelled(tone(0), weak=True)], CONFIG)) == 0


def test_sets_of_windows_stand_behind_one_another_whole() -> None:
    first = windows_of([labelled(tone(1), (0, 1))], CONFIG)
    second = windows_of([labelled(tone(1), subject="ben", clip="ben/1.wav")], CONFIG)
    both = concatenate([first, second])
    assert len(both) == len(first) + len(second)
    for name, column in vars(both).items():
        assert len(column) == len(both)
        assert np.array_equal(column[: len(first)], getattr(first, name)), name
        assert np.array_equal(column[len(first) :], getattr(second, name)), name
    ben = both[both.subject == "ben"]
    assert isinstance(ben, Windows)
    assert set(ben.clip) == {"ben/1.wav"}
    assert not ben.cry.any()


def test_windows_hold_a_subject_also_where_it_is_the_noise() -> None:
    windows = windows_of(
        [
            labelled(tone(0.5)),
            labelled(tone(0.5), subject="ben", noise_subject="cleo"),
            labelled(tone(0.5), subject="cleo", noise_subject="ada"),
        ],
        CONFIG,
    )
    assert windows.holds({"ada"}).tolist() == [True, False, True]
    assert windows.holds(["cleo"]).tolist() == [False, True, True]
    assert windows.holds({"ada", "ben"}).tolist() == [True, True, True]
    assert windows.holds(()).tolist() == [False, False, False]
    assert windows.holds({"a", "ADA"}).tolist() == [False, False, False]


@pytest.fixture
def no_codecs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coding takes most of the time, and has no say in the noise."""
    monkeypatch.setattr(augment, "code", lambda samples, codec: samples)


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
    coded, noisy, changed = altered_copies(original, (), np.random.default_rng(seed))
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
    original = labelled(tone(1), (0, 1), weak=True)
    copies = altered_copies(original, (), np.random.default_rng(0))
    for copy in copies:
        assert (copy.subject, copy.source, copy.clip) == ("ada", f"own{COPIES}", "ada/1.wav")
        assert copy.weak
        assert copy.noise_subject == ""  # a synthetic noise is nobody's


def test_noise_is_named_and_is_never_of_the_subject_itself(no_codecs: None) -> None:
    sound = labelled(tone(0.5))
    own = labelled(tone(0.5, -30), clip="ada/2.wav")
    other = labelled(tone(0.5, -30), subject="ben")

    def subjects(*noises: LabelledSound) -> Counter[str]:
        copies = (altered_copies(sound, noises, np.random.default_rng(k)) for k in range(24))
        return Counter(noisy.noise_subject for _, noisy, _ in copies)

    assert subjects(own) == {"": 24}
    mixed = subjects(own, other)
    assert set(mixed) == {"", "ben"}
    assert min(mixed.values()) >= 5  # a synthetic noise is drawn as often as a recorded one


def test_any_stretch_of_a_longer_noise_may_be_mixed_in(no_codecs: None) -> None:
    """A 2 kHz tone that begins only after the first minute of the noise is heard in some copy."""
    late = np.zeros(120 * SAMPLE_RATE_HZ, np.float32)
    times_s = np.arange(len(late) // 2) / SAMPLE_RATE_HZ
    late[len(late) // 2 :] = 0.3 * np.sin(2 * np.pi * 2000 * times_s)
    noise, sound = labelled(late, subject="ben"), labelled(tone(0.5))
    heard = 0
    for seed in range(12):
        _, noisy, _ = altered_copies(sound, [noise], np.random.default_rng(seed))
        if noisy.noise_subject == "ben":
            spectrum = np.abs(np.fft.rfft(noisy.samples))
            heard += bool(spectrum[990:1010].max() > 10 * np.median(spectrum))
    assert heard


def test_synthetic_negatives_are_of_every_family_and_nobody() -> None:
    negatives = synthetic_negatives(2, 0.5, seed=3)
    assert len(negatives) == 2 * len(NEGATIVES)
    assert len({sound.subject for sound in negatives}) == len(negatives)
    assert len({sound.clip for sound in negatives}) == len(negatives)
    assert all(sound.cry == () for sound in negatives)
    # Each kind is a source, so that training can draw the harder ones more often, and mix noise in.
    assert Counter(sound.source for sound in negatives) == {
        kind: 2 * n for kind, n in Counter(KINDS.values()).items()
    }
    assert {family for family, kind in KINDS.items() if kind == NOISE} == {
        *("coloured_noise", "hum", "clicks", "rumble_and_wind")
    }
    assert all(sound.samples.shape == (SAMPLE_RATE_HZ // 2,) for sound in negatives)
    again, other = synthetic_negatives(2, 0.5, seed=3), synthetic_negatives(2, 0.5, seed=4)
    pairs = list(zip(negatives, again, strict=True))
    assert all(np.array_equal(a.samples, b.samples) for a, b in pairs)
    assert not np.array_equal(negatives[0].samples, other[0].samples)
