"""Windows of sound are the same whatever the pieces it comes in, and know nothing of the future."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cryvision.config
from cryvision.config import SAMPLE_RATE_HZ, SoundConfig
from cryvision.errors import ConfigError, CryvisionError
from cryvision.inputs.audio import LEVEL_FLOOR_DBFS, sound_feature
from cryvision.inputs.features import (
    SoundFeatureStream,
    SoundWindows,
    WindowFeatures,
    sound_windows,
)

REFERENCE_DB = 1e-4  # one step of float32 at the largest cepstral coefficients (600) is 6e-5
PIECES_DB = 1e-4  # the same: an FFT or a BLAS may sum in another order for another batch
LEVEL_DB = 0.02  # ripple of a sine's power over frames

CONFIGS = {
    "mel": SoundConfig(feature="mel"),
    "mfcc with context": SoundConfig(feature="mfcc", context_seconds=1.5),
    "stft": SoundConfig(feature="stft", context_seconds=0.5),
    "hybrid": SoundConfig(feature="hybrid", context_seconds=0.5),
    "span no multiple of the hop": SoundConfig(window_seconds=0.5, hop_seconds=0.16),
    "context no multiple of the frame hop": SoundConfig(context_seconds=0.2501),
    "hop longer than the window": SoundConfig(hop_seconds=0.8),
}
LIBRARIES_THAT_START_SLOWLY = (
    "tensorflow",
    "keras",
    "numba",
    "librosa",
    "sklearn",
    "scipy",
    "torch",
)


@pytest.fixture(params=CONFIGS.values(), ids=CONFIGS)
def config(request: pytest.FixtureRequest) -> SoundConfig:
    return request.param


def bouts(seconds: float, seed: int = 0) -> np.ndarray:
    """Harmonic bouts of different loudness over faint noise, with digital silence from 1 to 2 s."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    tone = sum(np.sin(2 * np.pi * 430 * k * t) / k for k in range(1, 7))
    loudness = np.clip(np.sin(2 * np.pi * 0.7 * t), 0, None) * (0.05 + 0.3 * (t % 1.3))
    sound = loudness * tone + 1e-3 * rng.standard_normal(len(t)) + 0.02
    return np.where((t >= 1) & (t < 2), 0.02, sound).astype(np.float32)


def in_pieces(sound: np.ndarray, cuts: list[int], config: SoundConfig) -> SoundWindows:
    stream = SoundFeatureStream(config)
    parts = [stream.push(piece) for piece in np.split(sound, cuts)] + [stream.finish()]
    return SoundWindows(
        np.concatenate([part.end_samples for part in parts]),
        np.concatenate([part.inputs for part in parts]),
        np.concatenate([part.level_dbfs for part in parts]),
        padded=any(part.padded for part in parts),
    )


def assert_same_windows(ours: SoundWindows, wanted: SoundWindows) -> None:
    np.testing.assert_array_equal(ours.end_samples, wanted.end_samples)
    np.testing.assert_allclose(ours.inputs, wanted.inputs, rtol=0, atol=PIECES_DB)
    np.testing.assert_allclose(ours.level_dbfs, wanted.level_dbfs, rtol=0, atol=PIECES_DB)
    assert ours.padded == wanted.padded


def test_every_window_is_the_reference_feature_of_its_span(config: SoundConfig) -> None:
    sound = bouts(12.3)
    windows = sound_windows(sound, config)
    n_windows = 1 + (len(sound) - config.window_samples) // config.hop_samples
    wanted_ends = config.window_samples + config.hop_samples * np.arange(n_windows)
    np.testing.assert_array_equal(windows.end_samples, wanted_ends)
    assert windows.end_samples.dtype == np.int64
    assert windows.inputs.dtype == windows.level_dbfs.dtype == np.float32
    assert not windows.padded

    with_context = np.concatenate([np.zeros(config.context_samples, np.float32), sound])
    for end, inputs in zip(windows.end_samples, windows.inputs, strict=True):
        span = with_context[end - config.window_samples :][: config.span_samples]
        np.testing.assert_allclose(
            inputs, sound_feature(span, config), rtol=0, atol=REFERENCE_DB, err_msg=f"end {end}"
        )


