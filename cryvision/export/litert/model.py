"""Models as LiteRT (TensorFlow Lite) files without operators of TensorFlow itself."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryvision.errors import CryvisionError
from cryvision.export.graph import concrete_function
from cryvision.export.litert.file import File, joined, operators
from cryvision.runtime.session import line

if TYPE_CHECKING:
    import keras

LEARNED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL"})
"""Operators with learned weights that ``int8`` puts into 8 bits."""

CONVERSION_SECONDS = 600.0
"""A conversion in a process of its own is given up after this."""


def write(
    network: keras.Model,
    front_end: keras.Model | None,
    path: Path,
    precision: str,
    output_names: Sequence[str],
    representative: Mapping[str, np.ndarray],
) -> None:
    """Convert both models and join them; the file takes one item at a time.

    Parameters and errors are as of `cryvision.export.onnx.deploy.write`; a model that would need
    operators of TensorFlow is refused too.
    """
    try:
        after = _frozen(network)
        if precision == "int8":
            file = File(_converted_in_child(after, representative), after.inputs, after.outputs)
        else:
            data = _converted(after.function, float16=precision == "fp16")
            file = File(data, after.inputs, after.outputs)
        if front_end is not None:
            before = _frozen(front_end)
            data = _converted(before.function, float16=False)
            file = joined(File(data, before.inputs, before.outputs), file)
        path.write_bytes(file.packed(output_names))
    except (OSError, CryvisionError):
        raise
    except Exception as error:  # the converter raises any kind
        raise CryvisionError(f"the model cannot be written for LiteRT: {line(error)}") from error


@dataclass(frozen=True)
class _Frozen:
    """A function without variables, from inputs by name to outputs by name, in order."""

    function: Any
    inputs: list[str]
    outputs: list[str]


def _frozen(model: keras.Model) -> _Frozen:
    """Make the weights constants: of variables, the converter writes files that give NaN."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    inputs, outputs = [tensor.name for tensor in model.inputs], sorted(model.output)
    function = concrete_function(model, outputs)
    return _Frozen(convert_variables_to_constants_v2(function), inputs, outputs)


def _converter(function: Any) -> Any:
    import tensorflow as tf

    # It warns that a second argument is missing, with which the weights are lost.
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        return tf.lite.TFLiteConverter.from_concrete_functions([function])
    finally:
        logger.setLevel(level)


def _converted(function: Any, float16: bool) -> bytes:
    import tensorflow as tf

    converter = _converter(function)
    if float16:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    return bytes(converter.convert())


def _quantized(function: Any, examples: Callable[[], Iterator[list[np.ndarray]]]) -> bytes:
    """Put the learned operators into 8 bits and leave all others in float32.

    Squares of decibels, as in a normalisation, would be lost in 8 bits. Which operators to leave
    out can be set through the converter's debugger only.
    """
    import tensorflow as tf

    converter = _converter(function)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = examples
    others = operators(_converted(function, float16=False)) - LEARNED
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter,
        debug_dataset=examples,
        debug_options=tf.lite.experimental.QuantizationDebugOptions(denylisted_ops=sorted(others)),
    )
    return bytes(debugger.get_nondebug_quantized_model())


def _converted_in_child(frozen: _Frozen, representative: Mapping[str, np.ndarray]) -> bytes:
    """Convert to 8 bits in a process of its own: on some models the converter crashes there."""
    with tempfile.TemporaryDirectory(prefix="cryvision-") as folder:
        path = Path(folder)
        graph = frozen.function.graph.as_graph_def()
        path.joinpath("graph.pb").write_bytes(graph.SerializeToString())
        tensors = {
            "inputs": [tensor.name for tensor in frozen.function.inputs],
            "outputs": [tensor.name for tensor in frozen.function.outputs],
        }
        path.joinpath("tensors.json").write_text(json.dumps(tensors))
        for i, name in enumerate(frozen.inputs):
            np.save(path / f"input_{i}.npy", representative[name])
        command = [sys.executable, "-m", __name__, folder]
        try:
            done = subprocess.run(command, capture_output=True, timeout=CONVERSION_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise CryvisionError(
                "the model cannot be written for LiteRT in int8: given up after "
                f"{error.timeout:g} s"
            ) from error
        if done.returncode == 0:
            return path.joinpath("model.tflite").read_bytes()
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines and done.returncode == 1 else f"exit {done.returncode}"
        if done.returncode < 0:
            reason = f"signal {-done.returncode}"
        raise CryvisionError(
            "the model cannot be written for LiteRT in int8: TensorFlow's converter failed "
            f"({reason[:200]}); fp16 halves the size"
        )


def _convert_here(folder: Path) -> None:
    """Convert in the process of `_converted_in_child`, and run the result once."""
    import tensorflow as tf

    graph = tf.compat.v1.GraphDef()
    graph.ParseFromString(folder.joinpath("graph.pb").read_bytes())
    tensors = json.loads(folder.joinpath("tensors.json").read_text())
    wrapped = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(graph, name=""), [])
    tensors_by_role = {
        kind: [wrapped.graph.get_tensor_by_name(name) for name in names]
        for kind, names in tensors.items()
    }
    function = wrapped.prune(tensors_by_role["inputs"], tensors_by_role["outputs"])
    examples = [np.load(folder / f"input_{i}.npy") for i in range(len(tensors["inputs"]))]

    def items() -> Iterator[list[np.ndarray]]:
        for row in zip(*examples, strict=True):
            yield [np.float32(value)[None] for value in row]

    data = _quantized(function, items)
    interpreter = tf.lite.Interpreter(model_content=data)
    interpreter.allocate_tensors()
    for details, value in zip(interpreter.get_input_details(), next(items()), strict=True):
        interpreter.set_tensor(details["index"], value)
    interpreter.invoke()
    folder.joinpath("model.tflite").write_bytes(data)


if __name__ == "__main__":
    _convert_here(Path(sys.argv[1]))
