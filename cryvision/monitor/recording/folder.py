"""The folder of a source's recordings: names, whole files only, and no more than it may hold."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryvision.atomic import sync

FORMAT = "cryvision recording"
FORMAT_VERSION = 1
OBSERVED_FORMAT = "cryvision observed minutes"
OBSERVED_NAME = "observed.jsonl"

RECORD_NAME = "record"
"""Name of a recording's JSON object until all its files are whole."""

LOCK_NAME = ".lock"

PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
"""Recordings of a child are for nobody but the owner."""

MOST_JSON_BYTES = 4_000_000
"""No larger file is looked at: those written here are far smaller."""

_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_STEM = re.compile(r"(\d\d-\d\d-\d\d)(-\d+)?")
_STAGED = re.compile(r"\.(\d{4}-\d\d-\d\d)\.\w+\.partial")
_LONGEST_NAME = 60

_CHANGING = threading.Lock()
"""Recorders of other sources share the folder."""


class RecordingFolder:
    """Where the recordings of one source lie: ``FOLDER/SOURCE/2026-11-29/07-03-12.flac``.

    One writer at a time holds it, until `close` or until its process ends. Folders are made, for
    their owner alone, where they are not there. Of the recordings of all sources those that are
    older than ``max_days`` are removed, and the oldest beyond ``max_bytes``.
    """

    def __init__(self, folder: Path, source: str, max_bytes: int, max_days: float) -> None:
        self._folder = folder
        self._max_bytes, self._max_days = max_bytes, max_days
        self._known: dict[Path, tuple[Path, ...]] = {}
        self.path = folder / folder_name(source)
        for made in (folder, self.path):
            made.mkdir(PRIVATE_FOLDER, parents=True, exist_ok=True)
        from filelock import FileLock, Timeout

        self._lock = FileLock(self.path / LOCK_NAME, mode=PRIVATE_FILE)
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            raise BlockingIOError(errno.EAGAIN, "another monitor records here") from None

    def close(self) -> None:
        self._lock.release()

    def recover(self) -> None:
        """Put in their place the whole recordings that a killed process left; remove the rest."""
        for staged in self.path.iterdir():
            if _STAGED.fullmatch(staged.name) and staged.is_dir() and not staged.is_symlink():
                if any(staged.glob("*.json")):
                    self._publish(staged)
                shutil.rmtree(staged, ignore_errors=True)

    @contextlib.contextmanager
    def staged(self, start: float) -> Iterator[tuple[Path, str]]:
        """Give a folder to write the files of a recording into, and the stem of their names.

        ``start`` is the wall time at which the recording begins, seconds since 1970. The files come
        to their place together once all went well, `RECORD_NAME` with a name that says so. An
        exception removes them.
        """
        moment = datetime.fromtimestamp(start)
        day = moment.strftime("%Y-%m-%d")
        place = Path(tempfile.mkdtemp(prefix=f".{day}.", suffix=".partial", dir=self.path))
        try:
            stem = self._free_stem(self.path / day, moment.strftime("%H-%M-%S"))
            yield place, stem
            n_bytes = sum(file.stat().st_size for file in place.iterdir())
            if n_bytes > self._max_bytes:
                raise OSError(
                    f"a recording of {n_bytes:,} bytes is more than the folder may hold, "
                    f"{self._max_bytes:,}"
                )
            sync(place)
            (place / RECORD_NAME).rename(place / f"{stem}.json")
            with _CHANGING:
                self._prune(n_bytes)
                self._publish(place)
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def prune(self) -> None:
        """Remove what is too old, and the oldest until the rest is small enough.

        Only what was written here is removed, and counted.
        """
        with _CHANGING:
            self._prune(0)

    def _prune(self, n_more: int) -> None:
        """Prune until there is room for so many bytes more."""
        stored = sorted(self._stored(), key=lambda one: one[0])
        too_many = sum(n_bytes for _, _, n_bytes in stored) + n_more - self._max_bytes
        now = datetime.now()
        for time, files, n_bytes in stored:
            if too_many <= 0 and now - time <= timedelta(days=self._max_days):
                continue
            for file in files:
                file.unlink(missing_ok=True)
            self._known.pop(files[-1], None)
            too_many -= n_bytes
            with contextlib.suppress(OSError):  # other recordings are still there
                files[-1].parent.rmdir()

    def _publish(self, staged: Path) -> None:
        """Move whole files to their place; the one that names the others comes last."""
        day = self.path / staged.name[1:11]
        day.mkdir(PRIVATE_FOLDER, exist_ok=True)
        for file in sorted(staged.iterdir(), key=lambda file: file.suffix == ".json"):
            file.chmod(PRIVATE_FILE)
            os.replace(file, day / file.name)
        _sync_folder(day)

    def _free_stem(self, day: Path, stem: str) -> str:
        """Find a name that nothing has: an hour comes twice when the clocks are set back."""
        taken = {path.name.split(".")[0] for path in day.glob(f"{stem}*")}
        names = (stem if not n else f"{stem}-{n + 1}" for n in range(len(taken) + 1))
        return next(name for name in names if name not in taken)

    def _stored(self) -> Iterator[tuple[datetime, tuple[Path, ...], int]]:
        """Find what was written here, of all sources, without what was observed today.

        When a recording began, or the end of an observed day, local time; the files, which are
        removed as a whole, the one that says what they are last; and their size in bytes.
        """
        today = datetime.now().strftime("%Y-%m-%d")
        known, self._known = self._known, {}
        for day in day_folders(self._folder):
            for path in day.iterdir():
                if path.suffix != ".json" and (path.name != OBSERVED_NAME or day.name == today):
                    continue
                files = known.get(path) or _files_of(path)
                if not files:
                    continue
                self._known[path] = files
                # What was observed on a day goes after its recordings.
                time = path.stem[:8] if path.suffix == ".json" else "23-59-59"
                with contextlib.suppress(ValueError, FileNotFoundError):
                    moment = datetime.strptime(f"{day.name} {time}", "%Y-%m-%d %H-%M-%S")
                    sizes = [file.lstat().st_size for file in files if file.exists()]
                    yield moment, files, sum(sizes)


