"""Reading a source until something has come."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cryvision.config import SAMPLE_RATE_HZ
from cryvision.monitor.sources import microphone, network, source
from cryvision.monitor.sources.source import Piece, SourceFault


def set_waits(monkeypatch: pytest.MonkeyPatch, **seconds: float) -> None:
    """Set how long live sources wait, such as ``stall=1.0``."""
    for name, value in seconds.items():
        for module in (source, network, microphone):
            monkeypatch.setattr(module, f"{name.upper()}_SECONDS", value, raising=False)


def read_until(
    source: Any, enough: Callable[[list[Any]], bool], within_s: float = 30.0
) -> list[Piece | SourceFault]:
    """Read a source until ``enough`` holds for what has come; fails where that takes too long."""
    items: list[Piece | SourceFault] = []
    stop, until = threading.Event(), time.monotonic() + within_s
    for item in source.pieces(stop):
        items.append(item)
        if enough(items):
            stop.set()
        assert time.monotonic() < until, faults(items)
    return items


def faults(items: list[Any]) -> list[SourceFault]:
    return [item for item in items if isinstance(item, SourceFault)]


def kinds(items: list[Any]) -> list[str]:
    return [fault.kind for fault in faults(items)]


def sound(items: list[Any]) -> np.ndarray:
    return np.concatenate(
        [np.zeros(0, np.float32)] + [i.samples for i in items if isinstance(i, Piece)]
    )


def seconds(n: float) -> Callable[[list[Any]], bool]:
    """Hold once so much sound has come."""
    return lambda items: len(sound(items)) >= n * SAMPLE_RATE_HZ


def pitch_hz(samples: np.ndarray) -> float:
    """Return the frequency of a tone."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << 18))
    return float(spectrum.argmax() * SAMPLE_RATE_HZ / (1 << 18))


def amplitude(samples: np.ndarray) -> float:
    """Return the amplitude of a tone."""
    return float(np.sqrt(2 * np.mean(np.square(samples, dtype=np.float64))))
