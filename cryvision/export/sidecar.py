"""The JSON beside an exported file: all that a stream needs to behave as ``classify`` does."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryvision.bundle import Bundle, Part
from cryvision.config import FRAME_RATE_HZ, SAMPLE_RATE_HZ, SoundConfig, to_json
from cryvision.export.graph import CRY, LEVEL, PROBABILITIES, WAVEFORM, Graph
from cryvision.inputs.audio import n_features
from cryvision.labelling import NOT_SURE, has_skill
from cryvision.scoring import MIN_CRY_SHARE
from cryvision.smoothing import RollingPrediction

FORMAT_VERSION = 1


def describe(
    bundle: Bundle, graph: Graph, *, kind: str, precision: str, features: bool
) -> dict[str, Any]:
    """Gather what does not depend on the file itself.

    Parameters
    ----------
    bundle : Bundle
    graph : Graph
        What is exported of it.
    kind, precision : str
    features : bool
        Whether features go in, not waveform.

    Returns
    -------
    dict
        Plain JSON data.
    """
    rolling = RollingPrediction(bundle.smooth_seconds)
    return {
        "format_version": FORMAT_VERSION,
        "kind": kind,
        "precision": precision,
        "part": graph.choice,
        "bundle": {"name": bundle.name, "sha256": bundle.sha256},
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "inputs": _inputs(graph, features),
        "outputs": outputs(graph, features),
        "labels": list(graph.labels),
        "detector": _detector(bundle, graph.detector),
        "reason": _reason(graph),
        "smoothing": {
            "seconds": bundle.smooth_seconds,
            "rate_hz": FRAME_RATE_HZ,
            "predictions": rolling.n,
        },
        "label_policy": _label_policy(bundle, graph),
        "skill": bundle.skill,
        "sources": bundle.sources,
    }


def outputs(graph: Graph, features: bool) -> dict[str, str]:
    """Say what each output is, by name and in order."""
    said = {
        PROBABILITIES: f"Probability of each of: {', '.join(graph.labels)}.",
        CRY: "Probability that the window is cry; the gate's thresholds apply to it.",
        LEVEL: "Level of the window in the model's band, dB relative to full scale.",
    }
    return {
        name: said.get(name, "Before the calibration: to compare files, not to decide from.")
        for name in graph.output_names(features)
    }


def file_sha256(path: Path) -> str:
    """Hash of a file; of a package, of the names and bytes of all files in it."""
    digest = hashlib.sha256()
    if path.is_file():
        digest.update(path.read_bytes())
    for place in sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(place.relative_to(path).as_posix().encode() + b"\0")
        digest.update(place.read_bytes())
    return digest.hexdigest()


def _inputs(graph: Graph, features: bool) -> dict[str, Any]:
    if not features:
        return {
            WAVEFORM: {
                "shape": [1, graph.span_samples],
                "what": "The newest samples of mono sound, full scale 1, oldest first. Silence "
                "stands before the start of a stream; samples that are not finite count as zero.",
            }
        }
    return {
        name: {
            "shape": [1, config.n_frames, n_features(config)],
            "what": f"{config.feature}, as cryvision.inputs.audio.sound_feature computes it.",
            "sound": to_json(config),
        }
        for name, config in graph.sounds.items()
    }


def _times(config: SoundConfig) -> dict[str, int]:
    return {
        "window_samples": config.window_samples,
        "context_samples": config.context_samples,
        "hop_samples": config.hop_samples,
    }


def _detector(bundle: Bundle, part: Part | None) -> dict[str, Any] | None:
    if part is None or part.sound is None:
        return None
    gate: Mapping[str, Any] | None = None if bundle.gate is None else to_json(bundle.gate)
    return {"part": part.name, **_times(part.sound), "gate": gate}


def _reason(graph: Graph) -> dict[str, Any] | None:
    if graph.reason is None:
        return None
    sounds = [part.sound for part in graph.parts if part.kind == "branch" and part.sound]
    longest = max(sounds, key=lambda config: config.span_samples, default=None)
    return {
        "part": graph.reason.name,
        **({} if longest is None else _times(longest)),
        # A window is scored where this share of the detector's windows in it is crying.
        "min_cry_share": MIN_CRY_SHARE,
    }


def _label_policy(bundle: Bundle, graph: Graph) -> dict[str, Any]:
    """What may be said of a clip, by the measured skill of the part that decides."""
    part = graph.reason or graph.detector
    sure = part is not None and has_skill(bundle.skill, part.name, _modalities(graph))
    return {
        "policy": "skill",
        "has_skill": sure,
        "says": "the most probable label" if sure else NOT_SURE,
        "why": "measured better than chance and prior on subjects that training had not seen"
        if sure
        else "no skill was measured on subjects that training had not seen",
    }


def _modalities(graph: Graph) -> tuple[str, ...]:
    faces = any("face" in part.inputs for part in graph.parts)
    return (("sound",) if graph.sounds else ()) + (("face",) if faces else ())