def folder_name(source: str) -> str:
    """Turn the name of a source into that of a folder; names that differ stay different."""
    safe = re.sub(r"[^\w.-]+", "-", source).strip("-.")[:_LONGEST_NAME]
    if safe and safe == source:
        return safe
    digest = hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{safe}-{digest}" if safe else digest


def day_folders(folder: Path) -> Iterator[Path]:
    """Find the folders of the days of all sources, in order; links are not followed."""
    for source in sorted(folder.iterdir()):
        if source.is_dir() and not source.is_symlink():
            for day in sorted(source.iterdir()):
                if _DAY.fullmatch(day.name) and day.is_dir() and not day.is_symlink():
                    yield day


def read_recording(path: Path) -> dict[str, Any] | None:
    """Read the JSON object beside a recording; None for a file that is not one."""
    if not _STEM.fullmatch(path.stem) or path.is_symlink():
        return None
    try:
        if path.stat().st_size > MOST_JSON_BYTES:
            return None
        record = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        return None
    return record


def _files_of(path: Path) -> tuple[Path, ...]:
    """List the files of what was written here, the one at ``path`` last; none for other files."""
    if path.name == OBSERVED_NAME:
        with contextlib.suppress(OSError, ValueError, RecursionError), path.open("rb") as file:
            header = json.loads(file.readline(MOST_JSON_BYTES))
            if isinstance(header, dict) and header.get("format") == OBSERVED_FORMAT:
                return (path,)
        return ()
    record = read_recording(path)
    names = record.get("files") if record else None
    if not isinstance(names, dict):
        return ()
    possible = [f"{path.stem}{suffix}" for suffix in (".flac", ".mp4", ".jpg")]
    return (*(path.with_name(name) for name in names.values() if name in possible), path)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
