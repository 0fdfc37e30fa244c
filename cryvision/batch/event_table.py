"""The table with one row for each event of all clips of a run."""

from __future__ import annotations

import os

from cryvision.batch import remote, tables
from cryvision.batch.job import Job
from cryvision.batch.placing import put
from cryvision.batch.sources import subject_of
from cryvision.batch.store import Store
from cryvision.errors import CryvisionError
from cryvision.outputs.event_rows import event_measures, event_rows, write_dictionary
from cryvision.subjects import compile_subject_pattern

DICTIONARY_SUFFIX = ".dictionary.csv"


class EventTable:
    """A table of events, made from the rows of the clips: it holds each event exactly once.

    Parameters
    ----------
    path : str
        Of the table: ``.csv``, ``.jsonl`` or ``.parquet``, on this machine or at a URL.
    subject_pattern : str, optional
        See `cryvision.batch.sources.subject_of`.

    Raises
    ------
    ConfigError
        On another suffix.
    CryvisionError
        Where something else has the table's name.

    Attributes
    ----------
    paths : tuple of str
        Of the table and of what its columns mean.
    """

    def __init__(self, path: str, subject_pattern: str | None = None) -> None:
        self._pattern = compile_subject_pattern(subject_pattern)
        self._write = tables.writer(path)
        self.paths = (path, path + DICTIONARY_SUFFIX)
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
        table, dictionary = self.paths
        put(dictionary, lambda path: write_dictionary(path, measures))
        put(table, lambda path: self._write(path, names, rows))


def _exists(path: str) -> bool:
    return remote.exists(path) if remote.is_url(path) else os.path.lexists(path)
