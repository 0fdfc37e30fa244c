"""Keras models as ONNX files, compared with the original before anyone may use them."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryvision.errors import CryvisionError, MissingDependencyError
from cryvision.export import keras_file
from cryvision.export.parity import max_differences
from cryvision.layers import install_command
from cryvision.runtime import loading
from cryvision.runtime.session import line

if TYPE_CHECKING:
    import keras

ONNX_TOLERANCE = 1e-4
"""Largest difference from Keras, in probabilities and in logits: float32 in another order."""

OUTPUTS = ("logits", "probabilities")


def convert(model: keras.Model, path: Path, samples: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Write a Keras model as ONNX, once both were seen to agree.

    The model must have a layer named ``logits`` and one output: probabilities, shape (n, k), or (n,
    n_steps, k) of a frame network. The file, which is replaced only by one that passed, has a free
    batch axis (a frame network's a free time axis too), the model's inputs by name, and two
    outputs: ``probabilities`` and ``logits``, before the calibration. They are compared on samples
    by name, shape (n, ...). These must be real, because on inputs a model never meets its outputs
    may be constant and the comparison empty.

    Returns
    -------
    dict
        ``max_difference`` (per output), ``n_samples``, ``tolerance``.

    Raises
    ------
    CryvisionError
        If the model cannot be converted, or Keras and ONNX differ by more than
        ``ONNX_TOLERANCE``, in shape, or by values that are not finite.
    """
    two_outputs = _with_logits(model, path)
    reference = _keras_outputs(two_outputs, samples)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        written = Path(folder, "model.onnx")
        export_model(two_outputs, written, path)
        agreement = compare(written, samples, reference, str(path))
        os.replace(written, path)
    return agreement


def part_files(
    model: keras.Model, folder: Path, part_name: str, samples: Mapping[str, np.ndarray]
) -> tuple[dict[str, Path], dict[str, Any]]:
    """Write the two files that a part of a bundle needs, from a model and samples as of `convert`.

    They are ``<part_name>.keras`` and ``<part_name>.onnx`` in an existing folder.

    Returns
    -------
    files : dict of str to Path
        Runtime to file, as `cryvision.bundle.saving.save` takes them.
    agreement : dict
        What `convert` measured.
    """
    files = {kind: folder / f"{part_name}.{kind}" for kind in ("keras", "onnx")}
    agreement = convert(model, files["onnx"], samples)
    keras_file.save(model, files["keras"])
    return files, agreement


def compare(
    path: Path,
    samples: Mapping[str, np.ndarray],
    reference: Mapping[str, np.ndarray],
    where: str,
) -> dict[str, Any]:
    """Run an ONNX file on samples, and compare it with what Keras gave.

    Samples by name have shape (n, ...); ``reference`` has the ``logits`` and ``probabilities`` of
    Keras, each of shape (n, k) or (n, n_steps, k). What is returned and raised is as of `convert`;
    errors name ``where``.
    """
    candidate = loading.OnnxModel(path.read_bytes(), path).outputs(samples)
    return {
        "max_difference": max_differences(reference, candidate, ONNX_TOLERANCE, where),
        "n_samples": len(reference["logits"]),
        "tolerance": ONNX_TOLERANCE,
    }


def _with_logits(model: keras.Model, path: Path) -> keras.Model:
    """Give the model with its logits as a second output."""
    import keras

    try:
        logits = model.get_layer("logits").output
    except ValueError as error:
        raise CryvisionError(f"{path}: the model must have a layer named 'logits'") from error
    if len(model.outputs) != 1:
        raise CryvisionError(
            f"{path}: the model must have one output; got {len(model.outputs)} of them"
        )
    return keras.Model(model.inputs, {"logits": logits, "probabilities": model.outputs[0]})


def _keras_outputs(model: keras.Model, samples: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    import keras

    # Called eagerly: the exporter needs a model that has been called once.
    missing = [i.name for i in model.inputs if i.name not in samples]
    if missing:
        raise CryvisionError(
            f"samples must hold every input of the model; {missing[0]!r} is missing"
        )
    batch = [np.asarray(samples[i.name], np.float32) for i in model.inputs]
    outputs = model(batch, training=False)
    return {name: keras.ops.convert_to_numpy(outputs[name]) for name in OUTPUTS}


def export_model(model: keras.Model, path: Path, shown: Path | None = None) -> None:
    """Write a Keras model that has been called once as ONNX, unchecked but by onnx itself.

    Errors name ``shown``, where it is given, in place of the path.

    Raises
    ------
    CryvisionError
        If the model cannot be converted.
    MissingDependencyError
        If onnx or tf2onnx is not installed.
    """
    try:
        import onnx
        import tf2onnx  # noqa: F401  (Keras imports it in the middle of the export)
    except ImportError as error:
        raise MissingDependencyError(
            "onnx and tf2onnx are needed to write ONNX files; install them with: "
            f"{install_command('export')} ({error})"
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # the exporter's, about numpy names
            model.export(str(path), format="onnx", verbose=False)
        onnx.checker.check_model(str(path), full_check=True)
    except Exception as error:  # the exporter raises any kind
        raise CryvisionError(
            f"{shown or path}: the model cannot be written as ONNX: {line(error)}"
        ) from error
