"""The server's own folder: uploads and results, for its owner alone, gone when it ends."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path

from cryvision.batch.scratch import lock, sweep

PREFIX = "cryvision-web-"
_LOCK = "lock"


class PrivateFolder:
    """A folder that only its owner can read. A context manager that removes it.

    What servers that were killed have left behind is removed when the next one starts. All
    temporary files of this process go there too.

    Attributes
    ----------
    path : Path
    """

    def __enter__(self) -> PrivateFolder:
        self._before = tempfile.tempdir
        sweep(Path(tempfile.gettempdir()), PREFIX, _LOCK)
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))  # mode 0700
        self._lock = open(self.path / _LOCK, "w+b")
        with contextlib.suppress(OSError):  # without locks here, nothing is swept either
            lock(self._lock)
        for name in ("clips", "results", "requests", "downloads", "temporary"):
            (self.path / name).mkdir()
        tempfile.tempdir = str(self.path / "temporary")
        return self

    def __exit__(self, *error: object) -> None:
        tempfile.tempdir = self._before
        self._lock.close()
        shutil.rmtree(self.path, ignore_errors=True)

    def __truediv__(self, name: str) -> Path:
        return self.path / name
