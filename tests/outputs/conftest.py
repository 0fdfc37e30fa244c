"""Classifications to write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cryvision.result import Classification, Detection, Event

Make = Callable[..., Classification]

FRAME_RATE_HZ = 30
SAMPLE_RATE_HZ = 16_000
FIRST_WINDOW_S = 0.5


def _timeline(duration_s: float, events: tuple[Event, ...]) -> dict[str, np.ndarray]:
    time_s = np.arange(round(duration_s * FRAME_RATE_HZ), dtype=np.float32) / FRAME_RATE_HZ
    cry = np.full(len(time_s), 0.05, dtype=np.float32)
    for event in events:
        cry[(time_s >= event.onset_s) & (time_s < event.offset_s)] = event.confidence
    cry[time_s < FIRST_WINDOW_S] = np.nan
    return {"cry": cry, "time_s": time_s, "cry_smooth": cry * np.float32(0.9)}


@pytest.fixture
def make() -> Make:
    """Build a classification: by default 12 s with two bouts, decided from sound."""

    def build(**changes: Any) -> Classification:
        events = (
            Event(1.5, 4.3, "cry", 0.97, -18.26, 31.24),
            Event(6.0, 8.4, "cry", 0.91, -22.3, 27.2),
        )
        fields: dict[str, Any] = {
            "path": "demo.mp4",
            "duration_s": 12.0,
            "label": "cry",
            "probabilities": {"no cry": 0.1, "cry": 0.9},
            "events": events,
            "modalities": ("sound",),
            "bundle": {"name": "default", "sha256": "1a2b3c4d5e6f7a8b"},
            "skill": [],
        }
        fields |= changes
        events = fields["events"]
        seconds = sum(event.duration_s for event in events)
        fields.setdefault("detector", Detection(bool(events), 0.62, seconds))
        fields.setdefault("timeline", _timeline(fields["duration_s"], events))
        return Classification(**fields)

    return build
