"""The size of a model is known before Keras makes it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bundles import BUNDLE_V1, build_tiny_detector

from cryvision.errors import BundleError
from cryvision.models.declared import declared_numbers
from cryvision.runtime.loading import MAX_NUMBERS, load_model

FEW_BYTES = 300_000_000
"""What loading Keras' parts and the file itself may take; the models below want terabytes."""


def rewritten(place: Path, change: Callable[[list[dict[str, Any]]], object]) -> Path:
    """The first bundle's Keras file with other layers."""
    with zipfile.ZipFile(BUNDLE_V1 / "detector.keras") as old, zipfile.ZipFile(place, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "config.json":
                config = json.loads(data)
                change(config["config"]["layers"])
                data = json.dumps(config).encode()
            new.writestr(name, data)
    return place


def test_weights_and_outputs_are_counted() -> None:
    import keras

    model = build_tiny_detector()
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(model)))
    weights = model.count_params()
    outputs = 22 * 40 * 2 + 22 * 8 + 8 + 1 + 1
    assert declared_numbers(config) == weights + outputs
    assert declared_numbers(config) == weights + outputs  # it is left as it was


@pytest.mark.parametrize("kind", ["weights", "outputs"])
def test_what_would_fill_the_memory_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    resource = pytest.importorskip("resource", reason="peak memory is read on POSIX only")

    def change(layers: list[dict[str, Any]]) -> None:
        if kind == "weights":
            layers[2]["config"]["units"] = 10**12
        else:
            layers[1].update(class_name="ZeroPadding1D")
            layers[1]["config"] = {"name": "rescaling", "padding": [10**10, 0]}
        for layer in layers:
            layer.pop("build_config", None)

    path = rewritten(tmp_path / "m.keras", change)
    load_model(BUNDLE_V1 / "detector.keras", "keras")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BundleError, match=f"at most {MAX_NUMBERS} numbers"):
        load_model(path, "keras")
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    assert grown < FEW_BYTES


def test_what_is_refused_is_not_made_later(tmp_path: Path) -> None:
    import keras

    path = rewritten(tmp_path / "m.keras", lambda layers: layers[2]["config"].update(units=10**12))
    with pytest.raises(BundleError):
        load_model(path, "keras")
    with keras.StatelessScope():
        pass
