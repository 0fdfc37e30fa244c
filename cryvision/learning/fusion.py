"""Labelled videos, or a laboratory's own features, become a bundle of branches and ensemble."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cryvision import bundle as bundles
from cryvision.branch_inputs import FACE
from cryvision.bundle import Bundle
from cryvision.config import FaceConfig, to_json
from cryvision.errors import ConfigError, CryvisionError, MissingDependencyError
from cryvision.learning.audio_only import (
    SOUNDS,
    VERSIONED,
    class_names,
    progress_folder,
    report_folder,
    subject_source,
)
from cryvision.learning.branches import Branch, autoencoder_branch, head_branch
from cryvision.learning.checkpoints import Checkpoints, data_sha256
from cryvision.learning.clip_windows import crying_windows
from cryvision.learning.crossvalidation import Measured, cross_validate_each, skill_entry
from cryvision.learning.datasets import Dataset, LabelledClip, find_labelled_clips
from cryvision.learning.formats import format_warnings
from cryvision.learning.own_features import array_samples
from cryvision.learning.report import check_folder, write_report
from cryvision.learning.saving import Settings, save_stack
from cryvision.learning.splits import check_disjoint, grouped_folds
from cryvision.learning.stacking import Samples, fit_stack

GATES = ("cry", "none")
SOUND = "sound"
Log = Callable[[str], None]


def train(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    face: FaceConfig | None = None,
    require_face: bool = False,
    gate: str = "cry",
    subject_pattern: str | None = None,
    n_folds: int = 5,
    seed: int = 0,
    cache: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    log: Log | None = None,
    on_problem: Log | None = None,
) -> Bundle:
    """Train the multimodal system of Cha & Bae on labelled videos.

    Branches on MFCC, on STFT and on the face, and their ensemble; each is measured on subjects
    that its training had not seen, together and by modality.

    Parameters
    ----------
    source : path
        A folder per class, a manifest or donateacry-corpus; see
        `cryvision.learning.datasets.find_labelled_clips`. Any labels, not only reasons of crying.
    out : path
        The bundle to write: a folder, or a file whose name ends in ``.zip``. A report with
        figures is written beside it, and finished folds are kept beside it until all is done:
        a second start goes on where the first was stopped.
    face : FaceConfig, optional
        How faces are found and described.
    require_face : bool
        Whether it is an error that faces cannot be looked at on this machine; by default the face
        branch is then left out.
    gate : {"cry", "none"}
        ``cry`` learns from and judges the windows that the default detector calls crying;
        ``none`` takes all of them.
    subject_pattern : str, optional
        Regular expression on a clip's path below the source; its first group is the subject.
        Where subjects are known neither so nor from a manifest, each file counts as one, and the
        bundle is never said to have skill.
    n_folds : int
        Folds by subject. Where a manifest gives splits, those are used instead.
    seed : int
    cache : path, optional
        Folder for the features of clips; below the user's cache by default.
    overwrite : bool
        Whether to replace an older bundle.
    log, on_problem : callable, optional
        Called with one line of progress or of what is worth knowing, and with one line on each
        clip that was left out.

    Returns
    -------
    Bundle

    Raises
    ------
    AnnotationError, ConfigError, CryvisionError
        If nothing can be trained on, or the bundle cannot be written.
    MissingDependencyError
        With ``require_face``, if the face detector or the backbone is not on this machine.
    """
    say = log or (lambda line: None)
    face = face or FaceConfig()
    _check_settings(gate, face)
    _check_places(out, overwrite)
    data = find_labelled_clips(source, subject_pattern)
    labels = class_names(data)
    check_subjects(data)
    folds = folds_of(data, labels, n_folds, seed)
    for line in _remarks(data):
        say(line)
    gate_bundle = Bundle.load() if gate == "cry" else None
    samples, unreadable, settings = clip_features(
        data, labels, gate_bundle, face, require_face, cache, say
    )
    for problem in [*data.problems, *unreadable]:
        (on_problem or say)(problem)
    return _fit_and_save(
        data, samples, labels, folds, recipe_for(settings), settings, out,
        gate=gate_bundle, seed=seed, overwrite=overwrite, corpus=Path(source).name, say=say,
    )  # fmt: skip


def train_arrays(
    features: Mapping[str, ArrayLike],
    labels: Sequence[str],
    subjects: Sequence[str],
    out: str | os.PathLike[str],
    *,
    n_folds: int = 5,
    seed: int = 0,
    overwrite: bool = False,
    log: Log | None = None,
) -> Bundle:
    """Train branches and their ensemble on features of your own, such as tables of openSMILE.

    Parameters
    ----------
    features : mapping of str to array_like of float, shape (n, d)
        Sets of features by name: lower-case letters, digits, ``-`` and ``_``. A row that holds
        NaN lacks that set.
    labels : sequence of str, length n
        The class of each row.
    subjects : sequence of str, length n
        Of each row; no subject is on both sides of a split.
    out : path
        The bundle to write, and a report beside it; see `train`.
    n_folds, seed, overwrite, log
        As for `train`.

    Returns
    -------
    Bundle
        It predicts by `Bundle.predict_arrays`, from the sets that a row has; clips it cannot
        classify. Its labels are in alphabetical order.

    Raises
    ------
    ConfigError
        If the arrays do not fit each other.
    """
    say = log or (lambda line: None)
    _check_places(out, overwrite)
    samples, remarks = array_samples(features, labels, subjects)
    clips = [
        LabelledClip(Path(f"row-{i}"), str(label), str(subject), "manifest")
        for i, (label, subject) in enumerate(zip(labels, subjects, strict=True))
    ]
    data = Dataset(tuple(clips), tuple(remarks))
    check_subjects(data)
    for line in remarks:
        say(line)
    recipe = tuple(head_branch(name) for name in samples.features)
    names = class_names(data)
    return _fit_and_save(
        data, _with_anything(samples), names, folds_of(data, names, n_folds, seed), recipe, {}, out,
        gate=None, seed=seed, overwrite=overwrite, corpus="arrays", say=say,
    )  # fmt: skip


def recipe_for(settings: Settings) -> tuple[Branch, ...]:
    """Give Cha & Bae's branches for features: autoencoders on sound, a head on the face."""
    return tuple(
        head_branch(name) if isinstance(config, FaceConfig) else autoencoder_branch(name)
        for name, config in settings.items()
    )


