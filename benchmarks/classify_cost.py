"""What it costs to classify a clip of sound: CPU time of the whole process, ONNX against Keras.

CPU time (user and system, ffmpeg included) is what a busy machine leaves comparable. The commands
take turns, so that all of them meet the same load; medians are given.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from report import SEED, Demand, finish, parser

from cryvision.bundle import Bundle
from cryvision.inputs.media import find_ffmpeg

CLIP_SECONDS = 15
ONNX_OVER_KERAS = 0.25
HELP_SECONDS = 0.15


def main() -> int:
    options = parser(__doc__, repeats=7).parse_args()
    bundle = Bundle.load(options.bundle)
    with tempfile.TemporaryDirectory() as folder:
        clip = make_clip(Path(folder, "clip.wav"))
        classify = ["-m", "cryvision", "classify", "--json", "--bundle", str(bundle.folder), clip]
        commands = {
            "classify_onnx": [*classify, "--runtime", "onnx"],
            "classify_keras": [*classify, "--runtime", "keras"],
            "help": ["-m", "cryvision", "--help"],
            "import_cryvision": ["-c", "import cryvision"],
            "import_classify": ["-c", "from cryvision import classify"],
            "python_alone": ["-c", "pass"],
        }
        # Compiled modules and the disk's cache are as after any earlier use.
        out = {name: run(command)[1] for name, command in commands.items()}
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(options.repeats):
            for name, command in commands.items():
                seconds[name].append(run(command)[0])
    scores = {name: json.loads(out[f"classify_{name}"])["detector"] for name in ("onnx", "keras")}
    median = {name: statistics.median(values) for name, values in seconds.items()}
    ratio = median["classify_onnx"] / median["classify_keras"]
    result: dict[str, Any] = {
        "clip_seconds": CLIP_SECONDS,
        "repeats": options.repeats,
        "median_cpu_seconds": median,
        "cpu_seconds": seconds,
        "detector": scores,
    }
    demands = [
        Demand("CPU time of classify, ONNX over Keras", ratio, ONNX_OVER_KERAS),
        Demand("CPU seconds of --help", median["help"], HELP_SECONDS),
    ]
    return finish("classify_cost", bundle, result, demands)


def make_clip(path: Path) -> str:
    """Make 15 s of pink noise, loud enough for every window to pass the energy gate."""
    noise = f"anoisesrc=color=pink:sample_rate=44100:amplitude=0.5:seed={SEED}:d={CLIP_SECONDS}"
    command = [find_ffmpeg(), "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", noise]
    subprocess.run([*command, str(path)], check=True)
    return str(path)


def run(arguments: list[str]) -> tuple[float, str]:
    """Run a Python command to its end; return its CPU seconds and what it printed."""
    # Installed modules are compiled once, not at every start.
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, *arguments], env=kept, stdout=subprocess.PIPE, check=True, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


if __name__ == "__main__":
    sys.exit(main())
