"""Much at once is answered or refused, nothing is lost, and nothing is left behind."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from bundles import BUNDLE_V1
from served import DEMO, START_SECONDS, Served, upload, wait_for

from cryvision.annotations.corrections import read_corrections
from cryvision.web.jobs import BEHIND, BusyError, Job, Lane
from cryvision.web.page import Page
from cryvision.web.settings import ServeSettings

UPLOADS = 20
ENDING_SECONDS = 20.0
"""From a signal to the end, on a busy machine."""

MakeMedia = Callable[..., Path]
posix = pytest.mark.skipif(os.name != "posix", reason="signals of this kind are POSIX")


def test_twenty_uploads_at_once_are_scored_or_refused(
    served: Served, client: Any, tone_wav: Path
) -> None:
    def one(number: int) -> Any:
        with served.client() as own:
            return own.post("/api/clips", files={"file": (f"{number}.wav", tone_wav.read_bytes())})

    with ThreadPoolExecutor(UPLOADS) as pool:
        answers = list(pool.map(one, range(UPLOADS)))
    assert {answer.status_code for answer in answers} <= {202, 429}
    taken = [answer.json() for answer in answers if answer.status_code == 202]
    assert taken
    for answer in answers:
        if answer.status_code == 429:
            assert answer.headers["retry-after"]
    rows = {row["clip_id"]: row for row in client.get("/api/clips").json()}
    for one_taken in taken:
        assert wait_for(client, one_taken["job_id"])["status"] == "done"
        assert rows[one_taken["clip_id"]]["uploaded"]
        client.delete(f"/api/clips/{one_taken['clip_id']}")


def test_a_bundle_may_be_named_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(BUNDLE_V1, tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "private" / "requests").mkdir(parents=True)
    page = Page(ServeSettings(bundle="mine"), tmp_path / "private")
    try:
        job = Job("warm")
        page.score_lane.submit(job)
        assert job.ended.wait(START_SECONDS)
        assert (job.status, job.error) == ("done", "")
    finally:
        page.close()


def test_a_job_can_be_followed_and_ended(client: Any, make_media: MakeMedia) -> None:
    noise = ("-f", "lavfi", "-i", "anoisesrc=d=400:r=16000:a=0.1")
    path = make_media("long.wav", *noise)
    with path.open("rb") as file:
        taken = client.post("/api/clips", files={"file": ("long.wav", file)}).json()
    shown = []
    with client.stream("GET", f"/api/jobs/{taken['job_id']}/events") as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        for line in events.iter_lines():
            if not line.startswith("data: "):
                continue
            shown.append(json.loads(line.removeprefix("data: ")))
            if shown[-1]["status"] == "running" and shown[-1]["progress"] > 0:
                client.delete(f"/api/jobs/{taken['job_id']}")
    assert shown[-1]["status"] == "cancelled"
    (row,) = [r for r in client.get("/api/clips").json() if r["clip_id"] == taken["clip_id"]]
    assert row["status"] == "not scored"
    assert client.get(f"/api/clips/{taken['clip_id']}").status_code == 409
    # The next clip has its turn, in a new process.
    assert upload(client, DEMO)
    client.delete(f"/api/clips/{taken['clip_id']}")


def test_more_than_may_wait_is_refused(tmp_path: Path) -> None:
    lane = Lane("test", None, tmp_path, most_waiting=1)
    held = threading.Event()
    lane._do = lambda job, supervisor: (held.wait(10), job.end("done"))  # type: ignore[method-assign, assignment]
    try:
        lane.submit(Job("score"))
        deadline = time.monotonic() + 5
        while lane._n_waiting and time.monotonic() < deadline:
            time.sleep(0.01)
        lane.submit(Job("score"))
        with pytest.raises(BusyError, match="at most 1"):
            lane.submit(Job("score"))
        lane.submit(Job("score"), BEHIND)  # the folder waits without end
    finally:
        held.set()
        lane.close()


def test_programs_get_the_record_and_no_copy_is_kept(served: Served, client: Any) -> None:
    (private,) = [p for p in served.temporary.iterdir() if p.name.startswith("cryvision-web-")]
    before = sorted((private / "clips").iterdir())
    answer = client.post("/v1/classify", files={"file": ("a b.mp4", DEMO.read_bytes())})
    assert answer.status_code == 200
    record = answer.json()
    assert (record["path"], len(record["events"])) == ("a b.mp4", 8)
    raw = client.post("/v1/classify?name=x.mp4", content=DEMO.read_bytes()).json()
    assert {**raw, "path": ""} == {**record, "path": ""}
    assert sorted((private / "clips").iterdir()) == before


def test_programs_follow_a_long_clip(client: Any, make_media: MakeMedia) -> None:
    tone = "aevalsrc=0.1*sin(2*PI*440*t):s=16000:d=61"
    path = make_media("minute.wav", "-f", "lavfi", "-i", tone)
    answer = client.post("/v1/classify", content=path.read_bytes())
    assert answer.status_code == 202
    job_id = answer.json()["job_id"]
    wait_for(client, job_id)
    deadline = time.monotonic() + 5
    while "events" not in (job := client.get(f"/v1/jobs/{job_id}").json())["result"]:
        assert time.monotonic() < deadline
    assert job["result"]["duration_s"] == pytest.approx(61, abs=0.1)


def test_the_interface_describes_itself(client: Any) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/v1/classify", "/v1/jobs/{job_id}", "/api/clips", "/healthz"} <= set(paths)
    page = client.get("/v1/docs").text
    assert "/v1/classify" in page
    assert "<script" not in page
    assert "http" not in page.replace("HTTP", "")


@posix
def test_nothing_is_left_when_it_ends(
    serve: Callable[..., Served], tmp_path: Path, clip_folder: Path
) -> None:
    served = serve(clip_folder, temporary=tmp_path)
    with served.client() as client:
        with DEMO.open("rb") as file:  # which is being scored when it ends
            client.post("/api/clips", files={"file": ("a.mp4", file)})
        begun = time.monotonic()
        status, printed = served.end(signal.SIGTERM)
    assert time.monotonic() - begun < ENDING_SECONDS
    assert (status, printed) == (130, "cryvision: stopped\n")
    assert served.leftovers() == []


@posix
def test_what_a_killed_server_has_left_is_removed_by_the_next(
    serve: Callable[..., Served], tmp_path: Path, clip_folder: Path
) -> None:
    killed = serve(clip_folder, temporary=tmp_path)
    with killed.client() as client:
        upload(client, DEMO)
    killed.kill()
    (left,) = [p for p in tmp_path.iterdir() if p.name.startswith("cryvision-web-")]
    assert left.stat().st_mode & 0o777 == 0o700
    minutes_ago = time.time() - 120
    os.utime(left, (minutes_ago, minutes_ago))
    fresh = serve(clip_folder, temporary=tmp_path)
    assert not left.exists()
    assert fresh.end(signal.SIGINT) == (130, "cryvision: stopped\n")
    assert fresh.leftovers() == []


@posix
@pytest.mark.parametrize("kills", [1, pytest.param(4, marks=pytest.mark.slow)])
def test_corrections_survive_a_kill_at_any_moment(
    serve: Callable[..., Served], tmp_path: Path, kills: int
) -> None:
    """Every save that was answered is there, whole; the folder holds nothing else."""
    folder = tmp_path / "clips"
    folder.mkdir()
    shutil.copy(DEMO, folder / "a.mp4")
    moments = random.Random(kills)
    answered = 0
    for _ in range(kills):
        served = serve(folder)
        with served.client() as client:
            (row,) = client.get("/api/clips").json()
            url = f"/api/clips/{row['clip_id']}"
            wait_for(client, client.post(f"{url}/score").json()["job_id"])
            state = client.get(f"{url}/corrections").json()
            assert state["version"] >= answered
            timer = threading.Timer(moments.uniform(0.1, 0.5), served.process.kill)
            with contextlib.suppress(httpx.TransportError):
                for n_saves in itertools.count():
                    if n_saves == 3:  # on a busy machine they take long
                        timer.start()
                    state["events"][0]["onset_s"] = 1.0 + (state["version"] % 500) / 1000
                    answer = client.put(f"{url}/corrections", json=state)
                    assert answer.status_code == 200
                    state |= answer.json()
                    answered = state["version"]
            timer.join()
        kept = read_corrections(folder / "a.mp4.corrections.json")
        assert answered <= kept.version <= answered + 1
        assert len(kept.history) == kept.version
    assert answered > 2
    visible = {p.name for p in folder.iterdir() if not p.name.endswith(".partial")}
    assert visible == {"a.mp4", "a.mp4.corrections.json"}


@posix
def test_a_folder_that_may_not_be_written_says_so(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    folder = tmp_path / "clips"
    folder.mkdir()
    shutil.copy(DEMO, folder / "a.mp4")
    folder.chmod(0o500)
    served = serve(folder)
    with served.client() as client:
        (row,) = client.get("/api/clips").json()
        url = f"/api/clips/{row['clip_id']}"
        wait_for(client, client.post(f"{url}/score").json()["job_id"])
        state = client.get(f"{url}/corrections").json()
        answer = client.put(f"{url}/corrections", json=state)
        assert answer.status_code == 507
        assert "could not be saved" in answer.json()["error"]
    folder.chmod(0o700)
    served.end()
