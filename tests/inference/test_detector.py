"""Edges and tagger over a stream: what each step and window is about, and how both are fused."""

from __future__ import annotations

import dataclasses
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import PIECES_TOLERANCE, RUNTIME_TOLERANCE
from two_parts import (
    AMPLITUDE,
    CONTEXT,
    EDGES,
    FAINT,
    RATE_HZ,
    TAGS,
    VETO,
    tones,
    two_part_bundle,
)

from cryvision.bundle import Bundle
from cryvision.errors import BundleError, ConfigError
from cryvision.inference.detector import CryDetector, DetectorWindows
from cryvision.inference.veto import calibrated

STEP_SAMPLES = EDGES.hop_samples
HOP_SAMPLES = CONTEXT.hop_samples
REACH_SAMPLES = 120
"""A frame's spectra reach this far beyond it."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return two_part_bundle(tmp_path_factory)


def joined(pieces: list[DetectorWindows]) -> DetectorWindows:
    """The outputs of the pieces joined."""
    columns = {}
    for field in dataclasses.fields(DetectorWindows):
        values = [getattr(piece, field.name) for piece in pieces]
        is_array = isinstance(values[0], np.ndarray)
        columns[field.name] = np.concatenate(values) if is_array else values[-1]
    tags = [piece.tags for piece in pieces]
    columns["tags"] = replace(
        tags[-1],
        end_samples=np.concatenate([found.end_samples for found in tags]),
        scores=np.concatenate([found.scores for found in tags]),
    )
    return DetectorWindows(**columns)


def detect(bundle: Bundle, *pieces: np.ndarray, **options: str) -> DetectorWindows:
    detector = CryDetector(bundle, **options)
    return joined([*[detector.push(piece) for piece in pieces], detector.finish()])


class TestSteps:
    def test_a_step_is_scored_by_the_sound_that_it_is_about(self, bundle: Bundle) -> None:
        found = detect(bundle, tones(2.0, edges=[(0.0, 0.2), (0.8, 1.2), (1.6, 2.0)]))
        np.testing.assert_array_equal(found.start_samples, STEP_SAMPLES * np.arange(50))
        np.testing.assert_array_equal(found.end_samples, STEP_SAMPLES * np.arange(1, 51))
        crying = np.zeros(50, bool)
        for first, last in ((0, 5), (20, 30), (40, 50)):
            crying[first:last] = True
        np.testing.assert_array_equal(found.scores > 0.5, crying)
        assert not found.padded

    @pytest.mark.parametrize(
        ("n_samples", "ends"),
        [(0, []), (1, [1]), (100, [100]), (640, [640]), (641, [640, 641]), (1000, [640, 1000])],
    )
    def test_the_last_step_ends_with_the_sound(
        self, bundle: Bundle, n_samples: int, ends: list[int]
    ) -> None:
        found = detect(bundle, np.full(n_samples, 0.1, np.float32))
        assert found.end_samples.tolist() == ends

    def test_a_step_is_known_once_its_look_ahead_is_and_no_later(self, bundle: Bundle) -> None:
        samples, detector = tones(1.0, edges=[(0, 1)]), CryDetector(bundle)
        needed = STEP_SAMPLES + EDGES.lookahead_samples + REACH_SAMPLES
        assert len(detector.push(samples[: needed - 1]).scores) == 0
        first = detector.push(samples[needed - 1 : needed])
        assert first.end_samples.tolist() == [STEP_SAMPLES]
        assert first.scored_samples == 2 * STEP_SAMPLES - 1
        assert first.settled_samples == STEP_SAMPLES

    def test_steps_below_the_energy_gate_are_not_scored(self, bundle: Bundle) -> None:
        quiet = tones(1.0, {"edges": 1e-3 * AMPLITUDE}, edges=[(0.4, 0.8)])
        found = detect(bundle, quiet + tones(1.0, edges=[(0.0, 0.2)]))
        np.testing.assert_array_equal(np.flatnonzero(found.scored), np.arange(6))
        assert not found.scores[~found.scored].any()
        assert not found.probabilities[~found.scored].any()

    def test_models_are_not_run_on_silence(
        self, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Refusing:
            def predict(self, inputs: object) -> np.ndarray:
                raise AssertionError("a model ran on silence")

        monkeypatch.setattr(Bundle, "model", lambda *given: Refusing())
        found = detect(bundle, np.zeros(3 * RATE_HZ, np.float32))
        assert len(found.scores) == 75
        assert not found.scores.any()

    def test_samples_that_are_not_finite_are_silence_and_counted(self, bundle: Bundle) -> None:
        samples = tones(1.0, edges=[(0, 1)])
        damaged, silenced = samples.copy(), samples.copy()
        damaged[4000:4100] = np.nan
        silenced[4000:4100] = 0
        detector = CryDetector(bundle)
        found = joined([detector.push(damaged), detector.finish()])
        assert detector.non_finite == 100
        np.testing.assert_array_equal(found.scores, detect(bundle, silenced).scores)

    def test_long_sound_is_scored_block_by_block(
        self, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        samples = tones(3.0, edges=[(0.5, 1.0), (2.0, 2.2)], cry=[(0.4, 1.4)])
        whole = detect(bundle, samples)
        monkeypatch.setattr("cryvision.inference.steps.BLOCK_STEPS", 7)
        monkeypatch.setattr("cryvision.inference.tags.BLOCK_VALUES", 2 * CONTEXT.window_frames * 64)
        blocks = detect(bundle, samples)
        np.testing.assert_allclose(blocks.scores, whole.scores, atol=PIECES_TOLERANCE)
        np.testing.assert_allclose(blocks.tags.scores, whole.tags.scores, atol=PIECES_TOLERANCE)


class TestTags:
    def test_a_window_ends_each_hop_and_the_last_one_with_the_sound(self, bundle: Bundle) -> None:
        tags = detect(bundle, tones(1.0, cry=[(0.48, 0.72)], music=[(0.96, 1.0)])).tags
        assert tags.end_samples.tolist() == [3840, 7680, 11520, 15360, 16000]
        np.testing.assert_array_equal(tags.scores[:, 0] > 0.5, [False, False, True, False, False])

    def test_a_whole_number_of_windows_has_none_beside_them(self, bundle: Bundle) -> None:
        tags = detect(bundle, tones(0.48, cry=[(0, 0.48)])).tags
        assert tags.end_samples.tolist() == [3840, 7680]
        assert (tags.scores[:, 0] > 0.5).all()

    def test_the_last_window_has_the_last_sound(self, bundle: Bundle) -> None:
        # 0.2 s are not one hop; with the silence before them they are one window.
        tags = detect(bundle, tones(0.2, cry=[(0, 0.2)])).tags
        assert tags.end_samples.tolist() == [3200]
        assert tags.scores[0, 0] > 0.5

    def test_windows_below_the_energy_gate_are_silence(self, bundle: Bundle) -> None:
        tags = detect(bundle, np.zeros(RATE_HZ, np.float32)).tags
        assert len(tags) == 5
        assert (tags.scores == [tag == "silence" for tag in TAGS]).all()

    def test_without_a_tagger_there_are_none(self, bundle: Bundle) -> None:
        edges = replace(bundle, parts=bundle.parts[:1], veto=None)
        samples = tones(1.0, edges=[(0.4, 0.8)])
        found, with_tags = detect(edges, samples), detect(bundle, samples)
        assert CryDetector(edges).tags == ()
        assert CryDetector(edges).veto_level == "off"
        assert len(found.tags) == 0
        np.testing.assert_array_equal(found.scores, with_tags.scores)
        np.testing.assert_array_equal(found.probabilities, found.scores)


class TestFusion:
    SAMPLES = tones(
        4.0, {"cry": FAINT}, edges=[(0.2, 1.4), (1.8, 3.8)], cry=[(0.72, 1.2), (3.2, 3.6)]
    )

    @pytest.mark.parametrize("level", ["normal", "strict"])
    def test_a_score_is_multiplied_by_what_the_tagger_heard_lately(
        self, bundle: Bundle, level: str
    ) -> None:
        found = detect(bundle, self.SAMPLES, veto=level)
        ends, cry = found.tags.end_samples, found.tags.scores[:, 0]
        shares = []
        for end in found.end_samples:
            lately = (ends > end - RATE_HZ) & (ends <= end + EDGES.lookahead_samples)
            shares.append(min(1.0, cry[lately].max(initial=0.0) / VETO.live(level)))
        assert min(shares) < 0.1
        assert max(shares) == 1 if level == "normal" else 0.5 < max(shares) < 1
        np.testing.assert_allclose(found.fused, found.scores * shares, atol=PIECES_TOLERANCE)

    def test_without_a_veto_the_edges_are_left_as_they_are(self, bundle: Bundle) -> None:
        found = detect(bundle, self.SAMPLES, veto="off")
        np.testing.assert_array_equal(found.fused, found.scores)
        np.testing.assert_array_equal(found.probabilities, found.scores)
        assert len(found.tags) == 17

    def test_the_probability_is_calibrated_by_temperature_and_bias(self, bundle: Bundle) -> None:
        veto = replace(VETO, temperature=2.0, bias=-0.5)
        found = detect(replace(bundle, veto=veto), self.SAMPLES)
        expected = np.where(found.scored, calibrated(found.fused, veto), 0)
        np.testing.assert_allclose(found.probabilities, expected, atol=PIECES_TOLERANCE)
        assert calibrated(0.5, veto) == pytest.approx(1 / (1 + np.exp(0.5)))
        assert calibrated(0.9, veto) == pytest.approx(1 / (1 + np.exp(-np.log(9) / 2 + 0.5)))

    def test_an_unknown_level_is_refused(self, bundle: Bundle) -> None:
        with pytest.raises(ConfigError, match="veto must be one of off, normal, strict; got 'no'"):
            CryDetector(bundle, veto="no")


def other_spectra(bundle: Bundle) -> Bundle:
    """The tagger's frames reach further than those of the edges, so both need their own."""
    edges, tagger = bundle.parts
    wider = replace(CONTEXT, spectrum_samples=512)
    return replace(bundle, parts=(edges, replace(tagger, logmel=wider)))


