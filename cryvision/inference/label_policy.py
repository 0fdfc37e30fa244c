"""One label for a clip, given only where it was measured to be worth something."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

NO_CRY = "no cry"
CRY = "cry"
NOT_SURE = "not sure"
LABEL_POLICIES = ("skill", "always")

NOT_APART = "not kept apart"
"""What stands in a skill entry for where subjects are known from, when they were on both sides."""


def has_skill(
    skill: Sequence[Mapping[str, Any]],
    part: str,
    modalities: Collection[str],
    unit: str | None = None,
) -> bool:
    """Whether a part was measured to do better than chance on subjects it had not seen.

    The lower end of the 95 % subject-bootstrap interval of balanced accuracy must lie above chance
    **and** the calibrated log-loss below the prior's; subjects guessed one per file never qualify.
    With a ``unit``, only what was measured by clip, event or window counts.
    """
    return any(
        entry["part"] == part
        and set(entry["modalities"]) == set(modalities)
        and unit in (None, entry["unit"])
        and _is_skilled(entry)
        for entry in skill
    )


def _is_skilled(entry: Mapping[str, Any]) -> bool:
    figures = entry["figures"]
    interval = figures.get("balanced_accuracy", {}).get("interval")
    log_loss = figures.get("log_loss", {}).get("value")
    prior_log_loss = entry["prior"].get("log_loss")
    if entry["subjects"] in ("file", NOT_APART) or None in (interval, log_loss, prior_log_loss):
        return False
    return bool(interval[0] > entry["chance"] and log_loss < prior_log_loss)


_BLOCK_FRAMES = 1 << 16


def mean_probabilities(
    timeline: Mapping[str, np.ndarray],
    labels: Sequence[str],
    spans_s: Sequence[tuple[float, float]] | None,
) -> dict[str, float]:
    """Average the smoothed probabilities (``<label>_smooth``) over the frames of the events.

    ``spans_s`` are the onsets and offsets of the events; None takes all frames. Where no frame of
    an event carries a prediction, as in bouts shorter than a window of the reasons, all frames that
    carry one are taken; where none does, the result is empty.
    """
    columns = [timeline[f"{label}_smooth"] for label in labels]
    n_frames = len(columns[0])
    edges = np.array([[0, n_frames]])
    if spans_s is not None:
        edges = np.searchsorted(timeline["time_s"], spans_s).reshape(-1, 2)
    sums, counts = np.zeros((2, len(labels))), np.zeros(2)
    # Some at a time: a day has 2.6 million frames.
    for first in range(0, n_frames, _BLOCK_FRAMES):
        block = slice(first, first + _BLOCK_FRAMES)
        table = np.array([column[block] for column in columns], np.float64)
        inside = _inside(edges - first, table.shape[1])
        has_output = ~np.isnan(table).any(axis=0)
        for row, frames in enumerate((has_output & inside, has_output)):
            sums[row] += table[:, frames].sum(axis=1)
            counts[row] += np.count_nonzero(frames)
    row = 0 if counts[0] else 1
    if not counts[row]:
        return {}
    return dict(zip(labels, (sums[row] / counts[row]).tolist(), strict=True))


def _inside(edges: np.ndarray, n: int) -> np.ndarray:
    """Say of each of the first so many frames whether it lies between any two edges."""
    firsts, stops = edges.clip(0, n).T
    steps = np.bincount(firsts, minlength=n + 1) - np.bincount(stops, minlength=n + 1)
    return np.asarray(np.cumsum(steps[:-1]) > 0)
