"""What it costs to list, schedule, gather and write many clips: `score` with a model that is free.

A driver in a process of its own runs over empty files, for each number of clips in turn; its
workers answer with the row of a clip with two bouts, made as for a real one. CPU time is of the
driver and its workers together, and what a busy machine leaves comparable; Ray's processes are not
the driver's children, so that with Ray it is of the driver alone.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from report import Demand, finish

from cryvision.batch.engines import run_local
from cryvision.batch.job import Job
from cryvision.batch.rows import scored_row
from cryvision.batch.run import run
from cryvision.batch.sources import ListedClip
from cryvision.batch.summary import Progress
from cryvision.bundle import Bundle
from cryvision.inputs.pitch import PitchTrack
from cryvision.result import Classification, Detection, Event

CLIPS = (1_000, 10_000, 100_000)
CLIPS_PER_FOLDER = 1_000
CPU_MS_PER_CLIP = 2.0
DRIVER_MB = 500.0


class NullScorer:
    """Makes the row of a clip of 7 s with two bouts, without looking at it."""

    def __init__(self, job: Job) -> None:
        self._job = job
        bouts = (Event(1.5, 4.3, "cry", 0.97, -18.3, 31.2), Event(5.0, 6.4, "cry", 0.91, -22.3, 27))
        self._result = Classification(
            *("", 7.0, "cry", {"no cry": 0.38, "cry": 0.62}, Detection(True, 0.62, 4.2), {}),
            *(bouts, ("sound",), {"name": "null", "sha256": "0" * 64}, []),
        )
        self._pitch = PitchTrack(np.full(350, 450.0, np.float32))

    def __call__(self, clip: ListedClip) -> dict[str, Any]:
        return {**scored_row(clip, self._job, self._result, self._pitch, 0.0), "path": clip.path}


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--clips", type=int, nargs="+", default=CLIPS, metavar="N")
    options.add_argument("--workers", type=int, default=2, metavar="N", help="default: 2")
    options.add_argument("--engine", choices=("local", "ray"), default="local")
    options.add_argument("--drive", nargs=2, metavar=("FOLDER", "FILE"), help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.drive:
        return drive(chosen.engine, *chosen.drive, chosen.workers)
    runs: dict[str, dict[str, float]] = {}
    for n_clips in chosen.clips:
        runs |= measure(n_clips, chosen.engine, chosen.workers)
    largest = runs[f"{max(chosen.clips)} clips, first start"]
    what = f"for {max(chosen.clips)} clips, engine {chosen.engine}"
    demands = [
        Demand(f"CPU ms a clip {what}", largest["cpu_ms_per_clip"], CPU_MS_PER_CLIP),
        Demand(f"MB of the driver {what}", largest["driver_mb"], DRIVER_MB),
    ]
    result = {"engine": chosen.engine, "workers": chosen.workers, "runs": runs}
    name = "batch_scale" if chosen.engine == "local" else f"batch_scale_{chosen.engine}"
    return finish(name, Bundle.load(), result, demands)


def measure(n_clips: int, engine: str, workers: int) -> dict[str, dict[str, float]]:
    """Run over clips that are new, and once more with nothing left to do."""
    with tempfile.TemporaryDirectory() as folder:
        clips, out = Path(folder, "clips"), Path(folder, "table.csv")
        for first in range(0, n_clips, CLIPS_PER_FOLDER):
            place = clips / f"{first // CLIPS_PER_FOLDER:05d}"
            place.mkdir(parents=True)
            for i in range(first, min(first + CLIPS_PER_FOLDER, n_clips)):
                (place / f"{i:08d}.wav").touch()
        runs = {}
        for start in ("first start", "nothing left"):
            words = ["--drive", str(clips), str(out), "--engine", engine, "--workers", str(workers)]
            path = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
            env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}
            done = subprocess.run(
                [sys.executable, __file__, *words], env=env, stdout=subprocess.PIPE, check=True
            )
            took = json.loads(done.stdout)
            cpu_ms_per_clip = 1000 * took["cpu_seconds"] / n_clips
            runs[f"{n_clips} clips, {start}"] = {
                **took,
                "cpu_ms_per_clip": cpu_ms_per_clip,
                "rows_mb": _size_mb(f"{out}.rows.sqlite"),
                "table_mb": _size_mb(str(out)),
            }
        with open(out, encoding="utf-8") as table:
            n_rows = sum(1 for _ in table) - 1
        assert n_rows == n_clips, f"{n_rows} rows for {n_clips} clips"
        return runs


def drive(engine: str, clips: str, out: str, workers: int) -> int:
    """Be the driver of one run, and print what it took."""
    job = Job(None, "null", "0" * 64, "0", os.getcwd(), scorer="batch_scale:NullScorer")
    run_engine: Any = run_local
    if engine == "ray":
        from cryvision.batch.ray_engine import run_ray

        run_engine = run_ray
    at = {"started": time.monotonic(), "first": math.nan, "last": math.nan}

    def progress(counted: Progress) -> None:
        at["last"] = time.monotonic()
        if math.isnan(at["first"]):
            at["first"] = at["last"] - counted.elapsed_s

    run_workers = functools.partial(run_engine, workers=workers)
    run(job, [clips], out, engine=run_workers, progress=progress)
    ended = time.monotonic()
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    took = {
        "seconds": ended - at["started"],
        "listing_seconds": at["first"] - at["started"],
        "scoring_seconds": at["last"] - at["first"],
        "writing_seconds": ended - at["last"],
        "cpu_seconds": sum(usage.ru_utime + usage.ru_stime for usage in used),
        "driver_cpu_seconds": used[0].ru_utime + used[0].ru_stime,
        "driver_mb": used[0].ru_maxrss / 1024,
    }
    print(json.dumps({k: v for k, v in took.items() if not math.isnan(v)}))
    return 0


def _size_mb(path: str) -> float:
    place = Path(path)
    files = [place] if place.is_file() else [p for p in place.rglob("*") if p.is_file()]
    return sum(p.stat().st_size for p in files) / 1e6


if __name__ == "__main__":
    sys.exit(main())
