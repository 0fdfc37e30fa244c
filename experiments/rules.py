"""One clip with what the networks of its fold say of it, and the rules of the package over it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cryvision.config import VetoConfig
from cryvision.detector_training.calibration import find_step_events
from cryvision.detector_training.labelled_sound import LabelledSound
from cryvision.detector_training.recordings import MIN_LEVEL_DBFS
from cryvision.detector_training.tag_scores import TagScores
from cryvision.inference.veto import largest_tag_cry
from cryvision.models.frame_network import EDGES
from cryvision.models.tagger import CONTEXT

STEP_S = EDGES.hop_seconds
LEAVE_SHARE = 0.6
"""An event ends when the score falls below this share of the threshold that opens it."""


@dataclass
class Scored:
    """One clip, and what the networks of its fold say of it.

    Attributes
    ----------
    sound : LabelledSound
        Without its samples.
    seconds : float
    edges : ndarray of float32, shape (n_steps,)
        Logits of the 40 ms steps.
    level : ndarray of float32, shape (n_steps,)
        dBFS.
    tags : ndarray of float32, shape (n_windows, n_tags)
        Scores, one row each 0.24 s.
    """

    sound: LabelledSound
    seconds: float
    edges: np.ndarray
    level: np.ndarray
    tags: np.ndarray
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def tag_scores(self) -> TagScores:
        """The tagger's scores of crying."""
        n = len(self.tags)
        ends = CONTEXT.hop_samples * np.arange(1, n + 1)
        return TagScores(ends, self.tags[:, 0], np.ones(n, bool), np.empty((n, 0), np.float16))

    @property
    def loud(self) -> np.ndarray:
        """Which steps pass the energy gate."""
        return self.level >= MIN_LEVEL_DBFS


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x, -60, 60)))


def logit(p: np.ndarray) -> np.ndarray:
    p = np.clip(p, 1e-9, 1 - 1e-9)
    return np.log(p / (1 - p))


def best_threshold(labels: Any, scores: Any) -> float:
    """Find the threshold of the highest F1, halfway to the next lower score."""
    levels, rank = np.unique(scores, return_inverse=True)
    hits = np.cumsum(np.bincount(rank, weights=labels)[::-1])[::-1]
    called = np.cumsum(np.bincount(rank)[::-1])[::-1]
    f1 = 2 * hits / (np.sum(labels) + called)
    best = len(levels) - 1 - int(np.argmax(f1[::-1]))  # the highest of equals
    return float(levels[best] if best == 0 else (levels[best - 1] + levels[best]) / 2)


def edge_scores(clip: Scored, temperature: float, bias: float) -> np.ndarray:
    """Calibrated scores of the steps; 0 where it is too quiet."""
    return sigmoid(clip.edges / temperature + bias) * clip.loud


def decode(scores: np.ndarray, enter: float) -> np.ndarray:
    """Give events, onsets and offsets in steps; int, shape (n, 2)."""
    return np.round(find_step_events(scores, enter, leave_share=LEAVE_SHARE) / STEP_S).astype(int)


def live_tag(clip: Scored, veto: VetoConfig) -> np.ndarray:
    """Give the tagger's largest cry score of the past second, at each step."""
    ends = EDGES.hop_samples * np.arange(1, len(clip.edges) + 1)
    tags = clip.tag_scores
    return largest_tag_cry(ends, tags.end_samples, tags.cry, EDGES.lookahead_samples, veto)
