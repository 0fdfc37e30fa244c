"""Kills what a monitor depends on, at random, and counts the alerts that are lost or doubled.

A stream comes from a server in a network namespace of its own, a microphone from a sound server of
its own, and alerts go to an MQTT broker. One of these is killed and started again, or the
namespace's link is cut, and the next waits until both sources have raised an alert since. What the
monitor prints is held against what a subscriber of the broker has got.

For Linux, as root; `ip`, mosquitto and pulseaudio must be installed. 200 kills take about an hour.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import wave
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from report import ROOT, SEED, Demand, finish, parser

from cryvision.bundle import Bundle
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.inputs.media import read_sound

NAMESPACE, OUTER, INNER = "cryvision-kills", "cvk0", "cvk1"
OUTER_IP, INNER_IP, PORT = "10.231.77.1", "10.231.77.2", 8000
SOURCES = ("stream", "microphone")
LONGEST_DOWN_S = 4.0
PATIENCE_S = 120.0
"""A stream that stalled is tried again after seconds that grow with each failure."""

STREAM = """
import socket, struct, sys, threading, time, wave
with wave.open(sys.argv[1]) as file:
    rate, sound = file.getframerate(), file.readframes(file.getnframes())
head = struct.pack("<4sI4s4sI", b"RIFF", 2**32 - 1, b"WAVE", b"fmt ", 16)
head += struct.pack("<HHIIHH", 1, 1, rate, 2 * rate, 2, 16)
head += struct.pack("<4sI", b"data", 2**32 - 1)
step = 2 * rate // 20

def serve(client):
    try:
        client.recv(65536)
        client.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Type: audio/wav\\r\\n\\r\\n" + head)
        first = time.monotonic() - 2.0
        sent = 0
        while True:
            while sent < (time.monotonic() - first) * 2 * rate:
                at = sent % len(sound)
                block = sound[at : at + step]
                client.sendall(block)
                sent += len(block)
            time.sleep(0.02)
    except OSError:
        pass

with socket.create_server((sys.argv[2], int(sys.argv[3]))) as server:
    while True:
        threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
