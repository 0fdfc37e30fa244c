"""A clip's row in the table: what `cryvision classify --json` gives, flat, and measures of it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from cryvision.batch.job import Job
from cryvision.batch.sources import ListedClip
from cryvision.inputs.pitch import HOP_SECONDS, PitchTrack
from cryvision.models.tagger import TAGS
from cryvision.outputs.event_rows import event_measures
from cryvision.outputs.tables import to_lazy_record
from cryvision.result import Classification, find_bouts

OK = "ok"
"""Status of a clip that was scored; any other names what failed."""

PROBABILITY = "probabilities_"
"""Start of the columns with each label's probability."""

HEARD, HEARD_SUFFIX = "heard_", "_s"
"""Around a tag in the name of the column with its seconds."""

COLUMNS: dict[str, tuple[str, str]] = {
    "path": ("text", "the clip, as it was listed"),
    "status": ("text", "ok, or the kind of failure, such as MediaError, WorkerCrash or TimeLimit"),
    "error": ("text", "why it failed, in one line"),
    "duration_s": ("real", "length of the clip in seconds"),
    "sound_s": ("real", "length of its sound in seconds; pictures may be longer"),
    "too_quiet_s": ("real", "seconds of its sound below the level from which on it is scored"),
    "start": ("text", "date and time of its start, ISO 8601; empty if unknown"),
    "start_source": ("text", "source of the start: a chunk of the file, its name, or the manifest"),
    "label": ("text", "no cry, cry or a reason, or not sure"),
    "detector_cry": ("truth", "whether there is at least one event; empty if no sound was scored"),
    "detector_probability": (
        "real",
        "highest mean cry score over half a second; at most 0.5 without an event",
    ),
    "cry_seconds": ("real", "sum of the events' lengths; empty if no sound was scored"),
    "n_events": ("whole", "number of events: single cries"),
    "cries_per_minute": ("real", "events per minute of the clip"),
    "n_bouts": ("whole", "number of bouts: events less than bout_gap_s apart make one"),
    "bout_seconds": ("real", "sum of the bouts' lengths, with the pauses within them"),
    "longest_bout_s": ("real", "length of the longest bout in seconds"),
    "pauses": ("whole", "stretches without crying between two bouts"),
    "pause_seconds": ("real", "sum of the pauses' lengths"),
    "median_f0_hz": ("real", "median fundamental frequency of the events' voiced frames, in Hz"),
    "voiced_seconds": ("real", "total length of those voiced frames"),
    "intensity_db": ("real", "level of all events together, dB relative to full scale"),
    **{
        f"{HEARD}{tag}{HEARD_SUFFIX}": ("real", f"seconds in which {tag} was heard") for tag in TAGS
    },
    "n_rejected": ("whole", "candidates that the tagger did not detect as crying"),
    "veto": ("text", "how much crying the tagger had to detect: off, normal or strict"),
    "bout_gap_s": ("real", "events less than this many seconds apart make one bout"),
    "threshold": ("real", "score of the detector at which an event opens"),
    "min_duration_s": ("real", "shorter events are dropped"),
    "min_gap_s": ("real", "shorter gaps between events are bridged"),
    "face_share": ("real", "share of the frames that show a face; empty if not looked for"),
    "events": ("json", "the events, as classify --json lists them"),
    "bouts": ("json", "the bouts, likewise"),
    "rejected": ("json", "the rejected candidates, with what was heard instead"),
    "too_quiet_minutes_s": ("json", "too_quiet_s of each minute; empty where there is none"),
    "modalities": ("json", "what the label was decided from"),
    "warnings": ("json", "warnings about the clip"),
    "seconds_spent": (
        "real",
        "wall time for the clip, with its download, in all runs until it was done",
    ),
    "bundle_name": ("text", "name of the bundle"),
    "bundle_sha256": ("text", "hash that identifies the bundle"),
    "settings_sha256": ("text", "hash of the bundle, the settings and the version of cryvision"),
}
"""Each column's kind and meaning, in order; the probabilities stand after the label, and what a
later version of the record or another bundle's tagger brings besides, at the end."""

# One for all rows: it stands once, in the file about the table.
_LEFT_OUT = ("skill",)
_RENAMED = {"detector_seconds": "cry_seconds"}
_EVENT_KINDS = {measure.name: measure.kind for measure in event_measures(acoustics=True)}
_BLANK = str.maketrans(dict.fromkeys(" \t\n", "_"))


def scored_row(
    clip: ListedClip, job: Job, result: Classification, pitch: PitchTrack, seconds_spent: float
) -> dict[str, Any]:
    """Make the row of a clip that was scored; ``pitch`` is of the whole clip.

    Columns by name, less those that are empty: plain JSON data, with iterators for lists that may
    be long.
    """
    record = {k: value for k, value in to_lazy_record(result).items() if k not in _LEFT_OUT}
    tag_seconds = record.pop("heard_seconds")
    for tag, seconds in tag_seconds.items():
        record[f"{HEARD}{tag.translate(_BLANK)}{HEARD_SUFFIX}"] = seconds
    share = result.face_share
    row = {**_head(clip, OK), "face_share": None if share is None else round(share, 4)}
    return {**row, **_flat(record), **_measures(result, pitch), **_tail(job, seconds_spent)}


