"""One row an event, of a clip or of many: the columns with their units, and the rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cryvision.acoustics.measures import BoutAcoustics, CryAcoustics, Measure, measures_of
from cryvision.safe_text import write_rows

EVENT_MEASURES = (
    Measure("path", "text", "", "the clip, as it was given"),
    Measure("subject", "text", "", "as the manifest or --subject-pattern names it; else empty"),
    Measure("event", "whole", "", "number of the event within its clip, from 1"),
    Measure("bout", "whole", "", "number of its bout within the clip, from 1"),
    Measure("onset_s", "real", "s", "onset, from the start of the clip"),
    Measure("offset_s", "real", "s", "offset, from the start of the clip"),
    Measure("duration_s", "real", "s", "offset_s minus onset_s"),
    Measure("onset_time", "text", "ISO 8601", "date and time of the onset; empty if unknown"),
    Measure("offset_time", "text", "ISO 8601", "date and time of the offset"),
    Measure("label", "text", "", "cry, or the clip's label where it has one"),
    Measure("confidence", "real", "0 to 1", "mean cry score, lowered where the tagger heard less"),
    Measure("intensity_db", "real", "dBFS", "level in the detector's band"),
    Measure("above_background_db", "real", "dB", "that level above the background"),
    Measure("other_tag", "text", "", "strongest other sound at the event; empty if none"),
    Measure("other_tag_score", "real", "0 to 1", "its score"),
)
"""The columns that every table of events has."""

ACOUSTIC_MEASURES = (*measures_of(CryAcoustics), *measures_of(BoutAcoustics))
"""What ``--acoustics`` adds."""


def event_measures(acoustics: bool) -> tuple[Measure, ...]:
    return (*EVENT_MEASURES, *ACOUSTIC_MEASURES) if acoustics else EVENT_MEASURES


def event_rows(
    record: Mapping[str, Any], *, subject: str = "", crying: Sequence[bool] | None = None
) -> Iterator[dict[str, Any]]:
    """Give a row for each event of a clip: columns by name; what is not known is None or missing.

    The record has ``path``, ``events`` and ``bouts`` as `cryvision.outputs.to_record` has them, and
    no events where the clip could not be scored. ``crying`` says which events are crying and so in
    a bout; by default all.
    """
    bouts = (
        (number, {name: bout.get(name) for name in _BOUT_NAMES})
        for number, bout in enumerate(record.get("bouts") or (), start=1)
        for _ in range(bout["n_events"])
    )
    events = record.get("events") or ()
    for number, event in enumerate(events, start=1):
        bout, timing = next(bouts) if crying is None or crying[number - 1] else (None, {})
        yield {
            "path": record["path"],
            "subject": subject or None,
            "event": number,
            "bout": bout,
            "duration_s": round(event["offset_s"] - event["onset_s"], 3),
            "onset_time": None,
            "offset_time": None,
            **event,
            **timing,
        }


DICTIONARY_SUFFIX = ".dictionary.csv"
"""Follows the name of a table of events, in the name of the file that explains its columns."""


def write_dictionary(path: Path, measures: Sequence[Measure]) -> None:
    """Write the data dictionary of a table as CSV: name, kind, unit and meaning of each column."""
    write_rows(path, Measure._fields, measures)


_BOUT_NAMES = tuple(measure.name for measure in measures_of(BoutAcoustics))
