"""Writes a result as JSON, with what is needed to run it again."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import subprocess
import sys
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results"
PACKAGES = ("numpy", "tensorflow", "keras", "onnxruntime", "scikit-learn", "librosa")


def write_result(
    name: str, seed: int | list[int], result: dict[str, Any], folder: Path = RESULTS
) -> Path:
    """Write ``<folder>/<name>.json``: the result under its command, commit, versions and seed."""
    script = Path(sys.argv[0]).resolve()
    record = {
        "command": " ".join(["python", script.relative_to(ROOT).as_posix(), *arguments()]),
        "commit": commit(),
        "seed": seed,
        "versions": {"python": platform.python_version(), **{p: version(p) for p in PACKAGES}},
        **result,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(rounded(record), indent=2, allow_nan=False) + "\n")
    print(f"wrote {path.relative_to(ROOT)}", file=sys.stderr)
    return path


def arguments() -> list[str]:
    """The arguments of the script; of absolute paths the last name, which is no machine's own."""
    return [Path(given).name if Path(given).is_absolute() else given for given in sys.argv[1:]]


def say(line: str) -> None:
    """Tell the progress on stderr, with the time."""
    print(time.strftime("%H:%M:%S"), line, file=sys.stderr, flush=True)


def show_log() -> None:
    """Tell what the package logs on stderr too, with the time."""
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("cryvision").setLevel(logging.INFO)


def commit() -> str:
    """The commit that is checked out, marked where files differ from it."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude", "*"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def data_hash(arrays: Iterable[np.ndarray]) -> str:
    """SHA-256 over arrays, in their order: tells whether two runs saw the same data."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def rounded(value: Any) -> Any:
    """Plain JSON data, numbers to five significant digits, NaN as None."""
    if isinstance(value, dict):
        return {str(key): rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [rounded(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.5g}") if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
