"""A laboratory's own last layer for the cry score of a tagger, kept only where folds want it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from cryvision.config import SAMPLE_RATE_HZ, LogMelConfig, VetoConfig
from cryvision.datasets.annotated import window_labels
from cryvision.detector_training.calibration import Decided
from cryvision.detector_training.recordings import Recording
from cryvision.detector_training.skill import cry_seconds
from cryvision.detector_training.tag_scores import evidence
from cryvision.errors import CryvisionError
from cryvision.evaluation import metrics

if TYPE_CHECKING:
    import keras

Numbers = TypeVar("Numbers", float, np.ndarray)

LEAST_NEGATIVES = 50
"""Recordings without any crying that a head of its own needs."""

LEAST_CRY_SECONDS = 0.24
"""A window of the tagger holds crying from so much on; with less, but some, it is passed over."""

PENALTY = 0.1
"""``C`` of the logistic regression on standardised columns: windows overlap by far more than half,
so they are fewer than they seem."""

KEPT = {"normal": 0.915, "strict": 0.85}
"""Share of labelled event time that each level of the veto keeps on the folds where it is chosen.
On those kept apart `normal` keeps 0.92."""

SMALLEST_SCORE = 1e-6

ROUNDING = 1e-5
"""Logits that a level lies below the last event that it is to keep: scores are of 32 bits."""


@dataclass(frozen=True)
class Head:
    """A linear cry score of the embedding: ``embedding @ weights + bias`` is its logit."""

    weights: np.ndarray
    bias: float

    def logits(self, embedding: np.ndarray) -> np.ndarray:
        """Logits of windows, shape (n,)."""
        return np.asarray(embedding @ self.weights + self.bias)


@dataclass(frozen=True)
class Trial:
    """How a head trained here does beside the tagger, on subjects that it was not trained on.

    The head is trained on all; the logits of the windows of each recording are by heads trained on
    the other folds, minus infinity where not scored. The AUC are between windows with crying and
    without, and ``gain`` is their difference, with its interval over subjects.
    """

    head: Head
    logits: list[np.ndarray]
    auc: float
    tagger_auc: float
    gain: metrics.Estimate

    @property
    def better(self) -> bool:
        """Whether the head is better beyond doubt."""
        return self.gain.low > 0


def try_head(
    recordings: Sequence[Recording], config: LogMelConfig, folds: Sequence[Collection[str]]
) -> Trial:
    """Train heads by subject and compare them with the tagger that they would change.

    The config is of its windows; the scores of the recordings have their embedding.
    """
    tagged = [r.tags for r in recordings if r.tags is not None]
    lengths = [len(own.cry) for own in tagged]
    embedding = np.concatenate([own.embedding for own in tagged]).astype(np.float64)
    scored = np.concatenate([own.scored for own in tagged])
    own_scores = np.concatenate([own.cry for own in tagged]).astype(np.float64)
    labels = np.concatenate([_labels(recording, config) for recording in recordings])
    subjects = np.repeat([recording.subject for recording in recordings], lengths)
    labelled = scored & (labels >= 0)
    logits = np.full(len(labels), -np.inf)
    for fold in folds:
        inside = np.isin(subjects, list(fold))
        head = fit_head(embedding[labelled & ~inside], labels[labelled & ~inside])
        rows = inside & scored
        logits[rows] = head.logits(embedding[rows])
    final = fit_head(embedding[labelled], labels[labelled])
    cry = labels[labelled]
    ours, theirs = logits[labelled], own_scores[labelled]
    gain = metrics.paired_subject_bootstrap(
        subjects[labelled],
        lambda w: metrics.auc(cry, ours, w),
        lambda w: metrics.auc(cry, theirs, w),
    )
    # The margins of the veto are logits of the tagger's own score: the new one gets its spread.
    scale = float(_logit(theirs).std() / max(ours.std(), SMALLEST_SCORE))
    return Trial(
        Head(scale * final.weights, scale * final.bias),
        np.split(scale * logits, np.cumsum(lengths)[:-1]),
        metrics.auc(cry, ours),
        metrics.auc(cry, theirs),
        gain,
    )


def fit_head(embedding: np.ndarray, cry: np.ndarray) -> Head:
    """Fit a logistic regression on the embedding, (n, width); crying or not weighs the same."""
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(cry)) < 2:
        raise CryvisionError("a head needs windows with crying and without; got one")
    mean, spread = embedding.mean(axis=0), embedding.std(axis=0)
    # A constant column carries no information.
    scale = np.where(spread > SMALLEST_SCORE, 1 / np.maximum(spread, SMALLEST_SCORE), 0.0)
    regression = LogisticRegression(C=PENALTY, class_weight="balanced", max_iter=1000)
    fitted = regression.fit((embedding - mean) * scale, cry)
    weights = fitted.coef_[0] * scale
    return Head(weights, float(fitted.intercept_[0] - mean @ weights))


def _labels(recording: Recording, config: LogMelConfig) -> np.ndarray:
    """Whether each window holds crying: 1, 0, or -1 where it holds less than counts."""
    tags = recording.tags
    ends = np.empty(0) if tags is None else tags.end_samples
    n_samples = config.window_frames * config.frame_samples
    shares = window_labels(recording.cry, ends, n_samples, SAMPLE_RATE_HZ)
    seconds = shares * n_samples / SAMPLE_RATE_HZ
    # A float32 share of 2 s is a little off.
    return np.where(seconds >= LEAST_CRY_SECONDS - 1e-6, 1, np.where(seconds > 0, -1, 0))


def fit_levels(
    trial: Trial, decided: Sequence[Decided], veto: VetoConfig
) -> tuple[Trial, VetoConfig] | None:
    """Move a head so that the veto of the tagger keeps what it should.

    ``normal_at`` stays; at it `KEPT` of the labelled event time is left, and ``strict_at`` is moved
    to where its share is. The other thresholds keep their distance from these, in logits. Where no
    labelled crying lies inside events, there is nothing to fit by.
    """
    from scipy.special import expit

    seconds = np.concatenate([cry_seconds(own) for own in decided])
    if not seconds.sum():
        return None
    peaks = np.concatenate(
        [
            evidence(own.events, replace(own.recording.tags, cry=scores(logits)), veto)
            for own, logits in zip(decided, trial.logits, strict=True)
            if own.recording.tags is not None
        ]
    )
    levels = {
        level: _strictest(_logit(peaks), seconds, _margin(veto, level, "near"), share) - ROUNDING
        for level, share in KEPT.items()
    }
    shift = _logit(veto.normal_at) - levels["normal"]
    strict_at = max(levels["strict"] + shift, _logit(veto.normal_at))
    moved = replace(
        veto,
        strict_at=float(expit(strict_at)),
        strict_near=float(expit(strict_at + _margin(veto, "strict", "near"))),
        strict_live=float(expit(strict_at + _margin(veto, "strict", "live"))),
    )
    head = Head(trial.head.weights, trial.head.bias + shift)
    return replace(trial, head=head, logits=[own + shift for own in trial.logits]), moved


def _strictest(peaks: np.ndarray, seconds: np.ndarray, margin: float, least: float) -> float:
    """The highest logit at an event, and a margin more near it, that keeps a share of the time."""
    passes = np.minimum(peaks[:, 0], peaks[:, 1] - margin)
    order = np.argsort(-passes, kind="stable")
    share = np.cumsum(seconds[order]) / seconds.sum()
    return float(passes[order][np.searchsorted(share, least)])


def _margin(veto: VetoConfig, level: str, what: str) -> float:
    other: float = getattr(veto, f"{level}_{what}")
    return _logit(other) - _logit(veto.at(level))


def scores(logits: np.ndarray) -> np.ndarray:
    """Turn logits of a head into scores, 0 where nothing was scored; float32."""
    from scipy.special import expit

    return np.asarray(expit(logits), np.float32)


def set_head(tagger: keras.Model, head: Head) -> None:
    """Put a head in the place of the tagger's own for its first output, crying."""
    layer = tagger.get_layer("logits")
    kernel, bias = layer.get_weights()
    kernel[:, 0], bias[0] = head.weights, head.bias
    layer.set_weights([kernel, bias])


def _logit(score: Numbers) -> Numbers:
    from scipy.special import logit

    logits: Numbers = logit(np.clip(score, SMALLEST_SCORE, 1 - SMALLEST_SCORE))
    return logits
