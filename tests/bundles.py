"""Makes small bundles for the tests."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryvision import bundle
from cryvision.config import GateConfig, SoundConfig

if TYPE_CHECKING:
    import keras

BUNDLE_V1 = Path(__file__).parent / "data" / "bundle_v1"
"""The first bundle ever saved, made by ``make_tiny_bundle``: it stays as it is, and readable."""

SOUND = SoundConfig(window_seconds=0.5, hop_seconds=0.1)


def mel_samples(n: int, seed: int = 0) -> np.ndarray:
    """Numbers in the range of mel spectra in dB, shape (n, frames, bands), the same everywhere."""
    shape = (n, SOUND.n_frames, SOUND.n_mels)
    item, frame, band = np.indices(shape)
    return (40 * np.sin(0.3 * frame + band * (item + 1) * 0.11 + seed) - 40).astype(np.float32)


def build_tiny_detector(seed: int = 0) -> keras.Model:
    """A seeded, untrained Dense net over the mel frames, with logits and calibration."""
    import keras

    from cryvision.models.calibration import calibration_layer_class

    def dense(units: int, name: str, **options: str) -> keras.layers.Layer:
        start = keras.initializers.RandomNormal(stddev=1.0, seed=seed)
        return keras.layers.Dense(units, name=name, kernel_initializer=start, **options)

    mel = keras.Input((SOUND.n_frames, SOUND.n_mels), name="mel")
    x = keras.layers.Rescaling(1 / 40, offset=1.0)(mel)
    x = dense(8, "hidden", activation="relu")(x)
    x = keras.layers.GlobalAveragePooling1D()(x)
    logits = dense(1, "logits")(x)
    calibration = calibration_layer_class()(name="probabilities")
    model = keras.Model(mel, calibration(logits), name="tiny_detector")
    calibration.set_calibration(1.5, np.array([0.1]))
    return model


def make_tiny_bundle(folder: Path, seed: int = 0) -> Path:
    """Save a bundle with one untrained detector at ``folder``, which must not exist; give it."""
    from cryvision.export.onnx import part_files

    with tempfile.TemporaryDirectory() as ready:
        files, agreement = part_files(
            build_tiny_detector(seed), Path(ready), "detector", {"mel": mel_samples(8)}
        )
        return save_tiny(folder, files, agreement, seed)


def save_tiny(
    folder: Path,
    files: dict[str, Path],
    agreement: dict[str, object],
    seed: int = 0,
    overwrite: bool = False,
    **changes: object,
) -> Path:
    """Save a bundle with one detector from ready files; ``changes`` replace what is saved."""
    part = bundle.Part("detector", "detector", ("mel",), SOUND, agreement)
    facts = {
        "name": "tiny",
        "labels": ["no cry", "cry"],
        "parts": [part],
        "models": {"detector": files},
        "gate": GateConfig(),
        "smooth_seconds": 1.0,
        "skill": [
            {
                "part": "detector",
                "modalities": ["sound"],
                "unit": "window",
                "protocol": "none: untrained",
                "subjects": "none",
                "figures": {
                    "balanced_accuracy": {"value": 0.5, "interval": [0.4, 0.6]},
                    "log_loss": {"value": 0.7},
                },
                "chance": 0.5,
                "prior": {"log_loss": 0.69},
            }
        ],
        "sources": [{"name": "none", "licence": "CC0-1.0", "url": "", "changes": "random weights"}],
        "seed": seed,
        "command": "tests/bundles.py",
        "notes": "A toy for tests: it knows nothing of crying.",
    }
    saved = bundle.save(folder, overwrite=overwrite, **{**facts, **changes})  # type: ignore[arg-type]
    return saved.folder
