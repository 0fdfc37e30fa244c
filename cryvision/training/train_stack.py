"""Samples of labelled clips become a bundle of branches and ensemble that knows its own skill."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from cryvision.bundle import Bundle
from cryvision.bundle.saving import check_target
from cryvision.config import FaceConfig, to_json, unusable_label
from cryvision.datasets.labelled import Dataset
from cryvision.datasets.near_duplicates import CopyPair
from cryvision.datasets.protocols import GROUPED, Protocol, divide, kept_apart, overlap
from cryvision.datasets.splits import check_disjoint
from cryvision.errors import ConfigError
from cryvision.evaluation.report import check_folder, write_report
from cryvision.evaluation.skill import OutOfFoldPredictions, skill_entry
from cryvision.inference.branch_inputs import FACE
from cryvision.inference.label_policy import NOT_APART
from cryvision.training.altered_copies import AlteredCopies
from cryvision.training.branches import Branch
from cryvision.training.checkpoints import Checkpoints, data_sha256
from cryvision.training.cross_validation import cross_validate_each
from cryvision.training.saving import Settings, save_stack
from cryvision.training.stacking import Samples, fit_stack

SOUND = "sound"

_VERSIONED = ("cryvision", "keras", "numpy", "scikit-learn", "scipy", "tensorflow")
"""Libraries whose version tells one training from another."""

Log = Callable[[str], None]


@dataclass(frozen=True)
class TrainingSet:
    """Clips, and what was computed from them.

    Attributes
    ----------
    data : Dataset
        All clips that are judged, those without a sample among them.
    samples : Samples
        ``clips`` holds the number of each row's clip.
    labels : tuple of str
        The classes in order.
    copies : sequence of CopyPair
        Clips that hold the same sound, from `cryvision.datasets.near_duplicates.copies_among`.
    altered : AlteredCopies or None
        What the branches learn from besides.
    """

    data: Dataset
    samples: Samples
    labels: tuple[str, ...]
    copies: Sequence[CopyPair] = ()
    altered: AlteredCopies | None = None

    def kept_apart(self, by: Protocol) -> TrainingSet:
        """Give each row what the protocol keeps apart, in place of its subject."""
        apart = np.array(kept_apart(by, self.data.clips))

        def moved(samples: Samples) -> Samples:
            return replace(samples, subjects=apart[samples.clips.astype(int)])

        altered = self.altered
        if altered is not None:
            altered = replace(altered, samples=moved(altered.samples))
        return replace(self, samples=moved(self.samples), altered=altered)

    @property
    def altered_samples(self) -> Samples | None:
        return None if self.altered is None else self.altered.samples


def train_stack(
    known: TrainingSet,
    recipe: Sequence[Branch],
    settings: Settings,
    out: str | os.PathLike[str],
    *,
    gate: Bundle | None,
    n_folds: int,
    seed: int,
    corpus: str,
    by: Protocol = GROUPED,
    about: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    say: Log = lambda line: None,
) -> Bundle:
    """Measure a recipe on subjects that it has not seen, fit it on all, and save both.

    Finished folds are kept beside the bundle until all is done.

    Parameters
    ----------
    known : TrainingSet
    recipe : sequence of Branch
    settings : mapping of str to SoundConfig or FaceConfig
        How each feature is computed; a feature without any is a laboratory's own.
    out : path
        The bundle; a report with figures is written beside it.
    gate : Bundle or None
        Whose detector the new bundle carries.
    n_folds : int
        Folds by subject; see `folds_of`.
    seed : int
    corpus : str
        Name of what it is trained on.
    by : Protocol
        How clips are divided, unless the data set's authors did it.
    about : mapping, optional
        What else tells this training from another, as plain data: of the recipe, folds that were
        finished by another are not taken up.
    overwrite : bool
    say : callable
        Told in a line what is done.
    """
    folds = folds_of(known.data, known.labels, n_folds, seed, by)
    known = known.kept_apart(by)
    shared = overlap(known.data.clips, folds, known.copies)
    _warn(by, shared, say)
    facts = {**_facts(known, recipe, settings, folds, seed, by), "about": dict(about or {})}
    checkpoints = Checkpoints(progress_folder(out), facts)
    measured = _cross_validated(known, recipe, settings, folds, seed, by, checkpoints, say)
    skill = [
        skill_entry(
            one,
            known.labels,
            part="ensemble",
            modalities=modalities,
            protocol=_protocol_text(by, has_splits(known.data), len(folds), known.altered),
            subjects=subject_source(known.data) if by.is_clean else NOT_APART,
        )
        for modalities, units in measured.items()
        for one in units
    ]
    say("fitting on all clips")
    stack = fit_stack(
        recipe, known.samples, len(known.labels), seed, say=say, altered=known.altered_samples
    )
    bundle = save_stack(
        stack, recipe, settings, known.samples, known.labels, out,
        seed=seed, skill=skill, corpus=corpus, gate=gate, overwrite=overwrite,
    )  # fmt: skip
    together = next(iter(measured.values()))
    write_report(
        report_folder(out), *together, known.labels, skill[: len(together)], stack.curves,
        known.data, shared, by.warning,
    )  # fmt: skip
    checkpoints.remove()
    return bundle


def _cross_validated(
    known: TrainingSet,
    recipe: Sequence[Branch],
    settings: Settings,
    folds: Sequence[np.ndarray],
    seed: int,
    by: Protocol,
    checkpoints: Checkpoints,
    say: Log,
) -> dict[tuple[str, ...], tuple[OutOfFoldPredictions, OutOfFoldPredictions]]:
    """Clips and windows as they were judged, by the modalities that there were; all come first."""
    sets = _modality_sets(recipe, settings)
    measured = cross_validate_each(
        recipe,
        known.samples,
        np.array([known.labels.index(clip.label) for clip in known.data.clips]),
        np.array(kept_apart(by, known.data.clips)),
        folds,
        len(known.labels),
        seed,
        list(sets.values()),
        checkpoints,
        say,
        stops_on_test=by.stops_on_test,
        altered=known.altered_samples,
    )
    return dict(zip(sets, measured, strict=True))


def _warn(by: Protocol, shared: Mapping[str, int], say: Log) -> None:
    """Say what keeps the figures from being skill."""
    if by.warning:
        say(f"protocol {by.name}, not a measure of skill: {by.warning}")
    elif n_copies := shared["duplicates"] + shared["near_duplicates"]:
        say(
            f"{n_copies} judged clips hold a sound that is learnt from too, under another subject: "
            "the figures are too good; cryvision audit names the copies"
        )


def class_names(data: Dataset) -> tuple[str, ...]:
    """Give the classes of a data set in alphabetical order; at least two."""
    labels = tuple(sorted({clip.label for clip in data.clips}))
    if len(labels) < 2:
        raise ConfigError(f"training needs clips of two classes or more; got {', '.join(labels)}")
    taken = unusable_label(labels)
    if taken is not None:
        raise ConfigError(f"a class must not have the name of a column; got {taken!r:.80}")
    return labels


def check_places(out: str | os.PathLike[str], overwrite: bool) -> None:
    """Find out before any work whether bundle and report may be written."""
    check_target(out, overwrite)
    check_folder(report_folder(out))


def check_subjects(data: Dataset) -> None:
    """Make sure that each class has clips of two subjects or more, or it could not be measured."""
    for label in sorted({clip.label for clip in data.clips}):
        subjects = {clip.subject for clip in data.clips if clip.label == label}
        if len(subjects) < 2:
            raise ConfigError(
                f"each class needs clips of at least two subjects; {label!r} has one: "
                f"{min(subjects)}"
            )


def has_splits(data: Dataset) -> bool:
    """Tell whether the data set's authors divided it."""
    return any(clip.split for clip in data.clips)


