"""A head of a laboratory's own is kept where new subjects show it better, and only there."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from shipped_networks import build_tagger
from toy_recordings import tag_scores, toy_recording

from cryvision.config import VetoConfig
from cryvision.detector_training.calibration import Decided
from cryvision.detector_training.lab_tagger import ChosenTagger, choose_tagger
from cryvision.detector_training.skill import kept_share
from cryvision.detector_training.tagger_head import (
    KEPT,
    fit_head,
    fit_levels,
    scores,
    set_head,
    try_head,
)
from cryvision.errors import CryvisionError
from cryvision.models.tagger import CONTEXT

FOLDS = [{"a", "b", "c"}, {"d", "e", "f"}]
WIDTH = 6

KEPT_TOLERANCE = 0.04
"""One event of forty, and a little."""


def corpus(tells: float, tagger_tells: float, seed: int = 0, width: int = WIDTH) -> list[Decided]:
    """Crying that an embedding, and the tagger's score, tell from the rest so well."""
    rng = np.random.default_rng(seed)
    made = []
    for subject in "abcdef":
        for number in range(8):
            cry = np.zeros(600, bool)
            if number % 2:
                cry[200:320] = True
            windows = np.array([cry[max(0, 6 * j - 44) : 6 * j + 6].any() for j in range(100)])
            embedding = rng.normal(0, 1, (100, width))
            embedding[:, 2] += tells * windows
            embedding[:, 3] = 4.0
            score = 1 / (1 + np.exp(-(rng.normal(0, 1, 100) + tagger_tells * windows)))
            recording = toy_recording(cry, subject, tags=tag_scores(score, embedding))
            made.append(Decided(recording, cry.astype(float), recording.events))
    return made


@pytest.mark.parametrize(
    ("tells", "tagger_tells", "better"), [(3.0, 1.0, True), (1.0, 3.0, False), (0.0, 0.0, False)]
)
def test_a_head_is_better_where_it_tells_more_than_the_tagger(
    tells: float, tagger_tells: float, better: bool
) -> None:
    trial = try_head([own.recording for own in corpus(tells, tagger_tells)], CONTEXT, FOLDS)
    assert trial.better == better
    assert trial.gain.value == pytest.approx(trial.auc - trial.tagger_auc)
    assert trial.gain.low <= trial.gain.value <= trial.gain.high


def test_nobody_is_scored_by_a_head_that_knows_him() -> None:
    decided = corpus(tells=2.0, tagger_tells=0.0)
    before = try_head([own.recording for own in decided], CONTEXT, FOLDS).logits
    # New labels of one fold change what is said of the other, and nothing else.
    mislabelled = [
        replace(own.recording, cry=()) if own.recording.subject == "a" else own.recording
        for own in decided
    ]
    after = try_head(mislabelled, CONTEXT, FOLDS).logits
    scale = [np.std(np.concatenate(logits)) for logits in (before, after)]
    for own, old, new in zip(decided, before, after, strict=True):
        same = np.corrcoef(old / scale[0], new / scale[1])[0, 1] > 1 - 1e-9
        assert same == (own.recording.subject in FOLDS[0])


def test_levels_keep_the_share_of_event_time_and_their_distances() -> None:
    veto = VetoConfig(normal_at=0.2, normal_near=0.4, normal_live=0.3, strict_at=0.5)
    decided = corpus(tells=3.0, tagger_tells=0.5)
    trial = try_head([own.recording for own in decided], CONTEXT, FOLDS)
    fitted = fit_levels(trial, decided, veto)
    assert fitted is not None
    moved, levels = fitted
    assert (levels.normal_at, levels.normal_near, levels.normal_live) == (0.2, 0.4, 0.3)
    assert levels.strict_at >= levels.normal_at
    chosen = ChosenTagger(None, levels, "", [scores(own) for own in moved.logits])
    for level, kept in KEPT.items():
        share = kept_share(chosen.retagged(decided), levels, level)
        assert kept - 1e-9 <= share < kept + KEPT_TOLERANCE + (0.1 if level == "strict" else 0)
    shift = moved.head.bias - trial.head.bias
    assert np.allclose(moved.logits[0], trial.logits[0] + shift)


