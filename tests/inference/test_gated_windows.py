"""The detector over a stream, and the gate that lets windows of the reasons through."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from bundles import BUNDLE_V1, REASON_SOUNDS, glides
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import PIECES_TOLERANCE

from cryvision.bundle import Bundle
from cryvision.errors import BundleError
from cryvision.inference.branch_inputs import BranchInputs
from cryvision.inference.detector import CryDetector, DetectorWindows
from cryvision.inference.gated_windows import CryGate
from cryvision.inputs.features import sound_windows

PIECES_DB = 1e-4
"""An FFT may sum in another order for another batch; one step of float32 at 600 is 6e-5."""

WINDOW_SAMPLES = 16_000
HOP_SAMPLES = 3_200


def windows(scores: list[float], first_end: int = HOP_SAMPLES) -> DetectorWindows:
    """Windows of a detector, one every 0.2 s."""
    ends = first_end + HOP_SAMPLES * np.arange(len(scores), dtype=np.int64)
    marks = np.array(scores, np.float32)
    known = int(ends[-1]) if len(ends) else 0
    return DetectorWindows(
        start_samples=ends - HOP_SAMPLES,
        end_samples=ends,
        scores=np.zeros_like(marks),  # the gate uses the scores after the veto
        level_dbfs=np.full(len(marks), -20.0),
        scored=np.ones(len(marks), bool),
        fused=marks,
        probabilities=np.zeros_like(marks),
        shown_samples=ends,
        scored_samples=known,
        settled_samples=known,
    )


def gate_says(scores: list[float], end: int) -> bool:
    gate = CryGate(0.5, WINDOW_SAMPLES)
    gate.push(windows(scores))
    return bool(gate.crying(np.array([end]))[0])


class TestGate:
    """A window of 1 s holds five of the detector's."""

    @pytest.mark.parametrize(
        ("scores", "crying"),
        [
            ([0, 0, 0, 0, 0], False),
            ([1, 1, 0, 0, 0], False),
            ([1, 1, 1, 0, 0], True),
            ([0, 1, 0, 1, 1], True),
            ([0.49, 0.49, 0.49, 0.49, 0.49], False),
            ([0.5, 0.5, 0.5, 0, 0], True),
        ],
    )
    def test_half_of_the_detectors_windows_must_cry(
        self, scores: list[float], crying: bool
    ) -> None:
        assert gate_says(scores, 16_000) == crying

    def test_exactly_half_is_enough(self) -> None:
        assert gate_says([1, 0, 1, 0], 4 * HOP_SAMPLES)

    def test_only_what_the_detector_said_within_the_window_counts(self) -> None:
        before, within, after = [1.0] * 5, [0.0] * 5, [1.0] * 5
        assert not gate_says(before + within + after, 2 * WINDOW_SAMPLES)
        before, within, after = [0.0] * 5, [1.0] * 5, [0.0] * 5
        assert gate_says(before + within + after, 2 * WINDOW_SAMPLES)

    def test_a_window_of_which_the_detector_said_nothing_is_not_crying(self) -> None:
        assert not gate_says([], WINDOW_SAMPLES)
        assert not gate_says([1.0] * 5, 5 * WINDOW_SAMPLES)

    @settings(deadline=None)
    @given(
        scores=st.lists(st.sampled_from([0.0, 1.0]), min_size=10, max_size=30),
        cut=st.integers(0, 30),
    )
    def test_what_comes_later_and_how_it_comes_changes_nothing(
        self, scores: list[float], cut: int
    ) -> None:
        ends = np.arange(WINDOW_SAMPLES, HOP_SAMPLES * len(scores) + 1, HOP_SAMPLES)
        at_once = CryGate(0.5, WINDOW_SAMPLES)
        at_once.push(windows(scores))
        bit_by_bit = CryGate(0.5, WINDOW_SAMPLES)
        cut = min(cut, len(scores))
        in_pieces = []
        for first, part in ((0, scores[:cut]), (cut, scores[cut:])):
            bit_by_bit.push(windows(part, HOP_SAMPLES * (first + 1)))
            known = HOP_SAMPLES * (first + len(part))
            due = ends[(ends <= known) & (ends > HOP_SAMPLES * first)]
            in_pieces += bit_by_bit.crying(due).tolist()
        assert in_pieces == at_once.crying(ends).tolist()


