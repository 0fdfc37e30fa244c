"""``cryvision reproduce``: run the experiments that repeat the published systems' figures."""

from __future__ import annotations

import argparse
from typing import Any

from cryvision.commands.terminal import EXIT_DONE, EXIT_FAILED, log

SCRIPTS = {
    "cha-bae": {2: "cha_bae.py", 3: "table3.py"},
    "deepinfant": {1: "deepinfant.py"},
    "tinytoes": {1: "tinytoes.py"},
}
"""Published system to its tables, and each to the script in ``experiments/`` that repeats it. The
one figure that a text without tables states counts as table 1."""

EVERYTHING = "all"
SIZES = "systems.py"
"""Counts the weights of all networks: the rest of the documentation's page on reproductions."""


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "reproduce",
        help="repeat the figures of the published systems",
        description="Run the scripts in experiments/ that repeat the figures of a published "
        "system, under protocols that explain them and with subjects kept apart. Results are "
        "JSON files in experiments/results/, from which the documentation's page on reproductions "
        "is made. A source checkout is needed, and for all but table 3 of cha-bae the recordings "
        "in the folder that the environment variable CRYVISION_DATA names. Each script states its "
        "minutes; all of them take less than three hours on two cores.",
    )
    parser.add_argument(
        "system", choices=(*SCRIPTS, EVERYTHING), help="whose figures, or those of all"
    )
    parser.add_argument(
        "--table", type=int, metavar="N", help="one table of the article (default: each)"
    )
    parser.add_argument(
        "--arguments",
        metavar="TEXT",
        help="with --table: what the script itself takes, in quotes; that of table 3 of cha-bae "
        "takes a folder of videos",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    import shlex
    import subprocess
    import sys
    from pathlib import Path

    import cryvision
    from cryvision.errors import CryvisionError

    scripts = _scripts(options)
    folder = Path(cryvision.__file__).resolve().parent.parent / "experiments"
    if missing := [name for name in scripts if not (folder / name).is_file()]:
        raise CryvisionError(
            f"reproduce runs scripts that are part of a source checkout; {folder / missing[0]} is "
            "not there: get the source, and run it in that"
        )
    failed = False
    for name in scripts:
        command = [sys.executable, str(folder / name), *shlex.split(options.arguments or "")]
        if len(scripts) > 1:
            log(f"running {name}")
        done = subprocess.run(command, check=False)
        if done.returncode:
            failed = True
            log(f"{name} ended with exit status {done.returncode}")
    return EXIT_FAILED if failed else EXIT_DONE


def _scripts(options: argparse.Namespace) -> list[str]:
    from cryvision.errors import ConfigError

    if options.arguments is not None and options.table is None:
        raise ConfigError("--arguments are for one script: name its --table")
    if options.system == EVERYTHING:
        if options.table is not None:
            raise ConfigError(f"--table is of one system; got {EVERYTHING}")
        return [*(name for tables in SCRIPTS.values() for name in tables.values()), SIZES]
    tables = SCRIPTS[options.system]
    if options.table is None:
        return list(tables.values())
    if options.table not in tables:
        numbers = ", ".join(map(str, tables))
        raise ConfigError(f"the tables of {options.system} are {numbers}; got {options.table}")
    return [tables[options.table]]
