"""How a bundle does on recordings that people labelled, through the engine that classifies."""

from __future__ import annotations

import logging
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cryvision.argument_types import typed
from cryvision.bundle import Bundle
from cryvision.config import FRAME_RATE_HZ, SAMPLE_RATE_HZ
from cryvision.datasets.cry_labels import inside
from cryvision.datasets.labelled import LabelledClip
from cryvision.errors import CryvisionError, MediaError
from cryvision.evaluation.clip_detection import DetectedClip, detection_record
from cryvision.evaluation.detection_metrics import ComparedClip, agreement, compare
from cryvision.evaluation.frame_metrics import FrameScores
from cryvision.evaluation.markdown import evaluation_text
from cryvision.evaluation.reference import (
    CRY,
    EvaluationSet,
    Segment,
    find_evaluation_set,
    warnings_on,
)
from cryvision.evaluation.report import (
    check_folder,
    draw,
    subject_records,
    unit_record,
    write_folder,
)
from cryvision.evaluation.skill import (
    OutOfFoldPredictions,
    Predictions,
    figures,
    measured,
    skill_entry,
)
from cryvision.inference.classifier import StreamClassifier
from cryvision.inputs.media import open_clip
from cryvision.layers import require
from cryvision.outputs.tables import plain
from cryvision.outputs.wording import counted
from cryvision.result import Classification

PROGRESS_EVERY = 50

TOO_SHORT = "too short"
"""The answer for an event in which no window of the reasons ends."""

log = logging.getLogger(__name__)


@typed
def evaluate(
    bundle: Bundle | str | os.PathLike[str] | None,
    source: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None = None,
    subject_pattern: str | None = None,
    cry_labels: Sequence[str] = (),
    runtime: str = "onnx",
) -> dict[str, Any]:
    """Classify labelled recordings and measure the predictions.

    Parameters
    ----------
    bundle : Bundle or path, optional
        The bundle that ships with the package by default.
    source : path
        Clips with classes (donateacry-corpus, a folder per class, a manifest; see
        `cryvision.datasets.labelled.find_labelled_clips`), clips with annotations of when they cry
        (see `cryvision.datasets.annotated.find_annotated_clips`), or a folder with both.
    out : path, optional
        A folder to write ``report.json``, ``report.md`` and figures to, all or none.
    subject_pattern : str, optional
        Regular expression on a clip's path below the source; its first group is the subject.
    cry_labels : sequence of str
        Labels that mean crying, beside ``cry`` and ``crying``.
    runtime : {"onnx", "keras"}

    Returns
    -------
    dict
        JSON data: ``units`` (figures of classes by ``clip``, ``event`` and ``window``), ``frames``
        (labels from frame to frame), ``modalities`` (sound or face alone), ``given_labels`` (by
        the bundle's own policy), ``detection`` (crying in clips) and ``agreement`` (with
        annotated times), as far as the source allows; and ``per_subject``, ``warnings``,
        ``failed`` (clips that could not be read) and ``problems`` (what was left out).

    Raises
    ------
    AnnotationError, BundleError, ConfigError
        If nothing in the source fits the bundle, or the bundle or an argument is refused.
    CryvisionError
        If nothing could be evaluated, or the report cannot be written.
    """
    require("evaluate", "evaluation")
    if out is not None:
        check_folder(out)
    loaded = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    material = find_evaluation_set(source, loaded, subject_pattern, cry_labels)
    for line in (*material.notes, *material.cautions):
        log.info("%s", line)
    run = _run(material, loaded, runtime)
    record: dict[str, Any] = plain(_record(run, material, loaded, os.fspath(source), runtime))
    if out is not None:
        write_folder(out, record, evaluation_text(record), draw(_drawn(record)))
    return record


