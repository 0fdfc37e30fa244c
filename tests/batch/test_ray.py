"""The same on Ray: what is lost, be it a worker, a machine or the driver, costs no clip."""

from __future__ import annotations

import functools
import os
import signal
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from drivers import HERE, MARK, kill_and_finish, marked, names, read_table
from waiting import until

from cryvision.batch.ray_engine import IDLE_SECONDS, run_ray
from cryvision.batch.run import score
from cryvision.errors import CryvisionError, MissingDependencyError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

RAY_ORPHAN_SECONDS = 120.0  # Ray's own processes notice the end of their driver one by one


@pytest.fixture(scope="module")
def ray() -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    return pytest.importorskip("ray")


@pytest.fixture
def mark(ray, monkeypatch) -> Iterator[str]:
    """What the processes of a test are known by; Ray's workers find the scorers of the tests."""
    value = uuid.uuid4().hex
    monkeypatch.setenv(MARK, value)
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    yield value
    ray.shutdown()


def test_rows_are_those_of_the_local_engine(mark, make_clips, run_null, tmp_path):
    clips = make_clips(
        *(f"{i:02d}.wav" for i in range(40)),
        *("05-poison.wav", "07-damaged.wav", "08-unlucky.wav", "09-hangs.wav"),
    )
    summary = run_null(clips, engine=run_ray, workers=2, time_limit_s=2.0)
    assert summary.failures == {"WorkerCrash": 1, "MediaError": 1, "TimeLimit": 1}
    (clips / "08-unlucky.wav.tried").unlink()
    run_null(clips, out="local.csv", time_limit_s=2.0)

    def seen(out: str) -> list[tuple[str, str, str]]:
        return [(r["path"], r["status"], r["error"]) for r in read_table(tmp_path / out)]

    assert seen("table.csv") == seen("local.csv")


def test_a_killed_worker_and_a_killed_task_cost_no_clip(mark, make_clips, run_null, tmp_path):
    clips = make_clips(*(f"{i:03d}-slow.wav" for i in range(120)))
    killed: list[int] = []

    def kill(progress) -> None:
        wanted = "cryvision.batch.worker" if not killed else "ray::_score"
        if progress.n_scored >= 20 * (1 + len(killed)) and len(killed) < 2:
            pids = [pid for pid, words in marked(mark).items() if wanted in words]
            killed.append(pids[0])
            os.kill(pids[0], signal.SIGKILL)

    summary = run_null(clips, engine=run_ray, workers=2, progress=kill)
    assert len(killed) == 2
    assert summary.failures == {}
    assert names(tmp_path / "table.csv") == sorted(path.name for path in clips.glob("*.wav"))


def test_one_of_two_machines_is_lost(ray, mark, make_clips, run_null, tmp_path):
    from ray.cluster_utils import Cluster

    clips = make_clips(*(f"{i:03d}-slow.wav" for i in range(120)))
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    lost: list[Any] = []
    try:
        nodes = [cluster.add_node(num_cpus=1, object_store_memory=100 << 20) for _ in range(2)]
        cluster.wait_for_nodes()
        ray.init(address=cluster.address, log_to_driver=False)

        def lose(progress) -> None:
            if progress.n_scored >= 20 and not lost:
                lost.append(nodes[0])
                cluster.remove_node(nodes[0], allow_graceful=False)

        summary = run_null(clips, engine=run_ray, workers=2, progress=lose)
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert lost
    assert summary.failures == {}
    assert names(tmp_path / "table.csv") == sorted(path.name for path in clips.glob("*.wav"))


def test_a_session_of_the_users_own_keeps_no_worker(ray, mark, make_clips, run_null):
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    assert run_null(make_clips("a.wav"), engine=run_ray).n_scored == 1

    def workers() -> list[str]:
        return [words for words in marked(mark).values() if "cryvision.batch.worker" in words]

    assert workers()
    until(lambda: not workers(), within_s=IDLE_SECONDS + 60)


def test_a_driver_killed_at_ten_random_moments(ray, make_clips, start_driver, tmp_path):
    clips = make_clips(*(f"{i:04d}-slow.wav" for i in range(600)))
    out = tmp_path / "t.csv"
    kill_and_finish(start_driver, "ray", clips, out, 10, RAY_ORPHAN_SECONDS)


def test_a_worker_that_cannot_start_ends_the_run_in_a_line(mark, make_clips, run_null, null_job):
    broken = replace(null_job, scorer="scorers:Nowhere")
    with pytest.raises(CryvisionError, match="Nowhere"):
        run_null(make_clips("a.wav"), job=broken, engine=run_ray)


def test_a_real_bundle_on_real_sound(mark, tone_wav, tmp_path):
    from bundles import BUNDLE_V1

    copy = tmp_path / "tone.wav"
    copy.write_bytes(tone_wav.read_bytes())
    options = {"bundle": BUNDLE_V1, "workers": 1}
    score(copy, tmp_path / "ray.csv", engine="ray", **options)
    score(copy, tmp_path / "local.csv", **options)
    (one,), (other,) = (read_table(tmp_path / name) for name in ("ray.csv", "local.csv"))
    del one["seconds_spent"], other["seconds_spent"]
    assert one == other


def test_no_cluster_at_an_address_is_one_line(mark, make_clips, run_null):
    engine = functools.partial(run_ray, address="127.0.0.1:1")
    with pytest.raises(CryvisionError, match=r"Ray cannot be reached at 127\.0\.0\.1:1") as caught:
        run_null(make_clips("a.wav"), engine=engine)
    assert "\n" not in str(caught.value)


def test_without_ray_is_one_line(monkeypatch, make_clips, run_null):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'cryvision\[batch\]'"):
        run_null(make_clips("a.wav"), engine=run_ray)


def test_ray_reports_nothing_of_its_use(monkeypatch, mark, make_clips, run_null):
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
    run_null(make_clips("a.wav"), engine=run_ray)
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
