"""Measures the detector's recipe on phones, and on ESC-10 recordings, that it was not trained on.

Run ``python experiments/detector.py``; it takes about an hour on two cores and writes
``results/detector.json``. Calibration and threshold are chosen on inner folds.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import perceptron
import recordings
from detector_windows import SHARES, added_windows, real_windows
from record import data_hash, say, write_result
from robustness import EVALUATED_HOP, Robustness, events_of, robustness_figures

from cryvision.learning import evaluation as ev
from cryvision.learning.decisions import Calibration, calibrate
from cryvision.learning.detection import subject_folds
from cryvision.learning.training import detector_logits, fit_detector
from cryvision.learning.windows import LabelledSound, Windows, concatenate

N_FOLDS = 5
N_PROCESSES = 2
FOLD_SEEDS = (0, 1, 2)
ONSET_TOLERANCE_S, OFFSET_TOLERANCE_S = 0.25, 0.5


@dataclass(frozen=True)
class Division:
    """Subjects in five folds, and the windows that are judged.

    A detector without two neighbouring folds scores both for one another: so each fold gets its
    calibration and threshold from its two neighbours, which are inner folds to it.
    """

    own: Windows
    folds: list[set[str]]
    seed: int

    def rows(self, number: int) -> np.ndarray:
        """Windows of a fold; bool."""
        return np.isin(self.own.subject, list(self.folds[number % N_FOLDS]))


@dataclass(frozen=True)
class Material:
    """What all fits share; processes inherit it instead of being sent two gigabytes."""

    donateacry: list[LabelledSound]
    windows: Windows
    divisions: list[Division]


@dataclass(frozen=True)
class FoldScores:
    """What a detector, calibrated and with a threshold, says of the subjects it has not seen."""

    rows: np.ndarray
    probabilities: np.ndarray
    threshold: float
    robustness: Robustness | None


material: Material


def pair_logits(index: int, number: int) -> np.ndarray:
    """Score a fold and the next one by a detector without both; minus infinity elsewhere."""
    division = material.divisions[index]
    left_out = division.folds[number] | division.folds[(number + 1) % N_FOLDS]
    model = fit_detector(material.windows, SHARES, division.seed, left_out)
    rows = division.rows(number) | division.rows(number + 1)
    logits = np.full(len(rows), -np.inf)
    logits[rows] = detector_logits(model, division.own[rows])
    say(f"division {index}, folds {number + 1} and next")
    return logits


def inner_logits(
    index: int, number: int, pairs: Sequence[np.ndarray]
) -> tuple[Windows, np.ndarray]:
    """Give the windows of a fold's two neighbours, scored by detectors without it and them."""
    division = material.divisions[index]
    before, after = division.rows(number - 1), division.rows(number + 1)
    logits = np.where(before, pairs[number - 1], pairs[number])
    inner = before | after
    return division.own[inner], logits[inner]


def fold_scores(index: int, number: int, found: Calibration) -> FoldScores:
    """Judge a fold by a detector that was made without it."""
    division = material.divisions[index]
    fold, rows = division.folds[number], division.rows(number)
    model = fit_detector(material.windows, SHARES, division.seed, fold)
    probabilities = found.probabilities(detector_logits(model, division.own[rows]))
    robustness = None
    if index == 0:
        held_out = [sound for sound in material.donateacry if sound.subject in fold]
        robustness = Robustness.measure(held_out, model, found)
    say(f"division {index}, fold {number + 1}")
    return FoldScores(rows, probabilities, found.threshold, robustness)


class Scores:
    """Out-of-fold probabilities and decisions of the windows of one division into folds."""

    def __init__(self, folds: Sequence[FoldScores]) -> None:
        n = len(folds[0].rows)
        self.probabilities, self.threshold = np.zeros(n), np.zeros(n)
        for fold in folds:
            self.probabilities[fold.rows] = fold.probabilities
            self.threshold[fold.rows] = fold.threshold

    @property
    def called(self) -> np.ndarray:
        return self.probabilities >= self.threshold


def clip_rows(windows: Windows) -> list[slice]:
    starts = np.flatnonzero(np.r_[True, windows.clip[1:] != windows.clip[:-1]])
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], len(windows)], strict=True)]


