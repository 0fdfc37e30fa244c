"""The skill of edges: by windows and events of recordings, with intervals over subjects."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toy_recordings import tag_scores, toy_recording

from cryvision.config import VetoConfig
from cryvision.detector_training.calibration import Decided
from cryvision.detector_training.skill import detector_skill, kept_share, window_means

HALF_A_STEP_IN_A_WINDOW = 0.04


def decided(subject: str, cry: np.ndarray, called: np.ndarray, tags: np.ndarray) -> Decided:
    """A recording whose every other step is decided rightly, unless ``called`` says otherwise."""
    recording = toy_recording(cry, subject, tags=tag_scores(tags))
    events = toy_recording(called).events
    return Decided(recording, np.where(cry, 0.9, 0.1), events)


def corpus(wrong: tuple[str, ...] = ()) -> list[Decided]:
    """Six subjects with two bouts each, 0.3 s apart; the tagger hears the first of three."""
    made = []
    for subject in "abcdef":
        cry = np.zeros(1000, bool)
        cry[[*range(250, 300), *range(308, 358)]] = True
        called = np.roll(cry, 400) if subject in wrong else cry
        tags = np.zeros(166)
        tags[40:60] = 0.9 if subject in "ab" else 0.0
        made.append(decided(subject, cry, called, tags))
    return made


def test_a_window_is_the_mean_of_its_steps() -> None:
    values = np.random.default_rng(0).random(103)
    means = window_means(values)
    fine = np.repeat(values, 100)
    expected = [fine[a : a + 1250].mean() for a in range(0, 10300 - 1250 + 1, 500)]
    assert means == pytest.approx(expected)
    assert window_means(values[:7]) == pytest.approx([values[:7].mean()])
    assert window_means(values[:0]).shape == (0,)


def test_windows_are_calibrated_to_the_share_that_is_crying() -> None:
    # Windows at the edges of crying cry in part, and their mean says which.
    sure = [replace(own, probabilities=own.recording.labels.astype(float)) for own in corpus()]
    figures = detector_skill(sure, protocol="", subjects="")["figures"]
    assert figures["ece"]["value"] == pytest.approx(0, abs=1e-9)


def test_babies_that_never_cry_do_not_lower_the_interval_of_edges_without_fault(
    all_draws: None,
) -> None:
    calm = [
        decided(subject, np.zeros(1000, bool), np.zeros(1000, bool), np.zeros(166))
        for subject in "wxyz"
    ]
    skill = detector_skill([*corpus()[:2], *calm], protocol="", subjects="manifest")
    for name in ("f1", "event_f1", "bout_f1"):
        assert skill["figures"][name] == {"value": 1.0, "interval": [1.0, 1.0]}, name
    # That two babies' crying was found is no promise for all.
    assert skill["figures"]["balanced_accuracy"] == {"value": 1.0, "interval": [0.5, 1.0]}


def test_skill_is_measured_by_window_and_event_with_intervals_over_subjects() -> None:
    skill = detector_skill(corpus(), protocol="grouped 3-fold", subjects="manifest")
    figures = skill["figures"]
    assert (skill["part"], skill["unit"]) == ("edges", "window")
    assert (skill["protocol"], skill["subjects"]) == ("grouped 3-fold", "manifest")
    for name in ("auc", "balanced_accuracy", "f1", "event_f1", "bout_f1"):
        assert figures[name]["value"] == pytest.approx(1.0), name
    assert skill["prior"]["cry"] == pytest.approx(0.1, abs=HALF_A_STEP_IN_A_WINDOW)
    assert skill["prior"]["cry"] + skill["prior"]["no cry"] == pytest.approx(1)
    assert figures["log_loss"]["value"] < skill["prior"]["log_loss"]
    # One subject decided wrongly: how bad that is depends on how often the draw has it.
    figures = detector_skill(corpus(wrong=("a",)), protocol="", subjects="")["figures"]
    for name in ("balanced_accuracy", "event_f1", "bout_f1"):
        low, high = figures[name]["interval"]
        assert low < figures[name]["value"] < high == 1.0, name


def test_events_that_the_veto_takes_are_missed_in_the_fused_figures() -> None:
    figures = detector_skill(corpus(), protocol="", subjects="", veto=VetoConfig())["figures"]
    assert figures["event_f1"]["value"] == 1.0
    assert figures["event_f1_fused"]["value"] == pytest.approx(0.5)  # found by two of six
    assert figures["bout_f1_fused"]["value"] == pytest.approx(0.5)


def test_kept_is_the_share_of_labelled_time_in_events_that_stand() -> None:
    assert kept_share(corpus(), VetoConfig()) == pytest.approx(1 / 3)
    assert kept_share(corpus(wrong=("a",)), VetoConfig()) == pytest.approx(1 / 5)
    nothing = [replace(own, events=np.empty((0, 2))) for own in corpus()]
    assert kept_share(nothing, VetoConfig()) == 0.0
