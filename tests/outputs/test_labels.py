"""Label files are what Audacity, a WebVTT player and Praat read."""

from __future__ import annotations

import csv
import html
import itertools
import math
import re
import warnings
from pathlib import Path

import pytest
from praatio import textgrid

from cryvision.annotations import read_annotations
from cryvision.datasets.annotated import find_annotated_clips
from cryvision.outputs import write
from cryvision.result import Event

TEXTGRID_STEP_S = 1e-4  # times are written to 0.1 ms
CUE = re.compile(r"(\d\d+):(\d\d):(\d\d)\.(\d{3}) --> (\d\d+):(\d\d):(\d\d)\.(\d{3})\n([^\n]+)")


def _event(onset_s: float, offset_s: float, label: str = "cry") -> Event:
    return Event(onset_s, offset_s, label, 0.9, -20.0, 20.0)


def _cues(path: Path) -> list[tuple[float, float, str]]:
    """Read WebVTT by its grammar: a header, then cues after blank lines, and nothing else."""
    header, *blocks = path.read_text(encoding="utf-8").rstrip("\n").split("\n\n")
    assert header == "WEBVTT"
    cues = []
    for block in blocks:
        match = CUE.fullmatch(block)
        assert match, block
        assert "-->" not in match[9]
        assert "<" not in match[9]
        times = [int(part) for part in match.groups()[:8]]
        assert max(times[1:3] + times[5:7]) < 60
        start, end = (h * 3600 + m * 60 + s + ms / 1000 for h, m, s, ms in (times[:4], times[4:]))
        assert start < end
        cues.append((start, end, html.unescape(match[9])))
    return cues