@settings(max_examples=30, deadline=None)
@given(
    name=st.sampled_from(sorted(CONFIGS)),
    cuts=st.lists(st.integers(0, 80_000), max_size=40),
    length=st.integers(0, 80_000),
)
def test_pieces_of_any_size_give_the_same_windows(name: str, cuts: list[int], length: int) -> None:
    sound = bouts(5)[:length]
    pieces = sorted(min(cut, length) for cut in cuts)
    assert_same_windows(
        in_pieces(sound, pieces, CONFIGS[name]), sound_windows(sound, CONFIGS[name])
    )


def test_single_samples_give_the_same_windows() -> None:
    config = SoundConfig(feature="mfcc", context_seconds=0.5)
    sound = bouts(0.8)
    assert_same_windows(
        in_pieces(sound, list(range(1, len(sound))), config), sound_windows(sound, config)
    )


def test_window_knows_nothing_of_the_sound_after_it(config: SoundConfig) -> None:
    sound = bouts(6)
    windows = sound_windows(sound, config)
    for index in (0, 3, len(windows.end_samples) - 1):
        end = windows.end_samples[index]
        other = np.concatenate([sound[:end], bouts(1, seed=9) * 50])
        changed = sound_windows(other, config)
        np.testing.assert_array_equal(changed.inputs[index], windows.inputs[index])
        assert changed.level_dbfs[index] == windows.level_dbfs[index]


def test_window_comes_with_its_last_sample(config: SoundConfig) -> None:
    stream = SoundFeatureStream(config)
    assert not len(stream.push(bouts(0.5)[:-1]).end_samples)
    assert stream.push(bouts(0.5)[-1:]).end_samples.tolist() == [8000]


def test_context_before_the_start_is_silence() -> None:
    config = SoundConfig(context_seconds=1.5)
    sound = bouts(0.5)
    span = np.concatenate([np.zeros(24_000, np.float32), sound])
    np.testing.assert_allclose(
        sound_windows(sound, config).inputs[0], sound_feature(span, config), atol=REFERENCE_DB
    )


def test_constant_windows_give_zeros_and_their_neighbours_do_not() -> None:
    windows = sound_windows(bouts(3), SoundConfig())
    start_s = windows.end_samples / SAMPLE_RATE_HZ - 0.5
    in_silence = (start_s >= 1.0) & (start_s <= 1.5)
    assert in_silence.sum() == 6
    np.testing.assert_array_equal(windows.inputs.any(axis=(1, 2)), ~in_silence)
    # Decibels of a steady offset of 0.02: nothing in the band but the rounding of the transform.
    assert (windows.level_dbfs[in_silence] == LEVEL_FLOOR_DBFS).all()


def test_digital_silence_gives_zeros_and_the_lowest_level(config: SoundConfig) -> None:
    windows = sound_windows(np.zeros(40_000, np.float32), config)
    assert len(windows.end_samples) > 1
    assert not windows.inputs.any()
    assert (windows.level_dbfs == LEVEL_FLOOR_DBFS).all()


def test_inputs_do_not_depend_on_gain_but_levels_do(config: SoundConfig) -> None:
    sound = bouts(4)
    loud, quiet = sound_windows(sound, config), sound_windows(sound / 64, config)
    np.testing.assert_allclose(quiet.inputs, loud.inputs, rtol=0, atol=REFERENCE_DB)
    loud_enough = loud.level_dbfs > LEVEL_FLOOR_DBFS + 40
    lowered = loud.level_dbfs - quiet.level_dbfs
    np.testing.assert_allclose(lowered[loud_enough], 20 * np.log10(64), atol=1e-3)


def test_quiet_sound_on_a_large_offset_keeps_its_feature() -> None:
    config = SoundConfig()
    sound = (0.5 + 1e-4 * bouts(0.5) / bouts(0.5).max()).astype(np.float32)
    np.testing.assert_allclose(
        sound_windows(sound, config).inputs[0], sound_feature(sound, config), atol=REFERENCE_DB
    )


