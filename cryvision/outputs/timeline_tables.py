"""The timeline as a table: a row a frame, or a row a longer hop."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cryvision.config import FRAME_RATE_HZ
from cryvision.errors import ConfigError
from cryvision.layers import needed
from cryvision.result import Classification

TIME = "time_s"
_BLOCK_HOPS = 1 << 14


def check_hop(hop_seconds: float | None) -> None:
    """Refuse with ConfigError a hop that is shorter than a frame."""
    if hop_seconds is not None and not 1 / FRAME_RATE_HZ <= hop_seconds < math.inf:
        raise ConfigError(
            f"the hop of the timeline must be at least a frame, 1/{FRAME_RATE_HZ} s; "
            f"got {hop_seconds:g}"
        )


def with_hop(classification: Classification, hop_seconds: float | None) -> Classification:
    """Give the result with a shorter timeline: the mean of each column over each hop.

    ``time_s`` is the start of each hop. What is known of no frame of a hop is NaN. Without a hop
    the timeline stays as it is.
    """
    check_hop(hop_seconds)
    timeline = classification.timeline
    n_frames = len(timeline.get(TIME, ()))
    if hop_seconds is None or not n_frames:
        return classification
    n_hops = math.ceil(n_frames / FRAME_RATE_HZ / hop_seconds)
    starts = np.ceil(np.arange(n_hops) * hop_seconds * FRAME_RATE_HZ - 1e-6).astype(np.intp)
    starts = starts[starts < n_frames]
    columns = {name: _means(values, starts) for name, values in timeline.items() if name != TIME}
    # That of a stream may not begin at 0.
    time_s = float(timeline[TIME][0]) + np.arange(len(starts)) * hop_seconds
    return replace(classification, timeline={TIME: time_s, **columns})


def write_timeline_parquet(classification: Classification, path: Path) -> None:
    """Write the timeline as Parquet: null where nothing is known, float32 but for the times.

    Those of a night are not exact to a millisecond in float32.
    """
    pyarrow, parquet = import_pyarrow()
    timeline: Mapping[str, np.ndarray] = classification.timeline
    columns = {
        name: pyarrow.array(
            np.asarray(values, np.float64 if name == TIME else np.float32), from_pandas=True
        )
        for name, values in timeline.items()
    }
    parquet.write_table(pyarrow.table(columns), path, compression="zstd")


def _means(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Give the mean of each hop; some at a time, as the timeline of a day is large."""
    edges = [*range(0, len(starts), _BLOCK_HOPS), len(starts)]
    frames = [*starts[edges[:-1]].tolist(), len(values)]
    pieces = [
        known_means(values[frames[k] : frames[k + 1]], starts[first:stop] - frames[k])
        for k, (first, stop) in enumerate(itertools.pairwise(edges))
    ]
    return np.concatenate(pieces)


def known_means(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Average what is known of each stretch of values, float32; NaN where nothing is."""
    finite = np.isfinite(values)
    counts = np.add.reduceat(finite.astype(np.float64), starts)
    sums = np.add.reduceat(np.where(finite, values, 0.0).astype(np.float64), starts)
    means = np.divide(sums, counts, out=np.full(len(starts), np.nan), where=counts > 0)
    return np.asarray(means, np.float32)


def import_pyarrow() -> tuple[Any, Any]:
    """Import what writes Parquet, or say how to install it."""
    with needed("Parquet", "pyarrow", "batch"):
        import pyarrow
        import pyarrow.parquet
    return pyarrow, pyarrow.parquet
