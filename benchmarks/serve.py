"""What the page's server takes: time, memory, hostile requests, kills; and what it leaves."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
import wave
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import report
from report import ROOT, Demand

from cryvision.annotations.corrections import read_corrections
from cryvision.bundle import Bundle
from cryvision.inputs.media import read_sound

# The tests know how to start a server, and what is hostile.
sys.path.insert(0, str(ROOT / "tests"))
from hostile_requests import HOSTS, ORIGINS, PATHS, POLYGLOTS, SCRIPT, TRAVERSALS, named_form
from served import DEMO, Served, upload, wait_for

HOUR_REPEATS = 240
"""Of the demo clip's 15 s."""

HOUR_LIMIT_SECONDS = 1800.0

ZOOM_STEPS = 40
WIDTH_PX = 1500
UPLOADS = 20
CORRECTIONS, KILLS = 300, 20
SAMPLE_SECONDS = 0.05

WATCH = """
import os, sys

TRIES = {"connect", "getaddrinfo", "gethostbyname", "gethostbyaddr", "sendto", "sendmsg"}

def watch(event, args):
    if event.startswith("socket.") and event[7:] in TRIES:
        with open(os.environ["TRIED"], "a") as file:
            print(event, args, file=file)

sys.addaudithook(watch)
"""
"""Run by Python at the start of each process of the server: notes what is tried to reach."""


def main() -> int:
    """Measure, write the results, and return the exit status."""
    options = report.parser(__doc__, repeats=5)
    options.add_argument("--seed", type=int, default=report.SEED)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "watch").mkdir()
        (place / "watch" / "sitecustomize.py").write_text(WATCH)
        os.environ["TRIED"] = str(place / "tried")
        os.environ["PYTHONPATH"] = os.pathsep.join([str(place / "watch"), str(ROOT)])
        measures = {
            "upload": upload_seconds(place, chosen.repeats),
            "many_uploads": many_uploads(place),
            "hostile": hostile(place),
            "hour": hour(place),
            "corrections": kills(place, chosen.seed),
        }
        tried = Path(os.environ["TRIED"])
        n_tried = len(tried.read_text().splitlines()) if tried.exists() else 0
    times = "times hold for a machine that does nothing else; cpu is processor time alone"
    result = {**measures, "connections_tried": n_tried, "note": times}
    many, corrections = measures["many_uploads"], measures["corrections"]
    step_ms = measures["hour"]["step_ms"]["p95"]
    demands = [
        Demand("15 s clip, upload to events, s", measures["upload"]["median_s"], 2.0),
        Demand("an hour, scored: first picture, s", measures["hour"]["first_s"], 2.0),
        Demand("an hour: a step of zoom, 95 % of them, ms", step_ms, 100),
        Demand("20 uploads: memory, GB", many["memory_gb"], 1.5),
        Demand("20 uploads: lost", many["lost"], 0),
        Demand("hostile requests that were not refused", len(measures["hostile"]["passed"]), 0),
        Demand("300 corrections, 20 kills: lost", corrections["lost"], 0),
        Demand("300 corrections, 20 kills: torn files", corrections["torn"], 0),
        Demand("connections to other hosts", n_tried, 0),
        Demand("files left after the end", sum(m["left"] for m in measures.values()), 0),
    ]  # fmt: skip
    return report.finish("serve", Bundle.load(), result, demands, chosen.seed)


@contextlib.contextmanager
def serving(place: Path, folder: Path, left: list[str], *arguments: str) -> Iterator[Served]:
    """Start a server with a folder for temporary files of its own; end it, and add what is left."""
    temporary = Path(tempfile.mkdtemp(dir=place))
    served = Served.start(folder, temporary, *arguments)
    try:
        yield served
    finally:
        if served.process.poll() is None:
            served.end()
        left += served.leftovers()


def upload_seconds(place: Path, repeats: int) -> dict[str, Any]:
    """Time from the upload of a clip to its events, once the models are loaded."""
    seconds, left = [], []
    folder = _folder(place, "upload")
    with serving(place, folder, left) as served, served.client() as client:
        upload(client, DEMO)
        cpu_s = _cpu_seconds(served.process.pid)
        for _ in range(repeats):
            begun = time.perf_counter()
            clip = upload(client, DEMO)
            events = client.get(f"/api/clips/{clip}/corrections").json()["events"]
            seconds.append(time.perf_counter() - begun)
            assert len(events) == 8
        cpu_s = (_cpu_seconds(served.process.pid) - cpu_s) / repeats
    return {
        "median_s": statistics.median(seconds),
        "seconds": seconds,
        "cpu_s": cpu_s,
        "left": len(left),
    }


