"""What a user may choose when many clips are scored, beside how each is classified."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

from cryvision.acoustics.praat import require_praat
from cryvision.argument_types import check_types
from cryvision.batch import engines, remote
from cryvision.config import check_choice
from cryvision.errors import ConfigError
from cryvision.inference.options import OptionValues
from cryvision.layers import require_package
from cryvision.outputs.files import check_formats, check_timeline_hop
from cryvision.start_times import time_zone
from cryvision.subjects import compile_subject_pattern

ENGINES = ("local", "ray")

TIMEOUT_SECONDS = 3600.0
"""Default limit for one clip; sound of a whole day takes about a third of it."""


@dataclass(frozen=True)
class BatchOptions:
    """How a run of `cryvision.score` works, and what it writes beside the table.

    Attributes
    ----------
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
    events : path, optional
        A second table to write, with one row for each event of all clips: ``.csv``, ``.jsonl`` or
        ``.parquet``. What its columns mean goes into ``<events>.dictionary.csv``.
    acoustics : bool
        Measure the acoustics of each cry and bout: columns of ``events``, and of the lists of
        events and bouts in the table of clips.
    timezone : str
        Of the recorders' clocks, such as ``Europe/Berlin``; that of this machine by default.
    summary : path, optional
        A third table, CSV, with the totals of each hour and day; see `cryvision.batch.hours`.
    subject_pattern : str, optional
        Regular expression whose first group, in the path of a clip, is its subject in ``events``
        and ``summary`` where the manifest names none.
    timeline_hop_s : float, optional
        Of the timelines in ``formats``, which must hold one; see `cryvision.outputs.write`.

    Raises
    ------
    ConfigError
        If one is of another type or out of range, or two of them do not go together.
    MissingDependencyError
        If acoustics, Parquet or Ray are wanted and what they need is not installed.
    """

    workers: int | None = None
    engine: str = "local"
    address: str | None = None
    gpus_per_worker: float = 0.0
    formats: Sequence[str] = ()
    formats_dir: str | os.PathLike[str] | None = None
    retry_failed: bool = False
    timeout_seconds: float = TIMEOUT_SECONDS
    events: str | os.PathLike[str] | None = None
    acoustics: bool = False
    timezone: str = ""
    summary: str | os.PathLike[str] | None = None
    subject_pattern: str | None = None
    timeline_hop_s: float | None = None

    def __post_init__(self) -> None:
        check_types(self)
        object.__setattr__(self, "formats", tuple(dict.fromkeys(self.formats)))
        check_choice("engine", self.engine, ENGINES)
        if self.engine == "ray":
            require_package("ray", "the engine ray", "batch")
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"workers must be at least 1; got {self.workers}")
        if not 0 <= self.gpus_per_worker < math.inf:
            raise ConfigError(f"gpus per worker must not be negative; got {self.gpus_per_worker:g}")
        if self.engine == "local" and (self.address is not None or self.gpus_per_worker):
            raise ConfigError("an address and GPUs per worker are for the engine ray; got local")
        if not self.timeout_seconds >= 0:
            raise ConfigError(f"the timeout must not be negative; got {self.timeout_seconds:g}")
        check_formats(self.formats)
        time_zone(self.timezone)
        if self.subject_pattern is not None:
            compile_subject_pattern(self.subject_pattern)
            if self.events is None and self.summary is None:
                raise ConfigError(
                    "a subject pattern needs a table of events or a summary; got neither"
                )
        check_timeline_hop(self.timeline_hop_s, self.formats)
        if self.acoustics:
            require_praat()  # refused before any work
        if self.formats_dir is not None and not self.formats:
            raise ConfigError("a folder for formats needs formats to write; got none")
        if self.formats_dir is not None and remote.is_url(os.fspath(self.formats_dir)):
            raise ConfigError(
                f"the folder for formats must be on this machine; got {self.formats_dir}"
            )

    def bound_engine(self) -> engines.Engine:
        engine: engines.Engine = engines.run_local
        if self.engine == "ray":
            from cryvision.batch.ray_engine import run_ray

            engine = functools.partial(
                run_ray, address=self.address, gpus_per_worker=self.gpus_per_worker
            )
        time_limit_s = self.timeout_seconds or math.inf
        return functools.partial(engine, workers=self.workers, time_limit_s=time_limit_s)


class BatchValues(OptionValues, total=False):
    """The fields of `BatchOptions` and `Options` as keyword arguments, for type checkers."""

    workers: int | None
    engine: str
    address: str | None
    gpus_per_worker: float
    formats: Sequence[str]
    formats_dir: str | os.PathLike[str] | None
    retry_failed: bool
    timeout_seconds: float
    events: str | os.PathLike[str] | None
    acoustics: bool
    timezone: str
    summary: str | os.PathLike[str] | None
    subject_pattern: str | None
    timeline_hop_s: float | None
