"""TextGrids, label tracks and tables are read as their editors mean them, or refused by line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from label_files import assert_refused, write
from textgrids import LONG_TEXTGRID, SHORT_TEXTGRID

from cryvision.annotations import Interval, read_annotations
from cryvision.errors import AnnotationError


def test_long_textgrid_is_read_though_every_interval_has_the_number_one(tmp_path: Path) -> None:
    assert read_annotations(write(tmp_path / "a.TextGrid", LONG_TEXTGRID)) == [
        Interval(1.25, 2.5, "Cry"),
        Interval(2.5, 3.5, "-"),
    ]


def test_short_textgrid_is_read(tmp_path: Path) -> None:
    assert read_annotations(write(tmp_path / "a.textgrid", SHORT_TEXTGRID)) == [
        Interval(0.0, 1.25, "-"),
        Interval(1.25, 2.5, "Cry"),
    ]


def test_textgrid_without_intervals_has_none(tmp_path: Path) -> None:
    text = SHORT_TEXTGRID.split("\n2\n0\n")[0] + "\n0\n"
    assert read_annotations(write(tmp_path / "a.TextGrid", text)) == []


def test_textgrid_time_with_an_exponent_is_read(tmp_path: Path) -> None:
    text = LONG_TEXTGRID.replace("xmin = 1.25", "xmin = 125e-2")
    assert read_annotations(write(tmp_path / "a.TextGrid", text))[0].start_s == 1.25


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("text", [LONG_TEXTGRID, SHORT_TEXTGRID], ids=["long", "short"])
def test_textgrid_is_read_in_any_encoding_and_line_ends(
    tmp_path: Path, encoding: str, newline: str, text: str
) -> None:
    text = text.replace("Cry", "Gebrüll").replace("\n", newline)
    intervals = read_annotations(write(tmp_path / "a.TextGrid", text, encoding))
    assert Interval(1.25, 2.5, "Gebrüll") in intervals


@pytest.mark.parametrize(
    ("text", "old", "new", "line"),
    [
        (LONG_TEXTGRID, "xmin = 1.25", "xmin = -1.25", 20),
        (LONG_TEXTGRID, "xmin = 1.25", "xmin = nan", 20),
        (LONG_TEXTGRID, "xmin = 1.25", "xmin = soon", 20),
        (LONG_TEXTGRID, "xmax = 2.5", "xmax = 1.2", 21),
        (LONG_TEXTGRID, "xmax = 2.5", "xmax = inf", 21),
        (LONG_TEXTGRID, '"ooTextFile"', '"ooBinary"', 1),
        (LONG_TEXTGRID, "intervals: size = 3", "intervals: size = 4", 35),
        (LONG_TEXTGRID, "size = 2", "size = 3", 35),
        (SHORT_TEXTGRID, "1.25\n2.5", "-1.25\n2.5", 17),
        (SHORT_TEXTGRID, "1.25\n2.5", "1.25\nnan", 17),
        (SHORT_TEXTGRID, "1.25\n2.5", "2.75\n2.5", 17),
        (SHORT_TEXTGRID, "3.5\n2\n", "3.5\n3\n", 18),
    ],
)
def test_wrong_textgrid_is_refused_by_line(
    tmp_path: Path, text: str, old: str, new: str, line: int
) -> None:
    assert_refused(write(tmp_path / "a.TextGrid", text.replace(old, new, 1)), line)


@pytest.mark.parametrize("text", [LONG_TEXTGRID, SHORT_TEXTGRID], ids=["long", "short"])
def test_textgrid_cut_off_at_any_character_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.TextGrid"
    for length in range(len(text.rstrip())):
        write(path, text[:length])
        with pytest.raises(AnnotationError):
            read_annotations(path)


def test_audacity_labels_are_read_without_their_frequencies(tmp_path: Path) -> None:
    text = "2.5\t3.000000\tfuss, loud\n\\\t300.0\t3000.0\n0.500000\t1.250000\tcry\n1\t1\n"
    assert read_annotations(write(tmp_path / "a.txt", text)) == [
        Interval(0.5, 1.25, "cry"),
        Interval(1.0, 1.0, ""),
        Interval(2.5, 3.0, "fuss, loud"),
    ]


@pytest.mark.parametrize(
    ("header", "label"),
    [("start_s,end_s", "cry"), ("who,Start_s, end_s,label", "fuss"), ("onset_s,offset_s", "cry")],
)
def test_csv_is_read_by_its_header(tmp_path: Path, header: str, label: str) -> None:
    cells = {"start_s": "0.5", "end_s": "1", "onset_s": "0.5", "offset_s": "1"}
    cells |= {"who": '"A, B"', "label": "fuss"}
    row = ",".join(cells[name.strip().lower()] for name in header.split(","))
    path = write(tmp_path / "a.csv", f"{header}\n\n{row}\n")
    assert read_annotations(path) == [Interval(0.5, 1.0, label)]


def test_csv_of_a_header_alone_says_that_nothing_cried(tmp_path: Path) -> None:
    assert read_annotations(write(tmp_path / "a.csv", "onset_s,offset_s,label\n")) == []


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.csv", "start_s,end_s\n0,1\n3,2\n", 3),
        ("a.csv", "start_s,end_s\n-1,2\n", 2),
        ("a.csv", "start_s,end_s\n0,nan\n", 2),
        ("a.csv", "start_s,end_s\n0,1e999\n", 2),
        ("a.csv", "start_s,end_s\n0,1_0\n", 2),
        ("a.csv", "start_s,end_s\n0,\n", 2),
        ("a.csv", "start_s,end_s\n0,1,cry\n", 2),
        ("a.csv", 'start_s,end_s\n0,"1\n', 2),
        ("a.csv", "0.5,1.0\n", 1),
        ("a.csv", " \n", 1),
        ("a.txt", "0\t1\tcry\n2 3 cry\n", 2),
        ("a.txt", "0\t1\tcry\n2\t1\tcry\n", 2),
        ("a.txt", "0\tsoon\tcry\n", 1),
        ("a.txt", "0\t86400000\tcry\n", 1),  # a day in milliseconds
        ("a.txt", "0\t1\tcry\nRIFF\x00\x01\t1\n", 2),
        ("a.TextGrid", "", 1),
    ],
)
def test_wrong_labels_are_refused_by_line(tmp_path: Path, name: str, text: str, line: int) -> None:
    assert_refused(write(tmp_path / name, text), line)


def test_what_cannot_be_read_is_refused_by_path(tmp_path: Path) -> None:
    (tmp_path / "folder.txt").mkdir()
    write(tmp_path / "a.json", "{}")
    (tmp_path / "half.txt").write_bytes("0\t1\tcry".encode("utf-16")[:-1])
    for name in ("none.csv", "folder.txt", "a.json", "half.txt"):
        with pytest.raises(AnnotationError, match=re.escape(str(tmp_path / name))):
            read_annotations(tmp_path / name)
