"""A detector trained on corrections, and what that changed on clips kept apart."""

from __future__ import annotations

import csv
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cryvision.annotations import Interval
from cryvision.annotations.corrections import read_corrections
from cryvision.bundle import Bundle
from cryvision.datasets.annotated import CRY_LABELS, cry_intervals
from cryvision.detector_training.options import DetectorOptions
from cryvision.detector_training.train import train_with
from cryvision.evaluation.event_metrics import event_f1, match_events
from cryvision.inference.clip import classify
from cryvision.subjects import compile_subject_pattern
from cryvision.web.results import load_result

NOTE = (
    "Both figures are event F1 on the corrected clips, each clip judged by a detector that did not "
    "learn from its subject. The corrections began with what the detector in use had found, which "
    "favours the figure before."
)


def train_on_corrections(wanted: Mapping[str, Any], base: Bundle) -> dict[str, Any]:
    """Train as ``cryvision train-detector`` does, on a manifest of corrected clips.

    ``wanted`` has ``clips`` (each with ``path``, ``labels``, ``name`` and perhaps ``results``),
    ``source``, the name of their folder, ``out``, ``subject_pattern``, ``cry_labels`` and
    ``folds``. ``base`` is the detector in use, which is compared with; its tagger is kept.
    """
    labels = wanted["cry_labels"]
    options = DetectorOptions(overwrite=True, cry_labels=labels, n_folds=wanted["folds"], base=base)
    pattern = compile_subject_pattern(wanted["subject_pattern"] or None)
    rows = [row for clip in wanted["clips"] if (row := _row(clip, pattern)) is not None]
    with tempfile.TemporaryDirectory() as folder:
        # A bundle names what it was trained on by this path, and `evaluate` looks for the name.
        manifest = Path(folder, wanted["source"], "corrections.csv")
        manifest.parent.mkdir()
        with manifest.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["path", "labels", "subject"], *rows])
        trained = train_with(manifest, wanted["out"], options)
    # Both figures are of the same clips.
    used = [clip for clip in wanted["clips"] if clip["path"] in trained.clips]
    figures = trained.bundle.skill[0]["figures"]
    after = figures.get("event_f1_fused", figures["event_f1"])
    corrections = [read_corrections(clip["labels"]).events for clip in used]
    before = figures_before(used, base, (*CRY_LABELS, *labels))
    return {
        "before": before,
        "after": {
            "event_f1": round(after["value"], 4),
            "interval": [round(value, 4) for value in after["interval"]],
        },
        "protocol": trained.bundle.skill[0]["protocol"],
        "n_clips": len(used),
        "n_events": sum(map(len, corrections)),
        "n_checked": sum(event.checked for events in corrections for event in events),
        "n_left_out": len(wanted["clips"]) - len(used),
        "note": NOTE,
        "bundle": {"name": trained.bundle.name, "sha256": trained.bundle.sha256},
        "bundle_url": f"/api/train/{wanted['job_id']}/bundle.zip",
    }


def _row(clip: Mapping[str, Any], pattern: re.Pattern[str] | None) -> list[str] | None:
    """Return a clip's row of the manifest; None where the pattern does not fit its name."""
    if pattern is None:
        return [clip["path"], clip["labels"], ""]
    match = pattern.search(clip["name"])
    return None if match is None or not match[1] else [clip["path"], clip["labels"], match[1]]


def figures_before(
    clips: list[dict[str, Any]], base: Bundle, cry_labels: tuple[str, ...]
) -> dict[str, float | None]:
    """Measure the detector in use on corrected clips, over all of them together.

    A figure that is not defined is None.
    """
    counts = []
    for clip in clips:
        events = read_corrections(clip["labels"]).events
        intervals = cry_intervals(
            [Interval(e.onset_s, e.offset_s, e.label) for e in events], cry_labels
        )
        result = load_result(Path(clip["results"])) if clip["results"] else None
        result = result or classify(clip["path"], base)
        reference = np.array([(i.start_s, i.end_s) for i in intervals]).reshape(-1, 2)
        found = np.array([event.span_s for event in result.events]).reshape(-1, 2)
        counts.append(match_events(reference, found))
    scores = event_f1(counts)
    found_any = any(n_found for _, _, n_found in counts)
    return {
        "event_f1": round(scores.f1, 4),
        "precision": round(scores.precision, 4) if found_any else None,
        "recall": round(scores.recall, 4),
    }
