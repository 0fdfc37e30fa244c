"""Options of the user: threshold, shortest event and bridged gap, in Python."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bundles import BUNDLE_V1
from streamed import streamed, times
from two_parts import GATE, RATE_HZ, STEP_S, reasons_behind_two_parts, tones, two_part_bundle

import cryvision
from cryvision.bundle import Bundle
from cryvision.errors import ConfigError
from cryvision.inference.classifier import StreamClassifier
from cryvision.inference.options import Options, OptionValues
from cryvision.inference.smoothing import adjusted_gate
from cryvision.outputs import to_record

SCORES = {0.95: 0.015, 0.71: 0.008, 0.42: 0.0054}
"""Amplitudes of the tone at which the edges give about such a score."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return two_part_bundle(tmp_path_factory).keeping_models()


def three_cries() -> np.ndarray:
    """A loud cry, a weaker one and one that is too weak by default; the tagger hears them all."""
    samples = tones(6.0, cry=[(0, 6)])
    for onset_s, amplitude in zip((1.0, 2.0, 3.0), SCORES.values(), strict=True):
        samples += tones(6.0, {"edges": amplitude}, edges=[(onset_s, onset_s + 0.6)])
    return samples


class TestThreshold:
    @pytest.mark.parametrize(
        ("threshold", "n_events"), [(None, 2), (0.3, 3), (0.6, 2), (0.8, 1), (0.99, 0)]
    )
    def test_a_higher_one_finds_fewer_events(
        self, bundle: Bundle, threshold: float | None, n_events: int
    ) -> None:
        result = streamed(bundle, three_cries(), threshold=threshold)
        assert len(result.events) == n_events
        assert result.threshold == (threshold or GATE.enter)
        assert result.detector.cry == bool(n_events)

    def test_the_scores_of_the_timeline_stay_what_they_were(self, bundle: Bundle) -> None:
        own, high = (streamed(bundle, three_cries(), threshold=t) for t in (None, 0.8))
        np.testing.assert_array_equal(own.timeline["cry"], high.timeline["cry"])
        assert own.detector.probability == high.detector.probability
        assert own.events[0].confidence == high.events[0].confidence

    def test_an_event_closes_at_the_same_ratio_to_it(self, bundle: Bundle) -> None:
        # A cry of .95 that goes on at .71: above 0.8 of .85, below 0.8 of .92.
        samples = tones(4.0, {"edges": SCORES[0.95]}, edges=[(1.0, 1.6)], cry=[(0, 4)])
        samples += tones(4.0, {"edges": SCORES[0.71]}, edges=[(1.6, 2.2)])
        (low,), (high,) = (streamed(bundle, samples, threshold=t).events for t in (0.85, 0.92))
        assert low.offset_s == pytest.approx(2.2, abs=STEP_S)
        assert high.offset_s == pytest.approx(1.6, abs=STEP_S)

    def test_the_tagger_must_hear_crying_whatever_it_is(self, bundle: Bundle) -> None:
        music = tones(4.0, {"edges": SCORES[0.42]}, edges=[(1.0, 1.6)], music=[(1.0, 1.6)])
        low = streamed(bundle, music, threshold=0.3)
        assert (len(low.events), len(low.rejected)) == (0, 1)
        off = streamed(bundle, music, threshold=0.3, veto="off")
        assert (len(off.events), len(off.rejected)) == (1, 0)
        assert not streamed(bundle, music).rejected  # by default there is not even a candidate

    def test_windows_of_a_bundle_of_version_1_go_by_it_too(self) -> None:
        tone = np.sin(2 * np.pi * 440 * np.arange(3 * RATE_HZ) / RATE_HZ).astype(np.float32)
        tone[:RATE_HZ] = tone[2 * RATE_HZ :] = 0
        found = [
            streamed(Bundle.load(BUNDLE_V1), tone / 2, threshold=threshold)
            for threshold in (None, 0.9, 0.95)
        ]
        assert [len(result.events) for result in found] == [1, 1, 0]
        own, high, _ = (result.detector.seconds for result in found)
        assert high < own - 0.3
        assert [result.threshold for result in found] == [0.5, 0.9, 0.95]

    def test_reasons_are_looked_for_in_what_it_adds(
        self, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        reasons = reasons_behind_two_parts(tmp_path_factory)
        weak = tones(4.0, {"edges": SCORES[0.42]}, edges=[(0.5, 3.0)], cry=[(0, 4)])
        assert streamed(reasons, weak).probabilities == {}
        low = streamed(reasons, weak, threshold=0.3)
        assert sum(low.probabilities.values()) == pytest.approx(1)


class TestDurationAndGap:
    SAMPLES = tones(6.0, edges=[(1.0, 1.2), (1.4, 2.0), (2.6, 2.8), (3.0, 3.2)], cry=[(0, 6)])

    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            ({}, [(1.0, 1.2), (1.4, 2.0), (2.6, 2.8), (3.0, 3.2)]),
            ({"min_duration_s": 0.3}, [(1.4, 2.0)]),
            ({"min_duration_s": 0.7}, []),
            ({"min_gap_s": 0.1}, [(1.0, 1.2), (1.4, 2.0), (2.6, 2.8), (3.0, 3.2)]),
            ({"min_gap_s": 0.3}, [(1.0, 2.0), (2.6, 3.2)]),
            ({"min_gap_s": 1.0}, [(1.0, 3.2)]),
            # What is exactly as long is not shorter, wherever in the clip it is.
            ({"min_duration_s": 0.2}, [(1.0, 1.2), (1.4, 2.0), (2.6, 2.8), (3.0, 3.2)]),
            ({"min_gap_s": 0.2}, [(1.0, 1.2), (1.4, 2.0), (2.6, 2.8), (3.0, 3.2)]),
            # Gaps are bridged first: what is short alone may be long enough together.
            ({"min_gap_s": 0.3, "min_duration_s": 0.59}, [(1.0, 2.0), (2.6, 3.2)]),
            ({"min_gap_s": 0.3, "min_duration_s": 0.7}, [(1.0, 2.0)]),
        ],
    )
    def test_short_events_are_dropped_and_short_gaps_bridged(
        self,
        bundle: Bundle,
        settings: dict[str, float],
        expected: list[tuple[float, float]],
    ) -> None:
        result = streamed(bundle, self.SAMPLES, **settings)
        assert times(result.events) == expected
        record = to_record(result)
        used = {"threshold": 0.5, "min_duration_s": 0.1, "min_gap_s": 0.0, **settings}
        assert {name: record[name] for name in used} == used

    def test_an_event_that_begins_live_also_ends(self, bundle: Bundle) -> None:
        stream = StreamClassifier(bundle, min_duration_s=0.2)
        given = [e for piece in np.array_split(self.SAMPLES, 47) for e in stream.push(piece)]
        began = [event.onset_s for event in given if event.offset_s is None]
        ended = [event.onset_s for event in given if event.offset_s is not None]
        assert set(began) <= set(ended) == {1.0, 1.4, 2.6, 3.0}

    def test_the_sizes_of_the_pieces_make_no_difference(self, bundle: Bundle) -> None:
        settings = {"min_gap_s": 1.0, "min_duration_s": 0.5, "threshold": 0.7}
        whole = streamed(bundle, self.SAMPLES, **settings)
        pieces = streamed(bundle, *np.array_split(self.SAMPLES, 47), **settings)
        assert times(pieces.events) == times(whole.events) == [(1.0, 3.2)]


