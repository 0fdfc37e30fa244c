"""The text leads with the crying and names the protocol beside every figure."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from bundles import BUNDLE_V1

from cryvision.bundle import Bundle
from cryvision.config import FaceConfig, to_json
from cryvision.outputs import describe
from cryvision.outputs.text import LINE_WIDTH, clock, describe_bundle, printable
from cryvision.result import Detection, Event

DETECTOR_SKILL = {
    "part": "detector",
    "modalities": ["sound"],
    "unit": "window",
    "protocol": "5 folds by phone",
    "subjects": 46,
    "figures": {
        "auc": {"value": 0.958, "interval": [0.944, 0.969]},
        "f1": {"value": 0.893, "interval": [0.87, 0.91]},
    },
    "chance": 0.5,
    "prior": None,
}
REASON_SKILL = {
    "part": "reason",
    "modalities": ["sound"],
    "unit": "clip",
    "protocol": "5 folds by phone",
    "subjects": 46,
    "figures": {"balanced_accuracy": {"value": 0.201, "interval": [0.16, 0.24]}},
    "chance": 0.2,
    "prior": {"hungry": 0.84, "tired": 0.16},
}
BRANCHES = {"mfcc": {"hungry": 0.62, "tired": 0.38}, "face": {"hungry": 0.25, "tired": 0.75}}


def test_the_crying_comes_first_with_when_how_long_how_sure_how_loud(make):
    lines = describe(make()).split("\n")
    assert lines == [
        "demo.mp4 (12.0 s): crying 5.2 s in 2 bouts, the longest 2.8 s, sure 0.94",
        "  0:01.50 - 0:04.30   2.80 s   sure 0.97   -18 dBFS, 31 dB above background",
        "  0:06.00 - 0:08.40   2.40 s   sure 0.91   -22 dBFS, 27 dB above background",
    ]


def test_no_crying_is_said_plainly(make):
    classification = make(events=(), label="no cry", probabilities={"no cry": 0.98, "cry": 0.02})
    assert describe(classification) == "demo.mp4 (12.0 s): no crying found"
    assert "no cry 0.98" in describe(classification, verbose=True)


def test_a_clip_with_nothing_to_decide_from_claims_no_silence(make):
    text = describe(
        make(
            events=(),
            label="not sure",
            probabilities={},
            detector=Detection(None, None, 0.0),
            timeline={},
            modalities=(),
            warnings=("nothing to decide from: no sound and no face",),
        ),
        verbose=True,
    )
    assert text.startswith("demo.mp4 (12.0 s): no sound to find crying in\n")
    assert "  label     not sure\n" in text
    assert "  warning   nothing to decide from: no sound and no face" in text


def test_a_bundle_without_a_detector_does_not_claim_that_there_was_no_sound(make):
    text = describe(make(events=(), detector=Detection(None, None, 0.0), timeline={}))
    assert "crying was not looked for" in text


def test_sound_that_was_too_quiet_to_judge_is_not_called_no_sound(make):
    nothing = Detection(None, None, 0.0)
    quiet = make(events=(), label="not sure", detector=nothing, probabilities={})
    assert "nothing was loud enough to find crying in" in describe(quiet)


@pytest.mark.parametrize("verbose", [False, True])
def test_reasons_without_skill_are_shown_only_when_asked_for_and_marked(make, verbose):
    unsure = make(
        label="not sure",
        probabilities={"hungry": 0.41, "tired": 0.59},
        events=(Event(1, 3, "cry", 0.9, -20, 20, BRANCHES),),
        skill=[DETECTOR_SKILL],
    )
    plain = describe(unsure, verbose=verbose)
    assert not any(word in plain for word in ("hungry", "tired", "mfcc"))
    unsure = replace(unsure, skill=[DETECTOR_SKILL, REASON_SKILL])
    text = describe(unsure, verbose=verbose, show_experimental=True)
    assert "experimental: hungry 0.41 (prior 0.84), tired 0.59 (prior 0.16)" in text
    assert "was not measured to predict its labels better" in " ".join(text.split())
    assert "mfcc: hungry 0.62, face: tired 0.75" in text


def test_every_figure_stands_beside_its_chance_interval_and_protocol(make):
    lines = describe(make(skill=[DETECTOR_SKILL]), verbose=True).split("\n")
    text = " ".join(line.strip() for line in lines)
    assert (
        "detector: AUC 0.96 [0.94, 0.97] (chance 0.50), F1 0.89 [0.87, 0.91] per window; "
        "5 folds by phone, 46 subjects"
    ) in text


def test_below_an_event_stands_what_each_of_several_branches_said_of_it(make):
    both = Event(1, 3, "hungry", 0.9, -20, 20, BRANCHES)
    alone = Event(5, 7, "hungry", 0.9, -20, 20, {"mfcc": BRANCHES["mfcc"]})
    lines = describe(make(label="hungry", events=(both, alone))).split("\n")
    assert lines[1].startswith("  0:01.00")
    assert lines[2].strip() == "mfcc: hungry 0.62, face: tired 0.75"
    assert lines[3].startswith("  0:05.00")
    assert len(lines) == 4


def test_a_label_with_skill_stands_in_the_first_line(make):
    events = (Event(1, 3, "hungry", 0.9, -20, 20),)
    found = make(label="hungry", events=events, probabilities={"hungry": 0.8, "tired": 0.2})
    assert describe(found).split("\n")[0].endswith("in 1 bout, sure 0.90; hungry 0.80")


# Two bouts: three cries 0.2 s apart, and one that stands alone.
CLOSE = (
    Event(1.0, 2.0, "cry", 0.9, -20.0, 20.0, other_tag="music", other_tag_score=0.6),
    Event(2.2, 2.6, "cry", 0.8, -20.0, 20.0),
    Event(2.8, 3.0, "cry", 0.7, -20.0, 20.0, other_tag="adult_speech", other_tag_score=0.7),
    Event(5.0, 6.0, "cry", 0.9, -20.0, 20.0),
)
REJECTED = Event(8.0, 8.5, "cry", 0.2, -30.0, 9.0, other_tag="music", rejected="music")


def test_a_bout_is_a_line_with_its_cries_and_the_strongest_other_sound(make):
    first, bout, alone = describe(make(events=CLOSE)).split("\n")
    assert "crying 2.6 s in 2 bouts, the longest 2.0 s" in first
    for shown in ("0:01.00 - 0:03.00   2.00 s", "3 cries", "adult speech heard"):
        assert shown in bout
    assert "music" not in bout
    assert "0:05.00 - 0:06.00" in alone
    assert "heard" not in alone
    assert bout.index("sure") == alone.index("sure")


def test_all_events_lists_the_cries_of_each_bout_below_it(make):
    lines = describe(make(events=CLOSE), all_events=True).split("\n")
    assert [line.split()[0] for line in lines[1:]] == [
        *("0:01.00", "0:01.00", "0:02.20", "0:02.80", "0:05.00")
    ]
    assert "music heard" in lines[2]


def test_of_very_many_bouts_the_first_are_listed_and_the_rest_counted(make):
    events = tuple(Event(3 * t, 3 * t + 1, "cry", 0.9, -20, 20) for t in range(25))
    found = make(events=events, duration_s=80.0)
    lines = describe(found).split("\n")
    assert len(lines) == 22
    assert lines[-1] == "  and 5 more (--all-events)"
    assert len(describe(found, all_events=True).split("\n")) == 26
    twenty = describe(make(events=events[:20], duration_s=80.0))
    assert "more" not in twenty


def test_what_the_tagger_rejected_is_listed_when_asked_for(make):
    found = make(events=CLOSE, rejected=(REJECTED,), veto="normal")
    assert "rejected" not in describe(found)
    last = describe(found, show_rejected=True).split("\n")[-1]
    assert last.startswith("  0:08.00 - 0:08.50")
    assert last.endswith("rejected: music")
    assert "normal: 1 candidate rejected" in describe(found, verbose=True)


def test_a_clip_whose_candidates_were_all_rejected_says_no_crying_and_lists_them(make):
    rejected = tuple(replace(REJECTED, onset_s=t, offset_s=t + 0.5) for t in range(30))
    found = make(events=(), label="no cry", rejected=rejected)
    lines = describe(found, show_rejected=True).split("\n")
    assert lines[0].endswith("no crying found")
    assert lines[-1] == "  and 10 more rejected (--all-events)"


def test_quiet_is_one_line_that_counts_the_warnings(make):
    assert describe(make(), quiet=True) == describe(make()).split("\n")[0]
    assert describe(make(warnings=("a", "b")), quiet=True).endswith("; 2 warnings")


def test_verbose_tells_how_long_each_tag_was_heard(make):
    seconds = {"cry": 4.8, "adult_speech": 7.2, "alarm": 0.0}
    assert "  heard     adult speech 7.2 s, cry 4.8 s" in describe(
        make(heard_seconds=seconds), verbose=True
    )
    assert "  heard " not in describe(make(), verbose=True)


def test_what_a_result_rests_on_is_told_once_in_a_run(make):
    found = make(skill=[DETECTOR_SKILL])
    assert "bundle default" in describe(found, verbose=True)
    assert "bundle default" not in describe(found, verbose=True, with_skill=False)
    assert "bundle default" not in describe(found)


def test_very_many_branches_still_fit_a_terminal(make):
    branches = {f"branch {number}": BRANCHES["mfcc"] for number in range(20)}
    lines = describe(make(events=(Event(1, 3, "cry", 0.9, -20, 20, branches),))).split("\n")
    assert max(map(len, lines)) <= LINE_WIDTH


@pytest.mark.parametrize(
    ("share", "shares"),
    [(0.846, "seen in 84.6 % of the frames"), (0.0, "none was seen"), (1.0, "seen in 100.0 %")],
)
def test_how_often_a_face_was_seen_is_a_line_of_its_own(make, share, shares):
    assert f"  face      {shares}" in describe(make(face_share=share), verbose=True)
    assert "  face  " not in describe(make(), verbose=True)


def test_skill_of_modalities_that_had_no_say_is_not_shown(make):
    skill = [{**REASON_SKILL, "modalities": ["sound", "face"]}]
    text = describe(make(skill=skill), verbose=True)
    assert "0.20" not in text
    assert "no skill on unseen subjects was measured" in text


def test_of_each_part_the_skill_with_all_that_decided_is_shown(make):
    def entry(part, *modalities, value):
        figures = {"balanced_accuracy": {"value": value}}
        return {**REASON_SKILL, "part": part, "modalities": modalities, "figures": figures}

    skill = [
        entry("detector", "sound", value=0.91),
        entry("ensemble", "sound", "face", value=0.81),
        entry("ensemble", "sound", value=0.71),
        entry("ensemble", "face", value=0.61),
    ]
    both = describe(make(skill=skill, modalities=("sound", "face")), verbose=True)
    assert [figure in both for figure in ("0.91", "0.81", "0.71", "0.61")] == [1, 1, 0, 0]
    of_sound = describe(make(skill=skill, modalities=("sound",)), verbose=True)
    assert [figure in of_sound for figure in ("0.91", "0.81", "0.71", "0.61")] == [1, 0, 1, 0]


def test_the_description_of_a_bundle_tells_modalities_and_faces_apart():
    facts = Bundle.load(BUNDLE_V1).describe()
    face = to_json(FaceConfig(mode="tracked", backbone_weights="random"))
    branch = {"name": "branch_face", "kind": "branch", "inputs": ["face"], "sound": None}
    facts["parts"] = (*facts["parts"], {**branch, "face": face})
    facts["skill"] = [
        {**REASON_SKILL, "modalities": modalities}
        for modalities in (["sound", "face"], ["sound"], ["face"])
    ] + [DETECTOR_SKILL]
    text = describe_bundle(facts)
    assert "branch_face, branch on face; 2 s every 0.5 s, tracked, resnet50 with weights" in text
    assert "random" in text
    for start in ("reason from sound and face: ", "reason from sound: ", "detector: "):
        assert start in text


def test_a_bundle_without_measured_skill_says_so(make):
    assert "no skill on unseen subjects was measured" in describe(make(skill=[]), verbose=True)


def test_figures_without_a_protocol_are_marked(make):
    text = describe(make(skill=[{**DETECTOR_SKILL, "protocol": ""}]), verbose=True)
    assert "protocol not stated" in text


def test_warnings_are_shown(make):
    warning = "shorter than one window of 0.5 s: padded on the left with silence"
    assert f"\n  warning   {warning}\n" in describe(make(warnings=(warning,)))
    assert f"\n  warnings  {warning}; too quiet\n" in describe(
        make(warnings=(warning, "too quiet"))
    )


def test_reasons_and_hours_line_up(make):
    events = (
        Event(61.26, 70, "hungry", 0.97, -8.3, 31.2),
        Event(3599.96, 3722.4, "belly pain", 0.9123, -62.3, -7.2),
    )
    lines = describe(make(duration_s=10_805.0, events=events, timeline={})).split("\n")
    assert lines[0].startswith(
        "demo.mp4 (3 h 0 min 5 s): crying 2 min 11 s in 2 bouts, the longest "
    )
    assert lines[1].index("sure") == lines[2].index("sure")
    assert "0:59:59.96 - 1:02:02.40   2 min 2 s   belly pain" in lines[2]
    assert lines[1].startswith("  0:01:01.26 - 0:01:10.00      8.74 s   hungry")
    assert lines[2].endswith("-62 dBFS, 7 dB below background")


def test_a_level_that_is_not_known_is_left_out(make):
    events = (Event(0, 1, "cry", 0.5, math.nan, -math.inf),)
    assert describe(make(events=events)).split("\n")[1].endswith("sure 0.50")


def test_names_and_warnings_cannot_steer_the_terminal(make):
    text = describe(make(path="a\x1b[31m\r\nb\u202e\udce9.wav", warnings=("x\x07",), label="c\x1b"))
    assert all(line.isprintable() for line in text.split("\n"))
    assert text.encode("utf-8")
    assert "a\\x1b[31m\\r\\nb\\u202e\\udce9.wav" in text


def test_spaces_that_file_systems_allow_are_shown_as_spaces():
    assert printable("9:41\u202fAM\u3000é 日本") == "9:41 AM é 日本"


def test_lines_after_the_first_fit_a_terminal(make):
    skill = [DETECTOR_SKILL, REASON_SKILL]
    text = describe(make(skill=skill, warnings=("a long warning " * 20,)), verbose=True)
    assert max(map(len, text.split("\n"))) <= LINE_WIDTH


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0:00.0"), (59.96, "1:00.0"), (3599.94, "59:59.9"), (3599.96, "1:00:00.0")],
)
def test_times_round_over_the_minute_and_the_hour(seconds, shown):
    assert clock(seconds) == shown
