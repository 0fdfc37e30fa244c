"""One table of a configuration file, checked key by key."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterable, Mapping
from datetime import time
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from cryvision.errors import ConfigError
from cryvision.monitor.alerting.secrets import Secret

T = TypeVar("T")


class Table:
    """Takes values out of a table of a TOML file, and says in one line what is wrong.

    Each method takes a key, and what stands for one that is missing; without that the key must be
    there. `end` refuses the keys that nobody asked for. The name of the table, empty for the file
    itself, is for messages; paths are relative to the folder of the file.
    """

    def __init__(self, path: Path, where: str, values: Mapping[str, Any]) -> None:
        self.path = path
        self._where = where
        self._values = values
        self._known: dict[str, None] = {}  # in order

    def refuse(self, key: str, allowed: str, *, shown: bool = True) -> NoReturn:
        """Refuse the value of a key, and say what is allowed; a secret is not ``shown``."""
        name = f"{self._where}.{key}" if self._where else key
        if key not in self._values:
            raise ConfigError(f"{self.path}: {name} must be there: {allowed}")
        received = f"; got {reprlib.repr(self._values[key])}" if shown else ""
        raise ConfigError(f"{self.path}: {name} must be {allowed}{received}")

    def get(self, key: str) -> Any:
        self._known[key] = None
        return self._values.get(key)

    def has(self, key: str) -> bool:
        return key in self._values

    def text(self, key: str, default: T) -> str | T:
        return default if self.get(key) is None else self.needed_text(key)

    def needed_text(self, key: str, *, shown: bool = True) -> str:
        """Take a text that is not empty and has no control characters."""
        value = self.get(key)
        if not isinstance(value, str) or not value or not value.isprintable():
            self.refuse(key, "a string of one line, not empty", shown=shown)
        return value

    def choice(self, key: str, choices: Iterable[str], default: Any = ...) -> str:
        value = self.get(key)
        if value is None and default is not ...:
            return str(default)
        names = list(choices)
        if value not in names:
            self.refuse(key, f"one of {', '.join(names)}")
        return str(value)

    def number(self, key: str, least: float, most: float, default: float) -> float:
        value = self.get(key)
        if value is None:
            return default
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or not least <= value <= most:
            self.refuse(key, f"a number from {least:g} to {most:g}")
        return float(value)

    def numbers(self, kind: type, **limits: tuple[float, float]) -> dict[str, float]:
        """Take numbers within limits; for those that are missing, the values of a dataclass."""
        return {key: self.number(key, *both, getattr(kind, key)) for key, both in limits.items()}

    def whole(self, key: str, least: int, most: int, default: T) -> int | T:
        value = self.get(key)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self.refuse(key, f"a whole number from {least} to {most}")
        return value

    def flag(self, key: str) -> bool:
        value = self.get(key)
        if value is None:
            return False
        if not isinstance(value, bool):
            self.refuse(key, "true or false")
        return value

    def texts(self, key: str, *, needed: bool = False) -> tuple[str, ...]:
        value = self.get(key)
        if value is None and not needed:
            return ()
        valid = isinstance(value, list) and all(isinstance(v, str) and "\0" not in v for v in value)
        if not valid or (needed and not value):
            self.refuse(key, "a list of strings" + (", not empty" if needed else ""))
        return tuple(value)

    def clock(self, key: str) -> time:
        """Take a time of day, such as ``22:30``, as a text or as TOML has it."""
        value = self.get(key)
        try:
            clock = value if isinstance(value, time) else time.fromisoformat(value)
        except (TypeError, ValueError):
            self.refuse(key, "a time of day such as 22:30")
        if clock.tzinfo is not None:
            self.refuse(key, "a time of day without an offset, such as 22:30")
        return clock

    def file(self, key: str, default: T) -> Path | T:
        """Take a path; it may begin with ~, and is relative to the folder of the file."""
        value = self.text(key, default)
        return self._path(key, value) if isinstance(value, str) else value

    def needed_file(self, key: str) -> Path:
        return self._path(key, self.needed_text(key))

    def _path(self, key: str, value: str) -> Path:
        try:
            return self.path.parent / Path(value).expanduser()
        except RuntimeError:
            self.refuse(key, "a path below the home of a user of this machine")

    def secret(self, key: str) -> Secret | None:
        """Take the place of a secret: ``<key>_file`` or ``<key>_env``. Never the secret itself."""
        file = self.file(f"{key}_file", None)
        variable = self.text(f"{key}_env", None)
        if key in self._values:
            self.refuse(key, f"in a file or the environment: {key}_file or {key}_env", shown=False)
        if file is not None and variable is not None:
            self.refuse(f"{key}_env", f"left out where there is {key}_file")
        return None if file is None and variable is None else Secret(file, variable)

    def needed_secret(self, key: str) -> Secret:
        secret = self.secret(key)
        if secret is None:
            self.refuse(f"{key}_file", f"the file that holds it, or {key}_env a variable")
        return secret

    def end(self) -> None:
        """Refuse the keys that were not asked for."""
        for key in self._values:
            if key not in self._known:
                name = f"{self._where}.{key}" if self._where else key
                raise ConfigError(
                    f"{self.path}: {name} is unknown; allowed are {', '.join(self._known)}"
                )
