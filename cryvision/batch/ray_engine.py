"""The engine that runs workers on a Ray cluster, or on a local one that it starts.

Each shard is a task. Ray finds room for it, and does it again where its machine is lost. What a
clip does to a worker is handled beside the worker, as on one machine.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import secrets
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryvision.batch.engines import TICK_SECONDS, Shard, Work
from cryvision.batch.job import Job
from cryvision.batch.supervisor import Supervisor
from cryvision.errors import CryvisionError
from cryvision.layers import needed
from cryvision.traces import environment

MAX_LOSSES = 10
"""A shard whose machine was lost more often ends the run."""

START_LIMIT_SECONDS = 600.0
"""How long a run waits for a cluster without any room for a worker; a machine of a cloud takes
minutes."""

CONNECT_SECONDS = 10.0
"""How long the head of a cluster has to answer."""

_OWN = "cv-ray-"  # short: a socket's path may have 107 bytes

IDLE_SECONDS = 10.0
"""How long a process of Ray keeps its worker for another shard."""


@dataclass(eq=False)
class _Scorer:
    """What a process of Ray keeps from one task to the next."""

    made_for: tuple[str, ...]
    supervisor: Supervisor
    used_s: float = 0.0


_scorers: list[_Scorer] = []  # one at the most
_busy = threading.Lock()


def run_ray(
    job: Job,
    work: Work,
    *,
    workers: int | None = None,
    time_limit_s: float = math.inf,
    address: str | None = None,
    gpus_per_worker: float = 0.0,
) -> Generator[bytes | None, None, None]:
    """Score clips on a Ray cluster, as `cryvision.batch.engines.run_local` on one machine.

    Workers are tasks at a time, each with one CPU, and ``gpus_per_worker`` GPUs, or a share of one.
    The ``address`` of a running cluster may be ``auto``, which finds one on this machine. It is an
    error when the cluster is not there, has no room at all, or loses a shard too often.
    """
    home = os.environ.get("HOME")
    with _own_cluster(address) as settings, _connected(_import_ray(), address, settings) as ray:
        n_tasks = workers or work.workers(_room(ray, gpus_per_worker))
        # Without a number of calls, Ray would end the process after each task with a GPU.
        options = {"num_cpus": 1, "num_gpus": gpus_per_worker, "max_calls": 0}
        task = ray.remote(max_retries=MAX_LOSSES, **options)(_score).remote
        # Each is started when it is taken.
        tasks = (task(job, time_limit_s, home, shard) for shard in work.shards(n_tasks))
        running = list(itertools.islice(tasks, n_tasks))
        started_s = time.monotonic()
        try:
            while running:
                done, running = ray.wait(running, timeout=TICK_SECONDS)
                if not done:
                    yield None
                    if time.monotonic() - started_s > START_LIMIT_SECONDS:
                        _check_room(ray, gpus_per_worker)
                for reference in done:
                    rows = _result(ray, reference)
                    running += itertools.islice(tasks, 1)
                    yield from rows
        finally:
            for reference in running:
                ray.cancel(reference, force=True)


def _score(job: Job, time_limit_s: float, home: str | None, shard: Shard) -> list[bytes]:
    """Score a shard in a process of Ray, which keeps its worker for the next one."""
    made_for = (repr(job), str(time_limit_s), os.environ.get("CUDA_VISIBLE_DEVICES", ""))
    with _busy:
        if not _scorers or _scorers[0].made_for != made_for:
            if home is not None and os.path.basename(os.environ.get("HOME", "")).startswith(_OWN):
                os.environ["HOME"] = home  # where weights are looked for
            while _scorers:
                _scorers.pop().supervisor.stop()
            _scorers.append(_Scorer(made_for, Supervisor(job, time_limit_s, threads=1)))
            guard = threading.Thread(target=_guard, args=(os.getppid(), _scorers[0]), daemon=True)
            guard.start()
        rows = list(_scorers[0].supervisor.score(shard))
        _scorers[0].used_s = time.monotonic()
        return rows


def _guard(parent: int, idle: _Scorer) -> None:
    """End a worker that has no more to do, or whose machine has lost its own Ray process.

    After the latter a task might live on for nobody.
    """
    while os.getppid() == parent:
        time.sleep(1.0)
        if _busy.acquire(blocking=False):
            try:
                if idle in _scorers and time.monotonic() - idle.used_s > IDLE_SECONDS:
                    _scorers.remove(idle)
                    idle.supervisor.stop()
                if idle not in _scorers:
                    return
            finally:
                _busy.release()
    idle.supervisor.stop()
    os._exit(1)


def _result(ray: Any, reference: Any) -> list[bytes]:
    try:
        rows: list[bytes] = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, CryvisionError):
            raise error.cause from None
        raise  # a defect of ours, with its traceback
    except ray.exceptions.RayError as error:
        reason = " ".join(str(error).split())[:300]
        raise CryvisionError(
            f"Ray must keep a worker until its shard is done; {MAX_LOSSES + 1} were lost: {reason}"
        ) from error
    return rows


def _check_room(ray: Any, gpus_per_worker: float) -> None:
    room = ray.cluster_resources()
    if room.get("CPU", 0) < 1 or room.get("GPU", 0) < gpus_per_worker:
        raise CryvisionError(
            f"Ray must have room for a worker within {START_LIMIT_SECONDS:g} s; the cluster "
            f"has {room.get('CPU', 0):g} CPUs and {room.get('GPU', 0):g} GPUs"
        )


def _import_ray() -> Any:
    # Without these, Ray reports its use to its makers; the second is where it would go.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_USAGE_STATS_REPORT_URL"] = "http://127.0.0.1:9/"
    with needed("the engine ray", "Ray", "batch"):
        import ray
        import ray.exceptions
    return ray


@contextlib.contextmanager
def _own_cluster(address: str | None) -> Iterator[dict[str, Any]]:
    """Return the options for a cluster on this machine that contacts nobody and leaves nothing.

    There are none for a cluster that runs already.

    By itself Ray looks up the hosts that name a machine's cloud, unless there is a file about the
    cluster in the user's home; keeps its logs and a key; and listens on all networks.
    """
    if address is not None:
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix=_OWN, ignore_cleanup_errors=True) as folder:
        Path(folder, "ray_bootstrap_config.yaml").write_text("{}\n", "ascii")
        _keep_token()
        with environment(HOME=folder, RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0"):
            yield {"include_dashboard": False, "_temp_dir": folder}


def _keep_token() -> None:
    """Have every cluster that this process starts use one token.

    Ray makes a token in the user's home for its first cluster and remembers in this process that
    there is one; a second cluster, in a home of its own, would look for it in vain and not start.
    """
    if os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH"):
        return
    try:
        token = Path(os.path.expanduser("~"), ".ray", "auth_token").read_text("ascii").strip()
    except (OSError, ValueError):
        token = ""
    os.environ["RAY_AUTH_TOKEN"] = token or secrets.token_hex(32)


@contextlib.contextmanager
def _connected(ray: Any, address: str | None, settings: dict[str, Any]) -> Iterator[Any]:
    """Connect to a cluster, or start one, for the length of the block; an open one is used."""
    if ray.is_initialized():
        yield ray
        return
    on_stop = signal.getsignal(signal.SIGTERM)
    try:
        if address:
            _knock(address)
        ray.init(address or "local", log_to_driver=False, logging_level="error", **settings)
    except Exception as error:  # what Ray raises here shares no base class but this
        reason = " ".join(str(error).split())[:300]
        where = address or "this machine"
        raise CryvisionError(f"Ray cannot be reached at {where}: {reason}") from error
    with contextlib.suppress(ValueError):  # outside the main thread nothing was changed
        signal.signal(signal.SIGTERM, on_stop)
    try:
        yield ray
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """See whether anybody listens at ``host:port``, since Ray would wait there for ever."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        with socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS):
            pass


def _room(ray: Any, gpus_per_worker: float) -> int:
    resources = ray.cluster_resources()
    room = int(resources.get("CPU", 0))
    if gpus_per_worker:
        room = min(room, int(resources.get("GPU", 0) / gpus_per_worker))
    return max(1, room)