@pytest.mark.parametrize("feature", ["stft", "mel", "mfcc"])
def test_faint_sound_before_a_click_ends_at_the_lowest_decibels(feature: str) -> None:
    config = SoundConfig(feature=feature)
    sound = (1e-6 * np.random.default_rng(2).standard_normal(8000)).astype(np.float32)
    sound[-1] = 1.0  # after the last whole frame: it sets the gain only
    expected = sound_feature(sound, config)
    if feature != "mfcc":
        assert expected.min() == -100.0
    np.testing.assert_allclose(sound_windows(sound, config).inputs[0], expected, atol=REFERENCE_DB)


@pytest.mark.parametrize("context_seconds", [0.0, 0.2501, 1.5])
def test_level_is_that_of_the_window_without_its_context(context_seconds: float) -> None:
    config = SoundConfig(context_seconds=context_seconds, hop_seconds=0.5)
    sine = np.sin(2 * np.pi * 500 * np.arange(8000) / SAMPLE_RATE_HZ)
    sound = np.concatenate([sine, np.zeros(8000), 0.1 * sine])
    levels = sound_windows(sound, config).level_dbfs
    np.testing.assert_allclose(levels, [-3.01, LEVEL_FLOOR_DBFS, -23.01], atol=LEVEL_DB)


def test_clip_shorter_than_a_window_is_padded_on_the_left_and_flagged(config: SoundConfig) -> None:
    sound = bouts(0.3)
    stream = SoundFeatureStream(config)
    assert not len(stream.push(sound).end_samples)
    windows = stream.finish()
    assert windows.padded
    assert windows.end_samples.tolist() == [len(sound)]
    span = np.concatenate([np.zeros(config.span_samples - len(sound), np.float32), sound])
    np.testing.assert_allclose(windows.inputs[0], sound_feature(span, config), atol=REFERENCE_DB)
    assert_same_windows(sound_windows(sound, config), windows)
    assert not len(stream.finish().end_samples)


def test_only_a_stream_without_any_window_is_padded(config: SoundConfig) -> None:
    assert not sound_windows(bouts(0.5), config).padded
    for n_samples in (0, 8000, 9000):
        stream = SoundFeatureStream(config)
        stream.push(bouts(1)[:n_samples])
        rest = stream.finish()
        assert rest.inputs.shape[0] == 0
        assert not rest.padded


def test_non_finite_samples_count_as_silence_and_are_counted() -> None:
    damaged = bouts(1).astype(np.float64)
    damaged[[10, 9000]] = np.nan
    damaged[20:23] = [np.inf, -np.inf, 1e300]
    mended = damaged.copy()
    mended[[10, 9000, 20, 21, 22]] = 0.0
    stream = SoundFeatureStream(SoundConfig())
    windows = stream.push(damaged)
    assert stream.non_finite == 5
    np.testing.assert_array_equal(windows.inputs, sound_windows(mended, SoundConfig()).inputs)
    assert np.isnan(damaged[10]), "the caller's samples must stay as they are"


def test_caller_may_reuse_its_array() -> None:
    sound = bouts(1)
    stream = SoundFeatureStream(SoundConfig())
    piece = np.empty(4000, np.float32)
    levels = []
    for start in range(0, len(sound), len(piece)):
        piece[:] = sound[start : start + len(piece)]
        levels.extend(stream.push(piece).level_dbfs)
    np.testing.assert_allclose(levels, sound_windows(sound, SoundConfig()).level_dbfs)


@pytest.mark.parametrize(
    "samples",
    [np.zeros(100, np.int16), np.zeros((100, 2), np.float32), np.float32(1), np.array(["a"])],
    ids=["integers", "two channels", "a number", "text"],
)
def test_other_than_one_row_of_floats_is_refused(samples: np.ndarray) -> None:
    with pytest.raises(CryvisionError, match="one row of floating-point numbers"):
        sound_windows(samples, SoundConfig())


