"""An ONNX file means to the check what it means to the runtime, or it is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from bundles import BUNDLE_V1
from hostile import changed_copies, field, outside, varint
from onnx import TensorProto, helper, numpy_helper

from cryvision.bundle.bundle import SHIPPED
from cryvision.errors import BundleError
from cryvision.runtime import onnx_check
from cryvision.runtime.onnx_check import FIELDS, check_onnx

SHIPPED = [
    *(SHIPPED).glob("*/*.onnx"),
    BUNDLE_V1 / "detector.onnx",
]


def model_of(graph: bytes, more: bytes = b"") -> bytes:
    opset = helper.make_opsetid("", 15)
    head = onnx.ModelProto(ir_version=8, opset_import=[opset]).SerializeToString()
    return bytes(head) + field(7, graph) + more


def adding(tensor: bytes = b"") -> bytes:
    """A graph that multiplies its input by the tensor ``w``."""
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 2]) for name in "xy"]
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "g", info[:1], info[1:])
    return bytes(graph.SerializeToString()) + (field(5, tensor) if tensor else b"")


def weights() -> bytes:
    tensor = numpy_helper.from_array(np.eye(2, dtype=np.float32), "w")
    return bytes(tensor.SerializeToString())


def refusal(data: bytes) -> str:
    with pytest.raises(BundleError, match=r"^model\.onnx: ") as caught:
        check_onnx(data, "model.onnx")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_ships_passes_and_is_what_onnx_would_write(path: Path) -> None:
    check_onnx(path.read_bytes(), str(path))
    assert onnx.load_from_string(path.read_bytes()).SerializeToString() == path.read_bytes()


def test_the_lists_agree_with_onnx() -> None:
    """Each field is in onnx.proto with that type; whether it repeats, too."""
    types = {1: "double", 2: "float", 3: "number", 5: "number", 9: "text", 12: "data"}
    types.update({4: "number", 14: "number"})
    waiting, seen = [onnx.ModelProto.DESCRIPTOR], set()
    while waiting:
        message = waiting.pop()
        seen.add(message.name)
        for number, ours in FIELDS[message.name].items():
            theirs = message.fields_by_number[number]
            nested = theirs.message_type
            if nested is not None and nested.name not in seen:
                waiting.append(nested)
            theirs_named = nested.name if nested is not None else types[theirs.type]
            assert ours == theirs_named + "*" * theirs.is_repeated, (message.name, number)
    assert seen == set(FIELDS)


class TestDisguises:
    @pytest.mark.parametrize("tag_bits", [0, 1 << 32, 1 << 34])
    def test_weights_in_another_file(self, tag_bits: int) -> None:
        """A tag of more than 32 bits: onnxruntime up to 1.23 read any file on the machine."""
        assert "model.onnx" in refusal(model_of(adding(outside("/etc/passwd", tag_bits))))

    def test_the_disguise_is_real_to_onnxruntime(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_bytes(np.arange(4, dtype=np.float32).tobytes())
        (tmp_path / "m.onnx").write_bytes(model_of(adding(outside("secret", 1 << 32))))
        code = (
            "import sys, numpy, onnxruntime as o; s = o.SessionOptions();"
            "s.graph_optimization_level = o.GraphOptimizationLevel.ORT_DISABLE_ALL;"
            "m = o.InferenceSession(sys.argv[1], s, providers=['CPUExecutionProvider']);"
            "print(m.run(None, {'x': numpy.eye(2, dtype='float32')})[0].tolist())"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, "m.onnx"],
            cwd=tmp_path,
            env={**os.environ, "ORT_DISABLE_TELEMETRY": "1"},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            pytest.skip(f"onnxruntime {onnxruntime.__version__} refuses it by itself")
        assert done.stdout == "[[0.0, 1.0], [2.0, 3.0]]\n"

    @pytest.mark.parametrize("tag_bits", [1 << 32, 1 << 33])
    def test_operators_of_another_domain(self, tag_bits: int) -> None:
        node = helper.make_node("MatMul", ["x", "w"], ["y"]).SerializeToString()
        planted = field(1, bytes(node) + field(7, b"com.evil", tag_bits))
        refusal(model_of(adding(weights()) + planted))

    def test_a_field_twice(self) -> None:
        assert "field 7 twice" in refusal(model_of(adding(weights()), field(7, adding())))

    def test_a_field_of_the_wrong_type(self) -> None:
        refusal(model_of(adding(weights()) + varint(5 << 3) + b"\x01"))
        refusal(model_of(adding(weights()), varint(2 << 3 | 5) + b"\x00\x00\x00\x00"))

    @pytest.mark.parametrize("kind", ["groups", "number 0", "future"])
    def test_fields_that_nobody_knows(self, kind: str) -> None:
        planted = {"groups": b"\x0b\x0c", "number 0": b"\x02\x01x", "future": field(99, b"x")}
        refusal(model_of(adding(weights()), planted[kind]))

    @pytest.mark.parametrize("n_bytes", [2, 5, 10])
    def test_integers_in_a_longer_form(self, n_bytes: int) -> None:
        refusal(model_of(adding(weights()), varint(5 << 3) + varint(1, n_bytes)))
        refusal(model_of(adding(weights()), varint(2 << 3 | 2, n_bytes) + b"\x01x"))

    def test_texts_that_are_not_utf_8(self) -> None:
        refusal(model_of(adding(weights()), field(2, b"\xff")))

    @pytest.mark.parametrize(
        "place", ["training_info", "functions", "sparse", "segment", "configuration", "sequence"]
    )
    def test_parts_that_no_bundle_needs(self, place: str) -> None:
        model = onnx.load_from_string(model_of(adding(weights())))
        if place == "training_info":
            model.training_info.add()
        elif place == "functions":
            model.functions.add(name="f")
        elif place == "sparse":
            model.graph.sparse_initializer.add(values=TensorProto(dims=[1]))
        elif place == "segment":
            model.graph.initializer[0].segment.begin = 1
        elif place == "configuration":
            model.configuration.add(name="gpu")
        else:
            model.graph.input[0].type.sequence_type.elem_type.tensor_type.elem_type = 1
        refusal(model.SerializeToString())


class TestWithoutEnd:
    @pytest.mark.parametrize("operator", ["Loop", "Scan", "If", "SequenceMap"])
    def test_loops_and_branches(self, operator: str) -> None:
        inner = helper.make_graph([], "inner", [], [])
        model = onnx.load_from_string(model_of(adding(weights())))
        model.graph.node.append(helper.make_node(operator, ["x"], ["z"], body=inner))
        assert "must have no loops" in refusal(model.SerializeToString())

    @pytest.mark.parametrize("dims", [[10**12], [2**40, 2**40], [-1], [3, 3, 3, 3, 3]])
    def test_tensors_larger_than_their_data(self, dims: list[int]) -> None:
        tensor = numpy_helper.from_array(np.eye(2, dtype=np.float32), "w")
        del tensor.dims[:]
        tensor.dims.extend(dims)
        assert "must not claim more" in refusal(model_of(adding(tensor.SerializeToString())))

    def test_more_fields_or_nodes_than_any_model_has(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(onnx_check, "MAX_NODES", 20)
        monkeypatch.setattr(onnx_check, "MAX_FIELDS", 1000)
        node = bytes(helper.make_node("Relu", ["x"], ["y"]).SerializeToString())
        for n_more, refused in ((onnx_check.MAX_NODES - 1, False), (onnx_check.MAX_NODES, True)):
            model = model_of(adding(weights()) + field(1, node) * n_more)  # to one node
            if refused:
                assert "nodes" in refusal(model)
            else:
                check_onnx(model, "model.onnx")
        tensors = field(5, b"\x42\x00") * (onnx_check.MAX_FIELDS + 1)
        assert "fields" in refusal(model_of(tensors))


def test_any_change_of_a_byte_is_refused_or_means_the_same_to_onnx() -> None:
    """What passes the check is read and written back by onnx without a difference."""
    data = (BUNDLE_V1 / "detector.onnx").read_bytes()
    n_passed = 0
    for changed in changed_copies(data, 2000, most=4, seed=5):
        try:
            check_onnx(changed, "m.onnx")
        except BundleError:
            continue
        n_passed += 1
        again = onnx.load_from_string(changed).SerializeToString()
        assert sorted(again) == sorted(changed)
    assert n_passed > 200
