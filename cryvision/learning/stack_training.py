"""Samples of labelled clips become a bundle of branches and ensemble that knows its own skill."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from cryvision import bundle as bundles
from cryvision.branch_inputs import FACE
from cryvision.bundle import Bundle
from cryvision.config import FaceConfig, to_json
from cryvision.errors import ConfigError
from cryvision.labelling import NOT_APART
from cryvision.learning.augmentation import AlteredCopies
from cryvision.learning.branches import Branch
from cryvision.learning.checkpoints import Checkpoints, data_sha256
from cryvision.learning.copies import CopyPair
from cryvision.learning.crossvalidation import cross_validate_each, skill_entry
from cryvision.learning.datasets import Dataset
from cryvision.learning.protocols import GROUPED, Protocol, divide, kept_apart, overlap
from cryvision.learning.report import check_folder, write_report
from cryvision.learning.saving import Settings, save_stack
from cryvision.learning.splits import check_disjoint
from cryvision.learning.stacking import Samples, fit_stack

SOUND = "sound"

_VERSIONED = ("cryvision", "keras", "numpy", "scikit-learn", "scipy", "tensorflow")
"""Libraries whose version tells one training from another."""

Log = Callable[[str], None]


def train_stack(
    data: Dataset,
    samples: Samples,
    labels: Sequence[str],
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
    copies: Sequence[CopyPair] = (),
    altered: AlteredCopies | None = None,
    overwrite: bool = False,
    say: Log = lambda line: None,
) -> Bundle:
    """Measure a recipe on subjects that it has not seen, fit it on all, and save both.

    Finished folds are kept beside the bundle until all is done.

    Parameters
    ----------
    data : Dataset
        All clips that are judged, those without a sample among them.
    samples : Samples
        ``clips`` holds the number of each row's clip.
    labels : sequence of str
        The classes in order.
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
    copies : sequence of CopyPair
        Clips that hold the same sound, from `cryvision.learning.copies.copies_among`.
    altered : AlteredCopies, optional
        What the branches learn from besides.
    overwrite : bool
    say : callable
        Told in a line what is done.
    """
    folds = folds_of(data, labels, n_folds, seed, by)
    given = has_splits(data)
    apart = np.array(kept_apart(by, data.clips))
    samples = replace(samples, subjects=apart[samples.clips.astype(int)])
    more = None if altered is None else altered.samples
    if more is not None:
        more = replace(more, subjects=apart[more.clips.astype(int)])
    shared = overlap(data.clips, folds, copies)
    if by.warning:
        say(f"protocol {by.name}, not a measure of skill: {by.warning}")
    elif n_copies := shared["duplicates"] + shared["near_duplicates"]:
        say(
            f"{n_copies} judged clips hold a sound that is learnt from too, under another subject: "
            "the figures are too good; cryvision audit names the copies"
        )
    checkpoints = Checkpoints(
        progress_folder(out),
        {
            **_facts(data, samples, labels, recipe, settings, folds, seed, by),
            "about": dict(about or {}),
            "augment": 0 if altered is None else altered.n_of_each,
        },
    )
    sets = _modality_sets(recipe, settings)
    measured = cross_validate_each(
        recipe,
        samples,
        np.array([labels.index(clip.label) for clip in data.clips]),
        apart,
        folds,
        len(labels),
        seed,
        list(sets.values()),
        checkpoints,
        say,
        stops_on_test=by.stops_on_test,
        altered=more,
    )
    skill = [
        skill_entry(
            one,
            labels,
            part="ensemble",
            modalities=modalities,
            protocol=_protocol_text(by, given, len(folds), altered),
            subjects=subject_source(data) if by.is_clean else NOT_APART,
        )
        for modalities, units in zip(sets, measured, strict=True)
        for one in units
    ]
    say("fitting on all clips")
    stack = fit_stack(recipe, samples, len(labels), seed, say=say, altered=more)
    bundle = save_stack(
        stack, recipe, settings, samples, labels, out,
        seed=seed, skill=skill, corpus=corpus, gate=gate, overwrite=overwrite,
    )  # fmt: skip
    together = measured[0]
    of_together = skill[: len(together)]
    write_report(
        report_folder(out), *together, labels, of_together, stack.curves, data, shared,
        by.warning,
    )  # fmt: skip
    checkpoints.remove()
    return bundle


def class_names(data: Dataset) -> tuple[str, ...]:
    """Give the classes of a data set in alphabetical order; at least two."""
    labels = tuple(sorted({clip.label for clip in data.clips}))
    if len(labels) < 2:
        raise ConfigError(f"training needs clips of two classes or more; got {', '.join(labels)}")
    return labels


def check_places(out: str | os.PathLike[str], overwrite: bool) -> None:
    """Find out before any work whether bundle and report may be written."""
    bundles.check_target(out, overwrite)
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
        text += f", training clips with {altered.n_of_each} altered copies each"
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
    data: Dataset,
    samples: Samples,
    labels: Sequence[str],
    recipe: Sequence[Branch],
    settings: Settings,
    folds: Sequence[np.ndarray],
    seed: int,
    by: Protocol,
) -> dict[str, Any]:
    """What tells this training from any other."""
    arrays = {**samples.features, "labels": samples.labels}
    arrays.update(subjects=samples.subjects, clips=samples.clips)
    return {
        "data": data_sha256(arrays),
        # Clips without a sample are judged too, and give the prior its shares.
        "clips": [[clip.label, clip.subject] for clip in data.clips],
        "labels": list(labels),
        "recipe": [branch.name for branch in recipe],
        "settings": {name: to_json(config) for name, config in settings.items()},
        "folds": [fold.tolist() for fold in folds],
        "seed": seed,
        "protocol": by.name,
        "versions": {"python": platform.python_version(), **{n: version(n) for n in _VERSIONED}},
    }
