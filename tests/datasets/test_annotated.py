"""A lab's labels are read as they were drawn, or refused with the file and the line."""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_files import write
from recordings import donateacry_segments
from textgrids import LONG_TEXTGRID

from cryvision.annotations import Interval, read_annotations
from cryvision.datasets.annotated import (
    AnnotatedClip,
    cry_intervals,
    find_annotated_clips,
    window_labels,
)
from cryvision.errors import AnnotationError, ConfigError

Form = Literal["NFC", "NFD"]

RATE_HZ = 16_000
SHARE_TOLERANCE = 1e-6
"""Shares are float32: seven digits."""

PHONE = "02C3B725-26E4-4A2C-9336-04DDC58836D9"


def test_crying_is_merged_where_it_touches_or_overlaps() -> None:
    intervals = [
        Interval(4.0, 5.0, "Crying "),
        Interval(0.0, 1.0, "cry"),
        Interval(1.0, 2.0, "CRY"),
        Interval(1.5, 1.75, "cry"),
        Interval(2.0, 4.0, "-"),
        Interval(6.0, 6.0, "cry"),
    ]
    assert cry_intervals(intervals) == [Interval(0.0, 2.0, "cry"), Interval(4.0, 5.0, "cry")]
    assert cry_intervals(intervals, ["-"]) == [Interval(2.0, 4.0, "-")]