def check_subjects(data: Dataset) -> None:
    """Make sure that each class has clips of two subjects or more, or it could not be measured."""
    for label in sorted({clip.label for clip in data.clips}):
        subjects = {clip.subject for clip in data.clips if clip.label == label}
        if len(subjects) < 2:
            raise ConfigError(
                f"each class needs clips of at least two subjects; {label!r} has one: "
                f"{min(subjects)}"
            )


def folds_of(data: Dataset, labels: Sequence[str], n_folds: int, seed: int) -> list[np.ndarray]:
    """Divide clips by subject, or as the manifest does: ``test`` is judged, the rest trained on.

    Returns
    -------
    list of ndarray of int
        Numbers of the clips that are judged together; one for splits that were given.
    """
    subjects = [clip.subject for clip in data.clips]
    if any(clip.split for clip in data.clips):
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
    indices = [labels.index(clip.label) for clip in data.clips]
    return grouped_folds(subjects, indices, min(n_folds, len(set(subjects))), seed)


def _check_settings(gate: str, face: FaceConfig) -> None:
    if gate not in GATES:
        raise ConfigError(f"gate must be one of {', '.join(GATES)}; got {gate!r}")
    sound = next(iter(SOUNDS.values()))
    if (face.window_samples, face.hop_samples) != (sound.window_samples, sound.hop_samples):
        raise ConfigError(
            f"windows of faces must be those of sound, {sound.window_seconds:g} s every "
            f"{sound.hop_seconds:g} s; got {face.window_seconds:g} and {face.hop_seconds:g} s"
        )


def _check_places(out: str | os.PathLike[str], overwrite: bool) -> None:
    """Find out before any work whether bundle and report may be written."""
    bundles.check_target(out, overwrite)
    check_folder(report_folder(out))


def _remarks(data: Dataset) -> list[str]:
    """Say what makes it doubtful that skill can be learnt or measured."""
    remarks = format_warnings(data.clips)
    if subject_source(data) == "file":
        remarks.append(
            "subjects are not known, so each file counts as one: the bundle is never said to have "
            "skill; give a subject pattern or a manifest"
        )
    return remarks


