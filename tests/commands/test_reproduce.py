"""``reproduce`` runs the script of a table, and says what there is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cryvision
from cryvision import cli
from cryvision.commands import reproduce

Command = Callable[..., Any]


@pytest.fixture
def checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A checkout whose scripts write down what they were given, and fail if told to."""
    monkeypatch.setattr(cli, "COMMANDS", (reproduce,))
    monkeypatch.setattr(cryvision, "__file__", str(tmp_path / "cryvision" / "__init__.py"))
    scripts = tmp_path / "experiments"
    scripts.mkdir()
    for name in reproduce.SCRIPTS["cha-bae"].values():
        (scripts / name).write_text(
            "import pathlib, sys\n"
            "pathlib.Path(__file__).with_suffix('.out').write_text(' '.join(sys.argv[1:]))\n"
            "sys.exit('fail' in sys.argv)\n"
        )
    return scripts


def test_every_script_is_there() -> None:
    folder = Path(cryvision.__file__).resolve().parent.parent / "experiments"
    for tables in reproduce.SCRIPTS.values():
        assert all((folder / script).is_file() for script in tables.values())


def test_a_table_is_run_with_what_its_script_takes(checkout: Path, run: Command) -> None:
    assert run("reproduce", "cha-bae").code == 0
    assert (checkout / "cha_bae.out").read_text() == ""
    assert (
        run("reproduce", "cha-bae", "--table", "3", "--arguments", "videos --gate none").code == 0
    )
    assert (checkout / "table3.out").read_text() == "videos --gate none"


def test_a_script_that_fails_is_told(checkout: Path, run: Command) -> None:
    done = run("reproduce", "cha-bae", "--arguments", "fail")
    assert done.code == 1
    assert "cha_bae.py ended with exit status 1" in done.err


def test_other_tables_and_installed_packages_are_refused(checkout: Path, run: Command) -> None:
    done = run("reproduce", "cha-bae", "--table", "7")
    assert done.code == 2
    assert "the tables of cha-bae are 2, 3; got 7" in done.err
    for script in checkout.iterdir():
        script.unlink()
    done = run("reproduce", "cha-bae")
    assert done.code == 1
    assert "part of a source checkout" in done.err
