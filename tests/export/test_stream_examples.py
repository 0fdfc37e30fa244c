"""The streaming loops for devices find what ``classify`` finds."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import toys
from toys import Exported

from cryvision.bundle import Bundle
from cryvision.config import GateConfig
from cryvision.export import windows
from cryvision.inference.classifier import StreamClassifier
from cryvision.inference.smoothing import find_events
from cryvision.inputs.media import read_sound
from cryvision.result import Classification, Event

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
DEMO = EXAMPLES / "demo.mp4"

SECONDS = 1e-6
CONFIDENCE = 1e-3
INTENSITY_DB = 0.01


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    """The demo, and 12 s of many kinds of sound: candidates stand and do not."""
    drawn = windows.synthetic(48_000, 4, seed=3).ravel()
    return np.concatenate([read_sound(DEMO), drawn]).astype(np.float32)


def classified(bundle: Bundle, sound: np.ndarray, veto: str = "normal") -> Classification:
    stream = StreamClassifier(bundle, veto=veto)
    known = [
        event
        for second in np.split(sound, range(0, len(sound), 16_000))
        for event in stream.push(second)
        if event.offset_s is not None
    ]
    result = stream.finish()
    given = [(event.onset_s, event.offset_s, event.confidence) for event in result.events]
    assert given[: len(known)] == [(e.onset_s, e.offset_s, e.confidence) for e in known]
    return result


def streamed(script: str, model: Path, sound: np.ndarray) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, EXAMPLES / script, model], input=sound.tobytes(), capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    assert "label policy: not sure" in done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """The module that the scripts share."""
    spec = importlib.util.spec_from_file_location("cry_stream", EXAMPLES / "cry_stream.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def in_process(
    example: ModuleType, model: Path, sound: np.ndarray, pieces: int, veto: str = "normal"
) -> list[dict[str, Any]]:
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(names, inputs), strict=True))

    facts = json.loads(Path(f"{model}.json").read_text(encoding="utf-8"))
    stream = example.CryStream(run, facts, veto)
    found = []
    for start in range(0, len(sound), pieces):
        found += stream.push(sound[start : start + pieces])
    return found + list(stream.finish())


def assert_same_events(lines: list[dict[str, Any]], events: tuple[Event, ...]) -> None:
    assert len(lines) == len(events)
    for line, event in zip(lines, events, strict=True):
        assert line["onset_s"] == pytest.approx(event.onset_s, abs=SECONDS)
        assert line["offset_s"] == pytest.approx(event.offset_s, abs=SECONDS)
        assert line["confidence"] == pytest.approx(event.confidence, abs=CONFIDENCE)
        assert line["intensity_db"] == pytest.approx(event.intensity_db, abs=INTENSITY_DB)
        assert line["other_tag"] == event.other_tag
        assert line.get("rejected", "") == event.rejected


def assert_as_classified(lines: list[dict[str, Any]], result: Classification) -> None:
    found = [line for line in lines if "onset_s" in line]
    assert_same_events([line for line in found if "rejected" not in line], result.events)
    assert_same_events([line for line in found if "rejected" in line], result.rejected)


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ("stream_onnx.py", "onnx"),
        # The same loop about another runtime, which takes long to convert for and to start.
        pytest.param("stream_litert.py", "litert", marks=pytest.mark.slow),
    ],
)
def test_the_same_events(
    frame_exported: Exported, frame_toy: Bundle, sound: np.ndarray, script: str, kind: str
) -> None:
    result = classified(frame_toy, sound)
    assert len(result.events) >= 3, "the sound should hold events that stand"
    assert len(result.rejected) >= 3, "and some that do not"
    lines = streamed(script, frame_exported(kind).path, sound)
    assert_as_classified(lines, result)
    reasons = [line for line in lines if "probabilities" in line]
    assert reasons
    assert all(sum(r["probabilities"].values()) == pytest.approx(1, abs=1e-5) for r in reasons)


@pytest.mark.parametrize("veto", ["off", "strict"])
def test_other_vetoes(
    frame_exported: Exported,
    frame_toy: Bundle,
    sound: np.ndarray,
    example: ModuleType,
    veto: str,
) -> None:
    result = classified(frame_toy, sound, veto)
    lines = in_process(example, frame_exported("onnx").path, sound, 5000, veto)
    assert_as_classified(lines, result)
    assert result.events != classified(frame_toy, sound).events


# With the end of a call, of a frame, of a step; between all of them; shorter than any.
@pytest.mark.parametrize("n_samples", [3840 * 9, 3840 * 9 + 120, 320 * 71, 640 * 40, 23_457, 300])
def test_wherever_the_sound_ends(
    frame_exported: Exported,
    frame_toy: Bundle,
    sound: np.ndarray,
    example: ModuleType,
    n_samples: int,
) -> None:
    cut = sound[32_000 : 32_000 + n_samples]
    result = classified(frame_toy, cut, "off")
    lines = in_process(example, frame_exported("onnx").path, cut, 1000, "off")
    assert_as_classified(lines, result)
    assert_as_classified(
        in_process(example, frame_exported("onnx").path, cut, 777), classified(frame_toy, cut)
    )


@pytest.mark.parametrize("limits", [(0.0, 0.1), (0.2, 0.12), (0.4, 0.28), (0.3, 0.2)])
def test_gaps_and_lengths_of_whole_steps(example: ModuleType, limits: tuple[float, float]) -> None:
    gap_s, shortest_s = limits
    gate = GateConfig(0.6, 0.4, shortest_s, gap_s, latency_seconds=0.04, min_level_dbfs=-75.0)
    scores = np.repeat(np.random.default_rng(0).random(400), 5)
    ends_s = 640 * np.arange(1, 1 + len(scores)) / 16_000
    expected = find_events(ends_s, scores, np.full(2000, -20.0), gate, 0.04, 0.04, ends_s[-1])
    detector = {"gate": asdict(gate), "lookahead_samples": 0, "step_samples": 640}
    facts = {"sample_rate_hz": 16_000, "detector": detector, "veto": None, "tagger": None}
    events = example.Events(facts, "off")
    found = [e for n, s in enumerate(scores.tolist(), 1) for e in events.step(640 * n, s, -20.0)]
    found += events.finish(640 * len(scores))
    assert len(expected) > 20
    assert_same_events(found, tuple(expected))


def test_a_reason_is_given_for_the_windows_in_crying(
    frame_exported: Exported, frame_toy: Bundle, sound: np.ndarray, example: ModuleType
) -> None:
    stream = StreamClassifier(frame_toy, smooth_seconds=0.0)
    stream.push(sound)
    timeline = stream.finish().timeline
    lines = in_process(example, frame_exported("onnx").path, sound, 3000)
    given = {line["time_s"] for line in lines if "probabilities" in line}
    hop_s = toys.MFCC.hop_seconds
    for k in range(2, int(len(sound) / 16_000 / hop_s)):
        frame = round(k * hop_s * 30)
        known = not np.isnan(timeline[toys.LABELS[0]][frame])
        assert (k * hop_s in given) == known, f"at {k * hop_s} s"


@pytest.mark.parametrize(
    ("detector", "words"),
    [({"window_samples": 8000, "gate": {}}, "a window detector"), (None, "no detector")],
)
def test_a_file_without_edges_is_refused_in_words(
    example: ModuleType, detector: dict[str, Any] | None, words: str
) -> None:
    facts = {"sample_rate_hz": 16_000, "detector": detector}
    with pytest.raises(ValueError, match=words):
        example.CryStream(lambda inputs: {}, facts)


def test_a_reader_that_goes_ends_the_stream_without_a_trace(
    frame_exported: Exported, sound: np.ndarray
) -> None:
    command = [sys.executable, EXAMPLES / "stream_onnx.py", frame_exported("onnx").path]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as script:
        assert script.stdout is not None
        script.stdout.close()
        _, errors = script.communicate(sound.tobytes())
    assert errors.decode().splitlines() == ["label policy: not sure"]
    assert script.returncode == 0
