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
from cryvision.errors import ConfigError, MissingDependencyError
from cryvision.learning.audio_only import (
    SOUNDS,
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
        Called with one line of progress, or one line on a clip that was left out.

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
    say, report = log or (lambda line: None), on_problem or log or (lambda line: None)
    if gate not in GATES:
        raise ConfigError(f"gate must be one of {', '.join(GATES)}; got {gate!r}")
    bundles.check_target(out, overwrite)
    data = find_labelled_clips(source, subject_pattern)
    labels = class_names(data)
    check_subjects(data)
    gate_bundle = Bundle.load() if gate == "cry" else None
    samples, unreadable, settings = _features(
        data, labels, gate_bundle, face or FaceConfig(), require_face, cache, say, report
    )
    for problem in [*data.problems, *unreadable]:
        report(problem)
    recipe = recipe_for(settings)
    return _fit_and_save(
        data, samples, labels, recipe, settings, out,
        gate=gate_bundle, n_folds=n_folds, seed=seed, overwrite=overwrite,
        corpus=Path(source).name, say=say,
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
        Sets of features by name; a row that one is missing for holds NaN.
    labels : sequence of str, length n
        The class of each row.
    subjects : sequence of str, length n
        Of each row; no subject is on both sides of a split.
    out : path
        The bundle to write.
    n_folds, seed, overwrite, log
        As for `train`.

    Returns
    -------
    Bundle
        It predicts by `Bundle.predict_arrays`; clips it cannot classify.

    Raises
    ------
    ConfigError
        If the arrays do not fit each other.
    """
    bundles.check_target(out, overwrite)
    samples, names = _array_samples(features, labels, subjects)
    clips = [
        LabelledClip(Path(f"row-{i}"), label, str(subject), "manifest")
        for i, (label, subject) in enumerate(zip(labels, subjects, strict=True))
    ]
    data = Dataset(tuple(clips), ())
    check_subjects(data)
    recipe = tuple(head_branch(name) for name in samples.features)
    return _fit_and_save(
        data, samples, names, recipe, {}, out,
        gate=None, n_folds=n_folds, seed=seed, overwrite=overwrite,
        corpus="arrays", say=log or (lambda line: None),
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
    """Divide clips by subject, or as the manifest does: ``test`` is judged, the rest trained on."""
    subjects = [clip.subject for clip in data.clips]
    if any(clip.split for clip in data.clips):
        test = np.array([i for i, clip in enumerate(data.clips) if clip.split == "test"], int)
        rest = np.setdiff1d(np.arange(len(subjects)), test)
        if not len(test) or not len(rest):
            raise ConfigError("given splits must hold clips for 'test' and others to train on")
        check_disjoint([subjects[i] for i in rest], [subjects[i] for i in test])
        return [test]
    indices = [labels.index(clip.label) for clip in data.clips]
    return grouped_folds(subjects, indices, min(n_folds, len(set(subjects))), seed)


def _features(
    data: Dataset,
    labels: Sequence[str],
    gate: Bundle | None,
    face: FaceConfig,
    require_face: bool,
    cache: str | os.PathLike[str] | None,
    say: Log,
    report: Log,
) -> tuple[Samples, list[str], Settings]:
    """Features of all clips; without faces where this machine cannot look at them."""
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
        report(f"the face branch is left out: {error}")
        del settings[FACE]
        samples, unreadable = crying_windows(
            data.clips, labels, SOUNDS, gate, progress, None, folder
        )
    for name in list(settings):
        if not samples.has(name).any():
            report(f"the branch on {name} is left out: no window of any clip has it")
            del settings[name], samples.features[name]
    return samples, unreadable, settings


def _array_samples(
    features: Mapping[str, ArrayLike], labels: Sequence[str], subjects: Sequence[str]
) -> tuple[Samples, tuple[str, ...]]:
    n = len(labels)
    if len(subjects) != n:
        raise ConfigError(f"subjects must be one a label; got {len(subjects)} and {n}")
    tables = {name: np.asarray(values, np.float32) for name, values in features.items()}
    for name, table in tables.items():
        if table.ndim != 2 or len(table) != n or not table.shape[1]:
            raise ConfigError(
                f"the feature {name!r} must have shape ({n}, d), d at least 1; got {table.shape}"
            )
        if np.isinf(table).any() or np.isnan(table).all():
            raise ConfigError(f"the feature {name!r} must hold finite numbers, NaN where missing")
    if not tables:
        raise ConfigError("features must hold at least one array; got none")
    names = tuple(sorted(set(labels)))
    if len(names) < 2:
        raise ConfigError(f"training needs rows of two classes or more; got {', '.join(names)}")
    rows = np.arange(n).astype(str)
    codes = np.array([names.index(label) for label in labels])
    return Samples(tables, codes, np.asarray(subjects, str), rows), names


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
    recipe: Sequence[Branch],
    settings: Settings,
    out: str | os.PathLike[str],
    *,
    gate: Bundle | None,
    n_folds: int,
    seed: int,
    overwrite: bool,
    corpus: str,
    say: Log,
) -> Bundle:
    from cryvision.learning.report import write_report

    folds = folds_of(data, labels, n_folds, seed)
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
    clips, windows = measured[0]
    write_report(report_folder(out), clips, windows, labels, skill, stack.curves, data)
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
        "versions": [platform.python_version(), version("keras"), version("tensorflow")],
    }
