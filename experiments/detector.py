"""Measures the detector's recipe on phones, and on ESC-10 recordings, that it was not trained on.

Run ``python experiments/detector.py``; it takes about half an hour on two cores and writes
``results/detector.json``. Calibration and threshold are chosen on inner folds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import perceptron
import probes
import recordings
from detector_windows import SHARES, added_windows, real_windows
from record import data_hash, write_result

from cryvision.config import SAMPLE_RATE_HZ
from cryvision.inputs import augment
from cryvision.learning import evaluation as ev
from cryvision.learning.decisions import SOUND, Calibration, calibrate, gate_for
from cryvision.learning.detection import subject_folds
from cryvision.learning.training import detector_logits, fit_detector
from cryvision.learning.windows import LabelledSound, Windows, concatenate, windows_of
from cryvision.smoothing import find_events

N_FOLDS, N_INNER_FOLDS = 5, 4
FOLD_SEEDS = (0, 1, 2)
EVALUATED_HOP = 2  # every second window: 0.2 s
ONSET_TOLERANCE_S, OFFSET_TOLERANCE_S = 0.25, 0.5
SNRS_DB = (20, 10, 5, 0)
CODED_CLIPS_PER_FOLD = 30
CODECS = ("amr-nb", "aac", "mp3", "opus", "g723.1")


def say(line: str) -> None:
    print(time.strftime("%H:%M:%S"), line, file=sys.stderr, flush=True)


def inner_calibration(windows: Windows, own: Windows, left_out: set[str], seed: int) -> Calibration:
    """Calibration and threshold from an inner fold: subjects set apart from those left to train."""
    train = own[~np.isin(own.subject, list(left_out))]
    apart = subject_folds(train, N_INNER_FOLDS, seed)[0]
    model = fit_detector(windows, SHARES, seed, left_out | apart)
    judged = train[np.isin(train.subject, list(apart))]
    return calibrate(judged, detector_logits(model, judged))


class Scores:
    """Out-of-fold probabilities and decisions of the windows of one division into folds."""

    def __init__(self, n: int) -> None:
        self.logits = np.full(n, np.nan)
        self.probabilities = np.zeros(n)
        self.called = np.zeros(n, bool)
        self.threshold = np.zeros(n)


def phone_folds(
    windows: Windows,
    own: Windows,
    seed: int,
    visit: Callable[[object, Calibration, set[str]], None],
) -> Scores:
    """Score each phone's windows by a detector, calibrated and with a threshold, without it."""
    scores = Scores(len(own))
    for number, fold in enumerate(subject_folds(own, N_FOLDS, seed)):
        say(f"phones: division {seed}, fold {number + 1}")
        model = fit_detector(windows, SHARES, seed, fold)
        found = inner_calibration(windows, own, fold, seed)
        rows = np.isin(own.subject, list(fold))
        scores.logits[rows] = detector_logits(model, own[rows])
        scores.probabilities[rows] = found.probabilities(scores.logits[rows])
        scores.called[rows] = scores.probabilities[rows] >= found.threshold
        scores.threshold[rows] = found.threshold
        visit(model, found, fold)
    return scores


def clip_rows(windows: Windows) -> list[slice]:
    starts = np.flatnonzero(np.r_[True, windows.clip[1:] != windows.clip[:-1]])
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], len(windows)], strict=True)]


def events_of(windows: Windows, probabilities: np.ndarray, threshold: float) -> np.ndarray:
    """Events of one clip, shape (n, 2)."""
    found = find_events(
        windows.end_s,
        probabilities,
        windows.level_dbfs,
        gate_for(threshold),
        SOUND.window_seconds,
        SOUND.hop_seconds,
        float(windows.end_s[-1]),
    )
    return np.array([(e.onset_s, e.offset_s) for e in found]).reshape(-1, 2)


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


