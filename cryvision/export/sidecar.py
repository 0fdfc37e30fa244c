"""The JSON beside an exported file: all that a stream needs to behave as ``classify`` does."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from cryvision.bundle import Bundle
from cryvision.config import (
    FRAME_RATE_HZ,
    SAMPLE_RATE_HZ,
    VETO_LEVELS,
    FaceConfig,
    SoundConfig,
    to_json,
)
from cryvision.export.graph import (
    CRY,
    CRY_EDGES,
    FACE,
    FACE_SEEN,
    LEVEL,
    PROBABILITIES,
    SILENT_FRAMES,
    TAGS,
    TAGS_LEVEL,
    WAVEFORM,
    Graph,
)
from cryvision.inference.class_stream import SOUND
from cryvision.inference.gated_windows import MIN_CRY_SHARE
from cryvision.inference.label_policy import NOT_SURE, has_skill
from cryvision.inference.smoothing import RollingPrediction
from cryvision.inference.tags import HEARD
from cryvision.inference.veto import CERTAIN, NAMED_REJECTED
from cryvision.inputs.logmel import reach_samples
from cryvision.result import BOUT_GAP_SECONDS

FORMAT_VERSION = 2
"""Version 2 adds edges and tagger: ``tagger``, ``veto``, ``bouts``, another ``detector``."""

DEFAULT_VETO = "normal"


def describe(bundle: Bundle, graph: Graph, *, kind: str, precision: str) -> dict[str, Any]:
    """Gather what does not depend on the file itself, as plain JSON data."""
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
        "detector": _detector(bundle, graph),
        "tagger": _tagger(graph),
        "veto": _veto(bundle, graph),
        "bouts": None
        if graph.detector is None
        else {
            "gap_seconds": BOUT_GAP_SECONDS,
            "what": "Events that stand, less than gap_seconds from the last one's offset to the "
            "next onset.",
        },
        "reason": _reason(bundle, graph),
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
    """Describe the outputs, by name and in order."""
    newest = "of each of the newest steps, oldest first"
    texts = {
        PROBABILITIES: f"Probability of each of: {', '.join(graph.labels)}.",
        CRY: "Probability that the window is cry; the gate's thresholds apply to it.",
        CRY_EDGES: f"Cry score of the edges, {newest}; the gate's thresholds apply to it.",
        TAGS: f"Scores of the tags, each from 0 to 1: {', '.join(_tags(graph))}.",
        LEVEL: "Level of the window in the model's band, dB relative to full scale."
        if graph.frames is None
        else f"Level in the model's band, dB relative to full scale, {newest}.",
        TAGS_LEVEL: "Level of the window of the tags, dB relative to full scale.",
    }
    return {
        name: texts.get(name, "Before the calibration: to compare files, not to decide from.")
        for name in graph.output_names
    }


def file_sha256(path: Path) -> str:
    """Hash of a file; of a package, of the names and bytes of all files in it."""
    digest = hashlib.sha256()
    if path.is_file():
        digest.update(path.read_bytes())
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(file.relative_to(path).as_posix().encode() + b"\0")
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _inputs(graph: Graph) -> dict[str, Any]:
    inputs: dict[str, Any] = {}
    if graph.takes_waveform:
        inputs[WAVEFORM] = {
            "shape": [1, graph.span_samples],
            "what": "The newest samples of mono sound, full scale 1, oldest first. Silence stands "
            "before the start of a stream; samples that are not finite count as zero.",
        }
        if graph.frames is not None:
            inputs[SILENT_FRAMES] = {
                "shape": [1, 2],
                "what": "How many of the span's frames lie before the start of the stream, and "
                "how many behind its end; 0 and 0 within it.",
            }
    for tensor in graph.network.inputs:
        sound = graph.sounds.get(tensor.name)
        frames = graph.logmels.get(tensor.name)
        if sound is None and frames is None:
            about = _other(graph, tensor.name)
        elif not graph.features:
            continue
        elif sound is not None:
            what = f"{sound.feature}, as cryvision.inputs.audio.sound_feature computes it."
            about = {"what": what, "sound": to_json(sound)}
        else:
            what = "Frames, as cryvision.inputs.logmel.model_input gives them."
            about = {"what": what, "logmel": to_json(frames)}
        inputs[tensor.name] = {"shape": [1, *tensor.shape[1:]], **about}
    return inputs


def _other(graph: Graph, name: str) -> dict[str, Any]:
    """What an input is that is not computed from sound."""
    if name == FACE_SEEN:
        return {"what": "1, or 0 where no face is seen; face is then ignored."}
    if name != FACE or graph.face is None:
        return {"what": "A row of numbers of the bundle's own making."}
    what = (
        "Crop of the face, RGB from 0 to 255. One crop stands for its window here; classify takes "
        "the mean embedding of all crops in a window, which the form with features takes too."
    )
    if graph.features:
        what = "Embedding of the face, as cryvision.inputs.pictures.embedding gives it."
    return {"what": what, "face": to_json(graph.face)}


def _times(config: SoundConfig | FaceConfig) -> dict[str, int]:
    return {
        "window_samples": config.window_samples,
        "context_samples": config.context_samples if isinstance(config, SoundConfig) else 0,
        "hop_samples": config.hop_samples,
    }


def _detector(bundle: Bundle, graph: Graph) -> dict[str, Any] | None:
    part = graph.detector
    if part is None:
        return None
    gate: Mapping[str, Any] | None = None if bundle.gate is None else to_json(bundle.gate)
    if part.sound is not None:
        return {"part": part.name, **_times(part.sound), "gate": gate}
    return {"part": part.name, **_calls(graph), "gate": gate}


def _calls(graph: Graph) -> dict[str, Any]:
    """When a file of edges is run, and what each of its steps is about."""
    frames = graph.frames
    if frames is None:
        return {}
    edges = frames.edges
    return {
        "frame_samples": edges.frame_samples,
        "span_frames": frames.n_frames,
        "call_samples": frames.call_frames * edges.frame_samples,
        "reach_samples": reach_samples(edges),
        "n_steps": frames.n_steps,
        "step_samples": edges.hop_samples,
        "lookahead_samples": edges.lookahead_samples,
        "delay_samples": (frames.n_frames - frames.step_frames.stop) * edges.frame_samples,
        "calls": "Call k = 1, 2, ... is due when the stream has k * call_samples + reach_samples "
        "samples. Its newest step ends at sample k * call_samples - delay_samples and starts "
        "step_samples before; the others stand before it. Steps that end at 0 or before are "
        "before the stream. silent_frames: first, as far as it is positive, span_frames - k * "
        "call_samples / frame_samples; then, once the stream has ended with n samples and silence "
        "is pushed behind it, k * call_samples / frame_samples - ceil(n / frame_samples). The "
        "stream is done when a call has given the step that holds its last sample.",
    }


def _tags(graph: Graph) -> tuple[str, ...]:
    return () if graph.tagger is None else graph.tagger.tags


def _tagger(graph: Graph) -> dict[str, Any] | None:
    if graph.tagger is None or graph.tagger.logmel is None:
        return None
    config = graph.tagger.logmel
    return {
        "part": graph.tagger.name,
        "tags": list(graph.tagger.tags),
        "heard": HEARD,
        "window_samples": config.window_frames * config.frame_samples,
        "hop_samples": config.hop_samples,
        "windows": "The window of call k ends at sample k * call_samples. A sound that ends "
        "between two has one window more: a call with the span's last frame at the end of the "
        "sound. Where tags_level_dbfs is below the gate's min_level_dbfs, all tags count as 0 but "
        "silence, which counts as 1.",
    }


def _veto(bundle: Bundle, graph: Graph) -> dict[str, Any] | None:
    """How tags decide which events stand; None where they are not used."""
    veto = bundle.veto
    if veto is None or graph.tagger is None:
        return None
    thresholds = {
        level: {"at": veto.at(level), "near": veto.near(level), "live": veto.live(level)}
        for level in VETO_LEVELS[1:]
    }
    names = ("after_seconds", "near_seconds", "live_seconds", "temperature", "bias")
    return {
        "default": DEFAULT_VETO,
        "levels": thresholds,
        **{name: getattr(veto, name) for name in names},
        "events": "An event stands if the largest score of cry reaches `at` in a window that ends "
        "from its onset to after_seconds behind its offset, and `near` in one that ends from "
        "near_seconds before its onset to near_seconds behind its offset. What does not stand is "
        "named by the largest other tag `at` it, from named_from on.",
        "named_from": NAMED_REJECTED,
        "certain": CERTAIN,
        "fusion": "A step's fused score is its cry_edges * min(1, live_tag / live), live_tag the "
        "largest score of cry in the windows that end later than live_seconds before the step's "
        "end and no later than lookahead_samples behind it. Calibrated it is sigmoid(logit(score) "
        "/ temperature + bias), the score kept `certain` from 0 and 1; the same of an event's mean "
        "cry_edges * min(1, largest score of cry `at` the event / live) is its confidence.",
    }


def _reason(bundle: Bundle, graph: Graph) -> dict[str, Any] | None:
    if graph.reason is None:
        return None
    branches = [part for part in graph.parts if part.kind == "branch"]
    settings = [config for part in branches for config in (part.sound, part.face) if config]
    times = [_times(config) for config in settings]
    return {
        "part": graph.reason.name,
        # One window and hop for all.
        **max(times, key=lambda one: one["context_samples"], default={}),
        # A window is scored where this share of the detector's windows in it, or of the steps
        # that end in it lookahead_samples before its end or earlier (fused), is crying.
        "min_cry_share": None if bundle.gate is None else MIN_CRY_SHARE,
    }


def _label_policy(bundle: Bundle, graph: Graph) -> dict[str, Any]:
    """Return the label policy, by the measured skill of the part that decides.

    Where the file takes faces, a stream without any has a policy of its own.
    """
    branches = [part for part in graph.parts if part.kind == "branch"]
    # A laboratory's own features have no settings: they are modalities by their names.
    modalities = {
        FACE if part.face else SOUND if part.sound else part.inputs[0] for part in branches
    } or {SOUND}
    policy = _policy(bundle, graph, modalities)
    if modalities > {FACE}:
        policy["without_face"] = _policy(bundle, graph, {SOUND})
    return policy


def _policy(bundle: Bundle, graph: Graph, modalities: Collection[str]) -> dict[str, Any]:
    part = graph.reason or graph.detector
    # As classify has it: a reason is one for the clip, that its windows differ is not enough.
    unit = None if graph.reason is None else "clip"
    sure = part is not None and has_skill(bundle.skill, part.name, modalities, unit)
    return {
        "policy": "skill",
        "has_skill": sure,
        "says": "the most probable label" if sure else NOT_SURE,
        "why": "measured better than chance and prior on subjects that training had not seen"
        if sure
        else "no skill was measured on subjects that training had not seen",
    }
