"""Programs that are running now."""

from __future__ import annotations

import os
from pathlib import Path


def running(program: Path) -> list[str]:
    """Return the processes of a program; none where the system does not list them."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cmdline").read_bytes().startswith(os.fsencode(program)):
                found.append(process.name)
        except OSError:
            continue  # it has just ended
    return found
