"""Front end and network as one ONNX file."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryvision.errors import CryvisionError
from cryvision.export.onnx.parts import export_model
from cryvision.runtime.session import line

if TYPE_CHECKING:
    import keras

LEARNED = frozenset({"Conv", "Gemm", "MatMul", "LSTM", "GRU"})
"""Operators with learned weights: those that ``fp16`` and ``int8`` make smaller."""


def write(
    network: keras.Model,
    front_end: keras.Model | None,
    path: Path,
    precision: str,
    output_names: Sequence[str],
    representative: Mapping[str, np.ndarray],
) -> None:
    """Convert both models and join them; the batch axis is free.

    The network goes from features by name to a dict of outputs; the front end, which stays in
    float32, from ``waveform`` to a dict of those features and of further outputs, and is None for a
    file that takes features. ``fp16`` stores the learned weights in float16 and computes in
    float32; ``int8`` stores them in 8 bits and computes with them in 8 bits. ``representative`` are
    features, shape (n, ...), on which the ranges for ``int8`` are measured. The path is not
    replaced before all went well.

    Raises
    ------
    CryvisionError
        If a model cannot be converted.
    """
    import onnx

    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        file = Path(folder, "network.onnx")
        _export(network, file)
        try:
            if precision == "fp16":
                _to_float16(file)
            elif precision == "int8":
                _to_int8(file, representative)
            model = onnx.load(file)
            if front_end is not None:
                _export(front_end, file)
                model = _joined(onnx.load(file), model)
            _tidy(model, output_names)
            onnx.checker.check_model(model, full_check=True)
            onnx.save(model, path)
        except (OSError, CryvisionError):
            raise
        except Exception as error:  # onnx and onnxruntime raise any kind
            raise CryvisionError(f"the model cannot be written as ONNX: {line(error)}") from error


def _export(model: keras.Model, path: Path) -> None:
    # The exporter needs a model that has been called once.
    model({t.name: np.zeros((1, *t.shape[1:]), np.float32) for t in model.inputs}, training=False)
    export_model(model, path)


def _joined(front_end: Any, network: Any) -> Any:
    """Feed the front end's features into the network; its other outputs stay outputs."""
    from onnx import compose

    names = {value.name for value in front_end.graph.output}
    features = [value.name for value in network.graph.input if value.name in names]
    before, after = (
        compose.add_prefix(model, prefix, rename_inputs=False, rename_outputs=False)
        for model, prefix in ((front_end, "front_end/"), (network, "network/"))
    )
    return compose.merge_models(before, after, io_map=[(name, name) for name in features])


def _tidy(model: Any, output_names: Sequence[str]) -> None:
    """Put the outputs in order, and state no operator sets that are not used."""
    from onnx.helper import make_opsetid

    outputs = {value.name: value for value in model.graph.output}
    used = {node.domain for node in model.graph.node}
    opsets = {o.domain: o.version for o in model.opset_import if o.domain in used}
    del model.graph.output[:], model.opset_import[:], model.metadata_props[:]
    model.graph.output.extend(outputs[name] for name in output_names)
    model.opset_import.extend(make_opsetid(*opset) for opset in opsets.items())


def _to_float16(path: Path) -> None:
    """Store the learned weights in float16; they are computed with in float32."""
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(path)
    graph = model.graph
    learned = {name for node in graph.node if node.op_type in LEARNED for name in node.input}
    casts = []
    for weights in graph.initializer:
        if weights.name in learned and weights.data_type == onnx.TensorProto.FLOAT:
            stored = f"{weights.name}/float16"
            casts.append(
                helper.make_node("Cast", [stored], [weights.name], to=onnx.TensorProto.FLOAT)
            )
            values = numpy_helper.to_array(weights).astype(np.float16)
            weights.CopyFrom(numpy_helper.from_array(values, stored))
    for index, cast in enumerate(casts):
        graph.node.insert(index, cast)
    onnx.save(model, path)


def _to_int8(path: Path, representative: Mapping[str, np.ndarray]) -> None:
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        _numbers = iter(range(len(next(iter(representative.values())))))

        def get_next(self) -> dict[str, np.ndarray] | None:
            at = next(self._numbers, None)
            if at is None:
                return None
            return {name: values[at : at + 1] for name, values in representative.items()}

    ready = path.with_name("ready.onnx")
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)  # it logs each step as a warning
    try:
        quant_pre_process(path, ready, skip_symbolic_shape=True)
        quantization.quantize_static(
            ready,
            path,
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            op_types_to_quantize=sorted(LEARNED),
        )
    finally:
        logging.root.setLevel(level)
