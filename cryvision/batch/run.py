"""A run: clips are listed, those without a row are scored, and the table is written."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from cryvision import __version__
from cryvision.argument_types import typed
from cryvision.atomic import remove_partials
from cryvision.batch import engines, remote, tables
from cryvision.batch.engines import Work
from cryvision.batch.hours import Hours
from cryvision.batch.job import Job
from cryvision.batch.options import BatchOptions
from cryvision.batch.placing import check_distinct, check_ours, put
from cryvision.batch.rows import OK, ordered_columns, probability_column
from cryvision.batch.sources import find_clips
from cryvision.batch.store import KEY_LENGTH, STORE_SUFFIX, Store
from cryvision.batch.summary import Progress, Summary, about_table
from cryvision.batch.tables import EventTable
from cryvision.bundle import Bundle
from cryvision.errors import ConfigError, MediaError
from cryvision.inference.options import Options

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from cryvision.batch.options import BatchValues


_ABOUT_SUFFIX = ".about.json"
_CLIPS_SUFFIX = ".clips"
_UNFINISHED_SUFFIX = ".unfinished"

AnyPath = str | os.PathLike[str]


@typed
def score(
    sources: AnyPath | Iterable[AnyPath],
    out: AnyPath,
    *,
    bundle: AnyPath | None = None,
    progress: Callable[[Progress], None] | None = None,
    **options: Unpack[BatchValues],
) -> Summary:
    """Score many clips into one table, each exactly once.

    Rows are kept in ``<out>.rows.sqlite``, and where a long recording stands in
    ``<out>.unfinished``. However a run ends, the same call goes on where it stopped, within a
    recording too. Clips that have changed since, or other settings, are scored anew.

    Parameters
    ----------
    sources : path or paths
        Files, folders (searched with all folders in them), patterns such as ``day*/*.wav``,
        manifests (``.csv`` with a column ``path``), and URLs of these (``s3://``, ``gs://``).
    out : path
        The table: ``.csv``, ``.jsonl`` or ``.parquet``, on this machine or at a URL. One row a
        clip, in the order of the sources; what the rows rest on goes into ``<out>.about.json``.
    bundle : path, optional
        The bundle that ships with the package by default.
    progress : callable, optional
        Called with a `Progress` for each row, and once a second without one.
    **options
        The fields of `cryvision.batch.options.BatchOptions` and, as for `cryvision.classify`, of
        `cryvision.inference.options.Options`.

    Returns
    -------
    Summary
        A clip that fails is a row, not an error.

    Raises
    ------
    MediaError
        When a source is not there or holds no clip.
    BundleError, ConfigError
        The bundle is refused, a setting is not possible, or the table's suffix is unknown.
    CryvisionError
        Another run is at work on this table, something else has its name, or it cannot be written.

    Examples
    --------
    >>> cryvision.score("recordings", "cries.csv").n_failed      # doctest: +SKIP
    2
    """
    chosen, how = _divided(options)
    listed = [sources] if isinstance(sources, str | os.PathLike) else sources
    paths = [os.fspath(source) for source in listed]
    job, facts = _job(os.fspath(out), bundle, chosen, how)
    return run(
        job, paths, os.fspath(out), engine=how.bound_engine(), views=_views(how),
        retry_failed=how.retry_failed, progress=progress, bundle_facts=facts,
    )  # fmt: skip


def _views(how: BatchOptions) -> tuple[EventTable | Hours, ...]:
    who = how.subject_pattern
    events = () if how.events is None else (EventTable(os.fspath(how.events), who),)
    hours = () if how.summary is None else (Hours(os.fspath(how.summary), who),)
    return (*events, *hours)


def _divided(options: Mapping[str, Any]) -> tuple[Options, BatchOptions]:
    """Tell how clips are classified from how the run works."""
    of_run = {field.name for field in fields(BatchOptions)}
    return (
        Options(**{name: value for name, value in options.items() if name not in of_run}),
        BatchOptions(**{name: value for name, value in options.items() if name in of_run}),
    )


def _job(
    table: str, bundle: AnyPath | None, options: Options, how: BatchOptions
) -> tuple[Job, dict[str, Any]]:
    """Return the job for each clip, and the description of the bundle beside the table."""
    loaded = Bundle.load(bundle)
    options.applied(loaded)  # refused before any work
    formats_dir = _beside(table, _CLIPS_SUFFIX) if how.formats_dir is None else how.formats_dir
    unfinished_dir = _beside(table, _UNFINISHED_SUFFIX)
    job = Job(
        bundle=None if bundle is None else os.path.abspath(bundle),
        bundle_name=loaded.name,
        bundle_sha256=loaded.sha256,
        version=__version__,
        folder=os.getcwd(),
        options=options,
        formats=tuple(how.formats),
        formats_dir=os.path.abspath(formats_dir) if how.formats else "",
        # Machines of a cluster may have no such place.
        unfinished_dir=os.path.abspath(unfinished_dir) if how.engine == "local" else "",
        acoustics=how.acoustics,
        timezone=how.timezone,
        timeline_hop_s=how.timeline_hop_s,
    )
    facts = loaded.describe()
    del facts["path"]
    return job, facts


def run(
    job: Job,
    sources: Sequence[str],
    out: str,
    *,
    engine: engines.Engine = engines.run_local,
    retry_failed: bool = False,
    progress: Callable[[Progress], None] | None = None,
    bundle_facts: Mapping[str, Any] | None = None,
    views: Sequence[EventTable | Hours] = (),
) -> Summary:
    """Do a job on the clips of some sources; see `score`.

    The ``engine`` is one of `cryvision.batch.engines`, with its workers and limits bound to it;
    ``bundle_facts`` is the description of the bundle beside the table, and ``views`` are the tables
    of events and of hours that are made from the rows.
    """
    started = time.monotonic()
    target = _Table(out, views, job.formats_dir)
    problems: list[str] = []
    with Store(target.store, retry_failed) as store:
        target.remove_leftovers()
        clips = find_clips(sources, [job.formats_dir] if job.formats_dir else [], problems)
        store.list_clips(clips, sources, [job.settings_sha256, job.formats_dir])
        n_clips, n_todo, n_bytes = store.count()
        if not n_clips:
            where = f"none in {', '.join(sources):.200}" if sources else "got no source"
            raise MediaError(f"there must be sound or video files to score; {where}")
        counted = Progress(n_clips, n_clips - n_todo)
        try:
            if n_todo:
                work = Work(store.todo, n_todo, n_bytes)
                with contextlib.closing(engine(job, work)) as rows:
                    _collect(rows, store, counted, progress, job.unfinished_dir)
            store.commit()
            _remove_states(job.unfinished_dir)
        finally:
            # However it ends, what was scored is kept and shown.
            store.commit()
            statuses = target.write(job, store, bundle_facts or {})
    ok = statuses.pop(OK, 0)
    return Summary(
        out=out,
        n_clips=ok + sum(statuses.values()),
        failures=dict(statuses),
        n_scored=counted.n_scored,
        media_seconds=counted.media_seconds,
        elapsed_s=time.monotonic() - started,
        problems=tuple(problems),
        periods=tuple(one for view in views if isinstance(view, Hours) for one in view.periods),
    )


def _collect(
    lines: Iterator[bytes | None],
    store: Store,
    counted: Progress,
    progress: Callable[[Progress], None] | None,
    unfinished_dir: str,
) -> None:
    started = time.monotonic()
    for line in lines:
        row = None if line is None else json.loads(line)
        if row is not None:
            counted.add(row)
        store.add(row)
        if row is not None and unfinished_dir:
            state = Path(unfinished_dir, row["key"])
            if state.is_dir():
                store.commit()  # before that, a kill would cost all of the recording
                shutil.rmtree(state, ignore_errors=True)
        counted.elapsed_s = time.monotonic() - started
        if progress is not None:
            progress(counted)


def _remove_states(unfinished_dir: str) -> None:
    """Remove the folder for unfinished recordings, and nothing that others have put there."""
    if unfinished_dir:
        for state in Path(unfinished_dir).glob("[0-9a-f]" * KEY_LENGTH):
            shutil.rmtree(state, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.rmdir(unfinished_dir)


class _Table:
    def __init__(self, out: str, views: Sequence[EventTable | Hours], formats_dir: str) -> None:
        self._write = tables.writer(out)
        self._out = out
        self._views = views
        self.store = _beside(out, STORE_SUFFIX)
        of_views = [path for view in views for path in view.paths]
        files = [out, str(self.store), str(_beside(out, _ABOUT_SUFFIX)), *of_views]
        check_distinct([*files, *([formats_dir] if formats_dir else [])])
        if formats_dir and os.path.exists(formats_dir) and not os.path.isdir(formats_dir):
            raise ConfigError(f"the files for each clip must go to a folder; got {formats_dir}")
        self._tables = [out, *of_views]
        if not self.store.exists():
            check_ours(out, str(self.store))

    def remove_leftovers(self) -> None:
        """Remove what killed runs have left of tables that were being written."""
        for path in self._tables:
            remove_partials(Path(path))

    def write(self, job: Job, store: Store, bundle_facts: Mapping[str, Any]) -> Counter[str]:
        """Write the rows that there are; give their number by status."""
        statuses = store.statuses()
        names = dict.fromkeys(map(probability_column, bundle_facts.get("labels", ())))
        names.update(store.names())
        names.pop("key", None)
        columns = ordered_columns(names)
        rows = (row for _, row in store.rows())
        put(self._out, lambda path: self._write(path, columns, rows))
        for view in self._views:
            view.write(store, job)
        about = about_table(job, columns, bundle_facts, statuses)
        text = json.dumps(about, indent=2, allow_nan=False) + "\n"
        put(self._out + _ABOUT_SUFFIX, lambda path: path.write_text(text, "ascii"))
        return statuses


def _beside(table: str, suffix: str) -> Path:
    """Name what goes beside a table; beside one elsewhere is the current folder."""
    here = Path(PurePosixPath(table).name if remote.is_url(table) else table)
    return Path(f"{here}{suffix}")
