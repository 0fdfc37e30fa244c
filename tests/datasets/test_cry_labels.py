"""What counts as crying is said before anything rests on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryvision.annotations import Interval
from cryvision.datasets.annotated import AnnotatedClip, cry_intervals
from cryvision.datasets.cry_labels import count_as_crying, inside, meant


def clip(*intervals: tuple[float, float, str]) -> AnnotatedClip:
    return AnnotatedClip(Path("a.wav"), "ada", tuple(Interval(*i) for i in intervals), "file")


BABY = clip((0, 1, "cry"), (2, 3, "Baby Cry"), (4, 5, "baby cry "), (6, 7, "speech"), (8, 9, ""))


def test_labels_are_told_with_counts_and_doubtful_ones_are_warned_of() -> None:
    clips, lines, warnings = count_as_crying([BABY])
    assert lines == [
        "labels that count as crying: cry (1)",
        "labels that do not count as crying: Baby Cry (2), speech (1), (blank) (1)",
    ]
    (warning,) = warnings
    assert warning.startswith("the label 'Baby Cry' (2 times) does not count as crying")
    assert "--cry-label 'Baby Cry'" in warning
    assert [i.start_s for i in cry_intervals(clips[0].intervals)] == [0]


def test_a_label_that_is_named_counts_beside_the_usual_ones() -> None:
    clips, lines, warnings = count_as_crying([BABY], ["BABY CRY", "wail"])
    assert lines[0] == "labels that count as crying: Baby Cry (2), cry (1)"
    assert [i.start_s for i in cry_intervals(clips[0].intervals)] == [0, 2, 4]
    assert warnings == ["no annotation reads 'wail'"]


def test_labels_without_length_do_not_count_and_are_warned_of() -> None:
    points = clip((1, 1, "cry"), (2, 3, "crying"), (4, 4, "crying"), (5, 5, "speech"))
    clips, _, warnings = count_as_crying([points])
    assert [i.start_s for i in cry_intervals(clips[0].intervals)] == [2]
    assert warnings == ["2 of 3 labels that mean crying have no length, and do not count"]


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        *((text, True) for text in ("cry", "Crying", "baby_cry", "babycry", "infant-crying")),
        *((text, False) for text in ("no cry", "no_cry", "not crying", "NoCry", "non-cry")),
        *((text, None) for text in ("speech", "hungry", "crystal", "", "laugh")),
    ],
)
def test_what_a_text_means(label: str, expected: bool | None) -> None:
    assert meant(label) is expected


def test_labels_outside_a_clip_are_cut_or_left_out_and_named() -> None:
    known = clip((0, 1, "cry"), (4, 5.05, "cry"), (4.5, 7, "fuss"), (5, 6, "cry"), (9, 10, "cry"))
    kept, remarks = inside(known, 5.0)
    assert [(i.start_s, i.end_s) for i in kept.intervals] == [(0, 1), (4, 5), (4.5, 5)]
    assert remarks == [
        "a.wav: labels must lie inside the clip, which is 5.00 s long; 1 cut there: "
        "fuss from 4.50 to 7.00 s",
        "a.wav: labels must lie inside the clip, which is 5.00 s long; 2 left out: "
        "cry from 5.00 to 6.00 s, cry from 9.00 to 10.00 s",
    ]
    assert inside(clip((0, 5, "cry")), 5.0)[1] == []


LONGEST_LINE = 300


def test_a_huge_label_is_shortened_wherever_it_is_shown() -> None:
    note = "baby crying\nin the next room " + 5000 * "very loud "
    noted = clip((0, 1, note), (1, 2, note + "!"), (9, 10, note))
    clips, lines, warnings = count_as_crying([noted])
    _, remarks = inside(clips[0], 5.0)
    assert " (2), " in lines[1]
    assert lines[1].endswith(" (1)")
    for line in (*lines, *warnings, *remarks):
        assert len(line) < LONGEST_LINE
        assert "\n" not in line
    assert "baby crying in the next" in warnings[0]
    assert "--cry-label would count it" in warnings[0]  # a shortened label would match nothing
    counted, lines, _ = count_as_crying([noted], [note])
    assert len(cry_intervals(counted[0].intervals)) == 2
    assert len(lines[0]) < LONGEST_LINE
