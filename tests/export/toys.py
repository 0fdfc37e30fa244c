"""Small, seeded, untrained bundles whose outputs vary: for tests of exported files."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shipped_networks
from bundles import BUNDLE_V1

from cryvision.bundle import bundle, saving
from cryvision.config import FaceConfig, GateConfig, LogMelConfig, SoundConfig, VetoConfig
from cryvision.export import deploy, windows
from cryvision.export.onnx.parts import part_files
from cryvision.export.report import ExportReport
from cryvision.inputs.audio import n_features, sound_feature
from cryvision.inputs.logmel import log_mel, model_input
from cryvision.models.frame_network import EDGES
from cryvision.models.tagger import CONTEXT, TAGS

Exported = Callable[..., ExportReport]
"""From the kind of a file, and the part that it holds, to the report of its export."""

AGREEMENT: dict[str, Any] = {"max_difference": {}, "n_samples": 0, "tolerance": 0.0}

LABELS = ("hungry", "tired", "pain")

FRAME_GATE = GateConfig(
    enter=0.5, leave=0.4, min_event_seconds=0.1, min_gap_seconds=0.0, latency_seconds=0.04
)
VETO = VetoConfig(
    normal_at=0.6,
    normal_near=0.75,
    strict_at=0.7,
    strict_near=0.85,
    after_seconds=0.3,
    near_seconds=1.5,
    temperature=1.5,
    bias=-0.2,
)

DETECTOR = SoundConfig(window_seconds=0.5, context_seconds=0.3, hop_seconds=0.1)
MFCC = SoundConfig(feature="mfcc", window_seconds=1.0, hop_seconds=0.5, n_fft=512)
FACE = FaceConfig(
    backbone="squeezenet", backbone_weights="random", crop_size_px=64, embedding_width=512
)
STFT = SoundConfig(feature="stft", window_seconds=1.0, hop_seconds=0.5, n_fft=512, max_hz=2000.0)


@contextlib.contextmanager
def few_cases() -> Iterator[None]:
    """Compare exports on fewer windows: two of each synthetic kind, and a few real ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deploy, "N_SYNTHETIC", 18)
        patch.setattr(deploy, "N_REAL", 64)
        yield


def features(config: SoundConfig, n: int = 48) -> np.ndarray:
    """Inputs of a model on synthetic sound, shape (n, n_frames, n_features)."""
    spans = windows.synthetic(config.span_samples, n, seed=5)
    return np.stack([sound_feature(span, config) for span in spans])


def _input(config: SoundConfig) -> Any:
    import keras

    return keras.Input((config.n_frames, n_features(config)), name=config.feature)


def _finished(inputs: Any, hidden: Any, n_outputs: int, samples: list[np.ndarray]) -> Any:
    """Add a head whose logits spread over the samples, so that every class is predicted."""
    import keras

    from cryvision.models.calibration import calibration_layer_class

    trunk = keras.Model(inputs, hidden)
    values = np.asarray(trunk(samples if len(samples) > 1 else samples[0]))
    rng = np.random.default_rng(3)
    weights = rng.normal(size=(values.shape[1], n_outputs))
    raw = values @ weights
    scale = 2.0 / raw.std(axis=0)
    logits = keras.layers.Dense(n_outputs, name="logits")
    calibration = calibration_layer_class()(name="calibration")
    model = keras.Model(inputs, calibration(logits(hidden)))
    logits.set_weights([weights * scale, -raw.mean(axis=0) * scale])
    calibration.set_calibration(1.3, np.linspace(-0.1, 0.1, n_outputs))
    return model


