"""Calibration, threshold and gate: what is found serves others than those it was found on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toy_windows import toy_windows

from cryvision.errors import ConfigError, CryvisionError
from cryvision.learning import evaluation
from cryvision.learning.decisions import (
    SOUND,
    THRESHOLDS,
    Calibration,
    calibrate,
    cross_fitted,
    gate_for,
)
from cryvision.learning.windows import MIN_LEVEL_DBFS, Windows
from cryvision.smoothing import find_events

SUBJECTS = ("ada", "ben", "cleo", "dan")
N_EACH = 1500

CALIBRATION_ERROR = 0.02
"""Expected calibration error that 6,000 windows leave by chance."""

SIX_MINUTES = 3600
"""Windows, 0.1 s apart: one false alarm in them is ten an hour."""


def scored_windows(seed: int) -> tuple[Windows, np.ndarray]:
    """Windows of four subjects, and logits that say too much: three times what they know."""
    rng = np.random.default_rng(seed)
    known = rng.normal(-0.5, 2, len(SUBJECTS) * N_EACH)
    cry = rng.random(len(known)) < 1 / (1 + np.exp(-known))
    windows = toy_windows(cry.astype(float), subject=np.repeat(SUBJECTS, N_EACH))
    return windows, 3 * known + 2


def f1(windows: Windows, called: np.ndarray) -> float:
    cry = (windows.cry >= 0.5).astype(int)
    return evaluation.precision_recall_f1(cry, called.astype(int)).f1


def test_calibration_makes_honest_probabilities_also_for_new_windows() -> None:
    found = calibrate(*scored_windows(seed=0))
    windows, logits = scored_windows(seed=1)
    cry = (windows.cry >= 0.5).astype(int)
    raw, honest = 1 / (1 + np.exp(-logits)), found.probabilities(logits)
    assert evaluation.expected_calibration_error(cry, raw) > 5 * CALIBRATION_ERROR
    assert evaluation.expected_calibration_error(cry, honest) < CALIBRATION_ERROR
    assert evaluation.log_loss(cry, honest) < 0.7 * evaluation.log_loss(cry, raw)


def test_the_threshold_is_that_of_the_best_f1_of_windows() -> None:
    windows, logits = scored_windows(seed=0)
    found = calibrate(windows, logits)
    probabilities = found.probabilities(logits)
    best = f1(windows, probabilities >= found.threshold)
    assert best >= max(f1(windows, probabilities >= other) for other in THRESHOLDS)
    assert THRESHOLDS[0] <= found.threshold <= THRESHOLDS[-1]


def test_a_threshold_stays_where_a_gate_can_use_it() -> None:
    cry = np.repeat([1.0, 0.0], 50)
    windows = toy_windows(cry)
    # The best F1 lies between certain and certain, and calling all of them is best of all.
    for logits in (np.where(cry, 60.0, -60.0), np.where(np.arange(100) % 2, 0.1 + cry / 50, cry)):
        threshold = calibrate(windows, logits).threshold
        assert THRESHOLDS[0] <= threshold <= THRESHOLDS[-1]
        assert gate_for(threshold).enter == threshold


def alarming_windows() -> tuple[Windows, np.ndarray]:
    """Six minutes: three bouts of crying, faint at their ends, and six false ones, less sure."""
    cry, logits = np.zeros(SIX_MINUTES), np.full(SIX_MINUTES, -8.0)
    for number in range(3):
        bout = slice(400 + 1000 * number, 450 + 1000 * number)
        cry[bout], logits[bout] = 1.0, np.repeat([-1.0, 5.0, -1.0], [8, 34, 8])
    for number in range(6):
        start = 100 + 500 * number
        logits[start : start + 20] = 4.0 - number
    return toy_windows(cry), logits


def false_events(windows: Windows, probabilities: np.ndarray, threshold: float) -> int:
    """Count what the gate finds outside the crying, as in use."""
    events = find_events(
        windows.end_s,
        probabilities,
        windows.level_dbfs,
        gate_for(threshold),
        SOUND.window_seconds,
        SOUND.hop_seconds,
        float(windows.end_s[-1]),
    )
    onsets = [round(event.onset_s * 10) for event in events]
    return sum(not windows.cry[max(0, onset - 10) : onset + 10].any() for onset in onsets)


@pytest.mark.parametrize("wanted", [0, 1, 3])
def test_the_threshold_gives_no_more_false_alarms_than_wanted(wanted: int) -> None:
    windows, logits = alarming_windows()
    found = calibrate(windows, logits, false_alarms_per_hour=10 * wanted)
    probabilities = found.probabilities(logits)
    assert false_events(windows, probabilities, found.threshold) <= wanted
    lower = max(threshold for threshold in THRESHOLDS if threshold < found.threshold)
    assert false_events(windows, probabilities, lower) > wanted


def test_more_false_alarms_allowed_means_a_lower_threshold() -> None:
    found = [calibrate(*alarming_windows(), 10.0 * wanted).threshold for wanted in (0, 2, 6)]
    assert found == sorted(set(found), reverse=True)
    assert found[-1] == THRESHOLDS[0]


def test_clips_are_followed_one_by_one_each_with_its_own_clock() -> None:
    """A bout at the end of one clip and one at the start of the next are two false alarms."""
    windows, logits = alarming_windows()
    logits[windows.cry == 0] = -8
    logits[1790:1810] = 3
    clip = np.repeat(["first", "second"], 1800).astype(object)
    halves = replace(windows, clip=clip, end_s=np.tile(0.5 + 0.1 * np.arange(1800), 2))
    one, none = (calibrate(windows, logits, rate).threshold for rate in (10.0, 0.0))
    assert one < none
    assert calibrate(halves, logits, 10.0).threshold == none
    assert calibrate(halves, logits, 20.0).threshold == one


def test_a_rate_of_false_alarms_that_cannot_be_had_is_refused() -> None:
    windows, logits = alarming_windows()
    logits[:] = np.where(windows.cry == 1, 5, -8)
    logits[3000:3005] = 5  # as sure as the 150 windows of crying
    with pytest.raises(CryvisionError, match=r"no threshold up to 0\.95 gives at most 0 false"):
        calibrate(windows, logits, false_alarms_per_hour=0)
    with pytest.raises(ConfigError, match="must not be negative"):
        calibrate(windows, logits, false_alarms_per_hour=-1)


def test_what_was_not_scored_is_never_cry() -> None:
    windows, logits = scored_windows(seed=0)
    logits[::5] = -np.inf
    found = calibrate(windows, logits)
    assert not found.probabilities(logits)[::5].any()
    probabilities, decisions = cross_fitted(windows, logits, [{"ada", "ben"}, {"cleo", "dan"}])
    assert not probabilities[::5].any()
    assert not decisions[::5].any()


def heard_windows() -> tuple[Windows, np.ndarray]:
    """A minute and a half of each subject, with one bout of crying and three false ones."""
    rng = np.random.default_rng(0)
    cry, logits = np.zeros((len(SUBJECTS), 900)), rng.normal(-6, 1, (len(SUBJECTS), 900))
    for row in range(len(SUBJECTS)):
        cry[row, 400:460] = 1
        logits[row, 400:460] = rng.normal(4, 1, 60)
        for start in (100, 250, 700):
            logits[row, start : start + 20] = rng.uniform(0, 5)
    subject = np.repeat(SUBJECTS, 900)
    return toy_windows(cry.ravel(), subject=subject), logits.ravel()


@pytest.mark.parametrize("rate", [None, 40.0])
def test_no_fold_is_decided_by_its_own_labels(rate: float | None) -> None:
    windows, logits = heard_windows()
    folds = [{"ada"}, {"ben", "cleo"}, {"dan"}]
    before = cross_fitted(windows, logits, folds, rate)
    rows = np.isin(windows.subject, ["ben", "cleo"])
    wrong = rows & (np.arange(len(windows)) % 3 == 0)
    mislabelled = replace(windows, cry=np.where(wrong, 1 - windows.cry, windows.cry))
    after = cross_fitted(mislabelled, logits, folds, rate)
    for old, new in zip(before, after, strict=True):
        assert np.array_equal(new[rows], old[rows])
        assert not np.array_equal(new[~rows], old[~rows])


@pytest.mark.parametrize("rate", [None, 40.0])
def test_each_fold_is_decided_by_what_the_others_say(rate: float | None) -> None:
    windows, logits = heard_windows()
    folds = [{"ada", "dan"}, {"ben", "cleo"}]
    probabilities, decisions = cross_fitted(windows, logits, folds, rate)
    for fold in folds:
        rows = np.isin(windows.subject, list(fold))
        others = calibrate(windows[~rows], logits[~rows], rate)
        assert np.array_equal(probabilities[rows], others.probabilities(logits[rows]))
        assert np.array_equal(decisions[rows], probabilities[rows] >= others.threshold)


def test_the_gate_opens_at_the_threshold_and_takes_half_a_window_off() -> None:
    gate = gate_for(0.6)
    assert gate.enter == 0.6
    assert 0 < gate.leave < gate.enter
    assert gate.latency_seconds == SOUND.window_seconds / 2
    assert gate.min_level_dbfs == MIN_LEVEL_DBFS


def test_probabilities_follow_temperature_and_bias() -> None:
    found = Calibration(temperature=2.0, bias=-1.0, threshold=0.5)
    assert found.probabilities(np.array([2.0, -np.inf])) == pytest.approx([0.5, 0.0])
