"""What the reproductions of published systems share: a system judged under a protocol.

A system hears every window of a clip, without a gate, as the published ones had none, and a clip
gets the mean of its windows. Nothing is calibrated: the pull of a calibration to the commonest
class would hide what a leak does.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import recordings
from record import say

from cryvision.config import SoundConfig
from cryvision.datasets.labelled import CLEANED_FOLDER, Dataset, find_labelled_clips
from cryvision.datasets.near_duplicates import CopyPair
from cryvision.datasets.protocols import (
    PROTOCOLS,
    Protocol,
    clip_groups,
    divide,
    overlap,
    with_copies,
)
from cryvision.evaluation import metrics, skill
from cryvision.evaluation.skill import OutOfFoldPredictions
from cryvision.training import branches
from cryvision.training.branches import Branch, Rows
from cryvision.training.clip_features import crying_windows
from cryvision.training.cross_validation import clip_means
from cryvision.training.stacking import Samples, class_shares

# It warns of each new graph, and every fit is one.
logging.getLogger("tensorflow").setLevel(logging.ERROR)

N_FOLDS = 5

FOUR_CLASSES = ("belly_pain", "discomfort", "hungry", "tired")
N_HUNGRY = 38
"""Clips of four classes: all 16 of belly pain, 27 of discomfort and 24 of tired of the cleaned
donateacry-corpus, and 38 of hungry, as far as the article of Cha & Bae tells which it had."""

BUCKETS = ("donateacry-android-upload-bucket", "donateacry-ios-upload-bucket")

FIGURES = {
    "accuracy": lambda labels, called, weights: float(
        np.average(labels == called, weights=weights)
    ),
    "balanced_accuracy": metrics.balanced_accuracy,
    "macro_f1": metrics.macro_f1,
}
"""By clip; each takes labels, answers, and how often each clip counts."""

RANGE_OF_CHANCE = (0.10, 0.30)
"""Where macro F1 and balanced accuracy of five classes lie for a model that knows no reason; above
it a leak is to be suspected."""


def five_classes() -> Dataset:
    """All clips of the cleaned donateacry-corpus."""
    return find_labelled_clips(recordings.data_folder() / "donateacry-corpus" / CLEANED_FOLDER)


def nine_classes() -> Dataset:
    """All clips as the phones sent them, less the stubs; `unknown` is one of the classes."""
    found = [
        find_labelled_clips(recordings.data_folder() / "donateacry-corpus" / bucket)
        for bucket in BUCKETS
    ]
    return Dataset(
        tuple(clip for one in found for clip in one.clips),
        tuple(line for one in found for line in one.problems),
    )


def four_classes(seed: int) -> Dataset:
    """The clips of `FOUR_CLASSES`; those of hungry are drawn."""
    found = five_classes()
    clips = [clip for clip in found.clips if clip.label in FOUR_CLASSES]
    hungry = [number for number, clip in enumerate(clips) if clip.label == "hungry"]
    left_out = set(np.random.default_rng(seed).permutation(hungry)[N_HUNGRY:].tolist())
    return replace(found, clips=tuple(c for i, c in enumerate(clips) if i not in left_out))


@dataclass(frozen=True)
class EvaluationSet:
    """Clips as one protocol divides them, and their windows.

    Attributes
    ----------
    data : Dataset
        With the copies that the protocol made.
    classes : tuple of str
    samples : Samples
        Subjects are what the protocol keeps apart.
    folds : list of ndarray of int
    on_both_sides : dict of str to int
    """

    data: Dataset
    classes: tuple[str, ...]
    samples: Samples
    folds: list[np.ndarray]
    on_both_sides: dict[str, int]

    @property
    def labels(self) -> np.ndarray:
        return np.array([self.classes.index(clip.label) for clip in self.data.clips])

    def asked_for(self, labels: np.ndarray, by: Protocol, seed: int) -> EvaluationSet:
        """Give the same clips other labels, and divide them anew."""
        clips = tuple(
            replace(clip, label=self.classes[label])
            for clip, label in zip(self.data.clips, labels, strict=True)
        )
        data = replace(self.data, clips=clips)
        samples = replace(self.samples, labels=labels[self.samples.clips.astype(int)])
        return replace(self, data=data, samples=samples, folds=divide(by, data, N_FOLDS, seed))


def material(
    by: Protocol,
    data: Dataset,
    sounds: Mapping[str, SoundConfig],
    seed: int,
    copies: Sequence[CopyPair] = (),
) -> EvaluationSet:
    """Divide clips by a protocol, and compute their windows."""
    classes = tuple(sorted({clip.label for clip in data.clips}))
    data = with_copies(by, data, seed)
    samples, unreadable = crying_windows(data.clips, classes, sounds, None)
    if unreadable:
        raise SystemExit("\n".join(unreadable.values()))
    apart = np.array(clip_groups(by, data.clips))
    folds = divide(by, data, N_FOLDS, seed)
    return EvaluationSet(
        data,
        classes,
        replace(samples, subjects=apart[samples.clips.astype(int)]),
        folds,
        overlap(data.clips, folds, copies),
    )


def out_of_fold(
    branch: Branch,
    given: EvaluationSet,
    seed: int,
    weighted: bool = True,
    altered: Samples | None = None,
) -> OutOfFoldPredictions:
    """Fit a branch once for each fold of clips, without them, and let it judge them.

    Classes count the same in training where it is weighted, and as many clips as they have where
    it is not. Altered copies are learnt from too, but for those of subjects that are judged.
    """
    samples, labels, n_classes = given.samples, given.labels, len(given.classes)
    clip_of_row = samples.clips.astype(int)
    table = np.zeros((len(labels), n_classes))
    prior, fold_of_clip = np.zeros_like(table), np.full(len(labels), -1)
    for number, fold in enumerate(given.folds):
        test = np.isin(clip_of_row, fold)
        known = samples[np.flatnonzero(~test)].and_altered(altered, samples.subjects[test])
        if weighted:
            weights = branches.class_weights(known.labels, known.clips, n_classes)
        else:
            weights = branches.clip_weights(known.clips)
        rows = Rows(known.features[branch.feature], known.labels, weights, known.subjects)
        model, _ = branch.fit(rows, n_classes, seed)
        predicted = branches.predict(model, samples.features[branch.feature][test])
        table[fold] = clip_means(predicted, clip_of_row[test], prior)[fold]
        prior[fold] = class_shares(np.delete(labels, fold), n_classes)
        fold_of_clip[fold] = number
    tested = np.flatnonzero(fold_of_clip >= 0)
    subjects = np.array([clip.subject for clip in given.data.clips])
    return OutOfFoldPredictions(
        "clip", labels[tested], table[tested], prior[tested], subjects[tested], fold_of_clip[tested]
    )


def summary(runs: Sequence[OutOfFoldPredictions], is_clean: bool) -> dict[str, Any]:
    """Mean figures over seeds; with intervals over subjects where these were kept apart.

    AUC is one class against the rest, the mean over classes and folds, never pooled.
    """
    subjects = np.concatenate([run.subjects for run in runs])
    of_run = np.repeat(np.arange(len(runs)), [len(run.labels) for run in runs])
    found: dict[str, Any] = {}
    for name, figure in FIGURES.items():

        def mean(weights: np.ndarray, figure: Any = figure) -> float:
            return float(
                np.mean(
                    [
                        figure(run.labels, run.probabilities.argmax(axis=1), weights[of_run == i])
                        for i, run in enumerate(runs)
                    ]
                )
            )

        if is_clean:
            value, *interval = metrics.subject_bootstrap(subjects, mean)
            found[name] = {"value": value, "interval": interval}
        else:
            found[name] = mean(np.ones(len(subjects), np.int64))
    areas = [skill.figures(run, n_draws=10)["auc"]["value"] for run in runs]
    found["auc_by_fold"] = float(np.mean(areas))
    by_run = [figure_of(run, "balanced_accuracy" if is_clean else "accuracy") for run in runs]
    if len(runs) > 1:
        found["deviation_between_seeds"] = float(np.std(by_run, ddof=1))
    return found


def figure_of(run: OutOfFoldPredictions, name: str) -> float:
    """One of `FIGURES` of one run."""
    return float(FIGURES[name](run.labels, run.probabilities.argmax(axis=1), None))


def value_of(figure: Any) -> float:
    """A figure, with or without its interval."""
    return float(figure["value"] if isinstance(figure, Mapping) else figure)


@dataclass(frozen=True)
class Comparison:
    """Systems under one protocol, with several seeds.

    Attributes
    ----------
    by : Protocol
    on_both_sides : list of dict of str to int
        By seed.
    runs : dict of str to list of OutOfFoldPredictions
        System to its clips as judged, by seed.
    """

    by: Protocol
    on_both_sides: list[dict[str, int]]
    runs: dict[str, list[OutOfFoldPredictions]]

    def figures(self) -> dict[str, Any]:
        """Summary of each system."""
        return {name: summary(runs, self.by.is_clean) for name, runs in self.runs.items()}


def compare(
    protocol_name: str,
    seeds: Sequence[int],
    data_of: Callable[[int], Dataset],
    sounds: Mapping[str, SoundConfig],
    systems: Mapping[str, Branch],
    copies: Sequence[CopyPair],
    weighted: bool = True,
) -> Comparison:
    """Judge systems that hear the same windows; see `out_of_fold`."""
    by = PROTOCOLS[protocol_name]
    sides, runs = [], {name: [] for name in systems}
    for seed in seeds:
        given = material(by, data_of(seed), sounds, seed, copies)
        sides.append(given.on_both_sides)
        for name, branch in systems.items():
            started = time.time()
            runs[name].append(out_of_fold(branch, given, seed, weighted))
            say(
                f"{protocol_name}, {len(given.classes)} classes, seed {seed}, {name}: accuracy "
                f"{figure_of(runs[name][-1], 'accuracy'):.3f}, {time.time() - started:.0f} s"
            )
    return Comparison(by, sides, runs)


def demands(asked: Mapping[str, Mapping[str, float]], found: Mapping[str, Any]) -> dict[str, Any]:
    """Set what a leak must reach, by protocol and system, beside the accuracy that was found."""
    return {
        f"{protocol}, {system}": {
            "at_least": least,
            "found": value_of(found[protocol][system]["accuracy"]),
        }
        for protocol, wanted in asked.items()
        for system, least in wanted.items()
    }


def beyond_chance(found: Mapping[str, Any]) -> list[str]:
    """Systems whose figures of five classes lie outside of `RANGE_OF_CHANCE`."""
    low, high = RANGE_OF_CHANCE
    return [
        f"{system}, {name}: {value_of(figures[name]):.3f}"
        for system, figures in found.items()
        for name in ("macro_f1", "balanced_accuracy")
        if not low <= value_of(figures[name]) <= high
    ]
