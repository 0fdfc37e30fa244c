"""A cry detector from annotated recordings: out-of-fold scores, threshold, skill, bundle."""

from __future__ import annotations

import contextlib
import math
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryvision import bundle as bundles
from cryvision.bundle import Bundle, Part
from cryvision.errors import ConfigError, CryvisionError, MediaError
from cryvision.learning import evaluation
from cryvision.learning.decisions import SOUND, Calibration, calibrate, cross_fitted, gate_for
from cryvision.learning.splits import check_numbers, grouped_folds
from cryvision.learning.training import detector_logits, fit_detector
from cryvision.learning.windows import (
    LabelledSound,
    Windows,
    altered_copies,
    concatenate,
    synthetic_negatives,
    windows_of,
)

if TYPE_CHECKING:
    import keras

    from cryvision.learning.annotations import AnnotatedClip

SHARES = {
    "own": 0.6,
    "own-copies": 0.2,
    "living": 0.04,
    "noise": 0.04,
    "tonal": 0.06,
    "music": 0.06,
}
SYNTHETIC_PER_FAMILY = 80
SYNTHETIC_SECONDS = 5.0
MOST_WINDOWS = 60_000
"""About how many windows are kept of the recordings (1 GB, and 1.5 GB of copies); an hour and
forty minutes have as many, and more recordings are cut at a longer hop."""

SMOOTH_SECONDS = 1.0
PARITY_WINDOWS = 500

Log = Callable[[str], None]


def train_detector(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    subject_pattern: str | None = None,
    cry_labels: Sequence[str] = (),
    false_alarms_per_hour: float | None = None,
    n_folds: int = 5,
    seed: int = 0,
    log: Log | None = None,
    on_problem: Log | None = None,
) -> Bundle:
    """Train a cry detector on annotated recordings and save it as a bundle.

    Parameters
    ----------
    source : path
        A folder of recordings with label files beside them, or a manifest CSV with the columns
        ``path``, ``labels`` and perhaps ``subject``; see `cryvision.learning.annotations`.
    out : path
        The bundle to write: a folder, or a file whose name ends in ``.zip``.
    overwrite : bool
        Whether to replace an older bundle.
    subject_pattern : str, optional
        Regular expression on a clip's path below the source; its first group is the subject.
        Where subjects are known neither so nor from the manifest, each file counts as one, and
        the detector is never said to have skill.
    cry_labels : sequence of str
        Labels that mean crying, beside ``cry`` and ``crying``.
    false_alarms_per_hour : float, optional
        Choose the threshold for at most this many false alarms an hour of recording; by default
        it is the one with the best F1 of windows.
    n_folds : int
        Folds by subject for the out-of-fold scores; fewer where there are fewer subjects.
    seed : int
        Of the folds, copies, negatives and weights.
    log, on_problem : callable, optional
        Called with one line of progress, or one line on a recording that was left out.

    Returns
    -------
    Bundle
        With the detector, its gate, and the skill measured on subjects that each fold's training
        had not seen.

    Raises
    ------
    AnnotationError, ConfigError, CryvisionError
        If nothing can be trained on, or the bundle cannot be written.
    """
    from cryvision.learning.annotations import find_annotated_clips
    from cryvision.learning.cry_labels import count_as_crying

    say = log or (lambda line: None)
    report = on_problem or say
    _check_settings(false_alarms_per_hour, n_folds, seed)
    target = bundles.check_target(out, overwrite)
    clips, problems = find_annotated_clips(source, subject_pattern)
    for problem in problems:
        report(problem)
    clips, told, odd = count_as_crying(clips, cry_labels)
    for line in (*told, *odd):
        say(line)
    own, copies = _read_clips(clips, seed, say, report)
    _check_labels(own, source)
    negatives = synthetic_negatives(SYNTHETIC_PER_FAMILY, SYNTHETIC_SECONDS, seed)
    windows = concatenate([own, copies, windows_of(negatives, SOUND, every=2)])

    folds = subject_folds(own, n_folds, seed)
    logits = out_of_fold_logits(windows, len(own), folds, SHARES, seed, say)
    calibration = calibrate(own, logits, false_alarms_per_hour)
    by_file = any(clip.subject_source == "file" for clip in clips)
    skill = detector_skill(
        own,
        cross_fitted(own, logits, folds, false_alarms_per_hour),
        protocol=f"grouped {len(folds)}-fold",
        subjects="file" if by_file else clips[0].subject_source,
    )
    say("training on all recordings")
    model = fit_detector(windows, SHARES, seed)
    return save_detector(
        model,
        calibration,
        own,
        out,
        name=target.stem if target.suffix.lower() == ".zip" else target.name,
        skill=[skill],
        sources=[
            {
                "name": Path(source).resolve().name,
                "licence": "the owner's",
                "url": "",
                "changes": "none",
            },
        ],
        seed=seed,
        overwrite=overwrite,
    )