class TestLookahead:
    """A detector that looks 0.4 s ahead, which is two of its windows."""

    LOOKAHEAD_SAMPLES = 2 * HOP_SAMPLES

    def test_only_what_is_known_by_the_end_of_the_window_counts(self) -> None:
        for scores, crying in (([0, 1, 1, 0, 0], True), ([0, 0, 1, 1, 1], False)):
            gate = CryGate(0.5, WINDOW_SAMPLES, self.LOOKAHEAD_SAMPLES)
            gate.push(windows(scores))
            assert gate.crying(np.array([WINDOW_SAMPLES])).tolist() == [crying]

    def test_a_window_waits_for_what_counts_for_it_and_for_no_more(self) -> None:
        samples = glides(3.0)
        sound = BranchInputs(REASON_SOUNDS, None, None, 0.5, self.LOOKAHEAD_SAMPLES)
        # Known until 1.2 s: enough for the windows that end by 1.6 s.
        first = sound.push(samples, windows([1.0] * 6))
        np.testing.assert_array_equal(first.end_samples, 16_000 + 3_200 * np.arange(4))
        assert first.settled_samples == 16_000 + 4 * 3_200
        second = sound.push(np.empty(0, np.float32), windows([0.0] * 9, 7 * HOP_SAMPLES))
        np.testing.assert_array_equal(second.end_samples, 28_800 + 3_200 * np.arange(7))
        assert second.settled_samples == len(samples)
        crying = np.concatenate([first.crying, second.crying])
        # Of the window that ends at 2.2 s one of the three that count is crying.
        np.testing.assert_array_equal(crying, [True] * 5 + [False] * 6)
        for name, config in REASON_SOUNDS.items():
            found = np.concatenate([first.inputs[name], second.inputs[name]])
            ungated = sound_windows(samples, config).inputs
            np.testing.assert_array_equal(found, ungated[crying])

    def test_at_the_end_nothing_waits_any_more(self) -> None:
        sound = BranchInputs(REASON_SOUNDS, None, None, 0.5)
        assert len(sound.push(glides(3.0), None).end_samples) == 0
        assert len(sound.finish(windows([1.0] * 15), 48_000).end_samples) == 11


