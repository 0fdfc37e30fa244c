"""Nothing that the package imports may report home or leave traces on the user's machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from bundles import glides
from no_network import WATCH

SECONDS = 4
"""onnxruntime with telemetry leaves its files within this time."""

LONG_SECONDS = 60
"""What reports later than at its start does so within a minute."""

WATCH_AND_STAY = f"""{WATCH}
import atexit, time

atexit.register(time.sleep, float(os.environ["STAY_SECONDS"]))
"""


class Apart:
    """Runs commands with a home and a folder for temporary files that are new and empty."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work = folder / "work"
        self.tried = folder / "tried"
        for name in ("home", "tmp", "work", "watch"):
            (folder / name).mkdir()
        (folder / "watch" / "sitecustomize.py").write_text(WATCH_AND_STAY)

    def run(self, *command: str, stay_s: float = 0.0, watched: bool = True) -> str:
        """Run Python; give what it wrote to stderr."""
        environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
        for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR", "KERAS_HOME"):
            environment.pop(name, None)
        home = str(self.folder / "home")
        environment.update(HOME=home, USERPROFILE=home, TMPDIR=str(self.folder / "tmp"))
        environment.update(TRIED=str(self.tried), STAY_SECONDS=str(stay_s))
        paths = [str(self.folder / "watch")] * watched + [str(Path(__file__).parent.parent)]
        environment["PYTHONPATH"] = os.pathsep.join(paths)
        done = subprocess.run(
            [*self._tracer(), sys.executable, *command],
            cwd=self.work,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stderr

    def _tracer(self) -> list[str]:
        """Where there is strace, what no audit hook sees is noted too: C++ that connects."""
        strace = shutil.which("strace")
        if strace is None:
            return []
        calls = "trace=connect,sendto,sendmsg,sendmmsg"
        return [strace, "-f", "--seccomp-bpf", "-qq", "-e", calls, "-o", str(self.folder / "calls")]

    def left(self) -> list[str]:
        """Files outside the output."""
        places = (self.folder / "home", self.folder / "tmp")
        return [str(p) for place in places for p in place.rglob("*") if p.is_file()]

    def tries(self) -> list[str]:
        """What was tried to reach other machines."""
        calls = self.folder / "calls"
        noted = self.tried.read_text().splitlines() if self.tried.exists() else []
        if calls.exists():
            noted += [
                line for line in calls.read_text().splitlines() if "sa_family=AF_INET" in line
            ]
        return noted


@pytest.fixture
def apart(tmp_path: Path) -> Apart:
    return Apart(tmp_path)


def command(*arguments: str) -> tuple[str, ...]:
    return ("-m", "cryvision", *arguments)


def recordings(folder: Path, n: int = 1) -> Path:
    """Sound with crying in it, and labels beside it."""
    import soundfile

    folder.mkdir()
    for i in range(n):
        soundfile.write(folder / f"b{i}.wav", glides(8.0, i), 16_000)
        lines = [f"{start}.0\t{start + 2.4}\tcry" for start in (0, 4)]
        (folder / f"b{i}.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.slow
def test_onnxruntime_leaves_nothing_behind(apart: Apart):
    code = f"import cryvision, onnxruntime, time; time.sleep({SECONDS})"
    assert apart.run("-c", code, watched=False) == ""
    assert apart.left() == []


def test_an_import_that_came_too_early_is_named_once(apart: Apart):
    code = "import onnxruntime, cryvision, importlib; importlib.reload(cryvision)"
    output = apart.run("-c", code, watched=False)
    assert output.count("onnxruntime was imported before cryvision") == 1


def test_the_watch_sees_a_try(apart: Apart):
    code = "import socket\ntry: socket.getaddrinfo('localhost', 1)\nexcept OSError: pass"
    apart.run("-c", code)
    assert "socket.getaddrinfo" in apart.tries()[0]


def test_classifying_and_scoring_reach_nobody_and_leave_nothing(apart: Apart):
    """With files of every kind that is drawn or written, so that Matplotlib is there too."""
    clip = str(recordings(apart.folder / "in") / "b0.wav")
    (apart.folder / "second").mkdir()
    second = Apart(apart.folder / "second")
    with ThreadPoolExecutor() as pool:  # the one stays, while the other works
        classify = command("classify", clip, "--formats", "json,png", "--out", "out")
        classified = pool.submit(apart.run, *classify, stay_s=SECONDS)
        second.run(*command("score", clip, "--out", "t.csv", "--formats", "png"))
        classified.result()
    for one in (apart, second):
        assert (one.tries(), one.left()) == ([], [])
    assert (apart.work / "out").exists()
    assert (second.work / "t.csv").exists()


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("what", ["classify", "score", "onnx", "tflite", "mlpackage", "train"])
def test_a_minute_of_each_command_reaches_nobody_and_leaves_nothing(apart: Apart, what: str):
    if what == "mlpackage":
        pytest.importorskip("coremltools", reason="coremltools has no wheel for this machine")
    sounds = recordings(apart.folder / "in", 6)
    arguments = {
        "classify": ["classify", str(sounds / "b0.wav"), "--formats", "png", "--out", "out"],
        "score": ["score", str(sounds), "--out", "t.csv"],
        "train": ["train-detector", str(sounds), "--out", "bundle", "--folds", "2"],
    }.get(what, ["export", "--part", "detector", "--out", f"cry.{what}"])
    apart.run(*command(*arguments), stay_s=LONG_SECONDS)
    assert (apart.tries(), apart.left()) == ([], [])


def test_what_a_user_has_of_matplotlib_and_keras_stays(apart: Apart):
    kept = [apart.folder / "home" / ".cache" / "matplotlib" / "fontlist.json"]
    kept.append(apart.folder / "home" / ".keras" / "keras.json")
    for path in kept:
        path.parent.mkdir(parents=True)
        path.write_text('{"backend": "tensorflow"}')
    clip = str(recordings(apart.folder / "in") / "b0.wav")
    apart.run(*command("classify", clip))
    assert [path.read_text() for path in kept] == ['{"backend": "tensorflow"}'] * 2
