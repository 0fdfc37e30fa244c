"""The predicted label of each frame of a clip: its accuracy and its changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cryvision.config import FRAME_RATE_HZ
from cryvision.evaluation.bootstrap import Statistic, bootstrap_figures
from cryvision.evaluation.class_statistics import mean_over_classes

FORMS = ("newest", "smoothed")
"""A frame's label comes from the newest window, and from the mean of the rolling deque."""

FRAMES_PER_MINUTE = 60 * FRAME_RATE_HZ


class FrameScores:
    """Frames of clips whose class is known; of each clip only counts are kept."""

    def __init__(self, n_classes: int) -> None:
        self._n_classes = n_classes
        self._labels: list[int] = []
        self._subjects: list[str] = []
        self._predicted: dict[str, list[np.ndarray]] = {form: [] for form in FORMS}
        self._changes: dict[str, list[int]] = {form: [] for form in FORMS}

    def add(self, label: int, subject: str, newest: np.ndarray, smoothed: np.ndarray) -> None:
        """Take probabilities of a clip's frames, shape (n_frames, n_classes); NaN without one."""
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
            of_class = np.bincount(label_of_frame[finite], minlength=self._n_classes)
            self._predicted[form].append(of_class)
            self._changes[form].append(int(np.count_nonzero(changed)))

    def record(self) -> dict[str, Any] | None:
        """Return the figures, each with its 95 % interval over subjects; None without predictions.

        ``n`` (frames), ``n_subjects``, ``chance``, ``majority``, and for each of `FORMS`
        ``balanced_accuracy``, ``accuracy`` and ``label_changes_per_minute``.
        """
        if not self._labels:
            return None
        labels = np.array(self._labels)
        frames = np.array([row.sum() for row in self._predicted["smoothed"]])
        shares = np.bincount(labels, weights=frames, minlength=self._n_classes) / frames.sum()
        return {
            "n": int(frames.sum()),
            "n_subjects": len(set(self._subjects)),
            "chance": 1 / int(np.count_nonzero(shares)),
            "majority": {"accuracy": float(shares.max())},
            **{form: self._figures(form, labels) for form in FORMS},
        }

    def _figures(self, form: str, labels: np.ndarray) -> dict[str, dict[str, Any]]:
        predicted, changes = np.stack(self._predicted[form]), np.array(self._changes[form])
        n_frames, right = predicted.sum(axis=1), predicted[np.arange(len(labels)), labels]
        classes = np.eye(self._n_classes)[labels]

        def recalls(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return (weights * right) @ classes, (weights * n_frames) @ classes

        statistics: Mapping[str, Statistic] = {
            "balanced_accuracy": mean_over_classes(recalls, len(labels)),
            "accuracy": lambda w: float(w @ right / (w @ n_frames)),
            "label_changes_per_minute": lambda w: float(
                w @ changes / (w @ n_frames) * FRAMES_PER_MINUTE
            ),
        }
        return bootstrap_figures(self._subjects, statistics)
