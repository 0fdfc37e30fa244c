"""Models that misbehave once they run: one line and exit status 1, never a result."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from bundles import mel_samples
from hostile import MISBEHAVING, bundle_with, constant, detector, endless, node

from cryvision import cli
from cryvision.errors import BundleError
from cryvision.runtime import session
from cryvision.runtime.loading import OnnxModel

PEAK_BYTES = 2_500_000_000
"""The arena, the library and what it loads."""


def outcome(model: bytes) -> str:
    """What is said of a model when it is loaded and run."""
    with pytest.raises(BundleError) as caught:
        OnnxModel(model, Path("m.onnx")).predict({"mel": mel_samples(5)})
    message = str(caught.value)
    assert message.startswith("m.onnx: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("kind", MISBEHAVING)
def test_what_is_no_probability_is_an_error(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    if kind != "another input":  # that one is the bundle's to see
        outcome(MISBEHAVING[kind])
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(sys.platform != "linux", reason="a process tells its own peak on Linux alone")
@pytest.mark.parametrize("kind", ["all memory", "all memory in the end"])
def test_the_memory_has_an_end(tmp_path: Path, kind: str) -> None:
    (tmp_path / "m.onnx").write_bytes(MISBEHAVING[kind])
    # The peak of a process counts all that it ever did, so a process of its own asks.
    code = (
        "import sys; from pathlib import Path; import numpy as np; "
        "from cryvision.errors import BundleError\n"
        "from cryvision.runtime.loading import OnnxModel\n"
        "samples = np.load(sys.argv[2])\n"
        "try: OnnxModel(Path(sys.argv[1]).read_bytes(), Path('m.onnx')).predict({'mel': samples})\n"
        "except BundleError as error: print(error)\n"
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    np.save(tmp_path / "samples.npy", mel_samples(5))
    command = [sys.executable, "-c", code, str(tmp_path / "m.onnx"), str(tmp_path / "samples.npy")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    message, peak_kb = done.stdout.splitlines()
    assert "more than 2 GB of memory" in message
    assert 1024 * int(peak_kb) < PEAK_BYTES


def test_the_time_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "RUN_SECONDS", 1.0)
    started = time.monotonic()
    assert "it took longer than 1 s" in outcome(endless())
    assert time.monotonic() - started < 30


def test_a_run_in_time_is_not_ended_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "RUN_SECONDS", 0.5)
    model = OnnxModel(constant(0.25), Path("m.onnx"))
    for _ in range(4):
        assert (model.predict({"mel": mel_samples(5)}) == 0.25).all()
        time.sleep(0.4)


def test_loading_computes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could be computed beforehand could not be ended."""
    started = time.monotonic()
    wide = np.array([4000, 4000])
    nodes = [node("Expand", "nought", "wide", to="m0")]
    nodes += [node("MatMul", f"m{i}", f"m{i}", to=f"m{i + 1}") for i in range(20)]
    nodes += [node("ReduceMax", "m20", to="most", keepdims=1), node("Mul", "zero", "most")]
    OnnxModel(detector(*nodes, wide=wide), Path("m.onnx"))
    assert time.monotonic() - started < 2


def test_rounding_is_no_misbehaviour() -> None:
    model = OnnxModel(constant(1 + 1e-6), Path("m.onnx"))
    assert (model.predict({"mel": mel_samples(3)}) == 1).all()


def test_more_items_than_are_run_at_once_are_all_there() -> None:
    n = 2 * session.MAX_ITEMS + 7
    mean = detector(
        node("ReduceMean", "mel", to="mean", axes=[1, 2], keepdims=0),
        node("Sigmoid", "mean", to="level"),
        node("Unsqueeze", "level", "one"),
    )
    samples = mel_samples(n) / 40
    expected = 1 / (1 + np.exp(-samples.mean(axis=(1, 2))))
    found = OnnxModel(mean, Path("m.onnx")).predict({"mel": samples})
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-5)


@pytest.mark.parametrize("kind", [*MISBEHAVING, "endless"])
def test_the_command_says_one_line_and_gives_no_result(
    tmp_path: Path,
    tone_wav: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    monkeypatch.setattr(session, "RUN_SECONDS", 1.0)
    model = endless() if kind == "endless" else MISBEHAVING[kind]
    bundle = bundle_with(tmp_path / "bundle", model)
    out = tmp_path / "out"
    arguments = ["--bundle", str(bundle), "--formats", "json", "--out", str(out)]
    assert cli.main(["classify", str(tone_wav), *arguments]) == 1
    printed, errors = capfd.readouterr()
    assert printed == ""
    assert len(errors.splitlines()) == 1
    assert "detector.onnx" in errors
    assert not out.exists() or not list(out.iterdir())


def test_onnxruntime_is_new_enough() -> None:
    """The arena and the end of a run are used by name."""
    assert hasattr(onnxruntime, "create_and_register_allocator")
    assert hasattr(onnxruntime.RunOptions(), "terminate")
