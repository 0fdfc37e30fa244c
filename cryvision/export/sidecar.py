"""The JSON beside an exported file: all that a stream needs to behave as ``classify`` does."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryvision.bundle import Bundle, Part
from cryvision.config import FRAME_RATE_HZ, SAMPLE_RATE_HZ, SoundConfig, to_json
from cryvision.export.graph import (
    CRY,
    FACE,
    FACE_SEEN,
    LEVEL,
    PROBABILITIES,
    WAVEFORM,
    Graph,
)
from cryvision.labelling import NOT_SURE, has_skill
from cryvision.scoring import MIN_CRY_SHARE
from cryvision.smoothing import RollingPrediction

FORMAT_VERSION = 1


def describe(bundle: Bundle, graph: Graph, *, kind: str, precision: str) -> dict[str, Any]:
    """Gather what does not depend on the file itself.

    Parameters
    ----------
    bundle : Bundle
    graph : Graph
        What is exported of it.
    kind, precision : str

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
        "inputs": _inputs(graph),
        "outputs": outputs(graph),
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


def outputs(graph: Graph) -> dict[str, str]:
    """Say what each output is, by name and in order."""
    said = {
        PROBABILITIES: f"Probability of each of: {', '.join(graph.labels)}.",
        CRY: "Probability that the window is cry; the gate's thresholds apply to it.",
        LEVEL: "Level of the window in the model's band, dB relative to full scale.",
    }
    return {
        name: said.get(name, "Before the calibration: to compare files, not to decide from.")
        for name in graph.output_names
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


def _inputs(graph: Graph) -> dict[str, Any]:
    inputs: dict[str, Any] = {}
    if graph.sounds and not graph.features:
        inputs[WAVEFORM] = {
            "shape": [1, graph.span_samples],
            "what": "The newest samples of mono sound, full scale 1, oldest first. Silence stands "
            "before the start of a stream; samples that are not finite count as zero.",
        }
    for tensor in graph.network.inputs:
        sound = graph.sounds.get(tensor.name)
        if sound is None:
            inputs[tensor.name] = {**_shape(tensor), **_other(graph, tensor.name)}
        elif graph.features:
            what = f"{sound.feature}, as cryvision.inputs.audio.sound_feature computes it."
            inputs[tensor.name] = {**_shape(tensor), "what": what, "sound": to_json(sound)}
    return inputs


def _shape(tensor: Any) -> dict[str, list[int]]:
    return {"shape": [1, *tensor.shape[1:]]}


def _other(graph: Graph, name: str) -> dict[str, Any]:
    """What an input is that is not computed from sound."""
    if name == FACE_SEEN:
        return {"what": "1, or 0 where no face is seen; what stands in face then has no say."}
    if name != FACE or graph.face is None:
        return {"what": "A row of numbers of the bundle's own making."}
    what = (
        "Crop of the face, RGB from 0 to 255. One crop stands for its window here; classify takes "
        "the mean embedding of all crops in a window, which the form with features takes too."
    )
    if graph.features:
        what = "Embedding of the face, as cryvision.inputs.embedding gives it."
    return {"what": what, "face": to_json(graph.face)}


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
    # As classify has it: a reason is one for the clip, that its windows differ is not enough.
    unit = None if graph.reason is None else "clip"
    sure = part is not None and has_skill(bundle.skill, part.name, _modalities(graph), unit)
    return {
        "policy": "skill",
        "has_skill": sure,
        "says": "the most probable label" if sure else NOT_SURE,
        "why": "measured better than chance and prior on subjects that training had not seen"
        if sure
        else "no skill was measured on subjects that training had not seen",
    }


def _modalities(graph: Graph) -> tuple[str, ...]:
    return ("sound",) * bool(graph.sounds) + ("face",) * (graph.face is not None)
