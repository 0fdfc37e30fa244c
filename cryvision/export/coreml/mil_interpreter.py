"""Runs a saved Core ML program in numpy, where there is no Core ML: on anything but a Mac.

What it shows is that the program in the file computes what the original does. It does not show
what Apple's own kernels, the neural engine above all, make of that program.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cryvision.errors import CryvisionError
from cryvision.export.coreml import mil_arrays, mil_layers

OPERATIONS = {**mil_arrays.OPERATIONS, **mil_layers.OPERATIONS}


class SavedProgram:
    """An ML Program as it stands in an ``.mlpackage``, read back from the disk with its weights.

    Each operation is computed in float32 and its result rounded to the type that the program
    states, so that a program in float16 loses what it loses. ``operations`` are those of the main
    function, in order, each with ``op_type``, ``inputs`` and ``outputs``; one that this interpreter
    does not have is a CryvisionError.
    """

    def __init__(self, path: Path) -> None:
        import coremltools
        from coremltools.converters.mil.frontend.milproto.load import load

        model = coremltools.models.MLModel(str(path), skip_model_load=True)
        spec = model.get_spec()
        main = load(spec, spec.specificationVersion, model.weights_dir).functions["main"]
        self._inputs = dict(main.inputs)
        self._outputs = list(main.outputs)
        self.operations = list(main.operations)
        unknown = {op.op_type for op in self.operations} - set(OPERATIONS) - {"const"}
        if unknown:
            raise CryvisionError(
                f"{path}: the saved program cannot be checked here: no meaning is known for the "
                f"operation {sorted(unknown)[0]!r}"
            )
        self._constants = self._fold()

    def predict(self, inputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Run the program once, on inputs by name of exactly the shapes that it states.

        Gives every output by name: arrays, and of a classifier the label and a dict of label to
        probability. A result of another shape than the program states is a CryvisionError.
        """
        values = dict(self._constants)
        for name, variable in self._inputs.items():
            values[variable] = _as_stated(np.asarray(inputs[name]), variable)
        for op in self.operations:
            if op.outputs[0] not in values:
                _run(op, values)
        return {variable.name: values[variable] for variable in self._outputs}

    def _fold(self) -> dict[Any, Any]:
        """Values of all constants, compressed ones unpacked."""
        values: dict[Any, Any] = {}
        for op in self.operations:
            if op.op_type == "const":
                values[op.outputs[0]] = op.outputs[0].val
            elif op.op_type.startswith("constexpr"):
                _run(op, values)
        return values


def _run(op: Any, values: dict[Any, Any]) -> None:
    arguments = {}
    for name, argument in op.inputs.items():
        if argument is None:
            continue
        if isinstance(argument, (list, tuple)):
            arguments[name] = [values[variable] for variable in argument]
        else:
            arguments[name] = values[argument]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        results = OPERATIONS[op.op_type](**{n: _wide(value) for n, value in arguments.items()})
        for variable, result in zip(
            op.outputs, results if isinstance(results, tuple) else (results,), strict=True
        ):
            values[variable] = _as_stated(result, variable)


def _wide(value: Any) -> Any:
    """Float16 as float32: kernels compute in at least that."""
    if isinstance(value, list):
        return [_wide(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype == np.float16:
        return value.astype(np.float32)
    return value


def _as_stated(result: Any, variable: Any) -> Any:
    """A result in the type and shape that the program states for it."""
    from coremltools.converters.mil.mil import types

    if isinstance(result, (str, dict)):
        return result
    array = np.asarray(result).astype(types.nptype_from_builtin(variable.dtype))
    if tuple(array.shape) != tuple(variable.shape):
        raise CryvisionError(
            f"{variable.name}: the saved program states shape {tuple(variable.shape)}; "
            f"computed {array.shape}"
        )
    return array
