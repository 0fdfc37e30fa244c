"""The JSON record and the tables hold what was found, and nothing that a parser refuses."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

from cryvision.inputs.quality import MinuteQuality
from cryvision.outputs import to_record, write
from cryvision.result import Detection, Event
from cryvision.safe_text import spreadsheet_cell

RECORD_FIELDS = [
    "path",
    "duration_s",
    "label",
    "probabilities",
    "detector",
    "events",
    "bouts",
    "rejected",
    "veto",
    "bout_gap_s",
    "threshold",
    "min_duration_s",
    "min_gap_s",
    "heard_seconds",
    "modalities",
    "bundle",
    "skill",
    "warnings",
]
PRINTED_STEP = 5e-5  # half of the fourth decimal, which scores and times are written to


def _strict(text: str):
    """Parse JSON as other languages do: NaN and Infinity are errors."""

    def refuse(name: str):
        raise ValueError(name)

    return json.loads(text, parse_constant=refuse)


def _rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_record_has_the_promised_fields_in_order(make):
    record = to_record(make())
    assert list(record) == RECORD_FIELDS
    assert record["detector"] == {"cry": True, "probability": 0.62, "seconds": 5.2}
    assert record["bundle"] == {"name": "default", "sha256": "1a2b3c4d5e6f7a8b"}
    assert record["events"][0] == {
        "onset_s": 1.5,
        "offset_s": 4.3,
        "label": "cry",
        "confidence": 0.97,
        "intensity_db": -18.3,
        "above_background_db": 31.2,
        "other_tag": None,
        "other_tag_score": None,
    }
    assert [record[name] for name in ("rejected", "veto", "bout_gap_s", "heard_seconds")] == [
        *([], "off", 0.5, {})
    ]


CLOSE = (
    Event(1.0, 2.0, "cry", 0.9, -20.0, 20.0, other_tag="music", other_tag_score=0.61234),
    Event(2.25, 3.0, "cry", 0.6, -20.0, 25.0),
    Event(5.0, 6.0, "cry", 0.9, -30.0, 20.0),
)


def test_the_record_has_both_levels_and_the_strongest_other_tag_of_an_event(make):
    record = _strict(json.dumps(to_record(make(events=CLOSE)), allow_nan=False))
    assert [event["other_tag"] for event in record["events"]] == ["music", None, None]
    assert record["events"][0]["other_tag_score"] == 0.6123
    first, second = record["bouts"]
    assert (first["onset_s"], first["offset_s"], first["n_events"]) == (1.0, 3.0, 2)
    assert (first["cry_seconds"], first["confidence"]) == (1.75, 0.7714)
    assert (first["intensity_db"], first["above_background_db"]) == (-20.0, 25.0)
    assert second["n_events"] == 1
    narrow = to_record(make(events=CLOSE, bout_gap_s=0.2))
    assert (len(narrow["bouts"]), narrow["bout_gap_s"]) == (3, 0.2)


def test_the_record_keeps_what_was_rejected_with_the_reason_and_what_was_heard(make):
    rejected = (Event(8.0, 8.5, "cry", 0.2, -30, 9, other_tag="music", rejected="music"),)
    seconds = {"cry": np.float32(0.24), "music": 7.2}
    found = make(rejected=rejected, veto="strict", heard_seconds=seconds)
    record = _strict(json.dumps(to_record(found), allow_nan=False))
    (reject,) = record["rejected"]
    assert (reject["onset_s"], reject["offset_s"], reject["rejected"]) == (8.0, 8.5, "music")
    assert all("rejected" not in event for event in record["events"])
    assert (record["veto"], record["heard_seconds"]) == ("strict", {"cry": 0.24, "music": 7.2})


def test_the_share_of_frames_with_a_face_is_told_where_faces_were_looked_for(make):
    record = to_record(make(face_share=np.float32(1 / 3)))
    at = RECORD_FIELDS.index("bundle")
    assert list(record) == [*RECORD_FIELDS[:at], "face_share", *RECORD_FIELDS[at:]]
    assert _strict(json.dumps(record))["face_share"] == 0.3333
    assert to_record(make(face_share=0.0))["face_share"] == 0.0


def test_an_event_tells_what_each_branch_said_of_it(make):
    branches = {"mfcc": {"hungry": 1 / 3, "tired": 2 / 3}, "face": {"hungry": np.float32(0.9)}}
    events = (Event(0, 1, "cry", 0.9, -20, 20, branches), Event(2, 3, "cry", 0.9, -20, 20))
    first, second = _strict(json.dumps(to_record(make(events=events)), allow_nan=False))["events"]
    assert first["branches"] == {
        "mfcc": {"hungry": 0.3333, "tired": 0.6667},
        "face": {"hungry": 0.9},
    }
    assert "branches" not in second


def test_what_branches_without_skill_said_is_told_only_when_asked_for(make, tmp_path):
    branches = {"mfcc": {"hungry": 0.6, "tired": 0.4}}
    found = make(label="not sure", events=(Event(0, 1, "cry", 0.9, -20, 20, branches),))
    assert "branches" not in to_record(found)["events"][0]
    assert to_record(found, show_experimental=True)["events"][0]["branches"] == branches
    for asked in (False, True):
        (path,) = write(found, tmp_path, ["json"], show_experimental=asked)
        assert ("branches" in _strict(path.read_text())["events"][0]) == asked


def test_classes_and_faces_are_columns_of_the_tables(make, tmp_path):
    classification = make(events=())
    n_frames = len(classification.timeline["time_s"])
    rising = np.linspace(0, 1, n_frames, dtype=np.float32)
    classification.timeline["face"] = np.round(rising)
    for name in ("hungry", "hungry_smooth"):
        classification.timeline[name] = np.where(rising < 0.5, np.nan, rising)
    table, _, _, path = write(classification, tmp_path, ["csv", "json"])
    rows, columns = _rows(table), _strict(path.read_text())["timeline"]
    assert list(rows[0]) == list(columns)
    assert {"face", "hungry", "hungry_smooth"} < set(columns)
    assert (rows[0]["hungry"], columns["hungry"][0]) == ("", None)
    assert (float(rows[0]["face"]), float(rows[-1]["face"])) == (0, 1)
    assert float(rows[-1]["hungry_smooth"]) == columns["hungry_smooth"][-1] == 1


def test_what_is_not_known_is_null_in_the_record(make):
    events = (Event(0, 1, "cry", math.nan, -math.inf, math.nan),)
    record = to_record(make(detector=Detection(None, None, 0.0), events=events))
    assert record["detector"] == {"cry": None, "probability": None, "seconds": None}
    event = record["events"][0]
    assert event["confidence"] is event["intensity_db"] is event["above_background_db"] is None


def test_skill_with_numpy_numbers_and_nan_is_plain_json(make):
    skill = [
        {
            "part": "detector",
            "modalities": ("sound",),
            "figures": {"auc": {"value": np.float32(0.9583), "interval": np.array([0.94, np.nan])}},
            "subjects": np.int64(46),
            "chance": None,
        }
    ]
    entry = _strict(json.dumps(to_record(make(skill=skill)), allow_nan=False))["skill"][0]
    assert entry["figures"]["auc"] == {"value": 0.9583, "interval": [0.94, None]}
    assert entry["subjects"] == 46
    assert entry["modalities"] == ["sound"]


def test_any_file_name_survives_the_record(make):
    name = "été/bébé 日本\udce9\n-\u202e.wav"
    line = json.dumps(to_record(make(path=name)), allow_nan=False)
    assert "\n" not in line
    assert _strict(line)["path"] == name


def test_numpy_scalars_do_not_leak_into_the_record(make):
    classification = make(
        duration_s=np.float32(12.0),
        label="cry",
        detector=Detection(np.bool_(True), np.float32(0.5), np.float64(5.2)),
        probabilities={"cry": np.float32(0.9)},
    )
    assert _strict(json.dumps(to_record(classification)))["probabilities"] == {"cry": 0.9}


def test_the_json_file_is_the_record_and_the_timeline(make, tmp_path):
    classification = make()
    (path,) = write(classification, tmp_path, ["json"])
    data = _strict(path.read_text(encoding="utf-8"))
    timeline = data.pop("timeline")
    assert data == to_record(classification)
    assert next(iter(timeline)) == "time_s"
    assert timeline["cry"][0] is None
    for name, values in classification.timeline.items():
        read = np.array(timeline[name], dtype=float)
        np.testing.assert_allclose(read, values, atol=PRINTED_STEP, equal_nan=True)


def test_the_csv_has_a_row_a_frame_with_empty_cells_where_nothing_is_known(make, tmp_path):
    classification = make()
    path, _, _ = write(classification, tmp_path, ["csv"])
    rows = _rows(path)
    assert list(rows[0]) == ["time_s", "cry", "cry_smooth"]
    assert len(rows) == len(classification.timeline["cry"])
    assert rows[0]["cry"] == ""
    for name, values in classification.timeline.items():
        read = [float(row[name] or "nan") for row in rows]
        np.testing.assert_allclose(read, values, atol=PRINTED_STEP, equal_nan=True)


def test_the_events_csv_reads_back(make, tmp_path):
    events = (Event(1.5, 4.25, 'belly, "pain" night', 0.97, -math.inf, 31.0),)
    _, path, _ = write(make(events=events), tmp_path, ["csv"])
    (row,) = _rows(path)
    assert row["label"] == 'belly, "pain" night'
    assert (float(row["onset_s"]), float(row["offset_s"])) == (1.5, 4.25)
    assert row["intensity_db"] == row["other_tag"] == row["other_tag_score"] == ""


def test_the_csv_has_a_table_of_bouts(make, tmp_path):
    _, events, bouts = write(make(events=CLOSE), tmp_path, ["csv"])
    assert [row["other_tag"] for row in _rows(events)] == ["music", "", ""]
    first, second = _rows(bouts)
    assert (float(first["onset_s"]), float(first["offset_s"])) == (1.0, 3.0)
    assert (int(first["n_events"]), int(second["n_events"])) == (2, 1)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d"])
def test_no_cell_starts_as_a_formula_and_numbers_stay_numbers(make, tmp_path, start):
    label = f"{start}cmd|' /C calc'!A0"
    event = Event(1.0, 2.0, label, 0.9, -18.25, -3.0, other_tag=label, other_tag_score=0.5)
    found = make(events=(event,), label=label)
    found.timeline[label] = np.zeros(360, np.float32)
    tables = write(found, tmp_path, ["csv"])
    for path in tables:
        header, *rows = csv.reader(path.read_text(encoding="utf-8").splitlines())
        for cell in (*header, *(cell for row in rows for cell in row)):
            assert not cell.startswith(start) or float(cell) < 0
            assert cell.isprintable()
    (row,) = _rows(tables[1])
    assert row["label"].startswith("'")
    assert (row["intensity_db"], row["above_background_db"]) == ("-18.2", "-3.0")


def test_a_cell_keeps_a_name_as_it_is_but_for_what_cannot_be_shown():
    assert spreadsheet_cell("9:41\u202fAM \u00e9\U0001f468\u200d\U0001f37c.wav") == (
        "9:41\u202fAM \u00e9\U0001f468\u200d\U0001f37c.wav"
    )
    assert spreadsheet_cell("a\x00\n\x85\u202e\u2028\udce9b") == (r"a\x00\n\x85\u202e\u2028\udce9b")
    assert spreadsheet_cell("") == ""
    assert spreadsheet_cell("a=b") == "a=b"


def test_a_clip_without_events_or_length_gives_tables_with_only_a_header(make, tmp_path):
    classification = make(duration_s=0.0, events=(), label="no cry")
    table, events, bouts, path = write(classification, tmp_path, ["csv", "json"])
    assert _rows(table) == _rows(events) == _rows(bouts) == []
    assert table.read_text().startswith("time_s,")
    assert events.read_text().startswith("path,subject,event,")
    assert _strict(path.read_text())["timeline"]["time_s"] == []


def test_the_quality_has_a_row_a_minute_and_what_was_not_scored(make, tmp_path):
    minutes = (MinuteQuality(0.0, 60.0, 0.25, 0.0, -41.23456), MinuteQuality(60.0, 9.0, 0, 1, -120))
    timeline = {"time_s": np.arange(2070) / 30, "cry": np.zeros(2070, np.float32)}
    timeline["cry"][:450] = np.nan
    result = make(timeline=timeline, quality=minutes, quiet_seconds=(15.0, 9.0))
    (path,) = write(result, tmp_path, ["quality"])
    first, second = _rows(path)
    assert (first["clipped_share"], first["noise_floor_dbfs"]) == ("0.25", "-41.2346")
    assert (first["not_scored_share"], second["not_scored_share"]) == ("0.5", "1.0")
    assert (second["start_s"], second["silent_share"]) == ("60.0", "1.0")
