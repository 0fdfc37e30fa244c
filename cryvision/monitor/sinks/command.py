"""Alerts as calls of a command."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass

from cryvision.monitor.alerting.alerts import Alert, DeliveryError, Sink

PLACEHOLDERS = tuple(field.name for field in dataclasses.fields(Alert))
"""Words in braces that arguments may hold."""

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def unknown_placeholders(argument: str) -> list[str]:
    """List the words in braces that stand for nothing."""
    return [name for name in _PLACEHOLDER.findall(argument) if name not in PLACEHOLDERS]


@dataclass(frozen=True)
class Command(Sink):
    """Runs a command for each alert, never through a shell.

    ``{message}`` and the other fields of an alert are filled in within their argument; each is also
    in an environment variable, such as ``CRYVISION_MESSAGE``. A field without a value is empty. The
    command, and all that it started, is killed after ``timeout_s`` seconds.
    """

    name: str
    command: tuple[str, ...]
    timeout_s: float = 10.0

    def deliver(self, alert: Alert) -> None:
        """Run the command; exit status 0 means that the alert is delivered."""
        values = {
            key: "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
            for key, value in dataclasses.asdict(alert).items()
        }
        program, *arguments = self.command
        filled = [_PLACEHOLDER.sub(lambda match: values[match[1]], a) for a in arguments]
        environment = {f"CRYVISION_{key.upper()}": value for key, value in values.items()}
        try:
            process = subprocess.Popen(
                [program, *filled],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "its arguments cannot be passed on"
            raise DeliveryError(f"{program} cannot be run: {reason}") from None
        try:
            status = process.wait(self.timeout_s)
        except subprocess.TimeoutExpired:
            _kill(process)
            raise DeliveryError(f"{program} was killed after {self.timeout_s:g} s") from None
        if status:
            raise DeliveryError(f"{program} ended with status {status}")


def _kill(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
