"""Errors of the operating system become those of cryvision, in one line."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator

from cryvision.errors import CryvisionError


@contextlib.contextmanager
def os_errors(what: str, kind: type[CryvisionError] = CryvisionError) -> Iterator[None]:
    """Raise an OSError of the block as an error of a kind: what cannot be, and why."""
    try:
        yield
    except OSError as error:
        raise kind(f"{what}: {reason(error)}") from error


def reason(error: OSError) -> str:
    """Say why the system refused, without the names of files."""
    if isinstance(error, shutil.Error) and isinstance(error.args[0], list):
        # Of a folder that was copied: places and a text of each.
        *_, text = error.args[0][0]
        return str(text).partition("] ")[2].partition(": ")[0] or str(text)
    return error.strerror or str(error)
