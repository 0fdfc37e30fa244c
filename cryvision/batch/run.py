"""A run: clips are listed, those without a row are scored, and the table is written."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from cryvision import __version__
from cryvision.atomic import staged
from cryvision.batch import engines, remote, tables
from cryvision.batch.job import Job
from cryvision.batch.parts import FOLDER_SUFFIX, Index, Listing, Parts, remove_leftovers
from cryvision.batch.rows import OK, ordered_columns, probability_column
from cryvision.batch.sources import find_clips
from cryvision.batch.summary import Progress, Summary, about_table
from cryvision.batch.work import Work
from cryvision.bundle import Bundle
from cryvision.errors import ConfigError, CryvisionError, MediaError
from cryvision.inference.options import Options
from cryvision.outputs.files import check_formats

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from cryvision.inference.options import OptionValues


ENGINES = ("local", "ray")

TIMEOUT_SECONDS = 3600.0
"""Default limit for one clip; sound of a whole day takes about a third of it."""

_ABOUT_SUFFIX = ".about.json"
_CLIPS_SUFFIX = ".clips"

AnyPath = str | os.PathLike[str]


def score(
    sources: AnyPath | Sequence[AnyPath],
    out: AnyPath,
    *,
    bundle: AnyPath | None = None,
    workers: int | None = None,
    engine: str = "local",
    address: str | None = None,
    gpus_per_worker: float = 0.0,
    formats: Sequence[str] = (),
    formats_dir: AnyPath | None = None,
    retry_failed: bool = False,
    timeout_seconds: float = TIMEOUT_SECONDS,
    progress: Callable[[Progress], None] | None = None,
    **options: Unpack[OptionValues],
) -> Summary:
    """Score many clips into one table, each exactly once.

    What is scored is kept in the folder ``<out>.parts``. However a run ends, the same call goes on
    where it stopped; clips that have changed since, or other settings, are scored anew.

    Parameters
    ----------
    sources : path or sequence of path
        Files, folders (searched with all folders in them), patterns such as ``day*/*.wav``,
        manifests (``.csv`` with a column ``path``), and URLs of these (``s3://``, ``gs://``).
    out : path
        The table: ``.csv``, ``.jsonl`` or ``.parquet``, on this machine or at a URL. One row a
        clip, in the order of the sources; what the rows rest on goes into ``<out>.about.json``.
    bundle : path, optional
        The bundle that ships with the package by default.
    workers : int, optional
        Processes; by default one for a small job, up to one a core for a large one, or as many
        as the cluster has room for.
    engine : {"local", "ray"}
    address : str, optional
        Of a running Ray cluster; a local one is started by default.
    gpus_per_worker : float
        GPUs, or the share of one, that Ray sets aside for each worker.
    formats : sequence of str
        Files to write for each clip: keys of `cryvision.outputs.FORMATS`, or ``all``.
    formats_dir : path, optional
        Folder for them, ``<out>.clips`` by default; folders in it are those of the sources.
    retry_failed : bool
        Score clips again that have failed before.
    timeout_seconds : float
        Limit for one clip; 0 for none.
    progress : callable, optional
        Called with a `Progress` for each row, and once a second without one.
    **options
        As for `cryvision.classify`.

    Returns
    -------
    Summary
        A clip that fails is a row, not an error.

    Raises
    ------
    MediaError
        When a source is not there or holds no clip.
    BundleError
        The bundle is refused.
    ConfigError
        A setting is not possible, or the table's suffix is unknown.
    CryvisionError
        Another run is at work on this table, something else has its name, or it cannot be written.

    Examples
    --------
    >>> import cryvision
    >>> summary = cryvision.score("recordings", "cries.csv")      # doctest: +SKIP
    >>> summary.n_clips, summary.n_failed                         # doctest: +SKIP
    (457, 2)
    """
    listed = [sources] if isinstance(sources, str | os.PathLike) else list(sources)
    table = os.fspath(out)
    loaded = Bundle.load(bundle)
    chosen = Options(**options)
    chosen.applied(loaded)  # refused before any work
    job = Job(
        bundle=None if bundle is None else os.path.abspath(bundle),
        bundle_name=loaded.name,
        bundle_sha256=loaded.sha256,
        version=__version__,
        folder=os.getcwd(),
        options=chosen,
        formats=_checked_formats(formats, formats_dir),
        formats_dir=_formats_dir(table, formats_dir) if formats else "",
    )
    facts = loaded.describe()
    del facts["path"]
    return run(
        job,
        [os.fspath(source) for source in listed],
        table,
        engine=_engine(engine, workers, address, gpus_per_worker),
        workers=workers,
        retry_failed=retry_failed,
        time_limit_s=_time_limit_s(timeout_seconds),
        progress=progress,
        bundle_facts=facts,
    )


def run(
    job: Job,
    sources: Sequence[str],
    out: str,
    *,
    engine: engines.Engine = engines.run_local,
    workers: int | None = None,
    retry_failed: bool = False,
    time_limit_s: float = math.inf,
    progress: Callable[[Progress], None] | None = None,
    bundle_facts: Mapping[str, Any] | None = None,
) -> Summary:
    """Do a job on the clips of some sources; see `score`.

    Parameters
    ----------
    job : Job
    sources : sequence of str
    out : str
    engine : callable
        One of `cryvision.batch.engines`.
    workers, retry_failed, time_limit_s, progress
        As in `score`; an infinite limit is none.
    bundle_facts : mapping, optional
        What is said of the bundle beside the table.
    """
    started = time.monotonic()
    target = _Table(out)
    problems: list[str] = []
    with Parts(target.beside(FOLDER_SUFFIX)) as parts:
        target.remove_leftovers()
        found = find_clips(sources, [job.formats_dir] if job.formats_dir else [], problems)
        listing = parts.listing(found, sources, job.settings_sha256)
        if not len(listing.keys):
            where = ", ".join(sources)
            raise MediaError(f"there must be sound or video files to score; none in {where:.200}")
        index = parts.index(job.settings_sha256)
        todo = _todo(listing, index, retry_failed)
        n_todo = int(np.count_nonzero(todo))
        counted = Progress(len(todo), len(todo) - n_todo)
        try:
            if n_todo:
                work = Work(lambda: listing.clips(todo), n_todo, listing.total_bytes)
                rows = engine(job, work, workers=workers, time_limit_s=time_limit_s)
                with contextlib.closing(rows):
                    _collect(rows, parts, counted, progress)
        finally:
            # However it ends, what was scored is kept and shown.
            parts.flush()
            statuses = target.write(job, listing, index, bundle_facts or {})
    ok = statuses.pop(OK, 0)
    return Summary(
        out=out,
        n_clips=ok + sum(statuses.values()),
        failures=dict(statuses),
        n_scored=counted.n_scored,
        media_seconds=counted.media_seconds,
        elapsed_s=time.monotonic() - started,
        problems=tuple(problems),
    )


def _collect(
    rows: Iterator[bytes | None],
    parts: Parts,
    counted: Progress,
    progress: Callable[[Progress], None] | None,
) -> None:
    started = time.monotonic()
    for line in rows:
        row = None if line is None else json.loads(line)
        if row is not None:
            counted.add(row)
        parts.add(line, row)
        counted.elapsed_s = time.monotonic() - started
        if progress is not None:
            progress(counted)


def _todo(listing: Listing, index: Index, retry_failed: bool) -> np.ndarray:
    """Which clips are to be scored; bool, one a clip of the listing."""
    rows = index.find(listing.keys)
    done = rows >= 0
    if retry_failed:
        done[done] = index.succeeded(rows[done])
    return ~done


class _Table:
    """The table of a run, on this machine or at a URL, and the names beside it."""

    def __init__(self, out: str) -> None:
        self._write = tables.writer(out)
        self._out = out
        self._is_url = remote.is_url(out)
        # What goes beside a table elsewhere lies in the current folder.
        self._here = Path(PurePosixPath(out).name) if self._is_url else Path(out)
        if self.beside(FOLDER_SUFFIX).exists():
            return
        if remote.exists(out) if self._is_url else os.path.lexists(out):
            raise CryvisionError(
                f"{out}: exists already, without the folder {self.beside(FOLDER_SUFFIX)} of the "
                "run that made it; nothing was written"
            )

    def beside(self, suffix: str) -> Path:
        return self._here.with_name(self._here.name + suffix)

    def remove_leftovers(self) -> None:
        remove_leftovers(self._here)

    def write(
        self, job: Job, listing: Listing, index: Index, bundle_facts: Mapping[str, Any]
    ) -> Counter[str]:
        """Write the rows that there are, in the order of the listing; give them by status."""
        labels = map(probability_column, bundle_facts.get("labels", ()))
        columns = ordered_columns([*labels, *(name for name in index.columns if name != "key")])
        statuses: Counter[str] = Counter()

        def rows() -> Iterator[dict[str, Any]]:
            for number in index.find(listing.keys).tolist():
                if number >= 0:
                    row = index.read(number)
                    statuses[row["status"]] += 1
                    yield row

        self._put(self._out, lambda place: self._write(place, columns, rows()))
        about = about_table(job, columns, bundle_facts, statuses)
        text = json.dumps(about, indent=2, allow_nan=False) + "\n"
        self._put(self._out + _ABOUT_SUFFIX, lambda place: place.write_text(text, "ascii"))
        return statuses

    def _put(self, target: str, write: Callable[[Path], object]) -> None:
        try:
            with contextlib.ExitStack() as stack:
                if self._is_url:
                    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="cryvision-"))
                    place = Path(folder, PurePosixPath(target).name)
                    write(place)
                    remote.put(place, target)
                else:
                    write(stack.enter_context(staged(Path(target), overwrite=True)))
        except OSError as error:
            reason = error.strerror or error
            raise CryvisionError(f"{target}: the table cannot be written: {reason}") from error


def _engine(
    name: str, workers: int | None, address: str | None, gpus_per_worker: float
) -> engines.Engine:
    if name not in ENGINES:
        raise ConfigError(f"engine must be one of {', '.join(ENGINES)}; got {name!r}")
    if workers is not None and workers < 1:
        raise ConfigError(f"workers must be at least 1; got {workers}")
    if not 0 <= gpus_per_worker < math.inf:
        raise ConfigError(f"gpus per worker must not be negative; got {gpus_per_worker:g}")
    if name == "ray":
        from cryvision.batch.ray_engine import run_ray

        return functools.partial(run_ray, address=address, gpus_per_worker=gpus_per_worker)
    if address is not None or gpus_per_worker:
        raise ConfigError("an address and GPUs per worker are for the engine ray; got local")
    return engines.run_local


def _time_limit_s(timeout_seconds: float) -> float:
    if not timeout_seconds >= 0:
        raise ConfigError(f"the timeout must not be negative; got {timeout_seconds:g}")
    return timeout_seconds or math.inf


def _checked_formats(formats: Iterable[str], formats_dir: AnyPath | None) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(formats))
    check_formats(names)
    if formats_dir is not None and not names:
        raise ConfigError("a folder for formats needs formats to write; got none")
    if formats_dir is not None and remote.is_url(os.fspath(formats_dir)):
        raise ConfigError(f"the folder for formats must be on this machine; got {formats_dir}")
    return names


def _formats_dir(table: str, formats_dir: AnyPath | None) -> str:
    if formats_dir is not None:
        return os.path.abspath(formats_dir)
    name = PurePosixPath(table).name if remote.is_url(table) else table
    return os.path.abspath(name + _CLIPS_SUFFIX)
