"""What a stream finds in sounds that are pushed into it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from cryvision.bundle import Bundle
from cryvision.inference.classifier import StreamClassifier
from cryvision.result import Classification, Event


def streamed(bundle: Bundle, *pieces: np.ndarray, **options: object) -> Classification:
    stream = StreamClassifier(bundle, **options)  # type: ignore[arg-type]
    for piece in pieces:
        stream.push(piece)
    return stream.finish()


def times(events: Iterable[Event]) -> list[tuple[float, float]]:
    """Onsets and offsets in seconds, less the rounding of their sums."""
    return [(round(event.onset_s, 6), round(event.offset_s, 6)) for event in events]
