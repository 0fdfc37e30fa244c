"""Secrets stay in files and environment variables; settings hold only where they are."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cryvision.errors import ConfigError


@dataclass(frozen=True)
class Secret:
    """Where a secret is: in the first line of a file, or in an environment variable."""

    file: Path | None = None
    variable: str | None = None

    def read(self) -> str:
        """Return the secret; an error names its place alone."""
        if self.file is not None:
            try:
                text = self.file.read_text(encoding="utf-8")
            except (OSError, UnicodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
                raise ConfigError(f"{self.file}: must hold a secret: {reason}") from None
            secret = text.split("\n", 1)[0].strip()
            if not secret:
                raise ConfigError(f"{self.file}: must hold a secret in its first line; is empty")
            return secret
        secret = os.environ.get(self.variable or "", "")
        if not secret:
            raise ConfigError(f"the environment variable {self.variable} must hold a secret")
        return secret
