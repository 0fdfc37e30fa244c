"""The data dictionaries of the tables, as Markdown from the code that writes them."""

from __future__ import annotations

from collections.abc import Iterable

from cryvision.acoustics.measures import Measure
from cryvision.batch.rows import COLUMNS
from cryvision.outputs.event_rows import ACOUSTIC_MEASURES, EVENT_MEASURES


def clip_measures() -> list[Measure]:
    """List the columns of the table of clips; their units stand in their meanings."""
    return [Measure(name, kind, "", meaning) for name, (kind, meaning) in COLUMNS.items()]


TABLES = {"events": EVENT_MEASURES, "acoustics": ACOUSTIC_MEASURES, "clips": clip_measures()}


def dictionary_table(measures: Iterable[Measure]) -> str:
    """Write a data dictionary as a table in Markdown."""
    rows = (f"| `{m.name}` | {m.kind} | {m.unit} | {m.meaning} |" for m in measures)
    return "\n".join(["| column | kind | unit | meaning |", "|---|---|---|---|", *rows])
