"""A timeline with a longer hop holds the means of its frames, and is small."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryvision.errors import ConfigError
from cryvision.outputs import write
from cryvision.outputs.timeline_tables import with_hop

THREE_HOURS_S = 10_800
MOST_BYTES = 1_000_000  # of three hours at a hop of 1 s, whose frames are 22 MB of CSV


def long_timeline(seconds: float, n_tags: int = 10) -> dict[str, np.ndarray]:
    n = round(seconds * 30)
    rng = np.random.default_rng(0)
    columns = {f"heard_{i}": rng.random(n, np.float32) for i in range(n_tags)}
    return {"time_s": np.arange(n) / 30, **columns}


def test_each_hop_is_the_mean_of_its_frames(make: Any) -> None:
    timeline = {"time_s": np.arange(75) / 30, "cry": np.arange(75, dtype=np.float32)}
    timeline["cry"][:30] = np.nan
    timeline["cry"][31] = np.nan
    hops = with_hop(make(timeline=timeline), 1.0).timeline
    assert hops["time_s"].tolist() == [0, 1, 2]
    assert np.isnan(hops["cry"][0])
    assert hops["cry"][1] == pytest.approx(np.mean([30, *range(32, 60)]))
    assert hops["cry"][2] == pytest.approx(np.mean(range(60, 75)))


@pytest.mark.parametrize("hop_s", [1 / 30, 0.1, 0.25, 0.7, 60.0])
def test_hops_cover_the_clip(make: Any, hop_s: float) -> None:
    timeline = long_timeline(10.0, 1)
    hops = with_hop(make(timeline=timeline), hop_s).timeline
    assert len(hops["time_s"]) == pytest.approx(max(1, 10.0 / hop_s), abs=1)
    assert np.isfinite(hops["heard_0"]).all()
    if hop_s == 1 / 30:
        np.testing.assert_allclose(hops["heard_0"], timeline["heard_0"], rtol=1e-6)


def test_csv_json_and_parquet_have_the_hop_and_events_stay(make: Any, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    result = make()
    paths = write(result, tmp_path, ["csv", "parquet", "json"], timeline_hop_s=1.0)
    rows = list(csv.DictReader(paths[0].read_text().splitlines()))
    assert len(rows) == 12
    table = parquet.read_table(tmp_path / "demo.timeline.parquet").to_pydict()
    data = json.loads((tmp_path / "demo.json").read_text())
    for name in ("time_s", "cry_smooth"):
        known = [None if value is None else round(value, 4) for value in table[name]]
        assert known == pytest.approx(data["timeline"][name], abs=1e-4)
        assert [float(row[name]) if row[name] else None for row in rows] == data["timeline"][name]
    assert data["events"][0]["onset_s"] == 1.5


@pytest.mark.parametrize("hop_s", [None, 0.1])
def test_times_of_a_night_are_exact(make: Any, tmp_path: Path, hop_s: float | None) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    times = long_timeline(THREE_HOURS_S, 0)["time_s"]
    result = make(timeline={"time_s": times, "cry": np.zeros(len(times), np.float32)}, events=())
    write(result, tmp_path, ["csv", "parquet"], timeline_hop_s=hop_s)
    exact = times if hop_s is None else np.arange(108_000) * hop_s
    with open(tmp_path / "demo.csv", encoding="utf-8") as file:
        of_csv = [float(row["time_s"]) for row in csv.DictReader(file)]
    of_parquet = parquet.read_table(tmp_path / "demo.timeline.parquet")["time_s"].to_numpy()
    np.testing.assert_allclose(of_csv, exact, rtol=0, atol=0.6e-4)  # four places
    np.testing.assert_allclose(of_parquet, exact, rtol=0, atol=1e-9)


def test_hops_of_a_stream_begin_where_its_timeline_does(make: Any) -> None:
    timeline = {"time_s": 600 + np.arange(60) / 30, "cry": np.zeros(60, np.float32)}
    assert with_hop(make(timeline=timeline), 0.5).timeline["time_s"].tolist() == [
        *(600.0, 600.5, 601.0, 601.5)
    ]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_three_hours_are_small(make: Any, tmp_path: Path, form: str) -> None:
    pytest.importorskip("pyarrow")
    result = make(timeline=long_timeline(THREE_HOURS_S), events=())
    path = write(result, tmp_path, [form], timeline_hop_s=1.0)[0]
    assert path.stat().st_size < MOST_BYTES


@pytest.mark.parametrize("hop_s", [0.0, -1.0, float("nan"), float("inf"), 0.01])
def test_a_hop_that_cannot_be_is_refused(make: Any, tmp_path: Path, hop_s: float) -> None:
    with pytest.raises(ConfigError, match="hop of the timeline"):
        write(make(), tmp_path, ["csv"], timeline_hop_s=hop_s)
