"""Pictures beside live sound: a thread reads them and holds the newest one only."""

from __future__ import annotations

import contextlib
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Generator

import numpy as np

from cryvision.monitor.sources.source import JOIN_SECONDS, Backoff, DisconnectedError

log = logging.getLogger(__name__)

PICTURE_RATE_HZ = 10
"""Most pictures a second that are looked at: one a piece of sound."""


class Pictures(ABC):
    """A camera or the pictures of a stream. A lost one is connected to again; sound goes on.

    Its name is for the log, and without credentials.
    """

    must_come = False
    """Whether it is a fault when there are no pictures, as of a camera that somebody chose."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = threading.Lock()
        self._newest: np.ndarray | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    @abstractmethod
    def frames(self, over: threading.Event) -> Generator[np.ndarray, None, None]:
        """Connect, and iterate over RGB pictures until ``over`` is set or it is disconnected."""

    @abstractmethod
    def end(self) -> None:
        """Let `frames` end soon; from any thread."""

    def start(self) -> None:
        self.close()
        self._over = threading.Event()
        self._thread = threading.Thread(
            target=self._read, args=(self._over,), name=f"pictures {self.name}", daemon=True
        )
        self._thread.start()

    def newest(self) -> np.ndarray | None:
        """Return the newest picture, uint8, shape (height, width, 3), RGB; each one once."""
        with self._lock:
            frame, self._newest = self._newest, None
        return frame

    def close(self) -> None:
        """End the connection and the thread; may be called again."""
        self._over.set()
        self.end()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(JOIN_SECONDS)

    def _read(self, over: threading.Event) -> None:
        backoff, down = Backoff(), False
        while not over.is_set():
            try:
                with contextlib.closing(self.frames(over)) as frames:
                    for frame in frames:
                        if down:
                            log.info("%s: pictures are back", self.name)
                        down = False
                        backoff.reset()
                        with self._lock:
                            self._newest = frame
                        if over.is_set():
                            return
            except DisconnectedError as error:
                if not (down or over.is_set()):
                    log.warning("%s: there are no pictures: %s", self.name, error)
                down = True
            over.wait(backoff.next_s())