def folds_of(
    data: Dataset, labels: Sequence[str], n_folds: int, seed: int, by: Protocol = GROUPED
) -> list[np.ndarray]:
    """Divide clips by a protocol, or as the manifest does: ``test`` is judged, the rest learnt.

    Returns
    -------
    list of ndarray of int
        Numbers of the clips that are judged together; one for splits that were given.
    """
    subjects = [clip.subject for clip in data.clips]
    if has_splits(data):
        if by is not GROUPED:
            raise ConfigError(
                f"clips that a manifest divides by its column 'split' take no protocol; got "
                f"{by.name}: leave out the one or the other"
            )
        test = np.array([i for i, clip in enumerate(data.clips) if clip.split == "test"], int)
        rest = np.setdiff1d(np.arange(len(subjects)), test)
        if not len(test) or not len(rest):
            raise ConfigError("given splits must hold clips for 'test' and others to train on")
        check_disjoint([subjects[i] for i in rest], [subjects[i] for i in test])
        unseen = set(labels) - {data.clips[i].label for i in rest}
        if unseen:
            raise ConfigError(
                f"each class needs clips outside of 'test' to train on; {min(unseen)!r} has none"
            )
        return [test]
    n_apart = len(set(kept_apart(by, data.clips)))
    return divide(by, data, min(n_folds, n_apart), seed)


