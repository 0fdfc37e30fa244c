"""``reproduce`` runs the scripts of a published system, and says what there is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cryvision
from cryvision import cli
from cryvision.commands import reproduce

Command = Callable[..., Any]

ALL_SCRIPTS = [
    *(name for tables in reproduce.SCRIPTS.values() for name in tables.values()),
    reproduce.SIZES,
]


@pytest.fixture
def checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A checkout whose scripts write down what they were given, and fail if told to."""
    monkeypatch.setattr(cli, "GROUPS", {"use": (reproduce,)})
    monkeypatch.setattr(cryvision, "__file__", str(tmp_path / "cryvision" / "__init__.py"))
    scripts = tmp_path / "experiments"
    scripts.mkdir()
    for name in ALL_SCRIPTS:
        (scripts / name).write_text(
            "import pathlib, sys\n"
            "pathlib.Path(__file__).with_suffix('.out').write_text(' '.join(sys.argv[1:]))\n"
            "sys.exit('fail' in sys.argv)\n"
        )
    return scripts


def ran(checkout: Path) -> set[str]:
    return {f"{path.stem}.py" for path in checkout.glob("*.out")}


def test_every_script_is_there() -> None:
    folder = Path(cryvision.__file__).resolve().parent.parent / "experiments"
    assert all((folder / script).is_file() for script in ALL_SCRIPTS)


def test_a_table_is_run_with_what_its_script_takes(checkout: Path, run: Command) -> None:
    done = run("reproduce", "cha-bae", "--table", "3", "--arguments", "videos --gate none")
    assert done.code == 0
    assert ran(checkout) == {"table3.py"}
    assert (checkout / "table3.out").read_text() == "videos --gate none"


def test_a_system_runs_all_of_its_tables_and_all_runs_everything(
    checkout: Path, run: Command
) -> None:
    assert run("reproduce", "cha-bae").code == 0
    assert ran(checkout) == {"cha_bae.py", "table3.py"}
    assert run("reproduce", "all").code == 0
    assert ran(checkout) == set(ALL_SCRIPTS)


def test_a_script_that_fails_is_told_and_the_others_go_on(checkout: Path, run: Command) -> None:
    (checkout / "cha_bae.py").write_text("import sys\nsys.exit('no recordings')\n")
    done = run("reproduce", "all")
    assert done.code == 1
    assert "cha_bae.py ended with exit status 1" in done.err
    assert ran(checkout) == set(ALL_SCRIPTS) - {"cha_bae.py"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("cha-bae", "--table", "7"), "the tables of cha-bae are 2, 3; got 7"),
        (("all", "--table", "2"), "--table is of one system; got all"),
        (("deepinfant", "--arguments", "x"), "name its --table"),
    ],
)
def test_what_there_is_not_is_refused(
    checkout: Path, run: Command, arguments: tuple[str, ...], words: str
) -> None:
    done = run("reproduce", *arguments)
    assert done.code == 2
    assert words in done.err
    assert not ran(checkout)


def test_an_installed_package_has_no_experiments(checkout: Path, run: Command) -> None:
    for script in checkout.iterdir():
        script.unlink()
    done = run("reproduce", "tinytoes")
    assert done.code == 1
    assert "part of a source checkout" in done.err
