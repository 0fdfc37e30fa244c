"""Receivers of alerts on this machine: web servers that keep what they get."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from serving import serving

from cryvision.monitor.alerting.alerts import Alert

Answer = tuple[int, dict[str, str]]


def make_alert(**changes: Any) -> Alert:
    values = {
        "id": uuid.uuid4().hex,
        "rule": "crying",
        "source": "nursery",
        "state": "raised",
        "kind": "crying",
        "time": "2026-06-15T20:00:00.000+00:00",
        "crying_since": "2026-06-15T19:59:50.000+00:00",
        "seconds": 10.0,
        "message": "nursery: crying for 10 s",
        **changes,
    }
    return Alert(**values)


@dataclass(frozen=True)
class Request:
    path: str
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class WebReceiver:
    """A web server; ``answer`` says with which status and headers it takes a request."""

    port: int = 0
    requests: list[Request] = field(default_factory=list)
    answer: Callable[[Request], Answer] = lambda request: (200, {})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ids(self) -> list[str]:
        return [request.json["id"] for request in self.requests]


@contextmanager
def web_receiver(port: int = 0) -> Iterator[WebReceiver]:
    """Run a web server until the block ends."""
    receiver = WebReceiver()

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length)
            if len(body) < length:
                return  # whoever sent it was killed meanwhile
            request = Request(self.path, self.headers, body)
            status, headers = receiver.answer(request)
            receiver.requests.append(request)
            self.send_response(status)
            for name, value in {"Content-Length": "0", **headers}.items():
                self.send_header(name, value)
            self.end_headers()

        do_POST = do_GET = handle_any  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that is killed says nothing to the terminal."""

    server = Server(("127.0.0.1", port), Handler)
    receiver.port = server.server_port
    with serving(server):
        yield receiver