class TestWindowsOfSound:
    def test_without_a_gate_every_window_passes(self) -> None:
        sound = BranchInputs(REASON_SOUNDS, None, None, None)
        found = sound.push(glides(3.0), None)
        assert len(found.end_samples) == 11
        assert found.crying.all()
        assert {name: len(values) for name, values in found.inputs.items()} == {
            "mfcc": 11,
            "stft": 11,
        }

    def test_only_windows_in_crying_carry_inputs_and_these_are_their_own(self) -> None:
        samples = glides(3.0)
        scores = [1.0] * 5 + [0.0] * 10
        sound = BranchInputs(REASON_SOUNDS, None, None, 0.5)
        found = sound.push(samples, windows(scores))
        # With each window one more of the five is silent: three of five, then two.
        np.testing.assert_array_equal(found.crying, [True] * 3 + [False] * 8)
        np.testing.assert_array_equal(found.end_samples, 16_000 + 3_200 * np.arange(11))
        for name, config in REASON_SOUNDS.items():
            ungated = sound_windows(samples, config).inputs
            np.testing.assert_array_equal(found.inputs[name], ungated[:3])

    @settings(deadline=None, max_examples=20)
    @given(
        scores=st.lists(st.sampled_from([0.0, 1.0]), min_size=30, max_size=30),
        cuts=st.lists(st.integers(1, 29), max_size=5, unique=True),
    )
    def test_wherever_the_crying_is_its_windows_are_as_without_a_gate(
        self, scores: list[float], cuts: list[int]
    ) -> None:
        samples = glides(6.0)
        sound = BranchInputs(REASON_SOUNDS, None, None, 0.5)
        found, start = [], 0
        for stop in [*sorted(cuts), 30]:
            piece = samples[start * HOP_SAMPLES : stop * HOP_SAMPLES]
            found.append(sound.push(piece, windows(scores[start:stop], (start + 1) * HOP_SAMPLES)))
            start = stop
        crying = np.concatenate([part.crying for part in found])
        assert len(crying) == 26
        for name, config in REASON_SOUNDS.items():
            inputs = np.concatenate([part.inputs[name] for part in found])
            np.testing.assert_allclose(
                inputs, sound_windows(samples, config).inputs[crying], atol=PIECES_DB
            )

    def test_without_crying_no_spectrum_is_computed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def computed(*args: object, **kwargs: object) -> None:
            raise AssertionError("nothing needs a spectrum")

        monkeypatch.setattr(np.fft, "rfft", computed)
        sound = BranchInputs(REASON_SOUNDS, None, None, 0.5)
        found = sound.push(glides(3.0), windows([0.0] * 15))
        assert len(found.end_samples) == 11
        assert not found.crying.any()

    def test_the_sound_that_windows_may_need_is_bounded(self) -> None:
        sound = BranchInputs(REASON_SOUNDS, None, None, 0.5)
        second = glides(1.0)
        tracemalloc.start()
        try:
            for number in range(600):
                sound.push(second, windows([0.0] * 5, (5 * number + 1) * HOP_SAMPLES))
            left = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        assert left < 5 * second.nbytes

    def test_a_clip_shorter_than_a_window_is_one_window(self) -> None:
        sound = BranchInputs(REASON_SOUNDS, None, None, 0.5)
        assert len(sound.push(glides(0.6), windows([1.0, 1.0])).end_samples) == 0
        found = sound.finish(windows([0.0], 3 * HOP_SAMPLES), 9_600)
        np.testing.assert_array_equal(found.end_samples, [9_600])
        assert found.crying.tolist() == [True]


class TestDetector:
    def test_pieces_of_any_size_score_the_same(self) -> None:
        samples = glides(2.0)
        whole = CryDetector(Bundle.load(BUNDLE_V1)).push(samples)
        assert len(whole.scores) == 16
        assert np.ptp(whole.scores) > 0.01
        detector = CryDetector(Bundle.load(BUNDLE_V1))
        pieces = [detector.push(piece) for piece in np.array_split(samples, 37)]
        for name in ("end_samples", "scores", "level_dbfs", "scored"):
            joined = np.concatenate([getattr(piece, name) for piece in pieces])
            np.testing.assert_allclose(joined, getattr(whole, name), atol=PIECES_TOLERANCE)
        assert len(detector.finish().scores) == 0

    def test_windows_below_the_energy_gate_are_not_scored(self) -> None:
        samples = glides(1.0)
        samples[:9_600] = 0
        found = CryDetector(Bundle.load(BUNDLE_V1)).push(samples)
        np.testing.assert_array_equal(found.scored, [False, False, True, True, True, True])
        np.testing.assert_array_equal(found.scores[:2], 0)
        assert (found.scores[2:] > 0).all()

    def test_sound_shorter_than_a_window_is_padded_and_scored_once(self) -> None:
        detector = CryDetector(Bundle.load(BUNDLE_V1))
        assert len(detector.push(glides(0.3)).scores) == 0
        found = detector.finish()
        assert (found.padded, found.end_samples.tolist()) == (True, [4_800])

    @pytest.mark.parametrize("change", [{"gate": None}, {"parts": ()}])
    def test_a_bundle_without_a_detector_is_refused(self, change: dict[str, None]) -> None:
        with pytest.raises(BundleError, match=r"must have a detector of sound; 'tiny' has none"):
            CryDetector(replace(Bundle.load(BUNDLE_V1), **change))
