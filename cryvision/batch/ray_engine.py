"""The engine that runs workers on a Ray cluster, or on a local one that it starts.

Ray places the actors and moves shards and rows. What a clip does to a worker is handled beside the
worker, as on one machine, so that an actor that is lost here was lost with its machine.
"""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import signal
import socket
import tempfile
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from cryvision import errors
from cryvision.batch.engines import TICK_SECONDS
from cryvision.batch.job import Job
from cryvision.batch.supervisor import Supervisor
from cryvision.batch.work import Shard, Work
from cryvision.errors import CryvisionError, MissingDependencyError

MAX_LOSSES = 10
"""A shard whose actor was lost this often ends the run: a cluster that goes on losing machines."""

START_LIMIT_SECONDS = 600.0
"""How long a run waits while it has no worker at all; a machine of a cloud takes minutes."""

CONNECT_SECONDS = 10.0
"""How long the head of a cluster has to answer."""

_OWN = "cv-ray-"  # short: a socket's path may have 107 bytes

STOP_SECONDS = 5.0
"""How long actors have to end their workers."""


def run_ray(
    job: Job,
    work: Work,
    *,
    workers: int | None = None,
    time_limit_s: float = math.inf,
    address: str | None = None,
    gpus_per_worker: float = 0.0,
) -> Generator[bytes | None, None, None]:
    """Score clips on a Ray cluster.

    Parameters
    ----------
    job : Job
    work : Work
    workers : int, optional
        Actors, each with one CPU; by default as many as are worth their start and the cluster has
        room for now.
    time_limit_s : float
        For one clip; infinite for none.
    address : str, optional
        Of a running cluster; ``auto`` finds one on this machine.
    gpus_per_worker : float
        GPUs, or the share of one, that each actor is given.

    Yields
    ------
    bytes or None
        As `cryvision.batch.engines.run_local`.

    Raises
    ------
    MissingDependencyError
        Without Ray.
    CryvisionError
        When the cluster is not there, gives no worker, or loses one too often.
    """
    home = os.environ.get("HOME")
    with (
        _own_cluster(address) as settings,
        _connected(_import_ray(), address, settings) as ray,
    ):
        actors = workers or work.workers(_room(ray, gpus_per_worker))
        # Two calls at a time: one to score, one to stop that.
        options = {"num_cpus": 1, "num_gpus": gpus_per_worker, "max_concurrency": 2}
        make = ray.remote(**options)(_Actor).remote
        crew = _Crew(
            ray, lambda: make(job.to_json(), time_limit_s, home), actors, work.shards(actors)
        )
        try:
            yield from crew.rows()
        finally:
            crew.dismiss()


class _Actor:
    """What runs on the cluster: a supervisor, with its worker beside it."""

    def __init__(self, job: dict[str, Any], time_limit_s: float, home: str | None) -> None:
        if home is not None and os.path.basename(os.environ.get("HOME", "")).startswith(_OWN):
            os.environ["HOME"] = home  # where weights are looked for
        self._supervisor = Supervisor(Job.from_json(job), time_limit_s, threads=1)
        guard = threading.Thread(target=self._end_with, args=(os.getppid(),), daemon=True)
        guard.start()

    def _end_with(self, parent: int) -> None:
        """End with the machine's own Ray process, after which an actor may live on for nobody."""
        while os.getppid() == parent:
            time.sleep(1.0)
        self._supervisor.stop()
        os._exit(1)

    def ready(self) -> None:
        """Return when there is an actor."""

    def score(self, shard: Shard) -> list[bytes] | tuple[str, str]:
        """Return the shard's rows, or the kind and the message of what ends the run."""
        try:
            return list(self._supervisor.score(shard))
        except CryvisionError as error:
            return type(error).__name__, str(error)

    def stop(self) -> None:
        """End the worker and what it holds."""
        self._supervisor.stop()


