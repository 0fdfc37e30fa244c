"""Every interval that is written in a format is read again, within the precision of the format."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from annotation_files import WRITABLE, lost_or_moved, write_and_read
from hypothesis import HealthCheck, given, settings
from interval_strategies import interval_lists

from cryvision.annotations import Interval, read_annotations, write_annotations
from cryvision.errors import AnnotationError, ConfigError

N_FILES = 20
"""As many as a quick run has time for; ``benchmarks/annotations.py`` writes 200 of each format."""


@pytest.mark.parametrize("form", WRITABLE)
@given(intervals=interval_lists())
@settings(
    max_examples=N_FILES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_interval_is_lost_or_moved(tmp_path: Path, form: str, intervals: list[Interval]) -> None:
    read = write_and_read(intervals, tmp_path, form)
    assert lost_or_moved(intervals, read, form) == []
    assert len(read) == len(intervals)


@pytest.mark.parametrize("form", ["eaf", "textgrid"])
def test_intervals_of_one_tier_that_overlap_are_all_kept(tmp_path: Path, form: str) -> None:
    intervals = [Interval(0.0, 2.0, "cry", "a"), Interval(1.0, 3.0, "cry", "a")]
    read = write_and_read(intervals, tmp_path, form)
    assert [(i.start_s, i.end_s, i.tier) for i in read] == [(0, 2, "a"), (1, 3, "a (2)")]


@pytest.mark.parametrize("form", ["csv", "raven", "rttm", "vtt", "label-studio"])
def test_confidence_is_kept(tmp_path: Path, form: str) -> None:
    read = write_and_read([Interval(0.0, 2.0, "cry", confidence=0.93)], tmp_path, form)
    assert [i.confidence for i in read] == [0.93]


@pytest.mark.parametrize("form", ["csv", "raven", "boris", "childproject", "label-studio", "eaf"])
def test_tiers_are_kept(tmp_path: Path, form: str) -> None:
    intervals = [Interval(0.0, 2.0, "cry", "coder 1"), Interval(0.5, 2.0, "fuss", "coder 2")]
    read = write_and_read(intervals, tmp_path, form)
    assert [i.tier for i in read] == ["coder 1", "coder 2"]


def test_what_cannot_be_written_is_refused_before_a_file_is_there(tmp_path: Path) -> None:
    for form in ("its", "cryvision", "odt"):
        with pytest.raises(ConfigError, match="must be one of"):
            write_annotations([], tmp_path / "a", form)
    with pytest.raises(ConfigError, match="eaf"):
        write_annotations([], tmp_path / "a", "rttm", template=tmp_path / "t.etf")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", WRITABLE)
@pytest.mark.parametrize(
    "times",
    [(math.nan, 1.0), (0.0, math.nan), (2.0, 1.0), (-0.1, 1.0), (0.0, math.inf), (0.0, 1e9)],
)
def test_times_that_could_not_be_read_again_are_refused_before_a_file_is_there(
    tmp_path: Path, form: str, times: tuple[float, float]
) -> None:
    intervals = [Interval(0.5, 1.0, "cry"), Interval(*times, "fuss")]
    with pytest.raises(ConfigError, match="'fuss' got") as refusal:
        write_annotations(intervals, tmp_path / "a", form)
    assert "{:g} to {:g} s".format(*times) in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", WRITABLE)
def test_a_time_that_rounding_has_put_before_the_start_is_the_start(
    tmp_path: Path, form: str
) -> None:
    read = write_and_read([Interval(0.1 + 0.2 - 0.3 - 1e-9, 1.0, "cry")], tmp_path, form)
    assert [(i.start_s, i.end_s) for i in read] == [(0.0, 1.0)]


@pytest.mark.parametrize("duration_s", [math.nan, math.inf, -1.0])
def test_a_length_that_is_none_is_refused(tmp_path: Path, duration_s: float) -> None:
    with pytest.raises(ConfigError, match="duration_s"):
        write_annotations([], tmp_path / "a", "textgrid", duration_s=duration_s)


def test_a_file_is_replaced_and_no_backup_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.eaf"
    for label in ("cry", "fuss"):
        write_annotations([Interval(0.0, 1.0, label)], path, "eaf", duration_s=2.0)
    assert [i.label for i in read_annotations(path)] == ["fuss"]
    assert list(tmp_path.iterdir()) == [path]


TEMPLATE = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="lab" DATE="2026-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0"
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">
<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds"></HEADER>
<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="0"/>
<TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="9"/></TIME_ORDER>
<TIER TIER_ID="cry" LINGUISTIC_TYPE_REF="crying"><ANNOTATION><ALIGNABLE_ANNOTATION
ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2"><ANNOTATION_VALUE>old
</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
<TIER TIER_ID="notes" LINGUISTIC_TYPE_REF="crying"/>
<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="crying" TIME_ALIGNABLE="true" GRAPHIC_REFERENCES="false"
CONTROLLED_VOCABULARY_REF="words"/>
<CONTROLLED_VOCABULARY CV_ID="words"><CV_ENTRY DESCRIPTION="">cry</CV_ENTRY></CONTROLLED_VOCABULARY>
</ANNOTATION_DOCUMENT>
"""


def test_an_elan_template_gives_its_tiers_and_vocabulary_but_not_its_annotations(
    tmp_path: Path,
) -> None:
    template = tmp_path / "lab.etf"
    template.write_text(TEMPLATE)
    path = tmp_path / "a.eaf"
    write_annotations([Interval(1.0, 2.0, "cry", "cry")], path, "eaf", template=template)
    assert read_annotations(path) == [Interval(1.0, 2.0, "cry")]
    text = path.read_text()
    assert 'TIER_ID="notes"' in text
    assert 'CV_ID="words"' in text
    assert 'LINGUISTIC_TYPE_REF="crying"' in text
    template.write_text("no XML")
    with pytest.raises(AnnotationError, match=r"lab\.etf: line 1"):
        write_annotations([], path, "eaf", template=template)
