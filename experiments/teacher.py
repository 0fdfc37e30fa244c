"""The teacher of the tagger: EfficientAT's mn04, built in Keras from its file, for training only.

Schmid, Koutini and Widmer, "Efficient large-scale audio tagging via transformer-to-CNN knowledge
distillation", ICASSP 2023; weights of release v0.0.1 of github.com/fschmid56/EfficientAT (MIT).
They are read where ``CRYVISION_DATA`` names them, and are no part of the package.
"""

from __future__ import annotations

import csv
import hashlib
import pickle
import tempfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from recordings import data_folder

if TYPE_CHECKING:
    import keras

FILE = "models/mn04_as_mAP_432.pt"
FILE_SHA256 = "899a8c6217063f6941793102a2780b3dd788ab11fce468d9cf5f0577c453321c"
CLASSES = "models/audioset_class_labels_indices.csv"

FRAME_HOP, SPECTRUM, N_FFT = 160, 400, 512
"""At 16 kHz: half of the teacher's own 320, 800 and 1024 at 32 kHz."""

N_MELS, PRE_EMPHASIS = 128, 0.97
BLOCKS = (
    ("3", "R", 1), ("3", "R", 2), ("3", "R", 1), ("5S", "R", 2), ("5S", "R", 1), ("5S", "R", 1),
    ("3", "H", 2), ("3", "H", 1), ("3", "H", 1), ("3", "H", 1), ("3S", "H", 1), ("3S", "H", 1),
    ("5S", "H", 2), ("5S", "H", 1), ("5S", "H", 1),
)  # fmt: skip
"""Kernel (S: with squeeze and excitation), activation, stride of the fifteen inverted residuals."""


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """Read the tensors of a PyTorch file without running anything that it names."""
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != FILE_SHA256:
        raise SystemExit(f"{path}: not the file that the tagger was taught by (sha256)")
    with zipfile.ZipFile(path) as archive:
        root = archive.namelist()[0].split("/")[0]

        class Reader(pickle.Unpickler):
            def find_class(self, module: str, name: str) -> Any:
                if (module, name) == ("collections", "OrderedDict"):
                    return OrderedDict
                if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
                    return _tensor
                dtypes = {"FloatStorage": "<f4", "LongStorage": "<i8"}
                if module == "torch" and name in dtypes:
                    return dtypes[name]
                raise pickle.UnpicklingError(f"{module}.{name} is not allowed")

            def persistent_load(self, pid: Any) -> np.ndarray:
                _, dtype, key, _, count = pid
                return np.frombuffer(archive.read(f"{root}/data/{key}"), dtype, count)

        with archive.open(f"{root}/data.pkl") as file:
            return dict(Reader(file).load())


def _tensor(storage: np.ndarray, offset: int, size: tuple, stride: tuple, *_: Any) -> np.ndarray:
    view = storage[offset:]
    return np.lib.stride_tricks.as_strided(view, size, [s * view.itemsize for s in stride]).copy()


def build(weights: dict[str, np.ndarray], n_frames: int) -> keras.Model:
    """Build the network with its weights: log-mel, shape (n, n_frames, 128), to 527 logits."""
    import keras
    from keras import layers

    activations: dict[str, Callable[[Any], Any]] = {
        "R": layers.ReLU(),
        "H": lambda x: x * layers.ReLU(max_value=6.0)(x + 3.0) / 6.0,
    }
    used: set[str] = set()

    def take(name: str) -> np.ndarray:
        used.add(name)
        return weights[name]

    def convolution(x: Any, name: str, stride: int, activation: str | None) -> Any:
        kernel = take(f"{name}.0.weight")
        size = kernel.shape[2]
        depthwise = kernel.shape[1] == 1 and kernel.shape[0] == x.shape[-1] and size > 1
        padded = layers.ZeroPadding2D(size // 2)(x) if size > 1 else x
        kind = (
            layers.DepthwiseConv2D(size, stride, use_bias=False)
            if depthwise
            else layers.Conv2D(len(kernel), size, stride, use_bias=False)
        )
        x = kind(padded)
        kind.set_weights([kernel.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))])
        norm = layers.BatchNormalization(epsilon=1e-3)
        x = norm(x)
        norm.set_weights(
            [take(f"{name}.1.{n}") for n in ("weight", "bias", "running_mean", "running_var")]
        )
        return activations[activation](x) if activation else x

    def dense(x: Any, name: str, activation: str | None = None) -> Any:
        kernel = take(f"{name}.weight")
        layer = layers.Dense(len(kernel), activation=activation)
        x = layer(x)
        layer.set_weights([kernel.T, take(f"{name}.bias")])
        return x

    def excited(x: Any, name: str) -> Any:
        squeezed = dense(layers.GlobalAveragePooling2D()(x), f"{name}.fc1", "relu")
        gates = dense(squeezed, f"{name}.fc2", "sigmoid")
        return x * layers.Reshape((1, 1, x.shape[-1]))(gates)

    frames = keras.Input((n_frames, N_MELS))
    x = layers.Permute((2, 1))(frames)  # frequency first, as the kernels have it
    x = layers.Reshape((N_MELS, n_frames, 1))(x)
    x = convolution(x, "features.0", 2, "H")
    for number, (kernel, activation, stride) in enumerate(BLOCKS, 1):
        before, at = x, 0
        name = f"features.{number}.block"
        if weights[f"{name}.0.0.weight"].shape[2] == 1:  # expansion
            x = convolution(x, f"{name}.0", 1, activation)
            at = 1
        x = convolution(x, f"{name}.{at}", stride, activation)
        if kernel.endswith("S"):
            at += 1
            x = excited(x, f"{name}.{at}.conc_se_layers.0")
        x = convolution(x, f"{name}.{at + 1}", 1, None)
        if stride == 1 and before.shape[-1] == x.shape[-1]:
            x = before + x
    x = convolution(x, "features.16", 1, "H")
    x = layers.GlobalAveragePooling2D()(x)
    x = activations["H"](dense(x, "classifier.2"))
    logits = dense(x, "classifier.5")
    left = {n for n in weights if n not in used and not n.endswith("num_batches_tracked")}
    if left:
        raise SystemExit(f"{FILE}: weights that no layer takes: {sorted(left)[:5]}")
    return keras.Model(frames, logits)


