"""The folder beside a table that holds what is scored so far: a run goes on from there.

Rows come in any order and are written in parts, each whole or not at all. A row is known by its
clip's key, a hash of path, size, version, bundle and settings, so that it does not matter how often
or in which part a clip was scored: the table takes the newest row of each.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import time
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from cryvision.atomic import staged
from cryvision.batch.locks import try_lock
from cryvision.batch.rows import OK
from cryvision.batch.sources import FoundClip, ListedClip, common_folder, identity, name_below
from cryvision.errors import CryvisionError

FOLDER_SUFFIX = ".parts"
PART_ROWS = 1000
"""A part is written when it has this many rows ..."""

PART_SECONDS = 10.0
"""... or this long after the one before it: the most work that a power cut can cost."""

KEY_BYTES = 16
_PARTS_IN_MEMORY = 32


class Parts:
    """The folder of one table, held by one run at a time. A context manager.

    Parameters
    ----------
    folder : Path
        Made where it is missing.

    Raises
    ------
    CryvisionError
        When another run holds it, or it is something else's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = folder / "lock"
            if not lock.exists() and any(folder.iterdir()):
                raise CryvisionError(f"{folder}: must be a folder of rows; it holds other files")
            self._lock = open(lock, "a+b")  # noqa: SIM115
        except OSError as error:
            raise CryvisionError(
                f"{folder}: rows must be kept here; the folder cannot be made: {error.strerror}"
            ) from error
        try:
            held = not try_lock(self._lock)
        except OSError as error:
            self._lock.close()
            raise CryvisionError(
                f"{folder}: must lie on a file system with locks: {error.strerror}"
            ) from error
        if held:
            self._lock.close()
            raise CryvisionError(f"{folder}: another run is at work on this table")
        remove_leftovers(folder / "part-*.jsonl")
        numbers = [int(path.stem.rpartition("-")[2]) for path in self._paths()]
        self._next_number = max(numbers, default=-1) + 1
        self._rows: list[tuple[bytes, dict[str, Any]]] = []
        self._index = Index()
        self._written_s = time.monotonic()

    def __enter__(self) -> Parts:
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.close()  # which lets go of it, as the end of the process would

    def add(self, line: bytes | None, row: dict[str, Any] | None) -> None:
        """Take a row and its line, or the news that there is none; write a part when it is time."""
        if line is not None and row is not None:
            self._rows.append((line, row))
        due = time.monotonic() - self._written_s >= PART_SECONDS
        if len(self._rows) >= PART_ROWS or (due and self._rows):
            self.flush()

    def flush(self) -> None:
        """Write the rows that are not yet in a part.

        Raises
        ------
        CryvisionError
            When they cannot be written.
        """
        if self._rows:
            path = self._folder / f"part-{self._next_number:08d}.jsonl"
            self._write(path, [line for line, _ in self._rows])
            starts = itertools.accumulate((len(line) for line, _ in self._rows), initial=0)
            self._index.add(path, zip(starts, (row for _, row in self._rows), strict=False))
            self._next_number += 1
            self._rows = []
        self._written_s = time.monotonic()

    def index(self, settings_sha256: str) -> Index:
        """Find the newest row of each clip. Rows of parts that are written later come to it.

        Parameters
        ----------
        settings_sha256 : str
            Rows of other settings are passed over.
        """
        self._index = Index()
        for path in self._paths():
            self._index.add(path, _rows_of(path, settings_sha256))
        return self._index

    def listing(
        self, clips: Iterable[FoundClip], sources: Sequence[str], settings_sha256: str
    ) -> Listing:
        """Write down the clips of a run, each once, so that they need not stay in memory.

        Parameters
        ----------
        clips : iterable of FoundClip
        sources : sequence of str
            Where they come from; decides their names.
        settings_sha256 : str
            Of the run.
        """
        root = common_folder(sources)
        path = self._folder / "clips.jsonl"
        keys = bytearray()
        total_bytes = 0
        try:
            with open(path, "wb") as file:
                for clip in clips:
                    key = _key(clip, settings_sha256)
                    keys += key
                    total_bytes += max(0, clip.size_bytes)
                    name = name_below(clip.path, root)
                    listed = ListedClip(key.hex(), clip.path, clip.size_bytes, name)
                    file.write(json.dumps(listed).encode() + b"\n")
        except OSError as error:
            raise CryvisionError(f"{path}: cannot be written: {error.strerror}") from error
        return Listing(path, np.frombuffer(bytes(keys), f"S{KEY_BYTES}"), total_bytes)

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob("part-[0-9]*.jsonl"))

    def _write(self, path: Path, rows: Iterable[bytes]) -> None:
        try:
            with staged(path) as place, open(place, "wb") as file:
                file.writelines(rows)
        except OSError as error:
            raise CryvisionError(f"{path}: cannot be written: {error.strerror}") from error


