"""The JSON record and the tables hold what was found, and nothing that a parser refuses."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np

from cryvision.outputs import to_record, write
from cryvision.result import Detection, Event

RECORD_FIELDS = [
    "path",
    "duration_s",
    "label",
    "probabilities",
    "detector",
    "events",
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
    }


def test_the_share_of_frames_with_a_face_is_told_where_faces_were_looked_for(make):
    record = to_record(make(face_share=np.float32(1 / 3)))
    assert list(record) == [*RECORD_FIELDS[:7], "face_share", *RECORD_FIELDS[7:]]
    assert _strict(json.dumps(record))["face_share"] == 0.3333
    assert to_record(make(face_share=0.0))["face_share"] == 0.0


def test_an_event_tells_what_each_branch_said_of_it(make):
    said = {"mfcc": {"hungry": 1 / 3, "tired": 2 / 3}, "face": {"hungry": np.float32(0.9)}}
    events = (Event(0, 1, "cry", 0.9, -20, 20, said), Event(2, 3, "cry", 0.9, -20, 20))
    first, second = _strict(json.dumps(to_record(make(events=events)), allow_nan=False))["events"]
    assert first["branches"] == {
        "mfcc": {"hungry": 0.3333, "tired": 0.6667},
        "face": {"hungry": 0.9},
    }
    assert "branches" not in second


def test_classes_and_faces_are_columns_of_the_tables(make, tmp_path):
    classification = make(events=())
    n_frames = len(classification.timeline["time_s"])
    rising = np.linspace(0, 1, n_frames, dtype=np.float32)
    classification.timeline["face"] = np.round(rising)
    for name in ("hungry", "hungry_smooth"):
        classification.timeline[name] = np.where(rising < 0.5, np.nan, rising)
    table, _, path = write(classification, tmp_path, ["csv", "json"])
    rows, columns = _rows(table), _strict(path.read_text())["timeline"]
    assert list(rows[0]) == list(columns)
    assert {"face", "hungry", "hungry_smooth"} < set(columns)
    assert (rows[0]["hungry"], columns["hungry"][0]) == ("", None)
    assert (float(rows[0]["face"]), float(rows[-1]["face"])) == (0, 1)
    assert float(rows[-1]["hungry_smooth"]) == columns["hungry_smooth"][-1] == 1


def test_what_is_not_known_is_null_in_the_record(make):
    events = (Event(0, 1, "cry", math.nan, -math.inf, math.nan),)
    record = to_record(make(detector=Detection(None, None, 0.0), events=events))
    assert record["detector"] == {"cry": None, "probability": None, "seconds": 0.0}
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
    path, _ = write(classification, tmp_path, ["csv"])
    rows = _rows(path)
    assert list(rows[0]) == ["time_s", "cry", "cry_smooth"]
    assert len(rows) == len(classification.timeline["cry"])
    assert rows[0]["cry"] == ""
    for name, values in classification.timeline.items():
        read = [float(row[name] or "nan") for row in rows]
        np.testing.assert_allclose(read, values, atol=PRINTED_STEP, equal_nan=True)


def test_the_events_csv_reads_back(make, tmp_path):
    events = (Event(1.5, 4.25, 'belly, "pain"\nnight', 0.97, -math.inf, 31.0),)
    _, path = write(make(events=events), tmp_path, ["csv"])
    (row,) = _rows(path)
    assert row["label"] == 'belly, "pain"\nnight'
    assert (float(row["onset_s"]), float(row["offset_s"])) == (1.5, 4.25)
    assert row["intensity_db"] == ""


def test_a_clip_without_events_or_length_gives_tables_with_only_a_header(make, tmp_path):
    classification = make(duration_s=0.0, events=(), label="no cry")
    table, events, path = write(classification, tmp_path, ["csv", "json"])
    assert _rows(table) == _rows(events) == []
    assert table.read_text().startswith("time_s,")
    assert events.read_text().startswith("onset_s,")
    assert _strict(path.read_text())["timeline"]["time_s"] == []
