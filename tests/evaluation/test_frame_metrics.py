"""Frames are counted by clip: how many are right, and how often the label changes."""

from __future__ import annotations

import numpy as np
import pytest

from cryvision.evaluation.frame_metrics import FRAMES_PER_MINUTE, FrameScores

EXACT = 1e-12
N_FRAMES = 300


def saying(*labels: int, n_classes: int = 2) -> np.ndarray:
    """Probabilities of frames that say these classes; -1 where nothing is known."""
    codes = np.array(labels)
    table = np.where(codes[:, None] == np.arange(n_classes), 0.8, 0.2 / (n_classes - 1))
    return np.where(codes[:, None] < 0, np.nan, table)


def test_frames_that_are_right_are_counted_before_and_after_smoothing() -> None:
    scores = FrameScores(2)
    scores.add(0, "ada", saying(0, 1, 0, 1), saying(0, 0, 0, 1))
    scores.add(1, "ben", saying(1, 1), saying(1, 1))
    record = scores.record()
    assert record is not None
    assert (record["n"], record["n_subjects"], record["chance"]) == (6, 2, 0.5)
    assert record["majority"] == {"accuracy": pytest.approx(4 / 6)}
    newest, smoothed = record["newest"], record["smoothed"]
    assert newest["accuracy"]["value"] == pytest.approx(4 / 6, abs=EXACT)
    assert newest["balanced_accuracy"]["value"] == pytest.approx((2 / 4 + 1) / 2, abs=EXACT)
    assert smoothed["accuracy"]["value"] == pytest.approx(5 / 6, abs=EXACT)
    low, high = newest["accuracy"]["interval"]
    assert low == pytest.approx(0.5)  # ada alone
    assert high == pytest.approx(1.0)  # ben alone


def test_label_changes_are_counted_per_minute_of_what_is_known() -> None:
    scores = FrameScores(3)
    flickering = np.arange(N_FRAMES) // 15 % 3  # another label each half second
    steady = np.zeros(N_FRAMES, int)
    scores.add(0, "ada", saying(*flickering, n_classes=3), saying(*steady, n_classes=3))
    record = scores.record()
    assert record is not None
    found = record["newest"]["label_changes_per_minute"]["value"]
    assert found == pytest.approx((N_FRAMES / 15 - 1) / N_FRAMES * FRAMES_PER_MINUTE)
    assert record["smoothed"]["label_changes_per_minute"]["value"] == 0


def test_a_gap_in_what_is_known_is_no_change() -> None:
    scores = FrameScores(2)
    parted = saying(0, 0, -1, -1, 1, 1)
    scores.add(0, "ada", parted, parted)
    record = scores.record()
    assert record is not None
    assert record["n"] == 4
    assert record["newest"]["label_changes_per_minute"]["value"] == 0


def test_clips_of_which_nothing_is_known_leave_nothing_to_say() -> None:
    scores = FrameScores(2)
    scores.add(0, "ada", saying(-1, -1), saying(-1, -1))
    scores.add(0, "ada", np.zeros((0, 2)), np.zeros((0, 2)))
    assert scores.record() is None