def test_finished_stream_takes_no_more() -> None:
    stream = SoundFeatureStream(SoundConfig())
    stream.finish()
    with pytest.raises(CryvisionError, match="finished stream"):
        stream.push(bouts(1))


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"hop_seconds": 0.03}, r"multiple of frame_hop_samples \(320 samples\); got 0\.03 s"),
        ({"window_seconds": 0.064, "context_seconds": 0.01}, "hold one whole frame of 1024"),
        ({"min_hz": 10.0}, "min_hz must be above"),
    ],
)
def test_configuration_without_windows_is_refused_at_once(changed: dict, rule: str) -> None:
    with pytest.raises(ConfigError, match=rule):
        SoundFeatureStream(replace(SoundConfig(), **changed))


def test_memory_of_a_stream_does_not_grow() -> None:
    sound = bouts(20)
    stream = SoundFeatureStream(SoundConfig(feature="mfcc", context_seconds=1.5))

    def peak_of_20_s() -> int:
        tracemalloc.reset_peak()
        for start in range(0, len(sound), SAMPLE_RATE_HZ // 10):
            stream.push(sound[start : start + SAMPLE_RATE_HZ // 10])
        return tracemalloc.get_traced_memory()[1]

    tracemalloc.start()
    try:
        first = peak_of_20_s()
        for _ in range(3):
            last = peak_of_20_s()
    finally:
        tracemalloc.stop()
    assert last <= 1.05 * first


def test_one_huge_push_is_computed_in_blocks_and_then_forgotten() -> None:
    sound = np.tile(bouts(30), 10)
    stream = SoundFeatureStream(SoundConfig(hop_seconds=0.5))
    tracemalloc.start()
    try:
        size = stream.push(sound).inputs.nbytes
        left, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Beside the result: float32 copies of the sound, and one block (all frames are 120 MB).
    copies, block = 3 * sound.nbytes, 40e6
    assert peak < size + copies + block
    assert left < 0.1 * sound.nbytes


def test_features_of_one_spectrum_are_each_what_they_are_alone() -> None:
    sounds = {
        "mel": SoundConfig(),
        "mfcc": SoundConfig(feature="mfcc"),
        "stft": SoundConfig(feature="stft"),
        "hybrid": SoundConfig(feature="hybrid"),
        "few bands": SoundConfig(n_mels=20, n_mfcc=13),
        "other band": SoundConfig(max_hz=2000.0),
        "with context": SoundConfig(feature="mfcc", context_seconds=0.5),
    }
    sound = bouts(4)
    together = WindowFeatures(sounds)
    ends = together.push(sound)
    found = together.take(np.ones(len(ends), bool))
    for name, config in sounds.items():
        wanted = sound_windows(sound, config)
        np.testing.assert_array_equal(found[name].inputs, wanted.inputs, err_msg=name)
        np.testing.assert_array_equal(found[name].level_dbfs, wanted.level_dbfs, err_msg=name)
        np.testing.assert_array_equal(found[name].end_samples, wanted.end_samples)


def test_features_of_one_spectrum_take_one_fft(monkeypatch: pytest.MonkeyPatch) -> None:
    transformed, rfft = [], np.fft.rfft
    monkeypatch.setattr(
        np.fft, "rfft", lambda frames, axis: transformed.append(len(frames)) or rfft(frames)
    )
    names = ("mel", "mfcc", "stft")
    windows = WindowFeatures({name: SoundConfig(feature=name) for name in names})
    windows.take(np.ones(len(windows.push(bouts(2))), bool))
    config = SoundConfig()
    n_frames = 1 + (2 * SAMPLE_RATE_HZ - config.n_fft) // config.frame_hop_samples
    assert sum(transformed) == n_frames


def test_inference_path_loads_no_slow_library() -> None:
    code = (
        "import sys, numpy as np\n"
        "from cryvision.config import SoundConfig\n"
        "from cryvision.inputs.features import sound_windows\n"
        "for feature in ('stft', 'mel', 'mfcc'):\n"
        "    sound_windows(np.random.rand(16000), SoundConfig(feature=feature))\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))\n"
    )
    root = Path(cryvision.config.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    loaded = set(done.stdout.split())
    assert "numpy" in loaded
    assert not loaded.intersection(LIBRARIES_THAT_START_SLOWLY)
