"""The text leads with the crying and names the protocol beside every figure."""

from __future__ import annotations

import math

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


def test_the_crying_comes_first_with_when_how_long_how_sure_how_loud(make):
    lines = describe(make()).split("\n")
    assert lines[:3] == [
        "demo.mp4 (12.0 s): crying 5.2 s in 2 bouts",
        "  0:01.5 - 0:04.3   2.8 s   sure 0.97   -18 dBFS, 31 dB above background",
        "  0:06.0 - 0:08.4   2.4 s   sure 0.91   -22 dBFS, 27 dB above background",
    ]


def test_no_crying_is_said_plainly(make):
    classification = make(events=(), label="no cry", probabilities={"no cry": 0.98, "cry": 0.02})
    text = describe(classification)
    assert text.startswith("demo.mp4 (12.0 s): no crying found\n")
    assert "no cry 0.98" in text


def test_a_clip_with_nothing_to_decide_from_claims_no_silence(make):
    text = describe(
        make(
            events=(),
            label="not sure",
            probabilities={},
            detector=Detection(None, None, 0.0),
            modalities=(),
            warnings=("nothing to decide from: no sound and no face",),
        )
    )
    assert text.startswith("demo.mp4 (12.0 s): no sound to find crying in\n")
    assert "  label     not sure\n" in text
    assert "  warning   nothing to decide from: no sound and no face" in text


def test_a_bundle_without_a_detector_does_not_claim_that_there_was_no_sound(make):
    text = describe(make(events=(), detector=Detection(None, None, 0.0)))
    assert "crying was not looked for" in text


def test_not_sure_shows_probabilities_beside_their_priors_as_experimental(make):
    text = describe(
        make(
            label="not sure",
            probabilities={"hungry": 0.41, "tired": 0.59},
            skill=[DETECTOR_SKILL, REASON_SKILL],
        )
    )
    assert "experimental: hungry 0.41 (prior 0.84), tired 0.59 (prior 0.16)" in text


def test_every_figure_stands_beside_its_chance_interval_and_protocol(make):
    lines = describe(make(skill=[DETECTOR_SKILL])).split("\n")
    text = " ".join(line.strip() for line in lines)
    assert (
        "detector: AUC 0.96 [0.94, 0.97] (chance 0.50), F1 0.89 [0.87, 0.91] per window; "
        "5 folds by phone, 46 subjects"
    ) in text


SAID = {"mfcc": {"hungry": 0.62, "tired": 0.38}, "face": {"hungry": 0.25, "tired": 0.75}}


def test_below_an_event_stands_what_each_of_several_branches_said_of_it(make):
    both = Event(1, 3, "hungry", 0.9, -20, 20, SAID)
    alone = Event(5, 7, "hungry", 0.9, -20, 20, {"mfcc": SAID["mfcc"]})
    lines = describe(make(label="hungry", events=(both, alone))).split("\n")
    assert lines[1].startswith("  0:01.0")
    assert lines[2].strip() == "mfcc: hungry 0.62, face: tired 0.75"
    assert lines[3].startswith("  0:05.0")
    assert lines[4] == ""


def test_where_the_clip_has_no_label_the_branches_are_not_quoted(make):
    events = (Event(1, 3, "cry", 0.9, -20, 20, SAID),)
    assert "mfcc" not in describe(make(label="not sure", events=events))


def test_very_many_branches_still_fit_a_terminal(make):
    said = {f"branch {number}": SAID["mfcc"] for number in range(20)}
    lines = describe(make(events=(Event(1, 3, "cry", 0.9, -20, 20, said),))).split("\n")
    assert max(map(len, lines)) <= LINE_WIDTH


@pytest.mark.parametrize(
    ("share", "said"),
    [(0.846, "seen in 84.6 % of the frames"), (0.0, "none was seen"), (1.0, "seen in 100.0 %")],
)
def test_how_often_a_face_was_seen_is_a_line_of_its_own(make, share, said):
    assert f"  face      {said}" in describe(make(face_share=share))
    assert "  face  " not in describe(make())


def test_skill_of_modalities_that_had_no_say_is_not_shown(make):
    text = describe(make(skill=[{**REASON_SKILL, "modalities": ["sound", "face"]}]))
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
    both = describe(make(skill=skill, modalities=("sound", "face")))
    assert [figure in both for figure in ("0.91", "0.81", "0.71", "0.61")] == [1, 1, 0, 0]
    heard = describe(make(skill=skill, modalities=("sound",)))
    assert [figure in heard for figure in ("0.91", "0.81", "0.71", "0.61")] == [1, 0, 1, 0]


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
    assert "no skill on unseen subjects was measured" in describe(make(skill=[]))


def test_figures_without_a_protocol_are_marked(make):
    assert "protocol not stated" in describe(make(skill=[{**DETECTOR_SKILL, "protocol": ""}]))


def test_warnings_are_shown(make):
    warning = "shorter than one window of 0.5 s: padded on the left with silence"
    assert f"  warning   {warning}" in describe(make(warnings=(warning,)))


def test_reasons_and_hours_line_up(make):
    events = (
        Event(61.26, 70, "hungry", 0.97, -8.3, 31.2),
        Event(3599.96, 3722.4, "belly pain", 0.9123, -62.3, -7.2),
    )
    lines = describe(make(duration_s=10_805.0, events=events, timeline={})).split("\n")
    assert lines[0] == "demo.mp4 (3 h 0 min 5 s): crying 2 min 11 s in 2 bouts"
    assert lines[1].index("sure") == lines[2].index("sure")
    assert "1:00:00.0 - 1:02:02.4   2 min 2 s   belly pain" in lines[2]
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
    text = describe(make(skill=skill, warnings=("a long warning " * 20,)))
    assert max(map(len, text.split("\n"))) <= LINE_WIDTH


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0:00.0"), (59.96, "1:00.0"), (3599.94, "59:59.9"), (3599.96, "1:00:00.0")],
)
def test_times_round_over_the_minute_and_the_hour(seconds, shown):
    assert clock(seconds) == shown


def test_a_label_without_skill_says_why_and_keeps_the_branches_to_itself(make):
    branches = {"branch_mfcc": {"hungry": 0.6}, "branch_stft": {"hungry": 0.7}}
    fields = {
        "probabilities": {"hungry": 0.8, "tired": 0.2},
        "events": (Event(1.5, 4.3, "cry", 0.97, -18.26, 31.24, branches),),
    }
    unsure = describe(make(label="not sure", **fields))
    sure = describe(make(label="hungry", **fields))
    assert "was not measured to tell these labels better" in " ".join(unsure.split())
    assert "branch_mfcc" not in unsure
    assert "why" not in sure
    assert "branch_mfcc: hungry 0.60" in sure
