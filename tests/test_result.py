"""A result is an object of its own, short to print; bouts are a view of its events."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from cryvision.evaluation.event_metrics import match_events, merged
from cryvision.result import Classification, Detection, Event, find_bouts
from cryvision.spans import joined, shorter


def _result(path: str = "clip.wav") -> Classification:
    events = (Event(1.0, 2.0, "cry", 0.9, -20.0, 20.0), Event(2.3, 2.8, "cry", 0.6, -30.0, 25.0))
    timeline = {"time_s": np.arange(30_000) / 30, "cry": np.zeros(30_000, np.float32)}
    detector = Detection(True, 0.5, 1.5)
    return Classification(path, 1000.0, "cry", {}, detector, timeline, events, (), {}, [])


def test_results_are_told_apart_by_identity_and_can_be_kept_in_a_set():
    first, second = _result(), _result()
    assert first == first
    assert first != second
    assert len({first, second, first}) == 2
    assert replace(first, label="no cry") != first


@pytest.mark.parametrize(
    "path", ["clip.wav", "", "d/" * 3000 + "clip.wav", "a\n\x1b[31m\u202e.wav"]
)
def test_a_result_prints_in_a_short_line(path):
    text = repr(_result(path))
    assert len(text) < 200
    assert text.isprintable()
    assert "1.50 s of crying in 2 events" in text


def test_a_result_of_which_nothing_was_scored_is_not_printed_as_one_without_crying():
    unknown = replace(_result(), detector=Detection(None, None, 0.0), events=())
    assert repr(unknown).endswith("crying unknown>")


def test_events_less_than_the_gap_apart_are_one_bout():
    events = _result().events
    (whole,) = find_bouts(events, 0.5)
    assert (whole.onset_s, whole.offset_s, whole.n_events) == (1.0, 2.8, 2)
    assert whole.cry_seconds == pytest.approx(1.5)
    assert whole.confidence == pytest.approx((0.9 + 0.6 * 0.5) / 1.5)
    assert [bout.n_events for bout in find_bouts(events, 0.2)] == [1, 1]
    assert replace(_result(), bout_gap_s=0.2).bouts == find_bouts(events, 0.2)


def test_the_level_of_a_bout_of_events_of_unknown_level_is_unknown():
    cry = replace(_result().events[0], intensity_db=math.nan, above_background_db=math.nan)
    (bout,) = find_bouts([cry, replace(cry, onset_s=2.1, offset_s=2.5)], 0.5)
    assert math.isnan(bout.intensity_db)
    assert math.isnan(bout.above_background_db)


def test_events_exactly_the_gap_apart_are_two_bouts_wherever_they_are():
    cry = _result().events[0]
    for step in range(0, 25 * 3600, 40):  # of 40 ms
        times = [n * 640 / 16000 for n in (step, step + 5, step + 10, step + 15)]
        events = [replace(cry, onset_s=a, offset_s=b) for a, b in (times[:2], times[2:])]
        assert len(find_bouts(events, 0.2)) == 2
        assert len(merged([event.span_s for event in events], 0.2)) == 2
        assert len(joined((event.span_s for event in events), 0.2)) == 2


@pytest.mark.parametrize("third_s", [1 / 3, 2 / 3])
def test_what_is_as_long_as_a_limit_in_thirds_of_a_second_is_not_shorter(third_s: float) -> None:
    spans = [(0.0, 1.0), (1.0 + third_s, 3.0)]
    cry = _result().events[0]
    events = [replace(cry, onset_s=onset_s, offset_s=offset_s) for onset_s, offset_s in spans]
    assert not shorter(third_s, third_s)
    assert len(find_bouts(events, third_s)) == 2
    assert len(merged(spans, third_s)) == 2
    shifted = [(onset_s + third_s, offset_s + third_s) for onset_s, offset_s in spans]
    assert match_events(spans, shifted, third_s, third_s)[0] == 2
