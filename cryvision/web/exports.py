"""Downloads: what the detector found or a person corrected, in the formats of other programs."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryvision.datasets.corrections import CorrectedEvent
from cryvision.outputs.files import FORMATS, stems, write
from cryvision.outputs.wording import escaped, spreadsheet_cell
from cryvision.result import Classification, Detection, Event

_OWN_FORMATS = {
    "raven": (".selections.txt", "text/plain"),
    "boris": (".boris.csv", "text/csv"),
    "label-studio": (".label-studio.json", "application/json"),
}

CLIP_FORMATS = (*(name for name in FORMATS if not name.startswith("mp4")), *_OWN_FORMATS)
"""All formats that a clip's events can be downloaded in. The video is made by a job."""

_READS_THE_CLIP = ("png",)

_KINDS = {
    ".csv": "text/csv",
    ".json": "application/json",
    ".vtt": "text/vtt",
    ".png": "image/png",
    ".zip": "application/zip",
    ".eaf": "application/xml",
}


def export(result: Classification, name: str, form: str, scratch: Path) -> tuple[str, str, bytes]:
    """Make a download.

    Parameters
    ----------
    result : Classification
        Its path is that of the clip.
    name : str
        Of the clip, as it is shown.
    form : str
        One of `CLIP_FORMATS`.
    scratch : Path
        A folder for the files, which are removed.

    Returns
    -------
    name : str
    kind : str
        The media type.
    data : bytes
        A zip where the format has several files.
    """
    stem = stems([name])[0]
    if form in _OWN_FORMATS:
        suffix, kind = _OWN_FORMATS[form]
        writers = {"raven": _raven, "boris": _boris, "label-studio": _label_studio}
        return f"{stem}{suffix}", kind, writers[form](result, name).encode("utf-8")
    if form not in _READS_THE_CLIP:
        result = replace(result, path=name)
    paths = write(result, scratch, [form], stem)
    files = [(path.name, path.read_bytes()) for path in paths]
    for path in paths:
        path.unlink()
    if len(files) == 1:
        ((file_name, data),) = files
        kind = _KINDS.get(Path(file_name).suffix, "text/plain")
        return file_name, kind, data
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file_name, data in files:
            archive.writestr(file_name, data)
    return f"{stem}.{form}.zip", _KINDS[".zip"], packed.getvalue()


def corrected(result: Classification, events: Sequence[CorrectedEvent]) -> Classification:
    """Put the events of a person in the place of those of the detector.

    Levels are those of the detector's event that overlaps most, and unknown where none does. The
    confidence of what the detector had not found is 1: a person is sure.
    """
    corrected_events = tuple(_as_event(event, result.events) for event in events)
    crying = [event for event in corrected_events if event.label == "cry"]
    return replace(
        result,
        events=corrected_events,
        rejected=(),
        label=_label(result, corrected_events),
        detector=Detection(
            bool(crying), result.detector.probability, sum(event.duration_s for event in crying)
        ),
    )


def _label(result: Classification, events: Sequence[Event]) -> str:
    if not events:
        return "no cry"
    return "cry" if result.label == "no cry" else result.label


def _as_event(event: CorrectedEvent, found: Sequence[Event]) -> Event:
    def shared_s(other: Event) -> float:
        return min(other.span_s[1], event.offset_s) - max(other.onset_s, event.onset_s)

    nearest = max(found, key=shared_s, default=None)
    if nearest is None or shared_s(nearest) <= 0:
        nearest = Event(0.0, 0.0, "", 1.0, float("nan"), float("nan"))
    return replace(
        nearest,
        onset_s=event.onset_s,
        offset_s=event.offset_s,
        label=event.label,
        confidence=1.0 if event.confidence is None else event.confidence,
        branches={},
    )


def _raven(result: Classification, name: str) -> str:
    """A selection table of Raven: one row an event, over the band of the detector."""
    low_hz, high_hz = result.bundle.get("band_hz") or (0.0, 8000.0)
    head = ("Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)")
    band = (f"{low_hz:g}", f"{high_hz:g}")
    rows = [
        (
            *(str(number), "Spectrogram 1", "1"),
            *(f"{time_s:.4f}" for time_s in event.span_s),
            *band,
            *(_cell(event.label), f"{event.confidence:.4f}"),
        )
        for number, event in enumerate(result.events, 1)
    ]
    lines = [(*head, "High Freq (Hz)", "Annotation", "Score"), *rows]
    return "".join("\t".join(line) + "\n" for line in lines)


def _boris(result: Classification, name: str) -> str:
    """A table of aggregated events, as BORIS exports and imports it."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    head = ("Observation id", "Media file", "Media duration (s)", "Subject", "Behavior")
    writer.writerow((*head, "Behavior type", "Start (s)", "Stop (s)", "Duration (s)"))
    for event in result.events:
        times = (f"{t:.3f}" for t in (*event.span_s, event.duration_s))
        clip = spreadsheet_cell(name)
        label = spreadsheet_cell(event.label)
        writer.writerow((clip, clip, f"{result.duration_s:.3f}", "", label, "STATE", *times))
    return file.getvalue()


def _label_studio(result: Classification, name: str) -> str:
    """One task with regions on the sound, as Label Studio imports it."""
    regions: list[dict[str, Any]] = [
        {
            "id": f"event{number}",
            "from_name": "label",
            "to_name": "audio",
            "type": "labels",
            "original_length": round(result.duration_s, 3),
            "value": {
                "start": round(event.onset_s, 3),
                "end": round(event.span_s[1], 3),
                "channel": 0,
                "labels": [event.label],
            },
        }
        for number, event in enumerate(result.events, 1)
    ]
    task = {"data": {"audio": name}, "annotations": [{"result": regions}]}
    return json.dumps([task], indent=1, ensure_ascii=False) + "\n"


def _cell(text: str) -> str:
    return escaped(" ".join(text.split()))
