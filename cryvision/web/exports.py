"""Downloads: what the detector found or a person corrected, in the formats of other programs."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cryvision.annotations.corrections import CorrectedEvent
from cryvision.datasets.annotated import CRY_LABELS
from cryvision.outputs.files import FORMATS, READS_THE_CLIP, stems, write
from cryvision.result import Classification, Detection, Event
from cryvision.spans import covered_seconds

CLIP_FORMATS = tuple(name for name in FORMATS if not name.startswith("mp4"))
"""All formats that a clip's events can be downloaded in. The video is made by a job."""

_KINDS = {
    ".csv": "text/csv",
    ".json": "application/json",
    ".vtt": "text/vtt",
    ".png": "image/png",
    ".zip": "application/zip",
    ".eaf": "application/xml",
}


def export(result: Classification, name: str, form: str, scratch: Path) -> tuple[str, str, bytes]:
    """Make a download of a clip in one of `CLIP_FORMATS`: its name, its media type, and its bytes.

    The path of the result is that of the clip, ``name`` what is shown of it. Files are written to
    the folder ``scratch``, and removed. Where the format has several, the download is a zip.
    """
    stem = stems([name])[0]
    if form not in READS_THE_CLIP:
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
    confidence of what the detector had not found is 1: a person is sure. Only the labels in
    `CRY_LABELS` count as crying and make bouts.
    """
    of_person = tuple(_as_event(event, result.events) for event in events)
    crying = [event for event in of_person if event.label in CRY_LABELS]
    seconds = covered_seconds(event.span_s for event in crying)
    changed = {
        "events": of_person,
        "rejected": (),
        "label": _label(result, bool(crying)),
        "detector": Detection(bool(crying), result.detector.probability, seconds),
    }
    return _Corrected(**{**vars(result), **changed})


class _Corrected(Classification):
    @property
    def crying(self) -> tuple[Event, ...]:
        return tuple(filter(self.is_crying, self.events))

    def is_crying(self, event: Event) -> bool:
        return event.label in CRY_LABELS


def _label(result: Classification, cry: bool) -> str:
    if not cry:
        return "no cry"
    return "cry" if result.label in ("no cry", "not sure") else result.label


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
