"""Who may ask what: hosts, origins and passwords are checked before anything else is done."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import secrets
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from cryvision.web.passwords import Passwords

COOKIE = "cryvision"
SESSION_SECONDS = 12 * 3600

MAX_FAILURES, FAILURE_SECONDS = 10, 60.0
"""After so many wrong passwords within a minute, no password is tried for the rest of it."""

UPLOADS = ("/api/clips", "/v1/classify")
"""Addresses that take clips, and count what comes themselves."""

MAX_BODY_BYTES = 8_000_000
"""Of any other request."""

HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(self), geolocation=()",
}
"""With every answer."""

_LOCAL = ("localhost", "127.0.0.1", "::1")
_ANY_ADDRESS = ("0.0.0.0", "::", "")


class Guard:
    """ASGI middleware that refuses foreign hosts, foreign origins, and who has no password.

    Without passwords, anybody who can reach the address ``host`` may come in.
    """

    def __init__(self, app: Any, host: str, passwords: Passwords | None = None) -> None:
        self._app = app
        self._host = host.lower()
        self._passwords = passwords
        self._sessions: dict[str, tuple[str, float]] = {}
        self._failures: list[float] = []
        self._checked: dict[bytes, str] = {}
        self._secret = secrets.token_bytes(32)
        self._lock = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        # Two hosts or origins are none.
        headers = {n: ", ".join(connection.headers.getlist(n)) for n in connection.headers}
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _refuse(scope, receive, send, *refusal)
            return
        cookie = None
        if self._passwords is not None:
            token = connection.cookies.get(COOKIE, "")
            who, cookie, status = await self._who(token, headers.get("authorization", ""))
            if not who:
                await _refuse(scope, receive, send, *_login(status))
                return
            scope["who"] = who
        await self._app(scope, receive, _with_headers(send, scope, cookie))

    def _refusal(self, scope: Scope, headers: Mapping[str, str]) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if not self._is_own(host):
            return 400, "the Host of a request must be this server"
        origin = headers.get("origin")
        if origin is not None and _host_of(origin) != host.lower():
            return 403, "requests of other pages are refused"
        length = headers.get("content-length")
        if scope["path"] not in UPLOADS and scope.get("method") in ("POST", "PUT"):
            if length is None and "transfer-encoding" in headers:
                return 411, "a request must state its length"
            if length is not None and int(length) > MAX_BODY_BYTES:
                return 413, f"a request must be at most {MAX_BODY_BYTES / 1e6:g} MB"
        # A page elsewhere may still show what needs no Origin, such as a picture.
        is_page = headers.get("sec-fetch-mode") == "navigate" and scope.get("method") == "GET"
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not is_page:
            return 403, "requests of other pages are refused"
        return None

    def _is_own(self, host: str) -> bool:
        """Whether a Host names this server; a name that a stranger's DNS gives us does not."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        if name in _LOCAL or (name and name == self._host):
            return True
        if self._host not in _ANY_ADDRESS:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name == socket.gethostname().lower()
        return True

    async def _who(self, token: str, authorization: str) -> tuple[str, str | None, int]:
        """Return the name, a cookie to set, and the status of a refusal."""
        with self._lock:
            name, until = self._sessions.get(token, ("", 0.0))
        if until > time.monotonic():
            return name, None, 200
        given = _basic(authorization)
        if given is None:
            return "", None, 401
        with self._lock:
            now = time.monotonic()
            self._failures = [at for at in self._failures if now - at < FAILURE_SECONDS]
            if len(self._failures) >= MAX_FAILURES:
                return "", None, 429
        if not await self._is_right(*given):
            with self._lock:
                self._failures.append(time.monotonic())
            return "", None, 401
        token = secrets.token_urlsafe(32)
        with self._lock:
            now = time.monotonic()
            self._sessions = {k: v for k, v in self._sessions.items() if v[1] > now}
            self._sessions[token] = (given[0], now + SESSION_SECONDS)
        cookie = f"{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={SESSION_SECONDS}"
        return given[0], cookie, 200

    async def _is_right(self, name: str, password: str) -> bool:
        """Check a password; one that was right is known by a keyed hash, which is quick."""
        assert self._passwords is not None
        key = hmac.digest(self._secret, f"{name}\0{password}".encode(), "sha256")
        if self._checked.get(key) == name:
            return True
        if await run_in_threadpool(self._passwords.check, name, password):
            self._checked[key] = name
            return True
        return False


def _login(status: int) -> tuple[int, str, dict[str, str]]:
    if status == 429:
        return 429, "too many wrong passwords; wait a minute", {"retry-after": "60"}
    return 401, "name and password, please", {"www-authenticate": 'Basic realm="cryvision"'}


def _host_of(origin: str) -> str:
    """Return the host of an origin with its port; empty where it has none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _basic(header: str) -> tuple[str, str] | None:
    kind, _, code = header.partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        text = base64.b64decode(code.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return None
    name, colon, password = text.partition(":")
    return (name, password) if colon else None


async def _refuse(
    scope: Scope,
    receive: Receive,
    send: Send,
    status: int,
    error: str,
    more: dict[str, str] | None = None,
) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})  # answered with 403
        return
    headers = {**HEADERS, **(more or {}), "connection": "close"}
    await JSONResponse({"error": error}, status, headers)(scope, receive, send)


def _with_headers(send: Send, scope: Scope, cookie: str | None) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            # What belongs to the package is kept, and asked for anew by its tag: a newer version
            # is never mixed with an older one. Nothing else is kept.
            own = scope["path"].startswith("/static/")
            headers.setdefault("cache-control", "no-cache" if own else "no-store")
            if cookie is not None:
                headers.append("set-cookie", cookie)
        await send(message)

    return sending
