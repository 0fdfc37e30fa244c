"""What `score` costs for a folder of real clips, beside a `classify` process for each of them.

The clips are donateacry's, found through CRYVISION_DATA. CPU time (user and system, ffmpeg and
workers included) is what a busy machine leaves comparable. The throughput of two workers over one
is a ratio of wall times, which only a machine with two free cores shows; on a busy one, two workers
also take a larger share from the others, so that there the ratio is not judged.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from report import Demand, finish, parser

from cryvision.bundle import Bundle
from cryvision.inputs.media import probe

FOLDER = "donateacry-corpus/donateacry_corpus_cleaned_and_updated_data"
CPU_SECONDS_PER_CLIP = 0.15
CLASSIFY_OVER_SCORE = 4.0
TWO_WORKERS_OVER_ONE = 1.6
QUIET_LOAD = 0.5  # of the machine before the first run, when nothing of ours runs yet

SCORE = (
    "import sys, cryvision\n"
    "clips, out, bundle, workers = sys.argv[1:]\n"
    "summary = cryvision.score(clips, out, bundle=bundle, workers=int(workers))\n"
    "assert summary.n_failed == 0, summary"
)


def main() -> int:
    options = parser(__doc__, repeats=2)
    options.add_argument("--processes", type=int, default=24, help="of classify (default: 24)")
    chosen = options.parse_args()
    if "CRYVISION_DATA" not in os.environ:
        raise SystemExit("real recordings are found through CRYVISION_DATA, which is not set")
    clips = Path(os.environ["CRYVISION_DATA"], FOLDER)
    paths = sorted(clips.rglob("*.wav"))
    bundle = Bundle.load(chosen.bundle)
    load_before = os.getloadavg()[0]
    is_quiet = load_before <= QUIET_LOAD
    one, two = [], []
    for _ in range(chosen.repeats):
        one.append(score(clips, bundle, workers=1))
        two.append(score(clips, bundle, workers=2))
    sample = paths[:: max(1, len(paths) // chosen.processes)]
    alone = [classify(path, bundle)["cpu_seconds"] for path in sample]
    score_cpu = statistics.median(run["cpu_seconds"] for run in one) / len(paths)
    classify_cpu = statistics.mean(alone)
    throughput = statistics.median(
        a["seconds"] / b["seconds"] for a, b in zip(one, two, strict=True)
    )
    result: dict[str, Any] = {
        "clips": len(paths),
        "media_hours": sum(probe(path).duration_s or 0.0 for path in paths) / 3600,
        "score_one_worker": one,
        "score_two_workers": two,
        "classify_processes": len(sample),
        "classify_cpu_seconds_per_clip": classify_cpu,
        "score_cpu_seconds_per_clip": score_cpu,
        "load_before": load_before,
        "two_workers_over_one": throughput if is_quiet else None,
    }
    demands = [
        Demand("CPU seconds a clip, one worker", score_cpu, CPU_SECONDS_PER_CLIP),
        # A demand is an upper bound, so this and the last are written the other way round.
        Demand("CPU of score over classify", score_cpu / classify_cpu, 1 / CLASSIFY_OVER_SCORE),
    ]
    if is_quiet:
        demands.append(
            Demand("time of two workers over one", 1 / throughput, 1 / TWO_WORKERS_OVER_ONE)
        )
    else:
        print(f"two workers over one: not judged, the load was {load_before:.1f} before the start")
    return finish("batch_cost", bundle, result, demands)


def score(clips: Path, bundle: Bundle, workers: int) -> dict[str, float]:
    """Score the folder into a new table, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "table.csv")
        return measure(["-c", SCORE, str(clips), out, str(bundle.folder), str(workers)])


def classify(path: Path, bundle: Bundle) -> dict[str, float]:
    """Classify one clip, in a process of its own."""
    words = ["-m", "cryvision", "classify", str(path), "--json", "--bundle", str(bundle.folder)]
    return measure(words)


def measure(arguments: list[str]) -> dict[str, float]:
    """Run a Python command to its end; give its wall and CPU seconds, and the load after it."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([sys.executable, *arguments], env=kept, stdout=subprocess.DEVNULL, check=True)
    seconds, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "load": os.getloadavg()[0]}


if __name__ == "__main__":
    sys.exit(main())
