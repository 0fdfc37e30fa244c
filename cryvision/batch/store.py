"""The file beside a table that holds what is scored so far: a run goes on from there.

It is an SQLite database. A row is known by its clip's key, a hash of path, size, version, bundle
and settings: a clip that is scored again replaces its row, and rows of other settings stay.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cryvision.batch.rows import OK
from cryvision.batch.sources import FoundClip, ListedClip, common_folder, identity, name_below
from cryvision.errors import ConfigError, CryvisionError
from cryvision.inputs.ffmpeg import shown

STORE_SUFFIX = ".rows.sqlite"

COMMIT_SECONDS = 5.0
"""The most work that a power cut can cost."""

KEY_LENGTH = 32
"""Digits of the key of a row."""

# Kept in the header of the file, so that no other database is taken for a store.
_APPLICATION_ID = 0x43727953
_SCHEMA = (
    f"PRAGMA application_id = {_APPLICATION_ID}",
    "CREATE TABLE IF NOT EXISTS rows (key TEXT PRIMARY KEY, status TEXT, names TEXT, row TEXT)",
    # JSON, as the name of a file may hold bytes that are no UTF-8. The clips are those of this run.
    "DROP TABLE IF EXISTS clips",
    "CREATE TABLE clips"
    " (n INTEGER PRIMARY KEY, key TEXT UNIQUE, place TEXT UNIQUE, bytes INT, clip TEXT)",
)
_PAGE_CLIPS = 1000


class Store:
    """The rows of one table, held by one run at a time. A context manager.

    The file is made where it is missing, with its folder; both go again where no clip was listed,
    as for sources that are not there. With ``retry_failed``, a clip that has
    failed is still to be scored. From each method comes a CryvisionError where another run holds
    it, it is something else's file, or it cannot be read or written.
    """

    def __init__(self, path: Path, retry_failed: bool) -> None:
        self._path = path
        self._todo = "FROM clips LEFT JOIN rows USING (key) WHERE " + (
            f"status IS NOT '{OK}'" if retry_failed else "status IS NULL"
        )
        self._is_new = not path.exists()
        self._new_folders = [folder for folder in path.parents if not folder.exists()]
        with self._errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            # The threads that give out clips read them, each a page at a time.
            self._database = sqlite3.connect(path, timeout=0, check_same_thread=False)
            execute = self._database.execute
            execute("PRAGMA locking_mode = EXCLUSIVE")
            execute("BEGIN EXCLUSIVE")  # the lock ends with this process, however that ends
            (number,) = execute("PRAGMA application_id").fetchone()
            if number != _APPLICATION_ID and execute("SELECT 1 FROM sqlite_master").fetchone():
                raise sqlite3.DatabaseError("another program's database")
            for statement in _SCHEMA:
                execute(statement)
            self.commit()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(sqlite3.Error, OSError):
            self._database.rollback()
            if self._is_new and not self._database.execute("SELECT 1 FROM clips").fetchone():
                self._path.unlink()  # while it is locked, so that it is nobody else's yet
        self._database.close()
        for folder in self._new_folders:
            with contextlib.suppress(OSError):
                folder.rmdir()

    def list_clips(
        self, clips: Iterable[FoundClip], sources: Sequence[str], of_run: Sequence[str]
    ) -> None:
        """Write down the clips of a run, each once, so that they need not stay in memory.

        Their sources decide their names. For another ``of_run``, its settings and where files go, a
        clip is scored anew. What one manifest states of a clip counts, though another source gives
        the clip too; two subjects or starts are a ConfigError.
        """
        root = common_folder(sources)
        with self._errors():
            for clip in clips:
                path = identity(clip.path)
                key, place = _hash(path, clip.size_bytes, clip.version, *of_run), _hash(path)
                name = name_below(clip.path, root)
                listed = ListedClip(key, clip.path, clip.size_bytes, name, *clip[3:])
                added = self._database.execute(
                    "INSERT OR IGNORE INTO clips (key, place, bytes, clip) VALUES (?, ?, ?, ?)",
                    (key, place, max(0, clip.size_bytes), json.dumps(listed)),
                )
                if not added.rowcount:
                    self._add_facts(place, listed)
            self.commit()

    def _add_facts(self, place: str, again: ListedClip) -> None:
        """Take what is stated of a clip that was listed before; its start is in its key."""
        select = "SELECT clip FROM clips WHERE place = ?"
        first = ListedClip(*json.loads(self._database.execute(select, (place,)).fetchone()[0]))
        for what, old, new in (
            ("subject", first.subject, again.subject),
            ("start", first.start, again.start),
        ):
            if old and new and old != new:
                raise ConfigError(
                    f"{shown(again.path)}: a clip must be listed with one {what}; "
                    f"got {old!r:.60} and {new!r:.60}"
                )
        key = again.key if again.start else first.key
        merged = first._replace(
            key=key, subject=first.subject or again.subject, start=first.start or again.start
        )
        if merged != first:
            update = "UPDATE clips SET key = ?, clip = ? WHERE place = ?"
            self._database.execute(update, (key, json.dumps(merged), place))

    def count(self) -> tuple[int, int, int]:
        """Return the number of clips, of those to be scored, and the size of these in bytes."""
        with self._errors():
            (n_clips,) = self._database.execute("SELECT count(*) FROM clips").fetchone()
            select = f"SELECT count(*), total(bytes) {self._todo}"
            n_todo, n_bytes = self._database.execute(select).fetchone()
        return n_clips, n_todo, int(n_bytes)

    def todo(self) -> Iterator[ListedClip]:
        """Read the clips that are to be scored, in the order of the table."""
        page = f"SELECT n, clip {self._todo} AND n > ? ORDER BY n LIMIT {_PAGE_CLIPS}"
        n = -1
        while True:
            with self._errors():
                rows = self._database.execute(page, (n,)).fetchall()
            if not rows:
                return
            yield from (ListedClip(*json.loads(clip)) for _, clip in rows)
            n = rows[-1][0]

    def add(self, row: dict[str, Any] | None) -> None:
        """Take a row, or the news that there is none, and bring them to the disk in time."""
        with self._errors():
            if row is not None:
                names, text = json.dumps(list(row)), json.dumps(row, allow_nan=False)
                self._database.execute(
                    "INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?)",
                    (row["key"], row["status"], names, text),
                )
            if time.monotonic() - self._committed_s >= COMMIT_SECONDS:
                self.commit()

    def commit(self) -> None:
        with self._errors():
            self._database.commit()
        self._committed_s = time.monotonic()

    def statuses(self) -> Counter[str]:
        with self._errors():
            select = "SELECT status, count(*) FROM clips JOIN rows USING (key) GROUP BY status"
            return Counter(dict(self._database.execute(select).fetchall()))

    def names(self) -> dict[str, None]:
        """Name all that the rows of the run's clips hold, in the order of first appearance."""
        with self._errors():
            select = "SELECT names FROM clips JOIN rows USING (key) GROUP BY names ORDER BY min(n)"
            rows = self._database.execute(select).fetchall()
        return dict.fromkeys(name for (names,) in rows for name in json.loads(names))

    def rows(self) -> Iterator[tuple[ListedClip, dict[str, Any]]]:
        """Read the run's clips that have a row, with it, in order."""
        with self._errors():
            select = "SELECT clip, row FROM clips JOIN rows USING (key) ORDER BY n"
            for clip, row in self._database.execute(select):
                yield ListedClip(*json.loads(clip)), json.loads(row)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            if "is locked" in str(error):
                message = f"{self._path}: another run is at work on this table"
            else:
                message = f"{self._path}: rows must be kept in this file: {error}"
            raise CryvisionError(message) from error


def _hash(*facts: str | int) -> str:
    return hashlib.blake2b(json.dumps(facts).encode(), digest_size=KEY_LENGTH // 2).hexdigest()
