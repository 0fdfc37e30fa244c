"""The server process: listens, serves, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import logging
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from cryvision.batch.scratch import lock, sweep
from cryvision.errors import CryvisionError
from cryvision.layers import require
from cryvision.web.settings import ServeSettings

if TYPE_CHECKING:
    import uvicorn

    from cryvision.web.page import Page

GRACE_SECONDS = 2.0
"""How long answers that are under way may take when the server ends."""

HEAD_SECONDS = 15.0
"""A connection on which no request has come by then is closed."""

MAX_CONNECTIONS = 200

_PREFIX, _LOCK = "cryvision-web-", "lock"


def serve(settings: ServeSettings, ready: Callable[[str], object]) -> None:
    """Serve the page until Ctrl-C or SIGTERM; ``ready`` takes the address that is listened on."""
    require("web", "the page")
    import uvicorn

    from cryvision.web.app import build_app
    from cryvision.web.page import Page
    from cryvision.web.passwords import Passwords

    passwords = None if settings.auth_file is None else Passwords(settings.auth_file)
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(contextlib.closing(_listen(settings)))
        page = Page(settings, stack.enter_context(_private_folder()))
        stack.callback(page.close)
        # Its log would name what is asked for.
        logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
        config = uvicorn.Config(
            build_app(page, passwords),
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=round(GRACE_SECONDS),
            timeout_keep_alive=15,
            h11_max_incomplete_event_size=32_768,
            http=_protocol(),
            ws="websockets-sansio",
            ws_max_size=1 << 20,
        )
        server = _server(page)(config)
        with _stops(server):
            ready(_address(settings.host, listening))
            server.run(sockets=[listening])


@contextlib.contextmanager
def _private_folder() -> Iterator[Path]:
    """Make the server's own folder, which only its owner can read, and remove it at the end.

    What servers that were killed have left behind is removed when the next one starts. All
    temporary files of this process go there too.
    """
    before = tempfile.tempdir
    sweep(_PREFIX, _LOCK)
    path = Path(tempfile.mkdtemp(prefix=_PREFIX))  # mode 0700
    try:
        with open(path / _LOCK, "w+b") as file:
            with contextlib.suppress(OSError):  # without locks here, nothing is swept either
                lock(file)
            for name in ("clips", "results", "requests", "downloads", "temporary"):
                (path / name).mkdir()
            tempfile.tempdir = str(path / "temporary")
            yield path
    finally:
        tempfile.tempdir = before
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _stops(server: uvicorn.Server) -> Iterator[None]:
    """Let a stop that comes before the server runs end it too, without a word of asyncio's."""
    came: list[int] = []

    def stop(sig: int, frame: FrameType | None) -> None:
        came.append(sig)
        server.should_exit = True

    before = {sig: signal.signal(sig, stop) for sig in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for sig, handler in before.items():
            signal.signal(sig, handler)
    if came:
        signal.raise_signal(came[0])


def _server(page: Page) -> type[uvicorn.Server]:
    """Return uvicorn's server, which tells the page that it ends: nobody waits for long work."""
    import uvicorn

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            page.closing = True
            page.playback.close()
            super().handle_exit(sig, frame)

    return Server


def _protocol() -> type:
    """Return HTTP as uvicorn has it, but for who never completes a first request."""
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Protocol(H11Protocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.loop.call_later(HEAD_SECONDS, self._drop_silent)

        def _drop_silent(self) -> None:
            # A websocket has a protocol of its own by now.
            if self.cycle is None and self.transport.get_protocol() is self:
                self.transport.close()

    return Protocol


def _listen(settings: ServeSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # Named as TCP, or asyncio would leave the delay on that joins small packets: 40 ms an answer.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((settings.host, settings.port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise CryvisionError(
            f"the address must be free; {settings.host} port {settings.port}: "
            f"{error.strerror or error}"
        ) from error
    return listening


def _address(host: str, listening: socket.socket) -> str:
    port = listening.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/"
