"""Watches over one worker process: what crashes it or hangs in it costs a row, never the run."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, cast

from cryvision import errors
from cryvision.batch.job import Job
from cryvision.batch.rows import failed_row
from cryvision.batch.scratch import lock, sweep
from cryvision.batch.sources import ListedClip
from cryvision.errors import CryvisionError
from cryvision.inputs.ffmpeg import signal_name

MAX_TRIES = 2
"""A clip that has taken down its worker this often becomes a row. Once may be bad luck: memory was
short, or somebody killed the process."""

MAX_STARTS = 3
"""How often a worker is started again that died before it was ready."""

START_LIMIT_SECONDS = 300.0
"""A worker that is not ready by then never will be; importing Keras on a busy machine takes 70."""

WORKER_CRASH, TIME_LIMIT = "WorkerCrash", "TimeLimit"

# Only built-in modules before sys.path is that of this process: nothing in the current folder may
# pass for the standard library.
_COMMAND = "import sys; sys.path[:] = sys.argv[1:]; from cryvision.batch.worker import main; main()"
_SCRATCH_PREFIX, _LOG = "cryvision-worker-", "log"
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")


class _ClipError(Exception):
    """The worker is lost on one clip: it died or is overdue."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Supervisor:
    """Has clips scored by a process of its own, and replaces that when it is lost.

    A clip that takes longer than ``time_limit_s`` is given up; infinite for no limit. Each library
    in the worker may use ``threads``.
    """

    def __init__(self, job: Job, time_limit_s: float, threads: int) -> None:
        self._job = job
        self._time_limit_s = time_limit_s
        self._threads = threads
        self._process: _WorkerProcess | None = None
        self._stopped = False
        self._lock = threading.Lock()
        sweep(_SCRATCH_PREFIX, _LOG)

    def score(self, clips: Sequence[ListedClip]) -> Iterator[bytes]:
        """Score some clips; yield the row of each in turn, as a line of JSON; fewer when stopped.

        An error says that no worker can be started, or one failed in a way that every clip would.
        """
        position = tries = 0
        while position < len(clips) and not self._stopped:
            started = time.monotonic()
            try:
                process = self._running()
                process.send(clips[position:])
                while position < len(clips):
                    started = time.monotonic()
                    line = process.answer(self._time_limit_s)
                    position, tries = position + 1, 0
                    yield line
            except _ClipError as failure:
                self._discard()
                tries += 1
                if tries == MAX_TRIES and not self._stopped:
                    spent_s = time.monotonic() - started
                    yield self._failed(clips[position], failure, spent_s)
                    position, tries = position + 1, 0

    def stop(self) -> None:
        """End the worker at once, from any thread; `score` then ends too."""
        self._stopped = True
        self._discard()

    def _failed(self, clip: ListedClip, failure: _ClipError, spent_s: float) -> bytes:
        who = "its worker" if failure.status == WORKER_CRASH else "it"
        reason = f"{clip.path}: {who} {failure}, {MAX_TRIES} times"
        row = failed_row(clip, self._job, failure.status, reason, spent_s)
        return json.dumps(row).encode() + b"\n"

    def _running(self) -> _WorkerProcess:
        """Return a worker that is ready. One that died between two clips is not their fault."""
        starts = 0
        while self._process is None or not self._process.alive():
            self._discard()
            process = _WorkerProcess(self._threads)
            with self._lock:
                self._process = process
            if self._stopped:  # since the loop began
                self._discard()
            starts += 1
            try:
                process.start(self._job)
            except _ClipError as failure:
                if self._stopped:
                    raise
                if starts == MAX_STARTS or failure.status == TIME_LIMIT:
                    raise CryvisionError(
                        f"a worker must be ready within {START_LIMIT_SECONDS:g} s; it {failure}"
                        f"{process.last_words()}"
                    ) from failure
        return self._process

    def _discard(self) -> None:
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.kill()


class _WorkerProcess:
    """A running worker: requests to it, answers from it, and its end with all it started."""

    def __init__(self, threads: int) -> None:
        self._scratch = tempfile.mkdtemp(prefix=_SCRATCH_PREFIX)
        self._log = open(os.path.join(self._scratch, _LOG), "w+b")  # noqa: SIM115
        with contextlib.suppress(OSError):  # without locks here, nothing is swept either
            lock(self._log)
        own_group: dict[str, Any] = (
            {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}  # type: ignore[attr-defined]
            if sys.platform == "win32"
            else {"start_new_session": True}
        )
        try:
            self._popen = subprocess.Popen(
                [sys.executable, "-c", _COMMAND, *sys.path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env={**os.environ, **dict.fromkeys(_THREADS, str(threads))},
                **own_group,
            )
        except OSError as error:
            self._remove_files()
            raise CryvisionError(
                f"a worker must be a process that can be started: {error.strerror or error}"
            ) from error
        self._answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        reader = threading.Thread(target=self._read_answers, name="rows", daemon=True)
        reader.start()

    def start(self, job: Job) -> None:
        """Give the worker its job and wait until it is ready."""
        self.send({"job": job.to_json(), "scratch": self._scratch})
        self.answer(START_LIMIT_SECONDS)

    def alive(self) -> bool:
        return self._popen.poll() is None

    def answer(self, limit_s: float) -> bytes:
        try:
            # A wait that is longer than threading can count is no limit.
            line = self._answers.get(timeout=min(limit_s, threading.TIMEOUT_MAX))
        except queue.Empty:
            raise _ClipError(TIME_LIMIT, f"took longer than {limit_s:g} s") from None
        if not line.endswith(b"\n"):
            raise _ClipError(WORKER_CRASH, self._ending())
        if line.startswith(b'{"fatal"'):
            reply = json.loads(line)
            kind: type[CryvisionError] = getattr(errors, reply["fatal"], CryvisionError)
            raise kind(reply["message"])
        return line

    def kill(self) -> None:
        """End the worker and what it started, and remove its files. May be called again."""
        if sys.platform != "win32":
            with contextlib.suppress(OSError):  # the group outlives a worker whose ffmpeg runs
                os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.kill()
        self._popen.wait()
        with contextlib.suppress(OSError):  # what was not sent cannot be flushed any more
            cast(Any, self._popen.stdin).close()
        self._remove_files()

    def _remove_files(self) -> None:
        self._log.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def send(self, message: Any) -> None:
        stdin = cast(Any, self._popen.stdin)
        try:
            stdin.write(json.dumps(message).encode() + b"\n")
            stdin.flush()
        except (OSError, ValueError):
            raise _ClipError(WORKER_CRASH, self._ending()) from None

    def _read_answers(self) -> None:
        with cast(Any, self._popen.stdout) as stdout:
            for line in stdout:
                self._answers.put(line)
        self._answers.put(b"")

    def _ending(self) -> str:
        try:
            status = self._popen.wait(1.0)
        except subprocess.TimeoutExpired:
            return "closed its output"
        if status >= 0:
            return f"ended with status {status}"
        return f"was killed by {signal_name(-status)}"

    def last_words(self) -> str:
        try:
            with open(self._log.name, "rb") as log:
                lines = log.read().decode("utf-8", "replace").split("\n")
        except (OSError, ValueError):
            return ""
        words = [line.strip() for line in lines if line.strip()]
        return f": {words[-1][:200]}" if words else ""
