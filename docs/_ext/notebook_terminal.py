"""What a tutorial needs to show a terminal: a folder of its own, and ``%%bash`` cells.

A tutorial's first cell, which no reader sees, is ::

    import sys

    sys.path.insert(0, "../_ext")
    import notebook_terminal

    notebook_terminal.start("examples/demo.mp4")

IPython has a ``%%bash`` of its own, but it prints what a command says in pieces of 100 bytes, and a
page shows them as cut lines.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from IPython.core.magic import register_cell_magic

ROOT = Path(__file__).resolve().parents[2]

_folder = tempfile.TemporaryDirectory()


def start(*files: str) -> None:
    """Change into a new folder with copies of some of the checkout's files."""
    os.chdir(_folder.name)
    for name in files:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, name)
    # The command of this Python, whether or not its environment is active.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    register_cell_magic("bash")(run_in_bash)


def run_in_bash(line: str, cell: str) -> None:
    """Run a cell in bash; all it says goes to the page, less the path of the tutorial's folder.

    Raises
    ------
    CalledProcessError
        When the last command fails, or one before it.
    """
    done = subprocess.run(
        ["bash", "-e", "-c", cell], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    print(done.stdout.replace(f"{os.getcwd()}/", ""), end="")
    done.check_returncode()
