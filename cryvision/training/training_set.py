"""Labelled clips, how they are divided, and what was computed from them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cryvision.bundle.saving import source_name
from cryvision.config import unusable_label
from cryvision.datasets.labelled import Dataset, LabelledClip, find_labelled_clips
from cryvision.datasets.near_duplicates import CopyPair, copies_among
from cryvision.datasets.protocols import GROUPED, clip_groups, divide, with_copies
from cryvision.datasets.splits import check_disjoint
from cryvision.errors import ConfigError
from cryvision.outputs.wording import counted
from cryvision.training.options import SystemOptions
from cryvision.training.stacking import Samples

log = logging.getLogger(__name__)

Windows = Callable[[Sequence[LabelledClip]], Samples]
"""Computes the windows of clips; ``clips`` holds each row's clip as its number in the sequence."""


@dataclass(frozen=True)
class DividedClips:
    """Clips of two classes or more, and their folds.

    ``name`` is that of what is trained on, ``data`` all clips that are tested, those without a
    sample among them, and ``folds`` the numbers of the test clips of each fold.
    """

    name: str
    data: Dataset
    labels: tuple[str, ...]
    options: SystemOptions
    folds: list[np.ndarray]

    def with_samples(
        self, samples: Samples, unreadable: Mapping[int, str], windows: Windows | None
    ) -> TrainingSet:
        """Put what was computed beside the clips, and look for copies; make altered ones.

        Clips that could not be read, a line on each by its number, are left out. Without
        ``windows``, which computes those of altered copies, none are made.
        """
        for problem in unreadable.values():
            log.warning("left out: %s", problem)
        data, folds = self.data, self.folds
        if unreadable:
            data, samples = without_unreadable(data, samples, unreadable)
            check_subjects(data, self.labels)
            folds = folds_of(data, self.labels, self.options)
        log.info("looking for copies among the clips")
        copies = copies_among(data.clips)
        altered = None
        if windows is not None:
            altered = altered_copies(data, self.options.augment, samples, windows)
        elif self.options.augment:
            log.warning("no clip has sound that could be altered: nothing is augmented")
        return TrainingSet(
            self.name, data, self.labels, self.options, folds, samples, copies, altered,
            tuple(unreadable.values()),
        )  # fmt: skip


@dataclass(frozen=True)
class TrainingSet(DividedClips):
    """Divided clips, and what was computed from them.

    ``clips`` of the samples holds the number of each row's clip; ``copies`` are clips that hold the
    same sound, from `cryvision.datasets.near_duplicates.copies_among`; ``altered`` is what the
    branches learn from besides; ``left_out`` has a line on each clip that could not be read.
    """

    samples: Samples
    copies: Sequence[CopyPair] = ()
    altered: Samples | None = None
    left_out: tuple[str, ...] = ()

    def grouped(self) -> TrainingSet:
        """Give each row the group of the protocol in place of its subject."""
        groups = np.array(clip_groups(self.options.by, self.data.clips))

        def moved(samples: Samples) -> Samples:
            return replace(samples, subjects=groups[samples.clips.astype(int)])

        altered = None if self.altered is None else moved(self.altered)
        return replace(self, samples=moved(self.samples), altered=altered)


def find_clips(source: str | os.PathLike[str], options: SystemOptions) -> DividedClips:
    """Find labelled clips, as `find_labelled_clips` does, and divide them."""
    data = find_labelled_clips(source, options.subject_pattern)
    warn_of_unread(data)
    return divide_clips(source_name(source), data, options)


def warn_of_unread(data: Dataset) -> None:
    """Log that annotations beside clips are not read, where there are some."""
    if data.unread:
        log.warning(
            "%s: annotations beside clips (%s) are not read; the label of a clip is its folder",
            data.unread[0],
            counted(len(data.unread), "file"),
        )


def divide_clips(name: str, data: Dataset, options: SystemOptions) -> DividedClips:
    """Divide clips; what cannot be trained on or measured is refused."""
    labels = class_names(data)
    check_subjects(data, labels)
    data = with_copies(options.by, data, options.seed)
    return DividedClips(name, data, labels, options, folds_of(data, labels, options))


