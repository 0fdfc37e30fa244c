"""The predicted label of each frame of a clip: its accuracy and its changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cryvision.config import FRAME_RATE_HZ
from cryvision.evaluation.bootstrap import Statistic, bootstrap_figures

FORMS = ("newest", "smoothed")
"""A frame's label comes from the newest window, and from the mean of the rolling deque."""

FRAMES_PER_MINUTE = 60 * FRAME_RATE_HZ


@dataclass
class _Counts:
    """Of one form of label, a row for each clip."""

    predicted: list[np.ndarray] = field(default_factory=list)
    changes: list[int] = field(default_factory=list)


class FrameScores:
    """Frames of clips whose class is known; of each clip only counts are kept."""

    def __init__(self, n_classes: int) -> None:
        self._n_classes = n_classes
        self._labels: list[int] = []
        self._subjects: list[str] = []
        self._counts = {form: _Counts() for form in FORMS}

    def add(self, label: int, subject: str, newest: np.ndarray, smoothed: np.ndarray) -> None:
        """Take a clip.

        Parameters
        ----------
        label : int
        subject : str
        newest, smoothed : ndarray of float, shape (n_frames, n_classes)
            Probabilities of each frame; NaN without a prediction.
        """
        if not np.isfinite(smoothed).all(axis=1).any():
            return
        self._labels.append(label)
        self._subjects.append(subject)
        for form, table in zip(FORMS, (newest, smoothed), strict=True):
            finite = np.isfinite(table).all(axis=1)
            label_of_frame = np.full(len(table), -1)
            label_of_frame[finite] = table[finite].argmax(axis=1)
            neighbours = finite[1:] & finite[:-1]
            changed = neighbours & (label_of_frame[1:] != label_of_frame[:-1])
            counts = self._counts[form]
            counts.predicted.append(np.bincount(label_of_frame[finite], minlength=self._n_classes))
            counts.changes.append(int(np.count_nonzero(changed)))

    def record(self) -> dict[str, Any] | None:
        """Return the figures, each with its 95 % interval over subjects.

        Returns
        -------
        dict or None
            ``n`` (frames), ``n_subjects``, ``chance``, ``majority``, and for each of `FORMS`
            ``balanced_accuracy``, ``accuracy`` and ``label_changes_per_minute``. None where
            no frame has a prediction.
        """
        if not self._labels:
            return None
        labels = np.array(self._labels)
        frames = np.array([row.sum() for row in self._counts["smoothed"].predicted])
        shares = np.bincount(labels, weights=frames, minlength=self._n_classes) / frames.sum()
        return {
            "n": int(frames.sum()),
            "n_subjects": len(set(self._subjects)),
            "chance": 1 / int(np.count_nonzero(shares)),
            "majority": {"accuracy": float(shares.max())},
            **{form: self._figures(self._counts[form], labels) for form in FORMS},
        }

    def _figures(self, counts: _Counts, labels: np.ndarray) -> dict[str, dict[str, Any]]:
        predicted, changes = np.stack(counts.predicted), np.array(counts.changes)
        classes = np.eye(self._n_classes)[labels]

        def confusion(weights: np.ndarray) -> np.ndarray:
            return np.asarray(classes.T @ (weights[:, None] * predicted))

        def balanced_accuracy(weights: np.ndarray) -> float:
            table = confusion(weights)
            there = table.sum(axis=1) > 0
            return float(np.mean(np.diag(table)[there] / table.sum(axis=1)[there]))

        def accuracy(weights: np.ndarray) -> float:
            table = confusion(weights)
            return float(np.trace(table) / table.sum())

        def changes_per_minute(weights: np.ndarray) -> float:
            return float(weights @ changes / (weights @ predicted).sum() * FRAMES_PER_MINUTE)

        statistics: Mapping[str, Statistic] = {
            "balanced_accuracy": balanced_accuracy,
            "accuracy": accuracy,
            "label_changes_per_minute": changes_per_minute,
        }
        return bootstrap_figures(self._subjects, statistics)
