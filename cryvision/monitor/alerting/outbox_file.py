"""The SQLite file of an outbox: one row for each alert and sink."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryvision.errors import CryvisionError
from cryvision.monitor.alerting.alerts import Alert

_log = logging.getLogger(__name__)

KEPT_FINISHED = 1000
"""Deliveries that are done, or given up, and stay in the file for whoever looks what happened. The
last of each source and rule stays in any case: an alert that is raised is to be cleared."""

_MAX_UNWRITTEN = 10_000

_TABLE = """
CREATE TABLE IF NOT EXISTS delivery (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    alert TEXT NOT NULL,
    sink TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'dead')),
    attempts INTEGER NOT NULL,
    error TEXT NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (alert, sink)
)
"""
_WRITE = """
INSERT INTO delivery (alert, sink, state, attempts, error, body) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (alert, sink) DO UPDATE
SET state = excluded.state, attempts = excluded.attempts, error = excluded.error
"""
_PRUNE = """
DELETE FROM delivery
WHERE state != 'pending' AND number <= (SELECT max(number) FROM delivery) - ?
AND number NOT IN (
    SELECT max(number) FROM delivery WHERE state != 'dead'
    GROUP BY sink, json_extract(body, '$.source'), json_extract(body, '$.rule')
)
"""


@dataclass
class Delivery:
    """An alert on its way to a sink.

    ``state`` is ``pending``, ``delivered`` or ``dead``; ``error`` says why the last attempt failed.
    """

    alert: Alert
    sink: str
    state: str = "pending"
    attempts: int = 0
    error: str = ""


class OutboxFile:
    """Deliveries on disk, safe against a kill and a power cut at any moment.

    Where the disk cannot be written, what was to be written is kept and goes with the next write.
    The file is made, with its folder, where it is missing; readable for its owner alone. A damaged
    file is put aside. ``waiting`` is what was pending when the file was opened, oldest first, and
    ``raised`` what each sink was told of last, by source and rule, where that was not its end.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._unwritten: dict[tuple[str, str], Delivery] = {}
        self._failed = False
        self._closed = False
        self._connection: sqlite3.Connection | None = None
        self.waiting: list[Delivery] = []
        self.raised: list[Delivery] = []
        try:
            self._connection = _connect(path)
            self.waiting, self.raised = _left(self._connection)
        except (OSError, sqlite3.OperationalError) as error:
            self._fail(error)
        except sqlite3.DatabaseError:
            self._put_aside()
            self._connection = _connect(path)

    def _put_aside(self) -> None:
        if self._connection is not None:
            self._connection.close()
        aside = f"{self._path}.damaged"
        _log.error("%s: is damaged; it is kept as %s, and a new one is started", self._path, aside)
        os.replace(self._path, aside)
        # A journal that stays would be taken for that of the new file.
        with contextlib.suppress(FileNotFoundError):
            os.replace(f"{self._path}-wal", f"{aside}-wal")

    def save(self, deliveries: Iterable[Delivery]) -> None:
        """Write the states of deliveries; if they can be, they are on the disk on return."""
        with self._lock:
            for one in deliveries:
                self._unwritten[one.alert.id, one.sink] = one
            if self._closed:
                return
            try:
                self._write()
            except (OSError, sqlite3.Error, CryvisionError) as error:
                self._fail(error)
                while len(self._unwritten) > _MAX_UNWRITTEN:
                    del self._unwritten[next(iter(self._unwritten))]
                return
            self._unwritten.clear()
            if self._failed:
                self._failed = False
                _log.warning("%s: can be written again", self._path)

    def _write(self) -> None:
        if self._connection is None:
            self._connection = _connect(self._path)
        rows = [
            (d.alert.id, d.sink, d.state, d.attempts, d.error, d.alert.to_json())
            for d in self._unwritten.values()
        ]
        try:
            self._connection.execute("BEGIN")
            self._connection.executemany(_WRITE, rows)
            self._connection.execute(_PRUNE, (KEPT_FINISHED,))
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            # SQLite has undone the transaction itself after some of its errors.
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise

    def _fail(self, error: Exception) -> None:
        if not self._failed:
            _log.error(
                "%s: cannot be written: %s; alerts are kept in memory until it can be",
                self._path,
                error,
            )
        self._failed = True

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._connection is not None:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.close()


def _left(connection: sqlite3.Connection) -> tuple[list[Delivery], list[Delivery]]:
    """Read what is pending, and what was raised and is not over."""
    rows = connection.execute(
        "SELECT body, sink, state, attempts, error FROM delivery WHERE state != 'dead' "
        "ORDER BY number"
    )
    left = []
    for body, *row in rows:
        with contextlib.suppress(TypeError, ValueError):  # another version wrote it
            left.append(Delivery(Alert.from_json(body), *row))
    newest = {(one.sink, one.alert.source, one.alert.rule): one for one in left}
    return (
        [one for one in left if one.state == "pending"],
        [one for one in newest.values() if one.alert.state == "raised"],
    )


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Alerts tell when somebody is at home: the file is its owner's alone.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(path, timeout=0.5, isolation_level=None, check_same_thread=False)
    try:
        # The lock is held as long as the process lives: two would deliver everything twice.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA journal_size_limit = 1048576")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(_TABLE)
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        connection.close()
        if "locked" in str(error):
            raise CryvisionError(
                f"{path}: an outbox is for one process; another one has it open"
            ) from error
        raise
    return connection