def many_uploads(place: Path) -> dict[str, Any]:
    """Upload clips at once: each is scored or refused; how much memory all processes take."""
    left: list[str] = []
    data = DEMO.read_bytes()
    with serving(place, _folder(place, "many"), left) as served, served.client() as client:
        upload(client, DEMO)
        memory = _Memory(served.process.pid)

        def one(number: int) -> httpx.Response:
            with served.client() as own:
                return own.post("/api/clips", files={"file": (f"{number}.mp4", data)})

        begun = time.perf_counter()
        with ThreadPoolExecutor(UPLOADS) as pool:
            answers = list(pool.map(one, range(UPLOADS)))
        answered_s = time.perf_counter() - begun
        taken = [answer.json() for answer in answers if answer.status_code == 202]
        ended = [wait_for(client, one["job_id"])["status"] for one in taken]
        seconds = time.perf_counter() - begun
        memory.stop()
        statuses = Counter(str(answer.status_code) for answer in answers)
    odd = sum(answer.status_code not in (202, 429) for answer in answers)
    return {
        "statuses": statuses,
        "answered_s": answered_s,
        "scored_s": seconds,
        "lost": odd + sum(status != "done" for status in ended),
        "memory_gb": memory.peak_bytes / 1e9,
        "left": len(left),
    }


def hostile(place: Path) -> dict[str, Any]:
    """Send what must be refused or kept as text; list what passed."""
    left: list[str] = []
    passed: list[str] = []
    n = 0
    folder = _folder(place, "hostile", DEMO)
    with serving(place, folder, left) as served, served.client() as client:
        (row,) = client.get("/api/clips").json()
        url = f"/api/clips/{row['clip_id']}"
        wait_for(client, client.post(f"{url}/score").json()["job_id"])
        checks = [
            *((f"host {h}", _got(client, url, 400, host=h)) for h in HOSTS),
            *((f"origin {o}", _got(client, url, 403, origin=o)) for o in ORIGINS),
            *((f"path {p}", _got(client, p, 400, 404)) for p in PATHS),
            *((f"file {n}", _is_no_media(client, n, data)) for n, data in POLYGLOTS.items()),
            *((f"name {n[:20]!r}", _name_is_harmless(client, served, n)) for n in TRAVERSALS),
            ("declared 1 GB", _declared_gigabyte(served)),
            ("slow headers", _slow_headers(served)),
            ("HTML in a label", _label_is_text(client, url)),
        ]  # fmt: skip
        n = len(checks)
        passed = [what for what, refused in checks if not refused]
        for path in folder.glob("*.corrections.json"):
            path.unlink()
    return {"n": n, "passed": passed, "left": len(left)}


def _got(client: httpx.Client, url: str, *statuses: int, **headers: str) -> bool:
    return client.get(url, headers=headers).status_code in statuses


def _is_no_media(client: httpx.Client, name: str, data: bytes) -> bool:
    return client.post("/api/clips", files={"file": (name, data)}).status_code in (415, 422)


def _name_is_harmless(client: httpx.Client, served: Served, name: str) -> bool:
    answer = client.post("/api/clips", **named_form(name, _tone()))
    if answer.status_code != 202:
        return answer.status_code in (400, 422)
    clip = answer.json()["clip_id"]
    (private,) = served.temporary.glob("cryvision-web-*")
    inside = [path for path in private.rglob("*") if path.is_file() and clip in path.parts]
    return any(path.parent == private / "clips" / clip for path in inside)


def _tone() -> bytes:
    import io

    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 16_000, 0, "NONE", ""))
        sound.writeframes((np.sin(np.arange(16_000) * 0.17) * 9000).astype("<i2").tobytes())
    return file.getvalue()


def _declared_gigabyte(served: Served) -> bool:
    import socket

    head = f"POST /v1/classify HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n"
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as connection:
        connection.sendall(f"{head}Content-Length: 1000000000\r\n\r\n".encode())
        return connection.recv(200).startswith(b"HTTP/1.1 413 ")


def _slow_headers(served: Served) -> bool:
    import socket

    with socket.create_connection(("127.0.0.1", served.port), timeout=40) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: 127")
        return connection.recv(200) == b""  # closed after some seconds


def _label_is_text(client: httpx.Client, url: str) -> bool:
    state = client.get(f"{url}/corrections").json()
    state["events"][0]["label"] = SCRIPT
    saved = client.put(f"{url}/corrections", json=state).status_code == 200
    page = client.get(f"{url}/export/vtt?which=corrected")
    return saved and SCRIPT not in page.text and page.headers["x-content-type-options"] == "nosniff"


