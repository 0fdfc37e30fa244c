"""Clips whose names say what becomes of them, and runs over them."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from drivers import Driver

from cryvision.batch import engines, worker
from cryvision.batch.engines import run_local
from cryvision.batch.job import Job
from cryvision.batch.run import run
from cryvision.batch.sources import ListedClip
from cryvision.batch.summary import Summary
from cryvision.batch.tables import EventTable


class SameProcess:
    """Scores as a worker does, in the process and the thread of whoever asks."""

    def __init__(self, job: Job, time_limit_s: float, threads: int) -> None:
        self._job = job
        self._answers = io.BytesIO()
        self._score: Callable[..., None] | None = None
        self._stopped = False

    def score(self, clips: Sequence[ListedClip]) -> Iterator[bytes]:
        self._score = self._score or worker._make_scorer(
            json.loads(json.dumps(self._job.to_json())), self._answers
        )
        for clip in clips:
            if self._stopped:
                return
            self._answers.truncate(self._answers.seek(0))
            self._score(clip)
            yield self._answers.getvalue()

    def stop(self) -> None:
        self._stopped = True


@pytest.fixture
def same_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Score without starting a worker, where that it is a process of its own does not matter."""
    monkeypatch.setattr(engines, "Supervisor", SameProcess)


@pytest.fixture
def make_clips(tmp_path: Path) -> Callable[..., Path]:
    """Make a folder of empty clips with the given names."""

    def make(*names: str) -> Path:
        folder = tmp_path / "clips"
        for name in names:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return folder

    return make


@pytest.fixture
def null_job() -> Job:
    """A job whose workers do what the names of the clips say."""
    return Job(None, "null", "0" * 64, "0", os.getcwd(), scorer="scorers:NullScorer")


@pytest.fixture
def run_null(null_job: Job, tmp_path: Path) -> Callable[..., Summary]:
    """Run the null job on a folder into ``table.csv``."""

    def run_it(*sources: Path, out: str = "table.csv", **options: Any) -> Summary:
        job = options.pop("job", null_job)
        limits = {name: options.pop(name) for name in ("time_limit_s",) if name in options}
        engine = functools.partial(
            options.pop("engine", run_local), workers=options.pop("workers", 1), **limits
        )
        events = options.pop("events", None)
        if events is not None:
            options["views"] = [EventTable(events)]
        return run(job, [str(s) for s in sources], str(tmp_path / out), engine=engine, **options)

    return run_it


@pytest.fixture
def start_driver() -> Iterator[Callable[..., Driver]]:
    """Start runs to be killed; whatever is left of them ends with the test."""
    drivers: list[Driver] = []

    def start(*arguments: Any, **options: Any) -> Driver:
        drivers.append(Driver(*arguments, **options))
        return drivers[-1]

    yield start
    for driver in drivers:
        driver.kill()
        for pid in driver.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
