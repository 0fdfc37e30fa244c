"""A corrected download says the same of the crying in all its parts."""

from __future__ import annotations

import csv
import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the page needs the layer web")

from served import DEMO

import cryvision
from cryvision.annotations.corrections import CorrectedEvent
from cryvision.outputs.tables import to_record
from cryvision.web.exports import CLIP_FORMATS, corrected, export
from cryvision.web.results import not_scored

CRYING = CorrectedEvent("a", 1.0, 2.0, "crying")
FUSS = CorrectedEvent("b", 2.1, 3.0, "fuss")
CRY = CorrectedEvent("c", 6.0, 6.5, "cry")


@pytest.fixture(scope="module")
def result() -> cryvision.Classification:
    return cryvision.classify(DEMO)


@pytest.mark.parametrize("label", ["no cry", "cry", "not sure"])
def test_only_crying_counts_and_makes_bouts(result: cryvision.Classification, label: str) -> None:
    record = to_record(corrected(replace(result, label=label), [CRYING, FUSS, CRY]))
    assert record["label"] == "cry"
    assert (record["detector"]["cry"], record["detector"]["seconds"]) == (True, 1.5)
    assert [(b["onset_s"], b["offset_s"]) for b in record["bouts"]] == [(1.0, 2.0), (6.0, 6.5)]
    assert [event["label"] for event in record["events"]] == ["crying", "fuss", "cry"]


def test_crying_that_a_person_marked_twice_counts_once(result: cryvision.Classification) -> None:
    twins = [CRYING, CorrectedEvent("d", 1.5, 2.25, "cry")]
    record = to_record(corrected(result, twins))
    (bout,) = record["bouts"]
    assert record["detector"]["seconds"] == bout["cry_seconds"] == 1.25


def test_the_level_of_a_bout_is_that_of_its_events_whose_level_is_known(
    result: cryvision.Classification,
) -> None:
    (_, found, *_) = result.events
    known = CorrectedEvent("e", *found.span_s, "cry")
    before = CorrectedEvent("f", 0.1, 0.2, "cry")  # the detector found nothing there
    after = CorrectedEvent("g", 5.0, 5.1, "cry")
    for events in ([before, known], [known, after]):
        clip = replace(corrected(result, events), bout_gap_s=9.0)
        (bout,) = to_record(clip)["bouts"]
        assert bout["above_background_db"] == pytest.approx(found.above_background_db, abs=0.05)
        assert bout["intensity_db"] == pytest.approx(found.intensity_db, abs=0.05)


@pytest.mark.parametrize("label", ["no cry", "cry", "not sure"])
def test_a_clip_without_crying_is_no_cry(result: cryvision.Classification, label: str) -> None:
    record = to_record(corrected(replace(result, label=label), [FUSS]))
    assert (record["label"], record["detector"]["cry"], record["bouts"]) == ("no cry", False, [])
    assert len(record["events"]) == 1


@pytest.mark.parametrize("form", CLIP_FORMATS)
def test_every_format_takes_events_that_are_no_crying(
    result: cryvision.Classification, tmp_path: Path, form: str
) -> None:
    events = corrected(replace(result, path=str(DEMO)), [CRYING, FUSS, CRY])
    assert export(events, DEMO.name, form, tmp_path)[2]


def test_the_table_of_events_has_no_bout_where_there_is_no_crying(
    result: cryvision.Classification, tmp_path: Path
) -> None:
    _, _, data = export(corrected(result, [CRYING, FUSS, CRY]), "a.mp4", "csv", tmp_path)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        rows = list(csv.DictReader(archive.read("a.events.csv").decode().splitlines()))
    assert [(row["label"], row["event"], row["bout"]) for row in rows] == [
        *(("crying", "1", "1"), ("fuss", "2", ""), ("cry", "3", "2"))
    ]


def test_subtitles_name_each_bout_after_its_own_events_and_show_the_rest(
    result: cryvision.Classification, tmp_path: Path
) -> None:
    _, _, data = export(corrected(result, [CRYING, FUSS, CRY]), "a.mp4", "srt", tmp_path)
    words = [line.split()[0] for line in data.decode().splitlines() if line[:1].isalpha()]
    assert words == ["crying", "fuss", "cry"]


def test_no_more_of_a_clip_is_unscored_than_there_is(result: cryvision.Classification) -> None:
    frames = {"cry": np.full(31, np.nan, np.float32)}  # the last one reaches beyond the end
    short = replace(result, duration_s=1.02, quiet_seconds=(0.0,), timeline=frames)
    assert not_scored(short) == {"not_scored_s": 1.02, "too_quiet_s": 0.0}
