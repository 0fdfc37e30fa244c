"""Programs that are running now."""

from __future__ import annotations

import os
from pathlib import Path


def running(program: Path) -> list[str]:
    """Return the command lines of a program's processes; none where the system lists none."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = os.fsdecode((process / "cmdline").read_bytes())
        except OSError:
            continue  # it has just ended
        if line.startswith(str(program)):
            found.append(line)
    return found


def is_alive(pid: str) -> bool:
    """Whether a process runs; one that has ended and waits to be counted does not."""
    try:
        # The state follows the name in brackets.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
