"""Three hundred spoilt bundles: each is refused in one line, or judged as any other.

A seed draws what is spoilt in a copy of one of two bundles, the first ever saved and the one that
ships: fields of its description, names and bytes of a zip, ONNX and Keras models in bytes and
fields, links. A short clip is classified with each in a process that notes every file that Python
opens, and under strace, where there is one, that anything in it opens. The whole bundles come
first: files that these open, those of Python, the package and the bundle itself are expected.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from report import ROOT, Demand, finish
from spoilt_bundles import DECOYS, RUNTIMES, SPOILERS, pick

from cryvision import cli
from cryvision.bundle import Bundle
from cryvision.inputs.media import find_ffmpeg

sys.path.insert(0, str(ROOT / "tests"))
from bundles import BUNDLE_V1, glides

BUNDLES = 300
SEED = 30_000
SHIPPED = ROOT / "cryvision" / "bundles" / "default"
STRACE = ("strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=open,openat,openat2,creat")
SYSTEM = ("/proc", "/sys", "/lib", "/usr/lib", "/dev/null", "/dev/urandom")


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--bundles", type=int, default=BUNDLES, help=f"default: {BUNDLES}")
    options.add_argument("--seed", type=int, default=SEED, help=f"default: {SEED}")
    options.add_argument("--in-folder", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.in_folder:
        judge_all(Path(chosen.in_folder), chosen.bundles, chosen.seed)
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        for part in ("bundles", "tmp", "home", DECOYS):
            (folder / part).mkdir()
        for path in (secret(folder), control(folder)):
            path.write_bytes(np.arange(4, dtype=np.float32).tobytes())
        traced = shutil.which("strace") is not None
        trace = (*STRACE, "-o", str(folder / "trace")) if traced else ()
        again = [sys.executable, *sys.argv, "--in-folder", str(folder)]
        places = {"TMPDIR": str(folder / "tmp"), "HOME": str(folder / "home")}
        subprocess.run([*trace, *again], env={**os.environ, **places}, check=True)
        checked = json.loads((folder / "judged.json").read_text())
        opened = native_files(folder) if traced else []
    return report(checked, opened, traced, chosen.seed)


def report(checked: list[dict[str, Any]], opened: list[str], traced: bool, seed: int) -> int:
    """Write the counts, and hold them against what is promised."""
    kinds: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for one in checked:
        kinds[one["kind"]][one["outcome"]] += 1
    counts = sum(kinds.values(), collections.Counter())
    by_python = sum(len(one["outside"]) for one in checked)
    result = {
        "bundles": len(checked),
        "outcomes": dict(counts),
        "kinds": {kind: dict(count) for kind, count in kinds.items()},
        "strace": traced,
        "outside": opened,
        "slowest_s": max(one["seconds"] for one in checked),
        "wrong": [one for one in checked if one["outcome"] == "wrong" or one["outside"]],
    }
    demands = [
        Demand("neither judged nor refused in one line", counts["wrong"], 0),
        Demand("outside files opened, as Python tells", by_python, 0),
        *([Demand("outside files opened, as strace tells", len(opened), 0)] if traced else []),
    ]
    return finish("hostile_bundles", Bundle.load(), result, demands, seed)


class Watch:
    """Notes which files outside the expected places Python opens."""

    def __init__(self, folder: Path) -> None:
        self.outside: set[str] = set()
        self.usual: set[str] = set()
        self._expected = expected(folder)
        sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | bytes):
            path = os.path.abspath(os.fsdecode(arguments[0]))
            if path not in self.usual and not path.startswith(self._expected):
                self.outside.add(path)


def expected(folder: Path) -> tuple[str, ...]:
    """Starts of paths: the bundle's, Python's, the package's, the system's and temporary files."""
    own = [folder / name for name in ("bundles", "tmp", "home", "clip.wav", "judged.json", "trace")]
    code = [ROOT / name for name in ("cryvision", "tests", "benchmarks")]
    python = [sys.prefix, sys.base_prefix, sysconfig.get_path("purelib"), find_ffmpeg()]
    return (*map(str, (*own, *code, *python)), *SYSTEM)


def judge_all(folder: Path, n_bundles: int, seed: int) -> None:
    """Spoil and judge all bundles; the body of the watched process."""
    clip, decoy = folder / "clip.wav", secret(folder)
    with wave.open(str(clip), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes((glides(3.0) * 20_000).astype("<i2").tobytes())
    watch = Watch(folder)
    for whole in (BUNDLE_V1, SHIPPED):
        outcome, message = tried(shutil.copytree(whole, folder / "bundles" / whole.name), clip)
        if outcome != "judged":
            raise SystemExit(f"a whole bundle must be judged; {message}")
    watch.usual, watch.outside = watch.outside, set()
    (folder / "bundles" / "BEGIN").touch()  # a mark in the trace
    checked = []
    for number in range(n_bundles):
        random = np.random.default_rng([seed, number])
        spoil = SPOILERS[number % len(SPOILERS)]
        whole = pick((BUNDLE_V1, SHIPPED), random)
        place = folder / "bundles" / f"b{number}"
        shutil.copytree(whole, place)
        with watching_off(watch):
            spoil(place, random, decoy)
        started = time.monotonic()
        outcome, message = tried(place, clip)
        seconds = time.monotonic() - started
        found, watch.outside = sorted(watch.outside), set()
        facts = {"number": number, "kind": spoil.__name__, "of": whole.name, "outcome": outcome}
        checked.append({**facts, "said": message, "seconds": seconds, "outside": found})
        remove(place)
    control(folder).read_bytes()
    if watch.outside != {str(control(folder))}:
        raise SystemExit(f"the file to be noticed at the end was not; {watch.outside}")
    (folder / "judged.json").write_text(json.dumps(checked))


def secret(folder: Path) -> Path:
    """A file that no bundle may have opened."""
    return folder / DECOYS / "secret.bin"


def control(folder: Path) -> Path:
    """A file that is opened at the end to see that this is noticed."""
    return folder / DECOYS / "control.bin"


@contextlib.contextmanager
def watching_off(watch: Watch) -> Iterator[None]:
    """Forget what was opened to make a bundle."""
    yield
    watch.outside = set()


def tried(bundle: Path, clip: Path) -> tuple[str, str]:
    """Classify a clip with a bundle, in each runtime unless it is refused before."""
    outcome, message = "", ""
    for runtime in RUNTIMES:
        out, err = io.StringIO(), io.StringIO()
        command = ["classify", "--json", str(clip), "--bundle", str(bundle), "--runtime", runtime]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status: int | str = cli.main(command)
            except BaseException as error:  # what the command lets through is what is looked for
                status = repr(error)[:300]
        message = err.getvalue()
        if status == 1 and not out.getvalue() and len(message.splitlines()) == 1:
            outcome = f"refused by {runtime}" if outcome else "refused"
            break
        if status != 0 or "Traceback" in message or "duration_s" not in json.loads(out.getvalue()):
            return "wrong", f"{runtime}, {status}: {message[-300:]}"
        outcome = "judged"
    return outcome, message.replace(str(bundle.parent), "")[:200]


def remove(place: Path) -> None:
    """Remove a bundle, a folder or a zip."""
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink()


def native_files(folder: Path) -> list[str]:
    """Files outside that were opened for a spoilt bundle, and for no whole one, by any code."""
    before: set[str] = set()
    opened: set[str] = set()
    found, usual = before, expected(folder)
    for line in (folder / "trace").read_text("utf-8", "replace").splitlines():
        if line.count('"') < 2 or " = -1 " in line:
            continue
        path = line.split('"')[1]
        if path == str(folder / "bundles" / "BEGIN"):
            found = opened
        if os.path.isabs(path) and not path.startswith(usual):
            found.add(os.path.normpath(path))
    seen = str(control(folder))
    if seen not in opened:
        raise SystemExit("strace must tell of the file that is opened at the end; it did not")
    return sorted(opened - before - {seen})


if __name__ == "__main__":
    sys.exit(main())
