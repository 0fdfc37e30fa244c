"""The ensemble: concatenated outputs of the branches in, class probabilities out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tolerances import RUNTIME_TOLERANCE

from cryvision.export.onnx.parts import part_files
from cryvision.models.cha_bae import build_ensemble
from cryvision.runtime.loading import load_model
from cryvision.runtime.safe_load import check_keras, check_onnx

FLOAT32 = 1e-5

LARGEST_MEGABYTES = 1.0
N_CLASSES = 5


def outputs(names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Probabilities; the first branch has nothing to say of every second row."""
    rng = np.random.default_rng(0)
    values = {name: rng.dirichlet(np.ones(N_CLASSES), 8).astype(np.float32) for name in names}
    values[names[0]][::2] = 0
    return values


@pytest.mark.parametrize(
    "names", [("mfcc",), ("branch_mfcc", "branch_stft"), ("branch_stft", "face", "a", "b")]
)
def test_any_number_of_branches_is_taken_by_name_in_both_runtimes(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    import keras

    keras.utils.set_random_seed(0)
    model = build_ensemble(names, N_CLASSES)
    assert [i.name for i in model.inputs] == list(names)
    model.get_layer("calibration").set_calibration(0.1, np.linspace(-0.5, 0.5, N_CLASSES))
    values = outputs(names)
    files, _ = part_files(model, tmp_path, "ensemble", values)
    expected = np.asarray(
        keras.ops.convert_to_numpy(model([values[name] for name in names], training=False))
    )
    assert np.ptp(expected, axis=0).max() > 0.05
    for runtime, check in (("keras", check_keras), ("onnx", check_onnx)):
        data = files[runtime].read_bytes()
        check(data, runtime)
        assert len(data) < LARGEST_MEGABYTES * 1e6
        loaded = load_model(files[runtime], runtime)
        # The order in which they are given does not matter, their names do.
        found = loaded.predict(dict(reversed(values.items())))
        assert found == pytest.approx(expected, abs=RUNTIME_TOLERANCE)
        assert found.sum(axis=1) == pytest.approx(1, abs=FLOAT32)


def test_it_is_dense_layers_on_what_the_branches_say() -> None:
    model = build_ensemble(("a", "b"), 3)
    kinds = [type(layer).__name__ for layer in model.layers if type(layer).__name__ != "InputLayer"]
    assert kinds == ["Concatenate", "Flatten", "Dense", "Dense", "Calibration"]
    assert [model.get_layer(name).activation.__name__ for name in ("hidden", "logits")] == [
        "relu",
        "linear",
    ]
