"""A bundle of two parts that hear tones, and sounds of such tones: what must be found is exact."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from bundles import REASONS, made_once, reasons_bundle, save_tiny

from cryvision.bundle import bundle
from cryvision.config import GateConfig, LogMelConfig, VetoConfig
from cryvision.inputs.logmel import log_mel, mel_filters, model_input

if TYPE_CHECKING:
    import keras
    import pytest

RATE_HZ = 16_000
STEP_S = 0.04
TAG_HOP_S = 0.24

EDGES = LogMelConfig(window_frames=14, hop_frames=2, lookahead_frames=4)
CONTEXT = LogMelConfig(window_frames=50, hop_frames=12)
TAGS = ("cry", "baby_voice", "music", "silence")

TONES_HZ = {"edges": 500, "cry": 3000, "baby_voice": 6000, "music": 1500}
"""Each tone is heard by one output alone; the detector hears ``edges``."""

GATE = GateConfig(
    enter=0.5,
    leave=0.4,
    min_event_seconds=0.1,
    min_gap_seconds=0.0,
    latency_seconds=STEP_S,
    min_level_dbfs=-60.0,
)
VETO = VetoConfig()

AMPLITUDE = 0.1
FAINT = 0.01
"""Amplitude of a cry tone that is enough for ``normal`` and not for ``strict``."""

Spans = Sequence[tuple[float, float]]


def tones(
    seconds: float, amplitudes: Mapping[str, float] | None = None, **spans: Spans
) -> np.ndarray:
    """Sound in which each of `TONES_HZ` is there in its spans, in seconds; float32."""
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    samples = np.zeros(len(time_s))
    for name, times in spans.items():
        tone = np.sin(2 * np.pi * TONES_HZ[name] * time_s)
        for onset_s, offset_s in times:
            inside = (time_s >= onset_s) & (time_s < offset_s)
            samples += (amplitudes or {}).get(name, AMPLITUDE) * inside * tone
    return samples.astype(np.float32)


def two_part_bundle(places: pytest.TempPathFactory) -> bundle.Bundle:
    """The bundle of edges and tagger, made once in a run of tests."""
    return bundle.Bundle.load(made_once(places, "two-part-bundle", make_two_part_bundle))


def make_two_part_bundle(folder: Path, **changes: object) -> Path:
    """Save a bundle of edges and tagger; ``changes`` replace what is saved."""
    from cryvision.export.onnx.parts import part_files

    sound = tones(4.0, edges=[(0.5, 1.5)], cry=[(1.0, 2.0)], music=[(2.0, 3.0)])
    frames = log_mel(sound, EDGES).log_power
    windows = np.stack([frames[i : i + CONTEXT.window_frames] for i in range(0, 150, 12)])
    with tempfile.TemporaryDirectory() as ready:
        place = Path(ready)
        files, agreement = part_files(
            build_edges(), place, "edges", {"logmel": model_input(frames, EDGES)[None]}
        )
        tagger_files, tagger_agreement = part_files(
            build_tagger(), place, "tagger", {"logmel": model_input(windows, CONTEXT)}
        )
        parts = [
            bundle.Part("edges", "detector", ("logmel",), None, agreement, logmel=EDGES),
            bundle.Part(
                "tagger", "tagger", ("logmel",), None, tagger_agreement, logmel=CONTEXT, tags=TAGS
            ),
        ]
        facts = {
            "name": "two parts",
            "parts": parts,
            "models": {"edges": files, "tagger": tagger_files},
            "gate": GATE,
            "veto": VETO,
            "skill": [],
        }
        return save_tiny(folder, files, agreement, **{**facts, **changes})  # type: ignore[arg-type]


def band(name: str) -> int:
    """Mel band in which a tone lies."""
    fft_bin = round(TONES_HZ[name] * EDGES.n_fft / RATE_HZ)
    return int(mel_filters(EDGES)[fft_bin].argmax())


def build_edges() -> keras.Model:
    """A score that follows the level of a tone in the two frames that each step is about."""
    import keras
    from keras import layers

    from cryvision.models.calibration import calibration_layer_class

    frames = keras.Input((None, EDGES.n_mels), name="logmel")
    logits = layers.Conv1D(1, EDGES.window_frames, strides=EDGES.hop_frames, name="logits")
    model = keras.Model(frames, calibration_layer_class()(name="calibration")(logits(frames)))
    weights = np.zeros((EDGES.window_frames, EDGES.n_mels, 1), np.float32)
    first = EDGES.window_frames - EDGES.lookahead_frames - EDGES.hop_frames
    weights[first : first + EDGES.hop_frames, band("edges")] = 8 / EDGES.hop_frames
    logits.set_weights([weights, np.array([-8.0], np.float32)])
    return model


def build_tagger() -> keras.Model:
    """Scores that follow the level of a tone each in the newest hop of a window."""
    import keras
    from keras import layers

    frames = keras.Input((CONTEXT.window_frames, CONTEXT.n_mels), name="logmel")
    tag_layer = layers.Conv1D(len(TAGS), CONTEXT.window_frames)
    logits = layers.Reshape((len(TAGS),), name="logits")(tag_layer(frames))
    model = keras.Model(frames, layers.Activation("sigmoid", name="scores")(logits))
    weights = np.zeros((CONTEXT.window_frames, CONTEXT.n_mels, len(TAGS)), np.float32)
    for index, tag in enumerate(TAGS[:-1]):
        weights[-CONTEXT.hop_frames :, band(tag), index] = 3 / CONTEXT.hop_frames
    tag_layer.set_weights([weights, np.array([-3.0, -3.0, -3.0, -9.0], np.float32)])
    return model


def reasons_behind_two_parts(places: pytest.TempPathFactory) -> bundle.Bundle:
    """Edges and tagger, and behind them the reasons of `bundles.reasons_bundle`."""

    def make(folder: Path) -> None:
        gated, reasons = two_part_bundle(places), reasons_bundle(places)
        branches = [part for part in reasons.parts if part.kind != "detector"]
        with tempfile.TemporaryDirectory() as ready:
            models = {part.name: gated.copy_files(part, Path(ready)) for part in gated.parts}
            models |= {part.name: reasons.copy_files(part, Path(ready)) for part in branches}
            save_tiny(
                folder,
                {},
                {},
                labels=REASONS,
                parts=[*gated.parts, *branches],
                models=models,
                gate=gated.gate,
                veto=gated.veto,
                skill=[],
            )

    return bundle.Bundle.load(made_once(places, "two-parts-and-reasons", make))