def _check_settings(false_alarms_per_hour: float | None, n_folds: int, seed: int) -> None:
    """Refuse before anything is read what would be refused hours later."""
    if false_alarms_per_hour is not None and not 0 <= false_alarms_per_hour < math.inf:
        raise ConfigError(
            f"false alarms per hour must be 0 or more and finite; got {false_alarms_per_hour}"
        )
    check_numbers(n_folds, seed)


def _read_clips(
    clips: Sequence[AnnotatedClip], seed: int, say: Log, report: Log
) -> tuple[Windows, Windows]:
    """Windows of the recordings and of their altered copies; one recording in memory at a time."""
    from cryvision.inputs.media import read_sound
    from cryvision.learning.annotations import cry_intervals
    from cryvision.learning.cry_labels import inside

    own, copies = [], []
    every = _every(clips)
    for number, clip in enumerate(clips):
        say(f"reading {number + 1} of {len(clips)}: {clip.path}")
        rng = np.random.default_rng([seed, number])
        try:
            samples = read_sound(clip.path)
            known, remarks = inside(clip, len(samples) / SOUND.sample_rate_hz)
            cry = tuple(cry_intervals(known.intervals))
            sound = LabelledSound(samples, cry, clip.subject, "own", str(clip.path))
            altered = altered_copies(sound, (), rng)
        except MediaError as error:
            # Anything else would befall the other recordings as well.
            report(str(error))
            continue
        for remark in remarks:
            say(remark)
        own.append(windows_of([sound], SOUND, every))
        copies.append(windows_of(altered, SOUND, 2 * every))
    if not own:
        raise CryvisionError("no annotated recording could be read: there is nothing to train on")
    return concatenate(own), concatenate(copies)


def _every(clips: Sequence[AnnotatedClip]) -> int:
    """Which windows to keep, so that they fit in memory: each, every second, ..."""
    from cryvision.inputs.media import probe

    seconds = 0.0
    for clip in clips:
        # What cannot be read is reported when it is read.
        with contextlib.suppress(MediaError):
            seconds += probe(clip.path).duration_s or 0.0
    return max(1, math.ceil(seconds / SOUND.hop_seconds / MOST_WINDOWS))


def _check_labels(own: Windows, source: str | os.PathLike[str]) -> None:
    for cry, what in ((True, "crying"), (False, "no crying")):
        if not np.any(((own.cry >= 0.5) == cry) & own.scored):
            raise ConfigError(
                f"training needs windows with crying and without; {os.fspath(source)} has none "
                f"with {what}"
            )


def subject_folds(windows: Windows, n_folds: int, seed: int) -> list[set[str]]:
    """Divide the subjects into folds of about the same share of crying.

    There are fewer folds where so many would leave one of them without a subject, or nothing but
    crying (or no crying at all) in the others, which train and calibrate for it.

    Returns
    -------
    list of set of str
        The subjects of each fold.

    Raises
    ------
    ConfigError
        If the subjects cannot be divided even into two folds.
    """
    _, first, of_window = np.unique(windows.clip, return_index=True, return_inverse=True)
    subjects = windows.subject[first]
    mostly_cry = np.bincount(of_window, windows.cry) / np.bincount(of_window) >= 0.5
    most = min(n_folds, len(set(subjects)), int(np.bincount(mostly_cry).max()))
    kinds = [windows.scored & ((windows.cry >= 0.5) == cry) for cry in (True, False)]
    for n in range(most, 1, -1):
        rows = grouped_folds(subjects.tolist(), mostly_cry.tolist(), n, seed)
        folds = [set(subjects[fold]) for fold in rows]
        others = [~np.isin(windows.subject, list(fold)) for fold in folds]
        if all(np.any(kind & other) for kind in kinds for other in others):
            return folds
    with_cry, without = (len(set(windows.subject[kind])) for kind in kinds)
    raise ConfigError(
        "measuring skill needs crying of at least two subjects, and of two no crying, that folds "
        f"can keep apart; got {with_cry} and {without} of {len(set(subjects))} subjects"
    )