def _intervals(
    path: Path,
    duration_s: float,
    tier: str = "cry",
    tiers: tuple[str, ...] = ("cry", "bouts"),
) -> list[tuple[float, float, str]]:
    """Read a TextGrid with praatio and hold it to Praat's rule: no gaps from 0 to the end."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=True, reportingMode="error")
    assert grid.tierNames == tiers
    for name in grid.tierNames:
        entries = [tuple(entry) for entry in grid.getTier(name).entries]
        assert grid.minTimestamp == entries[0][0] == 0
        assert grid.maxTimestamp == entries[-1][1] == pytest.approx(duration_s, abs=TEXTGRID_STEP_S)
        assert all(left[1] == right[0] for left, right in itertools.pairwise(entries))
        assert all(start < end for start, end, _ in entries)
    return [tuple(entry) for entry in grid.getTier(tier).entries]


def test_audacity_lines_are_onset_offset_label(make, tmp_path):
    events = (_event(1.5, 4.3), _event(6, 8.4, "belly\tpain\nat night\u2028é"))
    path, _ = write(make(events=events), tmp_path, ["audacity"])
    lines = path.read_text(encoding="utf-8").split("\n")
    assert lines == ["1.500000\t4.300000\tcry", "6.000000\t8.400000\tbelly pain at night é", ""]


def test_vtt_cues_read_back_beyond_an_hour(make, tmp_path):
    events = (_event(1.5, 4.3), _event(3599.9996, 360_000.25))
    (path,) = write(make(events=events), tmp_path, ["vtt"])
    assert _cues(path) == [(1.5, 4.3, "cry 0.90"), (3600.0, 360_000.25, "cry 0.90")]


def test_vtt_text_cannot_break_out_of_its_cue(make, tmp_path):
    (path,) = write(make(events=(_event(0, 1, "a --> b\n\n<i>&amp;"),)), tmp_path, ["vtt"])
    assert _cues(path) == [(0, 1, "a --> b <i>&amp; 0.90")]


@pytest.mark.parametrize("onset_s", [0.0, 0.0015, 2.0005, 11.9999])
def test_a_vtt_cue_of_an_event_without_length_still_has_one(make, tmp_path, onset_s):
    (path,) = write(make(events=(_event(onset_s, onset_s),)), tmp_path, ["vtt"])
    assert len(_cues(path)) == 1


def test_a_textgrid_holds_the_events_and_the_silence_between(make, tmp_path):
    (path,) = write(make(), tmp_path, ["textgrid"])
    assert _intervals(path, 12.0) == [
        (0, 1.5, ""),
        (1.5, 4.3, "cry"),
        (4.3, 6, ""),
        (6, 8.4, "cry"),
        (8.4, 12, ""),
    ]


def test_a_textgrid_takes_events_that_touch_each_other_and_the_ends(make, tmp_path):
    events = (_event(0, 4, 'a "quoted" one'), _event(4, 12))
    (path,) = write(make(events=events), tmp_path, ["textgrid"])
    assert _intervals(path, 12.0) == [(0, 4, 'a "quoted" one'), (4, 12, "cry")]


def test_a_textgrid_keeps_to_the_clip_and_has_a_second_tier_for_what_overlaps(make, tmp_path):
    events = (_event(-0.2, 1), _event(0.5, 2), _event(3, 3), _event(11, 12.3), _event(14, 15))
    (path,) = write(make(events=events), tmp_path, ["textgrid"])
    tiers = ("cry", "bouts", "cry (2)")
    first, second = (_intervals(path, 12.0, tier, tiers) for tier in ("cry", "cry (2)"))
    assert [entry for entry in first if entry[2]] == [(0, 1, "cry"), (11, 12, "cry")]
    assert [entry for entry in second if entry[2]] == [(0.5, 2, "cry")]


OVERLAPPING = (_event(1, 4), _event(2, 3, "fuss"), _event(3.5, 5))
"""One inside another, and one that begins before another ends."""


@pytest.mark.parametrize(
    "form",
    ["raven", "boris", "childproject", "rttm", "audioset", "dcase", "chat", "label-studio"],
)
def test_events_that_overlap_are_all_written_as_they_are(make, tmp_path, form):
    (path,) = write(make(events=OVERLAPPING), tmp_path, [form])
    assert [(i.start_s, i.end_s, i.label) for i in read_annotations(path)] == [
        (event.onset_s, event.offset_s, event.label) for event in OVERLAPPING
    ]


@pytest.mark.parametrize("form", ["textgrid", "eaf"])
def test_events_that_overlap_are_in_two_tiers(make, tmp_path, form):
    (path,) = write(make(events=OVERLAPPING), tmp_path, [form])
    assert [(i.start_s, i.end_s) for i in read_annotations(path)] == [(1, 4), (2, 3), (3.5, 5)]


def test_a_bout_ends_with_the_latest_end_of_its_events(make):
    nested = (_event(1, 9), _event(2, 3))
    assert [bout.span_s for bout in make(events=nested).bouts] == [(1, 9)]
    assert len(make(events=(*nested, _event(9.4, 10))).bouts) == 1


@pytest.mark.parametrize("duration_s", [0.0, 1e-5, 0.0333, math.pi, 12.0, 36_000.03334])
def test_a_textgrid_is_valid_for_any_length_without_events(make, tmp_path, duration_s):
    (path,) = write(make(duration_s=duration_s, events=(), timeline={}), tmp_path, ["textgrid"])
    assert [label for _, _, label in _intervals(path, max(duration_s, 0.001))] == [""]


def test_tiny_remainders_do_not_print_in_a_form_that_praat_cannot_read(make, tmp_path):
    (path,) = write(make(events=(_event(0.00001, 11.99999),)), tmp_path, ["textgrid"])
    assert _intervals(path, 12.0) == [(0, 12, "cry")]


@pytest.mark.parametrize("form", ["audacity", "vtt", "srt", "rttm", "textgrid", "eaf", "csv"])
def test_what_cannot_be_shown_in_a_label_is_written_as_an_escape(make, tmp_path, form):
    label = "caf\udce9 \x1b[31m \u202egnp \u2067é日本"
    found = make(events=(_event(0, 1, label),))
    texts = [path.read_text(encoding="utf-8") for path in write(found, tmp_path, [form])]
    assert any(r"caf\udce9" in text for text in texts)
    for text in texts:
        assert not set(text) & set("\x1b\u202e\u2067")
    assert any(all(part in text for part in (r"\x1b", r"\u202e", "é日本")) for text in texts)


# Two bouts: cries 0.2 s apart, and one alone.
CLOSE = (_event(1.0, 2.0), _event(2.2, 3.0), _event(5.0, 6.0))


def test_a_textgrid_has_a_tier_of_bouts_below_that_of_events(make, tmp_path):
    (path,) = write(make(events=CLOSE), tmp_path, ["textgrid"])
    events, bouts = (_intervals(path, 12.0, tier) for tier in ("cry", "bouts"))
    assert [entry for entry in events if entry[2]] == [
        *((1.0, 2.0, "cry"), (2.2, 3.0, "cry"), (5.0, 6.0, "cry"))
    ]
    assert [entry for entry in bouts if entry[2]] == [(1.0, 3.0, "bout"), (5.0, 6.0, "bout")]


def test_what_is_read_back_is_the_events_and_not_the_bouts(make, tmp_path):
    (path,) = write(make(events=CLOSE), tmp_path, ["textgrid"])
    assert [(i.start_s, i.end_s) for i in read_annotations(path)] == [
        *((1.0, 2.0), (2.2, 3.0), (5.0, 6.0))
    ]
    (tmp_path / "demo.wav").touch()
    path.unlink()
    write(make(events=CLOSE), tmp_path, ["audacity"])
    clips, problems = find_annotated_clips(tmp_path)
    assert problems == []
    assert [len(clip.intervals) for clip in clips] == [3]


def test_bouts_are_an_audacity_track_of_their_own(make, tmp_path):
    events, bouts = write(make(events=CLOSE, bout_gap_s=0.1), tmp_path, ["audacity"])
    assert bouts.name == "demo.bouts.txt"
    assert len(events.read_text().splitlines()) == len(bouts.read_text().splitlines()) == 3
    _, bouts = write(make(events=CLOSE), tmp_path, ["audacity"])
    assert bouts.read_text() == "1.000000\t3.000000\tbout\n5.000000\t6.000000\tbout\n"


def test_a_bout_is_one_cue(make, tmp_path):
    (path,) = write(make(events=CLOSE), tmp_path, ["vtt"])
    assert _cues(path) == [(1.0, 3.0, "cry 0.90"), (5.0, 6.0, "cry 0.90")]


def test_a_clip_without_events_gives_files_without_labels(make, tmp_path):
    audacity, bouts, vtt = write(make(events=()), tmp_path, ["audacity", "vtt"])
    assert audacity.read_text() == bouts.read_text() == ""
    assert _cues(vtt) == []


def test_a_file_of_childproject_names_the_clip(make, tmp_path):
    (path,) = write(make(), tmp_path, ["childproject"])
    with open(path, newline="") as file:
        assert {row["raw_filename"] for row in csv.DictReader(file)} == {"demo.mp4"}
