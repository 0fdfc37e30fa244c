"""Corrections: events that a person moved, deleted, added or labelled, beside their clip."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryvision.annotations.interval import DamagedError, Entry
from cryvision.atomic import remove_partials, staged
from cryvision.errors import AnnotationError
from cryvision.os_errors import os_errors

SUFFIX = ".corrections.json"
"""Behind the whole name of the clip, its own suffix included."""

DECIMALS = 3
"""Places of a second that a page keeps."""

ORIGINS = ("detector", "person")

MOST_EVENTS = 20_000
MOST_HISTORY = 2_000
"""Saves that a file remembers; the oldest are forgotten."""

LONGEST_LABEL, LONGEST_NAME, LONGEST_ID = 100, 100, 64

END_TOLERANCE_SECONDS = 0.1
"""An event may end so far behind its clip: pages round."""

_LEFT_SECONDS = 10.0

_FORMAT, _FORMAT_VERSION = "cryvision corrections", 1

_FIELDS = {
    "about": dict,
    "version": int,
    "who": str,
    "saved_at": str,
    "labels": list,
    "events": list,
    "history": list,
}
_KINDS = {dict: "an object", int: "a whole number", str: "a string", list: "a list"}


@dataclass(frozen=True)
class CorrectedEvent:
    """One event as a person left it.

    The id is the same in every version of the file. The origin, ``detector`` or ``person``, found
    it; ``checked`` tells whether a person looked at it. The confidence is the detector's; None for
    what it had not found.
    """

    id: str
    onset_s: float
    offset_s: float
    label: str
    origin: str = "person"
    checked: bool = False
    confidence: float | None = None

    @classmethod
    def from_json(cls, data: Any, duration_s: float | None = None) -> CorrectedEvent:
        """Check an event that came from outside, perhaps against the length of its clip.

        What is no event inside the clip is an AnnotationError whose message is the rule.
        """
        if not isinstance(data, Mapping):
            raise AnnotationError(f"an event must be a JSON object; got {str(data)[:40]!r}")
        event_id = _text(data.get("id"), "the id of an event", LONGEST_ID)
        times = [data.get("onset_s"), data.get("offset_s")]
        if not all(isinstance(t, int | float) and not isinstance(t, bool) for t in times):
            raise AnnotationError(f"onset_s and offset_s must be numbers; got {times}")
        onset_s, offset_s = (float(str(t)) for t in times)
        if not (math.isfinite(onset_s) and math.isfinite(offset_s)):
            raise AnnotationError("onset_s and offset_s must be finite")
        if not 0 <= onset_s < offset_s:
            raise AnnotationError(
                f"an event must satisfy 0 <= onset_s < offset_s; got {onset_s:g} and {offset_s:g}"
            )
        if duration_s is not None and (
            onset_s >= duration_s or offset_s > duration_s + END_TOLERANCE_SECONDS
        ):
            raise AnnotationError(
                f"an event must lie inside the clip, which is {duration_s:.3f} s long; got "
                f"{onset_s:g} to {offset_s:g} s"
            )
        confidence = data.get("confidence")
        if confidence is not None and not (
            isinstance(confidence, int | float) and 0 <= confidence <= 1
        ):
            raise AnnotationError("confidence must be 0 to 1, or null")
        if data.get("origin", "person") not in ORIGINS:
            raise AnnotationError(f"origin must be one of {', '.join(ORIGINS)}")
        if not isinstance(data.get("checked", False), bool):
            raise AnnotationError("checked must be true or false")
        return cls(
            id=event_id,
            onset_s=onset_s,
            offset_s=offset_s if duration_s is None else min(offset_s, duration_s),
            label=_text(data.get("label"), "a label", LONGEST_LABEL),
            origin=data.get("origin", "person"),
            checked=data.get("checked", False),
            confidence=None if confidence is None else float(confidence),
        )


@dataclass(frozen=True)
class Corrections:
    """The newest state of a clip's events, in order of time, and how it came about.

    ``version`` is 0 before the first save, then one more each time; ``who`` and ``saved_at`` (UTC,
    ISO 8601) are those of the newest save. ``labels`` is the label set of the clip. ``history`` has
    for each save ``version``, ``who``, ``saved_at``, ``added``, ``removed`` and ``changed``;
    ``about`` has ``clip``, ``duration_s``, and ``bundle`` and ``sha256`` of what found the first
    events.
    """

    events: tuple[CorrectedEvent, ...]
    version: int = 0
    who: str = ""
    saved_at: str = ""
    labels: tuple[str, ...] = ()
    history: tuple[dict[str, Any], ...] = ()
    about: dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def digest(self) -> str:
        """Tells one list of events from another."""
        return hashlib.sha256(repr(self.events).encode("utf-8", "replace")).hexdigest()[:16]

    def after(
        self, events: Sequence[CorrectedEvent], who: str, saved_at: str, labels: Sequence[str] = ()
    ) -> Corrections:
        """Return the next version, with what it changed in its history."""
        old, new = ({e.id: e for e in some} for some in (self.events, events))
        entry = {
            "version": self.version + 1,
            "who": who,
            "saved_at": saved_at,
            "added": [dataclasses.asdict(new[i]) for i in new if i not in old],
            "removed": [dataclasses.asdict(old[i]) for i in old if i not in new],
            "changed": [
                {"from": dataclasses.asdict(old[i]), "to": dataclasses.asdict(new[i])}
                for i in new
                if i in old and old[i] != new[i]
            ],
        }
        return dataclasses.replace(
            self,
            events=tuple(sorted(events, key=lambda event: (event.onset_s, event.offset_s))),
            version=self.version + 1,
            who=who,
            saved_at=saved_at,
            labels=tuple(labels) or self.labels,
            history=(*self.history, entry)[-MOST_HISTORY:],
        )


def corrections_path(clip: str | os.PathLike[str]) -> Path:
    """Name the file of a clip's corrections."""
    path = Path(clip)
    return path.with_name(path.name + SUFFIX)


