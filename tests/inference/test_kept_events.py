"""Kept events are those that were added, and take little memory."""

from __future__ import annotations

import pickle
import tracemalloc
from dataclasses import replace

import pytest

from cryvision.inference.kept_events import KeptEvents
from cryvision.result import Event

N_OF_A_DAY = 10_000
BYTES_EACH = 120

PLAIN = Event(0.5, 1.25, "cry", 0.875, -31.0625, 12.1)
TAGGED = replace(PLAIN, onset_s=2.0, offset_s=9.0, other_tag="music", other_tag_score=0.6)
REJECTED = replace(TAGGED, onset_s=4.0, offset_s=6.0, rejected="music")
SAID = replace(TAGGED, onset_s=7.0, offset_s=8.0, branches={"voice": {"hungry": 0.3, "tired": 0.7}})
EVENTS = PLAIN, TAGGED, REJECTED, SAID


@pytest.fixture
def kept() -> KeptEvents:
    kept = KeptEvents(["face", "voice"], ["hungry", "tired"])
    for event in EVENTS:
        kept.append(event)
    return kept


def test_they_are_those_that_were_added(kept: KeptEvents) -> None:
    assert kept == EVENTS == tuple(kept)
    assert repr(kept) == repr(EVENTS)
    assert (kept[-1], kept[1:3]) == (SAID, (TAGGED, REJECTED))
    with pytest.raises(IndexError):
        kept[4]
    assert kept != EVENTS[:3]
    assert pickle.loads(pickle.dumps(kept)) == kept


def test_none_are_equal_to_no_events() -> None:
    assert KeptEvents() == () == tuple(KeptEvents())
    assert not KeptEvents()


def test_those_that_ended_after_a_time_are_a_copy(kept: KeptEvents) -> None:
    late = kept.ended_after(6.0)
    late.append(PLAIN)
    assert late == (TAGGED, SAID, PLAIN)
    assert len(kept) == len(EVENTS)


def test_as_many_are_forgotten_as_had_ended_but_not_the_newest(kept: KeptEvents) -> None:
    kept.forget(1.25)
    assert kept == EVENTS
    kept.forget(8.5)
    assert kept == EVENTS[2:]
    kept.forget(100.0)
    assert kept == (SAID,)


def test_those_of_a_day_need_little_memory() -> None:
    tracemalloc.start()
    try:
        kept = KeptEvents()
        for number in range(N_OF_A_DAY):
            kept.append(replace(TAGGED, onset_s=number + 0.1, offset_s=number + 0.3))
        n_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept[9].onset_s == 9.1
    assert n_bytes < BYTES_EACH * N_OF_A_DAY
