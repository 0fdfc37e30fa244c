"""The detection of crying in clips that are labelled as with or without it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from cryvision.evaluation import metrics
from cryvision.evaluation.bootstrap import Statistic, bootstrap_figures
from cryvision.evaluation.class_statistics import two_class_statistics
from cryvision.evaluation.event_metrics import ratio
from cryvision.evaluation.report import detection_panels


class DetectedClip(NamedTuple):
    """The label of a clip, and the detector's output.

    Where no sound was scored, nothing is predicted and the clip's score is NaN.
    """

    cry: bool
    predicted: bool | None
    score: float
    subject: str


def detection_record(clips: Sequence[DetectedClip]) -> dict[str, Any]:
    """Measure a detector on whole clips, at least one.

    ``figures``, each with ``value`` and a 95 % ``interval`` over subjects, are sensitivity (the
    share of clips with crying in which some was detected), specificity, accuracy and balanced
    accuracy, and the AUC of the clip's score. There are ``confusion`` and ``reliability`` as of a
    unit, and the numbers of clips: ``n``, and ``n_unheard``, of which no sound was scored: they do
    not count in the figures.
    """
    usable = [clip for clip in clips if clip.predicted is not None]
    cry = np.array([clip.cry for clip in usable], int)
    predicted = np.array([bool(clip.predicted) for clip in usable], int)
    scores = np.array([clip.score for clip in usable], float)
    subjects = np.array([clip.subject for clip in usable], object)
    scored = np.isfinite(scores)

    def sensitivity(weights: np.ndarray) -> float:
        return _share(predicted == 1, weights * (cry == 1))

    def specificity(weights: np.ndarray) -> float:
        return _share(predicted == 0, weights * (cry == 0))

    figures: dict[str, Any] = {}
    if usable:
        of_two = two_class_statistics(cry, predicted)
        statistics: dict[str, Statistic] = {
            "sensitivity": sensitivity,
            "specificity": specificity,
            "balanced_accuracy": of_two["balanced_accuracy"],
            "accuracy": lambda w: _share(predicted == cry, w),
        }
        figures = bootstrap_figures(subjects, statistics)
    if scored.any():
        stated, true = scores[scored], cry[scored]
        of_scores: dict[str, Statistic] = {"auc": lambda w: metrics.auc(true, stated, w)}
        figures |= bootstrap_figures(subjects[scored], of_scores)
    return {
        "n": len(usable),
        "n_unheard": len(clips) - len(usable),
        "n_subjects": len({clip.subject for clip in usable}),
        "figures": figures,
        **detection_panels(cry, predicted, scores, subjects),
    }


def _share(right: np.ndarray, weights: np.ndarray) -> float:
    return ratio((right * weights).sum(), weights.sum())
