"""Work that takes longer than an answer may: queued, bounded, done by processes of its own."""

from __future__ import annotations

import itertools
import json
import os
import queue
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryvision import __version__
from cryvision.batch.job import Job as BatchJob
from cryvision.batch.sources import ListedClip
from cryvision.batch.supervisor import TIME_LIMIT, WORKER_CRASH, Supervisor
from cryvision.errors import CryvisionError
from cryvision.web.tasks import DONE, PROGRESS_SUFFIX

WAITING, RUNNING, FINISHED = "waiting", "running", "done"
FAILED, CANCELLED = "failed", "cancelled"

TASKS = "cryvision.web.tasks:PageTasks"

TASK_HOURS = 12.0
"""A task that takes longer is given up: something hangs."""

MOST_ENDED = 2_000
"""Jobs that have ended and are still known."""

FIRST, BEHIND = 0, 1
"""Order of jobs in a lane: what somebody waits for, and what goes on behind the page."""


class BusyError(CryvisionError):
    """There is too much work at once."""


@dataclass(eq=False)
class Job:
    """A piece of work.

    Its kind is ``score``, ``video``, ``faces``, ``train``; or ``folder``, which stands for many,
    its children. The worker is given the request. The status is ``waiting``, ``running``, ``done``,
    ``failed`` or ``cancelled``; what is done has a result, and what failed a line of error. What is
    done is followed by ``then``.
    """

    kind: str
    request: dict[str, Any] = field(default_factory=dict)
    clip_id: str = ""
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    status: str = WAITING
    result: dict[str, Any] | None = None
    error: str = ""
    children: list[Job] = field(default_factory=list)
    progress_path: Path | None = None
    ended: threading.Event = field(default_factory=threading.Event)
    then: Callable[[], object] | None = None

    def end(self, status: str, result: dict[str, Any] | None = None, error: str = "") -> None:
        self.result, self.error = result, error
        if status == FINISHED and self.then is not None:
            self.then()
        self.status = status
        self.ended.set()

    def snapshot(self) -> dict[str, Any]:
        share, message, status = 0.0, "", self.status
        if self.children:
            n_ended = sum(child.ended.is_set() for child in self.children)
            share = n_ended / len(self.children)
            message = f"{n_ended} of {len(self.children)} clips"
            if n_ended == len(self.children):
                status = CANCELLED if self.status == CANCELLED else FINISHED
            elif n_ended or any(child.status == RUNNING for child in self.children):
                status = RUNNING
        elif status == RUNNING and self.progress_path is not None:
            try:
                share, message = json.loads(self.progress_path.read_text("utf-8"))
            except (OSError, ValueError):
                share = 0.0
        if status == FINISHED:
            share = 1.0
        return {
            "job_id": self.id,
            "kind": self.kind,
            "clip_id": self.clip_id or None,
            "status": status,
            "progress": share,
            "message": message,
            "result": self.result,
            "error": self.error or None,
        }


class Lane:
    """Does jobs one after another in a worker process.

    Requests are written into ``folder``. More than ``most_waiting`` jobs of the order `FIRST` that
    wait are refused.
    """

    def __init__(self, name: str, bundle: str | None, folder: Path, most_waiting: int) -> None:
        self._bundle, self._folder, self._most_waiting = bundle, folder, most_waiting
        self._queue: queue.PriorityQueue[tuple[int, int, Job | None]] = queue.PriorityQueue()
        self._numbers = itertools.count(1)
        self._n_waiting = 0
        self._lock = threading.Lock()
        self._stopped = False
        self._running: Job | None = None
        self._supervisor = self._new_supervisor()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Job, order: int = FIRST) -> None:
        """Let a job wait for its turn, if not too many wait already."""
        with self._lock:
            if order == FIRST:
                if self._n_waiting >= self._most_waiting:
                    raise BusyError(
                        f"at most {self._most_waiting} jobs may wait; try again in a while"
                    )
                self._n_waiting += 1
            self._queue.put((order, next(self._numbers), job))

    def cancel(self, job: Job) -> None:
        with self._lock:
            if job.ended.is_set():
                return
            job.status = CANCELLED
            if self._running is job:
                self._supervisor.stop()
            else:
                job.end(CANCELLED)

    def close(self) -> None:
        with self._lock:
            self._stopped = True
            self._supervisor.stop()
            self._queue.put((-1, 0, None))
        self._thread.join()

    def _work(self) -> None:
        while True:
            order, _, job = self._queue.get()
            if job is None or self._stopped:
                return
            with self._lock:
                self._n_waiting -= order == FIRST
                if job.ended.is_set():
                    continue
                self._running, job.status = job, RUNNING
                supervisor = self._supervisor
            self._do(job, supervisor)

    def _do(self, job: Job, supervisor: Supervisor) -> None:
        path = self._folder / f"{job.id}.json"
        job.progress_path = path.with_suffix(PROGRESS_SUFFIX)
        ending: _Ending = (CANCELLED, None, "")
        try:
            path.write_text(json.dumps({"kind": job.kind, **job.request}), "utf-8")
            for line in supervisor.score([ListedClip(job.id, str(path), -1, job.kind)]):
                ending = _ending(json.loads(line), job)
        except Exception as error:
            # Whatever it is, the next job must have its turn.
            words = " ".join(str(error).split()) or type(error).__name__
            ending = (FAILED, None, words)
        finally:
            with self._lock:
                self._running = None
                cancelled = job.status == CANCELLED
                if (cancelled or job.kind == "train") and not self._stopped:
                    # What a training has loaded is not kept in memory.
                    supervisor.stop()
                    self._supervisor = self._new_supervisor()
                if cancelled:
                    job.end(CANCELLED)
                else:
                    job.end(*ending)
            for leftover in (path, job.progress_path, path.with_suffix(".part")):
                leftover.unlink(missing_ok=True)

    def _new_supervisor(self) -> Supervisor:
        job = BatchJob(
            bundle=self._bundle,
            bundle_name="",
            bundle_sha256="",
            version=__version__,
            folder=str(self._folder),
            scorer=TASKS,
        )
        return Supervisor(job, TASK_HOURS * 3600, threads=os.cpu_count() or 1)


_Ending = tuple[str, dict[str, Any] | None, str]
"""Status, result and error of a job."""


def _ending(row: dict[str, Any], job: Job) -> _Ending:
    if row["status"] == DONE:
        return FINISHED, row["result"], ""
    error = str(row["error"])
    if row["status"] in (WORKER_CRASH, TIME_LIMIT):
        error = "the worker crashed on it" if row["status"] == WORKER_CRASH else "it took too long"
    for place in (str(job.request.get("path", "")), str(job.request.get("out", ""))):
        if place:  # nobody is told where a clip lies on this machine
            error = error.replace(f"{place}: ", "").replace(place, "the clip")
    return FAILED, None, error


class Jobs:
    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()

    def add(self, job: Job) -> Job:
        """Remember a job; the oldest that have ended are forgotten."""
        with self._lock:
            self._jobs[job.id] = job
            excess = len(self._jobs) - MOST_ENDED
            if excess > 0:
                ended = [one.id for one in self._jobs.values() if one.ended.is_set()]
                for job_id in ended[:excess]:
                    del self._jobs[job_id]
        return job

    def get(self, job_id: str) -> Job | None:
        return self._jobs.get(job_id)
