"""Results of clips on disk: written by the worker that scored them, read by the server."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from cryvision.config import FRAME_RATE_HZ
from cryvision.inputs.quality import MinuteQuality
from cryvision.result import Classification, Detection, Event
from cryvision.start_times import RecordingStart, time_zone

_RESULT, _TIMELINE = "result.json", "timeline.npy"

SUMMARY = (
    *("duration_s", "cry_seconds", "n_events", "n_bouts", "loudest_db"),
    *("not_scored_s", "too_quiet_s"),
)
"""Keys of what `save_result` returns."""


def save_result(result: Classification, folder: Path) -> dict[str, Any]:
    """Write a result into a folder, and return its summary: the keys `SUMMARY`."""
    names = [name for name in result.timeline if name != "time_s"]
    n_frames = len(result.timeline["time_s"])
    table = np.empty((len(names), n_frames), np.float32)
    for row, name in zip(table, names, strict=True):
        row[:] = result.timeline[name]
    np.save(folder / _TIMELINE, table)
    fields = dict(vars(result))
    del fields["timeline"]
    fields |= {name: list(fields[name]) for name in ("events", "rejected")}
    if result.start is not None:
        # Its zone tells the clock over a change of it.
        fields["start"] = {
            "time": result.start.time.isoformat(),
            "zone": getattr(result.start.time.tzinfo, "key", ""),
            "source": result.start.source,
            "remark": result.start.remark,
        }
    text = json.dumps({"columns": names, "fields": fields}, default=_plain)
    (folder / _RESULT).write_text(text, "utf-8")
    return {
        "duration_s": round(result.duration_s, 3),
        **crying_summary(result),
        **not_scored(result),
    }


def load_result(folder: Path) -> Classification:
    """Read what `save_result` wrote; the timeline stays on disk until it is used."""
    data = json.loads((folder / _RESULT).read_text("utf-8"))
    fields = data["fields"]
    fields["detector"] = Detection(**fields["detector"])
    for name in ("events", "rejected"):
        fields[name] = tuple(Event(**event) for event in fields[name])
    for name in ("modalities", "warnings", "quiet_seconds"):
        fields[name] = tuple(fields[name])
    fields["quality"] = tuple(MinuteQuality(**minute) for minute in fields["quality"])
    if fields["start"] is not None:
        time = datetime.fromisoformat(fields["start"].pop("time"))
        zone = fields["start"].pop("zone")
        here = time.astimezone(time_zone(zone))
        # An offset that is not that of this machine was stated by the recording.
        time = here if zone or here.utcoffset() == time.utcoffset() else time
        fields["start"] = RecordingStart(time, **fields["start"])
    table = np.load(folder / _TIMELINE, mmap_mode="r")
    timeline = {"time_s": np.arange(table.shape[1]) / FRAME_RATE_HZ}
    timeline |= dict(zip(data["columns"], table, strict=True))
    return Classification(**fields, timeline=timeline)


def pooled_tracks(
    timeline: dict[str, np.ndarray], start_s: float, end_s: float, points: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Reduce a timeline to at most so many values of each column: the largest of a stretch.

    Returned are where each stretch starts, in s, and the columns, NaN where nothing is known in a
    stretch. The score of crying is 0 where it is too quiet for one, and NaN here: nothing is known
    of it.
    """
    n_frames = len(timeline["time_s"])
    first = min(max(0, int(start_s * FRAME_RATE_HZ)), n_frames)
    last = min(max(first, int(np.ceil(end_s * FRAME_RATE_HZ))), n_frames)
    n = last - first
    if not n:
        return np.zeros(0), {name: np.zeros(0) for name in timeline if name != "time_s"}
    starts = np.unique(np.linspace(0, n, min(n, points), endpoint=False).astype(np.intp))
    shown = {name: np.asarray(v[first:last]) for name, v in timeline.items() if name != "time_s"}
    if "cry" in shown:
        shown["cry"] = np.where(shown["cry"] == 0, np.nan, shown["cry"])
    columns = {name: np.fmax.reduceat(values, starts) for name, values in shown.items()}
    return (first + starts) / FRAME_RATE_HZ, columns


def sound_seconds(result: Classification) -> float:
    """Length of a clip's sound; pictures may go on without it."""
    return round(sum(minute.seconds for minute in result.quality), 3)


def not_scored(result: Classification) -> dict[str, float]:
    """Say how much of a clip has no score of crying, and how much of that was too quiet for one.

    The rest was not heard: there was no sound.
    """
    cry = result.timeline.get("cry")
    not_heard_s = result.duration_s
    if cry is not None:
        # The last frame may reach beyond the end of the clip.
        not_heard_s = min(np.count_nonzero(np.isnan(cry)) / FRAME_RATE_HZ, result.duration_s)
    quiet_s = min(sum(result.quiet_seconds), result.duration_s - not_heard_s)
    return {"not_scored_s": round(not_heard_s + quiet_s, 3), "too_quiet_s": round(quiet_s, 3)}


def crying_summary(result: Classification) -> dict[str, Any]:
    """Sum up the crying of a clip; all is None where nothing was scored, and nobody said."""
    known = result.detector.cry is not None
    levels = [e.intensity_db for e in result.crying if np.isfinite(e.intensity_db)]
    return {
        "cry_seconds": round(result.detector.seconds, 3) if known else None,
        "n_events": len(result.crying) if known else None,
        "n_bouts": len(result.bouts) if known else None,
        "loudest_db": round(max(levels), 1) if levels else None,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
