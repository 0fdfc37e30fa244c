"""Reasons from sound alone: a labelled corpus becomes a bundle with measured skill."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cryvision.bundle import Bundle
from cryvision.datasets.labelled import LabelledClip
from cryvision.layers import require
from cryvision.training.clip_features import crying_windows, unfamiliar_gate
from cryvision.training.options import SoundOptions
from cryvision.training.saving import Trained
from cryvision.training.stacking import Samples
from cryvision.training.systems import CRY
from cryvision.training.train_stack import check_targets, train_stack
from cryvision.training.training_set import find_clips

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from cryvision.training.options import SoundValues

log = logging.getLogger(__name__)

PROGRESS_EVERY = 50


def train_audio_only(
    corpus: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] = "cryvision-donateacry",
    **options: Unpack[SoundValues],
) -> Bundle:
    """Train a published sound system on a labelled corpus, and measure it on unseen subjects.

    Parameters
    ----------
    corpus : path, optional
        donateacry-corpus, a folder per class or a manifest; see
        `cryvision.datasets.labelled.find_labelled_clips`. Without one, donateacry-corpus is
        downloaded to the user's cache.
    out : path
        The bundle to write, and a report beside it; see `cryvision.train`.
    **options
        The fields of `cryvision.training.options.SoundOptions`, such as ``arch`` and ``augment``.

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
    return train_with(corpus, out, SoundOptions(**options)).bundle


def train_with(
    corpus: str | os.PathLike[str] | None, out: str | os.PathLike[str], options: SoundOptions
) -> Trained:
    """Train as `train_audio_only` does, and list the clips that were left out."""
    require("train", "training")
    check_targets(out, options.overwrite)
    system = options.system
    gated = system.gate == CRY
    shipped = Bundle.load() if gated else None
    if corpus is None:
        from cryvision.datasets.donateacry import fetch_donateacry

        corpus = fetch_donateacry()
    divided = find_clips(corpus, options.subject_pattern, options.plan)
    for remark in divided.data.problems:
        log.warning("%s", remark)
    chooser = _chooser(options.gate, divided.data.clips) if gated else None

    def windows(clips: Sequence[LabelledClip]) -> tuple[Samples, dict[int, str]]:
        return crying_windows(clips, divided.labels, system.settings, chooser, _progress)

    samples, unreadable = windows(divided.data.clips)
    split = divided.with_samples(samples, unreadable, lambda clips: windows(clips)[0])
    bundle = train_stack(
        split, system.recipe, system.settings, out,
        gate=shipped, about=system.facts(), overwrite=options.overwrite,
    )  # fmt: skip
    return Trained(bundle, split.left_out)


def _progress(done: int, total: int) -> None:
    if done % PROGRESS_EVERY == 0:
        log.info("clip %d of %d", done, total)


def _chooser(gate: Bundle | str | os.PathLike[str] | None, clips: Sequence[LabelledClip]) -> Bundle:
    if gate is None:
        return unfamiliar_gate(clips)
    return gate if isinstance(gate, Bundle) else Bundle.load(gate)
