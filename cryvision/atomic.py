"""Results that are there whole or not at all: written beside their place, then renamed into it."""

from __future__ import annotations

import contextlib
import errno
import glob
import math
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from cryvision.errors import ConfigError, CryvisionError
from cryvision.os_errors import os_errors

_SWAP_ATTEMPTS = 5
"""How often a folder is swapped again when another process put its own there in between."""


@contextlib.contextmanager
def staged(target: Path, overwrite: bool = False) -> Iterator[Path]:
    """Give a place to write a file or a folder, and move it to ``target`` once all went well.

    The block makes a file or a folder of the free name that it is given. An exception inside it
    removes what was written and leaves ``target`` as it was; without ``overwrite``, a target that
    exists, or came to exist meanwhile, is a FileExistsError. Missing parent folders are made. A
    folder that is overwritten is absent for the instant between two renames.
    """
    if not overwrite and os.path.lexists(target):
        raise _exists(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    place = _beside(target, "partial")
    try:
        yield place
        sync(place)
        if not place.is_dir():
            _move_file(place, target, overwrite)
        elif overwrite:
            _swap_folder(place, target)
        else:
            _move_folder(place, target)
    finally:
        _remove(place)


@contextlib.contextmanager
def replacing(target: Path, name: str | None = None) -> Iterator[Path]:
    """Give a place to write as `staged` does, to replace what is there.

    What the system refuses is a CryvisionError, which names the target, or it as ``name`` has it.
    """
    with (
        os_errors(f"{name or target}: cannot be written"),
        staged(target, overwrite=True) as place,
    ):
        yield place


def check_place(target: Path, name: str | None = None, *, file: bool = False) -> None:
    """Refuse before any work a place that nothing can be written to, with CryvisionError.

    Folders that are missing do not matter: they are made. A ``file`` is not written over a folder.
    """
    if file and target.is_dir():
        raise CryvisionError(f"{name or target}: cannot be written: it is a folder")
    folders = target.absolute().parents
    folder = next((folder for folder in folders if os.path.lexists(folder)), None)
    if folder is None:  # a root, or a place on a drive that is not there
        raise CryvisionError(f"{name or target}: cannot be written: there is no folder for it")
    if not folder.is_dir():
        raise CryvisionError(f"{name or target}: cannot be written: {folder.name} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CryvisionError(
            f"{name or target}: cannot be written: no permission to write to the folder "
            f"{folder.name or folder}"
        )


def check_suffix(what: str, path: str | os.PathLike[str], suffix: str) -> None:
    """Refuse before any work a name that tells of another kind of file, with ConfigError."""
    if not os.fspath(path).lower().endswith(suffix):
        raise ConfigError(f"{what} must end in {suffix}; got {os.fspath(path)!r}")


def _exists(target: Path) -> FileExistsError:
    return FileExistsError(errno.EEXIST, "exists already", str(target))


def _beside(target: Path, suffix: str) -> Path:
    return target.with_name(f".{target.name}.{os.urandom(4).hex()}.{suffix}")


def _move_file(place: Path, target: Path, overwrite: bool) -> None:
    if overwrite:
        os.replace(place, target)
        return
    try:
        # Unlike rename, a link never replaces what another process has put there meanwhile.
        os.link(place, target)
    except FileExistsError:
        raise
    except OSError:
        # This file system has no links: rename after a second look is the best there is.
        if os.path.lexists(target):
            raise _exists(target) from None
        os.rename(place, target)


def _move_folder(place: Path, target: Path) -> None:
    try:
        os.rename(place, target)
    except OSError:
        if os.path.lexists(target):
            raise _exists(target) from None
        raise


def _swap_folder(place: Path, target: Path) -> None:
    """Put a folder where another may be; the old one comes back if that fails."""
    for attempt in range(_SWAP_ATTEMPTS):
        aside = _beside(target, "old")
        with contextlib.suppress(FileNotFoundError):
            os.rename(target, aside)
        try:
            os.rename(place, target)
        except BaseException as error:
            raced = isinstance(error, OSError) and os.path.lexists(target)
            if not raced and aside.exists():
                os.rename(aside, target)
            if not raced or attempt == _SWAP_ATTEMPTS - 1:
                raise
        else:
            return
        finally:
            _remove(aside)


def sync(place: Path) -> None:
    """Bring bytes to the disk before their name, so that a power cut leaves no empty files."""
    files = [p for p in place.rglob("*") if p.is_file()] if place.is_dir() else [place]
    for path in files:
        with path.open("rb+") as file:
            os.fsync(file.fileno())


def remove_partials(target: Path, older_than_s: float = -math.inf) -> None:
    """Remove what killed processes have left of a file that was being written; see `staged`."""
    for path in target.parent.glob(f".{glob.escape(target.name)}.*.partial"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime >= older_than_s:
                path.unlink()


def _remove(place: Path) -> None:
    if place.is_dir():
        shutil.rmtree(place, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            place.unlink()