def event_figures(own: Windows, scores: Scores, sounds: Sequence[LabelledSound]) -> dict:
    counts, subjects = [], []
    for rows, sound in zip(clip_rows(own), sounds, strict=True):
        clip = own[rows]
        found = events_of(clip, scores.probabilities[rows], float(scores.threshold[rows.start]))
        true = np.array([(i.start_s, i.end_s) for i in sound.cry]).reshape(-1, 2)
        counts.append(ev.match_events(true, found, ONSET_TOLERANCE_S, OFFSET_TOLERANCE_S))
        subjects.append(sound.subject)
    table = np.array(counts)
    return {
        name: ev.subject_bootstrap(
            np.array(subjects), lambda w, name=name: getattr(ev.event_f1(table, w), name)
        )._asdict()
        for name in ("f1", "precision", "recall")
    }


def against_perceptron(
    own: Windows, scores: Scores, sounds: Sequence[LabelledSound], folds: list[set[str]], seed: int
) -> dict:
    """AUC and F1 of both on the same windows, and their difference with its interval."""
    evaluated = np.concatenate([np.arange(s.start, s.stop, EVALUATED_HOP) for s in clip_rows(own)])
    windows = own[evaluated]
    cry = (windows.cry >= 0.5).astype(int)
    ends = [windows.end_s[rows] for rows in clip_rows(windows)]
    features = perceptron.statistics(sounds, ends)
    tests = [np.isin(windows.subject, list(fold)) for fold in folds]
    reference = perceptron.out_of_fold(features, cry, tests, seed)
    reference_called = np.zeros(len(cry), bool)
    for test in tests:
        # Its threshold is found on the other folds' scores: a help that the detector does not get.
        threshold = ev.best_threshold(cry[~test], reference[~test])
        reference_called[test] = reference[test] >= threshold
    ours, called = scores.probabilities[evaluated], scores.called[evaluated].astype(int)
    theirs = reference_called.astype(int)

    def auc_of(marks: np.ndarray) -> Callable[[np.ndarray], float]:
        return lambda w: ev.auc(cry, marks, w)

    def f1_of(decisions: np.ndarray) -> Callable[[np.ndarray], float]:
        return lambda w: ev.precision_recall_f1(cry, decisions, w).f1

    return {
        "n_windows": len(cry),
        "cry_share": float(cry.mean()),
        "auc": ev.subject_bootstrap(windows.subject, auc_of(ours))._asdict(),
        "f1": ev.subject_bootstrap(windows.subject, f1_of(called))._asdict(),
        "balanced_accuracy": ev.balanced_accuracy(cry, called),
        "log_loss": ev.log_loss(cry, ours),
        "ece": ev.expected_calibration_error(cry, ours),
        "perceptron_auc": ev.auc(cry, reference),
        "perceptron_f1": ev.precision_recall_f1(cry, theirs).f1,
        "auc_difference": ev.paired_subject_bootstrap(
            windows.subject, auc_of(ours), auc_of(reference)
        )._asdict(),
        "f1_difference": ev.paired_subject_bootstrap(
            windows.subject, f1_of(called), f1_of(theirs)
        )._asdict(),
    }


def esc10_figures(inner: Sequence[tuple[Windows, np.ndarray]], scores: Scores) -> dict:
    """Clips of ESC-10 scored by their mean over windows; the threshold is that of inner clips."""
    own = material.divisions[-1].own
    cry, means, called = clip_cry(own), clip_means(own, scores.probabilities), []
    for number, (windows, logits) in enumerate(inner):
        found = calibrate(windows, logits)
        judged = clip_means(windows, found.probabilities(logits))
        threshold = ev.best_threshold(clip_cry(windows), judged)
        of_fold = [material.divisions[-1].rows(number)[rows.start] for rows in clip_rows(own)]
        called.append(np.array(of_fold) & (means >= threshold))
    is_called = np.any(called, axis=0).astype(int)
    firsts = [rows.start for rows in clip_rows(own)]
    subjects = own.subject[firsts]
    classes = np.array([own.clip[first].split("/")[0] for first in firsts])
    return {
        "n_clips": len(cry),
        "auc": ev.subject_bootstrap(subjects, lambda w: ev.auc(cry, means, w))._asdict(),
        "f1": ev.subject_bootstrap(
            subjects, lambda w: ev.precision_recall_f1(cry, is_called, w).f1
        )._asdict(),
        "called_cry_by_class": {
            name: float(is_called[classes == name].mean()) for name in sorted(set(classes))
        },
    }


