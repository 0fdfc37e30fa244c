"""SRT, RTTM and ELAN files, each read back by a parser that is not ours."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import pysubs2
import pytest

from cryvision.cli import build_parser
from cryvision.outputs import write
from cryvision.result import Event

MS = 1e-3  # SRT and EAF keep whole milliseconds, and RTTM is written so


def _event(onset_s: float, offset_s: float, label: str = "cry") -> Event:
    return Event(onset_s, offset_s, label, 0.9, -20.0, 20.0)


def _subtitles(path: Path) -> list[tuple[float, float, str]]:
    subtitles = pysubs2.load(str(path), format_="srt")
    return [(line.start / 1000, line.end / 1000, line.plaintext) for line in subtitles]


def _turns(path: Path) -> list[tuple[float, float, str]]:
    """Read an RTTM with pyannote.database, and hold it to ten fields a line."""
    database = pytest.importorskip("pyannote.database.util")
    for line in path.read_text().splitlines():
        fields = line.split(" ")
        assert len(fields) == 10
        assert (fields[0], fields[2]) == ("SPEAKER", "1")
        assert [fields[i] for i in (5, 6, 9)] == ["<NA>"] * 3
        assert 0 <= float(fields[8]) <= 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own use of pandas
        annotations = database.load_rttm(str(path))
    tracks = (t for a in annotations.values() for t in a.itertracks(yield_label=True))
    return [(segment.start, segment.end, label) for segment, _, label in tracks]


def _annotations(
    path: Path, name: str = "cry", names: tuple[str, ...] = ("cry", "bouts")
) -> tuple[list[tuple[float, float, str]], list[str]]:
    """Read an EAF by its schema: the tier's annotations in order, and the linked media."""
    root = ElementTree.parse(path).getroot()
    assert root.tag == "ANNOTATION_DOCUMENT"
    slots = {
        slot.attrib["TIME_SLOT_ID"]: int(slot.attrib["TIME_VALUE"]) / 1000
        for slot in root.iter("TIME_SLOT")
    }
    tiers = {tier.attrib["TIER_ID"]: tier for tier in root.iter("TIER")}
    assert tuple(tiers) == names
    tier = tiers[name]
    types = {kind.attrib["LINGUISTIC_TYPE_ID"] for kind in root.iter("LINGUISTIC_TYPE")}
    assert tier.attrib["LINGUISTIC_TYPE_REF"] in types
    entries = [
        (
            slots[a.attrib["TIME_SLOT_REF1"]],
            slots[a.attrib["TIME_SLOT_REF2"]],
            a.findtext("ANNOTATION_VALUE", ""),
        )
        for a in tier.iter("ALIGNABLE_ANNOTATION")
    ]
    return entries, [media.attrib["MEDIA_URL"] for media in root.iter("MEDIA_DESCRIPTOR")]


def test_srt_cues_read_back_beyond_an_hour(make, tmp_path):
    events = (_event(1.5, 4.3), _event(3599.9996, 3_600_000.25))
    (path,) = write(make(events=events), tmp_path, ["srt"])
    assert path.suffix == ".srt"
    assert path.read_text(encoding="utf-8").startswith("1\n00:00:01,500 --> 00:00:04,300\ncry 0.90")
    # pysubs2 reads hours of up to two digits, so that the far end is looked at in the text.
    assert "2\n01:00:00,000 --> 1000:00:00,250\ncry 0.90\n" in path.read_text(encoding="utf-8")
    (path,) = write(make(events=events[:1]), tmp_path, ["srt"])
    assert _subtitles(path) == [(1.5, 4.3, "cry 0.90")]


def test_srt_text_cannot_become_markup_or_another_cue(make, tmp_path):
    events = (_event(0, 1, "a --> b\n\n<i>{\\an8}&"), _event(2, 2))
    (path,) = write(make(events=events), tmp_path, ["srt"])
    first, second = _subtitles(path)
    assert first[:2] == (0, 1)
    assert first[2].startswith("a --")
    assert first[2].endswith("(\\an8)& 0.90")
    assert second[1] > second[0]


def test_rttm_lines_read_back(make, tmp_path):
    events = (_event(1.5, 4.3), _event(6.0004, 8.4, "belly pain"), _event(9, 9))
    (path,) = write(make(path="a b/night one.mp4", events=events), tmp_path, ["rttm"])
    assert path.read_text().startswith("SPEAKER night_one 1 1.500 2.800 ")
    assert _turns(path) == [
        (pytest.approx(1.5, abs=MS), pytest.approx(4.3, abs=MS), "cry"),
        (pytest.approx(6.0, abs=MS), pytest.approx(8.4, abs=MS), "belly_pain"),
    ]


def test_an_eaf_holds_the_events_and_links_the_clip(make, tmp_path):
    clip = tmp_path / "a ü.wav"
    (path,) = write(make(path=str(clip)), tmp_path, ["eaf"])
    entries, media = _annotations(path)
    assert entries == [(1.5, 4.3, "cry"), (6.0, 8.4, "cry")]
    assert _annotations(path, "bouts")[0] == [(1.5, 4.3, "bout"), (6.0, 8.4, "bout")]
    close = (_event(1.0, 2.0), _event(2.2, 3.0), _event(5.0, 6.0))
    (path,) = write(make(path=str(clip), events=close), tmp_path, ["eaf"])
    assert len(_annotations(path)[0]) == 3
    assert _annotations(path, "bouts")[0] == [(1.0, 3.0, "bout"), (5.0, 6.0, "bout")]
    assert [Path(unquote(urlsplit(url).path)) for url in media] == [clip]


def test_an_eaf_keeps_to_the_clip_and_has_a_second_tier_for_what_overlaps(make, tmp_path):
    events = (_event(-0.2, 1), _event(0.5, 2), _event(3, 3.0002), _event(11, 12.3, 'a <"\x07'))
    (path,) = write(make(path="s3://babies/a.wav", events=events), tmp_path, ["eaf"])
    names = ("cry", "bouts", "cry (2)")
    entries, media = _annotations(path, "cry", names)
    assert entries == [(0, 1, "cry"), (11, 12, 'a <"\\x07')]
    assert _annotations(path, "cry (2)", names)[0] == [(0.5, 2, "cry")]
    assert media == []


@pytest.mark.parametrize("duration_s", [0.0, 1e-5, 36_000.0003])
def test_a_clip_without_events_gives_files_without_labels(make, tmp_path, duration_s):
    result = make(duration_s=duration_s, events=(), timeline={})
    srt, rttm, eaf = write(result, tmp_path, ["srt", "rttm", "eaf"])
    assert srt.read_text() == rttm.read_text() == ""
    assert _annotations(eaf)[0] == []


def test_an_eaf_date_is_an_xml_date_in_a_half_hour_time_zone(make, tmp_path, monkeypatch):
    if not hasattr(time, "tzset"):
        pytest.skip("the time zone of a process is set on POSIX only")
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        (path,) = write(make(), tmp_path, ["eaf"])
    finally:
        monkeypatch.undo()
        time.tzset()
    assert ElementTree.parse(path).getroot().attrib["DATE"].endswith("+05:30")


def test_classify_offers_them():
    words = ["classify", "a.wav", "--formats", "srt,rttm,eaf"]
    assert build_parser().parse_args(words).formats == ["srt", "rttm", "eaf"]
