"""Samples of labelled clips become a bundle of branches and ensemble that knows its own skill."""

from __future__ import annotations

import logging
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from cryvision.bundle import Bundle
from cryvision.bundle.saving import Description, check_target, own_source
from cryvision.config import FaceConfig, to_json
from cryvision.datasets.protocols import GROUPED, Protocol, kept_apart, overlap
from cryvision.evaluation.report import check_folder, write_report
from cryvision.evaluation.skill import skill_entry
from cryvision.inference.branch_inputs import FACE
from cryvision.inference.label_policy import NOT_APART
from cryvision.training.branches import Branch
from cryvision.training.checkpoints import Checkpoints, data_sha256
from cryvision.training.cross_validation import Division, Measured, cross_validate
from cryvision.training.fit_log import FitLog
from cryvision.training.saving import Settings, save_stack
from cryvision.training.stacking import fit_stack
from cryvision.training.tensorboard import CurveLog
from cryvision.training.training_set import TrainingSet, has_splits, subject_source

SOUND = "sound"

_VERSIONED = ("cryvision", "keras", "numpy", "scikit-learn", "scipy", "tensorflow")
"""Libraries whose version tells one training from another."""

log = logging.getLogger(__name__)


def train_stack(
    known: TrainingSet,
    recipe: Sequence[Branch],
    settings: Settings,
    out: str | os.PathLike[str],
    *,
    gate: Bundle | None = None,
    about: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    curves: CurveLog | None = None,
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
    gate : Bundle, optional
        Whose detector the new bundle carries.
    about : mapping, optional
        What else tells this training from another, as plain data: of the recipe, folds that were
        finished by another are not taken up.
    overwrite : bool
    curves : CurveLog, optional
        Gets the learning curves of all branches.
    """
    known = known.kept_apart()
    shared = overlap(known.data.clips, known.folds, known.copies)
    _warn(known.plan.by, shared)
    facts = {**_facts(known, recipe, settings), "about": dict(about or {})}
    checkpoints = Checkpoints(progress_folder(out), facts)
    measured = _cross_validated(known, recipe, settings, checkpoints, curves)
    skill = _skill(known, measured)
    log.info("fitting on all clips")
    seed, fits = known.plan.seed, FitLog(curves=curves)
    stack = fit_stack(
        recipe, known.samples, len(known.labels), seed, fits=fits, altered=known.altered_samples
    )
    description = Description(
        Path(out).stem,
        known.labels,
        skill=skill,
        sources=[*([] if gate is None else gate.sources), own_source(known.name)],
        seed=seed,
        command=" ".join(["cryvision", *sys.argv[1:]]),
    )
    bundle = save_stack(stack, recipe, settings, known.samples, out, description, gate, overwrite)
    together = next(iter(measured.values()))
    write_report(
        report_folder(out), together, known.labels, skill[: len(together)], stack.curves,
        known.data, shared, known.plan.by.warning,
    )  # fmt: skip
    checkpoints.remove()
    return bundle


def _cross_validated(
    known: TrainingSet,
    recipe: Sequence[Branch],
    settings: Settings,
    checkpoints: Checkpoints,
    curves: CurveLog | None,
) -> dict[tuple[str, ...], Measured]:
    """Clips and windows as they were judged, by the modalities that there were; all come first."""
    sets = _modality_sets(recipe, settings)
    clips, by = known.data.clips, known.plan.by
    division = Division(
        np.array([known.labels.index(clip.label) for clip in clips]),
        np.array(kept_apart(by, clips)),
        known.folds,
        len(known.labels),
        by.stops_on_test,
    )
    measured = cross_validate(
        recipe,
        known.samples,
        division,
        known.plan.seed,
        list(sets.values()),
        checkpoints,
        curves,
        known.altered_samples,
    )
    return dict(zip(sets, measured, strict=True))


def _skill(
    known: TrainingSet, measured: Mapping[tuple[str, ...], Measured]
) -> list[dict[str, Any]]:
    """Skill entries of the ensemble, by modalities and by unit."""
    return [
        skill_entry(
            one,
            known.labels,
            part="ensemble",
            modalities=modalities,
            protocol=_protocol_text(known),
            subjects=subject_source(known.data) if known.plan.by.is_clean else NOT_APART,
        )
        for modalities, units in measured.items()
        for one in units
    ]


def _warn(by: Protocol, shared: Mapping[str, int]) -> None:
    """Say what keeps the figures from being skill."""
    if by.warning:
        log.warning("protocol %s, not a measure of skill: %s", by.name, by.warning)
    elif n_copies := shared["duplicates"] + shared["near_duplicates"]:
        log.warning(
            "%d judged clips hold a sound that is learnt from too, under another subject: "
            "the figures are too good; cryvision audit names the copies",
            n_copies,
        )


def check_places(out: str | os.PathLike[str], overwrite: bool) -> None:
    """Find out before any work whether bundle and report may be written."""
    check_target(out, overwrite)
    check_folder(report_folder(out))


def report_folder(out: str | os.PathLike[str]) -> Path:
    """Where the report on a bundle goes: beside it."""
    return Path(out).with_name(f"{Path(out).name}-report")


def progress_folder(out: str | os.PathLike[str]) -> Path:
    """Where finished folds wait for the rest: beside the bundle, hidden."""
    return Path(out).with_name(f".{Path(out).name}.progress")


def _protocol_text(known: TrainingSet) -> str:
    """Name a protocol as it stands beside a figure."""
    by = known.plan.by
    if has_splits(known.data):
        text = "given split, subjects apart"
    elif by is GROUPED:
        text = f"grouped {len(known.folds)}-fold"
    else:
        text = f"{by.name}: {by.summary}"
    if known.altered is not None:
        text += f", training clips with altered copies ({known.altered.n_of_each} each)"
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


def _facts(known: TrainingSet, recipe: Sequence[Branch], settings: Settings) -> dict[str, Any]:
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
        "folds": [fold.tolist() for fold in known.folds],
        "seed": known.plan.seed,
        "protocol": known.plan.by.name,
        "augment": 0 if known.altered is None else known.altered.n_of_each,
        "versions": {"python": platform.python_version(), **{n: version(n) for n in _VERSIONED}},
    }
