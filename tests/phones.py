"""A small corpus with donateacry's names, and a bundle without real models that knows it.

Each phone's baby sings hungry low and tired high, so what a bundle should say is known.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lab
import numpy as np
from bundles import BUNDLE_V1

from cryvision.bundle import Bundle, Part
from cryvision.config import SoundConfig

if TYPE_CHECKING:
    import pytest

PITCHES_HZ = {"hungry": 300.0, "tired": 560.0}
CODES = {"hungry": "hu", "tired": "ti", "burping": "bu"}
CLIP_SECONDS = 3.7
CRYING_FROM_S = 0.4

_BETWEEN_BAND = 8
"""Band of the mel spectrum between the two pitches."""


def sing(seed: int, f0_hz: float, seconds: float = CLIP_SECONDS) -> np.ndarray:
    """Quiet noise, then a harmonic tone whose pitch swings a little, to the end.

    Returns
    -------
    ndarray of float32, shape (n,)
    """
    rng = np.random.default_rng(seed)
    samples = rng.normal(0, 0.002, round(seconds * lab.RATE_HZ))
    start = round(CRYING_FROM_S * lab.RATE_HZ)
    time_s = np.arange(len(samples) - start) / lab.RATE_HZ
    swing = 1 + 0.08 * np.sin(2 * np.pi * rng.uniform(0.8, 1.2) * time_s)
    phase = 2 * np.pi * np.cumsum(f0_hz * rng.uniform(0.96, 1.04) * swing) / lab.RATE_HZ
    samples[start:] += 0.1 * sum(np.sin(k * phase + k) / k for k in range(1, 6))
    return samples.astype(np.float32)


def clip_name(phone: int, number: int, label: str) -> str:
    """A name as donateacry's app for Android writes it."""
    phone_id = uuid.UUID(int=phone + 1)
    return f"{phone_id}-{1_436_936_185_000 + number}-1.7-m-26-{CODES[label]}.wav"


def write_corpus(
    folder: Path, n_phones: int = 4, pitches_hz: Mapping[str, float] = PITCHES_HZ
) -> Path:
    """Write a folder per class with one clip of each phone."""
    for phone in range(n_phones):
        for index, (label, f0_hz) in enumerate(pitches_hz.items()):
            number = 10 * phone + index
            lab.write_wav(folder / label / clip_name(phone, number, label), sing(number, f0_hz))
    return folder


class HearsTones:
    """Stands for a detector: crying is where few bands stand far above the others."""

    inputs = ("mel",)
    n_outputs = 1

    def predict(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        height = (inputs["mel"].max(axis=2) - inputs["mel"].mean(axis=2)).mean(axis=1)
        return (1 / (1 + np.exp(3.0 - 0.2 * height)))[:, None].astype(np.float32)


class TellsPitch:
    """Stands for a branch: sure to 0.9, hungry where the lowest harmonic is low, else tired."""

    inputs = ("mel",)
    n_outputs = 2

    def predict(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        loudest = inputs["mel"].mean(axis=1).argmax(axis=1)
        hungry = np.where(loudest < _BETWEEN_BAND, 0.9, 0.1)
        return np.stack([hungry, 1 - hungry], axis=1).astype(np.float32)


def knowing_bundle(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> Bundle:
    """Give a bundle in memory that hears tones and tells pitches; ``changes`` are of its fields."""
    models = {"detector": HearsTones(), "branch": TellsPitch()}
    monkeypatch.setattr(Bundle, "model", lambda self, part, runtime="onnx": models[part.kind])
    small = Bundle.load(BUNDLE_V1)
    window = SoundConfig(window_seconds=2.0, hop_seconds=0.5)
    branch = Part("branch_mel", "branch", ("mel",), window, {}, files=small.parts[0].files)
    facts = {"name": "knowing", "labels": tuple(PITCHES_HZ), "parts": (*small.parts, branch)}
    return replace(small, **{**facts, **changes})
