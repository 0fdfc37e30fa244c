"""What a long training has done so far, so that a second start goes on where the first ended."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cryvision.atomic import replacing


class Checkpoints:
    """Named results in a folder that belong to one training: its data, settings and versions.

    The facts are plain data that identifies this training; results of another are not used.
    """

    def __init__(self, folder: Path, facts: Mapping[str, Any]) -> None:
        self._folder = folder
        text = json.dumps(facts, sort_keys=True, default=str)
        self._key = hashlib.sha256(text.encode()).hexdigest()[:16]

    def load(self, name: str) -> dict[str, np.ndarray] | None:
        """Give a result back, or None where it was not saved, or what is there is damaged."""
        try:
            with np.load(self._path(name), allow_pickle=False) as arrays:
                return {key: arrays[key] for key in arrays.files}
        except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error):
            return None  # it is computed again

    def save(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep a result, whole or not at all; where it cannot be, that is a CryvisionError."""
        with replacing(self._path(name)) as path, path.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    def remove(self) -> None:
        """Forget everything: the training is done."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}-{self._key}.npz"


def data_sha256(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over named arrays, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
