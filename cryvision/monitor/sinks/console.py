"""Alerts on the terminal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from cryvision.monitor.alerting.alerts import Alert, DeliveryError, Sink


@dataclass(frozen=True)
class Console(Sink):
    """Prints a line for each alert on stdout: text in local time, or a JSON object.

    The ``type`` of the object is alert.
    """

    name: str = "console"
    json: bool = False
    write: Callable[[str], None] = field(
        default=partial(print, flush=True), repr=False, compare=False
    )

    def deliver(self, alert: Alert) -> None:
        from cryvision.outputs.wording import printable

        moment = datetime.fromisoformat(alert.time).astimezone()
        text = printable(f"{moment:%Y-%m-%d %H:%M:%S} {alert.state} {alert.message}")
        try:
            self.write(f'{{"type": "alert", {alert.to_json()[1:]}' if self.json else text)
        except (OSError, ValueError) as error:
            closed = isinstance(error, (BrokenPipeError, ValueError))  # nobody will ever read it
            message = f"stdout cannot be written: {error}"
            raise DeliveryError(message, retry=not closed) from error