def noises(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    """White, pink and household-like noise: a fan, hum and clatter of families not trained on."""
    white = rng.standard_normal(n)
    spectrum = np.fft.rfft(rng.standard_normal(n))
    pink = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), n)
    parts = [probes.noise(rng, n), 0.5 * probes.hum(rng, n), 0.7 * probes.clicks(rng, n)]
    house = np.sum([part / max(np.sqrt(np.mean(part**2)), 1e-9) for part in parts], axis=0)
    return {"white": white, "pink": pink, "household": house}


class Robustness:
    """Noise and codecs, measured on each fold's own held-out phones."""

    def __init__(self, sounds: Sequence[LabelledSound]) -> None:
        self._sounds = sounds
        self._hits: dict[str, list[np.ndarray]] = {}
        self._changes: dict[str, list[tuple[float, bool]]] = {}

    def visit(self, model: object, found: Calibration, fold: set[str]) -> None:
        held_out = [sound for sound in self._sounds if sound.subject in fold]
        rng = np.random.default_rng(len(held_out))
        self._recall("clean", model, found, held_out)
        kinds = [noises(rng, len(sound.samples)) for sound in held_out]
        for kind in ("white", "pink", "household"):
            for snr_db in SNRS_DB:
                noisy = [
                    LabelledSound(
                        augment.add_noise(s.samples, k[kind].astype(np.float32), snr_db, rng),
                        s.cry, s.subject, s.source, s.clip,
                    )
                    for s, k in zip(held_out, kinds, strict=True)
                ]  # fmt: skip
                self._recall(f"{kind} {snr_db} dB", model, found, noisy)
        for sound in held_out[:CODED_CLIPS_PER_FOLD]:
            self._codecs(sound, model, found)

    def _recall(
        self, name: str, model: object, found: Calibration, sounds: Sequence[LabelledSound]
    ) -> None:
        windows = windows_of(sounds, SOUND, every=EVALUATED_HOP)
        called = found.probabilities(detector_logits(model, windows)) >= found.threshold
        self._hits.setdefault(name, []).append(called[windows.cry >= 0.5])

    def _codecs(self, sound: LabelledSound, model: object, found: Calibration) -> None:
        before = self._judged(sound.samples, model, found)
        copies = {f"{name}": augment.code(sound.samples, name) for name in CODECS}
        for rate_hz in (8000, 44_100):
            there = augment.change_speed(sound.samples, SAMPLE_RATE_HZ / rate_hz)
            back = augment.change_speed(there, rate_hz / SAMPLE_RATE_HZ)
            copies[f"wav {rate_hz} Hz"] = back
        for name, samples in copies.items():
            p, cries = self._judged(samples.astype(np.float32), model, found)
            self._changes.setdefault(name, []).append((abs(p - before[0]), cries == before[1]))

    def _judged(self, samples: np.ndarray, model: object, found: Calibration) -> tuple[float, bool]:
        windows = windows_of([LabelledSound(samples, (), "", "", "")], SOUND)
        probabilities = found.probabilities(detector_logits(model, windows))
        scored = windows.scored
        p = float(probabilities[scored].mean()) if scored.any() else 0.0
        return p, len(events_of(windows, probabilities, found.threshold)) > 0

    def figures(self) -> dict:
        clean = float(np.concatenate(self._hits["clean"]).mean())
        recall = {name: float(np.concatenate(hits).mean()) for name, hits in self._hits.items()}
        codecs = {
            name: {
                "n_clips": len(changes),
                "median_change": float(np.median([change for change, _ in changes])),
                "same_label": float(np.mean([same for _, same in changes])),
            }
            for name, changes in self._changes.items()
        }
        return {
            "recall": recall,
            "fall_at_10_db": {
                kind: clean - recall[f"{kind} 10 dB"] for kind in ("white", "pink", "household")
            },
            "codecs": codecs,
        }