class TestRefusing:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"threshold": 0.0}, "the threshold must be above 0 and below 1; got 0"),
            ({"threshold": 1.0}, "the threshold must be above 0 and below 1; got 1"),
            ({"threshold": math.nan}, "the threshold must be above 0 and below 1; got nan"),
            ({"min_duration_s": -0.1}, "the minimum duration must be 0 to 3600 s; got -0.1"),
            ({"min_duration_s": math.inf}, "the minimum duration must be 0 to 3600 s; got inf"),
            ({"min_gap_s": 3601}, "the minimum gap must be 0 to 3600 s; got 3601"),
            ({"min_gap_s": math.nan}, "the minimum gap must be 0 to 3600 s; got nan"),
        ],
    )
    def test_what_is_out_of_range(
        self, bundle: Bundle, settings: dict[str, float], message: str
    ) -> None:
        with pytest.raises(ConfigError, match=message):
            StreamClassifier(bundle, **settings)  # type: ignore[arg-type]

    def test_a_bundle_without_a_gate_has_nothing_to_set(self, bundle: Bundle) -> None:
        ungated = replace(bundle, gate=None)
        with pytest.raises(ConfigError, match="need a bundle that detects crying"):
            StreamClassifier(ungated, threshold=0.5)
        assert adjusted_gate(None) is None

    @pytest.mark.parametrize("threshold", [1e-6, 0.2, 0.7, 1 - 1e-9])
    def test_the_gate_stays_one(self, threshold: float) -> None:
        for own in (GATE, replace(GATE, leave=GATE.enter), replace(GATE, leave=1e-3)):
            gate = adjusted_gate(own, threshold)
            assert gate is not None
            assert 0 < gate.leave <= gate.enter == threshold
            assert gate.leave / gate.enter == pytest.approx(own.leave / own.enter)


def test_type_checkers_know_every_option() -> None:
    assert [field.name for field in dataclasses.fields(Options)] == list(
        OptionValues.__annotations__
    )


def test_an_option_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="loudness"):
        cryvision.classify(tmp_path / "a.wav", loudness=1.0)  # type: ignore[call-arg]
