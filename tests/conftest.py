"""Small synthetic clips, and the place of real recordings, for all tests."""

from __future__ import annotations

import functools
import gc
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from cryvision.evaluation import bootstrap, metrics
from cryvision.inputs.media import find_ffmpeg

# Workers share the cores, and each program that a test starts would compile the package again.
for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
    os.environ.setdefault(threads, "1")
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

MakeMedia = Callable[..., Path]
Start = Callable[..., "subprocess.Popen[str]"]

FEW_DRAWS, MANY_DRAWS = 50, 500

# How long one example takes says more of the machine than of the code. With
# --hypothesis-profile=thorough each property is tried on more examples.
hypothesis.settings.register_profile("cryvision", deadline=None, max_examples=40)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=200)
hypothesis.settings.load_profile("cryvision")


def pytest_xdist_auto_num_workers() -> int:
    """Start a worker more than there are cores: one often waits for a program or a clock."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Leave the thousands of tests and modules, which all stay, out of garbage collections."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Let programs that tests start hear Ctrl-C, also where the tests run in the background.

    A shell lets its background jobs ignore it, and so would all that they start.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def few_draws() -> Iterator[None]:
    """Let intervals rest on 50 draws where the package takes 500 or more, for they take long.

    What intervals are worth is tested with the bootstrap itself, whose tests state their draws.
    """
    exact = bootstrap.subject_bootstrap

    @functools.wraps(exact)
    def rough(
        subjects: Any, statistic: bootstrap.Statistic, n_draws: int = 1000, seed: int = 0
    ) -> bootstrap.Estimate:
        return exact(subjects, statistic, FEW_DRAWS if n_draws >= MANY_DRAWS else n_draws, seed)

    with pytest.MonkeyPatch.context() as patch:
        for module in (bootstrap, metrics):
            patch.setattr(module, "subject_bootstrap", rough)
        yield


@pytest.fixture
def all_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let intervals rest on all draws, as outside of the tests."""
    exact = bootstrap.subject_bootstrap.__wrapped__  # type: ignore[attr-defined]
    for module in (bootstrap, metrics):
        monkeypatch.setattr(module, "subject_bootstrap", exact)


@pytest.fixture
def own_ffmpeg(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run ffmpeg under a name of this test's own, so that one left over can be told."""
    path = tmp_path_factory.mktemp("bin") / "ffmpeg"
    path.symlink_to(find_ffmpeg())
    monkeypatch.setenv("CRYVISION_FFMPEG", str(path))
    return path


@pytest.fixture(scope="session")
def make_media(tmp_path_factory: pytest.TempPathFactory) -> MakeMedia:
    """Return ``make(name, *ffmpeg_arguments) -> Path``, which makes each different file once."""
    folder = tmp_path_factory.mktemp("media")

    def make(name: str, *arguments: str) -> Path:
        # Two modules may use one name for different files.
        place = folder / hashlib.sha256("\0".join(arguments).encode()).hexdigest()[:12]
        place.mkdir(exist_ok=True)
        path = place / name
        if not path.exists():
            command = [find_ffmpeg(), "-hide_banner", "-nostdin", "-loglevel", "error", "-y"]
            done = subprocess.run([*command, *arguments, str(path)], capture_output=True)
            if done.returncode:
                path.unlink(missing_ok=True)
            if b"nknown encoder" in done.stderr:
                pytest.skip(f"this ffmpeg cannot write {name}: {done.stderr.decode().strip()}")
            assert done.returncode == 0, done.stderr.decode()
        return path

    return make


@pytest.fixture(scope="session")
def tone_wav(make_media: MakeMedia) -> Path:
    """One second of a 440 Hz tone of amplitude 0.5, mono, 16 kHz."""
    tone = "aevalsrc=0.5*sin(2*PI*440*t):s=16000:d=1"
    return make_media("tone.wav", "-f", "lavfi", "-i", tone)


@pytest.fixture(scope="session")
def small_video(make_media: MakeMedia) -> Path:
    """Two seconds of a 64x48 test picture at 30 frames a second with a 440 Hz tone, as mp4."""
    return make_media(
        "small.mp4",
        *("-f", "lavfi", "-i", "testsrc=s=64x48:r=30:d=2"),
        *("-f", "lavfi", "-i", "aevalsrc=0.5*sin(2*PI*440*t):s=44100:d=2"),
        *("-c:v", "mpeg4", "-q:v", "4", "-c:a", "aac"),
    )


@pytest.fixture(scope="session")
def corpus() -> Path:
    """Return the folder of real recordings; skips where there is none."""
    named = os.environ.get("CRYVISION_DATA")
    if not named:
        pytest.skip("real recordings are found through CRYVISION_DATA, which is not set")
    return Path(named)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return ``start(*arguments, **options)``, which runs cryvision in a process of its own."""
    before = None
    if os.name == "posix":
        # What a background shell starts ignores Ctrl-C, and so would what the tests start.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    started = []

    def run(*arguments: str | Path, **options: object) -> subprocess.Popen[str]:
        program = options.pop("program", ("-m", "cryvision"))
        options = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "env": environment,
            **options,
        }
        command = [sys.executable, *program, *map(str, arguments)]  # type: ignore[misc]
        process = subprocess.Popen(command, text=True, **options)  # type: ignore[call-overload]
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()
    if before is not None:
        signal.signal(signal.SIGINT, before)