def esc10_figures(
    windows: Windows, esc10: Sequence[LabelledSound], own: Windows, seed: int
) -> dict:
    """The five folds of ESC-10: clips scored by their mean over windows, threshold from inside."""
    fold_of = {sound.subject: recordings.esc10_fold(sound) for sound in esc10}
    clips = clip_rows(own)
    cry = np.array([own.source[rows.start] == "esc10-cry" for rows in clips]).astype(int)
    classes = np.array([own.clip[rows.start].split("/")[0] for rows in clips])
    folds = np.array([fold_of[own.subject[rows.start]] for rows in clips])
    scores, called = np.zeros(len(clips)), np.zeros(len(clips), bool)
    for fold in range(1, 6):
        say(f"ESC-10: fold {fold}")
        others = [f for f in range(1, 6) if f != fold]
        left_out, apart = set_of(fold_of, [fold]), set_of(fold_of, others[:2])
        logits = np.full(len(own), -np.inf)
        for silent, judged in ((left_out | apart, apart), (left_out, left_out)):
            rows = np.isin(own.subject, list(judged))
            logits[rows] = detector_logits(fit_detector(windows, SHARES, seed, silent), own[rows])
        inner = np.isin(own.subject, list(apart))
        found = calibrate(own[inner], logits[inner])
        means = clip_means(own, clips, found.probabilities(logits))
        inside, tested = np.isin(folds, others[:2]), folds == fold
        scores[tested] = means[tested]
        called[tested] = means[tested] >= ev.best_threshold(cry[inside], means[inside])
    subjects = np.array([own.subject[rows.start] for rows in clips])
    return {
        "n_clips": len(clips),
        "auc": ev.subject_bootstrap(subjects, lambda w: ev.auc(cry, scores, w))._asdict(),
        "f1": ev.subject_bootstrap(
            subjects, lambda w: ev.precision_recall_f1(cry, called.astype(int), w).f1
        )._asdict(),
        "called_cry_by_class": {
            name: float(called[classes == name].mean()) for name in sorted(set(classes))
        },
    }


def set_of(fold_of: dict[str, int], folds: Sequence[int]) -> set[str]:
    return {subject for subject, fold in fold_of.items() if fold in folds}


def clip_means(own: Windows, clips: Sequence[slice], probabilities: np.ndarray) -> np.ndarray:
    """Mean over the windows of each clip that pass the energy gate."""
    means = []
    for rows in clips:
        scored = own.scored[rows]
        means.append(probabilities[rows][scored].mean() if scored.any() else 0.0)
    return np.array(means)


def main() -> None:
    started = time.time()
    donateacry, esc10 = recordings.donateacry(), recordings.esc10()
    own, esc_own = real_windows(donateacry), real_windows(esc10)
    windows = concatenate([own, esc_own, added_windows(donateacry, esc10, seed=0)])
    say(f"{len(windows)} windows")
    robustness = Robustness(donateacry)
    phones = []
    for seed in FOLD_SEEDS:
        scores = phone_folds(
            windows, own, seed, robustness.visit if seed == 0 else lambda *found: None
        )
        figures = against_perceptron(
            own, scores, donateacry, subject_folds(own, N_FOLDS, seed), seed
        )
        figures["events"] = event_figures(own, scores, donateacry)
        say(f"division {seed}: {figures}")
        phones.append(figures)
    result = {
        "protocol": f"donateacry: grouped {N_FOLDS}-fold by phone, 0.5 s windows each 0.2 s, "
        f"majority label, calibration and threshold from an inner fold (one of {N_INNER_FOLDS}) "
        "of held-out phones; ESC-10: its own folds, the same from two inner ones",
        "data_sha256": data_hash([own.inputs, own.cry]),
        "phones_mean": {
            name: float(np.mean([one[name]["value"] for one in phones])) for name in ("auc", "f1")
        },
        "phones": phones,
        "robustness": robustness.figures(),
        "esc10": esc10_figures(windows, esc10, esc_own, seed=0),
        "minutes": (time.time() - started) / 60,
    }
    write_result(Path(__file__).stem, list(FOLD_SEEDS), result)


if __name__ == "__main__":
    main()
