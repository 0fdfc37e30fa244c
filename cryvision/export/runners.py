"""Runs exported files as they lie on the disk, each with its own runtime."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cryvision.export.coreml import package as coreml
from cryvision.export.coreml.mil_interpreter import SavedProgram
from cryvision.export.graph import PROBABILITIES
from cryvision.export.litert.file import SIGNATURE

Inputs = Mapping[str, np.ndarray]
Outputs = dict[str, np.ndarray]

ONNX_BATCH = 16
"""Windows at a time, the other runtimes take one: bounds the memory."""


def run_onnx(path: Path, inputs: Inputs, labels: Sequence[str]) -> Outputs:
    """Run an ONNX file with onnxruntime, on inputs by name of shape (n, ...).

    ``labels`` are those of ``probabilities``, in order. Every output of the file comes back by
    name, shape (n, k).
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(names, batch), strict=True))

    return _collected(inputs, run, ONNX_BATCH)


def run_litert(path: Path, inputs: Inputs, labels: Sequence[str]) -> Outputs:
    """Run a LiteRT file with its interpreter; as `run_onnx`."""
    import tensorflow as tf

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it announces its own move to another package
        interpreter = tf.lite.Interpreter(model_path=str(path), num_threads=1)
        run = interpreter.get_signature_runner(SIGNATURE)
    return _collected(inputs, lambda item: run(**item))


def run_program(path: Path, inputs: Inputs, labels: Sequence[str]) -> Outputs:
    """Interpret a saved Core ML program in numpy; as `run_onnx`."""
    program = SavedProgram(path)
    # Images come with their channels first.
    arranged = {n: v.transpose(0, 3, 1, 2) if _is_image(v) else v for n, v in inputs.items()}
    return _collected(arranged, lambda item: _with_row(program.predict(item), labels))


def run_coreml(path: Path, inputs: Inputs, labels: Sequence[str]) -> Outputs:
    """Run a Core ML package with Core ML, on a Mac; as `run_onnx`."""
    from PIL import Image

    package = coreml.require().models.MLModel(str(path))

    def run(item: dict[str, np.ndarray]) -> dict[str, Any]:
        arrays = {
            name: Image.fromarray(value[0].astype(np.uint8)) if _is_image(value) else value
            for name, value in item.items()
        }
        return _with_row(package.predict(arrays), labels)

    return _collected(inputs, run)


def _is_image(values: np.ndarray) -> bool:
    return values.ndim == 4 and values.shape[-1] == 3


def on_a_mac() -> bool:
    """Whether Core ML itself can run here."""
    return platform.system() == "Darwin"


def _collected(
    inputs: Inputs, run: Callable[[dict[str, np.ndarray]], Mapping[str, Any]], size: int = 1
) -> Outputs:
    """Run so many items at a time and put the outputs together."""
    n = len(next(iter(inputs.values())))
    items = [
        run({name: np.asarray(v[i : i + size], np.float32) for name, v in inputs.items()})
        for i in range(0, n, size)
    ]
    return {name: np.concatenate([item[name] for item in items]) for name in items[0]}


def _with_row(outputs: Mapping[str, Any], labels: Sequence[str]) -> dict[str, Any]:
    """A classifier's dict of probabilities as a row in the order of the labels."""
    arrays = {name: value for name, value in outputs.items() if name != coreml.LABEL}
    if PROBABILITIES not in arrays:
        return arrays
    by_label = arrays[PROBABILITIES]
    arrays[PROBABILITIES] = np.array([[by_label[label] for label in labels]], np.float32)
    return arrays
