"""A classification as one JSON object, and its timeline and events as tables."""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryvision.acoustics.measures import BoutAcoustics, measures_of, to_columns
from cryvision.config import FRAME_RATE_HZ
from cryvision.inputs.quality import MINUTE_SECONDS, MinuteQuality
from cryvision.outputs.event_rows import event_measures, event_rows
from cryvision.outputs.wording import rounded
from cryvision.result import Bout, Classification, Event
from cryvision.safe_text import csv_cell, write_records, write_rows

QUALITY_COLUMNS = (
    *(field.name for field in fields(MinuteQuality)),
    "not_scored_share",
    "start_time",
)

_SECONDS_DECIMALS = 3
_SCORE_DECIMALS = 4
_LEVEL_DECIMALS = 1
_BOUT_DECIMALS = {
    "onset_s": _SECONDS_DECIMALS,
    "offset_s": _SECONDS_DECIMALS,
    "n_events": 0,
    "cry_seconds": _SECONDS_DECIMALS,
    "confidence": _SCORE_DECIMALS,
    "intensity_db": _LEVEL_DECIMALS,
    "above_background_db": _LEVEL_DECIMALS,
}
BOUT_COLUMNS = (*_BOUT_DECIMALS, "onset_time", "offset_time")

_TIMELINE_DECIMALS = 4
_BLOCK_ROWS = 1 << 16
_SKILL_DIGITS = 6


def to_record(classification: Classification, *, show_experimental: bool = False) -> dict[str, Any]:
    """Turn a classification, less its timeline, into plain JSON data.

    Parameters
    ----------
    classification : Classification
    show_experimental : bool
        Add the branches' scores of each event also where the bundle was not measured to
        distinguish the reasons.

    Returns
    -------
    dict
        ``path``, ``duration_s``, ``start`` and ``start_source`` (where known), ``label``,
        ``probabilities``, ``detector``, ``events``, ``bouts``, ``rejected``, ``veto``,
        ``bout_gap_s``, ``threshold``, ``min_duration_s``,
        ``min_gap_s``, ``heard_seconds``, ``modalities``, ``face_share`` (where faces were looked
        for), ``bundle``, ``skill`` and ``warnings``.
        Seconds to the millisecond, scores and shares to four places, levels to 0.1 dB; what is
        not known or not finite is None, so ``json.dumps(..., allow_nan=False)`` takes it. An
        event has ``branches`` where any branch has an output for it that may be shown, and one
        of ``rejected`` the reason, under that name. Events and bouts have their acoustics where
        those were measured.
    """
    record = to_lazy_record(classification, show_experimental=show_experimental)
    return {name: list(v) if isinstance(v, Iterator) else v for name, v in record.items()}


def to_lazy_record(
    classification: Classification, *, show_experimental: bool = False
) -> dict[str, Any]:
    """Give `to_record` with iterators for events, bouts and rejected candidates.

    Those of a day would be megabytes if all were there at once.
    """
    with_branches = show_experimental or classification.label != "not sure"
    detector, face_share = classification.detector, classification.face_share
    faces = {} if face_share is None else {"face_share": rounded(face_share, _SCORE_DECIMALS)}
    return {
        "path": str(classification.path),
        "duration_s": rounded(classification.duration_s, _SECONDS_DECIMALS),
        **_start_record(classification),
        "label": classification.label,
        "probabilities": _scores(classification.probabilities),
        "detector": {
            "cry": None if detector.cry is None else bool(detector.cry),
            "probability": rounded(detector.probability, _SCORE_DECIMALS),
            "seconds": (
                None if detector.cry is None else rounded(detector.seconds, _SECONDS_DECIMALS)
            ),
        },
        "events": _event_records(classification, with_branches),
        "bouts": _bout_records(classification),
        "rejected": (
            {**_event_record(event, with_branches), **_moments(classification, event)}
            for event in classification.rejected
        ),
        "veto": classification.veto,
        "bout_gap_s": rounded(classification.bout_gap_s, _SECONDS_DECIMALS),
        "threshold": classification.threshold,
        "min_duration_s": classification.min_duration_s,
        "min_gap_s": classification.min_gap_s,
        "heard_seconds": {
            tag: rounded(seconds, _SECONDS_DECIMALS)
            for tag, seconds in classification.heard_seconds.items()
        },
        "modalities": list(classification.modalities),
        **faces,
        "bundle": {key: classification.bundle.get(key) for key in ("name", "sha256")},
        "skill": plain(classification.skill, _SKILL_DIGITS),
        "warnings": list(classification.warnings),
    }