def failed_row(
    clip: ListedClip, job: Job, status: str, error: str, seconds_spent: float
) -> dict[str, Any]:
    """Make the row of a clip that could not be scored: the kind of failure, and why, in a line."""
    return {**_head(clip, status), "error": error, **_tail(job, seconds_spent)}


def error_row(clip: ListedClip, job: Job, error: Exception, seconds_spent: float) -> dict[str, Any]:
    """Make the row of a clip that an unforeseen error has ended: its type is the status."""
    reason = " ".join(f"{clip.path}: {error}".split())
    return failed_row(clip, job, type(error).__name__, reason, seconds_spent)


def probability_column(label: str) -> str:
    """Name the column of a label's probability: blanks become ``_``."""
    return PROBABILITY + label.translate(_BLANK)


def ordered_columns(names: Iterable[str]) -> list[str]:
    """Order the columns of a table, from those that its rows hold besides `COLUMNS`."""
    names = [name for name in dict.fromkeys(names) if name not in COLUMNS]
    columns = list(COLUMNS)
    after_label = columns.index("label") + 1
    columns[after_label:after_label] = [n for n in names if n.startswith(PROBABILITY)]
    return columns + [n for n in names if not n.startswith(PROBABILITY)]


def kind_of(column: str) -> str:
    """Kind of a column's values, also of a table of events: text, real, whole, truth or json."""
    if column in COLUMNS:
        return COLUMNS[column][0]
    if column in _EVENT_KINDS:
        return _EVENT_KINDS[column]
    is_tag = column.startswith(HEARD) and column.endswith(HEARD_SUFFIX)
    return "real" if is_tag or column.startswith(PROBABILITY) else "json"


def _head(clip: ListedClip, status: str) -> dict[str, Any]:
    return {"key": clip.key, "path": clip.path, "status": status}


def _tail(job: Job, seconds_spent: float) -> dict[str, Any]:
    return {
        "seconds_spent": round(seconds_spent, 3),
        "bundle_name": job.bundle_name,
        "bundle_sha256": job.bundle_sha256,
        "settings_sha256": job.settings_sha256,
    }


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """Join the names of nested fields by ``_``; lists stay as they are."""
    flat: dict[str, Any] = {}
    for name, value in record.items():
        if not isinstance(value, Mapping):
            flat[name] = value
            continue
        for inner, item in value.items():
            column = f"{name}_{inner}".translate(_BLANK)
            # Two labels may differ in their blanks alone.
            column = column if column not in flat else f"{name}_{inner}"
            flat[_RENAMED.get(column, column)] = item
    return flat


def _measures(result: Classification, pitch: PitchTrack) -> dict[str, Any]:
    """Measures of events and bouts; none where there was no sound to look for them in."""
    sound = _sound(result)
    if result.detector.cry is None:
        return sound
    bouts = result.bouts
    gaps = [later.onset_s - earlier.offset_s for earlier, later in itertools.pairwise(bouts)]
    pauses = [gap for gap in gaps if gap > 0]
    f0_hz = pitch.within(sorted(event.span_s for event in result.events))
    minutes = result.duration_s / 60
    return {
        **sound,
        "n_events": len(result.events),
        "cries_per_minute": round(len(result.events) / minutes, 3) if minutes else None,
        "n_bouts": len(bouts),
        "bout_seconds": round(sum((bout.duration_s for bout in bouts), 0.0), 3),
        "longest_bout_s": round(max((bout.duration_s for bout in bouts), default=0.0), 3),
        "n_rejected": len(result.rejected),
        "pauses": len(pauses),
        "pause_seconds": round(sum(pauses, 0.0), 3),
        "median_f0_hz": round(float(np.median(f0_hz)), 1) if len(f0_hz) else None,
        "voiced_seconds": round(len(f0_hz) * HOP_SECONDS, 3),
        "intensity_db": _intensity_db(result),
    }


def _sound(result: Classification) -> dict[str, Any]:
    if not result.quality:
        return {}
    sound_s = round(sum(minute.seconds for minute in result.quality), 3)
    seconds = [round(one, 3) for one in result.quiet_seconds]
    minutes = {"too_quiet_minutes_s": seconds} if any(seconds) else {}
    return {"sound_s": sound_s, "too_quiet_s": round(sum(result.quiet_seconds, 0.0), 3), **minutes}


def _intensity_db(result: Classification) -> float | None:
    """Level of all events together: the mean of their powers, each weighed by its length."""
    whole = find_bouts(result.events, math.inf)
    level_db = whole[0].intensity_db if whole and whole[0].cry_seconds > 0 else math.nan
    return round(level_db, 1) if math.isfinite(level_db) else None
