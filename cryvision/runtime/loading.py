"""Runs one saved model: ONNX by default, Keras by choice; nothing else at inference."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from cryvision.errors import BundleError, ConfigError, MissingDependencyError
from cryvision.layers import install_command
from cryvision.runtime.session import MAX_ITEMS, Session, line

RUNTIMES = ("onnx", "keras")

MAX_NUMBERS = 50_000_000
"""Weights of a Keras model, and outputs of its layers for one item; ResNet-50 has 34 million."""

ROUNDING = 1e-5
"""How far float32 may lead a probability beyond 0 or 1."""

Dims = tuple[int | None, ...]


class Model(Protocol):
    """A saved model that is ready to run.

    Attributes
    ----------
    inputs : dict of str to tuple
        Shape of one item of each input, without the batch axis; None is any length.
    output : tuple
        Shape of the probabilities of one item: (k,), or (any, k) for a model that gives k for
        each step of an item of any length.
    n_outputs : int
        k.
    """

    inputs: dict[str, Dims]
    output: Dims
    n_outputs: int

    def predict(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Probabilities of a batch.

        Parameters
        ----------
        inputs : mapping of str to ndarray
            Every input of the model by name, shape (n, ...), the same n for all.

        Returns
        -------
        ndarray, shape (n, n_outputs) or (n, n_steps, n_outputs), float32

        Raises
        ------
        ConfigError
            If an input is missing, unknown or of another shape.
        BundleError
            If the model fails, runs without end, or gives anything but probabilities.
        """
        ...


def load_model(path: Path, runtime: str = "onnx", data: bytes | None = None) -> Model:
    """Load one saved model.

    Parameters
    ----------
    path : Path
        The ``.onnx`` or ``.keras`` file; only named in errors where ``data`` is given.
    runtime : str
        ``onnx`` or ``keras``.
    data : bytes, optional
        The file's bytes, where the caller has read and checked them already: what was checked
        is then what runs, whatever happens to the file.

    Raises
    ------
    ConfigError
        On an unknown runtime.
    BundleError
        If the file cannot be read or is not a model of that runtime.
    MissingDependencyError
        If the runtime's library is not installed.
    """
    if runtime not in RUNTIMES:
        raise ConfigError(f"runtime must be one of {', '.join(RUNTIMES)}; got {runtime!r}")
    if data is None:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise BundleError(f"{path}: the model cannot be read: {error.strerror}") from error
    return OnnxModel(data, path) if runtime == "onnx" else KerasModel(data, path)


class OnnxModel:
    """A model in onnxruntime: one thread, because windows are small and callers have their own."""

    def __init__(self, data: bytes, path: Path) -> None:
        self._path = path
        self._session = Session(data, path)
        for tensor in (*self._session.inputs, *self._session.outputs):
            if tensor.type != "tensor(float)":
                raise BundleError(f"{path}: {tensor.name!r:.80} must be float32; got {tensor.type}")
        self.inputs = {i.name: _dims(i.shape) for i in self._session.inputs}
        self.output_shapes = {o.name: _dims(o.shape) for o in self._session.outputs}
        self.output = _output(self.output_shapes.get("probabilities"), path)
        self.n_outputs = int(self.output[-1] or 0)

    def predict(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Probabilities of a batch, as `Model.predict`."""
        batch = _batch(inputs, self.inputs)
        if _length(batch) == 0:
            return _nothing(self.output)
        outputs = [
            self._session.run(["probabilities"], some)[0] for some in _pieces(batch, MAX_ITEMS)
        ]
        return _probabilities(outputs, self.output, _length(batch), self._path)

    def outputs(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Every output of a batch by name, also those that inference does not need."""
        names = list(self.output_shapes)
        values = self._session.run(names, _batch(inputs, self.inputs))
        return dict(zip(names, values, strict=True))


class KerasModel:
    """The Keras original of a model.

    Attributes
    ----------
    model : keras.Model
        From a list of inputs, in the order of their names, to the probabilities.
    """

    def __init__(self, data: bytes, path: Path) -> None:
        try:
            import keras

            from cryvision.models.calibration import calibration_layer_class
        except ImportError as error:
            raise _missing("keras", error) from error
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
        self._path = path
        self.inputs = {i.name: _dims(i.shape) for i in inputs}
        self.output = _output(_dims(outputs[0].shape) if len(outputs) == 1 else None, path)
        self.n_outputs = int(self.output[-1] or 0)
        # Rebuilt, it takes a list in the order of the names above, however it was built.
        self.model = keras.Model(inputs, outputs[0])

    def predict(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Probabilities of a batch, as `Model.predict`."""
        import keras

        batch = _batch(inputs, self.inputs)
        if _length(batch) == 0:
            return _nothing(self.output)
        pieces = [[some[name] for name in self.inputs] for some in _pieces(batch, MAX_ITEMS)]
        try:
            outputs = [
                keras.ops.convert_to_numpy(self.model(inputs, training=False)) for inputs in pieces
            ]
        except Exception as error:  # Keras and its backends raise any kind
            raise BundleError(f"{self._path}: the model cannot be run: {line(error)}") from error
        return _probabilities(outputs, self.output, _length(batch), self._path)


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


def _pieces(batch: dict[str, np.ndarray], n: int) -> Iterator[dict[str, np.ndarray]]:
    for start in range(0, _length(batch), n):
        yield {name: array[start : start + n] for name, array in batch.items()}


def _probabilities(pieces: list[np.ndarray], output: Dims, n: int, path: Path) -> np.ndarray:
    """Join what a model gave for the pieces of a batch, once it is of the kind that was promised.

    Raises
    ------
    BundleError
        If it is not: of another shape or type, or not from 0 to 1 throughout.
    """
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


def _nothing(output: Dims) -> np.ndarray:
    return np.zeros((0, *(size or 0 for size in output)), np.float32)


def _length(batch: dict[str, np.ndarray]) -> int:
    return len(next(iter(batch.values())))


def _dims(shape: Any) -> Dims:
    """Shape of one item: the batch axis dropped, named or open axes as None."""
    return tuple(size if isinstance(size, int) else None for size in shape[1:])


def _output(dims: Dims | None, path: Path) -> Dims:
    if dims is None or dims[-1:] in ((), (None,)) or dims[:-1] not in ((), (None,)):
        raise BundleError(
            f"{path}: a model must have one output 'probabilities' of shape (n, k) or (n, any, k)"
        )
    return dims


def _missing(library: str, error: ImportError) -> MissingDependencyError:
    return MissingDependencyError(
        f"{library} is needed to run this model and cannot be imported ({line(error)}); "
        f"install it with: {install_command('train')}"
    )
