"""Finished work is found again by the training it belongs to, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryvision.errors import CryvisionError
from cryvision.training.checkpoints import Checkpoints, data_sha256

FACTS = {"seed": 0, "data": "abc", "labels": ["hungry", "tired"]}


@pytest.fixture
def kept(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "progress", FACTS)


def result(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"probabilities": rng.random((5, 3)), "number": np.arange(4)}


def test_what_was_saved_comes_back_as_it_was(kept: Checkpoints, tmp_path: Path) -> None:
    assert kept.load("fold-0") is None
    kept.save("fold-0", result())
    kept.save("fold-1", result(1))
    for name, seed in (("fold-0", 0), ("fold-1", 1)):
        found = Checkpoints(tmp_path / "progress", dict(reversed(FACTS.items()))).load(name)
        assert found is not None
        assert set(found) == set(result())
        for key, array in result(seed).items():
            np.testing.assert_array_equal(found[key], array)
            assert found[key].dtype == array.dtype


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"data": "abd"}, {"labels": ["tired", "hungry"]}, {"more": None}]
)
def test_another_training_does_not_see_it(
    kept: Checkpoints, tmp_path: Path, change: dict[str, Any]
) -> None:
    kept.save("fold-0", result())
    other = Checkpoints(tmp_path / "progress", {**FACTS, **change})
    assert other.load("fold-0") is None
    other.save("fold-0", result(1))
    found = kept.load("fold-0")
    assert found is not None
    np.testing.assert_array_equal(found["probabilities"], result()["probabilities"])


@pytest.mark.parametrize("n_bytes", [0, 1, 40, 200, -1])
def test_a_damaged_file_counts_as_none(kept: Checkpoints, tmp_path: Path, n_bytes: int) -> None:
    kept.save("fold-0", result())
    (path,) = (tmp_path / "progress").iterdir()
    path.write_bytes(path.read_bytes()[:n_bytes])
    assert kept.load("fold-0") is None
    kept.save("fold-0", result())
    assert kept.load("fold-0") is not None


def test_a_bit_that_changed_is_noticed(kept: Checkpoints, tmp_path: Path) -> None:
    kept.save("fold-0", result())
    (path,) = (tmp_path / "progress").iterdir()
    data = bytearray(path.read_bytes())
    data[data.index(result()["probabilities"].tobytes()) + 5] ^= 1
    path.write_bytes(data)
    assert kept.load("fold-0") is None


def test_a_save_that_is_interrupted_leaves_nothing(
    kept: Checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(file: Any, **arrays: np.ndarray) -> None:
        file.write(b"PK half of")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", interrupted)
    with pytest.raises(KeyboardInterrupt):
        kept.save("fold-0", result())
    assert list((tmp_path / "progress").iterdir()) == []
    assert kept.load("fold-0") is None


def test_a_place_that_cannot_be_written_is_one_line(kept: Checkpoints, tmp_path: Path) -> None:
    (tmp_path / "progress").write_text("a file, not a folder")
    with pytest.raises(CryvisionError, match=r"fold-0-\w+\.npz: cannot be written: "):
        kept.save("fold-0", result())


def test_what_a_kill_left_half_written_is_not_looked_at(kept: Checkpoints, tmp_path: Path) -> None:
    kept.save("fold-0", result())
    (path,) = (tmp_path / "progress").iterdir()
    path.rename(path.with_name(f".{path.name}.0123abcd.partial"))
    assert kept.load("fold-0") is None


def test_pickles_are_not_read(kept: Checkpoints, tmp_path: Path) -> None:
    kept.save("fold-0", {"objects": np.array([{}], dtype=object)})
    assert kept.load("fold-0") is None


def test_when_all_is_done_nothing_stays(kept: Checkpoints, tmp_path: Path) -> None:
    kept.save("fold-0", result())
    kept.remove()
    assert not (tmp_path / "progress").exists()
    kept.remove()


def test_the_hash_of_data_is_of_names_types_shapes_and_values() -> None:
    data = {"a": np.arange(6), "b": np.array(["x", "yy"])}
    same = {"b": np.array(["x", "yy"]), "a": np.arange(12)[::2] // 2}
    assert data_sha256(data) == data_sha256(same)
    changes: list[dict[str, np.ndarray]] = [
        {"a": np.arange(6)[::-1]},
        {"a": np.arange(6).reshape(2, 3)},
        {"a": np.arange(6).astype(np.float64)},
        {"b": np.array(["x", "yz"])},
        {"c": np.arange(1)},
    ]
    hashes = {data_sha256({**data, **change}) for change in changes} | {data_sha256(data)}
    assert len(hashes) == len(changes) + 1
