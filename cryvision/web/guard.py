"""Who may ask what: hosts, origins and passwords are checked before anything else is done."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import json
import secrets
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from cryvision.web.passwords import Passwords

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

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

    Parameters
    ----------
    app : ASGI application
    host : str
        The address that is listened on.
    passwords : Passwords, optional
        Who may come in; by default anybody who can reach the address.
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
        headers = _headers(scope["headers"])
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _refuse(scope, receive, send, *refusal)
            return
        cookies: list[str] = []
        if self._passwords is not None:
            who, cookie, status = await self._who(headers)
            if not who:
                await _refuse(scope, receive, send, *_login(status))
                return
            scope["who"] = who
            cookies = [] if cookie is None else [cookie]
        await self._app(scope, receive, _with_headers(send, scope, cookies))

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
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

    async def _who(self, headers: dict[str, str]) -> tuple[str, str | None, int]:
        """Return the name, a cookie to set, and the status of a refusal."""
        token = _cookie(headers.get("cookie", ""))
        with self._lock:
            name, until = self._sessions.get(token, ("", 0.0))
        if until > time.monotonic():
            return name, None, 200
        given = _basic(headers.get("authorization", ""))
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
        from starlette.concurrency import run_in_threadpool

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


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in raw:
        key = name.decode("latin-1").lower()
        # Two hosts or origins are none.
        found[key] = f"{found[key]}, " if key in found else ""
        found[key] += value.decode("latin-1")
    return found


def _host_of(origin: str) -> str:
    """Return the host of an origin with its port; empty where it has none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _cookie(header: str) -> str:
    for pair in header.replace(",", ";").split(";"):
        name, _, value = pair.strip().partition("=")
        if name == COOKIE:
            return value
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
    body = json.dumps({"error": error}).encode() + b"\n"
    headers = {**HEADERS, "content-type": "application/json", **(more or {})}
    headers |= {"content-length": str(len(body)), "connection": "close"}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


def _with_headers(send: Send, scope: Scope, cookies: list[str]) -> Send:
    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", []))
            there = {name.lower() for name, _ in headers}
            more = dict(HEADERS)
            if not str(scope.get("path", "")).startswith("/static/"):
                more["cache-control"] = "no-store"
            headers += [
                (k.encode(), v.encode()) for k, v in more.items() if k.encode() not in there
            ]
            headers += [(b"set-cookie", cookie.encode()) for cookie in cookies]
            message = {**message, "headers": headers}
        await send(message)

    return sending