@dataclass
class EvaluationRun:
    """The predictions of a bundle for an evaluation set.

    Answers are by unit, those of one modality alone (``ablated``) by modality and unit;
    ``given_labels`` are the clips' by the bundle's own policy, and ``failed`` and ``problems`` a
    line for each clip that could not be read, or could not be evaluated.
    """

    frames: FrameScores
    answers: dict[str, Predictions] = field(
        default_factory=lambda: {unit: Predictions() for unit in ("clip", "event", "window")}
    )
    ablated: dict[str, dict[str, Predictions]] = field(default_factory=dict)
    modalities: set[str] = field(default_factory=set)
    given_labels: Counter[str] = field(default_factory=Counter)
    compared: list[ComparedClip] = field(default_factory=list)
    detected: list[DetectedClip] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def _record(
    run: EvaluationRun, material: EvaluationSet, bundle: Bundle, source: str, runtime: str
) -> dict[str, Any]:
    prior = _prior(bundle, material)
    units = measured(run.answers, prior)
    if not units and not run.compared and not run.detected:
        reasons = [*run.failed, *run.problems, "no clip was answered"]
        raise CryvisionError(f"{source}: nothing could be evaluated: {reasons[0]}")
    record: dict[str, Any] = {
        "bundle": {"name": bundle.name, "sha256": bundle.sha256},
        "source": source,
        "runtime": runtime,
        "labels": list(bundle.labels),
        "n_clips": len(material.stretches) - len(run.failed),
        "subjects": {"n": len(material.subjects), "known_from": material.subject_source},
        "trained_on": [entry["name"] for entry in bundle.sources],
        "warnings": warnings_on(material, bundle, source),
        "failed": run.failed,
        "problems": [*material.problems, *run.problems],
    }
    if units:
        record["units"] = {m.unit: _unit(m, run, bundle, material.subject_source) for m in units}
        record["frames"] = run.frames.record()
        record["modalities"] = {
            name: {
                m.unit: {"n": len(m.labels), "figures": figures(m)} for m in measured(own, prior)
            }
            for name, own in run.ablated.items()
        }
        record["given_labels"] = dict(run.given_labels.most_common())
        record["per_subject"] = subject_records(units, bundle.labels)
    if run.detected:
        record["detection"] = detection_record(run.detected)
    if run.compared:
        record["agreement"] = agreement(run.compared)
    return record


def _run(material: EvaluationSet, bundle: Bundle, runtime: str) -> EvaluationRun:
    """Classify every clip once; only what is measured of it is kept."""
    run = EvaluationRun(FrameScores(len(bundle.labels)))
    bundle = bundle.keeping_models()
    stretches = material.stretches
    log.info("%s to classify", counted(len(stretches), "clip"))
    for number, stretch in enumerate(stretches, start=1):
        if number % PROGRESS_EVERY == 0:
            log.info("clip %d of %d", number, len(stretches))
        try:
            result, ablated = _classified(stretch, bundle, runtime)
        except MediaError as error:
            run.failed.append(str(error))
            log.warning("%s", error)
            continue
        if stretch in material.labelled:
            clip = material.labelled[stretch]
            if material.cry_or_not:
                run.detected.append(_detected(clip, result))
            else:
                run.modalities.update(result.modalities)
                run.given_labels[result.label] += 1
                _add_answers(run, bundle, result, clip.label, clip.subject)
                _add_ablated(run, bundle, result, clip, ablated)
        if stretch in material.annotated:
            if result.detector.cry is None:
                run.problems.append(f"{stretch.path}: no sound was scored")
            else:
                annotated, remarks = inside(material.annotated[stretch], result.duration_s)
                run.problems += remarks
                scores_windows = bundle.detector is not None and bundle.detector.logmel is None
                run.compared.append(compare(annotated, result, of_whole_windows=scores_windows))
    return run


def _classified(
    stretch: Segment, bundle: Bundle, runtime: str
) -> tuple[Classification, dict[str, np.ndarray]]:
    """Classify a clip, or a part of one as if it were all; also from each modality alone."""
    stream = StreamClassifier(bundle, runtime=runtime, path=os.fspath(stretch.path))
    start_s, end_s = stretch.start_s, stretch.end_s
    with open_clip(stretch.path, frames=stream.takes_frames, start_s=start_s, end_s=end_s) as clip:
        for piece in clip.pieces():
            stream.push(piece.samples, piece.frame, piece.frame_time_s)
        whole = stretch.start_s is None and stretch.end_s is None
        result = stream.finish(*((clip.info, tuple(clip.warnings)) if whole else ()))
    return result, {} if stream.reasons is None else stream.reasons.ablated()


def _detected(clip: LabelledClip, result: Classification) -> DetectedClip:
    score = result.detector.probability
    value = math.nan if score is None else score
    return DetectedClip(clip.label == CRY, result.detector.cry, value, clip.subject)


