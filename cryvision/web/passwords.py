"""A file of names and hashed passwords, a line each: ``name:scrypt:salt:hash``."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from pathlib import Path

from cryvision.errors import ConfigError

LEAST_CHARACTERS = 8

_N, _R, _P = 2**14, 8, 1  # 16 MB and some 50 ms for each try
_SALT_BYTES = 16


def hash_password(name: str, password: str) -> str:
    """Return the line of a name and its password."""
    if not name or ":" in name or not name.isprintable():
        raise ConfigError(f"a name must be one line without a colon; got {name!r}")
    if len(password) < LEAST_CHARACTERS:
        raise ConfigError(f"a password must have at least {LEAST_CHARACTERS} characters")
    salt = os.urandom(_SALT_BYTES)
    parts = (base64.b64encode(part).decode() for part in (salt, _scrypt(password, salt)))
    return ":".join([name, "scrypt", *parts])


class Passwords:
    """Names and passwords of those who may come in: a file of the lines that `hash_password` gives.

    Blank lines and those that begin with ``#`` are passed over. Nobody but its owner may be able to
    write the file.
    """

    def __init__(self, path: Path) -> None:
        try:
            text = path.read_text("utf-8")
            mode = path.stat().st_mode
        except (OSError, ValueError) as error:
            raise ConfigError(f"--auth-file must be a readable text file: {path}") from error
        if os.name == "posix" and mode & 0o022:
            raise ConfigError(f"--auth-file must be writable by its owner alone: {path}")
        self._hashes: dict[str, tuple[bytes, bytes]] = {}
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            parts = line.strip().split(":")
            try:
                name, kind, salt, digest = parts
                decoded = (base64.b64decode(salt, validate=True), base64.b64decode(digest))
                if kind != "scrypt" or not name:
                    raise ValueError(kind)
            except (ValueError, binascii.Error) as error:
                raise ConfigError(
                    f"{path}: line {number}: must be name:scrypt:salt:hash, as 'cryvision serve "
                    "--hash-password' prints it"
                ) from error
            self._hashes[name] = decoded
        if not self._hashes:
            raise ConfigError(f"--auth-file must hold at least one line: {path}")

    def check(self, name: str, password: str) -> bool:
        """Return whether a password is the right one; a wrong name takes as long."""
        salt, digest = self._hashes.get(name, (b"\0" * _SALT_BYTES, b""))
        return hmac.compare_digest(_scrypt(password, salt), digest)


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode("utf-8"), salt=salt, n=_N, r=_R, p=_P, dklen=32)
