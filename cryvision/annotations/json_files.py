"""JSON: tasks of Label Studio, and what cryvision itself has found."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from cryvision.annotations.interval import UNLABELLED, DamagedError, Entry, Sheet, rounded
from cryvision.annotations.text import header_of, parse_rows, write_text
from cryvision.safe_text import one_line

DECIMALS = 6

_UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")
# Label Studio puts this before the name of a file that was uploaded.


def read_label_studio(text: str) -> Iterator[Entry]:
    """Read the labelled regions of tasks, as Label Studio exports them (JSON or JSON-MIN).

    The tier is what stands in a region's notes; of a task that more than one person has labelled,
    the person's number.
    """
    tasks = _parsed(text)
    for task in tasks if isinstance(tasks, list) else [tasks]:
        if not isinstance(task, dict):
            raise DamagedError(1, f"a task of Label Studio must be an object; got {task!r:.40}")
        recording = _recording(task.get("data") if isinstance(task.get("data"), dict) else task)
        yield Entry(1, "", "", "", "", recording)
        sheets = [sheet for sheet in task.get("annotations", ()) if isinstance(sheet, dict)]
        for sheet in sheets:
            coder = str(sheet.get("completed_by", "")) if len(sheets) > 1 else ""
            for region in sheet.get("result", ()):
                if isinstance(region, dict) and isinstance(region.get("value"), dict):
                    notes = (region.get("meta") or {}).get("text") or [coder]
                    score = str(region.get("score", ""))
                    yield from _regions(region["value"], str(notes[0]), recording, score)
        if not sheets and isinstance(task.get("label"), list):
            for value in task["label"]:
                yield from _regions(value, "", recording, "")


def is_label_studio(text: str) -> bool:
    """Whether a JSON text seems to come from Label Studio."""
    return any(f'"{name}"' in text for name in ("annotations", "annotation_id"))


def write_label_studio(sheet: Sheet, path: Path) -> None:
    """Write one task with one annotation, for a project with ``<Labels name="label"
    toName="audio">``.

    The recording is named as the task's ``audio``; the file itself is not copied.
    """
    regions = []
    length_s = sheet.end_s(DECIMALS)
    for number, interval in enumerate(sheet.intervals, start=1):
        start_s, end_s = rounded(interval, DECIMALS)
        labels = [one_line(interval.label)]
        region: dict[str, Any] = {
            "id": f"cry{number}",
            "from_name": "label",
            "to_name": "audio",
            "type": "labels",
            "original_length": length_s,
            "value": {"start": start_s, "end": end_s, "channel": 0, "labels": labels},
        }
        if interval.tier:
            region["meta"] = {"text": [one_line(interval.tier)]}
        if interval.confidence is not None:
            region["score"] = round(interval.confidence, 4)
        regions.append(region)
    task = {"data": {"audio": sheet.media_name}, "annotations": [{"result": regions}]}
    write_text(path, json.dumps([task], indent=1) + "\n")


def read_results(text: str) -> Iterator[Entry]:
    """Read the events of cryvision: JSON of ``classify``, or the table of ``score``.

    Clips of which nothing is known, as they could not be read, are passed over.
    """
    for line, record in result_records(text):
        events = record.get("events")
        if not isinstance(events, list):
            raise DamagedError(line, "a result of cryvision must have a list of events")
        path = str(record.get("path", ""))
        yield Entry(line, "", "", "", "", path)
        for event in events:
            if not isinstance(event, dict) or not {"onset_s", "offset_s"} <= set(event):
                raise DamagedError(
                    line, f"an event must have onset_s and offset_s; got {event!r:.60}"
                )
            times = str(event["onset_s"]), str(event["offset_s"])
            label = str(event.get("label", UNLABELLED))
            yield Entry(line, *times, label, "", path, str(event.get("confidence", "")))


def is_results(text: str) -> bool:
    """Whether a text seems to be a result of cryvision."""
    return '"events"' in text if text.lstrip().startswith("{") else _is_score_table(text)


def _is_score_table(text: str) -> bool:
    return {"path", "events", "status"} <= header_of(text)


def result_records(text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Give the line and the record of each clip that cryvision has scored."""
    if _is_score_table(text):
        for line, row in parse_rows(text)[1]:
            if row["status"] == "ok":
                yield line, {**row, "events": _parsed(row["events"], line)}
        return
    try:
        whole = json.loads(text)
    except ValueError:
        lines = ((n, line) for n, line in enumerate(text.split("\n"), start=1) if line.strip())
        records: Iterable[tuple[int, Any]] = ((n, _parsed(line, n)) for n, line in lines)
    else:
        records = [(1, whole)]
    for line, record in records:
        if not isinstance(record, dict):
            raise DamagedError(line, f"a result must be a JSON object; got {record!r:.40}")
        if record.get("status", "ok") == "ok":
            yield line, record


def was_scored(record: Mapping[str, Any]) -> bool:
    """Whether any sound of a clip was scored: without, nothing is known of its crying."""
    detector = record.get("detector")
    if isinstance(detector, dict):
        return detector.get("cry", True) is not None
    return record.get("detector_cry", True) not in (None, "")  # of a table


def _regions(value: Mapping[str, Any], tier: str, recording: str, score: str) -> Iterator[Entry]:
    labels = next((value[k] for k in ("labels", "audiolabels", "timelinelabels") if k in value), ())
    if "start" in value and "end" in value:
        for label in labels:
            times = str(value["start"]), str(value["end"])
            yield Entry(1, *times, str(label), tier, recording, score)


def _recording(data: Mapping[str, Any] | None) -> str:
    """Return the name of the file that a task is about."""
    values = [value for value in (data or {}).values() if isinstance(value, str)]
    url = next((value for value in values if PurePosixPath(value).suffix), "")
    return _UPLOAD_PREFIX.sub("", re.split(r"[/\\=]", url)[-1])


def _parsed(text: str, line: int = 1) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        at = line + getattr(error, "lineno", 1) - 1
        raise DamagedError(at, f"it must be JSON: {error}") from error
