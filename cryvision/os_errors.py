"""Errors of the operating system become those of cryvision, in one line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from cryvision.errors import CryvisionError


@contextlib.contextmanager
def os_errors(what: str, kind: type[CryvisionError] = CryvisionError) -> Iterator[None]:
    """Raise an OSError of the block as an error of a kind: what cannot be, and why."""
    try:
        yield
    except OSError as error:
        raise kind(f"{what}: {error.strerror or error}") from error
