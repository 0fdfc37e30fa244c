"""The server's own folder: uploads and results, for its owner alone, gone when it ends."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cryvision.batch.scratch import lock, sweep

PREFIX = "cryvision-web-"
_LOCK = "lock"


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """Make a folder that only its owner can read, and remove it at the end.

    What servers that were killed have left behind is removed when the next one starts. All
    temporary files of this process go there too.
    """
    before = tempfile.tempdir
    sweep(Path(tempfile.gettempdir()), PREFIX, _LOCK)
    path = Path(tempfile.mkdtemp(prefix=PREFIX))  # mode 0700
    try:
        with open(path / _LOCK, "w+b") as file:
            with contextlib.suppress(OSError):  # without locks here, nothing is swept either
                lock(file)
            for name in ("clips", "results", "requests", "downloads", "temporary"):
                (path / name).mkdir()
            tempfile.tempdir = str(path / "temporary")
            yield path
    finally:
        tempfile.tempdir = before
        shutil.rmtree(path, ignore_errors=True)
