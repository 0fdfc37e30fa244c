"""The front end inside exported models gives the features of the package."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cryvision.config import LogMelConfig, SoundConfig
from cryvision.export.frame_span import FrameSpan, package_frames
from cryvision.export.frontend import (
    band_dft,
    build_front_end,
    build_log_mel_front_end,
    frame_levels,
    scaled_frames,
)
from cryvision.export.windows import synthetic
from cryvision.inputs import audio
from cryvision.inputs.features import SoundFeatureStream
from cryvision.inputs.logmel import SILENCE, log_mel, model_input, reach_samples
from cryvision.models.frame_network import EDGES
from cryvision.models.tagger import CONTEXT

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


class TestLogMel:
    """Frames of a file and of the package, from the same span."""

    SPAN = FrameSpan(EDGES, CONTEXT)
    NATURAL_LOG = 5e-3
    """Float32 on both sides, log(power + 1e-7): an offset of 0.7 leaves so much of its rounding."""

    def found(
        self, spans: np.ndarray, silent: np.ndarray, config: LogMelConfig = EDGES
    ) -> tuple[np.ndarray, np.ndarray]:
        model = build_log_mel_front_end(config, self.SPAN.n_frames)
        log_power, mean_square = model([spans.astype(np.float32), silent])
        return np.asarray(log_power), np.asarray(mean_square)

    def test_they_are_those_of_a_stream(self) -> None:
        n = self.SPAN.n_frames
        sound = synthetic(16_000, 8).ravel()
        stream = log_mel(sound, EDGES)
        for end in (n, n + 12, n + 90):
            last = end * EDGES.frame_samples + reach_samples(EDGES)
            span = np.concatenate([np.zeros(200, np.float32), sound])
            span = span[last + 200 - self.SPAN.n_samples : last + 200][None]
            log_power, mean_square = self.found(span, np.zeros((1, 2), np.float32))
            frames = slice(end - n, end)
            expected = stream.log_power[frames], stream.mean_square[frames]
            np.testing.assert_allclose(log_power[0], expected[0], atol=self.NATURAL_LOG)
            np.testing.assert_allclose(mean_square[0], expected[1], rtol=1e-4, atol=1e-12)

    def test_frames_outside_the_stream_are_silence_though_spectra_reach_into_it(self) -> None:
        spans = synthetic(self.SPAN.n_samples, 1)
        silent = np.array([[50, 7]], np.float32)
        log_power, mean_square = self.found(spans, silent)
        np.testing.assert_allclose(log_power[0, :50], SILENCE, atol=1e-6)
        np.testing.assert_allclose(log_power[0, -7:], SILENCE, atol=1e-6)
        assert not mean_square[0, :50].any()
        within = self.found(spans, np.zeros((1, 2), np.float32))[0]
        np.testing.assert_array_equal(log_power[0, 50:-7], within[0, 50:-7])

    @pytest.mark.parametrize(
        "config",
        [
            dataclasses.replace(EDGES, n_mels=40, min_hz=40.0, max_hz=8000.0),
            dataclasses.replace(EDGES, frame_samples=322, spectrum_samples=401, n_fft=401),
            dataclasses.replace(EDGES, frame_samples=320, spectrum_samples=512),
        ],
        ids=["whole band", "odd", "no zeros behind"],
    )
    def test_other_settings(self, config: LogMelConfig) -> None:
        span = FrameSpan(config, None)
        spans = synthetic(span.n_samples, 9)
        silent = np.zeros((9, 2), np.float32)
        model = build_log_mel_front_end(config, span.n_frames)
        log_power = np.asarray(model([spans, silent])[0])
        expected = package_frames(spans, silent, span).log_power
        np.testing.assert_allclose(log_power, expected, atol=self.NATURAL_LOG)

    @pytest.mark.parametrize("config", [EDGES, CONTEXT], ids=["edges", "tagger"])
    def test_they_are_scaled_as_models_take_them(self, config: LogMelConfig) -> None:
        log_power = np.random.default_rng(0).uniform(-16, 8, (3, 100, 64)).astype(np.float32)
        scaled = np.asarray(scaled_frames(log_power, config))
        np.testing.assert_allclose(scaled, model_input(log_power, config), atol=1e-6)

    def test_levels_are_those_of_the_mean_square(self) -> None:
        mean_square = np.array([[0.5, 0.1, 0.0, 0.0, 1e-13, 0.0]], np.float32)
        found = np.asarray(frame_levels(mean_square, 2))
        np.testing.assert_allclose(found, [[10 * np.log10(0.3), -120, -120]], atol=1e-4)


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
        power = (real**2 + imaginary**2).ravel()[dft.positions]
        np.testing.assert_allclose(power, audio.spectrum_power(frame, config)[0], rtol=1e-9)
