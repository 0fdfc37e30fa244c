"""Labelled videos or sound, or one's own features, become a bundle of branches and ensemble."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from cryvision.argument_types import typed
from cryvision.bundle import Bundle
from cryvision.config import FaceConfig, SoundConfig
from cryvision.datasets.format_confounds import format_warnings
from cryvision.datasets.labelled import Dataset, LabelledClip, joined_sources
from cryvision.errors import CryvisionError, MissingDependencyError
from cryvision.inference.branch_inputs import FACE
from cryvision.layers import require
from cryvision.training.arrays import array_samples
from cryvision.training.branches import Branch, Watch, autoencoder_branch, head_branch
from cryvision.training.clip_features import crying_windows, unfamiliar_gate
from cryvision.training.options import SoundOptions, SystemOptions, VideoOptions
from cryvision.training.saving import Settings, Trained
from cryvision.training.stacking import Samples
from cryvision.training.systems import CHA_BAE_SOUNDS, CRY
from cryvision.training.tensorboard import CurveLog
from cryvision.training.train_stack import check_targets, report_folder, train_stack
from cryvision.training.training_set import TrainingSet, Windows, divide_clips, find_clips

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from cryvision.training.options import SoundValues, VideoValues

SOUND_PROGRESS_EVERY = 50
"""Clips of sound are read faster than videos, of each of which there is a line."""

log = logging.getLogger(__name__)


@typed
def train(
    source: str | os.PathLike[str], out: str | os.PathLike[str], **options: Unpack[VideoValues]
) -> Bundle:
    """Train the multimodal system of Cha & Bae, or another published one, on labelled videos.

    Cha & Bae have branches on MFCC, on STFT and on the face, and their ensemble; each is measured
    on held-out subjects, together and by modality. The others use sound only.

    Parameters
    ----------
    source : path
        A folder per class, a manifest or donateacry-corpus; see
        `cryvision.datasets.labelled.find_labelled_clips`. Any labels, not only reasons of crying.
    out : path
        The bundle to write: a folder, or a file whose name ends in ``.zip``. A report with
        figures is written beside it, and finished folds are kept beside it until all is done:
        a second start goes on where the first was stopped.
    **options
        The fields of `cryvision.training.options.VideoOptions`, such as ``gate`` and ``n_folds``.

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
    return train_with(source, out, VideoOptions(**options)).bundle


def train_with(
    source: str | os.PathLike[str], out: str | os.PathLike[str], options: VideoOptions
) -> Trained:
    """Train as `train` does, and list the clips that were left out."""
    require("train", "training")
    system = options.system
    check_targets(out, options.overwrite)
    curves = None if options.tensorboard is None else CurveLog(options.tensorboard)
    divided = find_clips(source, options)
    for line in [*divided.data.problems, *_remarks(divided.data)]:
        log.warning("%s", line)
    gate_bundle = Bundle.load() if options.gate == system.gate == CRY else None
    chooser = None if gate_bundle is None else unfamiliar_gate(divided.data.clips)
    samples, unreadable, settings = clip_features(
        divided.data, divided.labels, chooser, options.faces, options.require_face, options.cache,
        system.settings,
    )  # fmt: skip
    windows = _windows_of_copies(divided.labels, settings, chooser)
    split = divided.with_samples(samples, unreadable, windows)
    recipe = system.recipe
    if options.faces is not None:
        recipe = recipe_for(settings, None if curves is None else curves.write)
    bundle = train_stack(split, recipe, settings, out, gate=gate_bundle, curves=curves)
    return Trained(bundle, split.left_out, report_folder(out))


def _windows_of_copies(
    labels: Sequence[str], settings: Settings, chooser: Bundle | None
) -> Windows | None:
    """What computes the windows of altered copies; None where there is no sound to alter."""
    sounds = {name: c for name, c in settings.items() if isinstance(c, SoundConfig)}
    if not sounds:
        return None
    return lambda clips: crying_windows(clips, labels, sounds, chooser, _progress)[0]


@typed
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
    return train_sound_with(corpus, out, SoundOptions(**options)).bundle


def train_sound_with(
    corpus: str | os.PathLike[str] | None, out: str | os.PathLike[str], options: SoundOptions
) -> Trained:
    """Train as `train_audio_only` does, and list the clips that were left out."""
    require("train", "training")
    check_targets(out, options.overwrite)
    if corpus is None:
        from cryvision.datasets.donateacry import fetch_donateacry

        corpus = fetch_donateacry()
    system = options.system
    divided = find_clips(corpus, options)
    for remark in divided.data.problems:
        log.warning("%s", remark)
    shipped = chooser = None
    if system.gate == CRY:
        shipped, chooser = Bundle.load(), _chooser(options.gate, divided.data.clips)

    def windows(clips: Sequence[LabelledClip]) -> tuple[Samples, dict[int, str]]:
        return crying_windows(clips, divided.labels, system.settings, chooser, _sound_progress)

    samples, unreadable = windows(divided.data.clips)
    split = divided.with_samples(samples, unreadable, lambda clips: windows(clips)[0])
    bundle = train_stack(split, system.recipe, system.settings, out, gate=shipped)
    return Trained(bundle, split.left_out, report_folder(out))


