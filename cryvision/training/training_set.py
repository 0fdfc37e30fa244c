"""Labelled clips, how they are divided, and what was computed from them."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cryvision.config import unusable_label
from cryvision.datasets.labelled import Dataset, find_labelled_clips
from cryvision.datasets.near_duplicates import CopyPair, copies_among
from cryvision.datasets.protocols import GROUPED, Protocol, clip_groups, divide, with_copies
from cryvision.datasets.splits import check_disjoint, check_numbers
from cryvision.errors import ConfigError
from cryvision.training.altered_copies import AlteredCopies, Windows, altered_copies, check_augment
from cryvision.training.stacking import Samples

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """How clips are divided, and what is made of them.

    Attributes
    ----------
    by : Protocol
        How clips are divided, unless the data set's authors did it.
    n_folds : int
        Folds by subject; see `folds_of`.
    seed : int
        Of the folds and of all weights.
    n_altered : int
        Altered copies of each clip.

    Raises
    ------
    ConfigError
        If these are not to be had.
    """

    by: Protocol = GROUPED
    n_folds: int = 5
    seed: int = 0
    n_altered: int = 0

    def __post_init__(self) -> None:
        check_numbers(self.n_folds, self.seed)
        check_augment(self.n_altered, self.by)


@dataclass(frozen=True)
class DividedClips:
    """Clips of two classes or more, and their folds.

    Attributes
    ----------
    name : str
        Of what is trained on.
    data : Dataset
        All clips that are tested, those without a sample among them.
    labels : tuple of str
        The classes in order.
    plan : Plan
    folds : list of ndarray of int
        Numbers of the test clips of each fold.
    """

    name: str
    data: Dataset
    labels: tuple[str, ...]
    plan: Plan
    folds: list[np.ndarray]

    def with_samples(
        self,
        samples: Samples,
        unreadable: Mapping[int, str],
        windows: Windows | None,
    ) -> TrainingSet:
        """Put what was computed beside the clips, and look for copies; make altered ones.

        Parameters
        ----------
        samples : Samples
        unreadable : mapping of int to str
            A line on each clip that could not be read, by its number: these are left out.
        windows : callable, optional
            Computes the windows of altered copies; none are made without it.
        """
        for problem in unreadable.values():
            log.warning("left out: %s", problem)
        data, samples = without_unreadable(self.data, samples, unreadable)
        folds = folds_of(data, self.labels, self.plan) if unreadable else self.folds
        log.info("looking for copies among the clips")
        copies = copies_among(data.clips)
        altered = None
        if windows is not None:
            altered = altered_copies(data, self.plan.n_altered, samples, windows)
        elif self.plan.n_altered:
            log.warning("no clip has sound that could be altered: nothing is augmented")
        return TrainingSet(
            self.name, data, self.labels, self.plan, folds, samples, copies, altered,
            tuple(unreadable.values()),
        )  # fmt: skip


@dataclass(frozen=True)
class TrainingSet(DividedClips):
    """Divided clips, and what was computed from them.

    Attributes
    ----------
    samples : Samples
        ``clips`` holds the number of each row's clip.
    copies : sequence of CopyPair
        Clips that hold the same sound, from `cryvision.datasets.near_duplicates.copies_among`.
    altered : AlteredCopies or None
        What the branches learn from besides.
    left_out : tuple of str
        A line on each clip that could not be read.
    """

    samples: Samples
    copies: Sequence[CopyPair] = ()
    altered: AlteredCopies | None = None
    left_out: tuple[str, ...] = ()

    def grouped(self) -> TrainingSet:
        """Give each row the group of the protocol in place of its subject."""
        groups = np.array(clip_groups(self.plan.by, self.data.clips))

        def moved(samples: Samples) -> Samples:
            return replace(samples, subjects=groups[samples.clips.astype(int)])

        altered = self.altered
        if altered is not None:
            altered = replace(altered, samples=moved(altered.samples))
        return replace(self, samples=moved(self.samples), altered=altered)

    @property
    def altered_samples(self) -> Samples | None:
        return None if self.altered is None else self.altered.samples


def find_clips(
    source: str | os.PathLike[str], subject_pattern: str | None, plan: Plan
) -> DividedClips:
    """Find labelled clips, as `find_labelled_clips` does, and divide them."""
    return divide_clips(Path(source).name, find_labelled_clips(source, subject_pattern), plan)


def divide_clips(name: str, data: Dataset, plan: Plan) -> DividedClips:
    """Divide clips; what cannot be trained on or measured is refused."""
    labels = class_names(data)
    check_subjects(data)
    data = with_copies(plan.by, data, plan.seed)
    return DividedClips(name, data, labels, plan, folds_of(data, labels, plan))


def class_names(data: Dataset) -> tuple[str, ...]:
    """Give the classes of a data set in alphabetical order; at least two."""
    labels = tuple(sorted({clip.label for clip in data.clips}))
    if len(labels) < 2:
        raise ConfigError(f"training needs clips of two classes or more; got {', '.join(labels)}")
    taken = unusable_label(labels)
    if taken is not None:
        raise ConfigError(f"a class must not have the name of a column; got {taken!r:.80}")
    return labels


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


def folds_of(data: Dataset, labels: Sequence[str], plan: Plan) -> list[np.ndarray]:
    """Divide clips by a protocol, or as the manifest does: ``test``, and the rest for training.

    Returns
    -------
    list of ndarray of int
        Numbers of the test clips of each fold; one for splits that were given.
    """
    subjects = [clip.subject for clip in data.clips]
    if has_splits(data):
        if plan.by is not GROUPED:
            raise ConfigError(
                f"clips that a manifest divides by its column 'split' take no protocol; got "
                f"{plan.by.name}: leave out the one or the other"
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
    n_groups = len(set(clip_groups(plan.by, data.clips)))
    return divide(plan.by, data, min(plan.n_folds, n_groups), plan.seed)


def without_unreadable(
    data: Dataset, samples: Samples, unreadable: Mapping[int, str]
) -> tuple[Dataset, Samples]:
    """Leave out the clips that could not be read.

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
    readable = [number for number in range(len(data.clips)) if number not in unreadable]
    renumbered = {str(old): str(new) for new, old in enumerate(readable)}
    clips = np.array([renumbered[clip] for clip in samples.clips.tolist()])
    rest = Dataset(tuple(data.clips[number] for number in readable), data.problems)
    return rest, replace(samples, clips=clips)


def subject_source(data: Dataset) -> str:
    """Where the subjects are known from: ``file`` if any clip counts as its own subject."""
    sources = {clip.subject_source for clip in data.clips}
    return "file" if "file" in sources else " and ".join(sorted(sources))
