"""How often a detector hears crying in clips that are known to have some, or none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from cryvision.evaluation import metrics
from cryvision.evaluation.bootstrap import subject_bootstrap
from cryvision.evaluation.report import reliability_bins

_ANSWERS = ("no cry", "cry")
_AUC_DRAWS, _DRAWS = 200, 1000


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
    statistics: dict[str, Callable[[np.ndarray], float]] = {
        "sensitivity": lambda weights: _share(said == 1, weights * (cry == 1)),
        "specificity": lambda weights: _share(said == 0, weights * (cry == 0)),
        "balanced_accuracy": lambda weights: (
            (_share(said == 1, weights * (cry == 1)) + _share(said == 0, weights * (cry == 0))) / 2
        ),
        "accuracy": lambda weights: _share(said == cry, weights),
    }
    figures = {name: _figure(subjects, of, _DRAWS) for name, of in statistics.items()}
    figures["auc"] = _figure(
        subjects[scored],
        lambda weights: metrics.auc(cry[scored], scores[scored], weights),
        _AUC_DRAWS,
    )
    counts = metrics.confusion(cry, said, 2).astype(int) if heard else np.zeros((2, 2), int)
    return {
        "n": len(heard),
        "n_unheard": len(clips) - len(heard),
        "n_subjects": len({clip.subject for clip in heard}),
        "figures": {name: found for name, found in figures.items() if found is not None},
        "confusion": {"labels": list(_ANSWERS), "answers": list(_ANSWERS), "counts": counts},
        "reliability": {
            "of": "crying",
            "bins": reliability_bins(scores[scored], cry[scored], subjects[scored]),
        },
    }


def _share(right: np.ndarray, weights: np.ndarray) -> float:
    total = weights.sum()
    return float((right * weights).sum() / total) if total else float("nan")


def _figure(
    subjects: np.ndarray, statistic: Callable[[np.ndarray], float], n_draws: int
) -> dict[str, Any] | None:
    """A figure with its interval, as far as they are known."""
    if not len(subjects):
        return None
    estimate = subject_bootstrap(subjects, statistic, n_draws)
    if not np.isfinite(estimate.value):
        return None
    interval = {"interval": [estimate.low, estimate.high]} if np.isfinite(estimate.low) else {}
    return {"value": estimate.value, **interval}
