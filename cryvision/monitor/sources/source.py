"""Live sources: a thread reads, a queue holds the sound, a lost connection is made again."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from cryvision.config import FRAME_RATE_HZ, SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from cryvision.monitor.sources.pictures import Pictures

T = TypeVar("T")

log = logging.getLogger(__name__)

KINDS = ("lost", "stalled", "silent", "frozen", "clock", "slow", "recovered")
"""What a `SourceFault` may be."""

BREAKS = ("lost", "stalled")
"""With one of these the sound ends."""

PIECE_SECONDS = 0.1
"""How much sound is read at a time."""

TICK_SECONDS = 0.25
"""Where no sound comes, an empty piece comes this often."""

QUEUE_SECONDS = 300.0
"""So much sound waits at most, 19 MB: then the reader waits too."""

STALL_SECONDS = 5.0
"""Without data for so long, a connection counts as stalled and is made anew."""

FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 1.0, 60.0
"""Wait before the first try to connect again, and the longest; each is twice the last."""

SLOW_SECONDS = 10.0
"""Once so much sound waits to be classified, the computer is too slow."""

STEADY_SECONDS = 10.0
"""After a connection that lasted so long, the next try is made soon again."""

HANG_SECONDS, MOST_HANGING = 20.0, 10
"""A thread that reads gives a sign of life this often, longer than any connection may take to give
its first sound. One that does not hangs in a driver: it is left alone, and another reads in its
place, until so many hang."""

JOIN_SECONDS = 1.0
"""How long a thread that was told to end is waited for."""


@dataclass(frozen=True)
class Piece:
    """The next stretch of a source's sound, 0.1 s or a little more or less.

    `samples` are float32, mono, 16 kHz, -1 to 1; none where nothing has come for a while: time goes
    on. `frame` is the newest RGB picture, uint8 of shape (height, width, 3): where the reader is
    slow, pictures are dropped; sound never is. `frame_time_s` is its place on the clock of this
    connection, seconds since its first sample, and `time` the wall time of the last sample, seconds
    since 1970.
    """

    samples: np.ndarray
    frame: np.ndarray | None
    frame_time_s: float | None
    time: float


@dataclass(frozen=True)
class SourceFault:
    """A fault of a source, or its end; each kind alternates between the fault and its recovery.

    The `kind` is one of `KINDS`; of ``recovered``, the fault that is over is `ended`. The `message`
    is one line for people, without user names, passwords or the query of an address; `time` is wall
    time, seconds since 1970. With `restart` the sound before and after do not belong together.
    """

    kind: str
    message: str
    time: float
    restart: bool = False
    ended: str = ""

    @property
    def breaks(self) -> bool:
        """Whether what comes next does not belong to what was."""
        return self.restart or self.kind in BREAKS


class Source(Protocol):
    """Where sound, and perhaps pictures, come from."""

    name: str
    has_camera: bool
    """Whether its pictures must come, and are not only used where there are any."""

    def pieces(self, stop: threading.Event) -> Iterator[Piece | SourceFault]:
        """Iterate over what comes, in order, until the source ends or within a second of a stop."""
        ...

    def close(self) -> None:
        """End what is running; from any thread, and more than once."""
        ...


class DisconnectedError(Exception):
    """A connection could not be made or has ended: ``kind`` is ``"lost"`` or ``"stalled"``.

    The message is free of credentials.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Connection(Protocol):
    """One connection to a microphone or a stream."""

    def blocks(self) -> Iterator[tuple[np.ndarray, float]]:
        """Iterate over its sound, float32 mono 16 kHz, and the wall time of each last sample.

        A DisconnectedError says that there is no more.
        """
        ...

    def end(self) -> None:
        """Let `blocks` end soon; from any thread."""
        ...

    def close(self) -> None:
        """Give everything back; from the thread that reads."""
        ...


