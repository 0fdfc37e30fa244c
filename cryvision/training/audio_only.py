"""Reasons from sound alone: a labelled corpus becomes a bundle that knows its own skill."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from cryvision.bundle import Bundle
from cryvision.datasets.labelled import LabelledClip
from cryvision.datasets.protocols import protocol as find_protocol
from cryvision.layers import require
from cryvision.training.clip_features import crying_windows, unfamiliar_gate
from cryvision.training.stacking import Samples
from cryvision.training.systems import CRY, System
from cryvision.training.systems import system as find_system
from cryvision.training.train_stack import check_places, train_stack
from cryvision.training.training_set import Plan, find_clips

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
    plan = Plan(find_protocol(protocol), n_folds, seed, augment)
    check_places(out, overwrite)
    system = find_system(arch)
    gated = system.gate == CRY
    shipped = Bundle.load() if gated else None
    if corpus is None:
        from cryvision.datasets.donateacry import fetch_donateacry

        corpus = fetch_donateacry(log=say)
    divided = find_clips(corpus, subject_pattern, plan)
    for remark in divided.data.problems:
        say(remark)
    chooser = _chooser(gate, divided.data.clips) if gated else None

    def windows(clips: Sequence[LabelledClip]) -> tuple[Samples, dict[int, str]]:
        return crying_windows(clips, divided.labels, system.settings, chooser, _progress(say))

    samples, unreadable = windows(divided.data.clips)
    known = divided.with_samples(
        samples, unreadable, lambda clips: windows(clips)[0], say, on_problem or say
    )
    return train_stack(
        known, system.recipe, system.settings, out,
        gate=shipped, about=system.facts(), overwrite=overwrite, say=say,
    )  # fmt: skip


def _progress(say: Log) -> Callable[[int, int], None]:
    return lambda done, total: say(f"clip {done} of {total}") if done % 50 == 0 else None


def _chooser(gate: Bundle | str | os.PathLike[str] | None, clips: Sequence[LabelledClip]) -> Bundle:
    if gate is None:
        return unfamiliar_gate(clips)
    return gate if isinstance(gate, Bundle) else Bundle.load(gate)