def _add_answers(
    run: EvaluationRun, bundle: Bundle, result: Classification, name: str, subject: str
) -> None:
    answers = run.answers
    label = bundle.labels.index(name)
    means = result.probabilities
    whole = np.array([means[name] for name in bundle.labels]) if means else None
    answers["clip"].add(label, subject, whole, instead=result.label)
    smooth = _columns(result, bundle.labels, "_smooth")
    time_s = result.timeline["time_s"]
    for event in result.events:
        onset_s, offset_s = event.span_s
        inside = (time_s >= onset_s) & (time_s < offset_s)
        has_scores = inside & np.isfinite(smooth).all(axis=1)
        mean = smooth[has_scores].mean(axis=0) if has_scores.any() else None
        answers["event"].add(label, subject, mean, instead=TOO_SHORT)
    for row in _window_rows(result, bundle):
        answers["window"].add(label, subject, row)
    run.frames.add(label, subject, _columns(result, bundle.labels), smooth)


def _add_ablated(
    run: EvaluationRun,
    bundle: Bundle,
    result: Classification,
    clip: LabelledClip,
    ablated: Mapping[str, np.ndarray],
) -> None:
    """Add what one modality alone says, where all together answer: else the two do not compare."""
    label, n_windows = bundle.labels.index(clip.label), len(_window_rows(result, bundle))
    known = {name: np.isfinite(table).all(axis=1) for name, table in ablated.items()}
    # A window that ends with the clip has no frame behind it, and is no answer there.
    answered = np.flatnonzero(np.any(list(known.values()), axis=0))[:n_windows]
    for modality, table in ablated.items():
        answers = run.ablated.setdefault(modality, {"clip": Predictions(), "window": Predictions()})
        rows = table[answered][known[modality][answered]].astype(np.float64)
        if result.probabilities:
            mean = rows.mean(axis=0) if len(rows) else None
            answers["clip"].add(label, clip.subject, mean)
        for row in rows:
            answers["window"].add(label, clip.subject, row)


def _window_rows(result: Classification, bundle: Bundle) -> np.ndarray:
    """Predictions of the windows of the reasons; float64, shape (n, n_classes).

    A frame holds the newest window that has ended by it, so each window is read at its own end;
    one that no frame lies behind is known from a clip no longer than a window alone.
    """
    table = _columns(result, bundle.labels)
    clock = next(part.sound or part.face for part in bundle.parts if part.kind == "branch")
    if clock is None or not len(table):
        return table[:0]
    first, hop = clock.window_samples, clock.hop_samples
    n_samples = len(table) * SAMPLE_RATE_HZ // FRAME_RATE_HZ
    ends = np.arange(first, max(n_samples, first) + 1, hop, dtype=np.int64)
    frames = -(-ends * FRAME_RATE_HZ // SAMPLE_RATE_HZ)
    behind = frames[frames < len(table)]
    rows = table[behind] if len(behind) else table[-1:]
    return np.asarray(rows[np.isfinite(rows).all(axis=1)])


def _columns(result: Classification, labels: Sequence[str], suffix: str = "") -> np.ndarray:
    columns = [result.timeline[f"{label}{suffix}"] for label in labels]
    return np.stack(columns, axis=1).astype(np.float64)


def _unit(
    unit: OutOfFoldPredictions, run: EvaluationRun, bundle: Bundle, subjects: str
) -> dict[str, Any]:
    classes = bundle.labels
    entry = skill_entry(
        unit,
        classes,
        part=next(p.name for p in reversed(bundle.parts) if p.kind in ("branch", "ensemble")),
        modalities=sorted(run.modalities),
        protocol="one bundle, all clips",
        subjects=subjects,
    )
    unanswered = {
        answer: [counts[i] for i in range(len(classes))]
        for answer, counts in run.answers[unit.unit].unanswered.items()
    }
    record = unit_record(unit, classes, entry, unanswered)
    right = np.sum(unit.probabilities.argmax(axis=1) == unit.labels)
    n_all = unit.labels.size + sum(map(sum, unanswered.values()))
    # Silence must not pay: what accuracy is where no answer is a wrong one.
    record["of_all"] = {"n": n_all, "accuracy": right / n_all}
    return record


def _prior(bundle: Bundle, material: EvaluationSet) -> np.ndarray:
    """Shares of the classes that the bundle states, else those of the source."""
    for entry in bundle.skill:
        if set(bundle.labels) <= set(entry["prior"]):
            return np.array([entry["prior"][label] for label in bundle.labels])
    counts = Counter(clip.label for clip in material.labelled.values())
    return np.array([counts[label] for label in bundle.labels]) / max(1, counts.total())


def _drawn(record: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    drawn = {f"by {unit}": entry for unit, entry in record.get("units", {}).items()}
    if "detection" in record:
        drawn["crying, by clip"] = record["detection"]
    if "agreement" in record:
        drawn["crying, by window"] = record["agreement"]["windows"]
    return drawn
