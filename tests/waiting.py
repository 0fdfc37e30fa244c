"""Waiting for what other threads and processes do."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 240.0
"""Longest wait for what takes seconds at most on a free machine."""


def comes_true(condition: Callable[[], object], within_s: float) -> bool:
    """Wait for something, and tell whether it came."""
    end = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def until(condition: Callable[[], object], what: str = "it", within_s: float = PATIENCE_S) -> None:
    """Wait for something that must come."""
    assert comes_true(condition, within_s), f"{what} has not come within {within_s:g} s"
