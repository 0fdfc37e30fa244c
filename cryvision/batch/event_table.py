"""The table with one row for each event of all clips of a run."""

from __future__ import annotations

import os

from cryvision.batch import remote, tables
from cryvision.batch.job import Job
from cryvision.batch.placing import put
from cryvision.batch.sources import subject_of
from cryvision.batch.store import Store
from cryvision.errors import ConfigError, CryvisionError
from cryvision.outputs.event_rows import event_measures, event_rows, write_dictionary
from cryvision.subjects import compile_subject_pattern

DICTIONARY_SUFFIX = ".dictionary.csv"


class EventTable:
    """A table of events, made from the rows of the clips: it holds each event exactly once.

    Parameters
    ----------
    path : str
        Of the table: ``.csv``, ``.jsonl`` or ``.parquet``, on this machine or at a URL.
    clips_path : str
        Of the table of clips.
    subject_pattern : str, optional
        See `cryvision.batch.sources.subject_of`.

    Raises
    ------
    ConfigError
        On another suffix, or where both tables have one path.
    CryvisionError
        Where something else has the table's name.

    Attributes
    ----------
    path : str
    """

    def __init__(self, path: str, clips_path: str, subject_pattern: str | None = None) -> None:
        self._pattern = compile_subject_pattern(subject_pattern)
        self._write = tables.writer(path)
        self.path = path
        if os.path.abspath(path) == os.path.abspath(clips_path):
            raise ConfigError(f"the tables of clips and of events must be two files; got {path}")
        if _exists(path) and not _exists(path + DICTIONARY_SUFFIX):
            raise CryvisionError(
                f"{path}: exists already, without the file {path}{DICTIONARY_SUFFIX} of the run "
                "that made it; nothing was written"
            )

    def write(self, store: Store, job: Job) -> None:
        """Write the events of the run's clips, and what the columns mean."""
        measures = event_measures(job.acoustics)
        names = [measure.name for measure in measures]
        rows = (
            event
            for clip, row in store.rows()
            for event in event_rows(row, subject=subject_of(clip, self._pattern))
        )
        put(self.path + DICTIONARY_SUFFIX, lambda path: write_dictionary(path, measures))
        put(self.path, lambda path: self._write(path, names, rows))


def _exists(path: str) -> bool:
    return remote.exists(path) if remote.is_url(path) else os.path.lexists(path)
