"""The models that ship are read by every Keras that setup.cfg allows."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

import cryvision
from cryvision.bundle import Bundle

SHIPPED = sorted((Path(cryvision.__file__).parent / "bundles").glob("*/*.keras"))

NEWER = ("quantization_config", "input_axes", "output_axes", "renorm")
"""Arguments that Keras 3.15 writes down and Keras 3.12, the last for Python 3.10, does not know."""


def test_there_are_some() -> None:
    assert len(SHIPPED) >= 2


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_argument_is_newer_than_the_oldest_keras(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        waiting = [json.loads(archive.read("config.json"))]
    while waiting:
        node = waiting.pop()
        assert not isinstance(node, dict) or not set(node) & set(NEWER)
        waiting.extend(node.values() if isinstance(node, dict) else ())
        waiting.extend(node if isinstance(node, list) else ())


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_they_are_read(path: Path) -> None:
    """What this says is worth most where .ci/interpreters runs it, with the oldest Keras."""
    bundle = Bundle.load(path.parent)
    assert bundle.model(path.stem, "keras").inputs == bundle.model(path.stem, "onnx").inputs
