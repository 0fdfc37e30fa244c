"""A microphone of this computer, or any other device that gives sound."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

from cryvision.errors import ConfigError, MediaError, MissingDependencyError
from cryvision.inputs.resampling import Resampler
from cryvision.layers import needed
from cryvision.monitor.sources.camera import camera_names
from cryvision.monitor.sources.pictures import Pictures
from cryvision.monitor.sources.source import (
    PIECE_SECONDS,
    STALL_SECONDS,
    TICK_SECONDS,
    DisconnectedError,
    LiveSource,
)

MOST_REAL_CHANNELS = 8
"""Virtual devices of sound servers state 32 channels or more: two are taken of those."""

_WAITING_BLOCKS = 600
_open_streams: set[int] = set()
_open_lock = threading.Lock()


class Microphone(LiveSource):
    """Sound of a device, through PortAudio.

    The device is an index or a part of the name, as `list_devices` shows them; the system's default
    by default. Its name is that of the source by default.
    """

    def __init__(
        self,
        device: int | str | None = None,
        *,
        pictures: Pictures | None = None,
        name: str | None = None,
    ) -> None:
        sounddevice = _import_sounddevice()
        found = _find(sounddevice, device)
        # Indices change when a device comes or goes; its name stays.
        self._device = None if device is None else (int(found["index"]), str(found["name"]))
        self._connected_before = False
        super().__init__(name or str(found["name"]), pictures)

    def connect(self) -> _Recording:
        sounddevice = _import_sounddevice()
        try:
            with _open_lock:
                if self._connected_before and not _open_streams:
                    # PortAudio lists the devices when it starts, and never again.
                    with contextlib.suppress(sounddevice.PortAudioError):
                        sounddevice._terminate()
                    sounddevice._initialize()
            self._connected_before = True
            return _Recording(sounddevice, self._index(sounddevice))
        except (sounddevice.PortAudioError, ValueError) as error:
            raise DisconnectedError("lost", f"the microphone cannot be opened: {error}") from error

    def _index(self, sounddevice: ModuleType) -> int | None:
        if self._device is None:
            return None
        index, name = self._device
        same = [i for i, d in enumerate(sounddevice.query_devices()) if _is_input(d, name)]
        if not same:
            raise DisconnectedError("lost", f"there is no device {name!r} any more")
        return index if index in same else same[0]


class _Recording:
    def __init__(self, sounddevice: ModuleType, device: int | None) -> None:
        info = sounddevice.query_devices(device, "input")
        rate_hz = float(info["default_samplerate"])
        n_channels = int(info["max_input_channels"])
        self._sounddevice = sounddevice
        self._ended = threading.Event()
        self._lost_sound = False
        self._blocks: queue.Queue[tuple[np.ndarray, float] | None] = queue.Queue(_WAITING_BLOCKS)
        self._resampler = Resampler(rate_hz)
        self._stream = sounddevice.InputStream(
            device=device,
            samplerate=rate_hz,
            channels=n_channels if n_channels <= MOST_REAL_CHANNELS else 2,
            dtype="float32",
            blocksize=round(rate_hz * PIECE_SECONDS),
            latency="high",
            callback=self._take,
        )
        with _open_lock:
            _open_streams.add(id(self))
        try:
            self._stream.start()
        except BaseException:
            self.close()
            raise

    def blocks(self) -> Iterator[tuple[np.ndarray, float]]:
        last = time.monotonic()
        while not self._ended.is_set():
            try:
                item = self._blocks.get(timeout=TICK_SECONDS)
            except queue.Empty:
                if not self._active():
                    raise DisconnectedError("lost", "the microphone has stopped") from None
                if time.monotonic() - last > STALL_SECONDS:
                    message = f"the microphone has given no sound for {STALL_SECONDS:g} s"
                    raise DisconnectedError("stalled", message) from None
                continue
            if item is None:
                return
            block, wall_time = item
            if self._lost_sound:
                raise DisconnectedError("lost", "sound was lost: this computer is too slow")
            last = time.monotonic()
            samples = self._resampler.push(block)
            if len(samples):
                yield samples, wall_time

    def end(self) -> None:
        self._ended.set()
        with contextlib.suppress(queue.Full):  # then it does not wait
            self._blocks.put_nowait(None)

    def close(self) -> None:
        # A device that is gone cannot be closed in order. PortAudio may even hang: then the stream
        # still counts as open, and PortAudio is not started anew, which would hang too.
        with contextlib.suppress(self._sounddevice.PortAudioError):
            self._stream.close()
        with _open_lock:
            _open_streams.discard(id(self))

    def _take(self, block: np.ndarray, n_frames: int, times: Any, status: Any) -> None:
        """Take a block from PortAudio, in its thread, which must not wait."""
        try:
            self._blocks.put_nowait((block.copy(), time.time()))
        except queue.Full:
            self._lost_sound = True

    def _active(self) -> bool:
        try:
            return bool(self._stream.active)
        except self._sounddevice.PortAudioError:
            return False


def list_devices() -> str:
    """Return a table of the devices with sound and of the cameras; no device is opened."""
    sounddevice = _import_sounddevice()
    rows = [("index", "channels", "rate", "microphone")]
    default = _default_index(sounddevice)
    for index, device in enumerate(sounddevice.query_devices()):
        if _is_input(device):
            mark = " (default)" if index == default else ""
            rate = f"{device['default_samplerate']:.0f} Hz"
            channels = str(device["max_input_channels"])
            rows.append((str(index), channels, rate, f"{device['name']}{mark}"))
    if len(rows) == 1:
        rows.append(("-", "-", "-", "none"))
    lines = [f"{i:>5}  {n:>8}  {rate:>9}  {name}" for i, n, rate, name in rows]
    if cameras := camera_names():
        lines += ["", "index  camera", *(f"{i:>5}  {name}" for i, name in cameras.items())]
    return "\n".join(lines)


def _import_sounddevice() -> Any:
    try:
        with needed("a microphone", "sounddevice", "live"):
            import sounddevice
    except OSError as error:
        raise MissingDependencyError(
            "a microphone needs the library PortAudio, which is not installed; on Debian and "
            "Ubuntu install it with: apt install libportaudio2"
        ) from error
    return sounddevice


def _find(sounddevice: Any, device: int | str | None) -> dict[str, Any]:
    """Return what PortAudio says of a device with sound."""
    try:
        if any(_is_input(d) for d in sounddevice.query_devices()):
            return dict(sounddevice.query_devices(device, "input"))
    except (ValueError, sounddevice.PortAudioError) as error:
        raise ConfigError(
            f"a microphone must be one of those that --list-devices shows; got {device!r}: {error}"
        ) from error
    raise MediaError("a microphone must be connected; PortAudio finds none")


def _default_index(sounddevice: Any) -> int | None:
    try:
        return int(sounddevice.query_devices(None, "input")["index"])
    except (ValueError, KeyError, sounddevice.PortAudioError):
        return None


def _is_input(device: Any, name: str | None = None) -> bool:
    return device["max_input_channels"] > 0 and name in (None, device["name"])
