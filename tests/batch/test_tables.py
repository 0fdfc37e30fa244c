"""One row reads back the same from CSV, JSON lines and Parquet."""

from __future__ import annotations

import json
import sys

import pytest
from drivers import read_table

from cryvision.batch import tables
from cryvision.batch.rows import COLUMNS, kind_of, ordered_columns
from cryvision.errors import ConfigError, MissingDependencyError

ROWS = [
    {
        "path": 'a,"b"\n\udce9.wav',
        "status": "ok",
        "duration_s": 7.25,
        "label": "cry",
        "probabilities_no_cry": 0.25,
        "detector_cry": True,
        "n_bouts": 2,
        "heard_music_s": 2.4,
        "events": [{"onset_s": 0.5, "label": "cry é"}],
        "warnings": [],
        "novelty": {"a": 1},
    },
    {"path": "b.wav", "status": "MediaError", "error": "b.wav: damaged"},
]
NAMES = ordered_columns(["novelty", "probabilities_no_cry"])


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_rows_read_back_with_every_column_in_order(tmp_path, suffix):
    path = tmp_path / f"t{suffix}"
    tables.writer(str(path))(path, NAMES, iter(ROWS))
    first, second = read_table(path)
    assert list(first) == list(second) == NAMES

    def plain(value: object) -> object:
        return json.loads(value) if isinstance(value, str) and value else value

    as_written = {
        ".csv": 'a,"b"\\n\\udce9.wav',
        ".jsonl": ROWS[0]["path"],
        ".parquet": 'a,"b"\n\\udce9.wav',
    }
    assert first["path"] == as_written[suffix]
    assert float(first["heard_music_s"]) == 2.4
    assert float(first["duration_s"]) == 7.25
    assert float(first["probabilities_no_cry"]) == 0.25
    assert int(first["n_bouts"]) == 2
    assert first["detector_cry"] in (True, "true")
    assert plain(first["events"]) == ROWS[0]["events"]
    assert plain(first["warnings"]) == []
    assert plain(first["novelty"]) == {"a": 1}
    assert second["n_bouts"] in (None, "")
    assert second["error"] == "b.wav: damaged"


def test_parquet_columns_have_their_types_even_where_all_is_empty(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "t.parquet"
    tables.write_parquet(path, NAMES, iter(ROWS[1:]))
    schema = parquet.read_schema(path)
    types = {name: str(schema.field(name).type) for name in schema.names}
    assert types["duration_s"] == types["probabilities_no_cry"] == "double"
    assert (types["n_bouts"], types["detector_cry"]) == ("int64", "bool")
    assert types["heard_music_s"] == "double"
    assert types["path"] == types["events"] == "string"


def test_no_cell_of_a_csv_is_a_formula_or_turns_its_text_around(tmp_path):
    bad = '=HYPERLINK("http://x")'
    row = {
        "path": f"{bad}.wav",
        "status": "MediaError",
        "error": "@SUM(1)\u202e\x1b[31m\u2028",
        "label": "+1",
        "veto": "-off",
        "intensity_db": -18.5,
        "warnings": ["=1", "a\u202eb\x7f", "\udce9"],
        "probabilities_=x": 0.5,
    }
    path = tmp_path / "t.csv"
    tables.write_records(path, ordered_columns(row), iter([row]))
    (read,) = read_table(path)
    assert read["path"] == f"'{bad}.wav"
    assert read["error"] == r"'@SUM(1)\u202e\x1b[31m\u2028"
    assert (read["label"], read["veto"], read["intensity_db"]) == ("'+1", "'-off", "-18.5")
    assert json.loads(read["warnings"]) == row["warnings"]
    text = path.read_text(encoding="utf-8")
    assert not set(text) & set("\u202e\x1b\u2028\x7f")


def test_a_table_without_rows_has_its_header(tmp_path):
    for suffix in (".csv", ".jsonl", ".parquet"):
        tables.writer(f"t{suffix}")(tmp_path / f"t{suffix}", NAMES, iter(()))
    assert (tmp_path / "t.csv").read_text() == ",".join(NAMES) + "\n"
    assert read_table(tmp_path / "t.parquet") == []


def test_probabilities_stand_after_the_label_and_what_is_new_at_the_end():
    at = NAMES.index("label")
    assert NAMES[at + 1] == "probabilities_no_cry"
    assert NAMES[-1] == "novelty"
    assert set(NAMES) == {*COLUMNS, "probabilities_no_cry", "novelty"}
    assert {kind_of(name) for name in NAMES} == {"text", "real", "whole", "truth", "json"}


def test_another_suffix_is_refused():
    with pytest.raises(ConfigError, match=r"must end in \.csv, \.jsonl, \.parquet; got 't\.tsv'"):
        tables.writer("t.tsv")


def test_parquet_without_pyarrow_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'cryvision\[batch\]'"):
        tables.writer("t.parquet")
