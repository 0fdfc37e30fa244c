"""What a bundle says of samples whose class is known, gathered to be measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from cryvision.evaluation.skill import OutOfFoldPredictions


@dataclass
class Predictions:
    """What a bundle says of samples of one unit whose class is known.

    Attributes
    ----------
    labels : list of int
    subjects : list of str
    probabilities : list of ndarray, each of shape (n_classes,)
    unanswered : dict of str to Counter of int
        What was said instead of a class, and of how many samples of each class.
    """

    labels: list[int] = field(default_factory=list)
    subjects: list[str] = field(default_factory=list)
    probabilities: list[np.ndarray] = field(default_factory=list)
    unanswered: dict[str, Counter[int]] = field(default_factory=dict)

    def add(
        self, label: int, subject: str, probabilities: np.ndarray | None, instead: str = ""
    ) -> None:
        """Take one sample; without probabilities, what was said instead of a class."""
        if probabilities is None:
            self.unanswered.setdefault(instead, Counter())[label] += 1
            return
        self.labels.append(label)
        self.subjects.append(subject)
        self.probabilities.append(probabilities)


def measured(answers: Mapping[str, Predictions], prior: np.ndarray) -> list[OutOfFoldPredictions]:
    """Give each unit of which something was answered; one bundle answered, so one fold.

    Parameters
    ----------
    answers : mapping of str to Predictions
        By unit.
    prior : ndarray of float, shape (n_classes,)
    """
    return [
        OutOfFoldPredictions(
            unit,
            np.array(given.labels),
            np.stack(given.probabilities),
            np.tile(prior, (len(given.labels), 1)),
            np.array(given.subjects, object),
            np.zeros(len(given.labels), int),
        )
        for unit, given in answers.items()
        if given.labels
    ]
