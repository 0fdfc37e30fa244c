"""Reasons from sound alone: a labelled corpus becomes a bundle that knows its own skill."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from cryvision.bundle import Bundle
from cryvision.datasets.labelled import LabelledClip, find_labelled_clips
from cryvision.datasets.near_duplicates import copies_among
from cryvision.datasets.protocols import protocol as find_protocol
from cryvision.datasets.protocols import with_copies
from cryvision.datasets.splits import check_numbers
from cryvision.layers import require
from cryvision.training.altered_copies import altered_copies, check_augment
from cryvision.training.clip_features import crying_windows, unfamiliar_gate
from cryvision.training.stacking import Samples
from cryvision.training.systems import CRY, System
from cryvision.training.systems import system as find_system
from cryvision.training.train_stack import (
    TrainingSet,
    check_places,
    check_subjects,
    class_names,
    folds_of,
    train_stack,
    without_unreadable,
)

Log = Callable[[str], None]


def train_audio_only(
    corpus: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] = "cryvision-donateacry",
    *,
    seed: int = 0,
    n_folds: int = 5,
    subject_pattern: str | None = None,
    gate: Bundle | str | os.PathLike[str] | None = None,
    arch: str | System = "cha-bae",
    protocol: str = "grouped",
    augment: int = 0,
    overwrite: bool = False,
    log: Log | None = None,
    on_problem: Log | None = None,
) -> Bundle:
    """Train a published sound system on a labelled corpus, and measure it on unseen subjects.

    Parameters
    ----------
    corpus : path, optional
        donateacry-corpus, a folder per class or a manifest; see
        `cryvision.datasets.labelled.find_labelled_clips`. Without one, donateacry-corpus is
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
        Whose detector chooses the crying windows that are learned from and judged. By default
        the one that ships, or for donateacry-corpus one that has heard none of its phones. The
        new bundle carries the default detector.
        Systems that take whole clips have no gate, and neither have their bundles.
    arch : str or System
        The name of one of `cryvision.training.systems.SYSTEMS`, or a changed copy of one.
    protocol : str
        One of `cryvision.datasets.protocols.PROTOCOLS`: how clips are divided. What is measured by
        one that does not keep subjects apart is never taken for skill.
    augment : int
        Altered copies of each training clip, in pitch, tempo, time, noise and coding, that the
        branches learn from too; see `cryvision.augmentation.variation.Variation`. They are made
        after the division, and none of a clip that is judged is ever learnt from.
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
    require("train", "training")
    say = log or (lambda line: None)
    check_numbers(n_folds, seed)
    check_places(out, overwrite)
    system, by = find_system(arch), find_protocol(protocol)
    check_augment(augment, by)
    gated = system.gate == CRY
    shipped = Bundle.load() if gated else None
    if corpus is None:
        from cryvision.datasets.donateacry import fetch_donateacry

        corpus = fetch_donateacry(log=say)
    data = find_labelled_clips(corpus, subject_pattern)
    labels = class_names(data)
    check_subjects(data)
    data = with_copies(by, data, seed)
    folds_of(data, labels, n_folds, seed, by)  # refuses before the clips are read
    for remark in data.problems:
        say(remark)
    chooser = _chooser(gate, data.clips) if gated else None

    def windows(clips: Sequence[LabelledClip]) -> tuple[Samples, dict[int, str]]:
        return crying_windows(
            clips,
            labels,
            system.settings,
            chooser,
            lambda done, total: say(f"clip {done} of {total}") if done % 50 == 0 else None,
        )

    samples, unreadable = windows(data.clips)
    for problem in unreadable.values():
        (on_problem or say)(problem)
    data, samples = without_unreadable(data, samples, unreadable)
    say("looking for copies among the clips")
    copies = copies_among(data.clips)
    altered = altered_copies(data, augment, samples, lambda clips: windows(clips)[0])
    return train_stack(
        TrainingSet(data, samples, labels, copies, altered), system.recipe, system.settings, out,
        gate=shipped, n_folds=n_folds, seed=seed, corpus=Path(corpus).name, by=by,
        about=system.facts(),
        overwrite=overwrite, say=say,
    )  # fmt: skip


def _chooser(gate: Bundle | str | os.PathLike[str] | None, clips: Sequence[LabelledClip]) -> Bundle:
    if gate is None:
        return unfamiliar_gate(clips)
    return gate if isinstance(gate, Bundle) else Bundle.load(gate)