def class_names(data: Dataset) -> tuple[str, ...]:
    """Give the classes of a data set in alphabetical order; at least two."""
    labels = tuple(sorted({clip.label for clip in data.clips}))
    if len(labels) < 2:
        raise ConfigError(f"training needs clips of two classes or more; got {', '.join(labels)}")
    taken = unusable_label(labels)
    if taken is not None:
        raise ConfigError(f"a class must not have the name of a column; got {taken!r:.80}")
    return labels


def check_subjects(data: Dataset, labels: Sequence[str]) -> None:
    """Make sure that each class has clips of two subjects or more, or it could not be measured."""
    for label in labels:
        subjects = {clip.subject for clip in data.clips if clip.label == label}
        if len(subjects) < 2:
            got = f"one: {min(subjects)}" if subjects else "none that can be read"
            raise ConfigError(
                f"each class needs clips of at least two subjects; {label!r} has {got}"
            )


def has_splits(data: Dataset) -> bool:
    """Tell whether the data set's authors divided it."""
    return any(clip.split for clip in data.clips)


def folds_of(data: Dataset, labels: Sequence[str], options: SystemOptions) -> list[np.ndarray]:
    """Divide clips by a protocol, or as the manifest does: ``test``, and the rest for training.

    Gives the numbers of the test clips of each fold; one fold for splits that were given.
    """
    subjects = [clip.subject for clip in data.clips]
    if has_splits(data):
        if options.by is not GROUPED:
            raise ConfigError(
                f"clips that a manifest divides by its column 'split' take no protocol; got "
                f"{options.by.name}: leave out the one or the other"
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
        folds = [test]
    else:
        n_groups = len(set(clip_groups(options.by, data.clips)))
        folds = divide(options.by, data, min(options.n_folds, n_groups), options.seed)
    groups = np.array(clip_groups(options.by, data.clips), object)
    if any(len(set(np.delete(groups, test))) < 2 for test in folds):
        raise ConfigError(
            "training needs clips of two subjects or more beside those that are tested; got "
            f"{len(set(subjects))} subjects in all"
        )
    return folds


def without_unreadable(
    data: Dataset, samples: Samples, unreadable: Mapping[int, str]
) -> tuple[Dataset, Samples]:
    """Leave out the clips that could not be read; give the samples the numbers of the others."""
    if not unreadable:
        return data, samples
    readable = [number for number in range(len(data.clips)) if number not in unreadable]
    renumbered = {str(old): str(new) for new, old in enumerate(readable)}
    clips = np.array([renumbered[clip] for clip in samples.clips.tolist()])
    rest = Dataset(tuple(data.clips[number] for number in readable), data.problems)
    return rest, replace(samples, clips=clips)


def altered_copies(
    data: Dataset, n_of_each: int, samples: Samples, windows: Windows
) -> Samples | None:
    """Compute the windows of altered copies of all clips, made after the division.

    Branches learn from them, no more: a copy goes where its clip's subject goes, so none is trained
    on while its clip is tested, and the ensemble, the calibration and every figure are of the clips
    as they were recorded. Copies are always the same: see `cryvision.augmentation.variation`. What
    they lack of the features of the clips' samples, such as faces, is NaN; ``clips`` holds the
    number of the clip that a row's copy was made of: a clip and its copies count as much as a clip
    without any.
    """
    if not n_of_each:
        return None
    numbers = np.repeat(np.arange(len(data.clips)), n_of_each)
    clips = [
        replace(data.clips[number], copy=1 + row % n_of_each)
        for row, number in enumerate(numbers.tolist())
    ]
    altered = windows(clips)
    features = {
        name: altered.features.get(name, np.full((len(altered), *of.shape[1:]), np.nan, of.dtype))
        for name, of in samples.features.items()
    }
    originals = numbers[altered.clips.astype(int)].astype(str)
    return replace(altered, features=features, clips=originals)
