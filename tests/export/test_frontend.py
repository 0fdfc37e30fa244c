"""The front end inside exported models gives the features of the package."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cryvision.config import SoundConfig
from cryvision.export.frontend import band_dft, build_front_end
from cryvision.export.windows import synthetic
from cryvision.inputs import audio
from cryvision.inputs.features import SoundFeatureStream

DECIBELS = 0.01
"""Float32 against float64. The largest is met in deep valleys of pure tones, 80 dB down."""

LEVEL_DB = 1e-3

CONFIGS = {
    "mel": SoundConfig(context_seconds=0.3),
    "mfcc": SoundConfig(feature="mfcc", context_seconds=0.3),
    "stft": SoundConfig(feature="stft", n_fft=512),
    "hybrid": SoundConfig(feature="hybrid", n_fft=512, context_seconds=0.3),
    "not a power of two": SoundConfig(n_fft=400, frame_hop_samples=160, min_hz=100.0),
    "prime": SoundConfig(n_fft=997, frame_hop_samples=160),
    "whole band": SoundConfig(n_mels=80, frame_hop_samples=200, max_hz=8000.0),
}


def front_end(spans: np.ndarray, config: SoundConfig) -> tuple[np.ndarray, np.ndarray]:
    feature, level = build_front_end(config, "sound")(spans.astype(np.float32))
    return np.asarray(feature), np.asarray(level)


def defined(spans: np.ndarray, config: SoundConfig) -> np.ndarray:
    return np.stack([audio.sound_feature(span, config) for span in spans.astype(np.float32)])


class TestFeatures:
    @pytest.mark.parametrize("name", CONFIGS)
    def test_they_are_those_of_the_package(self, name: str) -> None:
        config = CONFIGS[name]
        spans = synthetic(config.span_samples, 18)
        found, _ = front_end(spans, config)
        np.testing.assert_allclose(found, defined(spans, config), atol=DECIBELS)

    def test_a_constant_span_gives_zeros(self) -> None:
        config = CONFIGS["mel"]
        spans = np.stack([np.full(config.span_samples, value) for value in (0.0, 0.7, -0.3)])
        assert not front_end(spans, config)[0].any()

    @pytest.mark.parametrize("offset", [0.5, -0.9])
    def test_an_offset_does_not_leak_into_quiet_sound(self, offset: float) -> None:
        config = CONFIGS["mel"]
        time_s = np.arange(config.span_samples) / 16_000
        quiet = 1e-4 * np.sin(2 * np.pi * 700 * time_s)[None] + offset
        found, _ = front_end(quiet, config)
        np.testing.assert_allclose(found, defined(quiet, config), atol=DECIBELS)

    def test_loudness_has_no_say(self) -> None:
        config = CONFIGS["mel"]
        span = synthetic(config.span_samples, 1)
        loud, quiet = front_end(span, config)[0], front_end(span * 1e-3, config)[0]
        np.testing.assert_allclose(quiet, loud, atol=DECIBELS)


class TestLevels:
    @pytest.mark.parametrize("name", ["mel", "stft"])
    def test_they_are_those_of_a_stream(self, name: str) -> None:
        config = dataclasses.replace(CONFIGS[name], hop_seconds=10.0)
        spans = synthetic(config.span_samples, 18)
        # A stream that starts with the context: its second window has that span.
        expected = []
        for span in spans.astype(np.float32):
            stream = SoundFeatureStream(dataclasses.replace(config, context_seconds=0.0))
            expected.append(stream.push(span[config.context_samples :]).level_dbfs[0])
        found = front_end(spans, config)[1][:, 0]
        # The frames of the context do not begin with its first sample, but for these settings.
        assert config.context_samples % config.frame_hop_samples == 0
        np.testing.assert_allclose(found, expected, atol=LEVEL_DB)


class TestTransform:
    @pytest.mark.parametrize("name", CONFIGS)
    def test_two_small_matrices_are_the_transform(self, name: str) -> None:
        config = CONFIGS[name]
        kept = audio.band_bins(config)
        dft = band_dft(config.n_fft, np.arange(kept.start, kept.stop))
        assert dft.rows * dft.columns == config.n_fft
        frame = np.random.default_rng(0).normal(size=config.n_fft)
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(config.n_fft) / config.n_fft)
        picture = (frame * hann).reshape(dft.rows, dft.columns)
        groups = (dft.first @ picture).reshape(len(dft.second), 1, -1)
        real, imaginary = np.split((groups @ dft.second)[:, 0], 2, axis=-1)
        power = (real**2 + imaginary**2).ravel()[dft.places]
        np.testing.assert_allclose(power, audio.spectrum_power(frame, config)[0], rtol=1e-9)
