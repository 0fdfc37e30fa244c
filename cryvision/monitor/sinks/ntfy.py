"""Alerts as ntfy notifications."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from cryvision.monitor.alerting.alerts import Alert
from cryvision.monitor.alerting.secrets import Secret
from cryvision.monitor.sinks.http import post

PRIORITIES = {"min": 1, "low": 2, "default": 3, "high": 4, "max": 5}

_TAGS = {"crying": "baby", "fault": "warning"}


@dataclass(frozen=True)
class Ntfy:
    """Publishes each alert to a topic of an ntfy server.

    Attributes
    ----------
    name : str
    url : str
        The server, such as ``https://ntfy.example.org``.
    topic : str
        Who knows it can read the alerts, unless the server asks for tokens.
    token : Secret, optional
    priority : str
        Of alerts that are raised; a key of `PRIORITIES`. Those that are cleared have ``low``.
    timeout_s : float
    """

    name: str
    url: str = field(repr=False)
    topic: str = field(repr=False)
    token: Secret | None = None
    priority: str = "high"
    timeout_s: float = 10.0

    def deliver(self, alert: Alert) -> None:
        """Publish the alert."""
        body = {
            "topic": self.topic,
            "title": f"{alert.source}: {alert.rule} {alert.state}",
            "message": alert.message,
            "priority": PRIORITIES[self.priority if alert.state == "raised" else "low"],
            "tags": [_TAGS[alert.kind] if alert.state == "raised" else "white_check_mark"],
        }
        headers = {}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token.read()}"
        post(self.url, json.dumps(body).encode(), headers, self.timeout_s)

    def close(self) -> None:
        """Nothing is open."""
