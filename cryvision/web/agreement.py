"""How far corrected events and those of the detector agree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryvision.annotations import Interval
from cryvision.annotations.corrections import CorrectedEvent
from cryvision.datasets.annotated import CRY_LABELS, AnnotatedClip
from cryvision.evaluation import metrics
from cryvision.evaluation.detection_metrics import (
    WINDOW_SECONDS,
    compare,
    cry_windows,
    total_seconds,
)
from cryvision.evaluation.event_metrics import OFFSET_TOLERANCE_S, ONSET_TOLERANCE_S
from cryvision.outputs.wording import rounded
from cryvision.result import Classification


def agreement_record(result: Classification, events: Sequence[CorrectedEvent]) -> dict[str, Any]:
    """Measure a detector against what a person made of its events, those of `CRY_LABELS`.

    A number that is not defined, as the kappa of a clip without any crying, is None; so are all
    measures of one in which no sound was scored.
    """
    intervals = tuple(Interval(e.onset_s, e.offset_s, e.label) for e in events)
    compared = compare(AnnotatedClip(Path(result.path), "", intervals, "file"), result)
    counts = metrics.match_events(compared.annotated, compared.detected)
    scores = metrics.event_f1([counts])
    reference, detected, _, _ = cry_windows([compared])
    scored = result.detector.cry is not None
    kappa = metrics.cohen_kappa(reference, detected) if scored and len(reference) else math.nan
    defined = scored and counts[1] + counts[2] > 0
    return {
        "event_f1": rounded(scores.f1, 4) if defined else None,
        "precision": rounded(scores.precision, 4) if counts[2] else None,
        "recall": rounded(scores.recall, 4) if scored and counts[1] else None,
        "kappa": rounded(kappa, 4),
        "n_matched": counts[0],
        "n_reference": counts[1],
        "n_detected": counts[2],
        "reference_seconds": rounded(total_seconds(compared.annotated), 4),
        "detected_seconds": rounded(total_seconds(compared.detected), 4),
        "n_checked": sum(event.checked for event in events),
        "n_events": len(events),
        "labels_that_count": list(CRY_LABELS),
        "tolerance_s": {"onset": ONSET_TOLERANCE_S, "offset": OFFSET_TOLERANCE_S},
        "window_seconds": WINDOW_SECONDS,
    }