def clip_cry(windows: Windows) -> np.ndarray:
    """Which clips of ESC-10 are of crying; int."""
    return np.array([windows.source[r.start] == "esc10-cry" for r in clip_rows(windows)]).astype(
        int
    )


def clip_means(own: Windows, probabilities: np.ndarray) -> np.ndarray:
    """Mean over the windows of each clip that pass the energy gate."""
    means = []
    for rows in clip_rows(own):
        scored = own.scored[rows]
        means.append(probabilities[rows][scored].mean() if scored.any() else 0.0)
    return np.array(means)


def divided(
    donateacry: list[LabelledSound], esc10: list[LabelledSound]
) -> tuple[Windows, list[Division]]:
    """All windows to train on; three divisions of the phones, and that of ESC-10."""
    own, esc_own = real_windows(donateacry), real_windows(esc10)
    windows = concatenate([own, esc_own, added_windows(donateacry, esc10, seed=0)])
    divisions = [Division(own, subject_folds(own, N_FOLDS, seed), seed) for seed in FOLD_SEEDS]
    of_fold = [
        {sound.subject for sound in esc10 if recordings.esc10_fold(sound) == number + 1}
        for number in range(N_FOLDS)
    ]
    return windows, [*divisions, Division(esc_own, of_fold, FOLD_SEEDS[0])]


def all_scores() -> tuple[list[list[FoldScores]], list[list[tuple[Windows, np.ndarray]]]]:
    """Fit and judge every fold of every division; its scores, and those of its inner folds."""
    numbers = range(N_FOLDS)
    jobs = [(index, number) for index in range(len(material.divisions)) for number in numbers]
    # Forked before TensorFlow is there, so that all share the windows.
    with ProcessPoolExecutor(N_PROCESSES, multiprocessing.get_context("fork")) as pool:
        pairs = list(pool.map(pair_logits, *zip(*jobs, strict=True)))
        of_division = [pairs[i : i + N_FOLDS] for i in range(0, len(pairs), N_FOLDS)]
        inner = [inner_logits(index, number, of_division[index]) for index, number in jobs]
        found = [calibrate(windows, logits) for windows, logits in inner]
        scores = list(pool.map(fold_scores, *zip(*jobs, strict=True), found))
    starts = range(0, len(jobs), N_FOLDS)
    return [scores[i : i + N_FOLDS] for i in starts], [inner[i : i + N_FOLDS] for i in starts]


def main() -> None:
    global material
    started = time.time()
    donateacry, esc10 = recordings.donateacry(), recordings.esc10()
    windows, divisions = divided(donateacry, esc10)
    say(f"{len(windows)} windows")
    material = Material(donateacry, windows, divisions)
    folds, inner = all_scores()
    phones = []
    for division, judged in zip(divisions[:-1], folds[:-1], strict=True):
        scores = Scores(judged)
        figures = against_perceptron(
            division.own, scores, donateacry, division.folds, division.seed
        )
        figures["events"] = event_figures(division.own, scores, donateacry)
        phones.append(figures)
    result = {
        "protocol": f"donateacry: grouped {N_FOLDS}-fold by phone, 0.5 s windows each 0.2 s, "
        "majority label; ESC-10: its own folds; calibration and threshold of each fold from two "
        "inner folds, scored by detectors without them and it",
        "data_sha256": data_hash([divisions[0].own.inputs, divisions[0].own.cry]),
        "phones_mean": {
            name: float(np.mean([one[name]["value"] for one in phones])) for name in ("auc", "f1")
        },
        "phones": phones,
        "robustness": robustness_figures([f.robustness for f in folds[0] if f.robustness]),
        "esc10": esc10_figures(inner[-1], Scores(folds[-1])),
        "minutes": (time.time() - started) / 60,
    }
    write_result(Path(__file__).stem, list(FOLD_SEEDS), result)


if __name__ == "__main__":
    main()