@pytest.mark.parametrize("changed", [lambda bundle: bundle, other_spectra], ids=["one", "two"])
def test_pieces_of_any_size_say_the_same(bundle: Bundle, changed) -> None:  # type: ignore[no-untyped-def]
    tried = changed(bundle).keeping_models()
    samples = tones(2.5, edges=[(0.3, 0.9), (1.2, 2.5)], cry=[(0.5, 0.6), (1.9, 2.2)])
    whole = detect(tried, samples)
    assert np.ptp(whole.fused) > 0.9

    @settings(max_examples=20, deadline=None)
    @given(cuts=st.lists(st.integers(0, len(samples)), max_size=12))
    def holds(cuts: list[int]) -> None:
        pieces = detect(tried, *np.split(samples, sorted(cuts)))
        for name in ("start_samples", "end_samples", "scored"):
            np.testing.assert_array_equal(getattr(pieces, name), getattr(whole, name))
        for name in ("scores", "fused", "probabilities", "level_dbfs"):
            np.testing.assert_allclose(
                getattr(pieces, name), getattr(whole, name), atol=PIECES_TOLERANCE
            )
        np.testing.assert_array_equal(pieces.tags.end_samples, whole.tags.end_samples)
        np.testing.assert_allclose(pieces.tags.scores, whole.tags.scores, atol=PIECES_TOLERANCE)

    holds()


