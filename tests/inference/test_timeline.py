"""The columns of the timeline: what each frame holds, and what it must not know."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from bundles import glides, reasons_bundle
from hypothesis import given, settings
from hypothesis import strategies as st
from streamed import streamed
from tolerances import PIECES_TOLERANCE

from cryvision.bundle import Bundle
from cryvision.inference.timeline import HeldPredictions

FLOAT32 = 1e-6
RATE_HZ = 16_000
HOP_SAMPLES = 1_600
"""A window every 0.1 s: three frames."""

NAN = float("nan")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return reasons_bundle(tmp_path_factory)


def columns(
    values: Sequence[float], smooth_seconds: float = 0.1, cuts: Sequence[int] = ()
) -> dict[str, np.ndarray]:
    """Write one window a value, each ending a hop after the one before, cut at these samples."""
    ends = HOP_SAMPLES * np.arange(1, len(values) + 1)
    predictions = np.array(values, np.float32)[:, None]
    n_samples = HOP_SAMPLES * (len(values) + 1)
    held = HeldPredictions(("a",), smooth_seconds)
    start = 0
    for stop in [*sorted(cuts), n_samples]:
        new = (ends > start) & (ends <= stop)
        held.write(ends[new], predictions[new], stop)
        start = stop
    return held.columns(len(held))


def test_each_frame_holds_the_newest_prediction_whose_window_has_ended() -> None:
    # Windows end at 0.1, 0.2 and 0.3 s, which is where frames 3, 6 and 9 are.
    raw = columns([1, 2, 3])["a"]
    np.testing.assert_array_equal(raw, [NAN] * 3 + [1] * 3 + [2] * 3 + [3] * 3)


def test_a_window_that_ends_just_after_a_frame_is_not_known_at_it() -> None:
    held = HeldPredictions(("a",), 0.1)
    ends = np.array([1601])  # frame 3 is at sample 1600
    held.write(ends, np.array([[1.0]], np.float32), 3200)
    np.testing.assert_array_equal(held.columns(6)["a"], [NAN] * 4 + [1] * 2)


def test_of_two_windows_between_two_frames_the_newer_is_held() -> None:
    held = HeldPredictions(("a",), 0.1)
    held.write(np.array([100, 500]), np.array([[1.0], [2.0]], np.float32), 600)
    held.write(np.array([], int), np.empty((0, 1), np.float32), 1600)
    np.testing.assert_array_equal(held.columns(3)["a"], [NAN, 2, 2])


def test_a_window_that_says_nothing_ends_what_was_held() -> None:
    np.testing.assert_array_equal(
        columns([1, NAN, 3])["a"], [NAN] * 3 + [1] * 3 + [NAN] * 3 + [3] * 3
    )


def test_every_frame_before_the_end_of_the_sound_is_there_and_no_other() -> None:
    held = HeldPredictions(("a",), 1.0)
    for n_samples, n_frames in ((0, 0), (1, 1), (533, 1), (534, 2), (1067, 3), (16_000, 30)):
        held.write(np.array([], int), np.empty((0, 1), np.float32), n_samples)
        assert len(held) == n_frames
    found = held.columns(40)
    assert set(found) == {"a", "a_smooth"}
    assert {column.dtype for column in found.values()} == {np.dtype(np.float32)}
    assert all(np.isnan(column).all() for column in found.values())


class TestSmoothing:
    """The deque holds predictions alone; at 0.1 s it is three frames long."""

    def test_the_smoothed_column_is_the_mean_of_the_last_predictions(self) -> None:
        smooth = columns([1, 4])["a_smooth"]
        assert smooth[3:] == pytest.approx([1, 1, 1, 2, 3, 4], abs=FLOAT32)

    def test_frames_without_a_prediction_are_unknown_and_enter_no_mean(self) -> None:
        # 0.2 s are six frames: the gap of three leaves what came before it in the deque.
        smooth = columns([1, NAN, 4], smooth_seconds=0.2)["a_smooth"]
        np.testing.assert_array_equal(smooth[6:9], [NAN] * 3)
        assert smooth[9:] == pytest.approx([1.75, 2.2, 2.5], abs=FLOAT32)

    def test_a_gap_as_long_as_the_deque_leaves_it(self) -> None:
        smooth = columns([1, NAN, 4], smooth_seconds=0.1)["a_smooth"]
        assert smooth[9:] == pytest.approx([2, 3, 4], abs=FLOAT32)

    def test_a_gap_longer_than_the_deque_clears_it(self) -> None:
        smooth = columns([1, NAN, NAN, 4], smooth_seconds=0.1)["a_smooth"]
        assert smooth[12:] == pytest.approx([4, 4, 4], abs=FLOAT32)

    def test_a_deque_of_no_length_keeps_the_newest_prediction(self) -> None:
        found = columns([1, NAN, 4], smooth_seconds=0)
        np.testing.assert_array_equal(found["a_smooth"], found["a"])


@settings(deadline=None)
@given(
    values=st.lists(st.one_of(st.just(NAN), st.floats(0, 1, width=32)), min_size=1, max_size=12),
    cuts=st.lists(st.integers(0, 13 * HOP_SAMPLES), max_size=10),
    smooth_seconds=st.sampled_from([0.0, 0.1, 0.25]),
)
def test_however_the_sound_is_cut_the_columns_are_the_same(
    values: list[float], cuts: list[int], smooth_seconds: float
) -> None:
    inside = [cut for cut in cuts if cut <= HOP_SAMPLES * (len(values) + 1)]
    whole = columns(values, smooth_seconds)
    pieces = columns(values, smooth_seconds, inside)
    for name, column in whole.items():
        np.testing.assert_array_equal(pieces[name], column)


class TestTheLastFrame:
    """A window that ends with the clip has no frame behind it, so the clip's last one holds it."""

    def held(self) -> HeldPredictions:
        held = HeldPredictions(("a", "b"), 1.0)
        held.write(np.array([], int), np.empty((0, 2), np.float32), 2000)
        held.write(np.array([2000]), np.array([[0.25, 0.75]], np.float32), 2000)
        return held

    @pytest.mark.parametrize("n_frames", [2, 3, 4])
    def test_it_is_the_last_one_of_the_clip(self, n_frames: int) -> None:
        held = self.held()
        held.fill_last(n_frames)
        for name, value in (("a", 0.25), ("b", 0.75)):
            for column in (held.columns(n_frames)[name], held.columns(n_frames)[f"{name}_smooth"]):
                np.testing.assert_array_equal(column, [NAN] * (n_frames - 1) + [value])

    def test_pictures_after_the_sound_do_not_hold_it(self) -> None:
        held = self.held()
        held.fill_last(6)
        np.testing.assert_array_equal(held.columns(6)["a"], [NAN] * 3 + [0.25] + [NAN] * 2)

    def test_a_clip_without_a_frame_has_none(self) -> None:
        held = self.held()
        held.fill_last(0)
        assert len(held.columns(0)["a"]) == 0


