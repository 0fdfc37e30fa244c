"""What a source may leave running: threads, and ffmpeg."""

from __future__ import annotations

import threading

import psutil

NAMES = ("source ", "pictures ", "ffmpeg-")


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith(NAMES)]


def processes(parent: int | None = None) -> list[psutil.Process]:
    """Programs that this one has started, or another one; what has ended does not count."""
    return [p for p in psutil.Process(parent).children(recursive=True) if _runs(p)]


def shown(process: psutil.Process) -> str:
    """Return what the list of processes shows of one: its arguments and its environment."""
    try:
        return " ".join((*process.cmdline(), *process.environ().values()))
    except psutil.NoSuchProcess:
        return ""


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
