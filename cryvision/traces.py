"""What libraries would leave in the user's home beside the output is kept from it, or removed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

_KERAS_KEYS = {"floatx", "epsilon", "backend", "image_data_format"}


@contextlib.contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Set environment variables for the length of the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def no_traces() -> Iterator[None]:
    """Have a command leave neither Matplotlib's list of fonts nor Keras' file of settings.

    Who has them already, from programs of their own, keeps and uses them. Child processes are
    covered too: they inherit the place for the fonts.
    """
    fonts = _place_for_fonts()
    keras_file = _keras_file()
    is_new = not keras_file.exists()
    try:
        with environment(**({} if fonts is None else {"MPLCONFIGDIR": str(fonts)})):
            yield
    finally:
        if fonts is not None:
            shutil.rmtree(fonts, ignore_errors=True)
        if is_new:
            _remove_defaults(keras_file)


def _place_for_fonts() -> Path | None:
    """Name a folder that is removed afterwards; None where Matplotlib has one of the user's."""
    home = Path(os.path.expanduser("~"))
    caches = [
        Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache", "matplotlib"),
        home / ".matplotlib",  # macOS and Windows
    ]
    if os.environ.get("MPLCONFIGDIR") or any(cache.is_dir() for cache in caches):
        return None
    import tempfile

    return Path(tempfile.gettempdir(), f"cryvision-matplotlib-{os.urandom(8).hex()}")


def _keras_file() -> Path:
    home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    return Path(home, "keras.json")


def _remove_defaults(path: Path) -> None:
    """Remove Keras' file of settings, which it writes at its import, and its folder if empty."""
    with contextlib.suppress(OSError, ValueError):
        if set(json.loads(path.read_bytes())) <= _KERAS_KEYS:
            path.unlink()
            path.parent.rmdir()
