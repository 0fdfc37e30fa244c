"""A recording of a day: what it needs in memory beside one of an hour, and what kills do to a run.

The recordings are mixed at random from donateacry, ESC-10 and other-sounds (CRYVISION_DATA), an
hour that is repeated. `score` runs as its users start it; the memory is that of its worker, sampled
ten times a second: all resident memory, with what is mapped from files and can be dropped. For the
second part the run is killed by SIGKILL, parent and worker, at random moments, and started again
until it ends; its rows, less the time they took, and its tables of events must be those of a run
that was not killed.
"""

from __future__ import annotations

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

from cryvision.bundle import Bundle
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.inputs.media import MEDIA_SUFFIXES, read_sound

DAY_OVER_HOUR = 1.05
HOUR_SECONDS = 3600
LEAST_SECONDS = 75.0
"""Mean time to a kill: less than a minute after a start nothing is saved."""
FOLDERS = ("donateacry-corpus", "esc-10", "other-sounds")
FORMATS = ("parquet", "csv")
HOP_SECONDS = 1.0

SCORE = (
    "import os, sys, cryvision\n"
    "clip, out, events, bundle, formats, hop = sys.argv[1:]\n"
    "cryvision.score(clip, out, bundle=bundle, events=events, workers=1,\n"
    "    formats=formats.split(','), timeline_hop_s=float(hop))\n"
)


def main() -> int:
    options = parser(__doc__, repeats=1)
    options.add_argument("--kills", type=int, default=20, help="default: 20")
    options.add_argument("--kill-hours", type=int, default=24, help="of sound (default: 24)")
    chosen = options.parse_args()
    bundle = Bundle.load(chosen.bundle)
    result: dict[str, Any] = {"formats": FORMATS, "timeline_hop_s": HOP_SECONDS}
    peaks = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for hours in (1, 24):
            clip = write_hours(folder / f"{hours}-hours.wav", hours)
            run = Run(clip, folder / f"{hours}.csv", bundle)
            peaks[hours] = run.to_end()
            result[f"{hours}_hours"] = peaks[hours]
        whole = run
        if chosen.kill_hours != 24:
            clip = write_hours(folder / "killed.wav", chosen.kill_hours)
            whole = Run(clip, folder / "whole.csv", bundle)
            result["not_killed"] = whole.to_end()
        seconds = (result.get("not_killed") or peaks[24])["seconds"]
        killed = Run(whole.clip, folder / "killed.csv", bundle)
        result["killed"] = killed.killed(chosen.kills, seconds)
        result["killed"]["hours"] = chosen.kill_hours
        differing = whole.differences(killed)
        result["killed"]["differing"] = differing
    ratio = peaks[24]["peak_mib"] / peaks[1]["peak_mib"]
    demands = [
        Demand("peak memory, a day over an hour", ratio, DAY_OVER_HOUR),
        Demand("values that differ after kills", len(differing), 0),
        Demand("files left", result["killed"]["files_left"], 0),
    ]
    return finish("day_long", bundle, result, demands)


def write_hours(path: Path, hours: int) -> Path:
    """Write an hour of real sounds in random order, so many times over."""
    data = Path(os.environ["CRYVISION_DATA"])
    paths = [
        path
        for folder in FOLDERS
        for path in sorted((data / folder).rglob("*"))
        if path.suffix.lower() in MEDIA_SUFFIXES
    ]
    rng = np.random.default_rng(SEED)
    pieces: list[np.ndarray] = []
    n_left = HOUR_SECONDS * SAMPLE_RATE_HZ
    while n_left > 0:
        pieces.append(read_sound(paths[rng.integers(len(paths))])[:n_left])
        n_left -= len(pieces[-1])
    hour = np.concatenate(pieces)
    with soundfile.SoundFile(path, "w", SAMPLE_RATE_HZ, 1, "PCM_16") as file:
        for _ in range(hours):
            file.write(hour)
    return path


class Run:
    """One clip scored into one table."""

    def __init__(self, clip: Path, out: Path, bundle: Bundle) -> None:
        self.clip, self.out = clip, out
        self.events = out.with_suffix(".events.csv")
        self._bundle = bundle

    def start(self) -> subprocess.Popen[bytes]:
        arguments = [self.clip, self.out, self.events, self._bundle.folder]
        words = [*map(str, arguments), ",".join(FORMATS), str(HOP_SECONDS)]
        return subprocess.Popen([sys.executable, "-c", SCORE, *words])

    def to_end(self) -> dict[str, Any]:
        """Score without a kill; give the worker's largest memory."""
        started = time.monotonic()
        process = self.start()
        peak = largest_anonymous = 0
        while process.poll() is None:
            for worker in workers(process.pid):
                try:
                    memory = worker.memory_full_info()
                except psutil.Error:
                    continue
                peak = max(peak, memory.rss)
                largest_anonymous = max(largest_anonymous, memory.uss)
            time.sleep(0.1)
        assert process.returncode == 0
        return {
            "peak_mib": peak / 2**20,
            "peak_unshared_mib": largest_anonymous / 2**20,
            "seconds": time.monotonic() - started,
            "n_events": len(self.events.read_text().splitlines()) - 1,
        }

    def killed(self, n: int, seconds: float) -> dict[str, Any]:
        """Score with kills at random moments of about as long as the run takes."""
        rng = np.random.default_rng(SEED)
        started = time.monotonic()
        waited = []
        for _ in range(n):
            process = self.start()
            waited.append(float(rng.uniform(0, 2 * max(LEAST_SECONDS, seconds / n))))
            try:
                process.wait(waited[-1])
                break
            except subprocess.TimeoutExpired:
                pass
            for one in [*workers(process.pid), psutil.Process(process.pid)]:
                one.kill()
            process.wait()
        last = self.start()
        assert last.wait() == 0
        left = [path.name for path in self.out.parent.glob(f"{self.out.name}.unfinished*")]
        return {
            "kills": len(waited),
            "killed_after_s": waited,
            "seconds": time.monotonic() - started,
            "files_left": len(left),
        }

    def differences(self, other: Run) -> list[str]:
        """Name what another run of the same clip has otherwise."""
        rows = []
        for run in (self, other):
            with run.out.open(newline="") as file:
                (row,) = csv.DictReader(file)
            rows.append({k: v for k, v in row.items() if k not in ("seconds_spent", "key")})
        names = [name for name in rows[0] if rows[0][name] != rows[1][name]]
        names += ["events"] if self.events.read_text() != other.events.read_text() else []
        for path in Path(f"{self.out}.clips").iterdir():
            beside = Path(f"{other.out}.clips", path.name)
            names += [path.name] if path.read_bytes() != beside.read_bytes() else []
        return names


def workers(pid: int) -> list[psutil.Process]:
    """Find the workers of a run, which are the Python processes that it started."""
    try:
        children = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []
    return [one for one in children if "python" in one.name()]


if __name__ == "__main__":
    sys.exit(main())