def without_unreadable(
    data: Dataset, samples: Samples, unreadable: Mapping[int, str]
) -> tuple[Dataset, Samples]:
    """Leave out the clips that could not be read: nothing can be said of them.

    Parameters
    ----------
    data : Dataset
    samples : Samples
    unreadable : mapping of int to str
        A line on each such clip, by its number.

    Returns
    -------
    data, samples
        The other clips; the samples' numbers are theirs.
    """
    if not unreadable:
        return data, samples
    kept = [number for number in range(len(data.clips)) if number not in unreadable]
    renumbered = {str(old): str(new) for new, old in enumerate(kept)}
    clips = np.array([renumbered[clip] for clip in samples.clips.tolist()])
    rest = Dataset(tuple(data.clips[number] for number in kept), data.problems)
    return rest, replace(samples, clips=clips)


def subject_source(data: Dataset) -> str:
    """Where the subjects are known from: ``file`` if any clip counts as its own subject."""
    sources = {clip.subject_source for clip in data.clips}
    return "file" if "file" in sources else " and ".join(sorted(sources))


def report_folder(out: str | os.PathLike[str]) -> Path:
    """Where the report on a bundle goes: beside it."""
    return Path(out).with_name(f"{Path(out).name}-report")


def progress_folder(out: str | os.PathLike[str]) -> Path:
    """Where finished folds wait for the rest: beside the bundle, hidden."""
    return Path(out).with_name(f".{Path(out).name}.progress")


def _protocol_text(by: Protocol, given: bool, n_folds: int, altered: AlteredCopies | None) -> str:
    """Name a protocol as it stands beside a figure."""
    if given:
        text = "given split, subjects apart"
    elif by is GROUPED:
        text = f"grouped {n_folds}-fold"
    else:
        text = f"{by.name}: {by.summary}"
    if altered is not None:
        text += f", training clips with altered copies ({altered.n_of_each} each)"
    return text if by.is_clean else f"{text}; not a measure of skill"


def _modality_sets(recipe: Sequence[Branch], settings: Settings) -> dict[tuple[str, ...], set[str]]:
    """Sets of modalities that a clip may bring, and the branches that each silences."""
    modality = {
        b.name: (FACE if isinstance(settings.get(b.feature), FaceConfig) else SOUND)
        if b.feature in settings
        else b.feature
        for b in recipe
    }
    everything = tuple(dict.fromkeys(modality.values()))
    sets: dict[tuple[str, ...], set[str]] = {everything: set()}
    if len(everything) > 1:
        for one in everything:
            sets[(one,)] = {name for name, m in modality.items() if m != one}
    return sets


def _facts(
    known: TrainingSet,
    recipe: Sequence[Branch],
    settings: Settings,
    folds: Sequence[np.ndarray],
    seed: int,
    by: Protocol,
) -> dict[str, Any]:
    """What tells this training from any other."""
    samples = known.samples
    arrays = {**samples.features, "labels": samples.labels}
    arrays.update(subjects=samples.subjects, clips=samples.clips)
    return {
        "data": data_sha256(arrays),
        # Clips without a sample are judged too, and give the prior its shares.
        "clips": [[clip.label, clip.subject] for clip in known.data.clips],
        "labels": list(known.labels),
        "recipe": [branch.name for branch in recipe],
        "settings": {name: to_json(config) for name, config in settings.items()},
        "folds": [fold.tolist() for fold in folds],
        "seed": seed,
        "protocol": by.name,
        "augment": 0 if known.altered is None else known.altered.n_of_each,
        "versions": {"python": platform.python_version(), **{n: version(n) for n in _VERSIONED}},
    }
