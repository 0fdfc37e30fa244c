"""The veto: when candidates stand, why they do not, and when that is decided."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from two_parts import RATE_HZ

from cryvision.config import VetoConfig
from cryvision.inference.veto import EventFilter, fused
from cryvision.result import Event

TAGS = ("cry", "music", "animal", "silence")
VETO = VetoConfig(normal_at=0.3, normal_near=0.5, normal_live=0.5, strict_at=0.5, strict_near=0.7)


def event(onset_s: float, offset_s: float) -> Event:
    return Event(onset_s, offset_s, "cry", 0.8, -20.0, 30.0)


def push(veto: EventFilter, end_s: float, cry: float = 0.0, **others: float) -> list[Event]:
    """Push a window of the tagger in which there is crying, and other tags by name."""
    scores = np.array([cry, *(others.get(tag, 0.0) for tag in TAGS[1:])], np.float32)
    return veto.add_tags(round(end_s * RATE_HZ), scores)


def filter_of(level: str = "normal") -> EventFilter:
    return EventFilter(TAGS, VETO, level)


def standing(level: str, *windows: tuple[float, float]) -> bool:
    """Whether a candidate from 10 to 11 s stands with these windows: end, cry score."""
    veto = filter_of(level)
    events = []
    for end_s, cry in [window for window in windows if window[0] <= 11]:
        events += push(veto, end_s, cry)
    events += veto.add(event(10.0, 11.0))
    for end_s, cry in [window for window in windows if window[0] > 11]:
        events += push(veto, end_s, cry)
    events += veto.finish()
    assert len(events) + len(veto.rejected) == 1
    return bool(events)


class TestWhatStands:
    """At the event .3, and within five seconds of it .5; strictly .5 and .7."""

    @pytest.mark.parametrize(
        ("windows", "stands"),
        [
            ([(10.5, 0.6)], True),
            ([(10.5, 0.29)], False),
            ([(10.5, 0.4)], False),
            ([(10.5, 0.4), (13.0, 0.55)], True),
            ([(7.0, 0.55), (10.5, 0.4)], True),
            ([(9.9, 0.9)], False),
            ([], False),
        ],
    )
    def test_crying_must_be_heard_at_it_and_more_strongly_near_it(
        self, windows: list[tuple[float, float]], stands: bool
    ) -> None:
        assert standing("normal", *windows) == stands

    @pytest.mark.parametrize(
        ("end_s", "counts"), [(9.9999, False), (10.0, True), (12.0, True), (12.0001, False)]
    )
    def test_at_it_is_from_its_onset_to_a_second_behind_its_offset(
        self, end_s: float, counts: bool
    ) -> None:
        near = (8.0, 0.9)
        assert standing("normal", near, (end_s, 0.4)) == counts

    @pytest.mark.parametrize(
        ("end_s", "counts"), [(4.9999, False), (5.0, True), (16.0, True), (16.0001, False)]
    )
    def test_near_it_is_five_seconds_to_both_sides(self, end_s: float, counts: bool) -> None:
        windows = sorted([(end_s, 0.9), (11.0, 0.4)])
        assert standing("normal", *windows) == counts

    def test_strict_asks_for_more(self) -> None:
        assert standing("strict", (10.5, 0.75))
        assert not standing("strict", (10.5, 0.6))
        assert not standing("strict", (10.5, 0.4), (13.0, 0.9))

    def test_without_a_veto_everything_stands(self) -> None:
        assert standing("off")
        veto = EventFilter(TAGS, None, "normal")
        assert veto.add(event(1, 2))
        veto = EventFilter((), None, "normal")
        assert veto.add(event(1, 2)) == [event(1, 2)]


class TestWhen:
    """As soon as it can be known."""

    def test_what_was_heard_before_its_end_is_enough(self) -> None:
        veto = filter_of()
        assert not push(veto, 1.5, cry=0.9)
        assert [e.onset_s for e in veto.add(event(1.0, 2.0))] == [1.0]

    def test_a_candidate_waits_for_the_window_that_makes_it_stand(self) -> None:
        veto = filter_of()
        push(veto, 1.5, cry=0.4)
        assert not veto.add(event(1.0, 2.0))
        for end_s in (2.4, 3.4, 4.4):
            assert not push(veto, end_s)
        assert [e.onset_s for e in push(veto, 5.4, cry=0.6)] == [1.0]

    def test_it_is_rejected_once_the_time_is_over_in_which_crying_could_be_heard_at_it(
        self,
    ) -> None:
        veto = filter_of()
        push(veto, 1.5, music=0.9)
        veto.add(event(1.0, 2.0))
        push(veto, 3.0)
        assert not veto.rejected
        push(veto, 3.24)
        assert [e.rejected for e in veto.rejected] == ["music"]

    def test_it_is_rejected_once_the_time_is_over_in_which_crying_could_be_heard_near_it(
        self,
    ) -> None:
        veto = filter_of()
        push(veto, 1.5, cry=0.4)
        veto.add(event(1.0, 2.0))
        push(veto, 7.0)
        assert not veto.rejected
        push(veto, 7.24, cry=0.9)
        assert len(veto.rejected) == 1

    def test_a_later_one_waits_for_an_earlier_one(self) -> None:
        veto = filter_of()
        push(veto, 1.5, cry=0.4)
        assert not veto.add(event(1.0, 1.4))
        assert not veto.add(event(2.0, 2.4))
        assert not veto.add(event(2.6, 2.9))
        # The second is sure to fall now: nothing was heard at it, and none but the first waits.
        assert not push(veto, 3.6)
        given = push(veto, 3.8, cry=0.6)
        assert [e.onset_s for e in given] == [1.0, 2.6]
        assert [e.onset_s for e in veto.rejected] == [2.0]

    def test_what_is_forgotten_is_not_asked_for_any_more(self) -> None:
        veto, forgetful = filter_of(), filter_of()
        given = []
        for tried in (veto, forgetful):
            push(tried, 4.9, cry=0.9)
            push(tried, 5.1, cry=0.9)
            if tried is forgetful:
                tried.forget(10 * RATE_HZ, none_open=True)
            push(tried, 10.4, cry=0.4)
            given.append(tried.add(event(10.0, 11.0)))
        assert given[0] == given[1] != []
        forgetful.forget(11 * RATE_HZ, none_open=True)
        assert len(forgetful._windows) == 1


class TestWhatIsSaidOfIt:
    def test_the_confidence_is_what_the_tagger_leaves_of_the_edges(self) -> None:
        veto = filter_of()
        push(veto, 0.5, cry=0.9)
        push(veto, 1.5, cry=0.4)
        (given,) = veto.add(event(1.0, 2.0))
        assert given.confidence == pytest.approx(0.8 * 0.4 / 0.5)
        push(veto, 3.5, cry=0.6)
        (given,) = veto.add(event(3.0, 4.0))
        assert given.confidence == pytest.approx(0.8)

    def test_the_confidence_is_calibrated(self) -> None:
        veto = EventFilter(TAGS, replace(VETO, temperature=2.0, bias=0.3), "normal")
        push(veto, 1.5, cry=0.6)
        (given,) = veto.add(event(1.0, 2.0))
        assert given.confidence == pytest.approx(1 / (1 + np.exp(-np.log(4) / 2 - 0.3)))

    def test_without_a_veto_it_is_that_of_the_edges(self) -> None:
        veto = EventFilter(TAGS, replace(VETO, bias=3.0), "off")
        push(veto, 1.5, cry=0.1, music=0.9)
        (given,) = veto.add(event(1.0, 2.0))
        assert given.confidence == 0.8
        assert (given.other_tag, given.rejected) == ("music", "")

    @pytest.mark.parametrize(
        ("others", "named"),
        [
            ({"music": 0.6, "animal": 0.5}, "music"),
            ({"animal": 0.7, "silence": 0.9}, "animal"),
            ({"music": 0.49}, ""),
            ({}, ""),
        ],
    )
    def test_the_strongest_other_tag_is_named_if_it_was_heard(
        self, others: dict[str, float], named: str
    ) -> None:
        veto = filter_of()
        push(veto, 0.9, music=1.0)
        push(veto, 1.5, cry=0.9, **others)
        (given,) = veto.add(event(1.0, 2.0))
        assert given.other_tag == named
        assert given.other_tag_score == pytest.approx(others.get(named, 0.0))

    @pytest.mark.parametrize(
        ("others", "reason"),
        [
            ({"music": 0.9}, "music"),
            ({"music": 0.25, "animal": 0.26}, "animal"),
            ({"music": 0.24, "silence": 0.9}, "not crying"),
            ({}, "not crying"),
        ],
    )
    def test_a_rejected_one_says_what_was_heard_in_place_of_crying(
        self, others: dict[str, float], reason: str
    ) -> None:
        veto = filter_of()
        push(veto, 1.5, **others)
        assert not veto.add(event(1.0, 2.0))
        assert not veto.finish()
        (rejected,) = veto.rejected
        assert rejected.rejected == reason
        assert rejected.other_tag == ("" if reason == "not crying" else reason)
        assert rejected.other_tag_score == pytest.approx(others.get(rejected.other_tag, 0.0))


def test_a_tagger_that_hears_crying_leaves_the_edges_as_they_are() -> None:
    scores, windows = np.array([0.9, 0.9, 0.9, 0.2]), np.array([0.0, 0.25, 0.6, 1.0])
    assert fused(scores, windows, VETO, "normal") == pytest.approx([0.0, 0.45, 0.9, 0.2])