def build_detector(config: SoundConfig = DETECTOR) -> Any:
    """A detector of windows, as bundles of version 1 have it, untrained, its head spread."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(1)
    inputs = _input(config)
    x = layers.Rescaling(1 / 20, offset=2.0)(inputs)
    for kernel in (5, 5, 3):
        x = layers.Conv1D(16, kernel, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    newest = layers.Flatten()(layers.Cropping1D((x.shape[1] - 3, 0))(x))
    pooled = [layers.GlobalAveragePooling1D()(x), layers.GlobalMaxPooling1D()(x)]
    hidden = layers.Dense(16, activation="relu")(layers.Concatenate()([newest, *pooled]))
    return _finished(inputs, hidden, 1, [features(config)])


def build_statistics_branch(config: SoundConfig) -> Any:
    """Mean and deviation over the frames, then a dense net."""
    import keras
    from keras import layers, ops

    keras.utils.set_random_seed(2)
    x = inputs = _input(config)
    mean, variance = ops.moments(x, axes=1)
    x = layers.Concatenate()([mean, ops.sqrt(variance + 1e-6)])
    x = layers.Dense(16, activation="relu")(layers.LayerNormalization()(x))
    return _finished(inputs, x, len(LABELS), [features(config)])


def build_face_branch(config: FaceConfig) -> Any:
    """A small head on embeddings, as the package builds it."""
    import keras

    from cryvision.export.frontend import build_face_front_end
    from cryvision.models.cha_bae import build_head, build_scaling

    keras.utils.set_random_seed(7)
    embeddings = np.asarray(build_face_front_end(config)(windows.pictures(64, 24)))
    # Columns that hardly vary under random weights would be blown up, and rounding with them.
    variance = embeddings.var(axis=0)
    scaling = build_scaling(embeddings.mean(axis=0), variance + variance.mean())
    built = build_head(scaling, config.embedding_width, len(LABELS), "face")
    hidden = built.get_layer("logits").input
    return _finished(built.inputs[0], hidden, len(LABELS), [embeddings])


def build_lstm_branch(config: SoundConfig) -> Any:
    """Convolution and a bidirectional LSTM, as DeepInfant V2 has them."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(5)
    inputs = _input(config)
    x = layers.LayerNormalization()(inputs)
    x = layers.Conv1D(8, 3, strides=2, padding="same")(x)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU()(x)
    x = layers.MaxPooling1D(2)(x)
    x = layers.Bidirectional(layers.LSTM(6, return_sequences=True))(x)
    x = layers.Bidirectional(layers.LSTM(6))(x)
    return _finished(inputs, x, len(LABELS), [features(config)])


def build_attention_branch(config: SoundConfig) -> Any:
    """Pictures, attention and an LSTM, as TinyToes has them."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(6)
    inputs = _input(config)
    x = layers.Reshape((config.n_frames, n_features(config), 1))(inputs)
    x = layers.Rescaling(1 / 40)(x)
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    x = layers.BatchNormalization()(x)
    x = layers.MaxPooling2D((2, 4))(x)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.Multiply()([x, layers.Dense(4, activation="sigmoid")(gate)])
    x = layers.Reshape((x.shape[1], x.shape[2] * x.shape[3]))(x)
    x = layers.MultiHeadAttention(2, 8)(x, x)
    x = layers.LSTM(6)(x)
    return _finished(inputs, x, len(LABELS), [features(config)])


@functools.cache
def frames(config: LogMelConfig, n: int = 48) -> np.ndarray:
    """Inputs of a frame network or a tagger on synthetic sound, shape (n, n_frames, n_mels)."""
    spans = windows.synthetic(config.window_frames * config.frame_samples, n, seed=5)
    log_power = np.stack([log_mel(span, config).log_power for span in spans])
    return model_input(log_power, config)


def _settle(model: Any, samples: np.ndarray) -> None:
    """Let batch normalizations take over the statistics of the samples."""
    import keras

    layers = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    momentum = layers[0].momentum
    for layer in layers:
        layer.momentum = 0.0
    model(samples, training=True)
    for layer in layers:
        layer.momentum = momentum


def _spread(model: Any, head: Any, samples: np.ndarray, deviation: float) -> Any:
    """Scale the last weights so that the logits spread about 0 over the samples."""
    import keras

    raw = keras.Model(model.inputs, model.get_layer("logits").output)([samples])
    raw = np.asarray(raw).reshape(-1, raw.shape[-1])
    scale = deviation / raw.std(axis=0)
    kernel, bias = head.get_weights()
    head.set_weights([kernel * scale, (bias - raw.mean(axis=0)) * scale])
    return model


def build_edges() -> Any:
    """The package's own frame network, untrained, its logits spread.

    One block of convolutions spans as much as all of them, and is converted in a third of the time.
    """
    import keras

    from cryvision.models import frame_network

    keras.utils.set_random_seed(11)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frame_network, "DILATIONS", (sum(frame_network.DILATIONS),))
        model = frame_network.build_frame_network(width=16)
    samples = frames(EDGES)
    _settle(model, samples)
    shipped_networks.enable_loudness(model)
    head = model.get_layer(frame_network.SCORE_LAYER)
    model.get_layer("calibration").set_calibration(1.2, np.array([0.1]))
    return _spread(model, head, samples, 3.0)


def build_tagger() -> Any:
    """The package's own tagger, untrained, its logits spread."""
    import keras

    keras.utils.set_random_seed(12)
    model = shipped_networks.build_tagger()
    samples = frames(CONTEXT)
    _settle(model, samples)
    return _spread(model, model.get_layer("logits"), samples, 2.0)


