"""Clips and tables that lie elsewhere: stores of objects that fsspec reads, as ``s3://``."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from cryvision.errors import ConfigError, CryvisionError, MediaError, MissingDependencyError
from cryvision.layers import needed

SCHEMES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")
"""Stores that are read. fsspec has many more, which reach hosts and files that nobody meant."""

# The version of an object, by the names that the stores give it.
_VERSIONS = (
    *("ETag", "etag", "md5Hash", "content_md5", "generation"),
    *("LastModified", "last_modified", "updated", "mtime", "created"),
)


def is_url(text: str) -> bool:
    """Whether a source or a target is not a path on this machine."""
    return "://" in text


def file_system(url: str) -> tuple[Any, str]:
    """Open the file system of a URL, an fsspec.AbstractFileSystem; return it and the path in it."""
    with needed(f"{url}: reading URLs", "fsspec", "batch"):
        from fsspec.core import url_to_fs
    if "::" in url:
        raise ConfigError(f"{url}: must name one store; chained URLs are not read")
    protocol, _, below = url.partition("://")
    if protocol not in SCHEMES or not below.strip("/"):
        schemes = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise ConfigError(f"{url}: must be a path on this machine or a URL of {schemes}")
    try:
        store, path = url_to_fs(url)
    except ImportError as error:
        raise MissingDependencyError(f"{url}: {_line(error)}") from error
    except ValueError as error:
        raise ConfigError(f"{url}: must be a URL that fsspec can open: {_line(error)}") from error
    return store, path


def objects_of(url: str, suffixes: frozenset[str]) -> Iterator[tuple[str, int, str]]:
    """List the objects of a URL: address, size in bytes and version, in the order of their names.

    It is an object, a folder, searched with all folders in it, or a pattern. In the latter two,
    names must end in one of ``suffixes``, in lower case.
    """
    store, path = file_system(url)
    with _media_errors(url, "there is no such object or folder", "cannot be listed"):
        store.invalidate_cache()
        if any(mark in path for mark in "*?["):
            listed = store.glob(path, detail=True)
        else:
            about = store.info(path)
            if about["type"] == "file":
                yield (url, *_state(about))
                return
            listed = store.find(path, detail=True)
    for name in sorted(listed):
        visible = not PurePosixPath(name).name.startswith(".")
        media = PurePosixPath(name).suffix.lower() in suffixes
        if visible and media and listed[name]["type"] == "file":
            yield (str(store.unstrip_protocol(name)), *_state(listed[name]))


def state(url: str) -> tuple[int, str]:
    """Size in bytes and version of one object; (-1, "missing") where there is none."""
    store, path = file_system(url)
    try:
        return _state(store.info(path))
    except FileNotFoundError:
        return -1, "missing"
    except Exception as error:  # as above
        raise MediaError(f"{url}: cannot be looked up: {_line(error)}") from error


def fetch(url: str, folder: Path) -> Path:
    """Copy an object into a folder, readable by this user alone.

    The copy has the object's own name where that is a possible one.
    """
    try:
        store, path = file_system(url)
    except (ConfigError, MissingDependencyError) as error:
        raise MediaError(str(error)) from error  # one row of a manifest must not end a run
    name = PurePosixPath(path).name
    copy = folder / (name if name.isprintable() and len(os.fsencode(name)) < 200 else "clip")
    os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with _media_errors(url, "there is no such object"):
        store.get_file(path, str(copy))
    return copy


def read_text(url: str) -> str:
    store, path = file_system(url)
    with _media_errors(url, "there is no such object"):
        return str(store.cat_file(path).decode("utf-8-sig"))


def exists(url: str) -> bool:
    return state(url)[0] >= 0


def put(copy: Path, url: str) -> None:
    """Write a file to a URL; a store shows it whole or not at all."""
    store, path = file_system(url)
    try:
        store.put_file(str(copy), path)
    except Exception as error:  # as above
        raise CryvisionError(f"{url}: cannot be written: {_line(error)}") from error


@contextlib.contextmanager
def _media_errors(url: str, missing: str, otherwise: str = "cannot be read") -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise MediaError(f"{url}: {missing}") from error
    except Exception as error:  # the errors of the stores share no base class but this
        raise MediaError(f"{url}: {otherwise}: {_line(error)}") from error


def _state(about: dict[str, Any]) -> tuple[int, str]:
    version = next((about[name] for name in _VERSIONS if about.get(name)), "")
    return int(about.get("size") or 0), str(version)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
