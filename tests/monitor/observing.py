"""What a session says of made-up sound in which crying and speech are where they are put."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cryvision.inference.state import StreamState
from cryvision.inputs.media import open_clip
from cryvision.monitor.session import Observation, TimedEvent
from cryvision.monitor.sources.source import Piece, SourceFault
from cryvision.result import Event

RATE_HZ = 16_000
START = 1_700_000_000.0
SOURCE = "nursery"

REPORT_S = 0.5
"""An event is reported so long after it began or ended."""

Span = tuple[float, float]


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise whose samples are whole numbers of 16 bits: what was recorded can be told exactly."""
    values = np.random.default_rng(seed).integers(-3000, 3000, round(seconds * RATE_HZ))
    return (values / 32768).astype(np.float32)


def observations(
    samples: np.ndarray,
    cries: Sequence[Span] = (),
    *,
    start: float = START,
    speech: Sequence[Span] = (),
    frames: dict[float, np.ndarray] | None = None,
    source: str = SOURCE,
    piece_s: float = 0.1,
) -> Iterator[Observation]:
    """Give the observations of a stream; all times but ``start`` in seconds of the stream."""
    step = round(piece_s * RATE_HZ)
    waiting = dict(sorted((frames or {}).items()))
    for first in range(0, len(samples), step):
        piece = samples[first : first + step]
        was_s, now_s = first / RATE_HZ, (first + len(piece)) / RATE_HZ
        frame = next((waiting.pop(at) for at in list(waiting) if at <= now_s), None)
        events = []
        for onset_s, offset_s in cries:
            if was_s < onset_s + REPORT_S <= now_s:
                events.append(timed(onset_s, None, start))
            if was_s < offset_s + REPORT_S <= now_s:
                events.append(timed(onset_s, offset_s, start))
        crying = any(a + REPORT_S <= now_s < b + REPORT_S for a, b in cries)
        tags = {"adult_speech": 0.9} if any(a < now_s <= b for a, b in speech) else {}
        state = StreamState(now_s, crying, None, 0.5, -30.0, 10.0, tags)
        seen = Piece(piece, frame, now_s if frame is not None else None, start + now_s)
        heard = (source, start + now_s, state, crying, None, tuple(events), None, seen)
        yield Observation(*heard, start=start)


def lost(at_s: float, start: float = START, source: str = SOURCE) -> Observation:
    """Give the observation of a source that is lost."""
    state = StreamState.unknown(at_s, "lost")
    fault = SourceFault("lost", "the cable is off", start + at_s)
    return Observation(source, start + at_s, state, None, None, (), fault, start=start)


def timed(onset_s: float, offset_s: float | None, start: float = START) -> TimedEvent:
    """Make an event at a place in the stream."""
    event = Event(onset_s, offset_s, "cry", 0.9, -30.0, 12.0)
    return TimedEvent(event, start + onset_s, None if offset_s is None else start + offset_s)


def written(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Read the JSON objects of all recordings, the oldest first."""
    paths = sorted(folder.glob("*/*/*.json"))
    return [(path, json.loads(path.read_text(encoding="utf-8"))) for path in paths]


def sound_of(path: Path) -> np.ndarray:
    """Decode the sound of a file; float32, 16 kHz."""
    with open_clip(path, frames=False) as clip:
        return np.concatenate([p.samples for p in clip.pieces() if p.samples is not None])