@lru_cache(maxsize=1)
def _filters() -> np.ndarray:
    """128 Kaldi mel bands from 0 to 15,000 Hz, for the bins below 8 kHz; float32, (257, 128)."""

    def to_mel(hz: np.ndarray) -> np.ndarray:
        return 1127.0 * np.log(1.0 + hz / 700.0)

    mel = to_mel(np.arange(N_FFT // 2 + 1) * 16_000 / N_FFT)[:, None]
    edges = np.linspace(to_mel(np.array(0.0)), to_mel(np.array(15_000.0)), N_MELS + 2)
    rising = (mel - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - mel) / np.diff(edges)[1:]
    filters = np.maximum(0.0, np.minimum(rising, falling))
    # Pre-emphasis of 32 kHz sound as a gain on its spectrum; 4 for half as many samples.
    gain = np.abs(1 - PRE_EMPHASIS * np.exp(-2j * np.pi * np.arange(N_FFT // 2 + 1) / N_FFT / 2))
    filters *= 4.0 * np.square(gain)[:, None]
    filters[N_FFT // 2] = 0.0
    return filters.astype(np.float32)


def log_mel(samples: np.ndarray) -> np.ndarray:
    """Give the teacher's input of 16 kHz sound: float32, shape (1 + n // 160, 128)."""
    padded = np.pad(samples.astype(np.float32), SPECTRUM // 2, mode="reflect")
    segments = sliding_window_view(padded, SPECTRUM)[::FRAME_HOP]
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(SPECTRUM) / SPECTRUM)).astype(np.float32)
    spectrum = np.fft.rfft(segments * window, N_FFT)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    return (np.log(power @ _filters() + 1e-5) + 4.5) / 5.0


class Teacher:
    """Scores windows of sound for AudioSet's 527 classes; runs in onnxruntime, which is faster.

    Parameters
    ----------
    window_seconds : float
    """

    def __init__(self, window_seconds: float = 2.0, threads: int = 1) -> None:
        import onnxruntime

        self.n_frames = round(window_seconds * 100)
        model = build(read_weights(data_folder() / FILE), self.n_frames)
        model(np.zeros((1, self.n_frames, N_MELS), np.float32))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "teacher.onnx")
            model.export(str(path), format="onnx", verbose=False)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            self._session = onnxruntime.InferenceSession(str(path), options)
        self._name = self._session.get_inputs()[0].name

    def logits(self, mels: np.ndarray) -> np.ndarray:
        """Logits of windows of `log_mel`, shape (n, n_frames, 128); float32, shape (n, 527)."""
        found = [
            self._session.run(None, {self._name: mels[i : i + 64]})[0]
            for i in range(0, len(mels), 64)
        ]
        return np.concatenate(found) if found else np.empty((0, 527), np.float32)


@lru_cache(maxsize=1)
def class_names() -> tuple[str, ...]:
    """AudioSet's classes in the order of the outputs."""
    with open(data_folder() / CLASSES, encoding="utf-8") as file:
        return tuple(row["display_name"] for row in csv.DictReader(file))


def columns(names: Iterable[str]) -> list[int]:
    """Where classes stand among the outputs."""
    return [class_names().index(name) for name in names]
