"""The streaming loops for devices find what ``classify`` finds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from toys import Exported

from cryvision.bundle import Bundle
from cryvision.classifier import StreamClassifier
from cryvision.inputs.media import read_sound
from cryvision.result import Event

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
DEMO = EXAMPLES / "demo.mp4"

SECONDS = 1e-6
CONFIDENCE = 1e-3
INTENSITY_DB = 0.01


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    return read_sound(DEMO)


@pytest.fixture(scope="module")
def events(toy: Bundle, sound: np.ndarray) -> list[Event]:
    """What the package finds in the demo clip with the toy bundle."""
    stream = StreamClassifier(toy, runtime="keras")
    found = [
        event
        for second in np.split(sound, range(0, len(sound), 16_000))
        for event in stream.push(second)
    ]
    known = len(found)
    result = stream.finish()
    assert len(result.events) >= 2, "the clip should hold more than one event"
    assert list(result.events[:known]) == found
    return list(result.events)


def streamed(script: str, model: Path, sound: np.ndarray) -> list[dict[str, float]]:
    done = subprocess.run(
        [sys.executable, EXAMPLES / script, model], input=sound.tobytes(), capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    assert "label policy: not sure" in done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("script", "kind"), [("stream_onnx.py", "onnx"), ("stream_litert.py", "litert")]
)
def test_the_same_events(
    exported: Exported, sound: np.ndarray, events: list[Event], script: str, kind: str
) -> None:
    lines = streamed(script, exported(kind).path, sound)
    found = [line for line in lines if "onset_s" in line]
    assert len(found) == len(events)
    for line, event in zip(found, events, strict=True):
        assert line["onset_s"] == pytest.approx(event.onset_s, abs=SECONDS)
        assert line["offset_s"] == pytest.approx(event.offset_s, abs=SECONDS)
        assert line["confidence"] == pytest.approx(event.confidence, abs=CONFIDENCE)
        assert line["intensity_db"] == pytest.approx(event.intensity_db, abs=INTENSITY_DB)
    reasons = [line for line in lines if "probabilities" in line]
    assert reasons
    assert all(sum(r["probabilities"].values()) == pytest.approx(1, abs=1e-5) for r in reasons)


def test_sound_shorter_than_a_window_is_followed_too(exported: Exported, toy: Bundle) -> None:
    cry = read_sound(DEMO, start_s=2.0, end_s=2.4)
    stream = StreamClassifier(toy, runtime="keras")
    stream.push(cry)
    expected = stream.finish().events
    found = streamed("stream_onnx.py", exported("onnx").path, cry)
    assert [line["onset_s"] for line in found] == [event.onset_s for event in expected]
