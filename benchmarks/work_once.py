"""What two versions of the package cost: CPU time of the same work in two source trees.

    python benchmarks/work_once.py OLD_TREE NEW_TREE

CPU time is user and system of a process and of all that it starts. The trees take turns, each first
in every second round, so that both meet the same load; ratios are of medians. The work:

- ``classify`` on ten minutes of a room's noise, once just above the energy gate of the shipped
  bundle (detector and tagger run, and find no crying) and once below it (nothing is scored);
- ``train`` on 40 drawn clips of two classes and ten subjects;
- ``train_arrays`` on 14,000 rows of 140 subjects in three sets.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import wave
from pathlib import Path
from typing import Any

import numpy as np
from report import SEED, Demand, finish

from cryvision.bundle import Bundle

RATE_HZ = 16_000
QUIET_SECONDS = 600
ABOVE_GATE_DBFS, BELOW_GATE_DBFS = -70.0, -85.0
"""Levels of white noise; the gate of the shipped bundle is at -75 dBFS from 60 to 7,800 Hz."""

N_CLIPS, N_SUBJECTS = 40, 10
N_ROWS, N_ROW_SUBJECTS, WIDTHS = 14_000, 140, (26, 88, 128)
AT_MOST = {
    "classify above the gate": 0.7,
    "classify below the gate": 0.7,
    "train": 0.6,
    "train_arrays": 0.3,
}
"""What the new tree may cost of the old one."""

SAME_AUC = 0.001
"""AUC of the ensemble, by modalities and units, on unseen subjects."""

WORK = {
    "classify above the gate": "cryvision.classify('above.wav')",
    "classify below the gate": "cryvision.classify('below.wav')",
    "train": """
made = cryvision.train(
    'clips', out, cache=out + '-cache', subject_pattern=r'(s\\d+)-', n_folds=n_folds)""",
    "train_arrays": """
made = cryvision.train_arrays(
    {name: tables[name] for name in ('a', 'b', 'c')},
    [f'class {i}' for i in tables['labels']], [f's{i}' for i in tables['subjects']],
    out, n_folds=n_folds)""",
}
"""Public names alone, which both trees have."""

CHILD = """
import json, sys, numpy as np, cryvision
out, n_folds, made = sys.argv[1], int(sys.argv[2]), None
tables = np.load('tables.npz')
{work}
auc = [e['figures']['auc']['value'] for e in made.skill if e['part'] == 'ensemble'] if made else []
print(json.dumps(auc))
"""


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("trees", nargs=2, type=Path, metavar="TREE", help="the old, the new one")
    options.add_argument("--repeats", type=int, default=3, help="of classify (default: 3)")
    options.add_argument("--repeats-train", type=int, default=1, help="default: 1")
    options.add_argument("--folds", type=int, default=5, help="of both trainings (default: 5)")
    options.add_argument("--work", nargs="+", choices=list(WORK), default=list(WORK))
    chosen = options.parse_args()
    trees = dict(zip(("old", "new"), (tree.resolve() for tree in chosen.trees), strict=True))
    result: dict[str, Any] = {
        "commits": {name: commit(tree) for name, tree in trees.items()},
        "quiet": {"seconds": QUIET_SECONDS, "dbfs": [ABOVE_GATE_DBFS, BELOW_GATE_DBFS]},
        "folds": chosen.folds,
        "rows": {"n": N_ROWS, "subjects": N_ROW_SUBJECTS, "widths": WIDTHS},
        "work": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder))
        for name in chosen.work:
            rounds = chosen.repeats if name.startswith("classify") else chosen.repeats_train
            result["work"][name] = compared(WORK[name], trees, Path(folder), rounds, chosen.folds)
            print(name, result["work"][name], file=sys.stderr, flush=True)
    demands = []
    for name, found in result["work"].items():
        demands.append(Demand(f"CPU of {name}, new over old", found["ratio"], AT_MOST[name]))
        if name == "train_arrays":
            old, new = found["auc"]["old"], found["auc"]["new"]
            lost = max(abs(a - b) for a, b in zip(old, new, strict=True))
            demands.append(Demand(f"difference in AUC of {name}", lost, SAME_AUC))
    return finish("work_once", Bundle.load(), result, demands)


def compared(
    code: str, trees: dict[str, Path], folder: Path, rounds: int, n_folds: int
) -> dict[str, Any]:
    """Let both trees do some work in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in trees}
    auc = {}
    for number in range(rounds):
        for name in list(trees)[:: 1 if number % 2 == 0 else -1]:
            arguments = [f"{name}-{number}-{len(code)}", str(n_folds)]
            spent, auc[name] = run(code, trees[name], folder, arguments)
            seconds[name].append(spent)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "cpu_seconds": seconds,
        "ratio": median["new"] / median["old"],
        **({"auc": auc} if any(auc.values()) else {}),
    }


def run(code: str, tree: Path, folder: Path, arguments: list[str]) -> tuple[float, list[float]]:
    """Do some work in a process of its own; return its CPU seconds and the AUCs that it prints."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", CHILD.format(work=code), *arguments]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command, cwd=folder, env={**kept, "PYTHONPATH": str(tree)}, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, check=True, text=True,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, json.loads(done.stdout.splitlines()[-1])


def draw(folder: Path) -> None:
    """Draw the noise, the clips and the tables."""
    rng = np.random.default_rng(SEED)
    for name, level_dbfs in (("above", ABOVE_GATE_DBFS), ("below", BELOW_GATE_DBFS)):
        noise = 10 ** (level_dbfs / 20) * rng.standard_normal(QUIET_SECONDS * RATE_HZ)
        write_wav(folder / f"{name}.wav", noise)
    for number in range(N_CLIPS):
        label, subject = number % 2, number % N_SUBJECTS
        place = folder / "clips" / ("high", "low")[label]
        place.mkdir(parents=True, exist_ok=True)
        write_wav(place / f"s{subject}-{number}.wav", cries(rng, (520.0, 420.0)[label]))
    labels, subjects = rng.integers(0, 3, N_ROWS), rng.integers(0, N_ROW_SUBJECTS, N_ROWS)
    tables = {"labels": labels, "subjects": subjects}
    for name, width in zip("abc", WIDTHS, strict=True):
        centres = rng.normal(0, 2 / np.sqrt(width), (3, width))
        own = rng.normal(0, 0.5, (N_ROW_SUBJECTS, width))
        rows = centres[labels] + own[subjects] + rng.standard_normal((N_ROWS, width))
        tables[name] = rows.astype(np.float32)
    np.savez(folder / "tables.npz", **tables)


def cries(rng: np.random.Generator, f0_hz: float) -> np.ndarray:
    """Draw 6 s of cries that rise and fall, over faint noise."""
    time_s = np.arange(6 * RATE_HZ) / RATE_HZ
    turn = np.minimum(time_s % 1.2, 1.0)
    pitch_hz = f0_hz * rng.uniform(0.85, 1.15) * (1 + 0.3 * np.sin(np.pi * turn))
    phase = 2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ
    voice = sum(np.sin(k * phase) / k**0.7 for k in range(1, 9))
    sound = 0.05 * voice * np.sin(np.pi * turn) ** 0.3
    return np.asarray(sound + 1e-3 * rng.standard_normal(len(time_s)))


def write_wav(path: Path, samples: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def commit(tree: Path) -> str:
    command = ["git", "-C", str(tree), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
