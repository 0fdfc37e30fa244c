"""Measures the reason models on the cleaned donateacry-corpus, phones apart, with controls.

Run ``python experiments/reasons.py`` (about 20 minutes on two cores); it writes
``results/reasons.json``. The positive control asks the same recipe, on the same folds, for the
phone's platform instead; the negative one gives each phone the label of another.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import recordings
from record import say, show_log, write_result

from cryvision.bundle import Bundle
from cryvision.datasets.labelled import CLEANED_FOLDER, Dataset, find_labelled_clips
from cryvision.datasets.splits import grouped_folds
from cryvision.evaluation.metrics import log_loss
from cryvision.evaluation.skill import OutOfFoldPredictions, figures, majority
from cryvision.training.clip_features import GATE_FOLDER, crying_windows
from cryvision.training.cross_validation import Division, cross_validate
from cryvision.training.stacking import Samples
from cryvision.training.systems import system
from cryvision.training.training_set import class_names

SEEDS = (0, 1, 2)
N_FOLDS = 5
CHA_BAE = system("cha-bae")


def summary(measured: OutOfFoldPredictions) -> dict[str, Any]:
    return {
        **figures(measured),
        "prior_log_loss": log_loss(measured.labels, measured.prior),
        "n": len(measured.labels),
        "n_subjects": len(set(measured.subjects.tolist())),
    }


def measured_on(
    samples: Samples, labels: np.ndarray, subjects: np.ndarray, folds: list[np.ndarray], seed: int
) -> OutOfFoldPredictions:
    """Clips judged by the recipe, asked for any labels of theirs."""
    asked = replace(samples, labels=labels[samples.clips.astype(int)])
    division = Division(labels, subjects, folds, int(labels.max()) + 1)
    ((clips, _),) = cross_validate(CHA_BAE.recipe, asked, division, seed)
    return clips


def with_sound(measured: OutOfFoldPredictions, samples: Samples) -> OutOfFoldPredictions:
    """Only the clips that have a crying window: the others got the prior."""
    kept = np.isin(np.arange(len(measured.labels)), samples.clips.astype(int))
    columns = ("labels", "probabilities", "prior", "subjects", "fold")
    return replace(measured, **{name: getattr(measured, name)[kept] for name in columns})


def shuffled(labels: np.ndarray, subjects: np.ndarray, seed: int) -> np.ndarray:
    """Labels moved between phones: each phone gets those of another, over and over."""
    rng = np.random.default_rng(seed)
    names = np.unique(subjects)
    given = dict(zip(names, rng.permutation(names), strict=True))
    moved = np.empty_like(labels)
    for name in names:
        rows = np.flatnonzero(subjects == name)
        moved[rows] = np.resize(labels[subjects == given[name]], len(rows))
    return moved


def main() -> None:
    show_log()
    started = time.time()
    data: Dataset = find_labelled_clips(
        recordings.data_folder() / "donateacry-corpus" / CLEANED_FOLDER
    )
    names = class_names(data)
    gate = Bundle.load(GATE_FOLDER)
    samples, _ = crying_windows(data.clips, names, CHA_BAE.settings, gate)
    labels = np.array([names.index(clip.label) for clip in data.clips])
    subjects = np.array([clip.subject for clip in data.clips])
    platform = np.array([clip.columns["platform"] == "ios" for clip in data.clips]).astype(int)
    reasons = {}
    minutes = {}
    for seed in SEEDS:
        begun = time.time()
        folds = grouped_folds(subjects.tolist(), labels.tolist(), N_FOLDS, seed)
        reasons[seed] = summary(measured_on(samples, labels, subjects, folds, seed))
        minutes[seed] = (time.time() - begun) / 60
        say(f"seed {seed}: {reasons[seed]}")
        if seed == SEEDS[0]:
            asked = measured_on(samples, platform, subjects, folds, seed)
            control = summary(asked)
            control_heard = summary(with_sound(asked, samples))
            say(f"platform: {control}, {control_heard}")
            moved = shuffled(labels, subjects, seed)
            again = grouped_folds(subjects.tolist(), moved.tolist(), N_FOLDS, seed)
            negative = summary(measured_on(samples, moved, subjects, again, seed))
            say(f"shuffled: {negative}")
    write_result(
        Path(__file__).stem,
        list(SEEDS),
        {
            "protocol": f"grouped {N_FOLDS}-fold by phone, clips of the cleaned donateacry-corpus",
            "gate_sha256": gate.sha256,
            "labels": list(names),
            "n_windows": len(samples),
            "majority": majority(labels),
            "chance": 1 / len(names),
            "by_seed": reasons,
            "platform_asked_for_instead": control,
            "platform_of_clips_with_a_crying_window": control_heard,
            "labels_moved_between_phones": negative,
            "minutes_of_one_cross_validation": minutes,
            "minutes": (time.time() - started) / 60,
        },
    )


if __name__ == "__main__":
    main()
