"""Web servers of the tests, each in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import BaseServer

LOOK_SECONDS = 0.01
"""How often a server looks whether it shall end."""


@contextmanager
def serving(server: BaseServer) -> Iterator[None]:
    """Run a server until the block ends."""
    thread = threading.Thread(target=server.serve_forever, args=(LOOK_SECONDS,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
