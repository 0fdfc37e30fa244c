"""Calibration, threshold and gate: what is found serves others than those it was found on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from toy_recordings import STEP_S, tag_scores, toy_recording

from cryvision.config import VetoConfig
from cryvision.detector_training.calibration import (
    THRESHOLDS,
    Calibration,
    calibrate,
    calibrate_fused,
    calibrated,
    cross_fitted,
    decide,
    find_step_events,
    fit_calibration,
    fused_scores,
    gate_for,
    middle_of_best,
)
from cryvision.detector_training.recordings import MIN_LEVEL_DBFS, Recording
from cryvision.errors import ConfigError, CryvisionError
from cryvision.evaluation import metrics
from cryvision.evaluation.event_metrics import event_f1, false_alarms, match_events
from cryvision.inference.smoothing import find_events
from cryvision.models.frame_network import EDGES

SUBJECTS = ("ada", "ben", "cleo", "dan")
N_EACH = 1500

CALIBRATION_ERROR = 0.02
"""Expected calibration error that 6,000 steps leave by chance."""

CALIBRATION_TOLERANCE = 0.1
"""Over four standard errors of temperature and bias at 20,000 samples."""

SIX_MINUTES = 9000
"""Steps: one false alarm in them is ten an hour."""

Scored = tuple[list[Recording], list[np.ndarray]]


def scored_recordings(seed: int) -> Scored:
    """A recording of each of four subjects, and logits three times as sure as they should be."""
    rng = np.random.default_rng(seed)
    recordings, logits = [], []
    for subject in SUBJECTS:
        tag_row = np.repeat(rng.normal(-0.5, 2, N_EACH // 10), 10)
        cry = rng.random(N_EACH) < 1 / (1 + np.exp(-tag_row))
        recordings.append(toy_recording(cry, subject))
        logits.append(3 * tag_row + 2)
    return recordings, logits


def f1_of_events(recordings: Sequence[Recording], found: Sequence[np.ndarray]) -> float:
    pairs = zip(recordings, found, strict=True)
    return event_f1([match_events(recording.events, own) for recording, own in pairs]).f1


def test_calibration_finds_temperature_and_bias_and_passes_over_what_was_not_scored() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 4, 20_000)
    cry = rng.random(20_000) < 1 / (1 + np.exp(-(logits / 2.5 - 0.7)))
    temperature, bias = fit_calibration(logits, cry)
    assert temperature == pytest.approx(2.5, abs=CALIBRATION_TOLERANCE)
    assert bias == pytest.approx(-0.7, abs=CALIBRATION_TOLERANCE)
    unscored = np.full(500, -np.inf)
    more = fit_calibration(np.append(logits, unscored), np.append(cry, np.arange(500) % 2 == 0))
    assert more == pytest.approx((temperature, bias))


def test_scores_that_calibration_can_make_nothing_of_are_refused() -> None:
    logits = np.array([-2.0, -1.0, 1.0, 2.0, -np.inf])
    with pytest.raises(CryvisionError, match="must score crying above the rest"):
        fit_calibration(logits, np.array([True, True, False, False, False]))
    for cry in (np.ones(5, bool), np.array([True] * 4 + [False])):
        with pytest.raises(CryvisionError, match="scored sound with crying and without"):
            fit_calibration(logits, cry)


def test_calibrated_scores_are_probabilities_in_the_order_of_the_logits() -> None:
    logits = np.array([-np.inf, -1e6, -3.0, 0.0, 2.0, 1e6])
    with np.errstate(all="raise", under="ignore"):
        probabilities = calibrated(logits, 2.0, 0.5)
    assert probabilities[0] == 0.0
    assert np.all(np.diff(probabilities) >= 0)
    assert probabilities[2:5] == pytest.approx(1 / (1 + np.exp(-(logits[2:5] / 2 + 0.5))))
    assert probabilities[-1] == pytest.approx(1.0)


def test_calibration_makes_honest_probabilities_also_for_new_recordings() -> None:
    found = calibrate(*scored_recordings(seed=0))
    recordings, logits = scored_recordings(seed=1)
    cry = np.concatenate([recording.labels for recording in recordings])
    raw = np.concatenate([calibrated(own, 1.0, 0.0) for own in logits])
    honest = np.concatenate([calibrated(own, found.temperature, found.bias) for own in logits])
    assert metrics.expected_calibration_error(cry, raw) > 5 * CALIBRATION_ERROR
    assert metrics.expected_calibration_error(cry, honest) < CALIBRATION_ERROR


@pytest.mark.parametrize("seed", range(5))
def test_events_are_those_of_the_engine(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 2000
    scores = np.clip(0.5 + np.cumsum(rng.normal(0, 0.1, n)) % 1.0 - 0.5, 0, 1)
    threshold, seconds = rng.uniform(0.2, 0.8), n * STEP_S - 0.017
    ends = STEP_S * np.arange(1, n + 1)
    events = find_events(ends, scores, np.zeros(n), gate_for(threshold), STEP_S, STEP_S, seconds)
    expected = np.array([(event.onset_s, event.offset_s) for event in events])
    assert len(expected) > 5
    assert find_step_events(scores, threshold, seconds) == pytest.approx(expected)


def test_events_of_nothing_and_of_everything() -> None:
    assert find_step_events(np.zeros(50), 0.5).shape == (0, 2)
    assert find_step_events(np.empty(0), 0.5).shape == (0, 2)
    assert find_step_events(np.ones(50), 0.5, 1.99) == pytest.approx(np.array([(0.0, 1.99)]))


def bouts(seed: int) -> Scored:
    """Crying with pauses, scored with blurred edges."""
    rng = np.random.default_rng(seed)
    recordings, logits = [], []
    for subject in SUBJECTS:
        lengths = rng.integers(8, 40, 60)
        cry = np.repeat(np.arange(60) % 2, lengths)
        blurred = np.convolve(cry, np.ones(15) / 15, "same")
        recordings.append(toy_recording(cry, subject))
        logits.append(12 * blurred - 7 + rng.normal(0, 2, len(cry)))
    return recordings, logits


def test_the_threshold_is_the_middle_one_of_those_with_almost_the_best_f1_of_events() -> None:
    recordings, logits = bouts(0)
    found = calibrate(recordings, logits)
    scores = [calibrated(own, found.temperature, found.bias) for own in logits]
    merits = {
        threshold: f1_of_events(recordings, [find_step_events(own, threshold) for own in scores])
        for threshold in THRESHOLDS
    }
    best = [at for at, f1 in merits.items() if f1 >= max(merits.values()) - 0.02]
    below, above = (
        sum(at < found.threshold for at in best),
        sum(at > found.threshold for at in best),
    )
    assert found.threshold in best
    assert len(best) < len(THRESHOLDS)
    assert abs(below - above) <= 1


def test_a_flat_top_of_the_curve_of_f1_does_not_move_the_threshold() -> None:
    thresholds = [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    f1 = np.array([0.5, 0.7, 0.71, 0.71, 0.71, 0.7, 0.6])
    for highest in range(1, 6):
        assert middle_of_best(thresholds, f1 + 0.005 * (np.arange(7) == highest)) == 0.5
    assert middle_of_best(thresholds, [0.1, 0.2, 0.9, 0.2, 0.1, 0.1, 0.1]) == 0.4


def alarming() -> Scored:
    """Six minutes: three bouts of crying, faint at their ends, and six false ones, less sure."""
    cry, logits = np.zeros(SIX_MINUTES), np.full(SIX_MINUTES, -8.0)
    for number in range(3):
        bout = slice(1000 + 2500 * number, 1050 + 2500 * number)
        cry[bout], logits[bout] = 1, np.repeat([-1.0, 5.0, -1.0], [8, 34, 8])
    for number in range(6):
        start = 200 + 1250 * number
        logits[start : start + 20] = 4.0 - number
    return [toy_recording(cry)], [logits]


def n_alarms(recordings: list[Recording], logits: list[np.ndarray], found: Calibration) -> int:
    pairs = zip(recordings, logits, strict=True)
    return sum(false_alarms(r.events, decide(r, own, found).events) for r, own in pairs)


@pytest.mark.parametrize("wanted", [0, 1, 3])
def test_the_threshold_gives_no_more_false_alarms_than_wanted(wanted: int) -> None:
    found = calibrate(*alarming(), false_alarms_per_hour=10 * wanted)
    assert n_alarms(*alarming(), found) <= wanted
    lower = max(threshold for threshold in THRESHOLDS if threshold < found.threshold)
    assert n_alarms(*alarming(), replace(found, threshold=lower)) > wanted


def test_more_false_alarms_allowed_means_a_lower_threshold() -> None:
    found = [calibrate(*alarming(), 10.0 * wanted).threshold for wanted in (0, 2, 6)]
    assert found == sorted(set(found), reverse=True)
    assert found[-1] == THRESHOLDS[0]


def test_a_rate_of_false_alarms_that_cannot_be_had_is_refused() -> None:
    recordings, logits = alarming()
    logits[0][:] = np.where(recordings[0].labels == 1, 5, -8)
    logits[0][7500:7505] = 5  # as sure as the 150 steps of crying
    with pytest.raises(CryvisionError, match=r"no threshold up to 0\.95 gives at most 0 false"):
        calibrate(recordings, logits, false_alarms_per_hour=0)
    with pytest.raises(ConfigError, match="must not be negative"):
        calibrate(recordings, logits, false_alarms_per_hour=-1)


def test_what_was_not_scored_is_never_cry() -> None:
    recordings, logits = scored_recordings(seed=0)
    for own in logits:
        own[::5] = -np.inf
    for decided in cross_fitted(recordings, logits, [{"ada", "ben"}, {"cleo", "dan"}]):
        assert not decided.probabilities[::5].any()
        # A step that is not scored is quiet, and so it ends an event.
        assert (decided.events[:, 1] - decided.events[:, 0] < 5 * STEP_S).all()


@pytest.mark.parametrize("rate", [None, 400.0])
def test_each_fold_is_decided_by_what_the_others_say_and_not_by_its_own_labels(
    rate: float | None,
) -> None:
    recordings, logits = bouts(1)
    folds = [{"ada", "dan"}, {"ben", "cleo"}]
    before = cross_fitted(recordings, logits, folds, rate)
    others = calibrate([recordings[i] for i in (1, 2)], [logits[i] for i in (1, 2)], rate)
    for number in (0, 3):
        expected = decide(recordings[number], logits[number], others)
        assert np.array_equal(before[number].probabilities, expected.probabilities)
        assert np.array_equal(before[number].events, expected.events)
    wrong = [
        toy_recording(np.roll(own.labels, 7), own.subject) if own.subject in folds[0] else own
        for own in recordings
    ]
    after = cross_fitted(wrong, logits, folds, rate)
    assert np.array_equal(after[0].probabilities, before[0].probabilities)
    assert np.array_equal(after[0].events, before[0].events)
    assert not np.array_equal(after[1].probabilities, before[1].probabilities)


def test_the_gate_opens_at_the_threshold_and_bridges_nothing() -> None:
    gate = gate_for(0.6)
    assert (gate.enter, gate.leave) == (0.6, pytest.approx(0.48))
    assert gate_for(0.6, 0.5).leave == pytest.approx(0.3)
    assert (gate.min_event_seconds, gate.min_gap_seconds) == (0.1, 0.0)
    assert gate.latency_seconds == EDGES.hop_seconds
    assert gate.min_level_dbfs == MIN_LEVEL_DBFS


def test_what_the_tagger_did_not_hear_lately_is_less_likely_crying() -> None:
    veto = VetoConfig(normal_live=0.5, live_seconds=1.0)
    tag_row = tag_scores(np.repeat([0.0, 0.25, 1.0], 25))
    decided = decide(
        toy_recording(np.ones(450), tags=tag_row), np.full(450, 3.0), Calibration(1.0, 0.0, 0.5)
    )
    shares = fused_scores(decided, veto) / decided.probabilities
    assert shares[50:140] == pytest.approx(0)
    assert shares[180:280] == pytest.approx(0.5)
    assert shares[330:] == pytest.approx(1)


def test_the_calibration_after_the_fusion_is_that_of_the_fused_scores() -> None:
    rng = np.random.default_rng(0)
    decided = []
    for recording, logits in zip(*bouts(2), strict=True):
        tag_row = tag_scores(rng.uniform(0, 0.6, len(logits) // 6))
        decided.append(decide(replace(recording, tags=tag_row), logits, Calibration(1.0, 0.0, 0.5)))
    found = calibrate_fused(decided, VetoConfig())
    scores = np.concatenate([np.clip(fused_scores(own, found), 1e-4, 1 - 1e-4) for own in decided])
    logits = np.log(scores / (1 - scores)) / found.temperature + found.bias
    cry = np.concatenate([own.recording.labels for own in decided])
    error = metrics.expected_calibration_error(cry, calibrated(logits, 1, 0))
    assert error < metrics.expected_calibration_error(cry, scores)
    assert (found.normal_at, found.normal_live) == (
        VetoConfig().normal_at,
        VetoConfig().normal_live,
    )
