"""Fetches a file from the web: resumed where it stopped, checked, and there whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from cryvision.errors import DownloadError

CACHE_VARIABLE = "CRYVISION_CACHE"
"""Environment variable that names the folder for what was fetched."""

TIMEOUT_S = 30.0
"""How long the server may be silent."""

_PIECE_BYTES = 1 << 16
_LOCKED_BYTE = 1 << 40
"""The byte that Windows locks: far behind any file, so that the file itself stays readable."""


def cache_folder() -> Path:
    """Name the folder for what was fetched; it may not be there yet.

    Returns
    -------
    Path
        What the environment variable ``CRYVISION_CACHE`` names, else ``cryvision`` in the place
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

    The bytes go to ``<target>.part``, which an interruption leaves behind; the next call goes on
    from it if a hash is given to judge the whole by, and the server can. Of two calls at once for
    one target, the second fetches into a part of its own.

    Parameters
    ----------
    url : str
        ``http`` or ``https``, and so must be every address that it redirects to.
    target : path
        Where the file is to be. Missing folders are made; a file there that fits is not fetched
        again (without a hash and a size any file fits), another one is replaced.
    sha256 : str, optional
        SHA-256 of the file, 64 hexadecimal digits.
    git_blob_sha1 : str, optional
        SHA-1 by which git knows the file, 40 hexadecimal digits.
    size_bytes : int, optional
        Length of the file.
    by_hand : str, optional
        What to do where downloading fails, for the message; by default, to put the file there.
    progress : callable, optional
        Called with the bytes that are there and the bytes in all, or None where not known.

    Returns
    -------
    Path
        ``target``.

    Raises
    ------
    DownloadError
        If the file cannot be fetched or written, or is not the one that was asked for.
    """
    target = Path(target)
    wanted = _Wanted(sha256, git_blob_sha1, size_bytes)
    try:
        if target.is_file():
            with target.open("rb") as present:
                if wanted.misfit(present) is None:
                    return target
        target.parent.mkdir(parents=True, exist_ok=True)
        with _part_of(target) as part:
            _fill(part, url, wanted, progress)
    except (OSError, http.client.HTTPException) as error:
        advice = by_hand or f"download it by hand to {target}"
        raise DownloadError(f"{url} could not be fetched: {_reason(error)}; {advice}") from error
    return target


@dataclass(frozen=True)
class _Wanted:
    """What a file must be."""

    sha256: str | None
    git_blob_sha1: str | None
    size_bytes: int | None

    @property
    def has_hash(self) -> bool:
        return bool(self.sha256 or self.git_blob_sha1)

    def misfit(self, file: BinaryIO) -> str | None:
        """Say in what a file is not the one that is wanted; None if it is."""
        length = _length(file)
        if self.size_bytes is not None and length != self.size_bytes:
            return f"the file must have {self.size_bytes} bytes; got {length}"
        for name, expected, digest in (
            ("SHA-256", self.sha256, hashlib.sha256()),
            # SHA-1 is git's choice; that it can be forged is why a caller pins more than this.
            ("git's SHA-1", self.git_blob_sha1, hashlib.sha1(b"blob %d\0" % length)),
        ):
            if expected is None:
                continue
            file.seek(0)
            while piece := file.read(_PIECE_BYTES):
                digest.update(piece)
            if digest.hexdigest() != expected.lower():
                return f"{name} of the file must be {expected}; got {digest.hexdigest()}"
        return None


def _fill(
    part: BinaryIO,
    url: str,
    wanted: _Wanted,
    progress: Callable[[int, int | None], None] | None,
) -> None:
    """Make the part the whole file; one that turns out to be of another file starts anew."""
    if not wanted.has_hash:
        part.truncate(0)
    while True:
        resumed = _length(part) > 0
        _transfer(part, url, wanted.size_bytes, progress)
        misfit = wanted.misfit(part)
        if misfit is None:
            return
        part.truncate(0)
        if not resumed:
            raise OSError(misfit)


def _transfer(
    part: BinaryIO,
    url: str,
    size_bytes: int | None,
    progress: Callable[[int, int | None], None] | None,
) -> None:
    """Append to the part what it lacks, or all where the server sends no less."""
    done = _length(part)
    if done and done == size_bytes:
        return
    try:
        response = _open(url, {"Range": f"bytes={done}-"} if done else {})
    except urllib.error.HTTPError as error:
        if done and error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # nothing is lacking, or the part is of another file: its hash will tell
        raise
    with response:
        if response.status != http.client.PARTIAL_CONTENT:
            part.truncate(0)
            done = 0
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {done}-"):
            raise OSError("the server sent another part of the file than it was asked for")
        promised = None if response.length is None else done + response.length
        while promised is None or done < promised:
            piece = response.read1(_PIECE_BYTES)  # unlike read, gives what came before silence
            if not piece:
                break
            part.write(piece)
            done += len(piece)
            if size_bytes is not None and done > size_bytes:
                raise OSError(f"the file must have {size_bytes} bytes; the server sends more")
            if progress is not None:
                progress(done, promised if size_bytes is None else size_bytes)
    if promised is not None and done < promised:
        raise OSError(f"the connection ended after {done} of {promised} bytes")


def _open(url: str, headers: dict[str, str]) -> Any:
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
        request = urllib.request.Request(url, headers={"User-Agent": "cryvision", **headers})
        return opener.open(request, timeout=TIMEOUT_S)
    except ValueError as error:  # an address that is none, here or in a redirect
        raise OSError(str(error)) from error


@contextlib.contextmanager
def _part_of(target: Path) -> Iterator[BinaryIO]:
    """Open the part of a file for this call alone, and make it the file once all went well."""
    place = target.with_name(f"{target.name}.part")
    part: BinaryIO = place.open("ab+")
    is_shared = _is_claimed(part, place)
    if not is_shared:
        part.close()
        place = target.with_name(f"{target.name}.{os.urandom(4).hex()}.part")
        part = place.open("ab+")
    with part:
        is_whole = False
        try:
            yield part
            part.flush()
            os.fsync(part.fileno())
            is_whole = True
        finally:
            with contextlib.suppress(OSError):
                part.flush()
            # Moved or removed under the lock: once it is gone, another call could be writing here.
            # Windows does neither to an open file, so there none but the last user can do it.
            if sys.platform == "win32":
                part.close()
            if is_whole:
                os.replace(place, target)
            else:
                with contextlib.suppress(OSError):
                    if not is_shared or place.stat().st_size == 0:
                        place.unlink()


def _is_claimed(part: BinaryIO, place: Path) -> bool:
    """Lock a part; False if another call has it, or has moved it away meanwhile.

    The system unlocks it when this process ends, however that may come about.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            part.seek(_LOCKED_BYTE)
            msvcrt.locking(part.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(part.fileno()), place.stat())
    except OSError:
        return False


def _length(file: BinaryIO) -> int:
    return file.seek(0, io.SEEK_END)


def _reason(error: BaseException) -> str:
    """Why it failed, in one line and in words of this side: a server may send anything."""
    if isinstance(error, urllib.error.HTTPError):
        said = f"the server answered {error.code} {http.client.responses.get(error.code, '')}"
        # What is followed never comes here: this one loops, or leads away from the web.
        return f"{said.strip()}, a redirect not to follow" if error.code < 400 else said.strip()
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"the server was silent for {TIMEOUT_S:g} s"
    said = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return " ".join(said.split())
