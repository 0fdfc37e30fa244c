"""The tagger of a laboratory's detector, and its veto on the events."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cryvision.config import VetoConfig
from cryvision.detector_training.calibration import Decided, calibrate_fused
from cryvision.detector_training.skill import kept_share
from cryvision.detector_training.tag_scores import Tagger
from cryvision.detector_training.tagger_head import (
    LEAST_NEGATIVES,
    Trial,
    fit_levels,
    scores,
    set_head,
    try_head,
)
from cryvision.errors import CryvisionError

if TYPE_CHECKING:
    import keras
    import numpy as np

LEAST_KEPT = 0.5
"""A veto that leaves less than this share of labelled event time is not used at all."""


@dataclass(frozen=True)
class ChosenTagger:
    """What was decided on a tagger, and why, in a line.

    The model has a head of the laboratory's own, and is None where the tagger stays as it is; the
    veto is None where the tagger decides no events. ``cry`` has the scores of crying in the windows
    of each recording, out of fold, where they are not those of the base bundle's tagger.
    """

    model: keras.Model | None
    veto: VetoConfig | None
    why: str
    cry: list[np.ndarray] | None = None

    def retagged(self, decided: Sequence[Decided]) -> list[Decided]:
        """Return the recordings with this tagger's scores."""
        if self.cry is None:
            return list(decided)
        return [_retagged(own, cry) for own, cry in zip(decided, self.cry, strict=True)]


def choose_tagger(
    decided: Sequence[Decided],
    veto: VetoConfig | None,
    tagger: Tagger | None,
    folds: Sequence[Collection[str]],
    by_file: bool,
) -> ChosenTagger:
    """Decide whether a tagger gets a new head, and calibrate what it does to the events.

    The decisions on the recordings are of edges trained without their subjects; the tagger, whose
    veto is given, is the scorer of the recordings. Where subjects are not known (``by_file``),
    nothing measured on folds decides for a head.
    """
    if tagger is None:
        return ChosenTagger(None, None, "tagger: none, for the base bundle has none")
    chosen = _with_head(decided, veto, tagger, folds, by_file)
    if chosen.veto is None:
        return chosen
    retagged = chosen.retagged(decided)
    share = kept_share(retagged, chosen.veto)
    if not share >= LEAST_KEPT:
        why = f"{chosen.why}; veto: left out, for it keeps {share:.0%} of the labelled event time"
        return replace(chosen, veto=None, why=why)
    fitted = calibrate_fused(retagged, chosen.veto)
    why = f"{chosen.why}; veto: keeps {share:.0%} of the labelled event time"
    return replace(chosen, veto=fitted, why=why)


def _with_head(
    decided: Sequence[Decided],
    veto: VetoConfig | None,
    tagger: Tagger,
    folds: Sequence[Collection[str]],
    by_file: bool,
) -> ChosenTagger:
    """Try a head where there is enough to learn one from."""

    def same(why: str) -> ChosenTagger:
        return ChosenTagger(None, veto, f"tagger: kept as it is, {why}")

    n_negatives = sum(not own.recording.cry for own in decided)
    if n_negatives < LEAST_NEGATIVES:
        return same(
            f"for a head of its own needs {LEAST_NEGATIVES} recordings without crying; got "
            f"{n_negatives}"
        )
    if by_file:
        return same("for a head of its own needs subjects that are known")
    if tagger.model is None or veto is None:
        return same("for it has no last layer that a head could take the place of")
    try:
        trial = try_head([own.recording for own in decided], tagger.config, folds)
    except CryvisionError as error:
        return same(f"for no head could be trained: {error}")
    fitted = fit_levels(trial, decided, veto) if trial.better else None
    if fitted is None:
        return same(f"for a head trained here is not better beyond doubt: {_comparison(trial)}")
    trial, veto = fitted
    set_head(tagger.model, trial.head)
    why = f"tagger: with a head trained here, {_comparison(trial)}"
    return ChosenTagger(tagger.model, veto, why, [scores(own) for own in trial.logits])


def _comparison(trial: Trial) -> str:
    return (
        f"AUC {trial.auc:.3f} on windows of new subjects against the tagger's "
        f"{trial.tagger_auc:.3f}, difference {trial.gain.value:+.3f} "
        f"[{trial.gain.low:+.3f}, {trial.gain.high:+.3f}]"
    )


def _retagged(decided: Decided, cry: np.ndarray) -> Decided:
    recording = decided.recording
    if recording.tags is None:
        return decided
    return replace(decided, recording=replace(recording, tags=replace(recording.tags, cry=cry)))
