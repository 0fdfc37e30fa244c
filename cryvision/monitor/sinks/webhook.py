"""Alerts as signed JSON to a web address."""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import dataclass, field

from cryvision.monitor.alerting.alerts import Alert
from cryvision.monitor.alerting.secrets import Secret
from cryvision.monitor.sinks.http import post


@dataclass(frozen=True)
class Webhook:
    """Posts each alert as JSON.

    With a secret, ``X-Cryvision-Signature`` is ``sha256=`` and the HMAC-SHA256, in hexadecimal, of
    ``X-Cryvision-Timestamp`` (seconds since 1970), a full stop and the body. ``Idempotency-Key`` is
    the alert's id.

    Attributes
    ----------
    name : str
    url : str
        ``https``, or ``http`` within your own network.
    secret : Secret, optional
    timeout_s : float
    """

    name: str
    url: str = field(repr=False)
    secret: Secret | None = None
    timeout_s: float = 10.0

    def deliver(self, alert: Alert) -> None:
        """Post the alert."""
        body = alert.to_json().encode()
        headers = {"Idempotency-Key": alert.id}
        if self.secret is not None:
            stamp = str(int(time.time()))
            headers["X-Cryvision-Timestamp"] = stamp
            headers["X-Cryvision-Signature"] = f"sha256={sign(self.secret.read(), stamp, body)}"
        post(self.url, body, headers, self.timeout_s)

    def close(self) -> None:
        """Nothing is open."""


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """Return the HMAC-SHA256 of a timestamp, a full stop and a body, in hexadecimal."""
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
