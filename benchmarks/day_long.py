"""A recording of a day: what it needs in memory beside one of an hour, and what kills do to a run.

The recordings are mixed at random from ESC-10 and other-sounds, with crying of donateacry in one
place of twenty (CRYVISION_DATA): an hour that is repeated. `score` runs as its users start it. The
memory is that of its worker, sampled a hundred times a second: what the system cannot take back
(RssAnon), and all that is resident. The peak of a day is compared with that of an hour, and within
the day the median of the last 24th of the run with that of the second.

For the second part the run is killed by SIGKILL, parent and worker, at random moments, and started
again until it ends; its row, less the time it took, its table of events and the timelines beside it
must be those of a run that was not killed. Where it ends before there were enough kills, the same
is done again from the start. There the state is saved each two seconds, not each minute.
"""

from __future__ import annotations

import contextlib
import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import soundfile
from report import SEED, Demand, finish, parser

from cryvision.batch import scoring
from cryvision.batch.job import Job
from cryvision.batch.scoring import ClipScorer
from cryvision.bundle import Bundle
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.inputs.media import MEDIA_SUFFIXES, read_sound

PARTS = "memory", "kills"
DAY_OVER_HOUR = LAST_OVER_SECOND_HOUR = 1.05
HOURS = (1, 24)
HOUR_SECONDS = 3600
CRYING, OTHERS = "donateacry-corpus", ("esc-10", "other-sounds")
CRYING_SHARE = 0.05
SAVE_SECONDS, MEAN_SECONDS_TO_KILL = 2.0, 15.0
FORMATS, HOP_SECONDS = ("parquet", "csv"), 1.0

SCORE = (
    "import sys, cryvision\n"
    "clip, out, events, bundle = sys.argv[1:]\n"
    "cryvision.score(clip, out, bundle=bundle, events=events, workers=1)\n"
)

SCORE_AND_SAVE_OFTEN = f"""
import dataclasses, sys
from cryvision.batch import run
from cryvision.batch.options import BatchOptions
from cryvision.inference.options import Options
clip, out, events, bundle = sys.argv[1:]
how = BatchOptions(events=events, workers=1, formats={FORMATS}, timeline_hop_s={HOP_SECONDS})
job, facts = run._job(out, bundle, Options(), how)
job = dataclasses.replace(job, scorer="day_long:SavesOften")
run.run(job, [clip], out, engine=how.bound_engine(), views=run._views(how), bundle_facts=facts)
"""


class SavesOften(ClipScorer):
    """Scores clips as ever, and saves the state of long ones more often."""

    def __init__(self, job: Job) -> None:
        scoring.SAVE_SECONDS = SAVE_SECONDS
        super().__init__(job)


def main() -> int:
    csv.field_size_limit(sys.maxsize)  # the events of a day are one cell
    options = parser(__doc__, repeats=1)
    options.add_argument("--part", choices=PARTS, action="append", help="default: both")
    options.add_argument("--kills", type=int, default=20, help="default: 20")
    options.add_argument("--kill-hours", type=int, default=6, help="of sound (default: 6)")
    chosen = options.parse_args()
    bundle = Bundle.load(chosen.bundle)
    statuses = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        hour = mixed_hour()
        for part in chosen.part or PARTS:
            if part == "memory":
                result, demands = memory(bundle, folder, hour)
            else:
                result, demands = kills(bundle, folder, hour, chosen.kill_hours, chosen.kills)
            facts = {"crying_share": CRYING_SHARE, **result}
            statuses.append(finish(f"day_long_{part}", bundle, facts, demands))
    return max(statuses)


def memory(bundle: Bundle, folder: Path, hour: np.ndarray) -> tuple[dict[str, Any], list[Demand]]:
    """Score recordings of both lengths."""
    result = {}
    for hours in HOURS:
        clip = write_hours(folder / f"{hours}-hours.wav", hour, hours)
        result[f"{hours}_hours"] = Run(clip, folder / f"{hours}.csv", bundle, SCORE).to_end(hours)
        clip.unlink()
    hour_mib, day_mib = (result[f"{hours}_hours"]["peak_unreclaimable_mib"] for hours in HOURS)
    _, second_mib, *_, last_mib = result[f"{HOURS[-1]}_hours"]["unreclaimable_mib_by_hour"]
    return result, [
        Demand("peak memory, a day over an hour", day_mib / hour_mib, DAY_OVER_HOUR),
        Demand("memory, last over second hour", last_mib / second_mib, LAST_OVER_SECOND_HOUR),
    ]


def kills(
    bundle: Bundle, folder: Path, hour: np.ndarray, hours: int, n: int
) -> tuple[dict[str, Any], list[Demand]]:
    """Score a recording with kills until there were so many, from the start where it ended."""
    clip = write_hours(folder / "killed.wav", hour, hours)
    whole = Run(clip, folder / "whole" / "a.csv", bundle, SCORE_AND_SAVE_OFTEN)
    facts = whole.to_end(hours)
    rng = np.random.default_rng(SEED)
    runs: list[dict[str, Any]] = []
    differing: list[str] = []
    while (n_left := n - sum(run["kills"] for run in runs)) > 0:
        out = folder / f"killed-{len(runs)}" / "a.csv"
        killed = Run(clip, out, bundle, SCORE_AND_SAVE_OFTEN)
        runs.append(killed.killed(n_left, rng))
        differing += whole.differences(killed)
    result = {
        "hours": hours,
        "formats": FORMATS,
        "timeline_hop_s": HOP_SECONDS,
        "save_seconds": SAVE_SECONDS,
        "not_killed": facts,
        "killed": runs,
        "differing": differing,
    }
    return result, [
        Demand("kills that are missing", n - sum(run["kills"] for run in runs), 0),
        Demand("values that differ after kills", len(differing), 0),
        Demand("files left", sum(run["files_left"] for run in runs), 0),
    ]


