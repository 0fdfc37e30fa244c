"""What people are shown of a result: no unmeasured reasons, and nothing that was rejected."""

from __future__ import annotations

import numpy as np
import pytest

from cryvision.outputs.screen import Screen
from cryvision.outputs.shown import as_shown, strongest_other
from cryvision.result import Event

SAID = {"mfcc": {"hungry": 0.6, "tired": 0.4}, "stft": {"hungry": 0.5, "tired": 0.5}}
REJECTED = Event(9.0, 9.5, "cry", 0.2, -30, 9, SAID, rejected="music")


@pytest.fixture
def clip(make):
    """A clip whose bundle told two reasons, under any label."""

    def build(label: str):
        found = make(
            label=label,
            events=(Event(1.0, 2.0, "cry", 0.9, -20, 20, SAID),),
            probabilities={"hungry": 0.6, "tired": 0.4},
            rejected=(REJECTED,),
        )
        for name in ("hungry", "tired"):
            found.timeline[name] = found.timeline[f"{name}_smooth"] = np.full(360, 0.5, "f4")
        found.timeline["heard_music"] = np.zeros(360, "f4")
        return found

    return build


def test_reasons_without_skill_leave_no_trace(clip):
    shown = as_shown(clip("not sure"), show_rejected=True)
    assert set(shown.timeline) == {"time_s", "cry", "cry_smooth", "heard_music"}
    assert shown.events[0].branches == shown.rejected[0].branches == {}
    assert shown.label == "cry"


def test_reasons_are_kept_where_they_are_known_or_asked_for(clip):
    for shown in (as_shown(clip("hungry")), as_shown(clip("not sure"), show_experimental=True)):
        assert {"hungry", "hungry_smooth", "tired"} < set(shown.timeline)
        assert shown.events[0].branches == SAID
    assert shown.label == "not sure"


def test_rejected_candidates_are_kept_only_when_asked_for(clip):
    assert as_shown(clip("hungry")).rejected == ()
    assert as_shown(clip("hungry"), show_rejected=True).rejected == (REJECTED,)


def test_the_video_shows_no_bars_of_reasons_without_skill(clip, make):
    frame = (48, 64, 3)
    plain, hidden, asked = (
        Screen(as_shown(found, show_experimental=experimental), frame).canvas.shape
        for found, experimental in (
            (make(), False),
            (clip("not sure"), False),
            (clip("not sure"), True),
        )
    )
    assert hidden == plain
    assert asked[0] > plain[0]


def test_the_strongest_other_tag_is_that_of_the_highest_score():
    def event(tag: str, score: float) -> Event:
        return Event(0, 1, "cry", 0.9, -20, 20, other_tag=tag, other_tag_score=score)

    assert strongest_other([event("music", 0.6), event("alarm", 0.8), event("", 0.0)]) == "alarm"
    assert strongest_other([event("", 0.0)]) == strongest_other([]) == ""
