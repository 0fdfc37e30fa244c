"""One row an event over all clips, each once, however the run went."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import pytest
from drivers import read_table

import cryvision
from cryvision.batch.job import Job
from cryvision.errors import ConfigError, CryvisionError
from cryvision.outputs.event_rows import event_measures

pytestmark = pytest.mark.usefixtures("same_process")

NAMES = [measure.name for measure in event_measures(acoustics=False)]


@pytest.fixture
def job() -> Job:
    """A job whose clips have as many events as their names say."""
    return Job(None, "null", "0" * 64, "0", os.getcwd(), scorer="scorers:EventScorer")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_every_event_of_every_clip_is_a_row(
    make_clips: Any, run_null: Any, job: Job, tmp_path: Path, suffix: str
) -> None:
    clips = make_clips("a-2.wav", "b-0.wav", "c-damaged.wav", "d-3.wav")
    events = tmp_path / f"events{suffix}"
    run_null(clips, job=job, events=str(events))
    rows = read_table(events)
    assert [Path(row["path"]).name for row in rows] == ["a-2.wav"] * 2 + ["d-3.wav"] * 3
    assert [int(row["event"]) for row in rows] == [1, 2, 1, 2, 3]
    assert list(rows[0]) == NAMES
    assert [float(row["onset_s"]) for row in rows[:2]] == [0.0, 1.0]


def test_a_run_that_goes_on_adds_no_event_twice(
    make_clips: Any, run_null: Any, job: Job, tmp_path: Path
) -> None:
    clips, events = make_clips("a-2.wav"), tmp_path / "events.csv"
    run_null(clips, job=job, events=str(events))
    make_clips("b-1.wav")
    for _ in range(2):
        summary = run_null(clips, job=job, events=str(events))
        assert [int(row["event"]) for row in read_table(events)] == [1, 2, 1]
    assert summary.n_scored == 0


def test_a_table_of_events_may_be_wanted_later_and_nothing_is_scored_for_it(
    make_clips: Any, run_null: Any, job: Job, tmp_path: Path
) -> None:
    clips = make_clips("a-2.wav")
    run_null(clips, job=job)
    assert run_null(clips, job=job, events=str(tmp_path / "events.csv")).n_scored == 0
    assert len(read_table(tmp_path / "events.csv")) == 2


def test_the_dictionary_beside_it_explains_each_column(
    make_clips: Any, run_null: Any, job: Job, tmp_path: Path
) -> None:
    run_null(make_clips("a-1.wav"), job=job, events=str(tmp_path / "e.parquet"))
    with open(tmp_path / "e.parquet.dictionary.csv", encoding="utf-8", newline="") as file:
        dictionary = list(csv.DictReader(file))
    assert [row["name"] for row in dictionary] == list(read_table(tmp_path / "e.parquet")[0])
    assert all(row["meaning"] for row in dictionary)


def test_subjects_of_a_manifest_are_in_the_rows(
    make_clips: Any, run_null: Any, job: Job, tmp_path: Path
) -> None:
    folder = make_clips("a-1.wav", "b-1.wav", "c-1.wav")
    manifest = folder / "study.csv"
    manifest.write_text("path,Subject\na-1.wav,P01\nb-1.wav, P02 \nc-1.wav,\n")
    run_null(manifest, job=job, events=str(tmp_path / "events.jsonl"))
    assert [row["subject"] for row in read_table(tmp_path / "events.jsonl")] == ["P01", "P02", None]


@pytest.mark.parametrize("folder_first", [True, False])
def test_a_manifest_and_a_folder_give_a_clip_once_with_what_is_stated_of_it(
    make_clips: Any, run_null: Any, job: Job, tmp_path: Path, folder_first: bool
) -> None:
    folder = make_clips("a-1.wav", "b-1.wav")
    manifest, other = folder / "study.csv", folder / "other.csv"
    manifest.write_text("path,subject\na-1.wav,P01\n./a-1.wav,P01\n")
    other.write_text("path,start\na-1.wav,2024-03-05T14:22:33\n")
    sources = [folder, manifest, other][:: 1 if folder_first else -1]
    summary = run_null(*sources, job=job, events=str(tmp_path / "events.jsonl"))
    assert (summary.n_clips, summary.n_scored) == (2, 2)
    rows = {Path(row["path"]).name: row for row in read_table(tmp_path / "events.jsonl")}
    assert {name: row["subject"] for name, row in rows.items()} == {
        "a-1.wav": "P01",
        "b-1.wav": None,
    }
    again = run_null(*sources[::-1], job=job)
    assert (again.n_clips, again.n_scored) == (2, 0)  # the row is known, whatever comes first
    assert run_null(folder, job=job).n_scored == 1  # a start makes another row


@pytest.mark.parametrize(
    ("column", "first", "second"),
    [("subject", "P01", "P02"), ("start", "2024-03-05T14:22:33", "2024-03-05T14:22:34")],
)
def test_a_clip_that_is_listed_with_two_facts_is_refused(
    make_clips: Any, run_null: Any, job: Job, column: str, first: str, second: str
) -> None:
    manifest = make_clips("a-1.wav") / "study.csv"
    manifest.write_text(f"path,{column}\na-1.wav,{first}\na-1.wav,{second}\n")
    with pytest.raises(ConfigError, match=f"a-1.wav: .*one {column}; got '{first}' and '{second}'"):
        run_null(manifest, job=job)


def test_parquet_has_numbers_where_the_dictionary_says_so(
    make_clips: Any, run_null: Any, job: Job, tmp_path: Path
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    run_null(make_clips("a-1.wav"), job=job, events=str(tmp_path / "e.parquet"))
    schema = parquet.read_schema(tmp_path / "e.parquet")
    kinds = {"text": "string", "real": "double", "whole": "int64"}
    for measure in event_measures(acoustics=False):
        assert str(schema.field(measure.name).type) == kinds[measure.kind]


def test_what_is_no_table_of_a_run_is_not_replaced(
    make_clips: Any, run_null: Any, job: Job, tmp_path: Path
) -> None:
    mine = tmp_path / "events.csv"
    mine.write_text("my thesis")
    with pytest.raises(CryvisionError, match="exists already"):
        run_null(make_clips("a-1.wav"), job=job, events=str(mine))
    assert mine.read_text() == "my thesis"


@pytest.mark.parametrize(
    ("name", "match"), [("e.xlsx", "must end in"), ("table.csv", "of its own")]
)
def test_a_table_that_cannot_be_is_refused(
    make_clips: Any, run_null: Any, job: Job, tmp_path: Path, name: str, match: str
) -> None:
    with pytest.raises(ConfigError, match=match):
        run_null(make_clips("a-1.wav"), job=job, events=str(tmp_path / name))


def test_acoustics_are_a_setting_and_the_table_of_events_is_none() -> None:
    job = Job(None, "b", "0" * 64, "0", "")
    assert job.settings_sha256 != Job(None, "b", "0" * 64, "0", "", acoustics=True).settings_sha256
    assert "events" not in job.settings


def test_score_takes_both(make_media: Any, tmp_path: Path) -> None:
    pytest.importorskip("parselmouth")
    tone = "aevalsrc=0.1*sin(2*PI*450*t):s=16000:d=1"
    path = make_media("tone.wav", "-f", "lavfi", "-i", tone)
    events = tmp_path / "events.csv"
    cryvision.score(path, tmp_path / "clips.csv", events=events, acoustics=True)
    with open(events, encoding="utf-8", newline="") as file:
        header = next(csv.reader(file))
    assert header == [measure.name for measure in event_measures(acoustics=True)]
