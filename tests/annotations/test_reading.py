"""What cryvision and the editors write comes back as labels, corrections and all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from label_files import assert_refused, write

from cryvision import outputs
from cryvision.annotations import Interval, read_annotations
from cryvision.datasets.annotated import find_annotated_clips
from cryvision.result import Classification, Detection, Event

SPANS = [(0.5, 1.25, "cry"), (2.0, 3.5, "not sure"), (4.0, 4.75, "Weinen & <laut>")]


def with_label(path: Path) -> Classification:
    """A classification with some events."""
    events = [
        Event(*span, confidence=0.9, intensity_db=-20.0, above_background_db=20.0) for span in SPANS
    ]
    return Classification(
        path=str(path),
        duration_s=5.0,
        label="cry",
        probabilities={},
        detector=Detection(cry=True, probability=0.9, seconds=3.0),
        timeline={"time_s": np.zeros(0)},
        events=tuple(events),
        modalities=("sound",),
        bundle={},
        skill=[],
        media={},
        face_share=None,
        warnings=(),
    )


@pytest.mark.parametrize("form", ["eaf", "rttm", "vtt", "audacity", "textgrid"])
def test_what_is_written_is_read(tmp_path: Path, form: str) -> None:
    clip = write(tmp_path / "night 1.wav", "sound")
    outputs.write(with_label(clip), tmp_path, [form])
    clips, problems = find_annotated_clips(tmp_path)
    assert problems == []
    assert clips[0].intervals == tuple(Interval(*span) for span in SPANS)


def test_a_correction_made_in_elan_comes_back(tmp_path: Path) -> None:
    clip = write(tmp_path / "a.wav", "sound")
    outputs.write(with_label(clip), tmp_path, ["eaf"])
    text = clip.with_suffix(".eaf").read_text(encoding="utf-8")
    assert 'TIME_VALUE="1250"' in text
    # Dragged to the right; a second tier with an annotation that was left blank; a linked one.
    text = text.replace('TIME_VALUE="1250"', 'TIME_VALUE="1400"')
    slots = '<TIME_SLOT TIME_SLOT_ID="n1" TIME_VALUE="100"/><TIME_SLOT TIME_SLOT_ID="n2" '
    text = text.replace("</TIME_ORDER>", slots + 'TIME_VALUE="200"/></TIME_ORDER>')
    tier = (
        '<TIER TIER_ID="fuss" LINGUISTIC_TYPE_REF="default-lt"><ANNOTATION>'
        '<ALIGNABLE_ANNOTATION ANNOTATION_ID="n" TIME_SLOT_REF1="n1" TIME_SLOT_REF2="n2">'
        "<ANNOTATION_VALUE></ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>"
        '<TIER TIER_ID="note" LINGUISTIC_TYPE_REF="x" PARENT_REF="fuss"><ANNOTATION>'
        '<REF_ANNOTATION ANNOTATION_ID="r" ANNOTATION_REF="n"><ANNOTATION_VALUE>hi'
        "</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION></TIER><LINGUISTIC_TYPE"
    )
    text = text.replace("<LINGUISTIC_TYPE", tier, 1)
    intervals = read_annotations(write(clip.with_suffix(".eaf"), text))
    assert intervals[:2] == [Interval(0.1, 0.2, "fuss"), Interval(0.5, 1.4, "cry")]
    assert len(intervals) == 1 + len(SPANS)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", "0,500000\t1,250000\tcry\n2,000000\t3,500000\tfuss\n"),
        ("b.csv", "start_s;end_s;label\n0,5;1,25;cry\n2;3,5;fuss\n"),
        ("c.csv", "sep=;\nonset_s;offset_s;label\n0,5;1,25;cry\n2,0;3,5;fuss\n"),
        ("d.csv", "start_s\tend_s\tlabel\n0.5\t1.25\tcry\n2\t3.5\tfuss\n"),
        ("e.csv", 'start_s,end_s,label\n"0,5","1,25",cry\n2,3.5,fuss\n'),
        (
            "f.vtt",
            "WEBVTT\n\nNOTE no cue\n\n1\n00:00.500 --> 00:01.250 align:left\n<c.x>cry</c>\n\n"
            "00:00:02.000 --> 00:00:03.500\nfuss\n",
        ),
        (
            "g.rttm",
            ";; a comment\nSPKR-INFO a 1 <NA> <NA> <NA> unknown cry <NA>\n"
            "SPEAKER a 1 0.5 0.75 <NA> <NA> cry <NA>\nSPEAKER a 1 2 1.5 <NA> <NA> fuss <NA> <NA>\n",
        ),
    ],
)
def test_other_ways_of_writing_the_same(tmp_path: Path, name: str, text: str) -> None:
    found = read_annotations(write(tmp_path / name, text))
    assert found == [Interval(0.5, 1.25, "cry"), Interval(2.0, 3.5, "fuss")]


@pytest.mark.parametrize("name", ["a.txt", "a.rttm", "a.srt"])
@pytest.mark.parametrize("text", ["", "\ufeff", "\n\n"])
def test_an_empty_file_of_a_format_without_a_header_has_no_labels(
    tmp_path: Path, name: str, text: str
) -> None:
    assert read_annotations(write(tmp_path / name, text)) == []


EAF = '<ANNOTATION_DOCUMENT><HEADER TIME_UNITS="{unit}"/><TIME_ORDER>{slots}</TIME_ORDER></X>'


@pytest.mark.parametrize(
    ("name", "text", "line", "rule"),
    [
        ("a.eaf", EAF.format(unit="milliseconds", slots="<TIME"), 1, "cut off or damaged"),
        ("a.eaf", '<?xml version="1.0"?>\n<!DOCTYPE x [<!ENTITY a "b">]>\n<x/>', 1, "entities"),
        (
            "a.eaf",
            '<ANNOTATION_DOCUMENT><HEADER TIME_UNITS="PAL-frames"/></ANNOTATION_DOCUMENT>',
            1,
            "milliseconds",
        ),
        (
            "a.eaf",
            '<ANNOTATION_DOCUMENT><TIME_ORDER><TIME_SLOT TIME_SLOT_ID="1"/></TIME_ORDER>\n'
            '<TIER TIER_ID="cry"><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="1" '
            'TIME_SLOT_REF2="1"/></TIER></ANNOTATION_DOCUMENT>',
            2,
            "must have times",
        ),
        ("a.eaf", "", 1, "cut off or damaged"),
        ("a.TextGrid", "", 1, "must begin with"),
        ("a.vtt", "", 1, "begin with WEBVTT"),
        ("a.cha", "", 1, "must begin with"),
        ("a.its", "", 1, "cut off or damaged"),
        ("a.csv", "", 1, "the header must name"),
        ("a.tsv", "", 1, "the header must name"),
        ("a.json", "", 1, "one of the formats"),
        ("a.vtt", "1\n00:00.500 --> 00:01.250\ncry\n", 1, "begin with WEBVTT"),
        ("a.vtt", "WEBVTT\n\n0.5 --> 1.25\ncry\n", 3, "start --> end"),
        ("a.rttm", "SPEAKER a 1 0.5 0.75 <NA>\n", 1, "9 or 10 fields"),
        ("a.rttm", "SPEAKER a 1 0.5 x <NA> <NA> cry <NA>\n", 1, "number of seconds"),
        ("a.rttm", "SPEAKER a 1 1 1 x x cry x\nSPEAKER b 1 1 1 x x cry x\n", 2, "one recording"),
        ("a.txt", "1,000,5\t2\tcry\n", 1, "number of seconds"),
        ("a.csv", "start_s;end_s\n2;1\n", 2, "must not be before"),
    ],
)
def test_what_cannot_be_understood_is_one_line(
    tmp_path: Path, name: str, text: str, line: int, rule: str
) -> None:
    assert_refused(write(tmp_path / name, text), line, rule)
