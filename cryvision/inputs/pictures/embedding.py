"""Embeddings: crops of faces through a frozen backbone, pooled, as rows of numbers.

Keras builds a backbone once and writes it as ONNX into the user's cache, when the two were seen to
agree; from then on onnxruntime alone runs it. A copy is kept under the hash of its weights, so that
other weights never pass for them.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryvision.atomic import staged
from cryvision.config import BACKBONE_WIDTHS, FaceConfig
from cryvision.download import cache_folder
from cryvision.errors import BundleError, ConfigError, CryvisionError, MissingDependencyError
from cryvision.inputs.pictures.backbone import (
    REMEDY,
    build_backbone,
    find_weights,
    has_imagenet_weights,
    imagenet_path,
)
from cryvision.layers import needed
from cryvision.os_errors import os_errors
from cryvision.runtime.safe_load import check_onnx
from cryvision.runtime.session import Session
from cryvision.traces import environment

if TYPE_CHECKING:
    import keras

TOLERANCE = 1e-3
"""Largest difference of ONNX from Keras in any number of an embedding, most of which lie between
0 and 20: float32, summed in another order."""

BATCH_CROPS = 8
"""Crops run at a time. More are no faster on a CPU, and take more memory."""

COPY_VERSION = 1
"""Raised when what a copy holds changes; part of its name, so that older copies stay unused."""

_newest: dict[int, tuple[tuple[Any, ...], Any]] = {}
"""The key of a backbone, and its session, by process: the threads of a session are
not there in a fork, which needs one of its own."""


class Embedder:
    """A frozen backbone, ready to run; `width` is how many numbers an embedding has.

    The first one with its weights loads Keras and writes the ONNX copy: half a minute. The newest
    one's network stays in memory, so that the next clip need not load it again. Nothing is
    downloaded. `weights` says which these are: ``sha256:`` and the hash of their file, or
    ``random:`` and the seed.

    A MissingDependencyError says that the weights, or the libraries to run them, are not on this
    machine, a ConfigError that the file of weights is not one for this backbone, any other
    CryvisionError that the copy disagrees with Keras or cannot be written or read.
    """

    def __init__(self, config: FaceConfig) -> None:
        self.weights, path = find_weights(config)
        self.width = config.embedding_width
        ready = _ready(path)
        if ready is None and self.width != BACKBONE_WIDTHS[config.backbone]:
            raise ConfigError(
                f"{path}: {config.backbone} gives {BACKBONE_WIDTHS[config.backbone]} numbers for a "
                f"crop, not the {self.width} of embedding_width"
            )
        self._crop_shape = (config.crop_size_px, config.crop_size_px, 3)
        model = ready or _copy(config, self.weights, path)
        key = (model, model.stat().st_mtime_ns, self.weights, self._crop_shape, self.width)
        process = os.getpid()
        if process not in _newest or _newest[process][0] != key:
            session = _open_onnx(ready, *key[-2:]) if ready else _open_copy(model)
            _newest[process] = key, session
        self._session = _newest[process][1]

    def embed(self, crops: np.ndarray) -> np.ndarray:
        """Embed RGB crops, uint8, shape (n, crop_size_px, crop_size_px, 3): float32, (n, width)."""
        if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != self._crop_shape:
            shape = ", ".join(str(n) for n in self._crop_shape)
            raise ConfigError(
                f"crops must be uint8 of shape (n, {shape}); got {crops.dtype} of {crops.shape}"
            )
        return _run(self._session, crops, self.width)


def prepare(config: FaceConfig) -> Path:
    """Write the ONNX copy of a backbone, unless it is there; return the file that will be run."""
    weights, path = find_weights(config)
    return _ready(path) or _copy(config, weights, path)


def _ready(weights_path: Path | None) -> Path | None:
    """Return a file of weights that is run as it is; None where a copy is run."""
    is_onnx = weights_path is not None and weights_path.suffix == ".onnx"
    return weights_path if is_onnx else None


def _copy(config: FaceConfig, weights: str, weights_path: Path | None) -> Path:
    key = weights.replace(":", "-")
    name = f"{config.backbone}-{config.crop_size_px}-{key}-v{COPY_VERSION}.onnx"
    path = cache_folder() / "backbones" / name
    if not path.exists():
        if weights_path == imagenet_path() and not has_imagenet_weights(weights_path):
            raise MissingDependencyError(
                f"{weights_path}: the backbone's weights are damaged; {REMEDY}"
            )
        _write_copy(config, weights_path, path)
    return path


def _write_copy(config: FaceConfig, weights_path: Path | None, target: Path) -> None:
    """Build the backbone in Keras and write it as ONNX, once both were seen to agree."""
    with needed("preparing a backbone, once,", "keras with onnx and tf2onnx", "train"):
        import keras
        import onnx  # noqa: F401  (with tf2onnx, Keras imports it in the middle of the export)
        import tf2onnx  # noqa: F401
    crops = _sample_crops(config.crop_size_px)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        # A GPU rounds to fewer digits than a CPU, on which the copy will run.
        with keras.device("cpu"), os_errors(f"{target}: the backbone's copy cannot be written"):
            model = build_backbone(config, weights_path)
            reference = model.predict_on_batch(crops)
            # Another process may have been faster; its copy is as good.
            with contextlib.suppress(FileExistsError), staged(target) as written:
                _export(model, written, target)
                copy = _run(
                    _session(written, str(written), trusted=True), crops, config.embedding_width
                )
                _check_agreement(reference, copy, target)
    finally:
        keras.config.set_dtype_policy(policy)


def _sample_crops(size: int) -> np.ndarray:
    """Pictures to compare on: noise of fine and coarse grain, and a ramp; uint8."""
    random = np.random.default_rng(0)
    ramp = np.linspace(0, 255, size).astype(np.uint8)
    pictures = [np.broadcast_to(ramp[:, None, None], (size, size, 3))]
    for grain in (1, 8, 32):
        cells = random.integers(0, 256, (-(-size // grain), -(-size // grain), 3), np.uint8)
        pictures.append(cells.repeat(grain, 0).repeat(grain, 1)[:size, :size])
    return np.stack(pictures)


def _export(model: keras.Model, written: Path, target: Path) -> None:
    try:
        # Else tf2onnx copies the graph before each of its steps, 4 GB for ResNet-50, to go on after
        # one that failed, which here ends the export.
        with warnings.catch_warnings(), environment(TF2ONNX_CATCH_ERRORS="false"):
            warnings.simplefilter("ignore", FutureWarning)  # the exporter's, about numpy names
            model.export(str(written), format="onnx", verbose=False)
    except Exception as error:  # the exporter raises any kind
        reason = " ".join(str(error).split())[:200]
        raise CryvisionError(
            f"{target}: the backbone cannot be written as ONNX: {reason}"
        ) from error


def _check_agreement(reference: np.ndarray, copy: np.ndarray, target: Path) -> None:
    difference = float(np.abs(reference - copy).max())
    if not difference <= TOLERANCE:  # also where it is not a number
        raise CryvisionError(
            f"{target}: Keras and ONNX must agree within {TOLERANCE:g}; they differ by "
            f"{difference:.3g}, and the copy is not kept"
        )


def _session(path: Path, model: bytes | str, trusted: bool = False) -> Session:
    """A session of onnxruntime, from bytes or from a path, which takes less memory."""
    try:
        return Session(model, path, threads=0, trusted=trusted)
    except BundleError as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise ConfigError(f"{path}: onnxruntime cannot run this file: {reason}") from error


def _open_copy(path: Path) -> Session:
    try:
        return _session(path, str(path), trusted=True)
    except ConfigError as error:
        raise CryvisionError(
            f"{path}: the backbone's copy is damaged; delete it, and it is written anew"
        ) from error


def _open_onnx(path: Path, crop_shape: tuple[int, ...], width: int) -> Session:
    """A session of a user's own file, which may have come from anywhere."""
    model = path.read_bytes()
    check_onnx(model, str(path))
    session = _session(path, model)
    inputs, outputs = session.inputs, session.outputs
    fits = (
        [i.type for i in inputs] == ["tensor(uint8)"]
        and _fits(inputs[0].shape, crop_shape)
        and [o.type for o in outputs] == ["tensor(float)"]
        and _fits(outputs[0].shape, (width,))
    )
    if not fits:
        got = "; ".join(f"{x.name}: {x.type} {x.shape}" for x in (*inputs, *outputs))
        raise ConfigError(
            f"{path}: a backbone must have one uint8 input of shape (n, "
            f"{', '.join(map(str, crop_shape))}) and one float output (n, {width}); got {got}"
        )
    return session


def _fits(shape: list[Any], item: tuple[int, ...]) -> bool:
    """Whether a batch of items has this shape; an axis that is open has a name or none."""
    target = (None, *item)
    return len(shape) == len(target) and all(
        size == want or not isinstance(size, int) for size, want in zip(shape, target, strict=True)
    )


def _run(session: Session, crops: np.ndarray, width: int) -> np.ndarray:
    name = session.inputs[0].name
    embeddings = np.empty((len(crops), width), np.float32)
    for start in range(0, len(crops), BATCH_CROPS):
        batch = np.ascontiguousarray(crops[start : start + BATCH_CROPS])
        outputs = session.run(None, {name: batch})[0]
        if outputs.shape != (len(batch), width) or not np.isfinite(outputs).all():
            raise CryvisionError(
                f"{session.path}: a backbone must give {width} finite numbers for each crop; it "
                f"gave the shape {outputs.shape}, or what is no number"
            )
        embeddings[start : start + BATCH_CROPS] = outputs
    return embeddings
