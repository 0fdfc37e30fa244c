"""Who runs the workers, this machine or Ray, and what is to be done, cut into shards for them.

An engine only schedules: a function from a job and the work to rows. It takes shards of the work
as it has room for them, and yields None when a second has passed without a row. Closing it ends all
that it started.
"""

from __future__ import annotations

import math
import os
import queue
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

from cryvision.batch.job import Job
from cryvision.batch.sources import ListedClip
from cryvision.batch.supervisor import Supervisor

Engine = Callable[..., Generator[bytes | None, None, None]]

TICK_SECONDS = 1.0
"""How long an engine waits for a row before it yields None."""

Shard = Sequence[ListedClip]

SHARD_CLIPS = 200
"""Most clips that a worker is given at once ..."""

SHARD_BYTES = 200_000_000
"""... unless they come to this size before."""

SHARDS_PER_WORKER = 8
"""Few clips make smaller shards: each worker has some, so that all end at about the same time."""

CLIPS_PER_WORKER, BYTES_PER_WORKER = 32, 64_000_000
"""What makes one worker more worth its start, which takes about a second."""


def available_cpus() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_local(
    job: Job, work: Work, *, workers: int | None = None, time_limit_s: float = math.inf
) -> Generator[bytes | None, None, None]:
    """Score clips in processes of this machine; yield rows, as lines of JSON, in any order.

    There are as many ``workers`` as are worth their start by default, up to one a core. For one
    clip they have ``time_limit_s``; infinite for none.
    """
    workers = workers or work.workers(available_cpus())
    threads = max(1, available_cpus() // workers)
    supervisors = [Supervisor(job, time_limit_s, threads) for _ in range(workers)]
    shards, lock = work.shards(workers), threading.Lock()
    # A row, or what ended a thread: an error, or that it has no more to do.
    results: queue.SimpleQueue[bytes | BaseException | None] = queue.SimpleQueue()

    def next_shard() -> Shard | None:
        with lock:
            return next(shards, None)

    def serve(supervisor: Supervisor) -> None:
        try:
            for shard in iter(next_shard, None):
                for row in supervisor.score(shard):
                    results.put(row)
            results.put(None)
        except BaseException as error:  # carried to the thread that waits for it
            results.put(error)

    pool = [threading.Thread(target=serve, args=(one,), daemon=True) for one in supervisors]
    try:
        for thread in pool:
            thread.start()
        running = workers
        while running:
            try:
                result = results.get(timeout=TICK_SECONDS)
            except queue.Empty:
                yield None
                continue
            if isinstance(result, BaseException):
                raise result
            if result is None:
                running -= 1
            else:
                yield result
    finally:
        for supervisor in supervisors:
            supervisor.stop()
        for thread in pool:
            thread.join()


@dataclass(frozen=True)
class Work:
    """The clips that a run has to score, given anew at each call, and about how large they are."""

    clips: Callable[[], Iterator[ListedClip]]
    n_clips: int
    n_bytes: int

    def workers(self, room: int) -> int:
        """How many workers are worth their start, at most as many as there is room for."""
        useful = max(self.n_clips // CLIPS_PER_WORKER, self.n_bytes // BYTES_PER_WORKER)
        return max(1, min(useful, self.n_clips, room))

    def shards(self, workers: int) -> Iterator[Shard]:
        """Cut the clips into shards for a number of workers."""
        fair = self.n_clips // (SHARDS_PER_WORKER * workers)
        most = max(1, min(SHARD_CLIPS, fair))
        shard: list[ListedClip] = []
        n_bytes = 0
        for clip in self.clips():
            shard.append(clip)
            n_bytes += max(0, clip.size_bytes)
            if len(shard) >= most or n_bytes >= SHARD_BYTES:
                yield shard
                shard, n_bytes = [], 0
        if shard:
            yield shard
