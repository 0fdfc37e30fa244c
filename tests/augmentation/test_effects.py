"""Changed copies of clips: what changes, and that nothing else does."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from cryvision.augmentation import effects
from cryvision.augmentation.effects import (
    CODECS,
    add_noise,
    available_codecs,
    change_speed,
    code,
    equalise,
    low_pass,
    reverberate,
)
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.errors import ConfigError, MediaError, MissingDependencyError

ALIGNED_SAMPLES = SAMPLE_RATE_HZ // 500
"""2 ms: far below the 10 ms in which annotators agree on an onset."""

CODED_CORRELATION = 0.6
"""Coding speech at the lowest rates keeps the waveform to about 0.8; a wrong place gives < 0.3."""

SNR_TOLERANCE_DB = 0.01
"""The ratio is exact but for float32."""

PITCH_TOLERANCE_HZ = 2.0
"""Two bins of a one-second spectrum."""


def voice(seconds: float = 1.5) -> np.ndarray:
    """A gliding harmonic sound in bursts over a little noise: it has one place where it fits."""
    rng = np.random.default_rng(5)
    times_s = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    phase = 2 * np.pi * np.cumsum(220 + 90 * np.sin(5 * times_s)) / SAMPLE_RATE_HZ
    sound = np.sum([np.sin(k * phase) / k for k in range(1, 12)], axis=0)
    gate = np.sin(2 * np.pi * 2.3 * times_s + 1) > -0.3
    return (0.15 * sound * gate + 0.003 * rng.standard_normal(len(times_s))).astype(np.float32)


def tone(frequency_hz: float, seconds: float = 2.0) -> np.ndarray:
    times_s = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return (0.5 * np.sin(2 * np.pi * frequency_hz * times_s)).astype(np.float32)


def pitch_hz(sound: np.ndarray) -> float:
    middle = sound[len(sound) // 4 : -len(sound) // 4]
    size = 16 * SAMPLE_RATE_HZ
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), size))
    return float(np.argmax(spectrum)) / 16


def lag(late: np.ndarray, sound: np.ndarray) -> int:
    size = 2 * len(sound)
    match = np.fft.irfft(np.fft.rfft(late, size) * np.conj(np.fft.rfft(sound, size)), size)
    return int((np.argmax(match) + len(sound)) % size - len(sound))


def rms(sound: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(sound, dtype=np.float64))))


@pytest.mark.parametrize("factor", [0.25, 0.8, 0.93, 1.0, 1.1, 1.37, 2.0])
def test_speed_scales_length_and_pitch_together(factor: float) -> None:
    changed = change_speed(tone(440), factor)
    assert changed.dtype == np.float32
    assert changed.shape == (round(2 * SAMPLE_RATE_HZ / factor),)
    assert pitch_hz(changed) == pytest.approx(440 * factor, abs=PITCH_TOLERANCE_HZ)
    assert rms(changed) == pytest.approx(rms(tone(440)), rel=0.01)


@pytest.mark.parametrize("factor", [0.85, 1.2])
def test_labels_scaled_by_one_over_the_factor_fit_the_changed_sound(factor: float) -> None:
    onset_s, offset_s = 0.6, 1.3
    sound = tone(500)
    sound[: round(onset_s * SAMPLE_RATE_HZ)] = 0
    sound[round(offset_s * SAMPLE_RATE_HZ) :] = 0
    loud = np.flatnonzero(np.abs(change_speed(sound, factor)) > 0.1)
    assert loud[0] / SAMPLE_RATE_HZ == pytest.approx(onset_s / factor, abs=0.002)
    assert loud[-1] / SAMPLE_RATE_HZ == pytest.approx(offset_s / factor, abs=0.002)


def test_speeding_up_aliases_nothing() -> None:
    changed = change_speed(tone(5000), 2.0)
    assert rms(changed[500:-500]) < 1e-3 * rms(tone(5000))


def test_speed_one_changes_nothing() -> None:
    assert np.allclose(change_speed(voice(), 1.0), voice(), atol=1e-6)


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 20.0])
@pytest.mark.parametrize("noise_seconds", [0.3, 1.5, 4.0])
def test_noise_is_added_at_the_wanted_ratio(snr_db: float, noise_seconds: float) -> None:
    rng = np.random.default_rng(2)
    noise = rng.standard_normal(round(noise_seconds * SAMPLE_RATE_HZ))
    mixed = add_noise(voice(), noise, snr_db, rng)
    assert mixed.dtype == np.float32
    got_db = 20 * np.log10(rms(voice()) / rms(mixed.astype(np.float64) - voice()))
    assert got_db == pytest.approx(snr_db, abs=SNR_TOLERANCE_DB)


def test_noise_without_a_ratio_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    silent = np.zeros(1000, dtype=np.float32)
    assert np.array_equal(add_noise(voice(), silent, 10, rng), voice())
    assert np.array_equal(add_noise(silent, voice(), 10, rng), silent)
    assert len(add_noise(voice(), silent[:0], 10, rng)) == len(voice())


def test_equalising_stays_within_its_strength_and_does_not_move_the_sound() -> None:
    sound = np.random.default_rng(1).standard_normal(4 * SAMPLE_RATE_HZ).astype(np.float32)
    changed = equalise(sound, np.random.default_rng(7), strength_db=6)
    bands = np.abs(np.fft.rfft(changed)[: 2 * SAMPLE_RATE_HZ]) ** 2
    before = np.abs(np.fft.rfft(sound)[: 2 * SAMPLE_RATE_HZ]) ** 2
    gains_db = 10 * np.log10(bands.reshape(64, -1).sum(1) / before.reshape(64, -1).sum(1))
    assert np.abs(gains_db).max() <= 6.1
    assert np.ptp(gains_db) > 3
    assert lag(changed, sound) == 0
    assert np.allclose(equalise(voice(), np.random.default_rng(7), 0), voice(), atol=1e-6)


def test_a_low_pass_takes_away_what_is_above_and_moves_nothing() -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, SAMPLE_RATE_HZ).astype(np.float32)
    limited = low_pass(sound, 4000.0)
    assert limited.shape == sound.shape
    before, after = (np.abs(np.fft.rfft(samples)) for samples in (sound, limited))
    assert np.sum(after[5000:] ** 2) < 1e-3 * np.sum(before[5000:] ** 2)
    assert np.abs(after[100:3000] - before[100:3000]).max() < 0.1 * before[100:3000].mean()


@pytest.mark.parametrize("rt60_seconds", [0.2, 0.6, 1.5])
def test_a_room_keeps_the_direct_sound_and_rings_as_long_as_asked(rt60_seconds: float) -> None:
    click = np.zeros(4 * SAMPLE_RATE_HZ, dtype=np.float32)
    click[100] = 0.5
    wet = reverberate(click, np.random.default_rng(3), rt60_seconds).astype(np.float64)
    assert wet[100] == pytest.approx(0.5, abs=1e-6)
    assert np.abs(wet[:100]).max() < 1e-6
    tail = np.cumsum(wet[132:][::-1] ** 2)[::-1]
    decay_db = 10 * np.log10(tail / tail[0] + 1e-12)
    # Schroeder's backward integral, fitted between -5 and -25 dB as in ISO 3382-1.
    fitted = np.flatnonzero((decay_db <= -5) & (decay_db >= -25))
    slope = np.polyfit(fitted / SAMPLE_RATE_HZ, decay_db[fitted], 1)[0]
    assert -60 / slope == pytest.approx(rt60_seconds, rel=0.15)


def test_the_same_seed_gives_the_same_copy_and_the_input_stays() -> None:
    sound = voice()
    for change in (
        lambda rng: add_noise(sound, tone(100), 5, rng),
        lambda rng: equalise(sound, rng),
        lambda rng: reverberate(sound, rng, 0.4),
    ):
        assert np.array_equal(change(np.random.default_rng(1)), change(np.random.default_rng(1)))
        assert not np.array_equal(
            change(np.random.default_rng(1)), change(np.random.default_rng(2))
        )
    assert np.array_equal(sound, voice())


def test_no_sound_stays_no_sound() -> None:
    nothing, rng = np.zeros(0, dtype=np.float32), np.random.default_rng(0)
    assert change_speed(nothing, 1.1).shape == (0,)
    assert add_noise(nothing, tone(100), 10, rng).shape == (0,)
    assert equalise(nothing, rng).shape == (0,)
    assert reverberate(nothing, rng, 0.3).shape == (0,)
    assert code(nothing, "alaw").shape == (0,)


@pytest.mark.parametrize("codec", CODECS)
def test_coding_keeps_length_and_place(codec: str) -> None:
    if codec not in available_codecs():
        pytest.skip(f"this ffmpeg has no encoder for {codec}")
    sound = voice()[:-37]
    coded = code(sound, codec)
    assert coded.shape == sound.shape
    assert coded.dtype == np.float32
    assert np.isfinite(coded).all()
    assert not np.array_equal(coded, sound)
    assert abs(lag(coded, sound)) <= ALIGNED_SAMPLES
    assert np.corrcoef(coded, sound)[0, 1] > CODED_CORRELATION


def test_coding_a_moment_gives_a_moment() -> None:
    assert code(tone(500)[:7], "mulaw").shape == (7,)
    assert code(tone(500)[:7], "adpcm").shape == (7,)


def test_telephone_codecs_keep_nothing_above_4_khz() -> None:
    bright = (tone(1000) + tone(6000)) / 2
    spectrum = np.abs(np.fft.rfft(code(bright, "alaw")))
    assert spectrum[2 * 4200 :].max() < 0.01 * spectrum.max()


def test_an_unknown_codec_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"codec must be one of .*'flac'"):
        code(voice(), "flac")


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for ffmpeg is a shell script")
def test_an_ffmpeg_that_lacks_an_encoder_or_hangs_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text(
        '#!/bin/sh\nfor a; do [ "$a" = -encoders ] && echo " A....D pcm_alaw x" && exit; done\n'
        'for a; do [ "$a" = pcm_alaw ] && exec sleep 30; done\necho broken >&2; exit 3\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("CRYVISION_FFMPEG", os.fspath(program))
    monkeypatch.setattr(effects, "CODING_TIMEOUT_SECONDS", 0.5)
    assert available_codecs() == ("alaw",)
    with pytest.raises(MissingDependencyError, match=f"encoder libmp3lame; {program} has none"):
        code(voice(), "mp3")
    with pytest.raises(MediaError, match="encoding as alaw must take ffmpeg less than"):
        code(voice(), "alaw")


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((2, 100), dtype=np.float32), np.zeros(100, dtype=np.int16), np.full(9, np.nan)],
    ids=["two channels", "integers", "not finite"],
)
def test_what_is_not_mono_float_sound_is_refused(wrong: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    for change in (
        lambda: change_speed(wrong, 1.1),
        lambda: add_noise(wrong, tone(100), 5, rng),
        lambda: add_noise(tone(100), wrong, 5, rng),
        lambda: equalise(wrong, rng),
        lambda: reverberate(wrong, rng, 0.3),
        lambda: code(wrong, "alaw"),
    ):
        with pytest.raises(ConfigError, match=r"must be (floating-point sound|finite)"):
            change()


def test_settings_out_of_range_are_refused() -> None:
    rng, sound = np.random.default_rng(0), tone(100, 0.1)
    for factor in (0, 0.2, 5, float("nan")):
        with pytest.raises(ConfigError, match="factor must be"):
            change_speed(sound, factor)
    for rt60_seconds in (0, -1, 6, float("nan")):
        with pytest.raises(ConfigError, match="rt60_seconds must be"):
            reverberate(sound, rng, rt60_seconds)
    with pytest.raises(ConfigError, match="snr_db must be finite"):
        add_noise(sound, sound, float("nan"), rng)
    with pytest.raises(ConfigError, match="strength_db must be"):
        equalise(sound, rng, -1)
