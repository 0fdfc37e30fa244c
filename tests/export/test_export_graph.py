"""The parts of a bundle as one model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import toys

from cryvision.bundle import Bundle
from cryvision.config import SoundConfig
from cryvision.errors import ConfigError
from cryvision.export import windows
from cryvision.export.graph import build_graph, build_whole
from cryvision.inputs.audio import sound_feature

SAME = 1e-3
"""What is promised of the graph in float32, beside features in float64."""


class TestChoosing:
    def test_all_is_detector_and_reason(self, toy: Bundle) -> None:
        graph = build_graph(toy, "all")
        assert [part.name for part in graph.parts] == [part.name for part in toy.parts]
        assert graph.labels == toys.LABELS
        assert graph.output_names == [
            *("probabilities", "cry", "level_dbfs"),
            *("detector_logits", "mfcc_dnn_logits", "stft_dnn_logits", "ensemble_logits"),
        ]
        assert graph.span_samples == toys.MFCC.span_samples

    def test_a_detector_alone_tells_cry_from_no_cry(self, toy: Bundle) -> None:
        graph = build_graph(toy, "detector")
        assert graph.labels == ("no cry", "cry")
        assert graph.span_samples == toys.DETECTOR.span_samples
        assert list(graph.sounds) == ["mel"]

    def test_a_reason_takes_the_parts_that_it_needs(self, toy: Bundle) -> None:
        graph = build_graph(toy, "reason")
        assert [part.name for part in graph.parts] == ["mfcc-dnn", "stft-dnn", "ensemble"]
        assert "cry" not in graph.output_names

    def test_a_part_that_the_bundle_lacks_is_named(self, toy: Bundle) -> None:
        with pytest.raises(ConfigError, match=r"no face to export.*detector \(detector\)"):
            build_graph(toy, "face")

    def test_branches_without_an_ensemble_give_no_one_reason(self, tmp_path: Path) -> None:
        branches = {
            name: ("branch", config, toys.build_statistics_branch(config))
            for name, config in (("one", toys.MFCC), ("two", toys.STFT))
        }
        bundle = toys.save(tmp_path / "bundle", branches)
        with pytest.raises(ConfigError, match="one, two have no ensemble"):
            build_graph(bundle, "reason")


class TestValues:
    def test_from_waveform_they_are_those_of_features_and_parts(self, toy: Bundle) -> None:
        graph = build_graph(toy, "all")
        spans = windows.synthetic(graph.span_samples, 9)
        found = build_whole(graph)({"waveform": spans})

        def predict(name: str, **inputs: np.ndarray) -> np.ndarray:
            return toy.model(name, "keras").predict(inputs)

        def feature(config: SoundConfig) -> np.ndarray:
            newest = spans[:, -config.span_samples :]
            return np.stack([sound_feature(span, config) for span in newest])

        cry = predict("detector", mel=feature(toys.DETECTOR))
        branches = {
            "mfcc-dnn": predict("mfcc-dnn", mfcc=feature(toys.MFCC)),
            "stft-dnn": predict("stft-dnn", stft=feature(toys.STFT)),
        }
        np.testing.assert_allclose(found["cry"], cry, atol=SAME)
        fused = predict("ensemble", **branches)
        np.testing.assert_allclose(found["probabilities"], fused, atol=SAME)

    def test_two_parts_that_compute_a_feature_differently_have_inputs_of_their_own(
        self, tmp_path: Path
    ) -> None:
        other = SoundConfig(window_seconds=0.7, n_fft=512)
        bundle = toys.save(
            tmp_path / "bundle",
            {
                "detector": ("detector", toys.DETECTOR, toys.build_detector()),
                "mel-dnn": ("branch", other, toys.build_statistics_branch(other)),
            },
        )
        graph = build_graph(bundle, "all")
        assert graph.sounds == {"detector_mel": toys.DETECTOR, "mel_dnn_mel": other}
