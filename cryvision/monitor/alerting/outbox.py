"""The outbox: alerts wait on disk until their sinks have them."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path

from cryvision.errors import CryvisionError
from cryvision.monitor.alerting.alerts import Alert, DeliveryError, Sink
from cryvision.monitor.alerting.outbox_file import Delivery, OutboxFile

_log = logging.getLogger(__name__)

MAX_PENDING = 10_000
"""Deliveries that wait for one sink; the oldest is given up for one more."""

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 300.0
"""The wait before a delivery is tried again doubles from the first to the longest; of each, a
random share between a half and the whole is waited."""

MOST_ATTEMPTS = 400
"""After so many, about a day, a delivery is dead."""

LONGEST_RETRY_AFTER_S = 3600.0
"""Longest time that a receiver can ask to be left alone."""

CLOSE_SECONDS = 2.0
"""How long closing waits for an attempt that is under way."""


class Outbox:
    """Brings alerts to sinks: each at least once, and in order for each sink.

    A thread for each sink delivers; nobody waits for it. What is put is on disk when `put` returns,
    and is delivered by the next process where this one is killed. If that happens between a
    delivery and its note on disk, the receiver gets the alert a second time, with the same id.

    A disk that cannot be written is logged once; alerts are then kept in memory, and written when
    it can be written again. Without a path nothing is kept. What waits on disk for sinks that are
    no more is given up. `raised` are the alerts that an earlier process raised and did not clear,
    and the sinks that were told.
    """

    def __init__(self, path: Path | None, sinks: Mapping[str, Sink]) -> None:
        self._file = OutboxFile(path) if path is not None else None
        waiting = self._file.waiting if self._file is not None else []
        orphans = [delivery for delivery in waiting if delivery.sink not in sinks]
        for delivery in orphans:
            delivery.state, delivery.error = "dead", "the sink no longer exists"
            _log.warning("alert %s is given up: no sink %s", delivery.alert.id, delivery.sink)
        if self._file is not None and orphans:
            self._file.save(orphans)
        self._lanes = {
            name: _Lane(name, sink, self._file, [one for one in waiting if one.sink == name])
            for name, sink in sinks.items()
        }
        self.raised: dict[Alert, list[str]] = {}
        for one in self._file.raised if self._file is not None else ():
            if one.sink in self._lanes:
                self.raised.setdefault(one.alert, []).append(one.sink)

    def put(self, alert: Alert, sinks: Iterable[str]) -> None:
        """Take an alert for some sinks; write it to disk before it is delivered."""
        deliveries = [Delivery(alert, name) for name in sinks]
        if not deliveries:
            return
        lanes = [self._lanes[delivery.sink] for delivery in deliveries]
        if self._file is not None:
            self._file.save(deliveries)
        for lane, delivery in zip(lanes, deliveries, strict=True):
            lane.put(delivery)

    @property
    def pending(self) -> dict[str, int]:
        return {name: len(lane) for name, lane in self._lanes.items()}

    def close(self, wait_s: float = 0.0) -> None:
        """Stop delivering, and close the sinks; what waits stays on disk.

        The outbox is given up to ``wait_s`` seconds to become empty first.
        """
        deadline = time.monotonic() + wait_s
        for lane in self._lanes.values():
            lane.wait_empty(deadline)
        for lane in self._lanes.values():
            lane.stop()
        deadline = time.monotonic() + CLOSE_SECONDS
        for lane in self._lanes.values():
            lane.join(deadline)
        if self._file is not None:
            self._file.close()


class _Lane:
    """The deliveries of one sink, in order, and the thread that makes them."""

    def __init__(
        self, name: str, sink: Sink, file: OutboxFile | None, waiting: Iterable[Delivery]
    ) -> None:
        self._name = name
        self._sink = sink
        self._file = file
        self._queue = deque(waiting)
        self._changed = threading.Condition()
        self._due = 0.0
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=f"alerts-{name}", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, delivery: Delivery) -> None:
        given_up = None
        with self._changed:
            if len(self._queue) >= MAX_PENDING:
                # The first one may be under way.
                given_up = self._queue[1]
                del self._queue[1]
            self._queue.append(delivery)
            self._changed.notify_all()
        if given_up is not None:
            self._give_up(given_up, f"{MAX_PENDING} alerts wait for it")

    def wait_empty(self, deadline: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._queue, max(0.0, deadline - time.monotonic()))

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def join(self, deadline: float) -> None:
        self._thread.join(max(0.0, deadline - time.monotonic()))
        self._sink.close()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._stopped and not (self._queue and self._due <= time.monotonic()):
                    self._changed.wait(
                        max(0.0, self._due - time.monotonic()) if self._queue else None
                    )
                if self._stopped:
                    return
                delivery = self._queue[0]
            self._attempt(delivery)

    def _attempt(self, delivery: Delivery) -> None:
        delivery.attempts += 1
        try:
            self._sink.deliver(delivery.alert)
        except DeliveryError as error:
            self._fail(delivery, str(error), error.retry, error.retry_after_s)
        except CryvisionError as error:
            self._fail(delivery, str(error))
        except Exception as error:
            # Whatever a library raises must not end the thread; its text may hold a password.
            self._fail(delivery, type(error).__name__)
        else:
            delivery.state, delivery.error = "delivered", ""
            self._save(delivery)
            self._finish()

    def _fail(
        self, delivery: Delivery, error: str, retry: bool = True, retry_after_s: float = 0.0
    ) -> None:
        delivery.error = error
        if not retry or delivery.attempts >= MOST_ATTEMPTS:
            self._give_up(delivery, error)
            self._finish()
            return
        if delivery.attempts == 1:
            _log.warning("%s: an alert waits: %s", self._name, error)
        self._due = time.monotonic() + max(
            wait_s(delivery.attempts), min(retry_after_s, LONGEST_RETRY_AFTER_S)
        )
        self._save(delivery)

    def _give_up(self, delivery: Delivery, error: str) -> None:
        delivery.state, delivery.error = "dead", error
        _log.error("%s: alert %s is given up: %s", self._name, delivery.alert.id, error)
        self._save(delivery)

    def _finish(self) -> None:
        self._due = 0.0
        with self._changed:
            self._queue.popleft()
            self._changed.notify_all()

    def _save(self, delivery: Delivery) -> None:
        if self._file is not None:
            self._file.save([delivery])


def wait_s(attempts: int) -> float:
    longest = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(attempts - 1, 60))
    return longest * random.uniform(0.5, 1.0)
