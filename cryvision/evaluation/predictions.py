"""Predictions of a bundle for labelled samples, gathered to be measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from cryvision.evaluation.skill import OutOfFoldPredictions


@dataclass
class Predictions:
    """Predictions of a bundle for labelled samples of one unit.

    Attributes
    ----------
    labels : list of int
    subjects : list of str
    probabilities : list of ndarray, each of shape (n_classes,)
    unanswered : dict of str to Counter of int
        The answer instead of a class, and the number of samples of each class.
    """

    labels: list[int] = field(default_factory=list)
    subjects: list[str] = field(default_factory=list)
    probabilities: list[np.ndarray] = field(default_factory=list)
    unanswered: dict[str, Counter[int]] = field(default_factory=dict)

    def add(
        self, label: int, subject: str, probabilities: np.ndarray | None, instead: str = ""
    ) -> None:
        """Add one sample; without probabilities, the answer instead of a class."""
        if probabilities is None:
            self.unanswered.setdefault(instead, Counter())[label] += 1
            return
        self.labels.append(label)
        self.subjects.append(subject)
        self.probabilities.append(probabilities)


def measured(answers: Mapping[str, Predictions], prior: np.ndarray) -> list[OutOfFoldPredictions]:
    """Return the predictions of each unit that has any; one bundle, so one fold.

    The answers are by unit; the prior has shape (n_classes,).
    """
    return [
        OutOfFoldPredictions(
            unit,
            np.array(predictions.labels),
            np.stack(predictions.probabilities),
            np.tile(prior, (len(predictions.labels), 1)),
            np.array(predictions.subjects, object),
            np.zeros(len(predictions.labels), int),
        )
        for unit, predictions in answers.items()
        if predictions.labels
    ]
