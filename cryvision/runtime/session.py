"""A session of onnxruntime in which no model, whatever it holds, takes all memory or all time."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cryvision.errors import BundleError, MissingDependencyError

MEMORY_BYTES = 2_000_000_000
"""What all models of a process together may compute with."""

RUN_SECONDS = 120.0
"""What one run may take: it ends at the first node after that."""

MAX_ITEMS = 128
"""Items run at once. More are no faster, and take more memory."""

_TICK_SECONDS = 0.5


class Session:
    """A model in onnxruntime, from checked bytes or from the path of a file that is trusted.

    Errors name ``path``; with 0 ``threads`` there are as many as cores. A model that was made on
    this machine is ``trusted``: it may compute while loading, and its memory has no end. `inputs`
    and `outputs` are as onnxruntime describes them: ``name``, ``shape``, ``type``.
    """

    def __init__(
        self, model: bytes | str, path: Path, threads: int = 1, trusted: bool = False
    ) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingDependencyError(
                f"onnxruntime is needed to run this model and cannot be imported ({line(error)}); "
                "install it with: python -m pip install onnxruntime"
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # errors have our own words
        # It saves time with small models only; large ones take a sixth more memory with it.
        options.enable_mem_pattern = threads == 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Without this, bytes that look like onnxruntime's own format would be read as such.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        if not trusted and _bound_memory():
            options.add_session_config_entry("session.use_env_allocators", "1")
        self.path = path
        self._new_options = onnxruntime.RunOptions
        try:
            self._session = onnxruntime.InferenceSession(
                model,
                sess_options=options,
                providers=["CPUExecutionProvider"],
                # It computes while loading, which nothing could end; small models gain nothing.
                disabled_optimizers=None if trusted else ["ConstantFolding"],
            )
        except Exception as error:  # its exceptions share no base class but this
            raise BundleError(f"{path}: not a model for onnxruntime: {line(error)}") from error
        self.inputs = self._session.get_inputs()
        self.outputs = self._session.get_outputs()

    def run(self, names: Sequence[str] | None, batch: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Compute outputs of a batch, by name, or all; arrays are of shape (n, ...).

        A BundleError says that the model fails, or needs more memory or time than there is for it.
        """
        options = self._new_options()
        options.log_severity_level = 4
        with _ended_in_time(options):
            try:
                return list(self._session.run(names, dict(batch), options))
            except Exception as error:  # as above
                reason = (
                    f"it took longer than {RUN_SECONDS:g} s"
                    if options.terminate
                    else _reason(error)
                )
                raise BundleError(f"{self.path}: the model cannot be run: {reason}") from error


def _reason(error: Exception) -> str:
    """Say why a run failed, without the places in onnxruntime's own source."""
    text = str(error).partition("Status Message: ")[2] or str(error)
    if "bfc_arena" in text or "bad_alloc" in text:
        return f"it needs more than {MEMORY_BYTES / 1e9:g} GB of memory"
    return line(text)


def line(error: BaseException | str) -> str:
    """First line of another library's message."""
    return f"{error}".strip().split("\n", 1)[0][:200] or type(error).__name__


@functools.cache
def _bound_memory() -> bool:
    """Have all sessions of this process share one arena that has an end."""
    import onnxruntime as ort

    arena = ort.OrtArenaCfg(
        {
            "max_mem": MEMORY_BYTES,
            "arena_extend_strategy": 1,
            "initial_chunk_size_bytes": -1,
            "max_dead_bytes_per_chunk": -1,
        }
    )
    kind = ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR
    memory = ort.OrtMemoryInfo("Cpu", kind, 0, ort.OrtMemType.DEFAULT)
    try:
        ort.create_and_register_allocator(memory, arena)
    except Exception:  # the user's own program has one already
        return False
    return True


class _Watch:
    """One thread for all runs of a process, since a thread for each would take longer than it."""

    def __init__(self) -> None:
        self._runs: dict[int, tuple[float, Any]] = {}
        self._lock = threading.Lock()
        self._woken = threading.Event()
        thread = threading.Thread(target=self._end_overdue, name="model time", daemon=True)
        thread.start()

    def add(self, options: Any) -> None:
        with self._lock:
            self._runs[id(options)] = time.monotonic() + RUN_SECONDS, options
        self._woken.set()

    def remove(self, options: Any) -> None:
        with self._lock:
            del self._runs[id(options)]

    def _end_overdue(self) -> None:
        while True:
            self._woken.wait()
            time.sleep(_TICK_SECONDS)
            with self._lock:
                now_s = time.monotonic()
                for deadline_s, options in self._runs.values():
                    if now_s > deadline_s:
                        options.terminate = True
                if not self._runs:
                    self._woken.clear()


_watches: dict[int, _Watch] = {}
"""By process: a thread is not there in a fork."""


@contextlib.contextmanager
def _ended_in_time(options: Any) -> Iterator[None]:
    watch = _watches.get(os.getpid())
    if watch is None:
        watch = _watches[os.getpid()] = _Watch()
    watch.add(options)
    try:
        yield
    finally:
        watch.remove(options)
