"""Reasons from sound alone: a labelled corpus becomes a bundle that knows its own skill."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from cryvision import bundle as bundles
from cryvision.bundle import Bundle
from cryvision.config import SoundConfig, to_json
from cryvision.errors import ConfigError
from cryvision.learning import crossvalidation
from cryvision.learning.branches import Branch, autoencoder_branch
from cryvision.learning.checkpoints import Checkpoints, data_sha256
from cryvision.learning.clip_windows import crying_windows
from cryvision.learning.crossvalidation import Measured, skill_entry
from cryvision.learning.datasets import Dataset, find_labelled_clips
from cryvision.learning.saving import save_stack
from cryvision.learning.splits import grouped_folds
from cryvision.learning.stacking import Samples, fit_stack

SOUNDS = {
    feature: SoundConfig(feature=feature, window_seconds=2.0, hop_seconds=0.5)
    for feature in ("mfcc", "stft")
}
"""What the branches hear: 2 s every 0.5 s."""

RECIPE: tuple[Branch, ...] = tuple(autoencoder_branch(feature) for feature in SOUNDS)
"""Cha & Bae's sound branches."""

GATE_FOLDER = Path(bundles.__file__).parent / "bundles" / "gate"
"""A detector that was trained without donateacry-corpus: no phone of it is on both sides."""

VERSIONED = ("cryvision", "keras", "numpy", "scikit-learn", "scipy", "tensorflow")
"""Libraries whose version tells one training from another."""

Log = Callable[[str], None]


def train_audio_only(
    corpus: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] = "cryvision-donateacry",
    *,
    seed: int = 0,
    n_folds: int = 5,
    subject_pattern: str | None = None,
    gate: Bundle | str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    log: Log | None = None,
    on_problem: Log | None = None,
) -> Bundle:
    """Train the published sound models on a labelled corpus and measure them on unseen subjects.

    Parameters
    ----------
    corpus : path, optional
        donateacry-corpus, a folder per class or a manifest; see
        `cryvision.learning.datasets.find_labelled_clips`. Without one, donateacry-corpus is
        downloaded to the user's cache.
    out : path
        The bundle to write: a folder, or a file whose name ends in ``.zip``. A report with
        figures is written beside it, and finished folds are kept beside it until all is done:
        a second start goes on where the first was stopped.
    seed : int
        Of folds and weights: the same seed, data and versions give the same bundle.
    n_folds : int
        Folds by subject.
    subject_pattern : str, optional
        Regular expression on a clip's path below the corpus; its first group is the subject.
    gate : Bundle or path, optional
        Whose detector chooses the crying windows that are learned from and judged. By default one
        that was not trained on donateacry-corpus. The new bundle carries the default detector.
    overwrite : bool
        Whether to replace an older bundle.
    log, on_problem : callable, optional
        Called with one line of progress, or one line on a clip that was left out.

    Returns
    -------
    Bundle
        With the default detector, the branches, their ensemble, and the skill measured on
        subjects that each fold had not seen.

    Raises
    ------
    AnnotationError, ConfigError, CryvisionError
        If nothing can be trained on, or the bundle cannot be written.
    DownloadError
        If the corpus has to be downloaded and cannot be.
    """
    from cryvision.learning.report import check_folder, write_report

    say = log or (lambda line: None)
    if not 0 <= seed < 2**32:
        raise ConfigError(f"seed must be 0 to {2**32 - 1}; got {seed}")
    bundles.check_target(out, overwrite)
    check_folder(report_folder(out))
    shipped = Bundle.load()
    if corpus is None:
        from cryvision.learning.corpus import fetch_donateacry

        corpus = fetch_donateacry(log=say)
    data = find_labelled_clips(corpus, subject_pattern)
    labels = class_names(data)
    gate_bundle = gate if isinstance(gate, Bundle) else Bundle.load(gate or GATE_FOLDER)
    samples, unreadable = crying_windows(
        data.clips,
        labels,
        SOUNDS,
        gate_bundle,
        lambda done, total: say(f"clip {done} of {total}") if done % 50 == 0 else None,
    )
    for remark in data.problems:
        say(remark)
    for problem in unreadable:
        (on_problem or say)(problem)
    checkpoints = Checkpoints(
        progress_folder(out), _facts(data, samples, labels, seed, n_folds, gate_bundle)
    )
    clips, windows = measure(data, labels, samples, RECIPE, n_folds, seed, checkpoints, say)
    say("fitting on all clips")
    stack = fit_stack(RECIPE, samples, len(labels), seed, n_folds, say)
    skill = [
        skill_entry(
            measured,
            labels,
            part="ensemble",
            modalities=("sound",),
            protocol=f"grouped {n_folds}-fold",
            subjects=subject_source(data),
        )
        for measured in (clips, windows)
    ]
    bundle = save_stack(
        stack, RECIPE, SOUNDS, samples, labels, out,
        seed=seed, skill=skill, corpus=Path(corpus).name, gate=shipped, overwrite=overwrite,
    )  # fmt: skip
    write_report(report_folder(out), clips, windows, labels, skill, stack.curves, data)
    checkpoints.remove()
    return bundle


def class_names(data: Dataset) -> tuple[str, ...]:
    """Give the classes of a data set in alphabetical order; at least two."""
    labels = tuple(sorted({clip.label for clip in data.clips}))
    if len(labels) < 2:
        raise ConfigError(f"training needs clips of two classes or more; got {', '.join(labels)}")
    return labels


def measure(
    data: Dataset,
    labels: Sequence[str],
    samples: Samples,
    recipe: Sequence[Branch],
    n_folds: int,
    seed: int,
    checkpoints: Checkpoints | None = None,
    say: Log = lambda line: None,
) -> tuple[Measured, Measured]:
    """Measure a recipe by clip and by window, folds by subject; see `cross_validate`."""
    clip_labels = np.array([labels.index(clip.label) for clip in data.clips])
    clip_subjects = np.array([clip.subject for clip in data.clips])
    folds = grouped_folds(clip_subjects.tolist(), clip_labels.tolist(), n_folds, seed)
    return crossvalidation.cross_validate(
        recipe, samples, clip_labels, clip_subjects, folds, len(labels), seed, checkpoints, say
    )


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


def _facts(
    data: Dataset, samples: Samples, labels: Sequence[str], seed: int, n_folds: int, gate: Bundle
) -> dict[str, Any]:
    """What tells this training from any other."""
    arrays = {**samples.features, "labels": samples.labels}
    arrays.update(subjects=samples.subjects, clips=samples.clips)
    return {
        "data": data_sha256(arrays),
        # The folds are drawn from all clips, those without a crying window too.
        "clips": [[clip.label, clip.subject] for clip in data.clips],
        "recipe": [branch.name for branch in RECIPE],
        "labels": list(labels),
        "sounds": {name: to_json(config) for name, config in SOUNDS.items()},
        "seed": seed,
        "n_folds": n_folds,
        "gate": gate.sha256,
        "versions": {"python": platform.python_version(), **{n: version(n) for n in VERSIONED}},
    }
