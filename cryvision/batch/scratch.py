"""Temporary folders that are locked while they are in use, so that stale ones can be told apart."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

_SWEPT_AFTER_SECONDS = 60.0


def lock(file: IO[bytes]) -> None:
    """Lock a file until this process ends or closes it; the system ends it then.

    An OSError says that another process holds the lock, or there are no locks here.
    """
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def sweep(prefix: str, locked_name: str) -> None:
    """Remove what killed processes have left: temporary folders, in which there may be recordings.

    Their names start with ``prefix``; the file ``locked_name`` in each is locked while it is in
    use.
    """
    if sys.platform == "win32":  # nothing that is in use can be removed there
        return
    for scratch in Path(tempfile.gettempdir()).glob(prefix + "*"):
        # Another user's, one that is being made or removed, or one that is locked is left.
        with contextlib.suppress(OSError), open(scratch / locked_name, "r+b") as file:
            if time.time() - scratch.stat().st_mtime >= _SWEPT_AFTER_SECONDS:  # else not yet locked
                lock(file)
                shutil.rmtree(scratch, ignore_errors=True)
