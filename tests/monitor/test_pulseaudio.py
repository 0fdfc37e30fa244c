"""A real stream of PortAudio, from the monitor of a sound server that plays into nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from waiting import comes_true

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux" or not all(map(shutil.which, ("pulseaudio", "paplay", "pactl"))),
        reason="there is no pulseaudio here",
    ),
]

TONE_HZ, AMPLITUDE = 450.0, 0.25

SERVER = (
    *("pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1"),
    *("--load=module-native-protocol-unix", "--load=module-null-sink sink_name=cable"),
)

READER = """
import json, threading, time
import numpy as np
from cryvision.monitor.sources import microphone, source as sources
from cryvision.monitor.sources.microphone import Microphone, list_devices

microphone.STALL_SECONDS = 2
sources.FIRST_RETRY_SECONDS, sources.LONGEST_RETRY_SECONDS = 0.2, 0.5
stop, sound = threading.Event(), []
source = Microphone()
for item in source.pieces(stop):
    if hasattr(item, "kind"):
        print(json.dumps({"kind": item.kind, "message": item.message}), flush=True)
        stop.set() if item.kind == "recovered" else sound.clear()
        continue
    n_before = sum(map(len, sound)) // 16000
    sound.append(item.samples)
    if n_before < 3 <= sum(map(len, sound)) // 16000:
        whole = np.concatenate(sound)[16000:48000].astype(float)
        spectrum = np.abs(np.fft.rfft(whole * np.hanning(len(whole)), 1 << 18))
        facts = {"hz": spectrum.argmax() * 16000 / (1 << 18), "late_s": time.time() - item.time}
        facts["amplitude"] = float(np.sqrt(2 * np.mean(whole**2)))
        print(json.dumps({"kind": "sound", **facts, "devices": list_devices()}), flush=True)
"""


class Server:
    """A sound server of its own, with a home of its own."""

    def __init__(self, folder: Path, wav: Path) -> None:
        (folder / ".asoundrc").write_text(
            "pcm.!default { type pulse }\nctl.!default { type pulse }\n"
        )
        self.wav = wav
        self.environment = {**os.environ, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        self.process = self.run(*SERVER)
        assert comes_true(self._ready, 15)
        self.run("paplay", "--device=cable", str(self.wav))

    def _ready(self) -> bool:
        command = ("pactl", "set-default-source", "cable.monitor")
        return self.run(*command).wait(10) == 0

    def run(self, *command: str) -> subprocess.Popen[bytes]:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.started.append(subprocess.Popen(command, env=self.environment, **quiet))
        return self.started[-1]

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def server(tmp_path: Path, make_media) -> Iterator[Server]:
    tone = f"aevalsrc={AMPLITUDE}*sin(2*PI*{TONE_HZ}*t):s=44100:d=60"
    running = Server(tmp_path, make_media("tone60.wav", "-f", "lavfi", "-i", tone))
    running.start()
    yield running
    for process in running.started:
        process.kill()
        process.wait()


def test_a_tone_comes_through_and_the_microphone_comes_back_when_its_server_was_killed(
    server: Server,
) -> None:
    reader = subprocess.Popen(
        [sys.executable, "-c", READER],
        env=server.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        report = json.loads(reader.stdout.readline())
        assert report["kind"] == "sound"
        assert report["hz"] == pytest.approx(TONE_HZ, abs=0.1)
        assert report["amplitude"] == pytest.approx(AMPLITUDE, rel=0.02)
        assert report["late_s"] < 1.0
        assert "(default)" in report["devices"]
        server.kill()
        lost = json.loads(reader.stdout.readline())
        assert lost["kind"] in ("lost", "stalled")
        server.start()
        assert json.loads(reader.stdout.readline())["kind"] == "recovered"
        assert reader.wait(10) == 0
        assert not psutil.pid_exists(reader.pid)
    finally:
        reader.kill()
        reader.wait()
