"""A thousand damaged clips through the command line: what becomes of each, and what is left over.

Small clips of nine kinds are made with ffmpeg and damaged, each in one or two of eight ways that a
seed draws. Worker processes judge them with ``classify --json``, one after the other, as one
process would judge a folder. Looked for are tracebacks, exit statuses other than 0 and 1, clips
that take too long, child processes that outlive their clip, and the peak of resident memory of the
workers and of every ffmpeg.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import io
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from memory import peak_mib
from report import Demand, finish

from cryvision import cli
from cryvision.bundle import Bundle
from cryvision.inputs.media import find_ffmpeg

FILES = 1_000
SEED = 20_000
SECONDS = 3
CLIP_SECONDS = 60.0
"""More than this for a clip of three seconds counts as hanging, and its worker is ended."""

MEMORY_MIB = 1e9 / 2**20
ENDING_SECONDS = 2.0
"""A child may take this long to be gone after its clip."""

TONE = f"aevalsrc='0.3*sin(2*PI*450*t)*between(mod(t,1.5),0.3,1)':s=16000:d={SECONDS}"
PICTURE = f"testsrc=s=96x64:r=25:d={SECONDS}"
VIDEO = ("-f", "lavfi", "-i", PICTURE)
# fmt: off
CLIPS: dict[str, tuple[str, ...]] = {
    "wav": ("-c:a", "pcm_s16le"),
    "mp3": ("-c:a", "libmp3lame"),
    "m4a": ("-c:a", "aac"),
    "ogg": ("-c:a", "libopus"),
    "flac": ("-c:a", "flac"),
    "mp4": (*VIDEO, "-c:v", "mpeg4", "-c:a", "aac"),
    "mkv": (*VIDEO, "-c:v", "mpeg4", "-c:a", "libmp3lame"),
    "webm": (*VIDEO, "-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libopus"),
    "avi": (*VIDEO, "-c:v", "mpeg4", "-c:a", "pcm_s16le"),
}
# fmt: on
Random = np.random.Generator


def flip_bits(data: bytearray, random: Random) -> None:
    """Change single bits anywhere."""
    for place in random.integers(len(data), size=random.integers(1, 200)):
        data[place] ^= 1 << random.integers(8)


def cut(data: bytearray, random: Random) -> None:
    """Lose the end."""
    del data[random.integers(1, len(data)) :]


def duplicate(data: bytearray, random: Random) -> None:
    """Have a stretch twice."""
    start, end = stretch(data, random)
    data[start:start] = data[start:end]


def delete(data: bytearray, random: Random) -> None:
    """Lose a stretch."""
    start, end = stretch(data, random)
    del data[start:end]


def edit_header(data: bytearray, random: Random) -> None:
    """Write other bytes into the first 256."""
    for place in random.integers(min(256, len(data)), size=random.integers(1, 12)):
        data[place] = random.choice([0, 1, 127, 128, 255, random.integers(256)])


def swap_ends(data: bytearray, random: Random) -> None:
    """Put the second half before the first."""
    middle = int(random.integers(len(data)))
    data[:] = data[middle:] + data[:middle]


def edit_sizes(data: bytearray, random: Random) -> None:
    """Write a wild number of 32 bits beside a mark of four letters, where sizes stand."""
    marks = [i for i in range(4, len(data) - 8) if data[i : i + 4].isalpha()] or [4]
    wild = (0, 1, 7, 2**31 - 1, 2**31, 2**32 - 1, len(data), int(random.integers(2**32)))
    for _ in range(random.integers(1, 4)):
        # Boxes have their size before their name, chunks behind it.
        place = marks[random.integers(min(len(marks), 200))] + random.choice([-4, 4])
        order = random.choice(["big", "little"])
        data[place : place + 4] = wild[random.integers(len(wild))].to_bytes(4, order)


def erase(data: bytearray, random: Random) -> None:
    """Make zeros, or noise, of a stretch."""
    start, end = stretch(data, random)
    n = end - start
    data[start:end] = bytes(n) if random.random() < 0.5 else random.bytes(n)


def stretch(data: bytearray, random: Random) -> tuple[int, int]:
    """Draw where a stretch starts and ends."""
    start = int(random.integers(len(data)))
    return start, start + int(random.integers(1, 1 + len(data) // 4))


MUTATIONS: tuple[Callable[[bytearray, Random], None], ...] = (
    *(flip_bits, cut, duplicate, delete, edit_header, swap_ends, edit_sizes, erase),
)


@dataclass(frozen=True)
class Judged:
    """What became of one clip."""

    number: int
    outcome: str
    seconds: float
    said: str = ""


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--files", type=int, default=FILES, help=f"default: {FILES}")
    options.add_argument("--seed", type=int, default=SEED, help=f"default: {SEED}")
    options.add_argument("--workers", type=int, default=2, help="default: 2")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = make_clips(folder)
        # A name of its own tells this run's processes from any other's.
        own = folder / "ffmpeg"
        own.symlink_to(find_ffmpeg())
        os.environ["CRYVISION_FFMPEG"] = str(own)
        shares = [range(k, chosen.files, chosen.workers) for k in range(chosen.workers)]
        runs = [Run(share, whole, folder, chosen.seed) for share in shares]
        threads = [threading.Thread(target=run.watch) for run in runs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        left_over = len(list(ffmpegs_of(own)))
    return report(runs, left_over, chosen.seed)


def report(runs: list[Run], left_over: int, seed: int) -> int:
    """Write the counts, and hold them against what is promised."""
    checked = sorted((one for run in runs for one in run.checked), key=lambda one: one.number)
    counts = collections.Counter(one.outcome for one in checked)
    worker_mib = max(run.worker_mib for run in runs)
    ffmpeg_mib = max(run.ffmpeg_mib for run in runs)
    left_over += counts["left over"]
    result = {
        "files": len(checked),
        "outcomes": dict(counts.most_common()),
        "kinds": kinds(checked),
        "slowest_s": max(one.seconds for one in checked),
        "peak_mib": {"worker": worker_mib, "ffmpeg": ffmpeg_mib},
        "wrong": [vars(one) for one in checked if one.outcome not in ("judged", "refused")],
    }
    demands = [
        Demand("tracebacks, and statuses other than 0 and 1", counts["crash"], 0),
        Demand("hangs", counts["hang"], 0),
        Demand("processes left over", left_over, 0),
        Demand("peak memory of one process in MiB", max(worker_mib, ffmpeg_mib), MEMORY_MIB),
    ]
    return finish("mutated_media", Bundle.load(), result, demands, seed)


def kinds(checked: list[Judged]) -> dict[str, dict[str, int]]:
    """Count the outcomes for each kind of file."""
    counts: dict[str, collections.Counter[str]] = {kind: collections.Counter() for kind in CLIPS}
    for one in checked:
        counts[list(CLIPS)[one.number % len(CLIPS)]][one.outcome] += 1
    return {kind: dict(count) for kind, count in counts.items()}


def make_clips(folder: Path) -> dict[str, bytes]:
    """Make one sound clip of each kind."""
    whole = {}
    for kind, codecs in CLIPS.items():
        path = folder / f"whole.{kind}"
        command = [find_ffmpeg(), "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", TONE]
        subprocess.run([*command, *codecs, "-shortest", str(path)], check=True)
        whole[kind] = path.read_bytes()
    return whole


def mutated(whole: dict[str, bytes], number: int, seed: int) -> tuple[str, bytes]:
    """Give the kind and the bytes of a damaged clip: the same for the same number and seed."""
    random = np.random.default_rng([seed, number])
    kind = list(CLIPS)[number % len(CLIPS)]
    data = bytearray(whole[kind])
    for _ in range(random.integers(1, 3)):
        if len(data) > 16:
            MUTATIONS[random.integers(len(MUTATIONS))](data, random)
    return kind, bytes(data)


class Run:
    """A worker process at a time, and what was seen of its share of the clips."""

    def __init__(self, numbers: range, whole: dict[str, bytes], folder: Path, seed: int) -> None:
        self.checked: list[Judged] = []
        self.worker_mib = self.ffmpeg_mib = 0.0
        self._numbers = list(numbers)
        self._given = (whole, folder, seed)
        self._ffmpeg = folder / "ffmpeg"

    def watch(self) -> None:
        """Judge the whole share; a worker that hangs or dies is replaced by another."""
        context = multiprocessing.get_context("spawn")
        while len(self.checked) < len(self._numbers):
            here, there = context.Pipe()
            rest = self._numbers[len(self.checked) :]
            worker = context.Process(target=work, args=(there, rest, *self._given))
            worker.start()
            there.close()
            self._listen(here, worker)
            worker.kill()
            worker.join()

    def _listen(self, here: Any, worker: Any) -> None:
        """Take in what a worker tells until it is done, hangs or dies."""
        here.recv()  # that it has started
        for number in self._numbers[len(self.checked) :]:
            started = time.monotonic()
            try:
                while not here.poll(0.02):
                    self._measure(worker.pid)
                    if time.monotonic() - started > CLIP_SECONDS:
                        self.checked.append(Judged(number, "hang", CLIP_SECONDS))
                        return
                one, self.worker_mib = here.recv()
            except EOFError:
                seconds = time.monotonic() - started
                self.checked.append(Judged(number, "crash", seconds, "the worker died"))
                return
            self.checked.append(one)

    def _measure(self, pid: int) -> None:
        for child in children_of(pid):
            with contextlib.suppress(OSError, StopIteration, ValueError):
                if not is_of(self._ffmpeg, Path(f"/proc/{child}")):
                    continue  # it is still the worker's memory that it has
                lines = Path(f"/proc/{child}/status").read_text().splitlines()
                peak = next(line for line in lines if line.startswith("VmHWM:"))
                self.ffmpeg_mib = max(self.ffmpeg_mib, int(peak.split()[1]) / 1024)


def work(there: Any, numbers: list[int], whole: dict[str, bytes], folder: Path, seed: int) -> None:
    """Judge clips and tell of each; the body of a worker process."""
    there.send("started")
    for number in numbers:
        kind, data = mutated(whole, number, seed)
        path = folder / f"{number}.{kind}"
        path.write_bytes(data)
        there.send((tried(number, path), peak_mib()))
        path.unlink()


def tried(number: int, path: Path) -> Judged:
    """Classify one clip as the command does, and see what is left of it."""
    started = time.monotonic()
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status: int | str = cli.main(["classify", "--json", str(path)])
        except BaseException as error:  # what the command lets through is what is looked for
            status = repr(error)[:300]
    seconds = time.monotonic() - started
    message = err.getvalue()
    until = time.monotonic() + ENDING_SECONDS
    while children_of(os.getpid()) and time.monotonic() < until:
        time.sleep(0.01)
    if children_of(os.getpid()):
        return Judged(number, "left over", seconds)
    if status == 0 and not message and "duration_s" in json.loads(out.getvalue()):
        return Judged(number, "judged", seconds)
    if status == 1 and not out.getvalue() and len(message.splitlines()) == 1:
        return Judged(number, "refused", seconds)
    return Judged(number, "crash", seconds, f"{status}: {message[-300:]}")


def children_of(pid: int) -> list[int]:
    """Return the child processes of a process, those of its other threads too."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                found += map(int, (task / "children").read_text().split())
    return found


def ffmpegs_of(program: Path) -> Iterator[int]:
    """Find the processes of a program."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if is_of(program, process):
                yield int(process.name)


def is_of(program: Path, process: Path) -> bool:
    """Whether a process, by its folder in /proc, runs a program."""
    return (process / "cmdline").read_bytes().startswith(os.fsencode(program))


if __name__ == "__main__":
    sys.exit(main())
