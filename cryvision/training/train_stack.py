"""Samples of labelled clips become a bundle of branches and ensemble with measured skill."""

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
from cryvision.datasets.labelled import joined_sources
from cryvision.datasets.protocols import GROUPED, Protocol, clip_groups, overlap
from cryvision.evaluation.report import check_folder, write_report
from cryvision.evaluation.skill import skill_entry
from cryvision.inference.branch_inputs import FACE
from cryvision.inference.label_policy import NOT_APART
from cryvision.training.branches import Branch
from cryvision.training.checkpoints import Checkpoints, data_sha256
from cryvision.training.cross_validation import Division, Measured, cross_validate
from cryvision.training.saving import Settings, save_stack
from cryvision.training.stacking import fit_stack
from cryvision.training.tensorboard import CurveLog, FitLog
from cryvision.training.training_set import TrainingSet, has_splits

SOUND = "sound"

_VERSIONED = ("cryvision", "keras", "numpy", "scikit-learn", "scipy", "tensorflow")
"""Libraries whose version identifies a training."""

log = logging.getLogger(__name__)


def train_stack(
    split: TrainingSet,
    recipe: Sequence[Branch],
    settings: Settings,
    out: str | os.PathLike[str],
    *,
    gate: Bundle | None = None,
    curves: CurveLog | None = None,
) -> Bundle:
    """Measure a recipe on held-out subjects, fit it on all, and save both.

    Finished folds are kept beside the bundle until all is done; those of another training are not
    taken up. A report with figures is written there. A feature without settings is a laboratory's
    own; the new bundle carries the detector of ``gate``.
    """
    split = split.grouped()
    shared = overlap(split.data.clips, split.folds, split.copies)
    _warn(split.options.by, shared)
    checkpoints = Checkpoints(progress_folder(out), _facts(split, recipe, settings))
    measured = _cross_validated(split, recipe, settings, checkpoints, curves)
    skill = _skill(split, measured)
    log.info("fitting on all clips")
    seed, fits = split.options.seed, FitLog(curves=curves)
    stack = fit_stack(
        recipe, split.samples, len(split.labels), seed, fits=fits, altered=split.altered
    )
    description = Description(
        Path(out).stem,
        split.labels,
        skill=skill,
        sources=[*([] if gate is None else gate.sources), own_source(split.name)],
        seed=seed,
        command=" ".join(["cryvision", *sys.argv[1:]]),
    )
    bundle = save_stack(
        stack, recipe, settings, split.samples, out, description, gate, split.options.overwrite
    )
    together = next(iter(measured.values()))
    write_report(
        report_folder(out), together, split.labels, skill[: len(together)], stack.curves,
        split.data, shared, split.options.by.warning,
    )  # fmt: skip
    checkpoints.remove()
    return bundle


def _cross_validated(
    split: TrainingSet,
    recipe: Sequence[Branch],
    settings: Settings,
    checkpoints: Checkpoints,
    curves: CurveLog | None,
) -> dict[tuple[str, ...], Measured]:
    """Clips and windows out of fold, by the modalities that there were; all come first."""
    sets = _modality_sets(recipe, settings)
    clips, by = split.data.clips, split.options.by
    division = Division(
        np.array([split.labels.index(clip.label) for clip in clips]),
        np.array(clip_groups(by, clips)),
        split.folds,
        len(split.labels),
        by.stops_on_test,
    )
    measured = cross_validate(
        recipe,
        split.samples,
        division,
        split.options.seed,
        list(sets.values()),
        checkpoints,
        curves,
        split.altered,
    )
    return dict(zip(sets, measured, strict=True))


def _skill(
    split: TrainingSet, measured: Mapping[tuple[str, ...], Measured]
) -> list[dict[str, Any]]:
    return [
        skill_entry(
            one,
            split.labels,
            part="ensemble",
            modalities=modalities,
            protocol=_protocol_text(split),
            subjects=joined_sources(split.data.clips) if split.options.by.is_clean else NOT_APART,
        )
        for modalities, units in measured.items()
        for one in units
    ]


def _warn(by: Protocol, shared: Mapping[str, int]) -> None:
    """Warn of what keeps the figures from being skill."""
    if by.warning:
        log.warning("protocol %s, not a measure of skill: %s", by.name, by.warning)
    elif n_copies := shared["duplicates"] + shared["near_duplicates"]:
        log.warning(
            "%d test clips hold a sound that is also in training, under another subject: "
            "the figures are too good; cryvision audit names the copies",
            n_copies,
        )


def check_targets(out: str | os.PathLike[str], overwrite: bool) -> None:
    """Find out before any work whether bundle and report may be written."""
    check_target(out, overwrite)
    check_folder(report_folder(out))


def report_folder(out: str | os.PathLike[str]) -> Path:
    """Where the report on a bundle goes: beside it."""
    return Path(out).with_name(f"{Path(out).name}-report")


def progress_folder(out: str | os.PathLike[str]) -> Path:
    """Where finished folds wait for the rest: beside the bundle, hidden."""
    return Path(out).with_name(f".{Path(out).name}.progress")


def _protocol_text(split: TrainingSet) -> str:
    """Name a protocol as it stands beside a figure."""
    by = split.options.by
    if has_splits(split.data):
        text = "given split, subjects apart"
    elif by is GROUPED:
        text = f"grouped {len(split.folds)}-fold"
    else:
        text = f"{by.name}: {by.summary}"
    if split.altered is not None:
        text += f", training clips with altered copies ({split.options.augment} each)"
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


def _facts(split: TrainingSet, recipe: Sequence[Branch], settings: Settings) -> dict[str, Any]:
    samples = split.samples
    arrays = {**samples.features, "labels": samples.labels}
    arrays.update(subjects=samples.subjects, clips=samples.clips)
    return {
        "data": data_sha256(arrays),
        # Clips without a sample are tested too, and give the prior its shares.
        "clips": [[clip.label, clip.subject] for clip in split.data.clips],
        "labels": list(split.labels),
        "recipe": [branch.name for branch in recipe],
        "settings": {name: to_json(config) for name, config in settings.items()},
        "folds": [fold.tolist() for fold in split.folds],
        "seed": split.options.seed,
        "protocol": split.options.by.name,
        "about": split.options.system.facts(),
        "augment": 0 if split.altered is None else split.options.augment,
        "versions": {"python": platform.python_version(), **{n: version(n) for n in _VERSIONED}},
    }
