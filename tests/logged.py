"""What the package logs, as lines."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator


class _Handler(logging.Handler):
    def __init__(self, take: Callable[[str], object]) -> None:
        super().__init__()
        self._take = take

    def emit(self, record: logging.LogRecord) -> None:
        self._take(record.getMessage())


@contextlib.contextmanager
def logged(then: Callable[[str], object] = lambda line: None) -> Iterator[list[str]]:
    """Give the lines that are logged within; each is also handed on, and that may raise."""
    lines: list[str] = []
    handlers = [_Handler(lines.append), _Handler(then)]
    logger = logging.getLogger("cryvision")
    level = logger.level
    logger.setLevel(logging.INFO)
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.setLevel(level)
        for handler in handlers:
            logger.removeHandler(handler)
