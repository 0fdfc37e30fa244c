"""What one has coded of recordings, from the files of annotations and results that hold it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from cryvision.annotations import Interval, format_of, read_recordings
from cryvision.annotations.interval import DamagedError
from cryvision.annotations.json_files import result_records, was_scored
from cryvision.annotations.text import header_of, read_seconds, read_text, refused
from cryvision.annotations.textgrid import textgrid_end_s
from cryvision.config import FRAME_RATE_HZ
from cryvision.datasets.annotated import CRY_LABELS, LABEL_SUFFIXES, VIEW_SUFFIXES, first_few
from cryvision.errors import AnnotationError
from cryvision.inputs.media import MEDIA_SUFFIXES
from cryvision.outputs.event_rows import DICTIONARY_SUFFIX
from cryvision.outputs.timeline_tables import TIME, import_pyarrow
from cryvision.safe_text import pairing_name

_RESULT_SUFFIXES = (".json", ".jsonl", ".parquet")
_SUBTITLES = (".srt", ".vtt")
_BESIDE_RESULTS = (".timeline.parquet", ".about.json", DICTIONARY_SUFFIX)
_HOURS_COLUMNS = {"period", "observed_s"}
_EVENTS_COLUMNS = {"path", "event", "bout"}
_RESULTS = "cryvision"
_RESULT_COLUMNS = ("path", "status", "duration_s", "detector_cry", "events")
_TIMELINE_TOLERANCE_S = 0.01
"""Of the times of a timeline: they are rounded, and float32 over a whole day."""

_SAME_SECONDS = 0.01
"""Times of an event may differ so much between formats, which round them."""

CRY = CRY_LABELS[0]
_NAMES_SHOWN = 3


@dataclass(frozen=True)
class Coding:
    """What one has coded of a recording, and how its file names that, where it does.

    A result without any scored sound says nothing of the crying; it is ``scored`` no more than
    a recording that nobody has coded.
    """

    intervals: list[Interval]
    path: Path
    duration_s: float | None = None
    scores: np.ndarray | None = None
    frame_seconds: float = 1 / FRAME_RATE_HZ
    is_result: bool = False
    named: str = ""
    scored: bool = True


def may_be_labels(path: Path) -> bool:
    name = path.name.lower()
    if name.endswith((".jsonl", ".parquet")) and Path(f"{path}{DICTIONARY_SUFFIX}").exists():
        return False  # a run's table of events, which its result has too
    return name.endswith((*LABEL_SUFFIXES, ".parquet", ".srt", ".json", ".jsonl")) and not (
        name.endswith((*VIEW_SUFFIXES, *_BESIDE_RESULTS))
    )


def has_no_events(path: Path) -> bool:
    """Whether a file is a table of scores by time, of sums by hour, or of a run without events."""
    if path.suffix.lower() != ".csv":
        return False
    text = read_text(path)
    header = header_of(text)
    # One beside a clip has the clip's name, and says that there are none in it.
    if header >= _EVENTS_COLUMNS and not path.name.lower().endswith(".events.csv"):
        return "\n" not in text.strip()
    return header >= _HOURS_COLUMNS or (TIME in header and not header & {"start_s", "onset_s"})


def one_each(
    found: Sequence[tuple[str, Coding]], source: Path, tier: str = ""
) -> tuple[dict[str, Coding], list[str]]:
    """Take one file of each recording, where all of its files have the same events.

    Of several files that is the result, which has the length and the scores; where a tier is
    wanted, one that has it. Subtitles, which may hold bouts, come last. Gives the codings by name,
    and notes.

    Raises
    ------
    AnnotationError
        If files of a recording differ.
    """
    results = {name: coding for name, coding in found if coding.is_result}
    files: dict[str, list[Coding]] = {}
    for name, coding in found:
        result = results.get(coding.named)
        is_copy = result is not None and _is_copy(result, coding)  # a table of one clip's events
        files.setdefault(coding.named if is_copy else name, []).append(coding)
    several = []
    for name, own in files.items():
        own[:] = [one for one in own if one.path.suffix.lower() not in _SUBTITLES] or own
        own.sort(key=lambda one: (_lacks(one, tier), not one.is_result, str(one.path)))
        other = next((one for one in own[1:] if not _is_copy(own[0], one)), None)
        if other is not None:
            paths = " and ".join(sorted(str(one.path) for one in (own[0], other)))
            raise AnnotationError(
                f"{source}: a recording must be coded once; {name!r} is coded differently, or "
                f"twice, in {paths}: put the files of each coder, run and recording into a folder "
                "of their own, or name one file"
            )
        if len(own) > 1:
            several.append(own[0].path.name)
    notes = []
    if several:
        n = len(several)
        those = "1 recording has" if n == 1 else f"{n} recordings have"
        notes.append(
            f"{source.name}: {those} several files with the same events; read: "
            f"{first_few(several, _NAMES_SHOWN)}"
        )
    return {name: own[0] for name, own in files.items()}, notes


def _lacks(coding: Coding, tier: str) -> bool:
    return bool(tier) and all(interval.tier != tier for interval in coding.intervals)


def _is_copy(first: Coding, second: Coding) -> bool:
    """Whether two files beside each other have the same events.

    They must also have the same name, less formats, or be a result and its table of events.
    """
    paths = first.path, second.path
    if paths[0] == paths[1] or paths[0].parent != paths[1].parent:
        return False
    if first.is_result == second.is_result and len({_stem(path.name) for path in paths}) > 1:
        return False
    events = [
        sorted((i.start_s, i.end_s, i.label.casefold()) for i in one.intervals)
        for one in (first, second)
    ]
    return len(events[0]) == len(events[1]) and all(
        max(abs(a[0] - b[0]), abs(a[1] - b[1])) <= _SAME_SECONDS and a[2] == b[2]
        for a, b in zip(*events, strict=True)
    )


def read_file(path: Path, root: Path) -> list[tuple[str, Coding]]:
    """Read a file of one or of many recordings."""
    if path.suffix.lower() == ".parquet":
        return [_of_result(row, path, number) for number, row in _parquet_rows(path)]
    if format_of(path) == _RESULTS:
        try:
            return [_of_result(one, path, line) for line, one in result_records(read_text(path))]
        except DamagedError as error:
            raise refused(path, error.line, error.rule) from error
    recordings = read_recordings(path)
    if len(recordings) < 2:
        name = recording_name(path.relative_to(root).as_posix())
        named, intervals = next(iter(recordings.items()), ("", []))
        return [(name, Coding(intervals, path, _end_s(path), named=recording_name(named)))]
    return [(recording_name(name), Coding(found, path)) for name, found in recordings.items()]


def _end_s(path: Path) -> float | None:
    """Find how long the recording is by its labels' file, which says it if it is a TextGrid."""
    if format_of(path) != "textgrid":
        return None
    try:
        return textgrid_end_s(read_text(path))
    except DamagedError as error:
        raise refused(path, error.line, error.rule) from error