def write_json(
    classification: Classification, path: Path, *, show_experimental: bool = False
) -> None:
    """Write the record and the timeline: ``{..., "timeline": {column: [value or null, ...]}}``.

    Each column stands on a line of its own.
    """
    record = to_record(classification, show_experimental=show_experimental)
    head = json.dumps(record, indent=2, allow_nan=False).removesuffix("\n}")
    with open(path, "w", encoding="ascii", newline="\n") as file:
        file.write(head + ',\n  "timeline": {\n')
        for number, (name, values) in enumerate(_ordered(classification.timeline)):
            comma = ",\n" if number else ""
            file.write(f"{comma}    {json.dumps(name)}: [")
            for first, block in _blocks(values):
                text = json.dumps(_listed(block), allow_nan=False)
                file.write(f"{', ' if first else ''}{text[1:-1]}")
            file.write("]")
        file.write("\n  }\n}\n")


def write_timeline_csv(classification: Classification, path: Path) -> None:
    """Write one row a frame: ``time_s`` and every column, empty where nothing is known."""
    columns = dict(_ordered(classification.timeline))
    blocks = zip(*(_blocks(values) for values in columns.values()), strict=True)
    rows = (
        row
        for block in blocks
        for row in zip(*(map(csv_cell, _listed(values)) for _, values in block), strict=True)
    )
    write_rows(path, list(columns), rows)


def write_events_csv(classification: Classification, path: Path) -> None:
    record = {
        "path": str(classification.path),
        "events": list(_event_records(classification, with_branches=False)),
        "bouts": list(_bout_records(classification)),
    }
    measures = event_measures(classification.acoustics is not None)
    rows = event_rows(record, crying=list(map(classification.is_crying, classification.events)))
    write_records(path, [measure.name for measure in measures], rows)


def write_bouts_csv(classification: Classification, path: Path) -> None:
    """Write one row a bout; only the header where there is none."""
    timing = measures_of(BoutAcoustics) if classification.acoustics is not None else ()
    columns = [*BOUT_COLUMNS, *(measure.name for measure in timing)]
    write_records(path, columns, _bout_records(classification))


def write_quality_csv(classification: Classification, path: Path) -> None:
    """Write one row a minute: the quality of its sound, and how much of it was not scored."""
    cry = classification.timeline.get("cry", np.zeros(0))
    n_frames = MINUTE_SECONDS * FRAME_RATE_HZ
    records = []
    quiet = itertools.chain(classification.quiet_seconds, itertools.repeat(0.0))
    for number, (minute, quiet_s) in enumerate(zip(classification.quality, quiet, strict=False)):
        share = _not_scored_share(cry[number * n_frames : (number + 1) * n_frames], quiet_s)
        figures = {name: rounded(value, 4) for name, value in asdict(minute).items()}
        figures["not_scored_share"] = rounded(share, _SCORE_DECIMALS)
        records.append({**figures, "start_time": _moment(classification, minute.start_s)})
    write_records(path, QUALITY_COLUMNS, records)


def _not_scored_share(cry: NDArray[Any], quiet_s: float) -> float | None:
    """Give the share of a stretch that has no score, or one of 0 because it is too quiet."""
    if not len(cry):
        return None
    n_not_scored = float(np.sum(~np.isfinite(cry))) + quiet_s * FRAME_RATE_HZ
    return min(1.0, n_not_scored / len(cry))


