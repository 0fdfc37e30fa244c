"""A finished file comes to its place, on this machine or in a store, whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

from cryvision.atomic import staged
from cryvision.batch import remote
from cryvision.errors import ConfigError, CryvisionError
from cryvision.os_errors import os_errors


def check_distinct(targets: Iterable[str]) -> None:
    """Refuse outputs, paths and URLs, that would replace each other."""
    taken = set()
    for target in targets:
        place = target if remote.is_url(target) else os.path.realpath(target)
        if place in taken:
            raise ConfigError(f"each output must have a file of its own; got {target} twice")
        taken.add(place)


def exists(target: str) -> bool:
    return remote.exists(target) if remote.is_url(target) else os.path.lexists(target)


def check_ours(target: str, beside: str) -> None:
    """Refuse to replace what is there without the file that a run leaves beside it."""
    if exists(target):
        raise CryvisionError(
            f"{target}: exists already, without the file {beside} of the run that made it; "
            "nothing was written"
        )


def put(target: str, write: Callable[[Path], object]) -> None:
    """Have a file written, and put it in its place, a path or a URL; what is there is replaced."""
    with os_errors(f"{target}: the table cannot be written"):
        if remote.is_url(target):
            with tempfile.TemporaryDirectory(prefix="cryvision-") as folder:
                path = Path(folder, PurePosixPath(target).name)
                write(path)
                remote.put(path, target)
        else:
            with staged(Path(target), overwrite=True) as path:
                write(path)
