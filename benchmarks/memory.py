"""How much memory a long clip takes beside a short one: it must not grow with the clip.

Peak resident memory of a Python process that pushes a whole clip into the classifier: with every
frame, and with the sound alone, as ``classify`` does.
"""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from report import SEED, Demand, finish, parser

from cryvision.bundle import Bundle
from cryvision.inference.classifier import StreamClassifier
from cryvision.inputs import media

SHORT_SECONDS, LONG_SECONDS = 15, 600
LONG_OVER_SHORT = 1.1


def main() -> int:
    options = parser(__doc__, repeats=3).parse_args()
    bundle = Bundle.load(options.bundle)
    result: dict[str, Any] = {"repeats": options.repeats}
    demands = []
    with tempfile.TemporaryDirectory() as folder:
        clips = make_clips(Path(folder))
        for name, frames in (("sound_and_frames", True), ("sound_alone", False)):
            runs: dict[str, list[dict[str, Any]]] = {
                length: [measured(clip, bundle, frames) for _ in range(options.repeats)]
                for length, clip in clips.items()
            }
            peak = {
                length: statistics.median(run["peak_mib"] for run in of_one)
                for length, of_one in runs.items()
            }
            result[name] = {"median_peak_mib": peak, "runs": runs}
            what = f"peak memory, {name.replace('_', ' ')}, 10 minutes over 15 seconds"
            demands.append(Demand(what, peak["long"] / peak["short"], LONG_OVER_SHORT))
    return finish("memory", bundle, result, demands)


def make_clips(folder: Path) -> dict[str, Path]:
    """Make 320x240 video at 30 frames a second with noise: 15 s, and the same 40 times over."""
    short, long = folder / "short.mp4", folder / "long.mp4"
    command = [media.find_ffmpeg(), "-nostdin", "-loglevel", "error"]
    picture = f"testsrc2=size=320x240:rate=30:duration={SHORT_SECONDS}"
    noise = f"anoisesrc=color=pink:r=44100:amplitude=0.5:seed={SEED}:d={SHORT_SECONDS}"
    source = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", noise]
    subprocess.run([*command, *source, "-c:v", "mpeg4", "-c:a", "aac", str(short)], check=True)
    again = str(LONG_SECONDS // SHORT_SECONDS - 1)
    looped = ["-stream_loop", again, "-i", str(short), "-c", "copy", "-t", str(LONG_SECONDS)]
    subprocess.run([*command, *looped, str(long)], check=True)
    return {"short": short, "long": long}


def measured(clip: Path, bundle: Bundle, frames: bool) -> dict[str, Any]:
    """Classify a clip in a fresh process; return its peak, and what it took in."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(classify, (str(clip), str(bundle.folder), frames))


def classify(clip: str, bundle: str, frames: bool) -> dict[str, Any]:
    """Push a clip, piece by piece; return this process's peak, and what it took in."""
    stream = StreamClassifier(Bundle.load(bundle))
    n_frames = 0
    with media.open_clip(clip, sound=True, frames=frames) as opened:
        for piece in opened.pieces():
            stream.push(piece.samples, piece.frame, piece.frame_time_s)
            n_frames += piece.frame is not None
        found = stream.finish(opened.info, tuple(opened.warnings))
    return {
        "peak_mib": peak_mib(),
        "frames": n_frames,
        "duration_s": found.duration_s,
    }


def peak_mib() -> float:
    """Return this process's peak of resident memory."""
    status = Path("/proc/self/status")
    if status.exists():
        # Linux counts what a parent held at the start into ru_maxrss; this is the process's own.
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS: in bytes


if __name__ == "__main__":
    sys.exit(main())
