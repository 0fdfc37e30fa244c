"""One row an event: numbers, bouts, times of day, acoustics, and what the columns mean."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cryvision.acoustics.measures import Acoustics, BoutAcoustics, CryAcoustics
from cryvision.inputs.quality import MinuteQuality
from cryvision.outputs import describe, to_record, write
from cryvision.outputs.event_rows import event_measures, event_rows, write_dictionary
from cryvision.result import Event
from cryvision.start_times import recording_start

EVENTS = (
    Event(1.0, 2.0, "cry", 0.9, -20.0, 20.0, other_tag="music", other_tag_score=0.6),
    Event(2.25, 3.0, "cry", 0.6, -20.0, 25.0),
    Event(5.0, 6.0, "cry", 0.9, -30.0, 20.0),
)
ACOUSTICS = Acoustics(
    (
        CryAcoustics(f0_median_hz=450.1234567, f0_shape="rising", hnr_db=12.0, expirations=1),
        CryAcoustics(f0_median_hz=500.0, undefined="noise: hnr_db"),
        CryAcoustics(hnr_db=20.0),
    ),
    (BoutAcoustics(bout_s=2.0, bout_cries=2), BoutAcoustics(bout_s=1.0, bout_cries=1)),
)


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_events_are_numbered_and_know_their_bout(make: Any) -> None:
    rows = list(event_rows(to_record(make(events=EVENTS)), subject="baby 1"))
    assert [(row["event"], row["bout"]) for row in rows] == [(1, 1), (2, 1), (3, 2)]
    assert [row["duration_s"] for row in rows] == [1.0, 0.75, 1.0]
    assert {(row["path"], row["subject"]) for row in rows} == {("demo.mp4", "baby 1")}
    assert (rows[0]["other_tag"], rows[1]["other_tag"]) == ("music", None)
    assert {row["onset_time"] for row in rows} == {None}


def test_a_clip_that_failed_has_no_rows() -> None:
    assert list(event_rows({"path": "a.wav", "status": "MediaError"})) == []


def test_times_of_day_follow_the_start_also_when_the_clock_is_set(make: Any) -> None:
    start = recording_start("a.wav", stated="2024-10-27T02:59:59", zone="Europe/Berlin")
    result = replace(make(events=EVENTS[:1]), start=start)  # the hour comes twice
    (row,) = event_rows(to_record(result))
    assert row["onset_time"] == "2024-10-27T02:00:00.000+01:00"
    assert row["offset_time"] == "2024-10-27T02:00:01.000+01:00"


def test_times_of_day_are_in_all_outputs(make: Any, tmp_path: Path) -> None:
    start = recording_start("SMM1_20240228_235958.wav", zone="Asia/Kolkata")
    minutes = (MinuteQuality(0.0, 60.0, 0.0, 0.0, -41.0), MinuteQuality(60.0, 9.0, 0.0, 0.0, -41.0))
    result = make(events=EVENTS[:1], rejected=EVENTS[1:2], quality=minutes)
    result = replace(result, start=start)
    record = to_record(result)
    assert record["start"] == "2024-02-28T23:59:58.000+05:30"
    assert record["start_source"] == "name: Song Meter"
    assert record["bouts"][0]["onset_time"] == "2024-02-28T23:59:59.000+05:30"
    assert record["rejected"][0]["offset_time"] == "2024-02-29T00:00:01.000+05:30"
    (path,) = write(result, tmp_path, ["quality"])
    assert rows_of(path)[1]["start_time"] == "2024-02-29T00:00:58.000+05:30"
    paths = write(result, tmp_path, ["csv"])
    for path in paths[1:]:
        assert rows_of(path)[0]["offset_time"] == "2024-02-29T00:00:00.000+05:30"
    text = describe(result)
    assert "start     2024-02-28 23:59:58 +0530 (name: Song Meter)" in text
    assert "23:59:59" in text


def test_without_a_start_there_are_no_times_of_day(make: Any) -> None:
    record = to_record(make(events=EVENTS))
    assert not {"start", "start_source"} & set(record)
    assert "onset_time" not in record["events"][0]
    assert "start" not in describe(make(events=EVENTS))


def test_acoustics_are_columns_of_csv_and_json(make: Any, tmp_path: Path) -> None:
    result = replace(make(events=EVENTS), acoustics=ACOUSTICS)
    _, events, bouts, record = write(result, tmp_path, ["csv", "json"])
    rows = rows_of(events)
    assert list(rows[0]) == [measure.name for measure in event_measures(acoustics=True)]
    assert [row["f0_median_hz"] for row in rows] == ["450.123", "500.0", ""]
    assert [row["f0_shape"] for row in rows] == ["rising", "", ""]
    assert [row["bout_s"] for row in rows] == ["2.0", "2.0", "1.0"]
    assert rows[1]["undefined"] == "noise: hnr_db"
    assert [row["bout_cries"] for row in rows_of(bouts)] == ["2", "1"]
    data = json.loads(record.read_text())
    assert data["events"][2]["f0_median_hz"] is None
    assert data["bouts"][0]["bout_s"] == 2.0


def test_without_acoustics_there_are_no_columns_of_them(make: Any, tmp_path: Path) -> None:
    _, events, bouts = write(make(events=EVENTS), tmp_path, ["csv"])
    assert list(rows_of(events)[0]) == [m.name for m in event_measures(acoustics=False)]
    assert "bout_s" not in rows_of(bouts)[0]
    assert "f0_median_hz" not in to_record(make(events=EVENTS))["events"][0]


def test_the_dictionary_has_each_column_with_its_meaning(tmp_path: Path) -> None:
    measures = event_measures(acoustics=True)
    write_dictionary(tmp_path / "d.csv", measures)
    rows = rows_of(tmp_path / "d.csv")
    assert [row["name"] for row in rows] == [measure.name for measure in measures]
    assert all(row["meaning"] for row in rows)
    assert {row["kind"] for row in rows} == {"text", "real", "whole"}
    units = {row["name"]: row["unit"] for row in rows}
    for name, unit in units.items():
        assert not name.endswith("_hz") or unit == "Hz"
        assert not name.endswith("_s") or unit == "s" or name.endswith("per_s")


def test_the_text_has_medians_over_the_cries_and_of_how_many(make: Any) -> None:
    text = describe(replace(make(events=EVENTS), acoustics=ACOUSTICS))
    assert "median 475 Hz (2 of 3 cries)" in text
    assert "HNR 16.0 dB (2 of 3 cries)" in text
    assert "jitter" not in text
    nothing = Acoustics((CryAcoustics(),) * 3, ACOUSTICS.bouts)
    text = describe(replace(make(events=EVENTS), acoustics=nothing))
    assert "nothing could be measured" in text
    assert math.isnan(nothing.cries[0].f0_median_hz)


@pytest.mark.parametrize("quiet", [True, False])
def test_the_text_has_no_acoustics_unless_they_were_measured(make: Any, quiet: bool) -> None:
    assert "F0" not in describe(make(events=EVENTS), quiet=quiet)
