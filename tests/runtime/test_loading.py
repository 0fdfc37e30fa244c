"""One saved model in either runtime: the same numbers, and errors that name the file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bundles import BUNDLE_V1, mel_samples

from cryvision.errors import BundleError, ConfigError, MissingDependencyError
from cryvision.runtime.loading import Model, load_model

SAME_MODEL = 1e-4
"""The agreement that every bundle is saved with."""


@pytest.fixture(scope="module", params=["onnx", "keras"])
def model(request: pytest.FixtureRequest) -> Model:
    return load_model(BUNDLE_V1 / f"detector.{request.param}", request.param)


def test_both_runtimes_give_the_same_probabilities() -> None:
    samples = {"mel": mel_samples(32, seed=3)}
    onnx, keras = (load_model(BUNDLE_V1 / f"detector.{r}", r) for r in ("onnx", "keras"))
    assert np.ptp(onnx.predict(samples)) > 0.1  # constant outputs would agree whatever happens
    np.testing.assert_allclose(onnx.predict(samples), keras.predict(samples), atol=SAME_MODEL)


def test_a_model_says_what_it_takes_and_gives(model: Model) -> None:
    assert model.inputs == {"mel": (22, 40)}
    assert model.n_outputs == 1


@pytest.mark.parametrize("n", [0, 1, 5])
def test_any_number_of_windows(model: Model, n: int) -> None:
    probabilities = model.predict({"mel": mel_samples(5)[:n]})
    assert probabilities.shape == (n, 1)
    assert probabilities.dtype == np.float32


def test_a_window_scores_the_same_alone_and_in_a_batch(model: Model) -> None:
    samples = mel_samples(5).astype(np.float64)[:, :, ::-1]  # neither float32 nor contiguous
    whole = model.predict({"mel": samples})
    alone = [model.predict({"mel": samples[i : i + 1]})[0] for i in range(5)]
    np.testing.assert_allclose(whole, alone, atol=1e-6)  # float32 rounding


@pytest.mark.parametrize(
    ("inputs", "named"),
    [
        ({}, "inputs are mel; got none"),
        ({"mfcc": mel_samples(1)}, "inputs are mel; got mfcc"),
        ({"mel": mel_samples(1), "face": mel_samples(1)}, "got mel, face"),
        ({"mel": mel_samples(1)[0]}, r"shape \(n, 22, 40\)"),
        ({"mel": mel_samples(1)[:, :, :39]}, r"got \(1, 22, 39\)"),
    ],
)
def test_inputs_that_do_not_fit(model: Model, inputs: dict[str, np.ndarray], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        model.predict(inputs)


@pytest.mark.parametrize("runtime", ["onnx", "keras"])
def test_what_is_no_model(tmp_path: Path, runtime: str) -> None:
    path = tmp_path / f"detector.{runtime}"
    with pytest.raises(BundleError, match="cannot be read: No such file"):
        load_model(path, runtime)
    path.write_bytes(b"nothing of the kind\n")
    with pytest.raises(BundleError, match=f"detector.{runtime}: not a") as caught:
        load_model(path, runtime)
    assert "\n" not in str(caught.value)


def test_unknown_runtimes() -> None:
    with pytest.raises(ConfigError, match="one of onnx, keras; got 'torch'"):
        load_model(BUNDLE_V1 / "detector.onnx", "torch")


@pytest.mark.parametrize(
    ("runtime", "library", "remedy"),
    [("onnx", "onnxruntime", "onnxruntime"), ("keras", "keras", r"'cryvision\[train\]'")],
)
def test_a_missing_library_comes_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, runtime: str, library: str, remedy: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingDependencyError, match=f"pip install {remedy}"):
        load_model(BUNDLE_V1 / f"detector.{runtime}", runtime)


def test_importing_the_runtime_loads_no_library_but_numpy() -> None:
    code = (
        "import sys, cryvision.runtime.loading, cryvision.models;"
        "assert not {'keras', 'tensorflow', 'onnxruntime'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
