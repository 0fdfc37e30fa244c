"""Live sound on the page: of the browser's microphone, or of a source of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from cryvision.bundle import Bundle
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.errors import CryvisionError
from cryvision.inputs.resampling import Resampler
from cryvision.monitor.alerting.alerts import AlertMonitor
from cryvision.monitor.records import event_record, fault_record, state_record
from cryvision.monitor.session import LiveSession, Observation
from cryvision.monitor.sources.source import PIECE_SECONDS, TICK_SECONDS, Piece, Source, SourceFault

STATE_SECONDS = 0.5
"""How often the state is sent; what begins and ends is sent at once."""

MOST_WAITING = 300
"""Pieces of the browser that wait to be classified, 30 s; one more ends the stream."""

RATES_HZ = (8_000, 192_000)

BROWSER = "browser"

Listener = Callable[[dict[str, Any] | None], object]
"""Takes each message of a feed, and None at the end."""


class OverrunError(CryvisionError):
    """This computer does not keep up with a stream."""


class BrowserSource:
    """Sound that a browser sends, as a source of a `LiveSession`."""

    has_camera = False

    def __init__(self, sample_rate_hz: float) -> None:
        self.name = BROWSER
        self._resampler = Resampler(sample_rate_hz)
        self._queue: queue.Queue[Piece] = queue.Queue(MOST_WAITING)
        self._over = threading.Event()

    def push(self, data: bytes) -> None:
        """Take int16 samples, mono; an error if too much waits."""
        samples = np.frombuffer(data[: len(data) // 2 * 2], "<i2")
        sound, now = self._resampler.push(samples), time.time()
        step = round(PIECE_SECONDS * SAMPLE_RATE_HZ)
        for first in range(0, len(sound), step):
            piece = sound[first : first + step]
            behind_s = (len(sound) - first - len(piece)) / SAMPLE_RATE_HZ
            try:
                self._queue.put_nowait(Piece(piece, None, None, now - behind_s))
            except queue.Full:
                raise OverrunError("this computer does not keep up with the sound") from None

    def pieces(self, stop: threading.Event) -> Iterator[Piece | SourceFault]:
        while not (stop.is_set() or self._over.is_set()):
            try:
                yield self._queue.get(timeout=TICK_SECONDS)
            except queue.Empty:
                yield Piece(np.zeros(0, np.float32), None, None, time.time())

    def close(self) -> None:
        self._over.set()


class Feed:
    """Classifies a source in a thread, and passes what there is to say on to who listens."""

    def __init__(self, source: Source, bundle: Bundle) -> None:
        self._source, self._bundle = source, bundle
        self._alerts = AlertMonitor(source.name)
        self.listeners: set[Listener] = set()
        self._stop = threading.Event()
        self._sent_at = 0.0
        self._thread = threading.Thread(target=self._run, name="live", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End it; from any thread, and more than once."""
        self._stop.set()
        self._source.close()

    def _run(self) -> None:
        try:
            session = LiveSession(self._source, self._bundle)
            for observation in session.observations(self._stop):
                message = self._message(observation)
                if message is not None:
                    self._say(message)
        except CryvisionError as error:
            self._say({"error": str(error)})
        finally:
            self._say(None)

    def _say(self, message: dict[str, Any] | None) -> None:
        for listener in tuple(self.listeners):
            listener(message)

    def _message(self, observation: Observation) -> dict[str, Any] | None:
        alerts = self._alerts.observe(observation)
        has_news = bool(alerts or observation.events or observation.fault)
        # The clock may also have been set back.
        if not has_news and abs(observation.time - self._sent_at) < STATE_SECONDS:
            return None
        self._sent_at = observation.time
        return {
            "state": state_record(observation),
            "events": [event_record(observation.source, one) for one in observation.events],
            "alerts": [dataclasses.asdict(alert) for alert in alerts],
            "fault": fault_record(observation),
        }


class Feeds:
    """The feeds of this machine's own sources, by name, each shared by all who watch it."""

    def __init__(self, open_source: Callable[[str], Source], bundle: Bundle) -> None:
        self._open, self._bundle = open_source, bundle
        self._feeds: dict[str, Feed] = {}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def watched(self, name: str, listener: Listener) -> Iterator[None]:
        """Watch a source; it is opened for the first, and closed after the last."""
        with self._lock:
            feed = self._feeds.get(name)
            if feed is None:
                feed = self._feeds[name] = Feed(self._open(name), self._bundle)
                feed.start()
            feed.listeners.add(listener)
        try:
            yield
        finally:
            with self._lock:
                feed.listeners.discard(listener)
                if not feed.listeners:
                    feed.close()
                    self._feeds.pop(name, None)


class Mailbox:
    """Passes messages of threads on to a coroutine."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._messages: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    def put(self, message: dict[str, Any] | None) -> None:
        """Put a message in; from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._messages.put_nowait, message)

    async def get(self) -> dict[str, Any] | None:
        return await self._messages.get()
