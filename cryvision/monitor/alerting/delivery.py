"""One attempt to bring an alert to a receiver: what a sink is, and how it fails."""

from __future__ import annotations

from typing import Protocol

from cryvision.errors import CryvisionError
from cryvision.monitor.alerting.alerts import Alert


class DeliveryError(CryvisionError):
    """An alert was not delivered; the message holds no credentials.

    ``retry`` says whether a later attempt may succeed, and ``retry_after_s`` for how many seconds
    the receiver wants to be left alone, 0 where it does not say.
    """

    def __init__(self, message: str, *, retry: bool = True, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry = retry
        self.retry_after_s = retry_after_s


class Sink(Protocol):
    """A receiver of alerts; those that keep nothing open inherit `close`."""

    def deliver(self, alert: Alert) -> None:
        """Bring an alert to the receiver, within a few seconds.

        Raises
        ------
        DeliveryError
            When it is not certain that the receiver has it.
        """

    def close(self) -> None:
        """Let go of connections."""
