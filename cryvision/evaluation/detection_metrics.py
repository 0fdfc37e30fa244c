"""How far a detector and human annotators agree on when a baby cries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cryvision.annotations import Interval
from cryvision.config import FRAME_RATE_HZ, SAMPLE_RATE_HZ
from cryvision.datasets.annotated import AnnotatedClip, cry_intervals, spans_s, window_labels
from cryvision.evaluation import metrics
from cryvision.evaluation.agreement import matching_statistics
from cryvision.evaluation.bootstrap import Statistic, bootstrap_figures
from cryvision.evaluation.class_statistics import two_class_statistics
from cryvision.evaluation.event_metrics import (
    OFFSET_TOLERANCE_S,
    ONSET_TOLERANCE_S,
    ratio,
    shared_seconds,
)
from cryvision.evaluation.report import detection_panels
from cryvision.result import Classification

WINDOW_SECONDS = 0.5
"""Length of the windows that are compared; each is what most of it is."""


Statistics = dict[str, tuple[np.ndarray, Statistic]]
"""Name of a figure to the subject of each sample, and the figure by how often each counts."""


@dataclass(frozen=True)
class ComparedClip:
    """The annotated and the detected events of one clip.

    Events are float64 of shape (n, 2), onset and offset in seconds, sorted and disjoint. The scores
    are the detector's of each window, float64 of shape (n_windows,); NaN where there is none.
    """

    subject: str
    annotated: np.ndarray
    detected: np.ndarray
    scores: np.ndarray
    duration_s: float


def compare(
    clip: AnnotatedClip, result: Classification, *, of_whole_windows: bool = False
) -> ComparedClip:
    """Take from an annotated clip and its classification what is compared.

    A window's score is the mean of its frames; ``of_whole_windows`` says that the detector scores
    windows, so that the frame at the end of one, or the last one, has its score.
    """
    n_windows = int(result.duration_s / WINDOW_SECONDS)
    scores = result.timeline["cry"].astype(np.float64)
    if of_whole_windows:
        ends_s = WINDOW_SECONDS * (1 + np.arange(n_windows))
        frames = np.ceil(ends_s * FRAME_RATE_HZ).astype(int)
        scores = scores[np.minimum(frames, len(scores) - 1)]
    else:
        scores = _means_of_frames(scores, n_windows)
    return ComparedClip(
        clip.subject,
        spans_s(cry_intervals(clip.intervals)),
        np.array([event.span_s for event in result.events], np.float64).reshape(-1, 2),
        scores,
        result.duration_s,
    )


def _means_of_frames(scores: np.ndarray, n_windows: int) -> np.ndarray:
    """Mean of the known scores of each window, shape (n_windows,); NaN where none is known."""
    table = np.full((n_windows, int(WINDOW_SECONDS * FRAME_RATE_HZ)), np.nan)
    n_frames = min(len(scores), table.size)
    table.flat[:n_frames] = scores[:n_frames]
    known = np.isfinite(table)
    total = np.where(known, table, 0).sum(axis=1)
    return np.where(known.any(axis=1), total / np.maximum(known.sum(axis=1), 1), np.nan)


def agreement(clips: Sequence[ComparedClip]) -> dict[str, Any]:
    """Measure the agreement over clips, at least one, with intervals by subject.

    ``figures``, each with ``value`` and ``interval``, are events matched (F1, precision, recall;
    see `cryvision.evaluation.event_metrics.match_events`), time in common over time in either,
    false alarms an hour, and for windows kappa, accuracy, balanced accuracy, F1, AUC, log-loss and
    calibration error. ``without_listening`` is what calling everything crying reaches, and the
    share of crying as the score. ``windows`` has their number, confusion and reliability, for
    `cryvision.evaluation.report.draw`. Beside these, how much was compared, and figures of each
    subject. What is undefined, such as the precision where nothing was found, is left out of
    ``figures`` and not a number for a subject.
    """
    whole = [replace(c, detected=np.array([[0.0, c.duration_s]])) for c in clips]
    counts = _match_counts(clips).sum(axis=0)
    cry, called, scores, subjects = cry_windows(clips)
    panels = detection_panels(cry, called, scores, subjects, _annotated_shares(clips))
    return {
        "n_clips": len(clips),
        "n_subjects": len({clip.subject for clip in clips}),
        "hours": sum(clip.duration_s for clip in clips) / 3600,
        "annotated_seconds": float(sum(total_seconds(clip.annotated) for clip in clips)),
        "found_seconds": float(sum(total_seconds(clip.detected) for clip in clips)),
        "tolerance_s": {"onset": ONSET_TOLERANCE_S, "offset": OFFSET_TOLERANCE_S},
        "window_seconds": WINDOW_SECONDS,
        "events": dict(zip(("matched", "annotated", "found"), counts.tolist(), strict=True)),
        "figures": _estimates({**_event_statistics(clips), **_window_statistics(clips)}),
        "without_listening": _without_listening(whole),
        "windows": {"n": len(cry), **panels},
        "per_subject": _per_subject(clips),
    }


def cry_windows(clips: Sequence[ComparedClip]) -> tuple[np.ndarray, ...]:
    """Cut clips into windows of ``WINDOW_SECONDS``.

    Gives what is annotated and detected (int, shape (n,), 1 where at least half of the window is
    crying), the scores and the subjects.
    """
    columns = [
        (
            (_shares(clip.annotated, len(clip.scores)) >= 0.5).astype(int),
            (_shares(clip.detected, len(clip.scores)) >= 0.5).astype(int),
            clip.scores,
            np.full(len(clip.scores), clip.subject, object),
        )
        for clip in clips
    ]
    return tuple(np.concatenate(column) for column in zip(*columns, strict=True))


def _annotated_shares(clips: Sequence[ComparedClip]) -> np.ndarray:
    """How much of each window of `cry_windows` is annotated as crying."""
    return np.concatenate([_shares(clip.annotated, len(clip.scores)) for clip in clips])


def _shares(events: np.ndarray, n_windows: int) -> np.ndarray:
    n_samples = round(WINDOW_SECONDS * SAMPLE_RATE_HZ)
    ends = n_samples * (1 + np.arange(n_windows))
    spans = [Interval(onset_s, offset_s, "") for onset_s, offset_s in events.tolist()]
    return window_labels(spans, ends, n_samples, SAMPLE_RATE_HZ)


def _match_counts(clips: Sequence[ComparedClip]) -> np.ndarray:
    """Events matched, annotated and found; int, shape (n_clips, 3)."""
    return np.array([metrics.match_events(clip.annotated, clip.detected) for clip in clips])


def _event_statistics(clips: Sequence[ComparedClip]) -> Statistics:
    subjects = np.array([clip.subject for clip in clips], object)
    both_s, either_s = np.array([shared_seconds(c.annotated, c.detected) for c in clips]).T
    alarms = np.array([metrics.false_alarms(c.annotated, c.detected) for c in clips])
    hours = np.array([clip.duration_s for clip in clips]) / 3600
    statistics = {
        **matching_statistics(_match_counts(clips)),
        "iou": lambda w: ratio(w @ both_s, w @ either_s),
        "false_alarms_per_hour": lambda w: ratio(w @ alarms, w @ hours),
    }
    return {name: (subjects, statistic) for name, statistic in statistics.items()}


def _window_statistics(clips: Sequence[ComparedClip]) -> Statistics:
    cry, called, scores, subjects = cry_windows(clips)
    finite = np.isfinite(scores)
    of_calls: dict[str, Statistic] = {
        "window_kappa": lambda w: metrics.cohen_kappa(cry, called, w),
        **{f"window_{name}": of for name, of in two_class_statistics(cry, called).items()},
        "window_accuracy": lambda w: ratio(float(w @ (cry == called)), float(w.sum())),
    }
    stated, true, of = scores[finite], cry[finite], subjects[finite]
    shares = _annotated_shares(clips)[finite]
    of_scores: dict[str, Statistic] = {
        "window_auc": lambda w: metrics.auc(true, stated, w),
        "window_log_loss": lambda w: metrics.log_loss(true, stated, w),
        "window_ece": lambda w: metrics.share_calibration_error(shares, stated, weights=w),
    }
    statistics = {name: (subjects, statistic) for name, statistic in of_calls.items() if len(cry)}
    return statistics | {name: (of, statistic) for name, statistic in of_scores.items() if len(of)}


def _estimates(statistics: Statistics) -> dict[str, dict[str, Any]]:
    estimates: dict[str, dict[str, Any]] = {}
    for name, (subjects, statistic) in statistics.items():
        estimates |= bootstrap_figures(subjects, {name: statistic})
    return estimates


def _values(clips: Sequence[ComparedClip]) -> dict[str, float]:
    statistics = {**_event_statistics(clips), **_window_statistics(clips)}
    return {name: float(of(np.ones(len(s), int))) for name, (s, of) in statistics.items()}


def _without_listening(clips: Sequence[ComparedClip]) -> dict[str, float]:
    """Figures of calling each clip crying throughout, the share of crying as its score."""
    cry, _, scores, _ = cry_windows(clips)
    scored = np.isfinite(scores)
    share = float(cry[scored].mean()) if scored.any() else 0.0
    constant = [np.where(np.isfinite(clip.scores), share, np.nan) for clip in clips]
    values = _values([replace(c, scores=s) for c, s in zip(clips, constant, strict=True)])
    return {name: value for name, value in values.items() if np.isfinite(value)}


def _per_subject(clips: Sequence[ComparedClip]) -> dict[str, Any]:
    records = {}
    for subject in sorted({clip.subject for clip in clips}):
        own = [clip for clip in clips if clip.subject == subject]
        values = _values(own)
        names = ("event_f1", "iou", "false_alarms_per_hour", "window_kappa")
        shown = {name: values[name] for name in names if name in values}
        records[subject] = {"clips": len(own), **shown}
    return records


def total_seconds(events: np.ndarray) -> float:
    """Sum up the durations of events, shape (n, 2)."""
    return float(np.sum(events[:, 1] - events[:, 0]))