def test_both_runtimes_agree(bundle: Bundle) -> None:
    samples = tones(2.0, edges=[(0.3, 0.9)], cry=[(0.5, 0.6)], music=[(1.0, 1.5)])
    onnx, keras = (detect(bundle, samples, runtime=runtime) for runtime in ("onnx", "keras"))
    np.testing.assert_allclose(keras.scores, onnx.scores, atol=RUNTIME_TOLERANCE)
    np.testing.assert_allclose(keras.tags.scores, onnx.tags.scores, atol=RUNTIME_TOLERANCE)


KEPT_BYTES = 50_000
"""Beside one window of frames nothing stays: 20 s of frames alone are 256 kB."""


def test_memory_does_not_grow_with_the_stream(bundle: Bundle) -> None:
    detector = CryDetector(bundle)
    piece = tones(0.1, edges=[(0, 0.1)], cry=[(0, 0.1)])

    def kept_after(seconds: float) -> int:
        for _ in range(round(10 * seconds)):
            detector.push(piece)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    before = kept_after(4.0)
    after = kept_after(20.0)
    tracemalloc.stop()
    assert after - before < KEPT_BYTES


class TestRefused:
    @pytest.mark.parametrize("change", [{"gate": None}, {"parts": ()}])
    def test_a_bundle_without_detector_or_gate(self, bundle: Bundle, change: dict) -> None:  # type: ignore[type-arg]
        with pytest.raises(BundleError, match="must have a detector of sound; 'two parts' has"):
            CryDetector(replace(bundle, **change))

    @pytest.mark.parametrize(
        ("change", "rule"),
        [
            ({"window_frames": 51}, "must hold 51 frames of 64 bands"),
            ({"n_mels": 40}, "frames of 40 bands"),
        ],
    )
    def test_a_model_that_takes_other_frames(
        self, bundle: Bundle, change: dict[str, int], rule: str
    ) -> None:
        edges, tagger = bundle.parts
        other = replace(tagger, logmel=replace(CONTEXT, **change))
        with pytest.raises(BundleError, match=rf"tagger\.onnx: .*{rule}"):
            CryDetector(replace(bundle, parts=(edges, other)))

    def test_a_tagger_of_other_tags(self, bundle: Bundle) -> None:
        edges, tagger = bundle.parts
        with pytest.raises(BundleError, match=r"tagger\.onnx: must have 2 outputs; got 4"):
            CryDetector(replace(bundle, parts=(edges, replace(tagger, tags=TAGS[:2]))))
