"""What the package logs, on the terminal."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from cryvision.commands.terminal import log


class _Handler(logging.Handler):
    """Prints the messages of the package as `log` does."""

    def emit(self, record: logging.LogRecord) -> None:
        log(record.getMessage())


@contextlib.contextmanager
def logging_to_stderr() -> Iterator[None]:
    """Print what the package logs on stderr, each message once."""
    logger, handler = logging.getLogger("cryvision"), _Handler()
    level, propagates = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False  # libraries give the root logger handlers of their own
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagates
