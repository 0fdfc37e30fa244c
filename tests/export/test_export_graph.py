"""The parts of a bundle as one model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toys

from cryvision.bundle import Bundle, Part
from cryvision.config import SoundConfig
from cryvision.errors import ConfigError
from cryvision.export import windows
from cryvision.export.frame_span import FrameSpan, package_frames
from cryvision.export.graph import Graph, build_graph, build_whole
from cryvision.inputs.audio import sound_feature
from cryvision.inputs.logmel import model_input

GraphOf = Callable[[Bundle, str], Graph]

SAME = 1e-3
"""What is promised of the graph in float32, beside features in float64."""


class TestChoosing:
    def test_all_is_detector_and_reason(self, toy: Bundle, graph_of: GraphOf) -> None:
        graph = graph_of(toy, "all")
        assert [part.name for part in graph.parts] == [part.name for part in toy.parts]
        assert graph.labels == toys.LABELS
        assert graph.output_names == [
            *("probabilities", "cry", "level_dbfs"),
            *("detector_logits", "mfcc_dnn_logits", "stft_dnn_logits", "ensemble_logits"),
        ]
        assert graph.span_samples == toys.MFCC.span_samples

    def test_a_detector_alone_tells_cry_from_no_cry(self, toy: Bundle, graph_of: GraphOf) -> None:
        graph = graph_of(toy, "detector")
        assert graph.labels == ("no cry", "cry")
        assert graph.span_samples == toys.DETECTOR.span_samples
        assert list(graph.sounds) == ["mel"]

    def test_a_reason_takes_the_parts_that_it_needs(self, toy: Bundle, graph_of: GraphOf) -> None:
        graph = graph_of(toy, "reason")
        assert [part.name for part in graph.parts] == ["mfcc-dnn", "stft-dnn", "ensemble"]
        assert "cry" not in graph.output_names

    def test_a_part_that_the_bundle_lacks_is_named(self, toy: Bundle) -> None:
        with pytest.raises(ConfigError, match=r"no face to export.*detector \(detector\)"):
            build_graph(toy, "face")

    def test_branches_without_an_ensemble_give_no_one_reason(self, toy: Bundle) -> None:
        branches = [part for part in toy.parts if part.kind == "branch"]
        with pytest.raises(ConfigError, match="mfcc-dnn, stft-dnn have no ensemble"):
            build_graph(dataclasses.replace(toy, parts=branches), "reason")


class TestValues:
    def test_from_waveform_they_are_those_of_features_and_parts(
        self, toy: Bundle, graph_of: GraphOf
    ) -> None:
        graph = graph_of(toy, "all")
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


class TestFrames:
    """Edges and tagger in one file."""

    def test_a_call_gives_the_steps_from_one_to_the_next_and_what_is_heard(
        self, frame_toy: Bundle, graph_of: GraphOf
    ) -> None:
        graph = graph_of(frame_toy, "detector")
        frames = graph.frames
        assert frames is not None
        assert graph.labels == ()
        assert graph.output_names == [
            *("cry_edges", "tags", "level_dbfs", "tags_level_dbfs"),
            *("edges_logits", "tagger_logits"),
        ]
        # 0.24 s from call to call: six steps of 40 ms, from 133 + 2 * 5 frames.
        assert (frames.call_frames, frames.n_steps, frames.n_frames) == (12, 6, 143)
        assert graph.span_samples == 143 * 320 + 2 * 120
        assert frames.frames_of(toys.CONTEXT) == slice(43, 143)
        assert frames.step_frames == slice(121, 133)

    def test_all_is_the_detector_and_the_reason_over_the_longest_span(
        self, frame_toy: Bundle, graph_of: GraphOf
    ) -> None:
        graph = graph_of(frame_toy, "all")
        assert graph.labels == toys.LABELS
        assert graph.output_names[:3] == ["probabilities", "cry_edges", "tags"]
        assert set(graph.logmels) == {"edges_logmel", "tagger_logmel"}
        assert list(graph_of(frame_toy, "reason").output_names) == [
            "probabilities",
            "mfcc_dnn_logits",
        ]

    def test_from_waveform_they_are_those_of_the_models_on_the_packages_frames(
        self, frame_toy: Bundle, graph_of: GraphOf
    ) -> None:
        graph = graph_of(frame_toy, "all")
        frames = graph.frames
        assert frames is not None
        spans = windows.synthetic(graph.span_samples, 9)
        silent = windows.silent_frames(frames.n_frames, 9)
        assert silent.any(axis=0).all()
        found = build_whole(graph)({"waveform": spans, "silent_frames": silent})

        package = package_frames(spans[:, -frames.n_samples :], silent, frames)
        edges = model_input(package.log_power, toys.EDGES)
        tagged = model_input(package.log_power[:, 43:], toys.CONTEXT)
        cry = frame_toy.model("edges", "keras").predict({"logmel": edges})
        tags = frame_toy.model("tagger", "keras").predict({"logmel": tagged})
        assert cry.std() > 0.1
        assert tags.std(axis=0).min() > 0.05
        np.testing.assert_allclose(found["cry_edges"], cry, atol=SAME)
        np.testing.assert_allclose(found["tags"], tags, atol=SAME)
        newest = np.stack([sound_feature(s[-toys.MFCC.span_samples :], toys.MFCC) for s in spans])
        reasons = frame_toy.model("mfcc-dnn", "keras").predict({"mfcc": newest})
        np.testing.assert_allclose(found["probabilities"], reasons, atol=SAME)

    def test_edges_without_a_tagger(self, frame_toy: Bundle) -> None:
        edges = [part for part in frame_toy.parts if part.kind == "detector"]
        graph = build_graph(dataclasses.replace(frame_toy, parts=edges), "all")
        assert graph.output_names == ["cry_edges", "level_dbfs", "edges_logits"]
        assert graph.frames is not None
        assert (graph.frames.n_steps, graph.frames.n_frames) == (6, 143)

    @pytest.mark.parametrize(
        "other", [{"n_mels": 40}, {"max_hz": 4000.0}, {"hop_frames": 13}], ids=str
    )
    def test_parts_that_cannot_share_their_frames_are_refused(self, other: dict[str, Any]) -> None:
        tagger = dataclasses.replace(toys.CONTEXT, **other)
        parts = [
            Part(name, name, ("logmel",), None, toys.AGREEMENT, logmel=config)
            for name, config in (("detector", toys.EDGES), ("tagger", tagger))
        ]
        with pytest.raises(ConfigError, match="one file only if they take the same frames"):
            FrameSpan.of(*parts)

    def test_a_lookahead_between_steps_leaves_the_newest_frames_unused(self) -> None:
        edges = dataclasses.replace(toys.EDGES, lookahead_frames=9)
        span = FrameSpan(edges, toys.CONTEXT)
        # The step that ends at frame 24 is complete with frame 33: calls are at 24, 36, ...
        assert span.n_frames - span.step_frames.stop == 10
        assert span.frames_of(edges).stop == span.n_frames - 1
        assert (span.n_frames - span.step_frames.stop) % edges.hop_frames == 0