class TestReasons:
    def test_pieces_of_any_size_give_the_same_timeline(self, bundle: Bundle) -> None:
        samples = glides(5.0)
        whole = streamed(bundle, samples)
        assert np.isfinite(whole.timeline["hungry"]).any()
        assert np.isnan(whole.timeline["hungry"][45:]).any()

        @settings(max_examples=8, deadline=None)
        @given(cuts=st.lists(st.integers(0, len(samples)), max_size=12))
        def holds(cuts: list[int]) -> None:
            pieces = streamed(bundle, *np.split(samples, sorted(cuts)))
            assert list(pieces.timeline) == list(whole.timeline)
            for name, column in whole.timeline.items():
                np.testing.assert_allclose(pieces.timeline[name], column, atol=PIECES_TOLERANCE)
            assert pieces.probabilities == pytest.approx(whole.probabilities, abs=PIECES_TOLERANCE)

        holds()

    def test_a_frame_knows_nothing_of_what_comes_after_it(self, bundle: Bundle) -> None:
        samples = glides(4.0)
        changed = samples.copy()
        changed[2 * RATE_HZ :] = glides(4.0, seed=1)[: 2 * RATE_HZ]
        before, after = (streamed(bundle, sound).timeline for sound in (samples, changed))
        n = 2 * 30
        for name, column in before.items():
            np.testing.assert_array_equal(after[name][:n], column[:n])
        for name in ("cry", "hungry", "hungry_smooth"):
            assert not np.array_equal(after[name][n:], before[name][n:], equal_nan=True)

    def test_a_frame_knows_a_window_as_soon_as_it_has_ended(self, bundle: Bundle) -> None:
        timeline = streamed(bundle, glides(2.0)).timeline
        assert np.isnan(timeline["hungry"][:30]).all()
        assert np.isfinite(timeline["hungry"][30:]).all()
        # A window of 1 s every 0.2 s: the prediction changes every six frames.
        assert len(set(timeline["hungry"][30:].tolist())) == 5

    def test_the_classes_of_a_frame_sum_to_one(self, bundle: Bundle) -> None:
        timeline = streamed(bundle, glides(5.0)).timeline
        for suffix in ("", "_smooth"):
            total = sum(timeline[f"{label}{suffix}"] for label in bundle.labels)
            known = np.isfinite(total)
            assert known.any()
            np.testing.assert_allclose(total[known], 1, atol=PIECES_TOLERANCE)

    @pytest.mark.parametrize("n_samples", [16_000, 16_100, 16_260])
    def test_a_clip_as_long_as_a_window_has_its_reason_in_its_last_frame(
        self, bundle: Bundle, n_samples: int
    ) -> None:
        result = streamed(bundle, glides(1.1)[:n_samples])
        for name in ("hungry", "hungry_smooth"):
            assert np.isfinite(result.timeline[name][-1])
            assert np.isnan(result.timeline[name][:-1]).all()
        assert sum(result.probabilities.values()) == pytest.approx(1, abs=PIECES_TOLERANCE)
        assert not any("shorter" in note for note in result.warnings)

    @pytest.mark.parametrize("n_samples", [6_000, 12_000, 15_700])
    def test_a_clip_shorter_than_a_window_has_its_reason_in_its_last_frame(
        self, bundle: Bundle, n_samples: int
    ) -> None:
        result = streamed(bundle, glides(1.0)[:n_samples])
        assert result.detector.cry
        for name in ("hungry", "hungry_smooth"):
            assert np.isfinite(result.timeline[name][-1])
            assert np.isnan(result.timeline[name][:-1]).all()
        assert sum(result.probabilities.values()) == pytest.approx(1, abs=PIECES_TOLERANCE)
        assert any("shorter than a reason's window (1 s)" in note for note in result.warnings)
