"""Runs one saved model: ONNX by default, Keras by choice; nothing else at inference."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from cryvision.config import check_choice
from cryvision.errors import BundleError, ConfigError, MissingDependencyError
from cryvision.layers import install_command
from cryvision.os_errors import os_errors
from cryvision.runtime.session import MAX_ITEMS, Session, line

RUNTIMES = ("onnx", "keras")

MAX_NUMBERS = 50_000_000
"""Weights of a Keras model, and outputs of its layers for one item; ResNet-50 has 34 million."""

ROUNDING = 1e-5
"""How far float32 may lead a probability beyond 0 or 1."""

Dims = tuple[int | None, ...]


class Predictor(Protocol):
    """What gives probabilities of a batch, as `Model` does."""

    def predict(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray: ...


class Model(ABC):
    """A saved model that is ready to run.

    `inputs` are the shapes of one item of each, without the batch axis; None is any length.
    `output` is the shape of the probabilities of one item: (k,), or (any, k) for a model that gives
    k for each step of an item of any length; `n_outputs` is k.
    """

    def __init__(self, path: Path, inputs: dict[str, Dims], output: Dims | None) -> None:
        if output is None or output[-1:] in ((), (None,)) or output[:-1] not in ((), (None,)):
            raise BundleError(
                f"{path}: a model must have one output 'probabilities' of shape (n, k) or "
                "(n, any, k)"
            )
        self._path = path
        self.inputs, self.output = inputs, output
        self.n_outputs = int(output[-1] or 0)

    def predict(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Probabilities of a batch: float32, shape (n, n_outputs) or (n, n_steps, n_outputs).

        Every input of the model is given by name, shape (n, ...), the same n for all; otherwise a
        ConfigError is raised. A BundleError says that the model fails, runs without end, or gives
        anything but probabilities.
        """
        batch = _batch(inputs, self.inputs)
        n = _length(batch)
        if n == 0:
            return np.zeros((0, *(size or 0 for size in self.output)), np.float32)
        pieces = (
            {name: array[start : start + MAX_ITEMS] for name, array in batch.items()}
            for start in range(0, n, MAX_ITEMS)
        )
        outputs = [self._run(piece) for piece in pieces]
        return _probabilities(outputs, self.output, n, self._path)

    @abstractmethod
    def _run(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        """Compute the probabilities of a checked batch of at most `MAX_ITEMS`."""


def load_model(path: Path, runtime: str = "onnx", data: bytes | None = None) -> Model:
    """Load one saved model, a ``.onnx`` or ``.keras`` file.

    Where the caller has read and checked its bytes already, ``data``, the path is only named in
    errors: what was checked is then what runs, whatever happens to the file.
    """
    check_choice("runtime", runtime, RUNTIMES)
    if data is None:
        with os_errors(f"{path}: the model cannot be read", BundleError):
            data = path.read_bytes()
    return OnnxModel(data, path) if runtime == "onnx" else KerasModel(data, path)


class OnnxModel(Model):
    """A model in onnxruntime: one thread, because windows are small and callers have their own."""

    def __init__(self, data: bytes, path: Path) -> None:
        self._session = Session(data, path)
        for tensor in (*self._session.inputs, *self._session.outputs):
            if tensor.type != "tensor(float)":
                raise BundleError(f"{path}: {tensor.name!r:.80} must be float32; got {tensor.type}")
        inputs = {i.name: _dims(i.shape) for i in self._session.inputs}
        self.output_shapes = {o.name: _dims(o.shape) for o in self._session.outputs}
        super().__init__(path, inputs, self.output_shapes.get("probabilities"))

    def _run(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        return self._session.run(["probabilities"], batch)[0]

    def outputs(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Every output of a batch by name, also those that inference does not need."""
        names = list(self.output_shapes)
        values = self._session.run(names, _batch(inputs, self.inputs))
        return dict(zip(names, values, strict=True))


class KerasModel(Model):
    """The Keras original of a model.

    Its `model` takes a list of inputs, in the order of their names, to the probabilities.
    """

    def __init__(self, data: bytes, path: Path) -> None:
        try:
            import keras

            from cryvision.models.calibration import calibration_layer_class
        except ImportError as error:
            raise MissingDependencyError(
                f"keras is needed to run this model and cannot be imported ({line(error)}); "
                f"install it with: {install_command('train')}"
            ) from error
        calibration_layer_class()  # registers it, so that Keras finds it by name
        with tempfile.TemporaryDirectory(prefix="cryvision-") as folder:
            copy = Path(folder, "model.keras")  # Keras reads from a path only
            copy.write_bytes(data)
            try:
                _check_declared(data, path)
                model = keras.saving.load_model(copy, compile=False, safe_mode=True)
                inputs, outputs = list(model.inputs), list(model.outputs)
            except BundleError:
                raise
            except Exception as error:  # Keras raises any kind on a damaged file
                raise BundleError(f"{path}: not a Keras model: {line(error)}") from error
        output = _dims(outputs[0].shape) if len(outputs) == 1 else None
        super().__init__(path, {i.name: _dims(i.shape) for i in inputs}, output)
        # Rebuilt, it takes a list in the order of the names above, however it was built.
        self.model = keras.Model(inputs, outputs[0])

    def _run(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        import keras

        inputs = [batch[name] for name in self.inputs]
        try:
            return np.asarray(keras.ops.convert_to_numpy(self.model(inputs, training=False)))
        except Exception as error:  # Keras and its backends raise any kind
            raise BundleError(f"{self._path}: the model cannot be run: {line(error)}") from error


def _check_declared(data: bytes, path: Path) -> None:
    """Refuse a Keras model that would fill the memory before its weights are looked for."""
    from cryvision.models.declared import declared_numbers

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        config = json.loads(archive.read("config.json"))
    if declared_numbers(config) > MAX_NUMBERS:
        raise BundleError(f"{path}: a model must hold and compute at most {MAX_NUMBERS} numbers")


def _batch(inputs: Mapping[str, np.ndarray], shapes: dict[str, Dims]) -> dict[str, np.ndarray]:
    """Check a batch against the model's inputs; give it as contiguous float32 arrays."""
    if set(inputs) != set(shapes):
        raise ConfigError(
            f"the model's inputs are {', '.join(shapes)}; got {', '.join(inputs) or 'none'}"
        )
    batch = {name: np.ascontiguousarray(inputs[name], np.float32) for name in shapes}
    for name, array in batch.items():
        dims = shapes[name]
        fits = len(array.shape) == 1 + len(dims) and all(
            want in (None, size) for want, size in zip(dims, array.shape[1:], strict=True)
        )
        if not fits or len(array) != _length(batch):
            shape = ", ".join(["n", *("any" if d is None else str(d) for d in dims)])
            raise ConfigError(
                f"the input {name!r} must have shape ({shape}), n the same for all inputs; "
                f"got {array.shape}"
            )
    return batch


def _probabilities(pieces: list[np.ndarray], output: Dims, n: int, path: Path) -> np.ndarray:
    """Join what a model gave for the pieces of a batch, if it is of the kind that was promised."""
    if {values.dtype for values in pieces} != {np.dtype(np.float32)}:
        kinds = ", ".join(sorted(str(values.dtype) for values in pieces))
        raise BundleError(f"{path}: the probabilities must be float32; the model gave {kinds:.80}")
    try:
        values = np.concatenate(pieces)
    except ValueError:
        values = pieces[0]
    fits = values.ndim == 1 + len(output) and len(values) == n and values.shape[-1] == output[-1]
    if not fits:
        raise BundleError(
            f"{path}: the model must give {n} items of {output[-1]} probabilities; it gave the "
            f"shape {values.shape}"
        )
    # Also where it is not a number.
    if not (np.all(values >= -ROUNDING) and np.all(values <= 1 + ROUNDING)):
        raise BundleError(f"{path}: the model gave probabilities that are not from 0 to 1")
    probabilities: np.ndarray = np.clip(values, 0.0, 1.0)
    return probabilities


def _length(batch: dict[str, np.ndarray]) -> int:
    return len(next(iter(batch.values())))


def _dims(shape: Any) -> Dims:
    """Shape of one item: the batch axis dropped, named or open axes as None."""
    return tuple(size if isinstance(size, int) else None for size in shape[1:])
