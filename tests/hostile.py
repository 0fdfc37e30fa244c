"""Makes models and bundles that mean harm, for the tests."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from bundles import BUNDLE_V1, SOUND
from onnx import TensorProto, helper, numpy_helper

from cryvision.bundle import Bundle
from cryvision.errors import BundleError

FLOAT = TensorProto.FLOAT


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change ``bundle.json`` as data."""
    place = folder / "bundle.json"
    description = json.loads(place.read_text("utf-8"))
    change(description)
    place.write_text(json.dumps(description), "utf-8")


def refusal(path: Path) -> str:
    """The message with which a bundle is refused: one line that names the path."""
    with pytest.raises(BundleError) as caught:
        Bundle.load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def put(folder: Path, name: str, data: bytes) -> None:
    """Replace a model file and its hash, as someone who means harm would."""
    (folder / name).write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()

    def rehash(description: dict[str, Any]) -> None:
        for part in description["parts"]:
            for file in part["files"].values():
                if file["path"] == name:
                    file["sha256"] = digest

    edit(folder, rehash)


def rezipped(data: bytes, change: Callable[[dict[str, bytes]], object]) -> bytes:
    """A zip once more, after a change to its members."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def keras_with(
    change: Callable[[dict[str, Any]], object] | None = None,
    of: Path = BUNDLE_V1 / "detector.keras",
    **members: bytes,
) -> bytes:
    """A Keras file with another ``config.json``, and other or more members."""

    def spoil(files: dict[str, bytes]) -> None:
        if change is not None:
            config = json.loads(files["config.json"])
            change(config)
            files["config.json"] = json.dumps(config).encode()
        files.update({name.replace("__", "."): data for name, data in members.items()})

    return rezipped(of.read_bytes(), spoil)


def zip_of(folder: Path, out: Path, *extra: tuple[zipfile.ZipInfo | str, bytes]) -> Path:
    """A zip of a bundle's folder, with more members."""
    with zipfile.ZipFile(out, "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
        for info, data in extra:
            archive.writestr(info, data)
    return out


WILD_VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1e308, 2**62, "", "x" * 3000, "\x00\x1b", [], {}, [[]], -0.0),
)


def change_wildly(
    description: Any, random: np.random.Generator, values: tuple[Any, ...] = WILD_VALUES
) -> None:
    """Put a wild value in a random place of JSON data."""
    holder = description
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = keys[random.integers(len(keys))]
        if isinstance(holder[key], dict | list) and holder[key] and random.random() < 0.8:
            holder = holder[key]
            continue
        holder[key] = values[random.integers(len(values))]
        return


def varint(number: int, n_bytes: int = 0) -> bytes:
    """A base-128 integer, longer than it need be where ``n_bytes`` says so."""
    out = bytearray()
    while number > 0x7F or len(out) + 1 < n_bytes:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number: int, data: bytes, tag_bits: int = 0) -> bytes:
    """A field of bytes, with bits in its tag that most parsers cut off."""
    return varint(number << 3 | 2 | tag_bits) + varint(len(data)) + data


def outside(location: str, tag_bits: int) -> bytes:
    """A tensor whose numbers lie in another file; the tags that say so have more bits."""
    entry = onnx.StringStringEntryProto(key="location", value=location).SerializeToString()
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2, 2]).SerializeToString()
    return bytes(tensor) + field(13, entry, tag_bits) + varint(14 << 3 | tag_bits) + b"\x01"


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


def changed_copies(data: bytes, n: int, most: int, seed: int) -> Iterator[bytes]:
    """Draw ``n`` copies of a file, each with up to ``most`` - 1 bytes changed."""
    random = np.random.default_rng(seed)
    for _ in range(n):
        changed = bytearray(data)
        for at in random.integers(0, len(data), random.integers(1, most)):
            changed[at] = random.integers(0, 256)
        yield bytes(changed)
