"""The rolling prediction deque, and events from scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamed import times

from cryvision.config import GateConfig
from cryvision.errors import ConfigError
from cryvision.inference.smoothing import EventFollower, RollingPrediction, find_events

WINDOW_S, HOP_S = 0.5, 0.1
EXACT = 1e-12  # sums of at most a few hundred float64 numbers
TIME_TOLERANCE_S = 1e-9  # differences of float64 seconds

GATE = GateConfig(
    enter=0.6, leave=0.4, min_event_seconds=0.3, min_gap_seconds=0.3, latency_seconds=0.25
)


def events_of(scores: list[float], gate: GateConfig = GATE, level_db: float = -20.0) -> list:
    ends = WINDOW_S + HOP_S * np.arange(len(scores))
    levels = np.full(len(scores), level_db)
    return find_events(ends, np.array(scores), levels, gate, WINDOW_S, HOP_S, float(ends[-1]))


class TestRollingPrediction:
    @given(
        st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=60),
        st.integers(1, 40),
    )
    def test_is_the_mean_of_the_last_n_predictions(self, predictions, n):
        rolling = RollingPrediction(smooth_seconds=n / 30)
        for i, prediction in enumerate(predictions):
            mean = rolling.push(np.array(prediction))
            expected = np.mean(predictions[max(0, i + 1 - n) : i + 1], axis=0)
            assert mean == pytest.approx(expected, abs=EXACT)

    @given(
        st.lists(st.lists(st.floats(0, 1), min_size=2, max_size=2), min_size=1, max_size=60),
        st.integers(1, 40),
        st.lists(st.integers(0, 60), max_size=4),
    )
    def test_many_at_once_give_what_one_after_another_give(self, predictions, n, cuts):
        table = np.array(predictions)
        single, block = (RollingPrediction(smooth_seconds=n / 30) for _ in range(2))
        expected = np.array([single.push(row) for row in table])
        found = [block.push_all(part) for part in np.split(table, sorted(cuts))]
        assert np.concatenate(found) == pytest.approx(expected, abs=EXACT)
        assert len(block) == len(single)

    def test_many_at_once_do_not_drift_over_hours(self):
        table = np.random.default_rng(0).random((3 * 3600 * 30, 1))
        found = RollingPrediction(1.0).push_all(table)
        assert found[-1] == pytest.approx(table[-30:].mean(axis=0), abs=EXACT)

    def test_labels_are_those_of_the_papers_averaging(self):
        # As Cha and Bae put it: of the last 30 frames' predictions the mean, and its largest class.
        rng = np.random.default_rng(0)
        frames = rng.dirichlet((1.0, 1.0, 1.0), 300).tolist()
        expected = []
        for k in range(len(frames)):
            sums = [0.0, 0.0, 0.0]
            for frame in frames[max(0, k - 29) : k + 1]:
                sums = [total + value for total, value in zip(sums, frame, strict=True)]
            expected.append(sums.index(max(sums)))
        rolling = RollingPrediction()
        labels = [int(np.argmax(rolling.push(np.array(frame)))) for frame in frames]
        assert labels == expected
        assert len(set(labels)) == 3

    def test_lasts_one_second_of_30_predictions_by_default(self):
        assert RollingPrediction().n == 30

    def test_zero_seconds_keeps_the_newest_prediction_alone(self):
        rolling = RollingPrediction(0)
        rolling.push(np.array([1.0]))
        assert rolling.push(np.array([0.0])) == pytest.approx([0.0])

    def test_a_single_odd_frame_does_not_change_the_label(self):
        rolling = RollingPrediction()
        for _ in range(30):
            rolling.push(np.array([0.9, 0.1]))
        assert np.argmax(rolling.push(np.array([0.0, 1.0]))) == 0

    def test_clearing_forgets_everything(self):
        rolling = RollingPrediction()
        rolling.push(np.array([1.0]))
        rolling.clear()
        assert len(rolling) == 0
        assert rolling.push(np.array([0.25])) == pytest.approx([0.25])

    @pytest.mark.parametrize("seconds", [-1.0, float("nan"), 1e9])
    def test_a_length_out_of_range_is_refused(self, seconds):
        with pytest.raises(ConfigError, match="smooth_seconds must lie between"):
            RollingPrediction(seconds)


class TestEvents:
    def test_opens_at_enter_and_closes_below_leave_with_the_latency_taken_off(self):
        # Window ends 0.5, 0.6, ...: the sixth (1.0 s) enters, the eleventh (1.5 s) is below leave.
        found = events_of([0.0] * 5 + [0.6, 0.5, 0.41, 0.5, 0.4] + [0.39] + [0.0] * 5)
        assert times(found) == [(0.75, 1.25)]

    def test_a_score_between_leave_and_enter_opens_nothing(self):
        assert events_of([0.0] + [0.59] * 20) == []

    def test_a_bout_shorter_than_the_minimum_is_dropped(self):
        assert events_of([0.0] * 5 + [0.9] * 2 + [0.0] * 9) == []
        assert len(events_of([0.0] * 5 + [0.9] * 3 + [0.0] * 9)) == 1

    def test_a_short_gap_is_bridged_and_a_long_one_is_not(self):
        cries = [0.9] * 5
        bridged = events_of([0.0] * 5 + cries + [0.0] * 2 + cries + [0.0] * 9)
        parted = events_of([0.0] * 5 + cries + [0.0] * 3 + cries + [0.0] * 9)
        assert (len(bridged), len(parted)) == (1, 2)

    def test_what_is_exactly_as_long_as_a_limit_is_not_shorter_wherever_it_is(self):
        for n_before in range(0, 3000, 7):
            scores = [0.0] * n_before + [0.9] * 3 + [0.0] * 3 + [0.9] * 3 + [0.0] * 3
            assert len(events_of(scores)) == 2

    def test_a_bridged_gap_counts_in_the_length_alone(self):
        scores = np.array([0.0] * 5 + [0.9] * 5 + [0.1] * 2 + [0.7] * 5 + [0.0] * 9)
        levels = np.where(scores > 0.5, -20.0, -60.0)
        ends = WINDOW_S + HOP_S * np.arange(len(scores))
        (event,) = find_events(ends, scores, levels, GATE, WINDOW_S, HOP_S, 5.0)
        assert event.duration_s == pytest.approx(12 * HOP_S)
        assert event.confidence == pytest.approx(0.8)
        assert event.intensity_db == pytest.approx(-20.0)

    def test_crying_from_the_first_window_starts_with_the_clip(self):
        assert times(events_of([0.9] * 10 + [0.0] * 9)) == [(0.0, 1.25)]

    def test_crying_to_the_last_window_ends_with_the_clip(self):
        assert times(events_of([0.0] * 5 + [0.9] * 10)) == [(0.75, 1.9)]

    def test_a_gap_at_the_very_end_does_not_stretch_the_event(self):
        assert times(events_of([0.0] * 5 + [0.9] * 5 + [0.0])) == [(0.75, 1.25)]

    def test_confidence_is_the_mean_score_inside(self):
        (event,) = events_of([0.0] * 5 + [0.8, 0.9, 1.0] + [0.0] * 9)
        assert event.confidence == pytest.approx(0.9)

    def test_intensity_is_the_level_inside_and_above_the_quiet_before(self):
        scores = [0.0] * 30 + [0.9] * 10 + [0.0] * 10
        levels = np.array([-60.0] * 30 + [-20.0] * 10 + [-60.0] * 10)
        ends = WINDOW_S + HOP_S * np.arange(len(scores))
        (event,) = find_events(ends, np.array(scores), levels, GATE, WINDOW_S, HOP_S, 5.0)
        assert event.intensity_db == pytest.approx(-20.0)
        assert event.above_background_db == pytest.approx(40.0)

    def test_the_background_forgets_what_is_older_than_a_minute(self):
        n_quiet, n_noisy = 100, 700
        levels = np.array([-80.0] * n_quiet + [-40.0] * n_noisy + [-20.0] * 10)
        scores = np.array([0.0] * (n_quiet + n_noisy) + [0.9] * 10)
        ends = WINDOW_S + HOP_S * np.arange(len(scores))
        (event,) = find_events(ends, scores, levels, GATE, WINDOW_S, HOP_S, float(ends[-1]))
        assert event.above_background_db == pytest.approx(20.0)

    @given(st.lists(st.floats(0, 1), min_size=1, max_size=80))
    def test_events_are_in_order_apart_and_inside_the_clip(self, scores):
        found = events_of(scores)
        end_s = WINDOW_S + HOP_S * (len(scores) - 1)
        previous_s = -np.inf
        for event in found:
            assert event.onset_s >= max(0.0, previous_s)
            assert event.offset_s <= end_s + TIME_TOLERANCE_S
            assert event.duration_s >= GATE.min_event_seconds - TIME_TOLERANCE_S
            previous_s = event.offset_s + GATE.min_gap_seconds - TIME_TOLERANCE_S

    def test_an_event_is_given_out_as_soon_as_its_gap_is_long_enough(self):
        follower = EventFollower(GATE, WINDOW_S, HOP_S)
        given = [
            follower.push(WINDOW_S + HOP_S * i, score, -20.0)
            for i, score in enumerate([0.0] * 5 + [0.9] * 5 + [0.0] * 5)
        ]
        assert [len(events) for events in given] == [0] * 13 + [1] + [0]
