"""However early or late a command is stopped: one line at once, exit status 130, nothing left."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import lab
import pytest
from bundles import BUNDLE_V1

from cryvision.inputs.media import find_ffmpeg

Start = Callable[..., "subprocess.Popen[str]"]

WAIT_SECONDS = 60.0
"""For what takes a second on an idle machine."""

ENDING_SECONDS = 5.0
"""From a signal to the end, on a busy machine; on an idle one it is a tenth of a second."""

CLASSIFY = ("classify", "--bundle", str(BUNDLE_V1))

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of this kind are POSIX")


def program(start: str) -> tuple[str, str]:
    """The command line behind some code that runs before it."""
    return ("-c", f"{start}\nfrom cryvision.__main__ import run\nrun()")


WAITING = """
import sys, time
class Waiting:
    def find_spec(self, name, *places):
        if name == "{module}":
            print("importing", flush=True)
            time.sleep(60)
    def __del__(self, sleep=time.sleep):
        sleep(60)
sys.meta_path.insert(0, Waiting())
"""
"""The import of a module takes long, and so does the end of the interpreter."""


@pytest.mark.parametrize("name", ["odd\nname\x1b[31m", "a" * 3000, "--", "b" * 3000 + "*", "%s{}"])
def test_a_name_that_is_no_clip_is_one_line(start: Start, tmp_path: Path, name: str) -> None:
    process = start(*CLASSIFY, tmp_path / f"{name}.wav")
    out, err = process.communicate(timeout=WAIT_SECONDS)
    assert (process.returncode, out) == (1, "")
    (line,) = err.splitlines()
    assert line.startswith("cryvision: ")
    assert line.isprintable()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("module", ["cryvision.commands.info", "cryvision.bundle.bundle"])
def test_a_stop_is_one_line_and_waits_for_no_library(
    start: Start, how: signal.Signals, module: str
) -> None:
    """While the commands are imported, and in one of them."""
    process = start("info", program=program(WAITING.format(module=module)))
    assert process.stdout is not None
    assert process.stdout.readline() == "importing\n"
    process.send_signal(how)
    assert process.communicate(timeout=ENDING_SECONDS) == ("", "cryvision: stopped\n")
    assert process.returncode == 130


@pytest.mark.parametrize("after_s", [0.3, 0.5, 0.7, 0.9])
def test_a_stop_in_the_first_second(
    start: Start, tone_wav: Path, tmp_path: Path, after_s: float
) -> None:
    """Python itself may still be starting, which is its own to say, or all be done."""
    own = tmp_path / "ffmpeg"
    own.symlink_to(find_ffmpeg())
    environment = {**os.environ, "CRYVISION_FFMPEG": str(own), "TMPDIR": str(tmp_path)}
    ready = "print('ready', flush=True)"
    process = start(*CLASSIFY, "--json", tone_wav, env=environment, program=program(ready))
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(after_s)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=ENDING_SECONDS)
    assert (process.returncode, err) in [(130, "cryvision: stopped\n"), (0, "")]
    assert os.listdir(tmp_path) == ["ffmpeg"]


TRAINING = """
from cryvision.detector_training import train as detection
from cryvision.detector_training import pieces
detection.SYNTHETIC_PER_FAMILY = 1
draw = pieces._batches
def batches(*given):
    for number, batch in enumerate(draw(*given)):
        if number == 5:
            print("training", flush=True)
        yield batch
pieces._batches = batches
"""


@pytest.mark.slow
def test_a_training_that_is_stopped(start: Start, tmp_path: Path) -> None:
    recordings = lab.write_lab(tmp_path / "lab")
    out = tmp_path / "out"
    out.mkdir()
    environment = {**os.environ, "TMPDIR": str(out), "TF_CPP_MIN_LOG_LEVEL": "3"}
    arguments = ("--subject-pattern", lab.SUBJECT_PATTERN, "--out", out / "bundle", "--folds", "2")
    process = start(
        "train-detector", recordings, *arguments, env=environment, program=program(TRAINING)
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "training\n"
    process.send_signal(signal.SIGTERM)
    rest, err = process.communicate(timeout=ENDING_SECONDS)
    assert (process.returncode, rest) == (130, "")
    assert err.splitlines()[-1] == "cryvision: stopped"
    assert "Traceback" not in err
    assert os.listdir(out) == []