def _of_result(record: Mapping[str, Any], path: Path, line: int) -> tuple[str, Coding]:
    """Read the events of a result, with the reasons that they state."""
    try:
        intervals = [_event(event) for event in record["events"]]
        duration_s = read_seconds(str(record.get("duration_s") or 0)) or None
    except (KeyError, TypeError, ValueError) as error:
        rule = "a result must have events with 0 <= onset_s <= offset_s, and duration_s in seconds"
        raise refused(path, line, rule) from error
    try:
        scores, frame_seconds = _timeline(record.get("timeline") or {})
    except (KeyError, TypeError, ValueError) as error:
        rule = f"a timeline must have cry and {TIME} of equal length, in equal steps from 0"
        raise refused(path, line, rule) from error
    name = recording_name(str(record.get("path", "")) or path.name)
    scored = was_scored(record)
    return name, Coding(intervals, path, duration_s, scores, frame_seconds, True, scored=scored)


def _event(event: Mapping[str, Any]) -> Interval:
    onset_s, offset_s = (read_seconds(str(event[name])) for name in ("onset_s", "offset_s"))
    if onset_s > offset_s:
        raise ValueError(f"{onset_s} to {offset_s}")
    return Interval(onset_s, offset_s, str(event.get("label", CRY)))


def _timeline(columns: Mapping[str, Any]) -> tuple[np.ndarray | None, float]:
    """Give the scores, where there are some, and the seconds from one to the next."""
    if "cry" not in columns:
        return None, 1 / FRAME_RATE_HZ
    scores, times = (np.array(columns[name], np.float64) for name in ("cry", TIME))
    n_steps = len(times) - 1
    hop_s = float(times[-1] / n_steps) if n_steps > 0 else 1 / FRAME_RATE_HZ
    if scores.shape != times.shape or not hop_s > 0:
        raise ValueError(f"{scores.shape} scores, {times.shape} times")
    if not np.allclose(times, hop_s * np.arange(len(times)), rtol=0, atol=_TIMELINE_TOLERANCE_S):
        raise ValueError("unequal steps")
    return scores, hop_s


def _parquet_rows(path: Path) -> list[tuple[int, dict[str, Any]]]:
    pyarrow, parquet = import_pyarrow()
    try:
        rows = parquet.read_table(path, columns=list(_RESULT_COLUMNS)).to_pylist()
        return [
            (number, {**row, "events": json.loads(row["events"])})
            for number, row in enumerate(rows, start=1)
            if row["status"] == "ok"
        ]
    except (pyarrow.ArrowException, KeyError, OSError, TypeError, ValueError) as error:
        raise AnnotationError(
            f"{path}: a result in Parquet must be a table of cryvision score, with "
            f"{', '.join(_RESULT_COLUMNS)}"
        ) from error


def recording_name(path: str) -> str:
    """Return the name of a recording: the path's last part, less what follows the clip's name.

    It is one name for the clip and for the files that are written of it.
    """
    name = _stem(PurePath(path.replace("\\", "/")).name)
    suffix = PurePath(name).suffix
    name = name.removesuffix(suffix) if suffix.lower() in MEDIA_SUFFIXES else name
    return pairing_name(name) if name else ""


def _stem(name: str) -> str:
    suffixes = (*LABEL_SUFFIXES, *_RESULT_SUFFIXES, ".srt")
    fitting = [suffix for suffix in suffixes if name.lower().endswith(suffix)]
    return name[: -len(max(fitting, key=len))] if fitting else name
