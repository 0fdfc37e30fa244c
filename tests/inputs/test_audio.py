"""Sound features are librosa's values; they follow the sound and not its gain or its offset."""

from __future__ import annotations

from dataclasses import replace

import librosa
import numpy as np
import pytest

from cryvision.config import SAMPLE_RATE_HZ, SoundConfig
from cryvision.errors import ConfigError
from cryvision.inputs.audio import (
    AMIN_POWER,
    CONSTANT_RANGE,
    LEVEL_FLOOR_DBFS,
    TOP_DB,
    band_bins,
    band_mean_square,
    dct_matrix,
    level_dbfs,
    mel_filters,
    n_features,
    normalize,
    sound_feature,
    spectrum_power,
)

LIBROSA_DB = 1e-3  # promised agreement in decibels
LIBROSA_LINEAR = 1e-4  # promised relative agreement on linear spectra
FLOAT32_STEP = 1e-6  # a few steps of float32 at values around 1
LEVEL_DB = 0.02  # a frame holds no whole number of periods, so its power ripples
GAIN_DB = 1e-3  # as LIBROSA_DB: float64 leaves far less

CONFIGS = {
    "half a second": SoundConfig(),
    "with context": SoundConfig(context_seconds=1.5),
    "short frames up to 8 kHz": SoundConfig(
        window_seconds=1.0, n_fft=512, frame_hop_samples=160, min_hz=100.0, max_hz=8000.0, n_mels=64
    ),
    "frames of no power of two": SoundConfig(n_fft=400, frame_hop_samples=160, min_hz=80.0),
}
FEATURES = ("stft", "mel", "mfcc")


def seconds(n: int) -> np.ndarray:
    return np.arange(n) / SAMPLE_RATE_HZ


def noise(n: int) -> np.ndarray:
    return 0.1 * np.random.default_rng(1).standard_normal(n)


def chirp(n: int) -> np.ndarray:
    t = seconds(n)
    return 0.8 * np.sin(2 * np.pi * (100 * t + 3000 * t**2 / (2 * t[-1])))


def voice(n: int) -> np.ndarray:
    """Harmonics of a gliding pitch, fading in and out, with a little breath."""
    t = seconds(n)
    phase = 2 * np.pi * np.cumsum(420 + 60 * np.sin(2 * np.pi * 3 * t)) / SAMPLE_RATE_HZ
    tone = sum(np.sin(k * phase) / k for k in range(1, 8))
    return 0.2 * tone * np.sin(np.pi * t / t[-1]) ** 2 + 0.01 * noise(n)


