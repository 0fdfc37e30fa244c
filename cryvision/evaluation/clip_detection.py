"""How often a detector hears crying in clips that are known to have some, or none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from cryvision.evaluation import metrics
from cryvision.evaluation.bootstrap import Statistic, bootstrap_figures
from cryvision.evaluation.report import reliability_bins

_ANSWERS = ("no cry", "cry")


class DetectedClip(NamedTuple):
    """What is known of a clip, and what the detector says of it.

    Attributes
    ----------
    cry : bool
    said : bool or None
        None where nothing was heard.
    score : float
        Mean cry score; NaN where nothing was heard.
    subject : str
    """

    cry: bool
    said: bool | None
    score: float
    subject: str


def detection_record(clips: Sequence[DetectedClip]) -> dict[str, Any]:
    """Measure a detector on whole clips.

    Parameters
    ----------
    clips : sequence of DetectedClip
        At least one.

    Returns
    -------
    dict
        ``figures``, each with ``value`` and a 95 % ``interval`` over subjects: sensitivity (the
        share of clips with crying in which some was heard), specificity, accuracy and balanced
        accuracy, and the AUC of the mean score. ``confusion`` and ``reliability`` as of a unit,
        and the numbers of clips: ``n``, and ``n_unheard``, of which nothing was heard and which
        have no part in the figures.
    """
    heard = [clip for clip in clips if clip.said is not None]
    cry = np.array([clip.cry for clip in heard], int)
    said = np.array([bool(clip.said) for clip in heard], int)
    scores = np.array([clip.score for clip in heard], float)
    subjects = np.array([clip.subject for clip in heard], object)
    scored = np.isfinite(scores)

    def sensitivity(weights: np.ndarray) -> float:
        return _share(said == 1, weights * (cry == 1))

    def specificity(weights: np.ndarray) -> float:
        return _share(said == 0, weights * (cry == 0))

    figures: dict[str, Any] = {}
    if heard:
        statistics: dict[str, Statistic] = {
            "sensitivity": sensitivity,
            "specificity": specificity,
            "balanced_accuracy": lambda w: (sensitivity(w) + specificity(w)) / 2,
            "accuracy": lambda w: _share(said == cry, w),
        }
        figures = bootstrap_figures(subjects, statistics)
    if scored.any():
        told, true = scores[scored], cry[scored]
        of_scores: dict[str, Statistic] = {"auc": lambda w: metrics.auc(true, told, w)}
        figures |= bootstrap_figures(subjects[scored], of_scores)
    counts = metrics.confusion(cry, said, 2).astype(int) if heard else np.zeros((2, 2), int)
    return {
        "n": len(heard),
        "n_unheard": len(clips) - len(heard),
        "n_subjects": len({clip.subject for clip in heard}),
        "figures": figures,
        "confusion": {"labels": list(_ANSWERS), "answers": list(_ANSWERS), "counts": counts},
        "reliability": {
            "of": "crying",
            "bins": reliability_bins(scores[scored], cry[scored], subjects[scored]),
        },
    }


def _share(right: np.ndarray, weights: np.ndarray) -> float:
    total = weights.sum()
    return float((right * weights).sum() / total) if total else float("nan")