def mixed_hour() -> np.ndarray:
    """Mix an hour of real sounds in random order."""
    data = Path(os.environ["CRYVISION_DATA"])
    crying, others = (
        [
            path
            for folder in folders
            for path in sorted((data / folder).rglob("*"))
            if path.suffix.lower() in MEDIA_SUFFIXES
        ]
        for folders in ((CRYING,), OTHERS)
    )
    rng = np.random.default_rng(SEED)
    pieces: list[np.ndarray] = []
    n_left = HOUR_SECONDS * SAMPLE_RATE_HZ
    while n_left > 0:
        paths = crying if rng.random() < CRYING_SHARE else others
        pieces.append(read_sound(paths[rng.integers(len(paths))])[:n_left])
        n_left -= len(pieces[-1])
    return np.concatenate(pieces)


def write_hours(path: Path, hour: np.ndarray, hours: int) -> Path:
    with soundfile.SoundFile(path, "w", SAMPLE_RATE_HZ, 1, "PCM_16") as file:
        for _ in range(hours):
            file.write(hour)
    return path


class Run:
    """One clip scored into one table by a program."""

    def __init__(self, clip: Path, out: Path, bundle: Bundle, program: str) -> None:
        self.out = out
        self.events = out.with_suffix(".events.csv")
        out.parent.mkdir(exist_ok=True)
        words = [clip, out, self.events, bundle.folder]
        self._command = [sys.executable, "-c", program, *map(str, words)]

    def start(self) -> subprocess.Popen[bytes]:
        here = str(Path(__file__).parent)  # a worker finds `SavesOften` there
        paths = [here, *filter(None, [os.environ.get("PYTHONPATH")])]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        return subprocess.Popen(self._command, env=env)

    def to_end(self, hours: int) -> dict[str, Any]:
        """Score without a kill; give the worker's memory, its peak and by hour of the clip."""
        started = time.monotonic()
        process = self.start()
        samples = []
        while process.poll() is None:
            sizes = [memory_mib(worker.pid) for worker in workers(process.pid)]
            if sizes:  # the largest is that of the worker
                samples.append((time.monotonic(), *max(sizes)))
            time.sleep(0.01)
        assert process.returncode == 0
        times_s, unreclaimable_mib, resident_mib = np.array(samples).T
        ends_s = np.linspace(times_s[0], times_s[-1], hours + 1)[1:-1]
        by_hour = np.split(unreclaimable_mib, np.searchsorted(times_s, ends_s))
        return {
            "peak_unreclaimable_mib": float(unreclaimable_mib.max()),
            "peak_resident_mib": float(resident_mib.max()),
            "unreclaimable_mib_by_hour": [float(np.median(mib)) for mib in by_hour],
            "seconds": time.monotonic() - started,
            "n_events": len(self.events.read_text().splitlines()) - 1,
        }

    def killed(self, n: int, rng: np.random.Generator) -> dict[str, Any]:
        """Score, and kill parent and worker at most so many times."""
        started = time.monotonic()
        waited: list[float] = []
        positions = set()
        while len(waited) < n:
            process = self.start()
            wait_s = float(rng.uniform(0, 2 * MEAN_SECONDS_TO_KILL))
            try:
                process.wait(wait_s)
                break
            except subprocess.TimeoutExpired:
                waited.append(wait_s)
            for one in [*workers(process.pid), psutil.Process(process.pid)]:
                one.kill()
            process.wait()
            positions |= {path.stat().st_mtime_ns for path in self._states()}
        assert self.start().wait() == 0
        return {
            "kills": len(waited),
            "kills_with_a_newer_state": len(positions),
            "killed_after_s": waited,
            "seconds": time.monotonic() - started,
            "files_left": len(list(self.out.parent.glob("*.unfinished"))),
        }

    def _states(self) -> list[Path]:
        return list(self.out.parent.glob("*.unfinished/*/state.pickle"))

    def differences(self, other: Run) -> list[str]:
        """Name what another run of the same clip has otherwise."""
        rows = []
        for run in (self, other):
            with run.out.open(newline="") as file:
                (row,) = csv.DictReader(file)
            of_run = ("seconds_spent", "key")
            rows.append({name: value for name, value in row.items() if name not in of_run})
        names = [name for name in rows[0] if rows[0][name] != rows[1][name]]
        names += ["events"] if self.events.read_text() != other.events.read_text() else []
        for path in Path(f"{self.out}.clips").iterdir():
            beside = Path(f"{other.out}.clips", path.name)
            names += [path.name] if path.read_bytes() != beside.read_bytes() else []
        return names


def memory_mib(pid: int) -> tuple[float, float]:
    """Memory that the system cannot take back, and all that is resident; 0 of an ended process."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        values = dict(line.split(":", 1) for line in lines)
        unreclaimable, resident = (int(values[n].split()[0]) / 1024 for n in ("RssAnon", "VmRSS"))
    except (OSError, KeyError):
        return 0.0, 0.0
    return unreclaimable, resident


def workers(pid: int) -> list[psutil.Process]:
    """Find the workers of a run, which are the Python processes that it started."""
    found = []
    with contextlib.suppress(psutil.Error):
        for one in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):  # it has ended since
                if "python" in one.name():
                    found.append(one)
    return found


if __name__ == "__main__":
    sys.exit(main())
