"""Keras models as the two files of a bundle's part: ONNX, compared with the original, and Keras."""

from __future__ import annotations

import inspect
import json
import os
import tempfile
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryvision.errors import CryvisionError
from cryvision.export.parity import max_differences
from cryvision.layers import needed
from cryvision.os_errors import os_errors
from cryvision.runtime import loading
from cryvision.runtime.session import line

if TYPE_CHECKING:
    import keras

ONNX_TOLERANCE = 1e-4
"""Largest difference from Keras, in probabilities and in logits: float32 in another order."""

OUTPUTS = ("logits", "probabilities")

_CONFIG = "config.json"
"""Of a ``.keras`` file."""


def convert(model: keras.Model, path: Path, samples: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Write a Keras model as ONNX, once both were seen to agree.

    The model must have a layer named ``logits`` and one output: probabilities, shape (n, k), or (n,
    n_steps, k) of a frame network. The file, which is replaced only by one that passed, has a free
    batch axis (a frame network's a free time axis too), the model's inputs by name, and two
    outputs: ``probabilities`` and ``logits``, before the calibration. They are compared on samples
    by name, shape (n, ...). These must be real, because on inputs a model never meets its outputs
    may be constant and the comparison empty. What is returned is as of `compare`.

    Raises
    ------
    CryvisionError
        If the model cannot be converted, or Keras and ONNX differ by more than ``ONNX_TOLERANCE``,
        in shape, or by values that are not finite.
    """
    two_outputs = _with_logits(model, path)
    reference = _keras_outputs(two_outputs, samples)
    with (
        os_errors(f"{path}: cannot be written"),
        tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder,
    ):
        written = Path(folder, "model.onnx")
        export_model(two_outputs, written)
        agreement = compare(written, samples, reference, str(path))
        os.replace(written, path)
    return agreement


def part_files(
    model: keras.Model, folder: Path, part_name: str, samples: Mapping[str, np.ndarray]
) -> tuple[dict[str, Path], dict[str, Any]]:
    """Write the two files that a part of a bundle needs, from a model and samples as of `convert`.

    They are ``<part_name>.keras`` and ``<part_name>.onnx`` in an existing folder. Given back are
    the files by runtime, as `cryvision.bundle.saving.save` takes them, and what `convert` measured.
    """
    files = {kind: folder / f"{part_name}.{kind}" for kind in ("keras", "onnx")}
    agreement = convert(model, files["onnx"], samples)
    _save_keras(model, files["keras"])
    return files, agreement


def compare(
    path: Path, samples: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray], where: str
) -> dict[str, Any]:
    """Run an ONNX file on samples, and compare it with what Keras gave.

    Samples by name have shape (n, ...); ``reference`` has the ``logits`` and ``probabilities`` of
    Keras, each of shape (n, k) or (n, n_steps, k). The result has ``max_difference`` (per output),
    ``n_samples`` and ``tolerance``; errors name ``where``.
    """
    candidate = loading.OnnxModel(path.read_bytes(), path).outputs(samples)
    return {
        "max_difference": max_differences(reference, candidate, ONNX_TOLERANCE, where),
        "n_samples": len(reference["logits"]),
        "tolerance": ONNX_TOLERANCE,
    }


def _with_logits(model: keras.Model, path: Path) -> keras.Model:
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


def export_model(model: keras.Model, path: Path) -> None:
    """Write a Keras model that has been called once as ONNX, unchecked but by onnx itself.

    What the system refuses is an OSError; errors do not name the path, which is a temporary one.
    """
    with needed("writing ONNX files", "onnx with tf2onnx", "export"):
        import onnx
        import tf2onnx  # noqa: F401  (Keras imports it in the middle of the export)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # the exporter's, about numpy names
            model.export(str(path), format="onnx", verbose=False)
        onnx.checker.check_model(str(path), full_check=True)
    except OSError:
        raise
    except Exception as error:  # the exporter raises any kind
        raise CryvisionError(f"the model cannot be written as ONNX: {line(error)}") from error


def _save_keras(model: keras.Model, path: Path) -> None:
    """Write a model without what only training needs, so that older versions of Keras read it too.

    Keras writes all arguments of a layer down, and a version without one of them reads none of the
    file. So arguments that are at their default are left out. The stem of the path becomes the
    model's name.
    """
    import keras

    # Rebuilt, the model carries no optimizer and no loss.
    keras.Model(model.inputs, model.outputs, name=path.stem).save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = _without_defaults(json.loads(members[_CONFIG]))
    members[_CONFIG] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def _without_defaults(node: Any) -> Any:
    """Drop the arguments of Keras' own layers and initializers that are at their default."""
    if isinstance(node, list):
        return [_without_defaults(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {name: _without_defaults(value) for name, value in node.items()}
    defaults = _defaults(node)
    if defaults:
        node["config"] = {
            name: value
            for name, value in node["config"].items()
            if name not in defaults or value != defaults[name]
        }
    return node


def _defaults(node: dict[str, Any]) -> dict[str, Any]:
    """Arguments with a default of the layer or initializer that a piece of JSON describes."""
    import keras

    modules = {"keras.layers": keras.layers, "keras.initializers": keras.initializers}
    module = modules.get(str(node.get("module")))
    kind = getattr(module, str(node.get("class_name")), None)
    if kind is None or not isinstance(node.get("config"), dict):
        return {}
    parameters = inspect.signature(kind.__init__).parameters
    return {
        name: parameter.default
        for name, parameter in parameters.items()
        if parameter.default is not parameter.empty
    }
