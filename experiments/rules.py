"""The rules from scores to events, over arrays of whole clips: for choosing thresholds quickly.

They are those of the engine; `shipped.py` holds that both give the same events.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cryvision.config import VetoConfig
from cryvision.learning.windows import LabelledSound
from cryvision.models.frame_network import AVERAGED_STEPS, EDGES

STEP_S = EDGES.hop_seconds
HOP_STEPS = 6
LOOKAHEAD_STEPS = EDGES.lookahead_frames // EDGES.hop_frames
MIN_LEVEL_DBFS = -75.0
LEAVE_SHARE, MIN_EVENT_S = 0.8, 0.1
assert AVERAGED_STEPS == 3


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


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x, -60, 60)))


def logit(p: np.ndarray) -> np.ndarray:
    p = np.clip(p, 1e-9, 1 - 1e-9)
    return np.log(p / (1 - p))


def edge_scores(clip: Scored, temperature: float, bias: float) -> np.ndarray:
    """Calibrated scores of the steps; 0 where it is too quiet."""
    return sigmoid(clip.edges / temperature + bias) * (clip.level >= MIN_LEVEL_DBFS)


def decode(scores: np.ndarray, enter: float, min_event_s: float = MIN_EVENT_S) -> np.ndarray:
    """Give events, onsets and offsets in steps, shape (n, 2)."""
    high, low = scores >= enter, scores >= LEAVE_SHARE * enter
    edges = np.diff(np.r_[0, low.astype(np.int8), 0])
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    events = []
    for start, end in zip(starts, ends, strict=True):
        inside = np.flatnonzero(high[start:end])
        if len(inside) and (end - start - inside[0]) * STEP_S >= min_event_s:
            events.append((start + inside[0], end))
    return np.array(events, np.int64).reshape(-1, 2)


def heard(cry: np.ndarray, start: float, end: float) -> float:
    """Largest cry score of the tagger's windows that end from ``start`` to ``end``, in steps."""
    first = max(0, int(np.ceil(start / HOP_STEPS)) - 1)
    last = int(np.floor(end / HOP_STEPS))
    inside = cry[first:last]
    return float(inside.max()) if len(inside) else 0.0


def evidence(clip: Scored, events: np.ndarray, veto: VetoConfig) -> np.ndarray:
    """Give what the tagger hears of crying at each event, and near it; shape (n, 2)."""
    cry, after, near = clip.tags[:, 0], veto.after_seconds / STEP_S, veto.near_seconds / STEP_S
    return np.array(
        [(heard(cry, a, b + after), heard(cry, a - near, b + near)) for a, b in events]
    ).reshape(-1, 2)


def live_tag(clip: Scored, veto: VetoConfig) -> np.ndarray:
    """Give the tagger's largest cry score of the past second, at each step."""
    n = len(clip.edges)
    known = np.zeros(n)
    cry = clip.tags[:, 0]
    for j, value in enumerate(cry):
        end = HOP_STEPS * (j + 1)
        first = max(0, end - LOOKAHEAD_STEPS - 1)
        last = end + round(veto.live_seconds / STEP_S) - 1
        known[first:last] = np.maximum(known[first:last], value)
    return known
