"""Recordings without any sound behind them: labels, levels, and perhaps the scores of a tagger."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cryvision.annotations import Interval
from cryvision.detector_training.recordings import Recording
from cryvision.detector_training.tag_scores import TagScores

STEP_S = 0.04
TAG_HOP = 12 * 320


def toy_recording(cry: np.ndarray, subject: str = "ada", **changes: object) -> Recording:
    """Give a recording of one step of 40 ms a label.

    Parameters
    ----------
    cry : ndarray of bool or int, shape (n_steps,)
    subject : str
    changes
        Other fields of the recording.
    """
    labels = np.asarray(cry).astype(np.uint8)
    edges = np.flatnonzero(np.diff(np.r_[0, labels, 0])) * STEP_S
    intervals = tuple(
        Interval(float(a), float(b), "cry") for a, b in zip(edges[::2], edges[1::2], strict=True)
    )
    levels = np.full(len(labels), -20, np.float32)
    made = Recording(f"{subject}.wav", subject, intervals, len(labels) * STEP_S, labels, levels)
    return replace(made, **changes)  # type: ignore[arg-type]


def tag_scores(cry: np.ndarray, embedding: np.ndarray | None = None) -> TagScores:
    """Give a tagger's scores of windows, one each 0.24 s, all of them loud enough."""
    n = len(cry)
    columns = np.zeros((n, 0)) if embedding is None else embedding
    return TagScores(
        TAG_HOP * np.arange(1, n + 1), np.asarray(cry, np.float32), np.ones(n, bool), columns
    )