def build_ensemble(names: list[str], outputs: list[np.ndarray]) -> Any:
    """Concatenate, dense ReLU, softmax."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(4)
    inputs = [keras.Input((len(LABELS),), name=name) for name in names]
    hidden = layers.Dense(16, activation="relu")(layers.Concatenate()(inputs))
    return _finished(inputs, hidden, len(LABELS), outputs)


Settings = SoundConfig | FaceConfig | LogMelConfig | None


def save(
    folder: Path,
    models: dict[str, tuple[str, Settings, Any]],
    samples: dict[str, np.ndarray] | None = None,
) -> bundle.Bundle:
    """Save models by name, each with its kind and the settings of its feature, as a bundle.

    Exports start from the Keras originals: to be quick, an ONNX copy of another model stands in,
    unless there are inputs of each part to make one of its own with.
    """
    parts, files = [], {}
    with tempfile.TemporaryDirectory() as ready:
        for name, (kind, settings, model) in models.items():
            if samples is not None:
                inputs = {model.inputs[0].name: samples[name][:4]}
                files[name], _ = part_files(model, Path(ready), name, inputs)
            else:
                original = Path(ready, f"{name}.keras")
                model.save(original)
                files[name] = {"keras": original, "onnx": BUNDLE_V1 / "detector.onnx"}
            parts.append(_part(name, kind, settings, model))
        tagged = any(part.kind == "tagger" for part in parts)
        description = saving.Description(
            name="toy",
            labels=LABELS,
            parts=parts,
            gate=FRAME_GATE if tagged else GateConfig(),
            sources=[{"name": "none", "licence": "CC0-1.0", "url": "", "changes": "untrained"}],
            command="tests/export/toys.py",
            veto=VETO if tagged else None,
        )
        return saving.save(folder, description, files)


def _part(name: str, kind: str, settings: Settings, model: Any) -> bundle.Part:
    return bundle.Part(
        name,
        kind,
        tuple(tensor.name for tensor in model.inputs),
        settings if isinstance(settings, SoundConfig) else None,
        AGREEMENT,
        face=settings if isinstance(settings, FaceConfig) else None,
        logmel=settings if isinstance(settings, LogMelConfig) else None,
        tags=TAGS if kind == "tagger" else (),
    )


def make_frame_bundle(folder: Path) -> bundle.Bundle:
    """Edges, a tagger, and a branch that gives reasons: a bundle of version 2."""
    return save(
        folder,
        {
            "edges": ("detector", EDGES, build_edges()),
            "tagger": ("tagger", CONTEXT, build_tagger()),
            "mfcc-dnn": ("branch", MFCC, build_statistics_branch(MFCC)),
        },
        {"edges": frames(EDGES), "tagger": frames(CONTEXT), "mfcc-dnn": features(MFCC)},
    )


def make_face_bundle(folder: Path) -> bundle.Bundle:
    """A branch of sound, one of faces, and their ensemble."""
    mfcc, face = build_statistics_branch(MFCC), build_face_branch(FACE)
    outputs = np.random.default_rng(0).dirichlet(np.ones(len(LABELS)), (2, 48))
    return save(
        folder,
        {
            "mfcc-dnn": ("branch", MFCC, mfcc),
            "face-dnn": ("branch", FACE, face),
            "ensemble": ("ensemble", None, build_ensemble(["mfcc-dnn", "face-dnn"], list(outputs))),
        },
    )


def make_bundle(folder: Path) -> bundle.Bundle:
    """A detector, two branches and their ensemble."""
    mfcc, stft = build_statistics_branch(MFCC), build_statistics_branch(STFT)
    outputs = [
        np.asarray(model(features(config))) for model, config in ((mfcc, MFCC), (stft, STFT))
    ]
    return save(
        folder,
        {
            "detector": ("detector", DETECTOR, build_detector()),
            "mfcc-dnn": ("branch", MFCC, mfcc),
            "stft-dnn": ("branch", STFT, stft),
            "ensemble": ("ensemble", None, build_ensemble(["mfcc-dnn", "stft-dnn"], outputs)),
        },
    )
