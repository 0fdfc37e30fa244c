"""Locks that the system lets go of when their process ends, however it ends."""

from __future__ import annotations

import errno
import sys
from typing import BinaryIO

_HELD = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)


def try_lock(file: BinaryIO) -> bool:
    """Lock an open file for as long as it is open in this process or in a child of it.

    Parameters
    ----------
    file : binary file
        Open for writing.

    Returns
    -------
    bool
        False where somebody else holds it.

    Raises
    ------
    OSError
        On a file system without locks.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            return False
        raise
    return True