class _Crew:
    """Actors at work. Each has one shard at a time; one that is lost is replaced."""

    def __init__(self, ray: Any, make: Any, n_actors: int, shards: Iterator[Shard]) -> None:
        self._ray = ray
        self._make = make
        self._n_actors = n_actors
        self._shards = shards
        self._again: deque[tuple[Shard, int]] = deque()  # with how often it was lost
        self._starting: dict[Any, Any] = {}
        self._busy: dict[Any, tuple[Any, Shard, int]] = {}
        self._stopping: list[Any] = []
        self._n_failed_starts = 0
        self._idle_since_s = time.monotonic()

    def rows(self) -> Iterator[bytes | None]:
        while len(self._starting) < self._n_actors and (shard := self._next()) is not None:
            self._again.append((shard, 0))
            self._start()
        while self._busy or self._again:
            waited_for = [*self._starting, *self._busy]
            done, _ = self._ray.wait(waited_for, num_returns=1, timeout=TICK_SECONDS)
            if not done:
                yield None
            for reference in done:
                yield from self._take(reference)
            self._check_start()

    def dismiss(self) -> None:
        """End all actors, and let those that can put away their files."""
        working = [actor for actor, _, _ in self._busy.values()]
        stopping = self._stopping + [actor.stop.remote() for actor in working]
        if stopping:
            self._ray.wait(stopping, num_returns=len(stopping), timeout=STOP_SECONDS)
        for actor in [*self._starting.values(), *working]:
            self._ray.kill(actor)

    def _next(self) -> Shard | None:
        return next(self._shards, None)

    def _start(self) -> None:
        actor = self._make()
        self._starting[actor.ready.remote()] = actor

    def _take(self, reference: Any) -> Iterator[bytes]:
        """Take what an actor has done, and give it more."""
        actor, shard, losses = (
            (self._starting.pop(reference), (), 0)
            if reference in self._starting
            else self._busy.pop(reference)
        )
        try:
            answer = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError:
            raise  # a defect of ours, with its traceback
        except self._ray.exceptions.RayError as error:
            self._lost(shard, losses + 1, error)
            return
        self._n_failed_starts = 0
        self._give(actor)
        if isinstance(answer, tuple):
            kind: type[CryvisionError] = getattr(errors, answer[0], CryvisionError)
            raise kind(answer[1])
        yield from answer or ()

    def _give(self, actor: Any) -> None:
        shard, losses = self._again.popleft() if self._again else (self._next(), 0)
        if shard is None:
            self._stopping.append(actor.stop.remote())
        else:
            self._busy[actor.score.remote(shard)] = (actor, shard, losses)

    def _lost(self, shard: Shard, losses: int, error: Exception) -> None:
        """Put back the shard of an actor that is gone, and start another one."""
        reason = " ".join(str(error).split())[:300]
        if not shard:
            self._n_failed_starts += 1
        if losses >= MAX_LOSSES or self._n_failed_starts >= MAX_LOSSES:
            raise CryvisionError(
                f"Ray must keep a worker until its shard is done; {MAX_LOSSES} were lost: {reason}"
            )
        if shard:
            self._again.append((shard, losses))
        self._start()

    def _check_start(self) -> None:
        """Refuse to wait for ever for a cluster that has no room."""
        now_s = time.monotonic()
        if self._busy:
            self._idle_since_s = now_s
        elif now_s - self._idle_since_s > START_LIMIT_SECONDS:
            room = self._ray.cluster_resources()
            raise CryvisionError(
                f"Ray must have room for a worker within {START_LIMIT_SECONDS:g} s; the cluster "
                f"has {room.get('CPU', 0):g} CPUs and {room.get('GPU', 0):g} GPUs"
            )


def _import_ray() -> Any:
    # Without these, Ray reports its use to its makers; the second is where it would go.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_USAGE_STATS_REPORT_URL"] = "http://127.0.0.1:9/"
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise MissingDependencyError(
            "the engine ray needs Ray, which is not installed: pip install 'cryvision[batch]'"
        ) from error
    return ray


@contextlib.contextmanager
def _own_cluster(address: str | None) -> Iterator[dict[str, Any]]:
    """Give the options for a cluster on this machine that asks nobody and leaves nothing.

    There are none for a cluster that runs already.

    By itself Ray looks up the hosts that tell a machine its cloud, unless there is a file about the
    cluster in the user's home; keeps its logs and a key; and listens on all networks.
    """
    if address is not None:
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix=_OWN, ignore_cleanup_errors=True) as folder:
        Path(folder, "ray_bootstrap_config.yaml").write_text("{}\n", "ascii")
        own = {"HOME": folder, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
        _keep_token()
        before = {name: os.environ.get(name) for name in own}
        os.environ.update(own)
        try:
            yield {"include_dashboard": False, "_temp_dir": folder}
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


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
    """See whether anybody listens at ``host:port``, since Ray would wait there for ever.

    Raises
    ------
    OSError
        When nobody does.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        with socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS):
            pass


def _room(ray: Any, gpus_per_worker: float) -> int:
    """How many actors the cluster has room for now."""
    resources = ray.cluster_resources()
    room = int(resources.get("CPU", 0))
    if gpus_per_worker:
        room = min(room, int(resources.get("GPU", 0) / gpus_per_worker))
    return max(1, room)
