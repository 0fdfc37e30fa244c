"""What a source may leave running: threads, and ffmpeg."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import psutil


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith(("source ", "pictures "))]


def processes(parent: int | None = None) -> list[psutil.Process]:
    """Programs that this one has started, or another one; what has ended does not count."""
    children = psutil.Process(parent).children(recursive=True)
    return [p for p in children if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def comes_true(condition: Callable[[], bool], within_s: float) -> bool:
    """Wait for something, and tell whether it came."""
    until = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True
