"""Corrections are kept whole, with who made them and what they changed, and serve as labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cryvision.annotations import read_annotations
from cryvision.annotations.corrections import (
    CorrectedEvent,
    Corrections,
    check_events,
    corrections_path,
    read_corrections,
    write_corrections,
)
from cryvision.datasets.annotated import find_annotated_clips
from cryvision.errors import AnnotationError

FIRST = CorrectedEvent("d1", 1.0, 2.5, "cry", "detector", False, 0.9)
SECOND = CorrectedEvent("p1", 4.0, 4.5, "<b>fuss</b> \N{BABY}", checked=True)
NOW = "2026-05-04T13:07:00+00:00"


def event(**changes: Any) -> dict[str, Any]:
    return {"id": "a", "onset_s": 1.0, "offset_s": 2.0, "label": "cry", **changes}


def test_what_was_saved_is_read_again(tmp_path: Path) -> None:
    path = corrections_path(tmp_path / "clip.wav")
    saved = Corrections((FIRST,), labels=("cry",)).after([SECOND, FIRST], "Ada", NOW)
    write_corrections(saved, path)
    assert path.name == "clip.wav.corrections.json"
    assert read_corrections(path) == saved
    assert [one.id for one in saved.events] == ["d1", "p1"]


def test_the_history_says_who_changed_what() -> None:
    moved = CorrectedEvent("d1", 1.1, 2.5, "cry", "detector", True, 0.9)
    first = Corrections((FIRST,)).after([FIRST, SECOND], "Ada", NOW)
    second = first.after([moved], "Grace", NOW)
    assert (second.version, second.who) == (2, "Grace")
    one, two = second.history
    assert [(e["id"], one["who"]) for e in one["added"]] == [("p1", "Ada")]
    assert [e["id"] for e in two["removed"]] == ["p1"]
    (change,) = two["changed"]
    assert (change["from"]["onset_s"], change["to"]["onset_s"]) == (1.0, 1.1)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"onset_s": float("nan")}, "finite"),
        ({"offset_s": float("inf")}, "finite"),
        ({"onset_s": -1.0}, "0 <= onset_s < offset_s"),
        ({"offset_s": 1.0}, "0 <= onset_s < offset_s"),
        ({"offset_s": 10.2}, "inside the clip"),
        ({"onset_s": 10.02, "offset_s": 10.05}, "inside the clip"),  # nothing is left of it
        ({"onset_s": True}, "numbers"),
        ({"onset_s": "1"}, "numbers"),
        ({"label": "x" * 101}, "1 to 100 characters"),
        ({"label": "  "}, "1 to 100 characters"),
        ({"label": None}, "must be a string"),
        ({"label": "\ud800"}, "Unicode"),
        ({"id": ""}, "id of an event"),
        ({"origin": "stranger"}, "origin"),
        ({"checked": 1}, "checked"),
        ({"confidence": 1.5}, "confidence"),
    ],
)
def test_what_is_no_event_of_the_clip_is_refused(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(AnnotationError, match=rule):
        check_events([event(**changes)], duration_s=10.0)


def test_an_id_names_one_event_and_a_list_has_an_end() -> None:
    with pytest.raises(AnnotationError, match="id of its own"):
        check_events([event(), event(onset_s=1.5)], 10.0)
    with pytest.raises(AnnotationError, match="list of at most"):
        check_events({"events": []}, 10.0)
    (one,) = check_events([event(offset_s=10.05)], 10.0)
    assert one.offset_s == 10.0  # pages round; what lies behind the end is cut


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"format": "other"}', "[" * 100_000, '{"format": 1}']
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.wav.corrections.json"
    path.write_text(text)
    with pytest.raises(AnnotationError, match=r"a\.wav\.corrections\.json"):
        read_corrections(path)


@pytest.mark.parametrize(
    "changes",
    [
        '"version": Infinity',
        '"version": 1e400',
        '"version": 1.5',
        '"version": -1',
        '"version": true',
        '"events": {}',
        '"labels": "cry"',
        '"labels": [1]',
        '"history": "abc"',
        '"history": [NaN]',
        '"history": [{"who": NaN}]',
        '"history": [{"who": "\\ud800"}]',
        '"who": "\\ud800"',
        '"about": [["clip", 1e400]]',
    ],
)
def test_a_file_that_could_not_be_saved_again_is_damaged(tmp_path: Path, changes: str) -> None:
    path = corrections_path(tmp_path / "a.wav")
    write_corrections(Corrections((FIRST,)), path)
    text = path.read_text("utf-8").strip().removesuffix("}")
    path.write_text(f"{text}, {changes}}}")  # the last of two values counts
    with pytest.raises(AnnotationError, match=r"a\.wav\.corrections\.json: .*damaged") as refusal:
        read_corrections(path)
    assert "\n" not in str(refusal.value)


def test_corrections_are_labels_to_train_on(tmp_path: Path, tone_wav: Path) -> None:
    clip = tmp_path / "a.wav"
    clip.write_bytes(tone_wav.read_bytes())
    write_corrections(Corrections((SECOND, FIRST)), corrections_path(clip))
    (found,), problems = find_annotated_clips(tmp_path)
    assert not problems
    assert found.path == clip
    assert [(i.start_s, i.end_s, i.label) for i in found.intervals] == [
        (1.0, 2.5, "cry"),
        (4.0, 4.5, SECOND.label),
    ]
    assert list(found.intervals) == read_annotations(corrections_path(clip))


def test_corrections_beside_other_labels_are_not_guessed_between(
    tmp_path: Path, tone_wav: Path
) -> None:
    clip = tmp_path / "a.wav"
    clip.write_bytes(tone_wav.read_bytes())
    write_corrections(Corrections((FIRST,)), corrections_path(clip))
    (tmp_path / "a.txt").write_text("0\t1\tcry\n")
    found, problems = find_annotated_clips(tmp_path)
    assert not found
    assert "one file of labels" in problems[0].line


def test_the_file_is_plain_json_for_other_programs(tmp_path: Path) -> None:
    path = corrections_path(tmp_path / "clip.wav")
    write_corrections(Corrections((FIRST,)).after([FIRST], "Ada", NOW), path)
    data = json.loads(path.read_text("utf-8"))
    assert data["format"] == "cryvision corrections"
    assert data["events"][0]["onset_s"] == 1.0
