"""Sounds of three classes that are easily told apart, by subjects of their own, for any system."""

from __future__ import annotations

from typing import Any

import numpy as np

from cryvision.config import SAMPLE_RATE_HZ
from cryvision.inputs.audio import sound_feature
from cryvision.training.branches import Rows, class_weights
from cryvision.training.stacking import Samples
from cryvision.training.systems import System, system

LABELS = ("high", "low", "noise")
PITCH_HZ = {"high": 900.0, "low": 250.0}

N_SUBJECTS, N_CLIPS = 24, 4
"""Clips are of each subject; every subject has one class."""

WIDTHS = {
    "deepinfant-v2": 4,
    "deepinfant-v1": 4,
    "deepinfant-vggish": 4,
    "tinytoes": 8,
    "tinytoes-resnet50": 4,
}
EPOCHS = {"tinytoes": 20}
BATCH_SIZES = {"tinytoes-resnet50": 12}
"""Many layers of batch normalisation want many steps until their averages have arrived."""


def small(name: str) -> System:
    """A system on windows of 1 s, its network narrow and its batches large: quickly fitted."""
    found = system(name)
    if found.network is None:
        return found.with_window(1.0, 0.5)
    if name != "deepinfant-vggish":
        found = found.with_window(1.024, 0.512)
    rates = {"rate": 1e-3, "highest_rate": 1e-2}
    return found.with_network(
        width=WIDTHS[name],
        epochs=EPOCHS.get(name, 40),
        batch_size=BATCH_SIZES.get(name, 64),
        **rates,
    )


def mean_network(picture: Any, width: int) -> Any:
    """A layer on the mean over time: quickly built and traced."""
    from keras import layers

    mean = layers.GlobalAveragePooling1D()(layers.Reshape(picture.shape[1:3])(picture))
    return layers.Dense(width, activation="relu")(mean)


def sound_of(label: str, n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Harmonics of the pitch of a class, drawn for each sound, over noise; or noise alone."""
    time_s = np.arange(n_samples) / SAMPLE_RATE_HZ
    noise = 0.01 * rng.standard_normal(n_samples)
    if label == "noise":
        return (5 * noise).astype(np.float32)
    pitch_hz = PITCH_HZ[label] * rng.uniform(0.9, 1.1)
    tone = sum(np.sin(2 * np.pi * pitch_hz * k * time_s) / k for k in range(1, 4))
    return (0.2 * tone + noise).astype(np.float32)


def samples_of(chosen: System, seed: int = 0) -> Samples:
    """Windows for all features of a system, as reading clips would give them."""
    rng = np.random.default_rng(seed)
    subject = np.repeat(np.arange(N_SUBJECTS), N_CLIPS)
    labels = subject % len(LABELS)
    n_samples = next(iter(chosen.settings.values())).span_samples
    spans = [sound_of(LABELS[label], n_samples, rng) for label in labels]
    features = {
        name: np.stack([sound_feature(span, config) for span in spans]).astype(np.float16)
        for name, config in chosen.settings.items()
    }
    subjects = np.array([f"s{i}" for i in subject])
    return Samples(features, labels, subjects, np.arange(len(labels)).astype(str))


def strangers(samples: Samples) -> np.ndarray:
    """Rows of a third of the subjects, of every class; bool, shape (n,)."""
    return np.isin(samples.subjects, [f"s{i}" for i in range(N_SUBJECTS // 3)])


def rows_of(samples: Samples, feature: str) -> Rows:
    """What a branch on a feature is fitted on."""
    weights = class_weights(samples.labels, samples.clips, len(LABELS))
    return Rows(samples.features[feature], samples.labels, weights, samples.subjects)
