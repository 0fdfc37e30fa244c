"""Makes small bundles for the tests."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import filelock
import numpy as np

from cryvision.bundle import bundle, saving
from cryvision.config import GateConfig, SoundConfig
from cryvision.inputs.features import sound_windows

if TYPE_CHECKING:
    import keras
    import pytest

BUNDLE_V1 = Path(__file__).parent / "data" / "bundle_v1"
"""The first bundle ever saved, made by ``make_tiny_bundle``: it stays as it is, and readable."""

SOUND = SoundConfig(window_seconds=0.5, hop_seconds=0.1)

REASONS = ("belly_pain", "hungry", "tired")
REASON_SOUNDS = {
    feature: SoundConfig(feature=feature, window_seconds=1.0, hop_seconds=0.2)
    for feature in ("mfcc", "stft")
}


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
    from cryvision.export.onnx.parts import part_files

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
    models = changes.pop("models", {"detector": files})
    facts = {
        "name": "tiny",
        "labels": ["no cry", "cry"],
        "parts": [part],
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
    description = saving.Description(**{**facts, **changes})  # type: ignore[arg-type]
    return saving.save(folder, description, models, overwrite).folder  # type: ignore[arg-type]


def reasons_bundle(places: pytest.TempPathFactory) -> bundle.Bundle:
    """A bundle that hears tones as crying and knows three reasons, made once in a run of tests."""
    return bundle.Bundle.load(made_once(places, "reasons-bundle", make_reasons_bundle))


def made_once(places: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Make a folder of this name once in a run of tests, by whichever worker needs it first."""
    base = places.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    with filelock.FileLock(base / f"{name}.lock"):
        if not (base / name).exists():
            make(base / name)
    return base / name


def make_reasons_bundle(folder: Path, seed: int = 0, **changes: object) -> Path:
    """Save a bundle with a detector, two sound branches and their ensemble, all untrained.

    Its detector calls crying what has few bands far above the others; what branches and ensemble
    say is arbitrary, but differs from sound to sound. ``changes`` replace what is saved.
    """
    import keras

    from cryvision.export.onnx.parts import part_files
    from cryvision.models.cha_bae import build_ensemble

    keras.utils.set_random_seed(seed)
    windows = {"mel": sound_windows(glides(2.0, seed), SOUND).inputs}
    with tempfile.TemporaryDirectory() as ready:
        place = Path(ready)
        files, agreement = part_files(build_tone_detector(), place, "detector", windows)
        models = {"detector": files}
        parts = [bundle.Part("detector", "detector", ("mel",), SOUND, agreement)]
        outputs = {}
        for feature, sound in REASON_SOUNDS.items():
            name = f"branch_{feature}"
            inputs = sound_windows(glides(6.0, seed), sound).inputs
            branch = untrained_branch(feature, inputs, len(REASONS))
            outputs[name] = np.asarray(branch(inputs))
            models[name], agreement = part_files(branch, place, name, {feature: inputs})
            parts.append(bundle.Part(name, "branch", (feature,), sound, agreement))
        ensemble = build_ensemble(list(outputs), len(REASONS))
        # Sharper than a new model's, so that its outputs are worth comparing.
        ensemble.get_layer("calibration").set_calibration(0.2, np.zeros(len(REASONS)))
        models["ensemble"], agreement = part_files(ensemble, place, "ensemble", outputs)
        parts.append(bundle.Part("ensemble", "ensemble", tuple(outputs), None, agreement))
        return save_tiny(
            folder,
            files,
            agreement,
            seed,
            **{"labels": REASONS, "parts": parts, "models": models, "skill": [], **changes},
        )


def build_tone_detector() -> keras.Model:
    """A detector of harmonic tones: what in the mean over time has few bands far above the rest."""
    import keras
    from keras import layers

    from cryvision.models.calibration import calibration_layer_class

    mel = keras.Input((SOUND.n_frames, SOUND.n_mels), name="mel")
    mean = layers.Reshape((SOUND.n_mels, 1))(layers.GlobalAveragePooling1D()(mel))
    peak, middle = layers.GlobalMaxPooling1D()(mean), layers.GlobalAveragePooling1D()(mean)
    height_db = layers.Subtract()([peak, middle])
    logits = layers.Rescaling(0.5, offset=-6.0, name="logits")(height_db)
    return keras.Model(mel, calibration_layer_class()(name="calibration")(logits))


def untrained_branch(feature: str, inputs: np.ndarray, n_classes: int) -> keras.Model:
    """A sound branch that standardises by the inputs and says something of its own to each."""
    from cryvision.models import cha_bae

    summary = cha_bae.build_summary(*inputs.shape[1:], feature)
    summaries = np.asarray(summary(inputs))
    scaling = cha_bae.build_scaling(summaries.mean(axis=0), summaries.var(axis=0))
    _, encoder = cha_bae.build_autoencoder(summaries.shape[1])
    classifier = cha_bae.build_classifier(encoder, n_classes)
    classifier.get_layer("calibration").set_calibration(0.2, np.zeros(n_classes))
    return cha_bae.build_branch(summary, scaling, classifier)


def glides(seconds: float, seed: int = 0) -> np.ndarray:
    """Sound in which stretches of a harmonic glide, noise and silence take turns; float32."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * SOUND.sample_rate_hz)) / SOUND.sample_rate_hz
    f0_hz = 400 + 80 * np.sin(2 * np.pi * 0.4 * time_s) + 40 * time_s
    phase = 2 * np.pi * np.cumsum(f0_hz) / SOUND.sample_rate_hz
    tone = 0.1 * sum(np.sin(k * phase) / k for k in range(1, 6))
    noise = 0.02 * rng.standard_normal(len(time_s))
    turn = (time_s % 4.0) / 4.0
    samples = np.where(turn < 0.6, tone + 0.1 * noise, np.where(turn < 0.8, noise, 0.0))
    return samples.astype(np.float32)
