"""Runs in processes of their own, to be killed, and tables read back without the package."""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from waiting import until

from cryvision.batch.worker import json_pieces

ORPHAN_SECONDS = 5.0  # a worker notices the end of its parent at once; the machine may be busy
HERE = Path(__file__).parent
MARK = "CRYVISION_TEST_RUN"

DRIVER = """
import sys
from pathlib import Path
from cryvision.batch import store
from cryvision.batch.job import Job
from cryvision.batch.options import BatchOptions
from cryvision.batch.run import run
engine, clips, out, workers = sys.argv[1:]
store.COMMIT_SECONDS = 0.2  # so that a run of seconds is cut off between commits
job = Job(None, "null", "0" * 64, "0", str(Path.cwd()), scorer="scorers:NullScorer")
options = BatchOptions(engine=engine, workers=int(workers), timeout_seconds=0)
run(job, [clips], out, engine=options.bound_engine())
"""


def as_sent(row: dict[str, Any]) -> dict[str, Any]:
    """Give a row as the worker's parent reads it."""
    sent: dict[str, Any] = json.loads("".join(json_pieces(row)))
    return sent


def read_table(path: Path) -> list[dict[str, Any]]:
    """Read a table without the package."""
    if path.suffix == ".csv":
        with open(path, encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text("ascii").splitlines()]
    parquet = pytest.importorskip("pyarrow.parquet")
    return parquet.read_table(path).to_pylist()


def names(path: Path) -> list[str]:
    """Names of the clips in a table, in order."""
    return [os.path.basename(row["path"]) for row in read_table(path)]


class Driver:
    """A run in a process of its own, to be killed; all it starts carries a mark."""

    def __init__(self, engine: str, clips: Path, out: Path, workers: int = 2) -> None:
        self.mark = uuid.uuid4().hex
        env = {**os.environ, MARK: self.mark, "PYTHONPATH": str(HERE)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, engine, str(clips), str(out), str(workers)],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def kill(self) -> None:
        if not self.ended():
            self.process.kill()
        self.process.wait()

    def finish(self, timeout_s: float = 120) -> None:
        output, _ = self.process.communicate(timeout=timeout_s)
        assert self.process.returncode == 0, output.decode()

    def ended(self) -> bool:
        return self.process.poll() is not None

    def alive(self) -> list[int]:
        """Everything that this run has started and that still runs."""
        return list(marked(self.mark))

    def wait_until_gone(self, limit_s: float) -> list[str]:
        """Wait for all of them to end; give the command lines of those that have not."""
        end = time.monotonic() + limit_s
        while (left := marked(self.mark)) and time.monotonic() < end:
            time.sleep(0.1)
        return list(left.values())


def marked(mark: str) -> dict[int, str]:
    """Running processes that carry a mark in their environment, and their command lines."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes():
                words = (folder / "cmdline").read_bytes()
                if words:  # a zombie has none
                    found[int(folder.name)] = words.decode(errors="replace").replace("\0", " ")
        except OSError:
            continue
    return found


def kill_and_finish(
    start: Callable[..., Driver],
    engine: str,
    clips: Path,
    out: Path,
    kills: int,
    orphan_seconds: float = ORPHAN_SECONDS,
) -> None:
    """Kill one run after another, then let one finish: each clip is one row, nothing is left over.

    The kills come at random moments: of the whole run, its start included, and in turn of the time
    after it has written more rows.
    """
    chance = random.Random(kills)
    for kill in range(kills):
        driver = start(engine, clips, out)
        if kill % 2 == 0:
            before = n_bytes(out)
            until(lambda before=before, driver=driver: n_bytes(out) > before or driver.ended())
            time.sleep(chance.uniform(0.0, 0.5))
        else:
            time.sleep(chance.uniform(0.1, 3.0))
        assert not driver.ended(), "the run was over before it could be killed"
        driver.kill()
        left = driver.wait_until_gone(orphan_seconds)
        assert not left, left
    start(engine, clips, out).finish(600)
    assert names(out) == sorted(path.name for path in clips.rglob("*.wav"))
    assert {row["status"] for row in read_table(out)} == {"ok"}


def n_bytes(out: Path) -> int:
    store = Path(f"{out}.rows.sqlite")
    return store.stat().st_size if store.exists() else 0
