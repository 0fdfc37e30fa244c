"""Alerts on the terminal."""

from __future__ import annotations

from dataclasses import dataclass

from cryvision.monitor.alerts import Alert
from cryvision.monitor.delivery import DeliveryError


@dataclass(frozen=True)
class Console:
    """Prints a line for each alert on stdout.

    Attributes
    ----------
    name : str
    json : bool
        One JSON object a line in place of text.
    """

    name: str = "console"
    json: bool = False

    def deliver(self, alert: Alert) -> None:
        """Print the alert."""
        from cryvision.outputs.wording import printable

        text = printable(f"{alert.time} {alert.state} {alert.message}")
        try:
            print(alert.to_json() if self.json else text, flush=True)
        except (OSError, ValueError) as error:
            raise DeliveryError(f"stdout cannot be written: {error}") from error

    def close(self) -> None:
        """Leave the terminal as it is."""