def hour(place: Path) -> dict[str, Any]:
    """Time what the page asks for of an hour: at first, and at each step of zoom."""
    left: list[str] = []
    folder = _folder(place, "hour")
    _write_hour(folder / "hour.wav")
    with serving(place, folder, left) as served, served.client() as client:
        (row,) = client.get("/api/clips").json()
        url = f"/api/clips/{row['clip_id']}"
        begun = time.perf_counter()
        job = wait_for(client, client.post(f"{url}/score").json()["job_id"], HOUR_LIMIT_SECONDS)
        score_s = time.perf_counter() - begun
        begun = time.perf_counter()
        for path in ("", "/corrections"):
            client.get(url + path).raise_for_status()
        _draw(client, url, 0.0, 3600.0)
        first_s = time.perf_counter() - begun
        steps_ms = []
        middle_s, span_s = 1800.0, 3600.0
        cpu_s = _cpu_seconds(served.process.pid)
        for _ in range(ZOOM_STEPS):
            span_s = max(0.5, span_s / 1.25)
            begun = time.perf_counter()
            _draw(client, url, middle_s - span_s / 2, middle_s + span_s / 2)
            steps_ms.append(1000 * (time.perf_counter() - begun))
        cpu_s = (_cpu_seconds(served.process.pid) - cpu_s) / ZOOM_STEPS
    return {
        "n_events": job["result"]["n_events"],
        "score_s": score_s,
        "first_s": first_s,
        "step_ms": {
            "median": statistics.median(steps_ms),
            "p95": float(np.percentile(steps_ms, 95)),
            "largest": max(steps_ms),
            "cpu": 1000 * cpu_s,
        },
        "left": len(left),
    }


def _draw(client: httpx.Client, url: str, start_s: float, end_s: float) -> None:
    """Ask for all that is drawn of a stretch, one after the other."""
    stretch = {"start_s": start_s, "end_s": end_s}
    for path, size in (
        ("peaks", {"points": WIDTH_PX}),
        ("tracks", {"points": WIDTH_PX}),
        ("spectrogram.png", {"width": WIDTH_PX, "height": 128}),
    ):
        client.get(f"{url}/{path}", params={**stretch, **size}).raise_for_status()


def _write_hour(path: Path) -> None:
    samples = (read_sound(DEMO) * 32767).astype("<i2").tobytes()
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, 16_000, 0, "NONE", ""))
        for _ in range(HOUR_REPEATS):
            sound.writeframes(samples)


def kills(place: Path, seed: int) -> dict[str, Any]:
    """Save corrections while the server is killed now and then; count what is lost or torn."""
    folder = _folder(place, "kills", DEMO)
    file = folder / f"{DEMO.name}.corrections.json"
    moments = random.Random(seed)
    kill_after = sorted(moments.sample(range(1, CORRECTIONS), KILLS))
    answered = lost = torn = n_kills = 0
    left: list[str] = []
    while answered < CORRECTIONS:
        temporary = Path(tempfile.mkdtemp(dir=place))
        served = Served.start(folder, temporary)
        with served.client() as client:
            (row,) = client.get("/api/clips").json()
            url = f"/api/clips/{row['clip_id']}"
            wait_for(client, client.post(f"{url}/score").json()["job_id"])
            state = client.get(f"{url}/corrections").json()
            lost += max(0, answered - state["version"])
            answered = state["version"]
            timer = None
            with contextlib.suppress(httpx.TransportError):
                while answered < CORRECTIONS:
                    if timer is None and kill_after and answered >= kill_after[0]:
                        kill_after.pop(0)
                        n_kills += 1
                        timer = threading.Timer(moments.uniform(0, 0.02), served.process.kill)
                        timer.start()
                    state["events"][0]["onset_s"] = 1.0 + answered / 1000
                    saved = client.put(f"{url}/corrections", json=state)
                    saved.raise_for_status()
                    state |= saved.json()
                    answered = state["version"]
        if timer is None:
            served.end()
            left += served.leftovers()
        else:
            timer.join()
            served.kill()
        try:
            lost += max(0, answered - read_corrections(file).version)
        except Exception:
            torn += 1
    history = [entry["version"] for entry in read_corrections(file).history]
    lost += CORRECTIONS - len(set(history))
    return {"saved": answered, "kills": n_kills, "lost": lost, "torn": torn, "left": len(left)}


def _cpu_seconds(pid: int) -> float:
    """Return the processor time of a process and its children: it depends less on other work."""
    process = psutil.Process(pid)
    total = 0.0
    for one in (process, *process.children(recursive=True)):
        times = one.cpu_times()
        total += times.user + times.system
        total += getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return total


class _Memory:
    """Samples the memory that a process and its children have for themselves."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._over = threading.Event()
        self.peak_bytes = 0
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            total = 0
            for process in [self._process, *self._process.children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    # Shared pages once: half of them each would be exact for two processes.
                    info = process.memory_full_info()
                    total += getattr(info, "pss", info.uss)
            self.peak_bytes = max(self.peak_bytes, total)


def _folder(place: Path, name: str, *clips: Path) -> Path:
    folder = place / name
    folder.mkdir()
    for clip in clips:
        shutil.copy(clip, folder)
    return folder


if __name__ == "__main__":
    sys.exit(main())
