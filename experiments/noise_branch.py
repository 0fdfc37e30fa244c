"""Measures what a branch that knows nothing costs the ensemble, with and without its detection.

Run ``python experiments/noise_branch.py``; it writes ``results/noise_branch.json``. The samples are
drawn: 30 subjects of five clips, three classes, eight numbers that tell something of the class, and
256 that tell nothing but who the subject is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from record import say, write_result

from cryvision.datasets.splits import grouped_folds
from cryvision.evaluation.metrics import balanced_accuracy
from cryvision.training import stacking
from cryvision.training.branches import head_branch
from cryvision.training.cross_validation import Division, cross_validate
from cryvision.training.stacking import Samples

SEEDS = range(5)
N_SUBJECTS, N_CLIPS, N_CLASSES, N_FOLDS = 30, 5, 3, 3


def drawn_samples(seed: int) -> Samples:
    """Draw one set of features that tells something, and one that tells nothing."""
    rng = np.random.default_rng(seed)
    n = N_SUBJECTS * N_CLIPS
    labels = rng.integers(0, N_CLASSES, n)

    def of_subjects(width: int, scale: float) -> np.ndarray:
        own = np.repeat(rng.normal(0, scale, (N_SUBJECTS, width)), N_CLIPS, axis=0)
        return (rng.normal(0, 1, (n, width)) + own).astype(np.float32)

    good, noise = of_subjects(8, 0.5), of_subjects(256, 1.0)
    good[np.arange(n), labels] += 2.0
    subjects = np.repeat([f"s{i}" for i in range(N_SUBJECTS)], N_CLIPS)
    return Samples({"good": good, "noise": noise}, labels, subjects, np.arange(n).astype(str))


def figure(samples: Samples, features: tuple[str, ...], seed: int) -> float:
    """Balanced accuracy by clip, subjects apart."""
    folds = grouped_folds(samples.subjects.tolist(), samples.labels.tolist(), N_FOLDS, seed)
    division = Division(samples.labels, samples.subjects, folds, N_CLASSES)
    recipe = [head_branch(name) for name in features]
    ((clips, _),) = cross_validate(recipe, samples, division, seed)
    return balanced_accuracy(clips.labels, clips.probabilities.argmax(axis=1))


def measure(seed: int) -> dict[str, Any]:
    samples = drawn_samples(seed)
    found = {
        "good alone": figure(samples, ("good",), seed),
        "both": figure(samples, ("good", "noise"), seed),
    }
    with mock.patch.object(stacking, "beats_prior", return_value=True):
        found["good alone, nothing detected"] = figure(samples, ("good",), seed)
        found["both, nothing detected"] = figure(samples, ("good", "noise"), seed)
    say(f"seed {seed}: {found}")
    return found


def main() -> None:
    runs = [measure(seed) for seed in SEEDS]
    mean = {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}
    write_result(
        Path(__file__).stem,
        list(SEEDS),
        {
            "protocol": f"balanced accuracy by clip, {N_FOLDS} folds by subject, drawn samples",
            "mean": mean,
            "both / good alone": mean["both"] / mean["good alone"],
            "seeds": runs,
        },
    )


if __name__ == "__main__":
    main()
