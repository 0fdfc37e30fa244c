"""One HTTP request, as webhooks and ntfy send it."""

from __future__ import annotations

import email.utils
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from urllib.parse import urlsplit

import cryvision
from cryvision.monitor.alerting.delivery import DeliveryError


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Alerts go to the address of the settings; a redirect is an answer like any other."""

    def redirect_request(self, *_: object) -> None:
        return None


def post(url: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> None:
    """Send a body to an address, and take any 2xx for an answer.

    No redirect is followed, and no proxy asked. Only the host is named in messages, since the rest
    of an address may be a secret.

    Parameters
    ----------
    url : str
    body : bytes
        JSON.
    headers : mapping of str to str
    timeout_s : float
        Longest silence of the server.

    Raises
    ------
    DeliveryError
        To be tried again where the network, the server (5xx) or its limits (429) are at fault.
    """
    request = urllib.request.Request(url, body, method="POST")
    request.add_header("Content-Type", "application/json")
    request.add_header("User-Agent", f"cryvision/{cryvision.__version__}")
    for name, value in headers.items():
        request.add_header(name, value)
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
    """Read a ``Retry-After``: seconds, or a date."""
    try:
        if text.isascii() and text.isdigit():
            return float(text)
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0