def clip_features(
    data: Dataset,
    labels: Sequence[str],
    gate: Bundle | None,
    face: FaceConfig,
    require_face: bool,
    cache: str | os.PathLike[str] | None,
    say: Log,
) -> tuple[Samples, list[str], Settings]:
    """Compute the features of all clips; without faces where this machine cannot look at them.

    Returns
    -------
    samples : Samples
        Windows that have any feature.
    unreadable : list of str
        One line for each clip that could not be read.
    settings : dict of str to SoundConfig or FaceConfig
        Of the features that some window has.
    """
    from cryvision.download import cache_folder

    folder = Path(cache) if cache is not None else cache_folder() / "features"

    def progress(done: int, total: int) -> None:
        say(f"features of clip {done} of {total}")

    settings: dict[str, Any] = {**SOUNDS, FACE: face}
    try:
        samples, unreadable = crying_windows(
            data.clips, labels, SOUNDS, gate, progress, face, folder
        )
    except MissingDependencyError as error:
        if require_face:
            raise
        say(f"the face branch is left out: {error}")
        del settings[FACE]
        samples, unreadable = crying_windows(
            data.clips, labels, SOUNDS, gate, progress, None, folder
        )
    for name in list(settings):
        if not samples.has(name).any():
            say(f"the branch on {name} is left out: no window of any clip has it")
            del settings[name], samples.features[name]
    if not settings:
        raise CryvisionError("training needs clips with sound or a face; none of these has any")
    return _with_anything(samples), unreadable, settings


def _with_anything(samples: Samples) -> Samples:
    """Leave out rows that have no feature at all: there is nothing to learn from them."""
    known = np.any([samples.has(name) for name in samples.features], axis=0)
    return samples if known.all() else samples[np.flatnonzero(known)]


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


def _fit_and_save(
    data: Dataset,
    samples: Samples,
    labels: Sequence[str],
    folds: Sequence[np.ndarray],
    recipe: Sequence[Branch],
    settings: Settings,
    out: str | os.PathLike[str],
    *,
    gate: Bundle | None,
    seed: int,
    overwrite: bool,
    corpus: str,
    say: Log,
) -> Bundle:
    given = len(folds) == 1
    protocol = "given split, subjects apart" if given else f"grouped {len(folds)}-fold"
    checkpoints = Checkpoints(
        progress_folder(out), _facts(samples, labels, settings, folds, seed, gate)
    )
    clip_labels = np.array([labels.index(clip.label) for clip in data.clips])
    clip_subjects = np.array([clip.subject for clip in data.clips])
    sets = _modality_sets(recipe, settings)
    measured: list[tuple[Measured, Measured]] = cross_validate_each(
        recipe, samples, clip_labels, clip_subjects, folds, len(labels), seed,
        list(sets.values()), checkpoints, say,
    )  # fmt: skip
    skill = [
        skill_entry(
            one, labels, part="ensemble", modalities=modalities, protocol=protocol,
            subjects=subject_source(data),
        )
        for modalities, units in zip(sets, measured, strict=True)
        for one in units
    ]  # fmt: skip
    say("fitting on all clips")
    stack = fit_stack(recipe, samples, len(labels), seed, say=say)
    bundle = save_stack(
        stack, recipe, settings, samples, labels, out,
        seed=seed, skill=skill, corpus=corpus, gate=gate, overwrite=overwrite,
    )  # fmt: skip
    together = measured[0]
    of_together = skill[: len(together)]
    write_report(report_folder(out), *together, labels, of_together, stack.curves, data)
    checkpoints.remove()
    return bundle


def _facts(
    samples: Samples,
    labels: Sequence[str],
    settings: Settings,
    folds: Sequence[np.ndarray],
    seed: int,
    gate: Bundle | None,
) -> dict[str, Any]:
    """What tells this training from any other."""
    arrays = {**samples.features, "labels": samples.labels}
    arrays.update(subjects=samples.subjects, clips=samples.clips)
    return {
        "data": data_sha256(arrays),
        "labels": list(labels),
        "settings": {name: to_json(config) for name, config in settings.items()},
        "folds": [fold.tolist() for fold in folds],
        "seed": seed,
        "gate": None if gate is None else gate.sha256,
        "versions": {"python": platform.python_version(), **{n: version(n) for n in VERSIONED}},
    }
