"""The messages of a run: while it goes on, when it ends, and in a file beside the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryvision.batch.hours import Period
from cryvision.batch.job import Job
from cryvision.batch.rows import COLUMNS, HEARD, OK, PROBABILITY


@dataclass
class Progress:
    """How far a run has come.

    Of `n_clips` of the run, `n_before` had a row when it started. Since then `n_scored` rows were
    added, `n_failed` of them of clips that failed; these clips are `media_seconds` long.
    `elapsed_s` is since the first clip was given out.
    """

    n_clips: int
    n_before: int
    n_scored: int = 0
    n_failed: int = 0
    media_seconds: float = 0.0
    elapsed_s: float = 0.0

    def add(self, row: Mapping[str, Any]) -> None:
        self.n_scored += 1
        self.n_failed += row["status"] != OK
        self.media_seconds += row.get("duration_s") or 0.0


@dataclass(frozen=True)
class Summary:
    """What a run has done.

    Attributes
    ----------
    out : str
        The table.
    n_clips : int
        Rows in it.
    failures : dict of str to int
        Number of its rows by status, less those that are ok.
    n_scored, media_seconds : int, float
        Rows that this run has added, the others were there, and the length of their clips.
    elapsed_s : float
    problems : tuple of str
        Folders that could not be read.
    periods : tuple of Period
        Hours and days, where a summary was wanted.
    """

    out: str
    n_clips: int
    failures: Mapping[str, int] = field(default_factory=dict)
    n_scored: int = 0
    media_seconds: float = 0.0
    elapsed_s: float = 0.0
    problems: tuple[str, ...] = ()
    periods: tuple[Period, ...] = ()

    @property
    def n_failed(self) -> int:
        return sum(self.failures.values())


def about_table(
    job: Job, columns: Sequence[str], bundle: Mapping[str, Any], statuses: Mapping[str, int]
) -> dict[str, Any]:
    """Say what a table rests on, once for all its rows, as plain JSON data."""
    return {
        "clips": sum(statuses.values()),
        "statuses": dict(statuses),
        "columns": {name: _meaning(name) for name in columns},
        "settings": job.settings,
        "settings_sha256": job.settings_sha256,
        "bundle": dict(bundle),
    }


def _meaning(column: str) -> str:
    if column in COLUMNS:
        return COLUMNS[column][1]
    if column.startswith(PROBABILITY):
        return "probability of this label, 0 to 1"
    if column.startswith(HEARD):
        return "seconds in which this was heard"
    return "as in classify --json"
