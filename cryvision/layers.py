"""The layers that the package is installed in, and the one line on a layer that is missing."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec

from cryvision.errors import MissingDependencyError

LAYERS = {
    "evaluate": ("sklearn", "scipy", "markdown_it"),
    "train": ("tensorflow", "keras", "sklearn", "scipy", "librosa", "onnx", "tf2onnx"),
    "export": ("tensorflow", "keras", "onnx", "tf2onnx"),
    "live": ("apprise", "filelock", "paho", "sounddevice"),
    "acoustics": ("parselmouth",),
    "web": ("fastapi", "python_multipart", "scipy", "uvicorn", "websockets"),
}
"""Modules of each layer beside those that classifying needs; in ``setup.cfg`` their packages."""


def require(layer: str, purpose: str) -> None:
    """Check that a layer is installed, without importing it; ``purpose`` starts the message."""
    for module in LAYERS[layer]:
        require_package(module, purpose, layer)
    if "tensorflow" in LAYERS[layer]:
        _clean_up_after_autograph()


def require_package(module: str, purpose: str, layer: str) -> None:
    """Check that one module of a layer is installed, as `require` does for all of them."""
    if find_spec(module) is None:
        raise MissingDependencyError(_missing(purpose, module, install_command(layer)))


@contextlib.contextmanager
def needed(purpose: str, package: str, layer: str = "") -> Iterator[None]:
    """Say how to install a package, or its layer, where an import in the block fails."""
    command = install_command(layer) if layer else f"python -m pip install {package}"
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingDependencyError(_missing(purpose, package, command)) from error
    except ImportError as error:
        raise MissingDependencyError(
            f"{purpose} needs {package}, which cannot be imported: {error}; "
            f"reinstall it with: {command}"
        ) from error


def _missing(purpose: str, package: str, command: str) -> str:
    return f"{purpose} needs {package}, which is not installed; install it with: {command}"


def install_command(layer: str) -> str:
    return f"python -m pip install 'cryvision[{layer}]'"


@functools.cache
def _clean_up_after_autograph() -> None:
    """Remove at exit what TensorFlow leaves among the temporary files.

    It runs functions as code that it writes there, and removes that code, but not what Python keeps
    of it in ``__pycache__``.
    """

    def remove() -> None:
        names = [name for name in sys.modules if name.startswith("__autograph_generated_file")]
        for name in names:  # alone: others may import more once something is asked of them
            compiled = getattr(sys.modules[name], "__cached__", None)
            if compiled:
                with contextlib.suppress(OSError):
                    os.remove(compiled)
                    os.rmdir(os.path.dirname(compiled))  # where nothing of others is in it

    atexit.register(remove)
