"""Tables and trainings give what they gave, unless a commit says why they change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from golden_trainings import GOLDEN, SYSTEMS, table, training, write_clips
from test_golden import flat

TABLE_TOLERANCE = 1e-5
"""Another processor, or another version of ONNX Runtime, rounds otherwise."""

TRAINING_TOLERANCE = 1e-4
"""On one machine results are equal within 1e-6; on another processor TensorFlow may choose other
kernels, and epochs add up differences: 1.1e-5 was seen, in a calibration error."""


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("clips")
    write_clips(folder)
    return folder


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return found


def check(found: Any, wanted: Any, tolerance: float) -> None:
    found, wanted = flat(found), flat(wanted)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        exact = value is None or isinstance(value, str | bool)
        assert found[name] == (value if exact else pytest.approx(value, abs=tolerance)), name


def test_a_table_holds_what_it_held(clips: Path, expected: dict[str, Any]) -> None:
    wanted = numbers(expected["score"])
    found = [
        {name: row[name] for name in old}
        for row, old in zip(numbers(table(clips)), wanted, strict=True)
    ]
    check(found, wanted, TABLE_TOLERANCE)


@pytest.mark.slow
@pytest.mark.usefixtures("all_draws")
@pytest.mark.parametrize("system", SYSTEMS)
def test_a_training_gives_what_it_gave(system: str, clips: Path, expected: dict[str, Any]) -> None:
    check(training(system, clips), expected[system], TRAINING_TOLERANCE)


def numbers(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Read the cells of a table that are JSON, numbers among them."""
    return [{name: _read(cell) for name, cell in row.items()} for row in rows]


def _read(cell: str) -> Any:
    try:
        return json.loads(cell)
    except ValueError:
        return cell
