"""``cryvision reproduce``: run the experiments that repeat a published system's figures."""

from __future__ import annotations

import argparse
from typing import Any

from cryvision.commands.terminal import EXIT_DONE, EXIT_FAILED, log

SCRIPTS = {"cha-bae": {2: "cha_bae.py", 3: "table3.py"}}
"""Published system to its tables, and each to the script in ``experiments/`` that repeats it."""


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "reproduce",
        help="repeat a published system's figures, from a source checkout",
        description="Run the script in experiments/ that repeats a published table, under the "
        "protocol that explains it and with subjects kept apart. The result is a JSON file in "
        "experiments/results/. It needs a source checkout, and for some tables recordings in the "
        "folder that the environment variable CRYVISION_DATA names. Each script states its "
        "minutes.",
    )
    parser.add_argument("system", choices=tuple(SCRIPTS), help="whose figures")
    parser.add_argument(
        "--table", type=int, default=2, metavar="N", help="table of the article (default 2)"
    )
    parser.add_argument(
        "--arguments",
        default="",
        metavar="TEXT",
        help="what the script itself takes, in quotes; that of table 3 takes a folder of videos",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    import shlex
    import subprocess
    import sys
    from pathlib import Path

    import cryvision
    from cryvision.errors import ConfigError, CryvisionError

    tables = SCRIPTS[options.system]
    if options.table not in tables:
        known = ", ".join(map(str, tables))
        raise ConfigError(f"the tables of {options.system} are {known}; got {options.table}")
    script = Path(cryvision.__file__).resolve().parent.parent / "experiments"
    script /= tables[options.table]
    if not script.is_file():
        raise CryvisionError(
            f"{script}: the experiments are part of a source checkout; they are not installed"
        )
    done = subprocess.run([sys.executable, script, *shlex.split(options.arguments)], check=False)
    if done.returncode:
        log(f"{script.name} ended with exit status {done.returncode}")
    return EXIT_FAILED if done.returncode else EXIT_DONE
