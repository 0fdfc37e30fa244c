"""What a detector is worth on subjects unseen in training, and what its veto keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cryvision.config import VetoConfig
from cryvision.detector_training.calibration import Decided
from cryvision.detector_training.tag_scores import standing
from cryvision.evaluation import metrics
from cryvision.evaluation.agreement import matching_statistics
from cryvision.evaluation.class_statistics import two_class_statistics
from cryvision.evaluation.event_metrics import match_events, merged
from cryvision.models.frame_network import EDGES
from cryvision.result import BOUT_GAP_SECONDS

DETECTOR = "edges"
"""Name of the part that is measured."""

WINDOW_SECONDS, WINDOW_HOP_SECONDS = 0.5, 0.2


def detector_skill(
    decided: Sequence[Decided], *, protocol: str, subjects: str, veto: VetoConfig | None = None
) -> dict[str, Any]:
    """Measure edges by windows of 0.5 s and by events, with intervals over subjects: a skill entry.

    A window is crying if most of it is; its probability is the mean of its steps, and it is called
    crying where events cover most of it. Calibration is measured against the share of the window
    that is labelled crying, which is what a mean of steps states.

    The recordings are of subjects that neither training nor calibration had seen; ``protocol`` says
    how that was made sure, and ``subjects`` where these are known from. With a veto the events that
    stand are measured as well: ``event_f1_fused`` and ``bout_f1_fused``.
    """
    windows = [_windows(own) for own in decided]
    labelled, probabilities, covered = np.concatenate(windows).clip(0, 1).T
    cry, called = (labelled >= 0.5).astype(int), (covered >= 0.5).astype(int)
    subject = np.repeat([own.recording.subject for own in decided], [len(w) for w in windows])
    statistics = {
        "auc": lambda w: metrics.auc(cry, probabilities, w),
        **two_class_statistics(cry, called),
        "log_loss": lambda w: metrics.log_loss(cry, probabilities, w),
        "ece": lambda w: metrics.share_calibration_error(labelled, probabilities, weights=w),
    }
    figures = _figures(subject, statistics) | _event_figures(decided, veto)
    share = float(cry.mean())
    return {
        "part": DETECTOR,
        "modalities": ["sound"],
        "unit": "window",
        "protocol": protocol,
        "subjects": subjects,
        "figures": figures,
        "chance": 0.5,
        "prior": {"no cry": 1 - share, "cry": share, "log_loss": metrics.prior_log_loss(cry, cry)},
    }


def kept_share(decided: Sequence[Decided], veto: VetoConfig, level: str = "normal") -> float:
    """Share of the labelled crying inside events, if any, that is left in those that stand."""
    before = after = 0.0
    for own in decided:
        if own.recording.tags is None:
            continue
        seconds = cry_seconds(own)
        stands = standing(own.events, own.recording.tags, veto, level)
        before, after = before + seconds.sum(), after + seconds[stands].sum()
    return float(after / before) if before else 0.0


def cry_seconds(decided: Decided) -> np.ndarray:
    """Labelled crying inside each event, in seconds; float64, shape (n,)."""
    true = decided.recording.events
    starts = np.maximum(decided.events[:, None, 0], true[None, :, 0])
    ends = np.minimum(decided.events[:, None, 1], true[None, :, 1])
    return np.asarray(np.maximum(0.0, ends - starts).sum(axis=1))


def _event_figures(
    decided: Sequence[Decided], veto: VetoConfig | None
) -> dict[str, dict[str, Any]]:
    figures = _event_f1(decided, [own.events for own in decided])
    if veto is not None:
        standing_events = []
        for own in decided:
            tags = own.recording.tags
            stand = slice(None) if tags is None else standing(own.events, tags, veto)
            standing_events.append(own.events[stand])
        left = _event_f1(decided, standing_events)
        figures |= {f"{name}_fused": figure for name, figure in left.items()}
    return figures


def _event_f1(
    decided: Sequence[Decided], events: Sequence[np.ndarray]
) -> dict[str, dict[str, Any]]:
    subjects = [own.recording.subject for own in decided]
    figures: dict[str, dict[str, Any]] = {}
    for name, gap_s in (("event_f1", 0.0), ("bout_f1", BOUT_GAP_SECONDS)):
        counts = [
            match_events(merged(own.recording.events, gap_s), merged(predicted, gap_s))
            for own, predicted in zip(decided, events, strict=True)
        ]
        figures |= _figures(subjects, {name: matching_statistics(np.array(counts))["event_f1"]})
    return figures


def _figures(
    subjects: Any, statistics: Mapping[str, metrics.Statistic]
) -> dict[str, dict[str, Any]]:
    """Give each figure that is defined its value, and its interval from as many draws as any."""
    estimates = {name: metrics.subject_bootstrap(subjects, of) for name, of in statistics.items()}
    return {
        name: {"value": one.value, "interval": [one.low, one.high]}
        for name, one in estimates.items()
        if np.isfinite(one.value)
    }


def _windows(decided: Decided) -> np.ndarray:
    """Labels, probabilities and shares inside events of the windows of a recording; (n, 3)."""
    labels = decided.recording.labels
    middles = (np.arange(len(labels)) + 0.5) * EDGES.hop_seconds
    starts, ends = decided.events.T
    inside = np.searchsorted(starts, middles) > np.searchsorted(ends, middles)
    columns = [window_means(c) for c in (labels == 1, decided.probabilities, inside)]
    return np.stack(columns, axis=1)


def window_means(values: np.ndarray) -> np.ndarray:
    """Mean of the steps of each window of 0.5 s, one each 0.2 s; a shorter recording has one."""
    n = len(values)
    if not n:
        return np.empty(0)
    length, hop = (s / EDGES.hop_seconds for s in (WINDOW_SECONDS, WINDOW_HOP_SECONDS))
    starts = hop * np.arange(max(1, int((n - length) / hop) + 1))
    ends = np.minimum(starts + length, n)
    total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    steps = np.arange(n + 1)
    return np.asarray(
        (np.interp(ends, steps, total) - np.interp(starts, steps, total)) / (ends - starts)
    )
