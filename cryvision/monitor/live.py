"""All sessions of a monitor: each runs in a thread of its own, and all they say comes out here."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from queue import Empty

from cryvision.errors import CryvisionError
from cryvision.monitor.config import SourceSettings
from cryvision.monitor.session import LiveSession, Observation
from cryvision.monitor.sources.camera import Camera
from cryvision.monitor.sources.clip_file import ClipFile
from cryvision.monitor.sources.microphone import Microphone
from cryvision.monitor.sources.network import NetworkStream
from cryvision.monitor.sources.source import HandOver, Source

TICK_SECONDS = 0.5
"""The longest wait for an observation: on Windows, a wait without end cannot be interrupted."""

MOST_WAITING = 256
"""Observations that wait to be read; behind that a session waits, and its source says so."""

JOIN_SECONDS = 5.0
"""How long the threads of stopped sessions are waited for."""

_logger = logging.getLogger(__name__)


class LiveMonitor:
    """Runs sessions of different names side by side until all have ended or it is not read on.

    A session whose source cannot be read ends with one line in the log, and is among those
    `failed`; the others go on.
    """

    def __init__(self, sessions: Sequence[LiveSession]) -> None:
        names = [session.name for session in sessions]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise CryvisionError(f"each source must have a name of its own; got two {doubled[0]!r}")
        self._sessions = tuple(sessions)
        self._queue: HandOver[Observation | BaseException | None] = HandOver(MOST_WAITING)
        self.failed: dict[str, CryvisionError] = {}

    def observations(self) -> Iterator[Observation]:
        """Iterate over what the sessions say, in order.

        What a session raised that is no `CryvisionError` is raised here.
        """
        threads = [
            threading.Thread(target=self._run, args=(session,), name=session.name, daemon=True)
            for session in self._sessions
        ]
        for thread in threads:
            thread.start()
        running = len(threads)
        try:
            while running:
                try:
                    item = self._queue.get(timeout=TICK_SECONDS)
                except Empty:
                    continue
                if item is None:
                    running -= 1
                elif isinstance(item, BaseException):
                    raise item
                else:
                    yield item
        finally:
            self._queue.over.set()
            until = time.monotonic() + JOIN_SECONDS
            for thread in threads:
                thread.join(max(0.0, until - time.monotonic()))

    def _run(self, session: LiveSession) -> None:
        try:
            for observation in session.observations(self._queue.over):
                self._queue.give(observation)
        except CryvisionError as error:
            self.failed[session.name] = error
            message = str(error)
            # A clip is often called as its file, which its errors name.
            known = message.startswith(f"{session.name}: ")
            _logger.error("%s", message if known else f"{session.name}: {message}")
        except BaseException as error:
            self._queue.give(error)
        finally:
            self._queue.give(None)


def open_source(settings: SourceSettings, *, pictures: bool, realtime: bool = True) -> Source:
    """Make a source ready; a stream of the network is connected to when it is read.

    Pictures come too where they are wanted and there are any. In real time a file waits until each
    piece is due.
    """
    name, value = settings.name, settings.value
    if settings.kind == "file":
        source = ClipFile(str(value), realtime=realtime, frames=pictures)
        source.name = name
        return source
    if settings.kind == "rtsp":
        return NetworkStream(str(value), pictures=pictures, name=name)
    camera = None
    if settings.kind == "camera":
        camera, value = Camera(int(value or 0)) if pictures else None, settings.microphone
    device = int(value) if value is not None and value.isdecimal() else value
    return Microphone(device, pictures=camera, name=name)
