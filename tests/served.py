"""A server of the page in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

START_SECONDS = 60.0
"""For what takes two seconds on an idle machine."""

JOB_SECONDS = 120.0

RESCAN_SECONDS = 0.3
"""How often the folder is looked at again: tests do not wait for the two seconds of the page."""

PROGRAM = f"""
from cryvision.web import clips
clips.RESCAN_SECONDS = {RESCAN_SECONDS}
from cryvision.__main__ import run
run()
"""

DEMO = Path(__file__).parents[1] / "examples" / "demo.mp4"


@dataclass
class Served:
    """A server that runs.

    Attributes
    ----------
    process : subprocess.Popen
    url : str
        Its address without the last slash.
    temporary : Path
        Where its own folder lies.
    folder : Path
        The folder of clips.
    """

    process: subprocess.Popen[str]
    url: str
    temporary: Path
    folder: Path

    @classmethod
    def start(cls, folder: Path, temporary: Path, *arguments: str) -> Served:
        """Start a server and wait until it listens."""
        command = [sys.executable, "-c", PROGRAM, "serve", "--folder", str(folder)]
        process = subprocess.Popen(
            [*command, "--port", "0", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(temporary)},
        )
        assert process.stderr is not None
        line = process.stderr.readline()
        match = re.search(r"(http://\S+?)/\s", line)
        assert match is not None, line + process.stderr.read()
        return cls(process, match[1], temporary, folder)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=JOB_SECONDS, **options)

    def end(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """End it; return its exit status and what it printed since it was ready."""
        self.process.send_signal(how)
        _, err = self.process.communicate(timeout=START_SECONDS)
        return self.process.returncode, err

    def kill(self) -> None:
        """End it with what it is doing, as a power cut would."""
        self.process.kill()
        self.process.wait()
        if self.process.stderr is not None:
            self.process.stderr.close()

    def leftovers(self) -> list[str]:
        """What it has left in the folder for temporary files."""
        return sorted(path.name for path in self.temporary.iterdir())


def wait_for(client: httpx.Client, job_id: str, limit_s: float = JOB_SECONDS) -> dict[str, Any]:
    """Wait until a job has ended."""
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        job: dict[str, Any] = client.get(f"/api/jobs/{job_id}").json()
        if job["status"] in ("done", "failed", "cancelled"):
            return job
        time.sleep(0.05)
    raise AssertionError(f"the job has not ended: {job}")


def upload(client: httpx.Client, path: Path, name: str | None = None) -> str:
    """Upload a clip, wait until it is scored, and return its id."""
    with path.open("rb") as file:
        answer = client.post("/api/clips", files={"file": (name or path.name, file)})
    assert answer.status_code == 202, answer.text
    job = wait_for(client, answer.json()["job_id"])
    assert job["status"] == "done", job
    return str(answer.json()["clip_id"])