class Backoff:
    """Waits between tries, each twice as long as the last."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._next_s = FIRST_RETRY_SECONDS

    def next_s(self) -> float:
        wait_s = self._next_s
        self._next_s = min(2 * wait_s, LONGEST_RETRY_SECONDS)
        return wait_s


class LiveSource(ABC):
    """A source that is read in a thread of its own and connected to again when it is lost.

    Sound is never dropped while the classifier is late by less than `QUEUE_SECONDS`; pictures are.
    A picture goes to the piece of sound that comes next.
    """

    def __init__(self, name: str, pictures: Pictures | None) -> None:
        self.name = name
        self.has_camera = pictures is not None and pictures.must_come
        self._pictures = pictures
        self._queue = _PieceQueue()
        self._thread: threading.Thread | None = None
        self._connection: Connection | None = None
        self._down = ""
        self._alive_until = 0.0
        self._hanging: list[threading.Thread] = []
        self._n_pictures = self._n_dropped = 0

    @abstractmethod
    def connect(self) -> Connection:
        """Make a connection, or raise a DisconnectedError."""

    def pieces(self, stop: threading.Event) -> Iterator[Piece | SourceFault]:
        """Iterate over sound and faults until ``stop`` is set or `close` is called.

        A piece comes at least each `TICK_SECONDS`, an empty one where there is no sound.
        """
        self.close()
        self._down = ""
        try:
            if self._pictures is not None:
                self._pictures.start()
            self._start_reading()
            yield from self._consume(stop)
        finally:
            self.close()

    def _start_reading(self) -> None:
        self._queue = _PieceQueue()
        self._alive_until = time.monotonic() + HANG_SECONDS
        self._thread = threading.Thread(
            target=self._read, args=(self._queue,), name=f"source {self.name}", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """End the connection and the threads; from any thread, and more than once."""
        self._queue.over.set()
        if (connection := self._connection) is not None:
            connection.end()
        if self._pictures is not None:
            self._pictures.close()
        thread = self._thread
        if thread is not None and thread.ident and thread is not threading.current_thread():
            thread.join(JOIN_SECONDS)

    def _consume(self, stop: threading.Event) -> Iterator[Piece | SourceFault]:
        slow = False
        while not (stop.is_set() or self._queue.over.is_set()):
            try:
                item = self._queue.get(timeout=TICK_SECONDS)
            except queue.Empty:
                item = Piece(np.zeros(0, np.float32), None, None, time.time())
                if time.monotonic() > self._alive_until:
                    yield from self._leave_hanging()
            if isinstance(item, BaseException):
                raise item
            waiting_s = self._queue.seconds
            if not slow and waiting_s > SLOW_SECONDS:
                slow = True
                message = (
                    f"{waiting_s:.0f} s of sound wait to be classified: this computer is too slow"
                )
                yield SourceFault("slow", f"{message}; {self._dropped()}", time.time())
            elif slow and waiting_s < SLOW_SECONDS / 4:
                slow = False
                message = f"this computer keeps up again; {self._dropped()}"
                yield SourceFault("recovered", message, time.time(), ended="slow")
                self._n_pictures = self._n_dropped = 0
            yield item

    def _leave_hanging(self) -> Iterator[SourceFault]:
        """Read anew in another thread; the one that hangs ends when its driver answers."""
        self._hanging = [thread for thread in self._hanging if thread.is_alive()]
        if self._thread is None or len(self._hanging) >= MOST_HANGING:
            return
        self._hanging.append(self._thread)
        self._queue.over.set()
        message = f"the device has not answered for {HANG_SECONDS:g} s"
        if self._down:
            log.info("%s: still no sound: %s", self.name, message)
        else:
            self._down = "stalled"
            yield SourceFault("stalled", message, time.time(), True)
        self._start_reading()

    def _dropped(self) -> str:
        if not self._n_pictures:
            return "there are no pictures to drop"
        return f"{100 * self._n_dropped / self._n_pictures:.0f} % of the pictures were dropped"

    def _read(self, pieces: _PieceQueue) -> None:
        """Fill the queue; what is unforeseen goes to the consumer."""
        try:
            self._connect_for_ever(pieces)
        except BaseException as error:
            pieces.give(error)

    def _connect_for_ever(self, pieces: _PieceQueue) -> None:
        backoff = Backoff()
        while not pieces.over.is_set():
            begun = time.monotonic()
            self._signal(pieces)
            # What is lost is told before it is closed, where a driver may hang.
            with contextlib.ExitStack() as opened:
                try:
                    connection = self.connect()
                    opened.callback(connection.close)
                    for piece in self._connected(connection, pieces):
                        if self._down:
                            back = SourceFault(
                                "recovered", "sound is back", piece.time, True, self._down
                            )
                            pieces.give(back)
                            self._down = ""
                        pieces.give(piece)
                        self._signal(pieces)
                except DisconnectedError as error:
                    self._note_loss(error, pieces)
            if time.monotonic() - begun > STEADY_SECONDS:
                backoff.reset()
            wait_s = backoff.next_s()
            self._signal(pieces, wait_s)
            pieces.over.wait(wait_s)

    def _signal(self, pieces: _PieceQueue, wait_s: float = 0.0) -> None:
        """Give a sign of life, and say that the next comes so much later."""
        if not pieces.over.is_set():
            self._alive_until = time.monotonic() + wait_s + HANG_SECONDS

    def _note_loss(self, error: DisconnectedError, pieces: _PieceQueue) -> None:
        if pieces.over.is_set():
            return
        if self._down:
            log.info("%s: still no sound: %s", self.name, error)
        else:
            self._down = error.kind
            pieces.give(SourceFault(error.kind, str(error), time.time(), True))

    def _connected(self, connection: Connection, pieces: _PieceQueue) -> Iterator[Piece]:
        self._connection = connection
        n_samples, last_frame = 0, -1
        try:
            for samples, wall_time in connection.blocks():
                if pieces.over.is_set():
                    return
                n_samples += len(samples)
                k = n_samples * FRAME_RATE_HZ // SAMPLE_RATE_HZ
                frame = self._newest_picture(pieces) if k > last_frame else None
                if frame is not None:
                    last_frame = k
                frame_time_s = None if frame is None else k / FRAME_RATE_HZ
                yield Piece(samples, frame, frame_time_s, wall_time)
        finally:
            if self._connection is connection:
                self._connection = None
        if not pieces.over.is_set():
            raise DisconnectedError("lost", "the sound has ended")

    def _newest_picture(self, pieces: _PieceQueue) -> np.ndarray | None:
        frame = None if self._pictures is None else self._pictures.newest()
        if frame is None:
            return None
        self._n_pictures += 1
        if pieces.seconds <= SLOW_SECONDS / 4:
            return frame
        self._n_dropped += 1
        return None


class HandOver(queue.Queue[T]):
    """What is on its way from one thread to another, until ``over``."""

    def __init__(self, most_waiting: int) -> None:
        super().__init__(most_waiting)
        self.over = threading.Event()

    def give(self, item: T) -> None:
        """Append, once there is room for it or all is over."""
        while not self.over.is_set():
            with contextlib.suppress(queue.Full):
                self.put(item, timeout=TICK_SECONDS)
                return


class _PieceQueue(HandOver[Piece | SourceFault | BaseException]):
    """What goes from the thread that reads to the one that classifies."""

    def __init__(self) -> None:
        super().__init__(round(QUEUE_SECONDS / PIECE_SECONDS))

    @property
    def seconds(self) -> float:
        """Sound that waits, about."""
        return self.qsize() * PIECE_SECONDS