def out_of_fold_logits(
    windows: Windows,
    n_measured: int,
    folds: Sequence[Collection[str]],
    shares: Mapping[str, float],
    seed: int,
    say: Log = lambda line: None,
) -> np.ndarray:
    """Score each window by a detector that was trained without its subject.

    Parameters
    ----------
    windows : Windows
        What to train on; the first ``n_measured`` are those to score.
    n_measured : int
    folds : sequence of collections of str
        Subjects of each fold.
    shares, seed
        As for `cryvision.learning.training.fit_detector`.

    Returns
    -------
    ndarray of float64, shape (n_measured,)
    """
    measured = windows[:n_measured]
    logits = np.full(n_measured, np.nan)
    for number, left_out in enumerate(folds):
        say(f"fold {number + 1} of {len(folds)}")
        model = fit_detector(windows, shares, seed, left_out)
        rows = np.isin(measured.subject, list(left_out))
        logits[rows] = detector_logits(model, measured[rows])
    return logits


def detector_skill(
    windows: Windows,
    scored: tuple[np.ndarray, np.ndarray],
    *,
    protocol: str,
    subjects: str,
) -> dict[str, Any]:
    """Measure a detector by window, with intervals over subjects.

    Parameters
    ----------
    windows : Windows
    scored : tuple of ndarray
        Probabilities and decisions on subjects that training had not seen.
    protocol : str
        How that was made sure.
    subjects : str
        Where the subjects are known from; ``file`` where each file counts as one.

    Returns
    -------
    dict
        A skill entry of a bundle.
    """
    cry = (windows.cry >= 0.5).astype(int)
    probabilities, decisions = scored
    called = decisions.astype(int)
    statistics = {
        "auc": lambda w: evaluation.auc(cry, probabilities, w),
        "balanced_accuracy": lambda w: evaluation.balanced_accuracy(cry, called, w),
        "f1": lambda w: evaluation.precision_recall_f1(cry, called, w).f1,
        "log_loss": lambda w: evaluation.log_loss(cry, probabilities, w),
        "ece": lambda w: evaluation.expected_calibration_error(cry, probabilities, weights=w),
    }
    figures = {}
    for name, statistic in statistics.items():
        found = evaluation.subject_bootstrap(windows.subject, statistic)
        figures[name] = {"value": found.value, "interval": [found.low, found.high]}
    share = float(cry.mean())
    return {
        "part": "detector",
        "modalities": ["sound"],
        "unit": "window",
        "protocol": protocol,
        "subjects": subjects,
        "figures": figures,
        "chance": 0.5,
        "prior": {
            "no cry": 1 - share,
            "cry": share,
            "log_loss": evaluation.prior_log_loss(cry, cry),
        },
    }


def save_detector(
    model: keras.Model,
    calibration: Calibration,
    windows: Windows,
    out: str | os.PathLike[str],
    *,
    name: str,
    skill: list[dict[str, Any]],
    sources: list[dict[str, str]],
    seed: int,
    overwrite: bool = False,
    command: str | None = None,
    notes: str = "",
    texts: Mapping[str, str] | None = None,
) -> Bundle:
    """Calibrate a detector and save it as a bundle, its ONNX copy compared with it.

    Parameters
    ----------
    model : keras.Model
        From `cryvision.learning.training.fit_detector`.
    calibration : Calibration
    windows : Windows
        Real windows on which Keras and ONNX must agree; some of them are drawn.
    out, name, skill, sources, seed, overwrite, command, notes, texts
        As for `cryvision.bundle.save`; the command is that of this process by default.
    """
    from cryvision.export.onnx import part_files

    bias = np.array([calibration.bias])
    model.get_layer("calibration").set_calibration(calibration.temperature, bias)
    rows = np.linspace(0, len(windows) - 1, min(PARITY_WINDOWS, len(windows))).astype(int)
    samples = {"mel": windows.inputs[rows].astype(np.float32)}
    with tempfile.TemporaryDirectory() as folder:
        files, agreement = part_files(model, Path(folder), "detector", samples)
        return bundles.save(
            out,
            name=name,
            labels=("no cry", "cry"),
            parts=[Part("detector", "detector", ("mel",), SOUND, agreement)],
            models={"detector": files},
            gate=gate_for(calibration.threshold),
            smooth_seconds=SMOOTH_SECONDS,
            skill=skill,
            sources=sources,
            seed=seed,
            command=command or _command(),
            notes=notes,
            texts=texts,
            overwrite=overwrite,
        )


def _command() -> str:
    """What was run: the command line of cryvision, or a script that uses it."""
    program = Path(sys.argv[0]).name
    return shlex.join(["cryvision" if program == "__main__.py" else program, *sys.argv[1:]])
