"""Fetches a file from the web: checked, and there whole or not at all."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryvision.atomic import staged
from cryvision.errors import DownloadError

CACHE_VARIABLE = "CRYVISION_CACHE"
"""Environment variable that names the folder for what was fetched."""

TIMEOUT_S = 30.0
"""How long the server may be silent."""

_PIECE_BYTES = 1 << 16


def cache_folder() -> Path:
    """Name the folder for what was fetched; it may not be there yet.

    It is what the environment variable ``CRYVISION_CACHE`` names, else ``cryvision`` in the place
    that the platform has for caches.
    """
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local", "cryvision")
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/cryvision"
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG base directory specification has relative paths ignored.
    return Path(base if os.path.isabs(base) else Path.home() / ".cache", "cryvision")


def download(
    url: str,
    target: str | os.PathLike[str],
    *,
    sha256: str | None = None,
    git_blob_sha1: str | None = None,
    size_bytes: int | None = None,
    by_hand: str | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Path:
    """Fetch a file, unless it is there already and fits.

    The address must be ``http`` or ``https``, and so must be every one that it redirects to. A file
    at the target that fits is not fetched again (without a hash and a size any file fits), another
    one is replaced. The hash ``git_blob_sha1`` is that by which git knows the file; ``by_hand``
    says what to do where downloading fails, by default to put the file there; ``progress`` is
    called with the bytes that are there and the bytes in all, or None where not known.
    """
    import http.client

    target = Path(target)

    def misfit(path: Path) -> str | None:
        return _misfit(path, sha256, git_blob_sha1, size_bytes)

    try:
        if target.is_file() and misfit(target) is None:
            return target
        with staged(target, overwrite=True) as place:
            _transfer(url, place, size_bytes, progress)
            if (reason := misfit(place)) is not None:
                raise OSError(reason)
    except (OSError, http.client.HTTPException) as error:
        advice = by_hand or f"download it by hand to {target}"
        raise DownloadError(f"{url} could not be fetched: {_reason(error)}; {advice}") from error
    return target


def _misfit(
    path: Path, sha256: str | None, git_blob_sha1: str | None, size_bytes: int | None
) -> str | None:
    """Say in what a file is not the one that is wanted; None if it is."""
    length = path.stat().st_size
    if size_bytes is not None and length != size_bytes:
        return f"the file must have {size_bytes} bytes; got {length}"
    for name, expected, digest in (
        ("SHA-256", sha256, hashlib.sha256()),
        # SHA-1 is git's choice; that it can be forged is why a caller pins more than this.
        ("git's SHA-1", git_blob_sha1, hashlib.sha1(b"blob %d\0" % length)),
    ):
        if expected is None:
            continue
        if (found := file_hash(path, digest)) != expected.lower():
            return f"{name} of the file must be {expected}; got {found}"
    return None


def file_hash(path: Path, digest: Any = None) -> str:
    """Hash a file by SHA-256, or by another digest of `hashlib`, a piece in memory at a time."""
    digest = hashlib.sha256() if digest is None else digest
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
    return str(digest.hexdigest())


def _transfer(
    url: str,
    place: Path,
    size_bytes: int | None,
    progress: Callable[[int, int | None], None] | None,
) -> None:
    with _open(url) as response, place.open("wb") as file:
        promised, done = response.length, 0
        while piece := response.read1(_PIECE_BYTES):
            file.write(piece)
            done += len(piece)
            if size_bytes is not None and done > size_bytes:
                raise OSError(f"the file must have {size_bytes} bytes; the server sends more")
            if progress is not None:
                progress(done, promised if size_bytes is None else size_bytes)
    if promised is not None and done < promised:
        raise OSError(f"the connection ended after {done} of {promised} bytes")


def _open(url: str) -> Any:
    import urllib.request

    # Unlike urlopen, this knows no file: and ftp: addresses, so that no redirect leads there.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "cryvision"})
        return opener.open(request, timeout=TIMEOUT_S)
    except ValueError as error:  # an address that is none, here or in a redirect
        raise OSError(str(error)) from error


def _reason(error: BaseException) -> str:
    """Why it failed, in one line and in words of this side: a server may send anything."""
    import http.client
    import urllib.error

    if isinstance(error, urllib.error.HTTPError):
        text = f"the server answered {error.code} {http.client.responses.get(error.code, '')}"
        # What is followed never comes here: this one loops, or leads away from the web.
        return f"{text.strip()}, a redirect not to follow" if error.code < 400 else text.strip()
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"the server was silent for {TIMEOUT_S:g} s"
    text = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return " ".join(text.split())
