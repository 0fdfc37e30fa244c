"""Alerts as HTTP requests: signed JSON to a web address, and ntfy notifications."""

from __future__ import annotations

import email.utils
import hashlib
import hmac
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import cryvision
from cryvision.monitor.alerting.alerts import Alert, DeliveryError, Sink
from cryvision.monitor.alerting.secrets import Secret

PRIORITIES = {"min": 1, "low": 2, "default": 3, "high": 4, "max": 5}

_TAGS = {"crying": "baby", "fault": "warning"}


@dataclass(frozen=True)
class Webhook(Sink):
    """Posts each alert as JSON to ``https``, or to ``http`` within your own network.

    With a secret, ``X-Cryvision-Signature`` is ``sha256=`` and the HMAC-SHA256, in hexadecimal, of
    ``X-Cryvision-Timestamp`` (seconds since 1970), a full stop and the body. ``Idempotency-Key`` is
    the alert's id.
    """

    name: str
    url: str = field(repr=False)
    secret: Secret | None = None
    timeout_s: float = 10.0

    def deliver(self, alert: Alert) -> None:
        body = alert.to_json().encode()
        headers = {"Idempotency-Key": alert.id}
        if self.secret is not None:
            stamp = str(int(time.time()))
            headers["X-Cryvision-Timestamp"] = stamp
            headers["X-Cryvision-Signature"] = f"sha256={sign(self.secret.read(), stamp, body)}"
        post(self.url, body, headers, self.timeout_s)


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """Return the HMAC-SHA256 of a timestamp, a full stop and a body, in hexadecimal."""
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Ntfy(Sink):
    """Publishes each alert to a topic of an ntfy server, such as ``https://ntfy.example.org``.

    Who knows the topic can read the alerts, unless the server asks for tokens. The priority, a key
    of `PRIORITIES`, is that of alerts that are raised; those that are cleared have ``low``.
    """

    name: str
    url: str = field(repr=False)
    topic: str = field(repr=False)
    token: Secret | None = None
    priority: str = "high"
    timeout_s: float = 10.0

    def deliver(self, alert: Alert) -> None:
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


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Alerts go to the address of the settings; a redirect is an answer like any other."""

    def redirect_request(self, *_: object) -> None:
        return None


def post(url: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> None:
    """Send JSON to an address, and take any 2xx for an answer.

    No redirect is followed, and no proxy asked. Only the host is named in messages, since the rest
    of an address may be a secret. The server may be silent for ``timeout_s`` seconds. Where the
    network, the server (5xx) or its limits (429) are at fault, the error is one to be tried again.
    """
    own = {"Content-Type": "application/json", "User-Agent": f"cryvision/{cryvision.__version__}"}
    request = urllib.request.Request(url, body, {**own, **headers}, method="POST")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)
    host = urlsplit(url).hostname
    try:
        opener.open(request, timeout=timeout_s).close()
    except urllib.error.HTTPError as error:
        error.close()
        again = error.code >= 500 or error.code == 429
        raise DeliveryError(
            f"{host} answered {error.code}",
            retry=again,
            retry_after_s=_retry_after(error.headers.get("Retry-After", "")) if again else 0.0,
        ) from None
    except urllib.error.URLError as error:
        raise DeliveryError(f"{host} was not reached: {_reason(error.reason)}") from None
    except (OSError, http.client.HTTPException) as error:
        raise DeliveryError(f"{host} did not answer: {_reason(error)}") from None


def _reason(error: object) -> str:
    """Name an error without its text where that may repeat what was sent."""
    text = getattr(error, "strerror", None)
    return text if isinstance(text, str) else type(error).__name__


def _retry_after(text: str) -> float:
    try:
        if text.isascii() and text.isdigit():
            return float(text)
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0