def read_corrections(path: str | os.PathLike[str]) -> Corrections:
    """Read a file of corrections; one that cannot be read is an AnnotationError that names it."""
    with os_errors(f"{path}: the corrections could not be read", AnnotationError):
        content = Path(path).read_bytes()
    try:
        return _parsed(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{path}: the corrections are damaged: no UTF-8") from error
    except AnnotationError as error:
        raise AnnotationError(f"{path}: {error}") from error


def read_entries(text: str) -> Iterator[Entry]:
    """Read the newest events of a file of corrections, for `cryvision.annotations`."""
    try:
        events = _parsed(text).events
    except AnnotationError as error:
        raise DamagedError(1, str(error)) from error
    for event in events:
        confidence = "" if event.confidence is None else repr(event.confidence)
        yield Entry(
            1, repr(event.onset_s), repr(event.offset_s), event.label, confidence=confidence
        )


def is_corrections(text: str) -> bool:
    """Whether a text seems to be a file of corrections."""
    return f'"{_FORMAT}"' in text[:200]


def _parsed(text: str) -> Corrections:
    try:
        data = json.loads(text)
        if data["format"] != _FORMAT or data["format_version"] != _FORMAT_VERSION:
            raise AnnotationError("it must be a file of corrections that cryvision wrote")
        _check_fields(data)
        fields = {name: data[name] for name in _FIELDS}
        fields |= {name: tuple(data[name]) for name in ("labels", "history")}
        fields["events"] = tuple(CorrectedEvent.from_json(event) for event in data["events"])
        return Corrections(**fields)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        words = " ".join(str(error).split())[:80]
        raise AnnotationError(f"the corrections are damaged: {words}") from error


def _check_fields(data: Mapping[str, Any]) -> None:
    """Refuse what the next save could not write; ValueError says what."""
    for name, kind in _FIELDS.items():
        if type(data[name]) is not kind:  # a bool is no version
            raise ValueError(f"{name} must be {_KINDS[kind]}")
    if data["version"] < 0:
        raise ValueError("version must be 0 or more")
    if not all(isinstance(label, str) for label in data["labels"]):
        raise ValueError("labels must be strings")
    if not all(isinstance(entry, dict) for entry in data["history"]):
        raise ValueError("history must be a list of objects")
    _json(data)  # infinities, NaN and lone surrogates


def write_corrections(corrections: Corrections, path: Path) -> None:
    """Write a file of corrections beside its place, bring it to the disk, and rename it.

    Where that fails, what was there stays.
    """
    fields = dataclasses.asdict(corrections)
    content = _json(
        {
            **{"format": _FORMAT, "format_version": _FORMAT_VERSION},
            **{name: fields[name] for name in _FIELDS},
        }
    )
    remove_partials(path, _LEFT_SECONDS)
    with staged(path, overwrite=True) as place:
        place.write_bytes(content)


def _json(data: Mapping[str, Any]) -> bytes:
    return f"{json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False)}\n".encode()


def check_events(data: Any, duration_s: float) -> list[CorrectedEvent]:
    """Check a list of events that came from outside.

    It is an AnnotationError if it is no list, holds too many, one of them is not inside the clip,
    or two share an id.
    """
    if not isinstance(data, list) or len(data) > MOST_EVENTS:
        raise AnnotationError(f"events must be a list of at most {MOST_EVENTS} events")
    events = [CorrectedEvent.from_json(event, duration_s) for event in data]
    if len({event.id for event in events}) != len(events):
        raise AnnotationError("each event must have an id of its own")
    return events


def check_name(text: Any, what: str) -> str:
    """Check who corrects, or a label of the label set; the empty string is nobody."""
    return _text(text, what, LONGEST_NAME, may_be_empty=True)


def _text(text: Any, what: str, longest: int, may_be_empty: bool = False) -> str:
    if not isinstance(text, str):
        raise AnnotationError(f"{what} must be a string")
    stripped = text.strip()
    if not (stripped or may_be_empty) or len(stripped) > longest:
        raise AnnotationError(f"{what} must have 1 to {longest} characters; got {len(stripped)}")
    try:
        stripped.encode("utf-8")
    except UnicodeEncodeError as error:
        raise AnnotationError(f"{what} must be valid Unicode") from error
    return stripped
