"""Parses LiteRT files and joins two of them, so that each part keeps its own precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cryvision.errors import CryvisionError

SIGNATURE = "serving_default"


class File:
    """A LiteRT file as objects: ``model`` is its content, as the flatbuffer schema has it.

    Inputs and outputs are given the names that they are to be called, in the order of the file; as
    attributes they are names to tensors of the main subgraph. Operators that LiteRT alone does not
    have are a CryvisionError.
    """

    def __init__(self, data: bytes, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        from tensorflow.lite.tools import flatbuffer_utils

        self.model: Any = flatbuffer_utils.convert_bytearray_to_object(bytearray(data))
        foreign = [code.customCode for code in self.model.operatorCodes if code.customCode]
        if foreign:
            raise CryvisionError(
                "the model cannot be written for LiteRT: the operator "
                f"{foreign[0].decode()} is not part of it"
            )
        graph = self.model.subgraphs[0]
        self.inputs = dict(zip(inputs, map(int, graph.inputs), strict=True))
        self.outputs = dict(zip(outputs, map(int, graph.outputs), strict=True))

    def packed(self, output_names: Sequence[str]) -> bytes:
        """Give the bytes of the file with these outputs, in order; a signature has all names."""
        from tensorflow.lite.python import schema_py_generated as schema
        from tensorflow.lite.tools import flatbuffer_utils

        graph = self.model.subgraphs[0]
        outputs = {name: self.outputs[name] for name in output_names}
        graph.inputs, graph.outputs = list(self.inputs.values()), list(outputs.values())
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = SIGNATURE.encode(), 0
        for attribute, tensors in (("inputs", self.inputs), ("outputs", outputs)):
            entries = []
            for name, index in tensors.items():
                entry = schema.TensorMapT()
                entry.name, entry.tensorIndex = name.encode(), index
                entries.append(entry)
                graph.tensors[index].name = name.encode()
            setattr(signature, attribute, entries)
        self.model.signatureDefs = [signature]
        return bytes(flatbuffer_utils.convert_object_to_bytearray(self.model))


def joined(before: File, after: File) -> File:
    """Feed outputs of one file into the inputs of the same names of another, and give the whole.

    ``before``, which has one subgraph, is consumed. Inputs of ``after`` that it does not give stay
    inputs; outputs are those of ``after``, and those of ``before`` that ``after`` does not take.
    """
    first, whole = before.model, after.model
    n_codes, n_buffers = len(whole.operatorCodes), len(whole.buffers)
    whole.operatorCodes.extend(first.operatorCodes)
    whole.buffers.extend(first.buffers)

    graph = whole.subgraphs[0]
    indices = {before.outputs[n]: i for n, i in after.inputs.items() if n in before.outputs}
    for index, tensor in enumerate(first.subgraphs[0].tensors):
        if index not in indices:
            indices[index] = len(graph.tensors)
            tensor.buffer += n_buffers
            graph.tensors.append(tensor)
    for operator in first.subgraphs[0].operators:
        operator.opcodeIndex += n_codes
        operator.inputs = [indices.get(int(i), -1) for i in operator.inputs]  # -1: left out
        operator.outputs = [indices[int(i)] for i in operator.outputs]
    graph.operators = [*first.subgraphs[0].operators, *graph.operators]

    further = {name: indices[i] for name, i in before.outputs.items() if name not in after.inputs}
    others = {name: index for name, index in after.inputs.items() if name not in before.outputs}
    after.inputs = {**{name: indices[index] for name, index in before.inputs.items()}, **others}
    after.outputs = {**after.outputs, **further}
    return after


def operators(data: bytes) -> set[str]:
    """Names of the operators in a file, as the schema has them: ``CONV_2D``, ..."""
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    names = {code: name for name, code in vars(schema.BuiltinOperator).items()}
    model: Any = flatbuffer_utils.convert_bytearray_to_object(bytearray(data))
    # Codes above 127 stand in a second field only.
    return {names[max(c.builtinCode, c.deprecatedBuiltinCode)] for c in model.operatorCodes}