def _event_records(classification: Classification, with_branches: bool) -> Iterator[dict[str, Any]]:
    acoustics = classification.acoustics
    measured = acoustics.cries if acoustics else [None] * len(classification.events)
    for event, cry in zip(classification.events, measured, strict=True):
        yield {
            **_event_record(event, with_branches),
            **_moments(classification, event),
            **to_columns(cry),
        }


def _bout_records(classification: Classification) -> Iterator[dict[str, Any]]:
    bouts, acoustics = classification.bouts, classification.acoustics
    measured = acoustics.bouts if acoustics else [None] * len(bouts)
    for bout, timing in zip(bouts, measured, strict=True):
        yield {
            **{name: rounded(getattr(bout, name), n) for name, n in _BOUT_DECIMALS.items()},
            "n_events": bout.n_events,
            **_moments(classification, bout),
            **to_columns(timing),
        }


def _start_record(classification: Classification) -> dict[str, str]:
    start = classification.start
    if start is None:
        return {}
    return {"start": start.time.isoformat(timespec="milliseconds"), "start_source": start.source}


def _moments(classification: Classification, span: Event | Bout) -> dict[str, str | None]:
    """Give date and time of both ends, where the start of the recording is known."""
    if classification.start is None:
        return {}
    onset, offset = (_moment(classification, seconds) for seconds in span.span_s)
    return {"onset_time": onset, "offset_time": offset}


def _moment(classification: Classification, seconds: float) -> str | None:
    start = classification.start
    return None if start is None else start.after(seconds).isoformat(timespec="milliseconds")


def _event_record(event: Event, with_branches: bool = True) -> dict[str, Any]:
    onset_s, offset_s = event.span_s
    branches = event.branches if with_branches else {}
    shown_branches = {name: _scores(means) for name, means in branches.items()}
    return {
        "onset_s": rounded(onset_s, _SECONDS_DECIMALS),
        "offset_s": rounded(offset_s, _SECONDS_DECIMALS),
        "label": event.label,
        "confidence": rounded(event.confidence, _SCORE_DECIMALS),
        "intensity_db": rounded(event.intensity_db, _LEVEL_DECIMALS),
        "above_background_db": rounded(event.above_background_db, _LEVEL_DECIMALS),
        "other_tag": event.other_tag or None,
        "other_tag_score": (
            rounded(event.other_tag_score, _SCORE_DECIMALS) if event.other_tag else None
        ),
        **({"rejected": event.rejected} if event.rejected else {}),
        **({"branches": shown_branches} if shown_branches else {}),
    }


def _scores(values: Mapping[str, float]) -> dict[str, float | None]:
    return {label: rounded(value, _SCORE_DECIMALS) for label, value in values.items()}


def _ordered(timeline: Mapping[str, NDArray[Any]]) -> list[tuple[str, NDArray[Any]]]:
    return sorted(timeline.items(), key=lambda item: item[0] != "time_s")


def _blocks(values: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Cut a column, with the first row of each block: that of a day has 2.6 million rows."""
    for first in range(0, len(values), _BLOCK_ROWS):
        yield first, values[first : first + _BLOCK_ROWS]


def _listed(values: NDArray[Any]) -> list[float | None]:
    # In float64, so that 0.9666 does not print as the float32 nearest to it.
    numbers = np.round(np.asarray(values, dtype=np.float64), _TIMELINE_DECIMALS)
    return [value if math.isfinite(value) else None for value in numbers.tolist()]


def plain(value: Any, digits: int | None = None) -> Any:
    """Turn numpy's values and paths into JSON's own, rounded to so many digits if any.

    What is not finite is None.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item, digits) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist(), digits)
    if isinstance(value, list | tuple):
        return [plain(item, digits) for item in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return value if digits is None else float(f"{value:.{digits}g}")
    return os.fspath(value) if isinstance(value, os.PathLike) else value