class Index:
    """Where the newest row of each clip is: 33 bytes a row in memory.

    Attributes
    ----------
    columns : dict of str to None
        Names of all that the rows hold, in the order of their first appearance.
    """

    def __init__(self) -> None:
        self.columns: dict[str, None] = {}
        self._paths: list[Path] = []
        self._keys = np.empty(0, f"S{KEY_BYTES}")
        self._part, self._start = np.empty(0, np.int32), np.empty(0, np.int64)
        self._ok = np.empty(0, np.bool_)
        self._added: list[tuple[bytes, np.ndarray, np.ndarray, bytes]] = []
        self._bytes_of = lru_cache(_PARTS_IN_MEMORY)(lambda part: self._paths[part].read_bytes())

    def add(self, path: Path, rows: Iterable[tuple[int, Mapping[str, Any]]]) -> None:
        """Add the rows of a part, each with the byte at which it starts; newer than all before."""
        keys, start, ok = bytearray(), array("q"), bytearray()
        for place, row in rows:
            keys += bytes.fromhex(row["key"])
            start.append(place)
            ok.append(row["status"] == OK)
            if not row.keys() <= self.columns.keys():
                self.columns.update(dict.fromkeys(row))
        part = np.full(len(ok), len(self._paths), np.int32)
        self._paths.append(path)
        self._added.append((bytes(keys), part, np.array(start, np.int64), bytes(ok)))

    def _sort(self) -> None:
        """Sort by key; of rows with the same key the newest stays, which is the last one."""
        if not self._added:
            return
        keys, part, start, ok = zip(*self._added, strict=True)
        self._added = []
        all_keys = np.concatenate([self._keys, np.frombuffer(b"".join(keys), f"S{KEY_BYTES}")])
        order = np.argsort(all_keys, kind="stable")
        sorted_keys = all_keys[order]
        newest = np.append(sorted_keys[1:] != sorted_keys[:-1], True)[: len(order)]
        kept = order[newest]
        self._keys = all_keys[kept]
        self._part = np.concatenate([self._part, *part])[kept]
        self._start = np.concatenate([self._start, *start])[kept]
        self._ok = np.concatenate([self._ok, np.frombuffer(b"".join(ok), np.bool_)])[kept]

    def find(self, keys: np.ndarray) -> np.ndarray:
        """Number of each key's row, -1 where there is none; int64, shape (n,).

        The numbers hold until rows are added.
        """
        self._sort()
        if not len(self._keys):
            return np.full(len(keys), -1)
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[at] == keys, at, -1)

    def succeeded(self, rows: np.ndarray) -> np.ndarray:
        """Whether each row, by its number, is of a clip that was scored; bool, shape (n,)."""
        ok: np.ndarray = self._ok[rows]
        return ok

    def read(self, row: int) -> dict[str, Any]:
        """Read a row by its number."""
        data, start = self._bytes_of(int(self._part[row])), int(self._start[row])
        found: dict[str, Any] = json.loads(data[start : data.index(b"\n", start)])
        return found


class Listing:
    """The clips of a run, in the order of the table: 16 bytes a clip in memory.

    Attributes
    ----------
    keys : ndarray of bytes, shape (n,)
        Each once.
    total_bytes : int
        Size of all clips together.
    """

    def __init__(self, path: Path, keys: np.ndarray, total_bytes: int) -> None:
        self._path = path
        self._first = np.zeros(len(keys), np.bool_)
        self._first[np.unique(keys, return_index=True)[1]] = True
        self.keys = keys[self._first]
        self.total_bytes = total_bytes

    def clips(self, wanted: np.ndarray) -> Iterator[ListedClip]:
        """Read some clips, in order.

        Parameters
        ----------
        wanted : ndarray of bool, shape (n,)
        """
        chosen = self._first.copy()
        chosen[self._first] = wanted
        with open(self._path, "rb") as file:
            for line, is_chosen in zip(file, chosen, strict=True):
                if is_chosen:
                    yield ListedClip(*json.loads(line))


def remove_leftovers(target: Path) -> None:
    """Remove what killed runs have left of files that were being written (see `staged`).

    Parameters
    ----------
    target : Path
        The file, or a pattern of its name; no other run may be writing it now.
    """
    for place in target.parent.glob(f".{target.name}.*.partial"):
        with contextlib.suppress(OSError):
            place.unlink()


def _key(clip: FoundClip, settings_sha256: str) -> bytes:
    facts = [identity(clip.path), clip.size_bytes, clip.version, settings_sha256]
    return hashlib.blake2b(json.dumps(facts).encode(), digest_size=KEY_BYTES).digest()


def _rows_of(path: Path, settings_sha256: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows of a part and where each starts. What a failing disk has spoilt is scored again."""
    start = 0
    with open(path, "rb") as file:
        for line in file:
            try:
                row = json.loads(line)
                fits = row["settings_sha256"] == settings_sha256
                fits = fits and len(row["key"]) == 2 * KEY_BYTES and line.endswith(b"\n")
            except (ValueError, KeyError, TypeError):
                fits = False
            if fits:
                yield start, row
            start += len(line)