"""

CONFIG = """
outbox = "outbox.sqlite3"
[[source]]
name = "stream"
kind = "rtsp"
value = "http://{host}:{port}/live.wav"
[[source]]
name = "microphone"
kind = "microphone"
[[rule]]
name = "crying"
kind = "crying"
after_s = 1
hold_s = 0.5
release_s = 1
rearm_s = 0
[[sink]]
name = "log"
kind = "console"
format = "json"
[[sink]]
name = "home"
kind = "mqtt"
host = "127.0.0.1"
port = {broker}
"""

QUIET: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


class Started:
    """A program that can be killed and started again."""

    def __init__(self, *command: str | Path, ready: Callable[[], bool], **options: Any) -> None:
        self._command, self._ready, self._options = command, ready, {**QUIET, **options}
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, **self._options)
        wait_until(self._ready, f"{self._command[0]} to answer")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


class Link:
    """The wire of the namespace."""

    def start(self) -> None:
        run("ip", "link", "set", OUTER, "up")

    def kill(self) -> None:
        run("ip", "link", "set", OUTER, "down")


class SoundServer(Started):
    """Plays the crying into a sink whose monitor is the default microphone."""

    def __init__(self, folder: Path, wav: Path, environment: dict[str, str]) -> None:
        (folder / ".asoundrc").write_text(
            "pcm.!default { type pulse }\nctl.!default { type pulse }\n"
        )
        self._player: subprocess.Popen[bytes] | None = None
        self._wav = wav
        set_default = ("pactl", "set-default-source", "cable.monitor")
        super().__init__(
            *("pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1"),
            *("--load=module-native-protocol-unix", "--load=module-null-sink sink_name=cable"),
            ready=lambda: not subprocess.call(set_default, env=environment, **QUIET),
            env=environment,
        )

    def start(self) -> None:
        super().start()
        play = 'while true; do paplay --device=cable "$0" || exit; done'
        self._player = subprocess.Popen(["sh", "-c", play, self._wav], **self._options)

    def kill(self) -> None:
        super().kill()
        if self._player is not None:
            self._player.kill()
            self._player.wait()


class Monitor:
    """The monitor itself, and the alerts that it has printed."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.alerts: list[tuple[str, str]] = []
        self.n_raised: Counter[str] = Counter()
        self._log = folder / "log"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cryvision", "live", "--config", "live.toml"],
            cwd=folder, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=self._log.open("w"),
        )  # fmt: skip
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith('{"type": "alert"'):
                record = json.loads(line)
                self.alerts.append((record["id"], record["state"]))
                self.n_raised[record["source"]] += record["state"] == "raised"

    def running(self) -> bool:
        return self._process.poll() is None

    def last_words(self) -> str:
        return self._log.read_text()[-500:]

    def stop(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(60)


class Subscriber:
    """A session of the broker that outlives its restarts, as that of a home does."""

    def __init__(self, port: int) -> None:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.alerts: list[tuple[str, str]] = []
        self._client = Client(CallbackAPIVersion.VERSION2, "subscriber", clean_session=False)
        self._client.on_connect = lambda client, *_: client.subscribe("cryvision/+/alert", qos=1)
        self._client.on_message = self._note
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _note(self, _client: Any, _data: Any, message: Any) -> None:
        record = json.loads(message.payload)
        self.alerts.append((record["id"], record["state"]))

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def main() -> int:
    options = parser(__doc__, repeats=1)
    options.add_argument("--kills", type=int, default=200, help="default: 200")
    chosen = options.parse_args()
    missing = [p for p in ("ip", "mosquitto", "pulseaudio", "pactl", "paplay") if not find(p)]
    if missing or os.geteuid():
        sys.exit(f"{', '.join(missing) or 'root'} is needed")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        result = killed(folder, chosen.kills, stack)
    demands = [
        Demand("alerts that were lost", result["lost"], 0),
        Demand("alerts with one id that came more than once", result["doubled"], 0),
        Demand("kills after which a source raised no alert", result["not_recovered"], 0),
    ]
    return finish("live_kills", Bundle.load(chosen.bundle), result, demands)


def killed(folder: Path, n: int, stack: contextlib.ExitStack) -> dict[str, Any]:
    """Kill one after the other at random, and compare what was raised with what arrived."""
    broker_port = free_port()
    make_namespace(stack)
    wav = write_loop(folder)
    environment = {**os.environ, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
    config = CONFIG.format(host=INNER_IP, port=PORT, broker=broker_port)
    (folder / "live.toml").write_text(config)
    parts: dict[str, Any] = {
        "source": Started(
            *("ip", "netns", "exec", NAMESPACE, sys.executable, "-c", STREAM, wav),
            *(INNER_IP, str(PORT)),
            ready=lambda: answers(INNER_IP, PORT),
        ),
        "broker": start_broker(folder, broker_port),
        "network namespace": Link(),
        "device": SoundServer(folder, wav, environment),
    }
    stack.callback(lambda: [part.kill() for part in parts.values()])
    subscriber = Subscriber(broker_port)
    stack.callback(subscriber.stop)
    monitor = Monitor(folder, environment)
    stack.callback(monitor.stop)
    recovery_s: dict[str, list[float]] = {name: [] for name in parts}
    not_recovered, rng = 0, random.Random(SEED)
    wait_until(lambda: raised_since(monitor, Counter()), "the first alerts")
    for number in range(n):
        name = rng.choice(list(parts))
        time.sleep(rng.uniform(0, 2))
        parts[name].kill()
        time.sleep(rng.uniform(0.1, LONGEST_DOWN_S))
        parts[name].start()
        before, started_s = monitor.n_raised.copy(), time.monotonic()
        try:
            wait_until(lambda before=before: raised_since(monitor, before), "an alert")
            recovery_s[name].append(time.monotonic() - started_s)
        except TimeoutError:
            not_recovered += 1
        print(f"{number + 1} {name} {time.monotonic() - started_s:.1f} s", flush=True)
    still_running = monitor.running()
    time.sleep(5)
    monitor.stop()
    with contextlib.suppress(TimeoutError):
        wait_until(lambda: set(monitor.alerts) <= set(subscriber.alerts), "the last alerts", 30)
    arrived = Counter(subscriber.alerts)
    return {
        "kills": {name: len(times) for name, times in recovery_s.items()},
        "median_s_to_the_next_alert_of_both_sources": {
            name: round(float(np.median(times)), 1) for name, times in recovery_s.items() if times
        },
        "alerts_raised_or_cleared": len(monitor.alerts),
        "lost": len(set(monitor.alerts) - set(arrived)),
        "doubled": sum(count - 1 for count in arrived.values()),
        "not_recovered": not_recovered,
        "monitor_ran_to_the_end": still_running,
        "longest_down_s": LONGEST_DOWN_S,
    }


def raised_since(monitor: Monitor, before: Counter[str]) -> bool:
    if not monitor.running():
        raise RuntimeError(f"the monitor has ended: {monitor.last_words()}")
    return all(monitor.n_raised[source] > before[source] for source in SOURCES)


def make_namespace(stack: contextlib.ExitStack) -> None:
    run("ip", "netns", "add", NAMESPACE)
    stack.callback(run, "ip", "netns", "delete", NAMESPACE)
    run("ip", "link", "add", OUTER, "type", "veth", "peer", "name", INNER, "netns", NAMESPACE)
    run("ip", "address", "add", f"{OUTER_IP}/24", "dev", OUTER)
    run("ip", "link", "set", OUTER, "up")
    run("ip", "-n", NAMESPACE, "address", "add", f"{INNER_IP}/24", "dev", INNER)
    run("ip", "-n", NAMESPACE, "link", "set", INNER, "up")


def start_broker(folder: Path, port: int) -> Started:
    """Start mosquitto so that a session outlives its kill."""
    (folder / "mosquitto.conf").write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\n"
        f"persistence_location {folder}/\nautosave_on_changes true\nautosave_interval 1\n"
    )
    program = str(find("mosquitto"))
    return Started(
        program, "-c", folder / "mosquitto.conf", ready=lambda: answers("127.0.0.1", port)
    )


def write_loop(folder: Path) -> Path:
    """Write the sound of the demo: crying with pauses."""
    sound = read_sound(ROOT / "examples" / "demo.mp4")
    with wave.open(str(folder / "crying.wav"), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
        file.writeframes((np.clip(sound, -1, 1) * 32_767).astype("<i2").tobytes())
    return folder / "crying.wav"


def wait_until(condition: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"no sign of {what} for {patience_s:g} s")
        time.sleep(0.05)


def answers(host: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((host, port), 1):
        return True
    return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def find(program: str) -> str | None:
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")


def run(*command: str) -> None:
    subprocess.run(command, check=True, **QUIET)


if __name__ == "__main__":
    sys.exit(main())
