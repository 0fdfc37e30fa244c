"""What ``cryvision serve`` is run with, and the limits of what it takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryvision.errors import ConfigError

DEFAULT_PORT = 7860
MAX_UPLOAD_MB = 500
MAX_MINUTES = 240.0

MAX_RECEIVING = 16
"""Uploads that are received at once; one more is answered with 429."""

MAX_WAITING = 32
"""Clips that wait to be scored; one more is answered with 429. Those of the folder do not count."""

MAX_SIDE_WAITING = 4
"""Videos and trainings that wait; one more is answered with 429."""

MAX_LIVE = 4
"""Live streams at once, each of which costs a tenth of a core or so."""

MAX_UPLOADED_MB = 8_000
"""All uploads that are kept together."""

MAX_DRAWN_MB = 2_000
"""All waveforms and spectrograms that are kept together: 35 hours of sound."""

LABELS = ("cry", "fuss", "other")
"""Labels to choose from on the page, beside those that the corrections of the folder hold."""


@dataclass(frozen=True)
class ServeSettings:
    """What the server is run with, as the options of ``cryvision serve`` have it.

    Without a password the server must not be open to others, unless that is wanted: ``insecure``.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    bundle: str | None = None
    folder: Path | None = None
    auth_file: Path | None = None
    insecure: bool = False
    live_config: Path | None = None
    max_upload_mb: float = MAX_UPLOAD_MB
    max_minutes: float = MAX_MINUTES

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise ConfigError(f"--port must be 0 to 65535; got {self.port}")
        if not 0 < self.max_upload_mb <= 100_000:
            raise ConfigError(
                f"--max-upload-mb must be above 0, at most 100000; got {self.max_upload_mb:g}"
            )
        if not 0 < self.max_minutes <= 10_000:
            raise ConfigError(
                f"--max-minutes must be above 0, at most 10000; got {self.max_minutes:g}"
            )
        if self.folder is not None and not self.folder.is_dir():
            raise ConfigError(f"--folder must be a folder; there is none at {self.folder}")
        if not is_loopback(self.host) and self.auth_file is None and not self.insecure:
            raise ConfigError(
                f"--host {self.host} lets other machines in: name who may come in with --auth-file "
                "FILE, or give --insecure"
            )

    @property
    def max_upload_bytes(self) -> int:
        return round(self.max_upload_mb * 1e6)


def is_loopback(host: str) -> bool:
    import ipaddress

    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
