"""A cry detector from annotated recordings: out-of-fold scores, threshold, skill, bundle."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryvision.argument_types import typed
from cryvision.bundle import Bundle
from cryvision.bundle.saving import Description, check_target, own_source, source_name
from cryvision.config import SAMPLE_RATE_HZ, VetoConfig
from cryvision.datasets.labelled import joined_sources
from cryvision.datasets.splits import grouped_folds
from cryvision.detector_training.calibration import Calibration, calibrate, cross_fitted, decide
from cryvision.detector_training.lab_tagger import ChosenTagger, choose_tagger
from cryvision.detector_training.labelled_sound import (
    LabelledSound,
    altered_copies,
    synthetic_negatives,
)
from cryvision.detector_training.options import DetectorOptions
from cryvision.detector_training.pieces import fit_frame_network, step_logits
from cryvision.detector_training.recordings import MIN_LEVEL_DBFS, Cuttings, Recording
from cryvision.detector_training.saving import save_detector
from cryvision.detector_training.skill import detector_skill
from cryvision.detector_training.tag_scores import Tagger
from cryvision.detector_training.tagger_head import LEAST_NEGATIVES
from cryvision.errors import ConfigError, CryvisionError, MediaError
from cryvision.inputs.logmel import log_mel
from cryvision.layers import require
from cryvision.models.frame_network import EDGES
from cryvision.training.saving import Trained

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from cryvision.datasets.annotated import AnnotatedClip
    from cryvision.detector_training.options import DetectorValues

SHARES = {
    "own": 0.6,
    "own-copies": 0.2,
    "living": 0.04,
    "noise": 0.04,
    "tonal": 0.06,
    "music": 0.06,
}
SYNTHETIC_PER_FAMILY = 80
SYNTHETIC_SECONDS = 4.0

HOP_SECONDS = 2.0
"""From one piece of a recording to the next; of its three copies every second one is kept."""

MOST_PIECES = 30_000
"""About how many pieces are kept of the recordings and their copies (770 MB); seven hours have as
many, and more recordings are cut at a longer hop."""

log = logging.getLogger(__name__)


@typed
def train_detector(
    source: str | os.PathLike[str], out: str | os.PathLike[str], **options: Unpack[DetectorValues]
) -> Bundle:
    """Train a cry detector on annotated recordings and save it as a bundle.

    Parameters
    ----------
    source : path
        A folder of recordings with label files beside them, or a manifest CSV with the columns
        ``path``, ``labels`` and perhaps ``subject``; see `cryvision.datasets.annotated`.
    out : path
        The bundle to write: a folder, or a file whose name ends in ``.zip``.
    **options
        The fields of `cryvision.detector_training.options.DetectorOptions`, such as
        ``cry_labels`` and ``n_folds``.

    Returns
    -------
    Bundle
        With the edges, the tagger, gate and veto, and the skill measured on subjects that each
        fold's training had not seen.

    Raises
    ------
    AnnotationError, ConfigError, CryvisionError
        If nothing can be trained on, or the bundle cannot be written.
    """
    return train_with(source, out, DetectorOptions(**options)).bundle


def train_with(
    source: str | os.PathLike[str], out: str | os.PathLike[str], options: DetectorOptions
) -> Trained:
    """Train as `train_detector` does, and list the recordings that were left out."""
    require("train", "training")
    target, seed = check_target(out, options.overwrite), options.seed
    base = Bundle.load() if options.base is None else options.base
    clips, left_out = _annotated_clips(source, options)
    with tempfile.TemporaryDirectory(prefix="cryvision-") as folder:
        corpus = _read_clips(clips, base, seed, Path(folder))
        _check_labels(corpus.recordings, source)
        cuttings = Cuttings.joined(
            [
                corpus.cuttings,
                *(
                    Cuttings.of(sound, log_mel(sound.samples, EDGES), HOP_SECONDS)
                    for sound in synthetic_negatives(SYNTHETIC_PER_FAMILY, SYNTHETIC_SECONDS, seed)
                ),
            ]
        )
        folds = subject_folds(corpus.recordings, options.n_folds, seed)
        logits = out_of_fold_logits(corpus.recordings, cuttings, folds, SHARES, seed)
    subjects = joined_sources(clips)
    calibration, tagger, skill = _settled(
        corpus, logits, folds, base.veto, subjects, options.false_alarms_per_hour
    )
    log.info("%s", tagger.why)
    log.info("training on all recordings")
    edges = fit_frame_network(cuttings.pieces(SHARES), seed)
    name = target.stem if target.suffix.lower() == ".zip" else target.name
    origins = [
        *([] if base.tagger is None else base.sources),
        own_source(source_name(source)),
    ]
    description = Description(
        name, veto=tagger.veto, skill=[skill], sources=origins, seed=seed, notes=tagger.why
    )
    bundle = save_detector(
        edges, calibration, corpus.cuttings.log_power, out, description,
        tagger=tagger.model, base=base, overwrite=options.overwrite,
    )  # fmt: skip
    used = tuple(recording.clip for recording in corpus.recordings)
    return Trained(bundle, (*left_out, *corpus.unreadable), clips=used)


def _annotated_clips(
    source: str | os.PathLike[str], options: DetectorOptions
) -> tuple[list[AnnotatedClip], list[str]]:
    """Find annotated clips whose labels mean crying or not, and a line on each unusable one.

    What is odd about the labels is logged.
    """
    from cryvision.datasets.annotated import find_annotated_clips
    from cryvision.datasets.cry_labels import count_as_crying

    clips, problems = find_annotated_clips(source, options.subject_pattern)
    left_out = [problem.line for problem in problems]
    for line in left_out:
        log.warning("left out: %s", line)
    clips, counts, odd = count_as_crying(clips, options.cry_labels)
    for line in (*counts, *odd):
        log.info("%s", line)
    return clips, left_out


def _settled(
    corpus: _Corpus,
    logits: Sequence[np.ndarray],
    folds: Sequence[Collection[str]],
    veto: VetoConfig | None,
    subjects: str,
    false_alarms_per_hour: float | None,
) -> tuple[Calibration, ChosenTagger, dict[str, Any]]:
    """Choose threshold and tagger on out-of-fold scores of edges; measure them."""
    recordings = corpus.recordings
    calibration = calibrate(recordings, logits, false_alarms_per_hour)
    decided = [decide(r, own, calibration) for r, own in zip(recordings, logits, strict=True)]
    tagger = choose_tagger(decided, veto, corpus.tagger, folds, subjects == "file")
    skill = detector_skill(
        tagger.retagged(cross_fitted(recordings, logits, folds, false_alarms_per_hour)),
        protocol=f"grouped {len(folds)}-fold",
        subjects=subjects,
        veto=tagger.veto,
    )
    return calibration, tagger, skill


@dataclass(frozen=True)
class _Corpus:
    """What is kept of the recordings, and the tagger that listened to them, if there is one."""

    recordings: list[Recording]
    cuttings: Cuttings
    tagger: Tagger | None
    unreadable: list[str]


def _read_clips(clips: Sequence[AnnotatedClip], base: Bundle, seed: int, folder: Path) -> _Corpus:
    """Read the recordings, one in memory at a time; their frames go into files of a folder."""
    from cryvision.datasets.annotated import cry_intervals
    from cryvision.datasets.cry_labels import inside
    from cryvision.inputs.media import read_sound

    recordings, cuttings, unreadable = [], [], []
    every = _every(clips)
    tagger = None
    if base.tagger is not None:
        n_negatives = sum(not cry_intervals(clip.intervals) for clip in clips)
        tagger = Tagger(base, MIN_LEVEL_DBFS, embedding=n_negatives >= LEAST_NEGATIVES)
    for number, clip in enumerate(clips):
        log.info("reading %d of %d: %s", number + 1, len(clips), clip.path)
        rng = np.random.default_rng([seed, number])
        try:
            samples = read_sound(clip.path)
            within, remarks = inside(clip, len(samples) / SAMPLE_RATE_HZ)
            cry = tuple(cry_intervals(within.intervals))
            sound = LabelledSound(samples, cry, clip.subject, "own", str(clip.path))
            altered = altered_copies(sound, rng)
        except MediaError as error:
            # Anything else would befall the other recordings as well.
            log.warning("left out: %s", error)
            unreadable.append(str(error))
            continue
        for remark in remarks:
            log.warning("%s", remark)
        frames = log_mel(sound.samples, EDGES)
        file = folder / f"{number}.npy"
        np.save(file, frames.log_power.astype(np.float16))
        tags = None if tagger is None else tagger.score(sound.samples, frames)
        recordings.append(replace(Recording.of(sound, frames), log_power=file, tags=tags))
        cuttings.append(Cuttings.of(sound, frames, every * HOP_SECONDS))
        for copy in altered:
            frames = log_mel(copy.samples, EDGES)
            cuttings.append(Cuttings.of(copy, frames, 2 * every * HOP_SECONDS))
    if not recordings:
        raise CryvisionError("no annotated recording could be read: there is nothing to train on")
    return _Corpus(recordings, Cuttings.joined(cuttings), tagger, unreadable)


def _every(clips: Sequence[AnnotatedClip]) -> int:
    """Which pieces to keep, so that they fit in memory: each, every second, ..."""
    from cryvision.inputs.media import probe

    seconds = 0.0
    for clip in clips:
        # What cannot be read is reported when it is read.
        with contextlib.suppress(MediaError):
            seconds += probe(clip.path).duration_s or 0.0
    n_pieces = (1 + 3 / 2) * seconds / HOP_SECONDS
    return max(1, math.ceil(n_pieces / MOST_PIECES))


def _check_labels(recordings: Sequence[Recording], source: str | os.PathLike[str]) -> None:
    for label, what in ((1, "crying"), (0, "no crying")):
        if not any(_has(recording, label) for recording in recordings):
            raise ConfigError(
                f"training needs sound with crying and without; {os.fspath(source)} has none "
                f"with {what}"
            )


def _has(recording: Recording, label: int) -> bool:
    """Whether a recording has a step of a label that is loud enough to be scored."""
    return bool(np.any((recording.labels == label) & recording.scored))


def subject_folds(recordings: Sequence[Recording], n_folds: int, seed: int) -> list[set[str]]:
    """Divide the subjects into folds of about the same share of crying.

    There are fewer folds where so many would leave one of them without a subject, or nothing but
    crying (or no crying at all) in the others, which train and calibrate for it. Subjects that
    cannot be divided even into two folds are a ConfigError.
    """
    subjects = [recording.subject for recording in recordings]
    mostly_cry = [bool(len(r.labels)) and np.mean(r.labels == 1) >= 0.5 for r in recordings]
    with_kind = [{r.subject for r in recordings if _has(r, label)} for label in (1, 0)]
    most = min(n_folds, len(set(subjects)), int(np.bincount(mostly_cry).max()))
    for n in range(most, 1, -1):
        rows = grouped_folds(subjects, mostly_cry, n, seed)
        folds = [{subjects[i] for i in fold} for fold in rows]
        if all(kind - fold for kind in with_kind for fold in folds):
            return folds
    with_cry, without = map(len, with_kind)
    raise ConfigError(
        "measuring skill needs crying of at least two subjects, and of two no crying, that folds "
        f"can keep apart; got {with_cry} and {without} of {len(set(subjects))} subjects"
    )


def out_of_fold_logits(
    recordings: Sequence[Recording],
    cuttings: Cuttings,
    folds: Sequence[Collection[str]],
    shares: Mapping[str, float],
    seed: int,
) -> list[np.ndarray]:
    """Score each recording by edges that were trained without its subject.

    There is a file of its frames. The shares say how often each source of the cuttings is drawn.
    The logits have shape (n_steps,), minus infinity for steps below the energy gate: they are not
    scored.
    """
    logits = [np.full(len(recording.labels), -np.inf) for recording in recordings]
    for number, left_out in enumerate(folds):
        log.info("fold %d of %d", number + 1, len(folds))
        model = fit_frame_network(cuttings.pieces(shares, left_out), seed)
        for recording, own in zip(recordings, logits, strict=True):
            if recording.subject in left_out and recording.log_power is not None:
                scores = step_logits(model, np.load(recording.log_power))
                own[recording.scored] = scores[recording.scored]
    return logits