def test_without_crying_inside_events_there_are_no_levels() -> None:
    decided = corpus(tells=3.0, tagger_tells=0.5)
    trial = try_head([own.recording for own in decided], CONTEXT, FOLDS)
    nothing = [replace(own, events=np.empty((0, 2))) for own in decided]
    assert fit_levels(trial, nothing, VetoConfig()) is None


def test_windows_of_one_kind_teach_nothing() -> None:
    quiet = [own.recording for own in corpus(1.0, 1.0) if not own.recording.cry]
    with pytest.raises(CryvisionError, match="windows with crying and without"):
        try_head(quiet, CONTEXT, FOLDS)


@pytest.mark.parametrize(
    ("n_clips", "by_file", "model", "reason"),
    [
        (60, True, True, "for a head of its own needs subjects that are known"),
        (60, False, False, "for it has no last layer that a head could take the place of"),
        (40, False, True, "for a head of its own needs 50 recordings without crying; got 40"),
    ],
)
def test_a_head_is_tried_only_where_one_can_be_learnt(
    n_clips: int, by_file: bool, model: bool, reason: str
) -> None:
    decided = corpus(tells=3.0, tagger_tells=0.0)
    others = [own for own in decided if not own.recording.cry] * 3
    crying = [own for own in decided if own.recording.cry]
    tagger: Any = SimpleNamespace(model=object() if model else None, config=CONTEXT)
    lenient = VetoConfig(normal_at=0.01, normal_near=0.01)
    found = choose_tagger([*crying, *others[:n_clips]], lenient, tagger, FOLDS, by_file)
    assert (
        found.why == f"tagger: kept as it is, {reason}; veto: keeps 100% of the labelled event time"
    )
    assert found.model is None
    assert found.veto is not None
    assert replace(found.veto, temperature=1.0, bias=0.0) == lenient


def test_a_head_that_is_not_better_is_not_kept() -> None:
    decided = corpus(tells=1.0, tagger_tells=3.0)
    others = [own for own in decided if not own.recording.cry]
    tagger: Any = SimpleNamespace(model=object(), config=CONTEXT)
    lenient = VetoConfig(normal_at=0.01, normal_near=0.01)
    found = choose_tagger([*decided, *others, *others], lenient, tagger, FOLDS, by_file=False)
    assert found.why.startswith(
        "tagger: kept as it is, for a head trained here is not better beyond doubt: AUC "
    )
    assert (found.model, found.cry) == (None, None)


def test_a_head_that_is_better_is_put_into_the_tagger_with_levels_of_its_own() -> None:
    model = build_tagger()
    width = model.get_layer("embedding").output.shape[-1]
    decided = corpus(tells=3.0, tagger_tells=0.5, width=width)
    others = [own for own in decided if not own.recording.cry]
    before, _ = model.get_layer("logits").get_weights()
    tagger: Any = SimpleNamespace(model=model, config=CONTEXT)
    veto = VetoConfig()
    found = choose_tagger([*decided, *others, *others], veto, tagger, FOLDS, by_file=False)
    assert found.why.startswith("tagger: with a head trained here, AUC ")
    assert found.model is model
    after, _ = model.get_layer("logits").get_weights()
    assert np.array_equal(after[:, 1:], before[:, 1:])
    assert not np.array_equal(after[:, 0], before[:, 0])
    assert found.veto is not None
    assert found.veto.normal_at == veto.normal_at
    assert found.cry is not None
    assert len(found.cry) == len(decided) + 2 * len(others)


def test_a_head_changes_the_score_of_crying_alone() -> None:
    import keras

    tagger = build_tagger()
    rng = np.random.default_rng(0)
    frames = rng.normal(0, 1, (5, CONTEXT.window_frames, CONTEXT.n_mels)).astype(np.float32)
    embed = keras.Model(tagger.inputs[0], tagger.get_layer("embedding").output)
    embedding = np.asarray(embed(frames, training=False))
    before = np.asarray(tagger(frames, training=False))
    head = fit_head(rng.normal(0, 1, (80, embedding.shape[1])), np.arange(80) % 2)
    set_head(tagger, head)
    after = np.asarray(tagger(frames, training=False))
    assert np.array_equal(after[:, 1:], before[:, 1:])
    assert after[:, 0] == pytest.approx(scores(head.logits(embedding)), abs=1e-5)