def test_window_label_is_the_share_that_cries() -> None:
    crying = [Interval(1.0, 2.0, "cry"), Interval(2.25, 3.0, "cry")]
    ends = np.array([1.0, 1.25, 1.5, 2.0, 2.5, 9.0, 0.25]) * RATE_HZ
    shares = window_labels(crying, ends, RATE_HZ // 2, RATE_HZ)
    assert shares.dtype == np.float32
    np.testing.assert_allclose(shares, [0, 0.5, 1, 1, 0.5, 0, 0], atol=SHARE_TOLERANCE)
    assert not window_labels([], ends, RATE_HZ // 2, RATE_HZ).any()


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 200), min_size=2, max_size=12),
    st.lists(st.integers(0, 2000), min_size=1, max_size=8),
    st.integers(1, 300),
)
def test_window_label_counts_the_samples_that_cry(
    steps: list[int], ends: list[int], window_samples: int
) -> None:
    edges = np.cumsum(steps[: len(steps) // 2 * 2]).reshape(-1, 2)
    rate_hz = 100
    crying = [Interval(on / rate_hz, off / rate_hz, "cry") for on, off in edges]
    is_cry = np.zeros(5000, dtype=bool)
    for on, off in edges:
        is_cry[1000 + on : 1000 + off] = True
    expected = [is_cry[1000 + end - window_samples : 1000 + end].mean() for end in ends]
    shares = window_labels(crying, ends, window_samples, rate_hz)
    np.testing.assert_allclose(shares, expected, atol=SHARE_TOLERANCE)


def test_window_labels_refuse_overlap_and_no_length() -> None:
    with pytest.raises(ConfigError, match="cry_intervals"):
        window_labels([Interval(0, 2, "cry"), Interval(1, 3, "cry")], [100], 10, RATE_HZ)
    with pytest.raises(ConfigError, match="positive"):
        window_labels([], [100], 0, RATE_HZ)


def named(clips: list[AnnotatedClip], folder: Path) -> dict[str, tuple[str, str]]:
    return {
        clip.path.relative_to(folder).as_posix(): (clip.subject, clip.subject_source)
        for clip in clips
    }


@pytest.mark.parametrize(
    "labels",
    ["a.TextGrid", "a.txt", "a.csv", "a.wav.csv", "a.events.csv", "a.labels.txt", "a.wav.TextGrid"],
)
def test_labels_beside_a_clip_are_found(tmp_path: Path, labels: str) -> None:
    write(tmp_path / "b1" / "a.wav", "sound")
    text = {"d": LONG_TEXTGRID, "t": "1.25\t2.5\tCry\n", "v": "start_s,end_s,label\n1.25,2.5,Cry\n"}
    write(tmp_path / "b1" / labels, text[labels[-1]])
    clips, problems = find_annotated_clips(tmp_path)
    assert problems == []
    assert named(clips, tmp_path) == {"b1/a.wav": ("b1/a.wav", "file")}
    assert Interval(1.25, 2.5, "Cry") in clips[0].intervals


@pytest.mark.skipif(sys.platform == "win32", reason="no such names on Windows")
def test_labels_that_were_written_of_a_clip_are_found_beside_it(tmp_path: Path) -> None:
    for name in ("14:22.wav", "mu\u0308de.wav", "a:b.wav", "a_b.wav"):
        write(tmp_path / name, "sound")
    for name in ("14_22.txt", "m\u00fcde.wav.txt", "a:b.txt", "a_b.txt"):
        write(tmp_path / name, "1\t2\tcry\n" if name[0] != "a" else f"3\t4\t{name}\n")
    clips, problems = find_annotated_clips(tmp_path)
    assert problems == []
    assert {clip.path.name: clip.intervals[0].label for clip in clips} == {
        "14:22.wav": "cry",
        "mu\u0308de.wav": "cry",
        "a:b.wav": "a:b.txt",  # the name itself is nearer than a portable one
        "a_b.wav": "a_b.txt",
    }


def test_nothing_is_guessed_in_a_folder(tmp_path: Path) -> None:
    for name in ("good.MP4", "alone.wav", "two.wav", "twin.wav", "twin.mp4", "bad.wav", ".x.wav"):
        write(tmp_path / name, "media")
    for name in ("good.txt", "gone.txt", "two.txt", "twin.txt"):
        write(tmp_path / name, "0\t1\tcry\n")
    write(tmp_path / "two.csv", "start_s,end_s\n")
    write(tmp_path / "bad.csv", "start_s,end_s\n2,1\n")
    clips, problems = find_annotated_clips(tmp_path)
    assert named(clips, tmp_path) == {"good.MP4": ("good.MP4", "file")}
    at_fault = ["gone.txt", "alone.wav", "two.wav", "twin.wav", "twin.mp4", "bad.csv"]
    assert len(problems) == len(at_fault)
    for name in at_fault:
        assert sum(problem.line.startswith(f"{tmp_path / name}: ") for problem in problems) == 1


def test_subject_pattern_reads_the_path(tmp_path: Path) -> None:
    for name in ("baby1/x", "baby2/x", "unknown/x"):
        write(tmp_path / f"{name}.wav", "sound")
        write(tmp_path / f"{name}.txt", "0\t1\tcry\n")
    clips, problems = find_annotated_clips(tmp_path, r"(baby\d)/")
    assert named(clips, tmp_path) == {
        "baby1/x.wav": ("baby1", "pattern"),
        "baby2/x.wav": ("baby2", "pattern"),
    }
    assert len(problems) == 1
    assert "unknown" in problems[0].line


def test_manifest_names_clips_labels_and_subjects(tmp_path: Path) -> None:
    for name in ("s1/a.wav", "s1/b.wav", "s2/c.wav"):
        write(tmp_path / name, "sound")
    write(tmp_path / "l.txt", "0\t1\tcry\n")
    rows = ["s1/a.wav,l.txt,Ann", "s1/b.wav,l.txt,", "s2/c.wav,l.txt,", "s2/./c.wav,l.txt,Bo"]
    rows += ["s2/d.wav,l.txt,Bo", "l.txt,,Bo"]
    manifest = write(tmp_path / "m.csv", "\n".join(["path,labels,subject", *rows]))
    clips, problems = find_annotated_clips(manifest)
    assert named(clips, tmp_path) == {
        "s1/a.wav": ("Ann", "manifest"),
        "s1/b.wav": ("s1/b.wav", "file"),
    }
    assert [int(problem.line.split("line ")[1].split(":")[0]) for problem in problems] == [
        4,
        5,
        6,
        7,
    ]
    clips, _ = find_annotated_clips(manifest, "^(s.)/")
    assert named(clips, tmp_path)["s1/b.wav"] == ("s1", "pattern")


def test_a_clip_is_listed_twice_however_its_path_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.wav", "sound")
    write(tmp_path / "a.txt", "0\t1\tcry\n")
    rows = f"path,labels,subject\na.wav,a.txt,Ann\n{tmp_path / 'a.wav'},a.txt,Bo\n"
    write(tmp_path / "m.csv", rows)
    monkeypatch.chdir(tmp_path)
    clips, problems = find_annotated_clips("m.csv")
    assert clips == []
    assert ["must be listed once; got 2 rows" in problem.line for problem in problems] == [True] * 2


@pytest.mark.parametrize(("in_table", "on_disk"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_manifest_names_files_in_either_form_of_their_accents(
    tmp_path: Path, in_table: Form, on_disk: Form
) -> None:
    write(tmp_path / unicodedata.normalize(on_disk, "bébé.wav"), "sound")
    write(tmp_path / unicodedata.normalize(on_disk, "bébé.txt"), "0\t1\tcry\n")
    rows = unicodedata.normalize(in_table, "path,labels\nbébé.wav,bébé.txt\n")
    clips, problems = find_annotated_clips(write(tmp_path / "m.csv", rows))
    assert problems == []
    assert [len(clip.intervals) for clip in clips] == [1]


def test_wrong_sources_and_patterns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="nothing is at"):
        find_annotated_clips(tmp_path / "none")
    with pytest.raises(AnnotationError, match=r"line 1: .*path and labels"):
        find_annotated_clips(write(tmp_path / "m.csv", "file,labels\na,b\n"))
    for pattern in ("(", "no group"):
        with pytest.raises(ConfigError, match="subject pattern"):
            find_annotated_clips(tmp_path, pattern)


def test_donateacry_clip_and_segments_pair_by_phone_and_ten_digits(tmp_path: Path) -> None:
    seconds = f"{PHONE}-1430726196-1.0-f-26-hu.wav"
    milliseconds = f"{PHONE.lower()}-1430726299216-1.7-m-04-dk.wav"
    for name in (seconds, milliseconds):
        write(tmp_path / "wav" / name[-6:-4] / name, "sound")
    for epoch in (1430726196, 1430726299):
        write(tmp_path / "grids" / f"{PHONE}-{epoch}.TextGrid", LONG_TEXTGRID)
    clips = donateacry_segments(tmp_path / "wav", tmp_path / "grids")
    assert sorted(clip.path.name for clip in clips) == sorted([seconds, milliseconds])
    assert {clip.subject for clip in clips} == {PHONE.lower()}
    extra = write(tmp_path / "grids" / f"{PHONE}-1430726300.TextGrid", LONG_TEXTGRID)
    with pytest.raises(AnnotationError, match=extra.name):
        donateacry_segments(tmp_path / "wav", tmp_path / "grids")


@pytest.mark.corpus
def test_all_cry_segments_read_as_written_and_pair() -> None:
    if "CRYVISION_DATA" not in os.environ:
        pytest.skip("CRYVISION_DATA does not name the recordings")
    data = Path(os.environ["CRYVISION_DATA"])
    wavs = data / "donateacry-corpus" / "donateacry_corpus_cleaned_and_updated_data"
    clips = donateacry_segments(wavs, data / "cry-segments")
    assert len(clips) == 457
    assert len({clip.subject for clip in clips}) == 221
    entry = re.compile(r'xmin = (\S+)\s+xmax = (\S+)\s+text = "([^"]*)"')
    files = sorted((data / "cry-segments").glob("*.TextGrid"))
    assert len(files) == 457
    for path in files:
        written = [(float(a), float(b), c) for a, b, c in entry.findall(path.read_text())]
        assert [(i.start_s, i.end_s, i.label) for i in read_annotations(path)] == written