def _chooser(gate: Bundle | str | os.PathLike[str] | None, clips: Sequence[LabelledClip]) -> Bundle:
    if gate is None:
        return unfamiliar_gate(clips)
    return gate if isinstance(gate, Bundle) else Bundle.load(gate)


def _sound_progress(done: int, total: int) -> None:
    if done % SOUND_PROGRESS_EVERY == 0:
        log.info("clip %d of %d", done, total)


@typed
def train_arrays(
    features: Mapping[str, ArrayLike],
    labels: Iterable[str | int],
    subjects: Iterable[str | int],
    out: str | os.PathLike[str],
    *,
    n_folds: int = 5,
    seed: int = 0,
    overwrite: bool = False,
) -> Bundle:
    """Train branches and their ensemble on features of your own, such as tables of openSMILE.

    Parameters
    ----------
    features : mapping of str to array_like of float, shape (n, d)
        Sets of features by name: lower-case letters, digits, ``-`` and ``_``. A row that holds
        NaN lacks that set.
    labels : iterable of str or int, length n
        The class of each row.
    subjects : iterable of str or int, length n
        Of each row; no subject is on both sides of a split.
    out : path
        The bundle to write, and a report beside it; see `train`.
    n_folds, seed, overwrite
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
    require("train", "training")
    options = SystemOptions(n_folds=n_folds, seed=seed, overwrite=overwrite)
    check_targets(out, overwrite)
    samples, remarks = array_samples(features, tuple(labels), tuple(subjects))
    clips = [
        LabelledClip(Path(f"row-{i}"), str(label), str(subject), "manifest")
        for i, (label, subject) in enumerate(zip(labels, subjects, strict=True))
    ]
    divided = divide_clips("arrays", Dataset(tuple(clips), tuple(remarks)), options)
    for line in remarks:
        log.warning("%s", line)
    recipe = tuple(head_branch(name) for name in samples.features)
    split = TrainingSet(**vars(divided), samples=_with_anything(samples))
    return train_stack(split, recipe, {}, out)


def recipe_for(settings: Settings, watch: Watch | None = None) -> tuple[Branch, ...]:
    """Give Cha & Bae's branches for features: autoencoders on sound, a head on the face."""
    return tuple(
        (head_branch if isinstance(config, FaceConfig) else autoencoder_branch)(name, watch)
        for name, config in settings.items()
    )


def _remarks(data: Dataset) -> list[str]:
    """List what makes it doubtful that skill can be measured."""
    remarks = format_warnings(data.clips)
    if joined_sources(data.clips) == "file":
        remarks.append(
            "subjects are not known, so each file counts as one: the bundle is never said to have "
            "skill; give a subject pattern or a manifest"
        )
    return remarks


def clip_features(
    data: Dataset,
    labels: Sequence[str],
    gate: Bundle | None,
    face: FaceConfig | None,
    require_face: bool,
    cache: str | os.PathLike[str] | None,
    sounds: Mapping[str, SoundConfig] = CHA_BAE_SOUNDS,
) -> tuple[Samples, dict[int, str], Settings]:
    """Compute the features of all clips; without faces where this machine cannot look at them.

    Gives the windows that have any feature, a line on each clip that could not be read, by its
    number, and the settings of the features that some window has.
    """
    from cryvision.download import cache_folder

    folder = Path(cache) if cache is not None else cache_folder() / "features"
    settings: dict[str, Any] = {**sounds, **({FACE: face} if face else {})}
    try:
        samples, unreadable = crying_windows(
            data.clips, labels, sounds, gate, _progress, face, folder
        )
    except MissingDependencyError as error:
        if face is None or require_face:
            raise
        log.warning("the face branch is left out: %s", error)
        return clip_features(data, labels, gate, None, require_face, cache, sounds)
    for name in list(settings):
        if not samples.has(name).any():
            log.warning("the branch on %s is left out: no window of any clip has it", name)
            del settings[name], samples.features[name]
    if not settings:
        raise CryvisionError("training needs clips with sound or a face; none of these has any")
    return _with_anything(samples), unreadable, settings


def _progress(done: int, total: int) -> None:
    log.info("features of clip %d of %d", done, total)


def _with_anything(samples: Samples) -> Samples:
    """Leave out rows that have no feature at all: there is nothing to learn from them."""
    has_any = np.any([samples.has(name) for name in samples.features], axis=0)
    return samples if has_any.all() else samples[np.flatnonzero(has_any)]
