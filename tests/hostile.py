"""Makes models and bundles that mean harm, for the tests."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from bundles import BUNDLE_V1, SOUND
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change ``bundle.json`` as data."""
    place = folder / "bundle.json"
    description = json.loads(place.read_text("utf-8"))
    change(description)
    place.write_text(json.dumps(description), "utf-8")


def put(folder: Path, name: str, data: bytes) -> None:
    """Replace a model file and its hash."""
    (folder / name).write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    runtime = name.rpartition(".")[2]
    edit(folder, lambda d: d["parts"][0]["files"][runtime].update(sha256=digest))


def bundle_with(folder: Path, model: bytes) -> Path:
    """Copy the first bundle with another detector."""
    shutil.copytree(BUNDLE_V1, folder)
    put(folder, "detector.onnx", model)
    return folder


def detector(*nodes: onnx.NodeProto, **constants: Any) -> bytes:
    """A model from ``mel`` that first reduces each window to ``zero``, shape (n, 1).

    The nodes go on from there to ``probabilities``; ``constants`` are what they need.
    """
    shape = ["n", SOUND.n_frames, SOUND.n_mels]
    start = [
        helper.make_node("ReduceSum", ["mel", "axes"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "nought"], ["flat"]),
        helper.make_node("Unsqueeze", ["flat", "one"], ["zero"]),
    ]
    given = {
        "axes": np.array([1, 2]),
        "one": np.array([1]),
        "nought": np.float32(0),
        **constants,
    }
    graph = helper.make_graph(
        [*start, *nodes],
        "g",
        [helper.make_tensor_value_info("mel", FLOAT, shape)],
        [helper.make_tensor_value_info("probabilities", FLOAT, ["n", 1])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in given.items()],
    )
    opset = helper.make_opsetid("", 15)
    return bytes(helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString())


def constant(value: float) -> bytes:
    """A detector that always says the same."""
    return detector(
        helper.make_node("Add", ["zero", "value"], ["probabilities"]), value=np.float32(value)
    )


def node(kind: str, *inputs: str, to: str = "probabilities", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, list(inputs), [to], **attributes)


def cast_to(kind: int) -> bytes:
    """A detector whose output is of another type."""
    cast = helper.make_node("Cast", ["zero"], ["probabilities"], to=kind)
    model = onnx.load_from_string(detector(cast))
    model.graph.output[0].type.tensor_type.elem_type = kind
    return bytes(model.SerializeToString())


MISBEHAVING: dict[str, bytes] = {
    "nan": constant(np.nan),
    "infinite": constant(np.inf),
    "negative": constant(-0.5),
    "above one": constant(1.5),
    "a little above one": constant(1.001),
    "nan at times": detector(
        node("ReduceMean", "mel", to="mean", axes=[1], keepdims=0),
        node("ReduceMax", "mean", to="most", axes=[1], keepdims=1),
        node("Sqrt", "most"),
    ),
    "too few items": detector(
        node("ReduceMax", "zero", axes=[0], keepdims=1),
    ),
    "too many values": detector(node("Concat", "zero", "zero", axis=1)),
    "too many axes": detector(node("Unsqueeze", "zero", "two"), two=np.array([2])),
    "a shape that cannot be": detector(node("Reshape", "zero", "seven"), seven=np.array([7, 13])),
    "an index outside": detector(node("Gather", "zero", "far", axis=0), far=np.array([10**9])),
    "float64": cast_to(TensorProto.DOUBLE),
    "int64": cast_to(TensorProto.INT64),
    "text": cast_to(TensorProto.STRING),
    "all memory": detector(
        node("ConstantOfShape", "huge", to="much"),
        node("ReduceSum", "much", to="sum_of_much", keepdims=0),
        node("Add", "zero", "sum_of_much"),
        huge=np.array([2**34]),
    ),
    "all memory in the end": detector(
        node("Tile", "zero", "huge", to="much"),
        node("ReduceSum", "much", "one", to="sum_of_much", keepdims=1),
        node("Add", "zero", "sum_of_much"),
        huge=np.array([2**14, 2**13]),
    ),
    "another input": constant(0.5).replace(b"\x0a\x03mel", b"\x0a\x03mal"),
}
"""Models that pass every check of their bytes, and then do not do what a detector does."""


def endless() -> bytes:
    """A detector that computes for minutes, though it has no loop."""
    nodes = [node("Expand", "nought", "wide", to="m0")]
    nodes += [node("MatMul", f"m{i}", f"m{i}", to=f"m{i + 1}") for i in range(500)]
    nodes += [node("ReduceMax", "m500", to="most", keepdims=1), node("Mul", "zero", "most")]
    return detector(*nodes, wide=np.array([3000, 3000]))
