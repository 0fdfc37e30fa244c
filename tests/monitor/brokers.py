"""MQTT brokers on this machine, and a client that notes what it gets."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from waiting import until

PATIENCE_S = 30.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@contextmanager
def amqtt(port: int) -> Iterator[None]:
    """Run a broker of the package amqtt; it speaks MQTT 3.1.1."""
    from amqtt.broker import Broker

    loop = asyncio.new_event_loop()
    plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    listeners = {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}}
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def make() -> Any:
        broker = Broker({"listeners": listeners, "plugins": plugins})
        await broker.start()
        return broker

    broker = asyncio.run_coroutine_threadsafe(make(), loop).result(PATIENCE_S)
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(broker.shutdown(), loop).result(PATIENCE_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def find_mosquitto() -> str:
    """Return the program; the test is skipped where there is none."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    return program or pytest.skip("mosquitto is not installed")


@contextmanager
def mosquitto(port: int, folder: Path, *lines: str) -> Iterator[None]:
    """Run mosquitto; it speaks MQTT 5. Retained messages outlive a restart in the same folder."""
    program = find_mosquitto()
    folder.mkdir(exist_ok=True)
    listener = [f"listener {port} 127.0.0.1", *(lines or ("allow_anonymous true",))]
    # Started by root it would become another user, who may not look into the folder of the tests.
    kept = ["user root", "persistence true", f"persistence_location {folder}/"]
    (folder / "mosquitto.conf").write_text("\n".join([*listener, *kept]) + "\n")
    with subprocess.Popen(
        [program, "-c", folder / "mosquitto.conf"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            until(lambda: _answers(port), "mosquitto")
            yield
        finally:
            process.terminate()


@dataclass
class Watcher:
    """Notes all messages at a broker."""

    messages: list[tuple[str, bytes, bool]] = field(default_factory=list)
    """Topic, payload, and whether it was retained before the watcher came."""

    client: Any = None

    def payloads(self, topic: str) -> list[Any]:
        texts = [payload.decode() for t, payload, _ in list(self.messages) if t == topic]
        return [json.loads(text) if text.startswith("{") else text for text in texts]

    def last(self, topic: str) -> Any:
        return (self.payloads(topic) or [None])[-1]


@contextmanager
def watcher(port: int, **login: str) -> Iterator[Watcher]:
    """Subscribe to everything, as Home Assistant does to its part."""
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion

    seen = Watcher()
    ready = threading.Event()
    client = Client(CallbackAPIVersion.VERSION2)
    if login:
        client.username_pw_set(**login)
    client.on_connect = lambda *_: client.subscribe("#", qos=1)
    client.on_subscribe = lambda *_: ready.set()
    client.on_message = lambda _client, _data, m: seen.messages.append(
        (m.topic, m.payload, m.retain)
    )
    client.reconnect_delay_set(0.1, 0.1)
    client.connect_async("127.0.0.1", port)
    client.loop_start()
    assert ready.wait(PATIENCE_S)
    seen.client = client
    try:
        yield seen
    finally:
        client.disconnect()
        client.loop_stop()


class Relay:
    """Passes a connection on to a broker; ``deaf`` drops what the broker says back."""

    def __init__(self, port: int) -> None:
        self.deaf = False
        self._broker = port
        self._ends: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End all connections; new ones are taken."""
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._server.close()
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                broker = socket.create_connection(("127.0.0.1", self._broker))
                self._ends += [client, broker]
                for ends in ((client, broker), (broker, client)):
                    threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(4096):
                if not (self.deaf and source.getpeername()[1] == self._broker):
                    target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
