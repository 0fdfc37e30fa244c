"""Rows that grow with a stream are the same, whether they lie in memory or on disk."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from cryvision.errors import CryvisionError
from cryvision.inputs import frame_rows
from cryvision.inputs.frame_rows import FrameRows, RowFiles

ROWS = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)


@pytest.fixture(autouse=True)
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_rows, "FRAMES_IN_MEMORY", 20)


def grown(rows: np.ndarray, files: RowFiles | None) -> FrameRows:
    grown = FrameRows(3, files)
    for first in range(0, len(rows), 7):
        grown.append(rows[first : first + 7])
    return grown


@pytest.mark.parametrize(("first", "stop"), [(0, 100), (10, 90), (95, 100), (0, 130), (100, 120)])
def test_rows_on_disk_are_those_in_memory(first: int, stop: int) -> None:
    in_memory, on_disk = grown(ROWS, None), grown(ROWS, RowFiles())
    assert len(in_memory) == len(on_disk) == 100
    expected = in_memory.table(first, stop)
    np.testing.assert_array_equal(on_disk.table(first, stop), expected)
    np.testing.assert_array_equal(expected[: max(0, 100 - first)], ROWS[first:stop])
    assert np.isnan(expected[max(0, 100 - first) :]).all()


def test_what_is_changed_in_a_table_is_changed_there_alone(tmp_path: Path) -> None:
    rows = grown(ROWS, RowFiles(tmp_path))
    rows.table(0, 100)[:] = 0
    np.testing.assert_array_equal(rows.table(0, 100), ROWS)


@pytest.mark.parametrize("index", [5, 70, 99])
def test_a_row_is_replaced_wherever_it_lies(index: int) -> None:
    rows = grown(ROWS, RowFiles())
    rows.replace(index, np.zeros(3, np.float32))
    expected = ROWS.copy()
    expected[index] = 0
    np.testing.assert_array_equal(rows.table(0, 100), expected)


def descriptors() -> int:
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("descriptors are not listed here")
    return len(list(folder.iterdir()))


def test_tables_of_an_hour_hold_no_file_open() -> None:
    """A list of results must not run into the limit on open files: 256 on macOS."""
    before = descriptors()
    tables = [grown(ROWS, RowFiles()).table(0, 100) for _ in range(3)]
    assert descriptors() == before
    assert len(tables) == 3


def test_a_table_of_a_day_is_read_from_the_file_as_it_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frame_rows, "FRAMES_READ_AT_ONCE", 90)
    before = descriptors()
    table = grown(ROWS, RowFiles()).table(0, 100)
    assert descriptors() == before + 1
    np.testing.assert_array_equal(table, ROWS)


def test_too_many_open_files_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_rows, "FRAMES_READ_AT_ONCE", 90)
    rows = grown(ROWS, RowFiles())

    def refuse(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(np, "memmap", refuse)
    with pytest.raises(CryvisionError, match="cannot be read: Too many open files"):
        rows.table(0, 100)


def test_a_saved_state_goes_on_without_the_rows_that_came_after_it(tmp_path: Path) -> None:
    class Pickler(pickle.Pickler):
        def persistent_id(self, value: object) -> str | None:
            return "files" if isinstance(value, RowFiles) else None

    class Unpickler(pickle.Unpickler):
        def persistent_load(self, name: str) -> RowFiles:
            return RowFiles(tmp_path)

    rows = grown(ROWS[:50], RowFiles(tmp_path))
    with open(tmp_path / "state", "wb") as file:
        Pickler(file).dump(rows)
    rows.append(np.zeros((40, 3), np.float32))
    with open(tmp_path / "state", "rb") as file:
        again = Unpickler(file).load()
    again.append(ROWS[50:])
    np.testing.assert_array_equal(again.table(0, 100), ROWS)
    # A file that has lost rows is no state to go on from.
    (tmp_path / "1.rows").write_bytes(b"")
    with open(tmp_path / "state", "rb") as file, pytest.raises(OSError, match="lost rows"):
        Unpickler(file).load()


def test_a_full_disk_is_one_line_that_names_the_place(tmp_path: Path) -> None:
    files = RowFiles(tmp_path / "file")
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(CryvisionError, match=r"file: a long recording needs room .* cannot be"):
        grown(ROWS, files)
