"""Rows of numbers, one a frame, that grow with a stream: in memory at first, then on disk."""

from __future__ import annotations

import contextlib
import os
import tempfile
from array import array
from pathlib import Path
from typing import IO, Any

import numpy as np

from cryvision.config import FRAME_RATE_HZ
from cryvision.os_errors import os_errors

FRAMES_IN_MEMORY = 600 * FRAME_RATE_HZ
"""Ten minutes; more than that goes to a file, as a day has 2.6 million frames."""

FRAMES_READ_AT_ONCE = 3600 * FRAME_RATE_HZ
"""An hour; a longer table is mapped from its file, which it holds open as long as it is used."""


class RowFiles:
    """Where rows go that are too many for the memory.

    In a ``folder`` the files stay when the process ends; without one they go with it.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._n = 0

    @property
    def place(self) -> str:
        if self._folder is not None:
            return str(self._folder)
        try:
            return tempfile.gettempdir()
        except OSError:  # none can be written to
            return "no temporary folder"

    def number(self) -> int:
        self._n += 1
        return self._n

    def open(self, number: int) -> IO[bytes]:
        """Open a file for reading and writing; an empty one where there is none."""
        if self._folder is None:
            return tempfile.TemporaryFile(prefix="cryvision-")
        self._n = max(self._n, number)  # of rows that were saved: no others may have it
        self._folder.mkdir(0o700, parents=True, exist_ok=True)
        path = self._folder / f"{number:d}.rows"
        if path.is_file() and not path.is_symlink():
            return open(path, "r+b")
        path.unlink(missing_ok=True)  # a link could lead to a file that is none of ours
        return open(path, "w+b", opener=lambda name, flags: os.open(name, flags, 0o600))


class FrameRows:
    """Rows of ``width`` numbers of the same type, "f" (float32) or "d"; in memory without
    ``files``."""

    def __init__(self, width: int, files: RowFiles | None = None, typecode: str = "f") -> None:
        self.width = width
        self._files = files
        self._number = 0 if files is None else files.number()
        self._file: IO[bytes] | None = None
        self._n_filed = 0
        self._values = array(typecode)

    def __len__(self) -> int:
        return self._n_filed + len(self._values) // self.width

    def __getstate__(self) -> dict[str, object]:
        """Bring all rows to the disk, and give what is needed to go on with them."""
        self.store()
        if self._file is not None:
            with self._errors("written"):
                os.fsync(self._file.fileno())
        return {**vars(self), "_file": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._opened()

    def append(self, rows: np.ndarray) -> None:
        """Add rows, shape (n, width)."""
        self._values.frombytes(np.ascontiguousarray(rows, self._dtype).tobytes())
        if self._files is not None and len(self._values) >= FRAMES_IN_MEMORY * self.width:
            self.store()

    def replace(self, index: int, row: np.ndarray) -> None:
        values = array(self._values.typecode, row.tolist())
        if index >= self._n_filed:
            first = (index - self._n_filed) * self.width
            self._values[first : first + self.width] = values
            return
        with self._errors("written"):
            file = self._opened()
            file.seek(index * self.width * values.itemsize)
            file.write(values.tobytes())
            file.flush()

    def forget(self, n: int) -> None:
        """Drop the first rows, of those in memory."""
        del self._values[: n * self.width]

    def store(self) -> None:
        """Bring all rows to the file; an error where it cannot be written, or has lost rows."""
        if self._files is None or not len(self._values):
            return
        with self._errors("written"):
            file = self._opened()
            file.write(self._values.tobytes())
            file.flush()
        self._n_filed = len(self)
        del self._values[:]

    def table(self, first: int, stop: int) -> np.ndarray:
        """Give rows from one on until another, shape (stop - first, width), NaN behind the last.

        Those of more than an hour stay in the file, where there is one. None are added after.
        """
        if not self._n_filed:
            rows = np.frombuffer(self._values, self._dtype).reshape(-1, self.width)[first:stop]
            table = np.full((max(0, stop - first), self.width), np.nan, self._dtype, "F")
            table[: len(rows)] = rows
            return table
        missing = max(0, stop - len(self))
        self.append(np.full((missing, self.width), np.nan))
        self.store()
        with self._errors("read"):
            file = self._opened()
            if len(self) > FRAMES_READ_AT_ONCE:
                rows = np.memmap(file, self._dtype, "c", shape=(len(self), self.width))
                return rows[first:stop].view(np.ndarray)
            file.seek(0)
            values = np.frombuffer(bytearray(file.read()), self._dtype)
            return values.reshape(-1, self.width)[first:stop]

    @property
    def _dtype(self) -> np.dtype[np.floating]:
        return np.dtype(self._values.typecode)

    def _errors(self, what: str) -> contextlib.AbstractContextManager[None]:
        place = (self._files or RowFiles()).place
        rule = "a long recording needs room for its timeline; a file there cannot be"
        return os_errors(f"{place}: {rule} {what}")

    def _opened(self) -> IO[bytes]:
        """Return the file, at the end of the rows that count."""
        if self._file is None:
            self._file = (self._files or RowFiles()).open(self._number)
        end = self._n_filed * self.width * self._values.itemsize
        if self._file.seek(0, os.SEEK_END) < end:
            raise OSError("it has lost rows")
        self._file.truncate(end)  # what was written after the state was saved
        self._file.seek(end)
        return self._file
