"""The table with one row for each event of all clips of a run."""

from __future__ import annotations

from cryvision.batch import tables
from cryvision.batch.job import Job
from cryvision.batch.placing import check_ours, exists, put
from cryvision.batch.sources import subject_of
from cryvision.batch.store import Store
from cryvision.outputs.event_rows import event_measures, event_rows, write_dictionary
from cryvision.subjects import compile_subject_pattern

DICTIONARY_SUFFIX = ".dictionary.csv"


class EventTable:
    """A table of events, made from the rows of the clips: it holds each event exactly once.

    `paths` are those of the table, ``.csv``, ``.jsonl`` or ``.parquet``, on this machine or at a
    URL, and of what its columns mean; for ``subject_pattern`` see `subject_of`.
    """

    def __init__(self, path: str, subject_pattern: str | None = None) -> None:
        self._pattern = compile_subject_pattern(subject_pattern)
        self._write = tables.writer(path)
        self.paths = (path, path + DICTIONARY_SUFFIX)
        if not exists(self.paths[1]):
            check_ours(*self.paths)

    def write(self, store: Store, job: Job) -> None:
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