def click(n: int) -> np.ndarray:
    return np.where(np.arange(n) == n // 2, 0.9, 0.0)


SOUNDS = {
    "noise": noise,
    "chirp": chirp,
    "voice": voice,
    "click": click,
    "near silence": lambda n: 1e-5 * noise(n),
    "quiet on an offset": lambda n: 0.5 + 1e-4 * voice(n) / np.abs(voice(n)).max(),
    "loud on an offset": lambda n: 0.5 + 0.4 * chirp(n),
    "silence, then voice": lambda n: np.concatenate([np.zeros(n - n // 3), voice(n // 3)]),
    "above full scale": lambda n: 3e4 * voice(n),
}


@pytest.fixture(params=CONFIGS.values(), ids=CONFIGS)
def config(request: pytest.FixtureRequest) -> SoundConfig:
    return request.param


@pytest.fixture(params=SOUNDS.values(), ids=SOUNDS)
def span(request: pytest.FixtureRequest, config: SoundConfig) -> np.ndarray:
    return request.param(config.span_samples).astype(np.float32)


def published(span: np.ndarray) -> np.ndarray:
    """The two scalings as the paper gives them, one after the other."""
    wave = span.astype(np.float64)
    wave = (wave - wave.mean()) / wave.std()
    return (wave - wave.min()) / (wave.max() - wave.min())


def librosa_magnitude(wave: np.ndarray, config: SoundConfig) -> np.ndarray:
    spectrum = librosa.stft(
        wave, n_fft=config.n_fft, hop_length=config.frame_hop_samples, window="hann", center=False
    )
    hz = librosa.fft_frequencies(sr=SAMPLE_RATE_HZ, n_fft=config.n_fft)
    return np.abs(spectrum)[(hz >= config.min_hz) & (hz <= config.max_hz)]


def librosa_feature(span: np.ndarray, config: SoundConfig) -> np.ndarray:
    wave = published(span)
    if config.feature == "stft":
        magnitude = librosa_magnitude(wave, config)
        return librosa.amplitude_to_db(magnitude, ref=1.0, amin=1e-5, top_db=80.0)
    power = librosa.feature.melspectrogram(
        y=wave,
        sr=SAMPLE_RATE_HZ,
        n_fft=config.n_fft,
        hop_length=config.frame_hop_samples,
        window="hann",
        center=False,
        power=2.0,
        n_mels=config.n_mels,
        fmin=config.min_hz,
        fmax=config.max_hz,
        htk=False,
        norm="slaney",
    )
    decibels = librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=80.0)
    if config.feature == "mel":
        return decibels
    return librosa.feature.mfcc(S=decibels, n_mfcc=config.n_mfcc, dct_type=2, norm="ortho")


@pytest.mark.parametrize("feature", FEATURES)
def test_feature_is_that_of_librosa(feature: str, config: SoundConfig, span: np.ndarray) -> None:
    config = replace(config, feature=feature)
    ours = sound_feature(span, config)
    assert ours.dtype == np.float32
    assert ours.shape == (config.n_frames, n_features(config))
    np.testing.assert_allclose(ours, librosa_feature(span, config).T, rtol=0, atol=LIBROSA_DB)


def test_hybrid_is_spectrum_mel_bands_and_cepstrum_side_by_side(
    config: SoundConfig, span: np.ndarray
) -> None:
    found = sound_feature(span, replace(config, feature="hybrid"))
    parts = [sound_feature(span, replace(config, feature=feature)) for feature in FEATURES]
    np.testing.assert_allclose(found, np.concatenate(parts, axis=1), rtol=FLOAT32_STEP)


def test_linear_spectrum_is_that_of_librosa(config: SoundConfig, span: np.ndarray) -> None:
    wave = published(span)
    theirs = librosa_magnitude(wave, config).T
    # Below the smallest amplitude that decibels know there is only rounding.
    np.testing.assert_allclose(
        spectrum_power(wave, config), theirs**2, rtol=LIBROSA_LINEAR, atol=1e-3 * AMIN_POWER
    )


def test_mel_filters_are_those_of_librosa(config: SoundConfig) -> None:
    theirs = librosa.filters.mel(
        sr=SAMPLE_RATE_HZ,
        n_fft=config.n_fft,
        n_mels=config.n_mels,
        fmin=config.min_hz,
        fmax=config.max_hz,
        htk=False,
        norm="slaney",
    )
    ours = np.zeros(theirs.shape)
    ours[:, band_bins(config)] = mel_filters(config)
    np.testing.assert_allclose(ours, theirs, rtol=FLOAT32_STEP, atol=FLOAT32_STEP * theirs.max())


def test_cached_tables_cannot_be_changed_by_a_caller() -> None:
    for table in (mel_filters(SoundConfig()), dct_matrix(SoundConfig())):
        with pytest.raises(ValueError, match="read-only"):
            table[0, 0] = 1.0


def test_normalization_is_the_published_one(span: np.ndarray) -> None:
    scaled = normalize(span)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, published(span), rtol=0, atol=FLOAT32_STEP)


def test_spans_are_normalized_each_on_its_own() -> None:
    spans = np.stack([chirp(4000), np.full(4000, 0.3), 0.01 * noise(4000)])
    scaled = normalize(spans)
    assert scaled.min(axis=1).tolist() == [0.0, 0.0, 0.0]
    assert scaled.max(axis=1).tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize(("gain", "offset"), [(1e-4, 0.0), (0.037, 0.5), (300.0, -20.0)])
def test_feature_does_not_depend_on_gain_and_offset(
    feature: str, gain: float, offset: float
) -> None:
    config = SoundConfig(feature=feature)
    sound = voice(config.span_samples)
    np.testing.assert_allclose(
        sound_feature(gain * sound + offset, config),
        sound_feature(sound, config),
        rtol=0,
        atol=GAIN_DB,
    )


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("value", [0.0, 0.5, -1.0])
def test_constant_span_gives_zeros(feature: str, value: float) -> None:
    config = SoundConfig(feature=feature)
    span = np.full(config.span_samples, value, np.float32)
    span[100] += 0.4 * CONSTANT_RANGE  # rounding of a decoder is no sound
    assert not sound_feature(span, config).any()


def test_one_step_of_24_bit_sound_is_not_constant() -> None:
    config = SoundConfig()
    span = np.zeros(config.span_samples, np.float32)
    span[4000] = 2.0**-23
    assert sound_feature(span, config).any()


@pytest.mark.parametrize("feature", ["stft", "mel"])
def test_decibels_end_80_below_the_largest_of_the_span(feature: str) -> None:
    config = SoundConfig(feature=feature)
    decibels = sound_feature(chirp(config.span_samples), config)
    assert decibels.max() - decibels.min() == pytest.approx(TOP_DB, abs=GAIN_DB)


def level_of(sound: np.ndarray, config: SoundConfig) -> float:
    return float(level_dbfs(band_mean_square(spectrum_power(sound, config), config)))


@pytest.mark.parametrize("hz", [250.0, 443.0, 3000.0])
@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_full_scale_sine_in_the_band_has_minus_3_dbfs(
    hz: float, offset: float, config: SoundConfig
) -> None:
    sine = np.sin(2 * np.pi * hz * seconds(config.window_samples))
    assert level_of(sine + offset, config) == pytest.approx(-3.0103, abs=LEVEL_DB)
    assert level_of(sine / 10, config) == pytest.approx(-23.0103, abs=LEVEL_DB)


def test_level_of_all_bands_together_is_that_of_the_sound() -> None:
    config = SoundConfig(min_hz=35.0, max_hz=8000.0, n_fft=1024, window_seconds=60.0)
    sound = noise(config.window_samples)
    wanted = 10 * np.log10(np.mean(sound**2)) + 10 * np.log10(1 - 35.0 / 8000.0)
    assert level_of(sound, config) == pytest.approx(wanted, abs=LEVEL_DB)


def test_highest_frequency_of_all_counts_once() -> None:
    config = SoundConfig(max_hz=8000.0)
    square = np.where(np.arange(config.window_samples) % 2, -1.0, 1.0)
    assert level_of(square, config) == pytest.approx(0.0, abs=LEVEL_DB)


@pytest.mark.parametrize("hz", [10.0, 5000.0])
def test_sound_outside_the_band_has_no_level(hz: float) -> None:
    config = SoundConfig()
    sine = np.sin(2 * np.pi * hz * seconds(config.window_samples))
    assert level_of(sine, config) < -40.0  # side lobes of the Hann window remain


def test_silence_has_the_lowest_level() -> None:
    config = SoundConfig()
    assert level_of(np.zeros(config.window_samples), config) == LEVEL_FLOOR_DBFS


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"min_hz": 15.0}, r"min_hz must be above 15\.625 Hz, bin 1 .*; got 15"),
        ({"min_hz": 0.0}, "min_hz must be above"),
        ({"n_fft": 256}, r"min_hz must be above 62\.5 Hz"),
        ({"min_hz": 1001.0, "max_hz": 1002.0}, "must hold a bin .* got 1001 to 1002"),
        ({"feature": "mfcc", "n_mels": 12}, "n_mfcc must be at most n_mels; got 20 and 12"),
    ],
)
def test_impossible_configuration_is_refused_with_its_rule(settings: dict, rule: str) -> None:
    config = SoundConfig(**settings)
    with pytest.raises(ConfigError, match=rule):
        n_features(config)
    with pytest.raises(ConfigError, match=rule):
        sound_feature(noise(config.span_samples), config)


def test_span_of_another_length_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"shape \(8000,\); got \(7999,\)"):
        sound_feature(np.zeros(7999), SoundConfig())
    with pytest.raises(ConfigError, match=r"one frame of 1024; got shape \(1023,\)"):
        spectrum_power(np.zeros(1023), SoundConfig())
