"""The models of a bundle put together as one: what an exported file computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from cryvision.bundle import Bundle, Part
from cryvision.bundle.parts import LOGMEL
from cryvision.config import FaceConfig, LogMelConfig, SoundConfig
from cryvision.errors import ConfigError
from cryvision.export.frame_span import FrameSpan
from cryvision.export.frontend import (
    FRONT_END,
    build_face_front_end,
    build_front_end,
    build_log_mel_front_end,
    frame_levels,
    scaled_frames,
)
from cryvision.runtime.loading import KerasModel

if TYPE_CHECKING:
    import keras

CHOICES = ("all", "detector", "reason", "face")

DETECTOR_LABELS = ("no cry", "cry")
"""Labels of a file with a window detector alone."""

WAVEFORM, SILENT_FRAMES = "waveform", "silent_frames"
FACE, FACE_SEEN = "face", "face_seen"
PROBABILITIES, CRY, LEVEL = "probabilities", "cry", "level_dbfs"
CRY_EDGES, TAGS, TAGS_LEVEL = "cry_edges", "tags", "tags_level_dbfs"


@dataclass(frozen=True)
class Graph:
    """What is exported: a network, and how its inputs are computed.

    ``choice`` is one of `CHOICES`; with ``features`` the file takes these, not waveform and crops.
    ``labels`` are the columns of ``probabilities``; none for edges without a reason, which have no
    such output. Of ``parts``, each after those it needs, ``detector`` gives ``cry`` or
    ``cry_edges``, ``tagger`` gives ``tags``, and ``reason``, of the others, ``probabilities``.
    ``frames`` are the log-mel frames of a call, where the detector is a frame network; ``sounds``,
    ``logmels`` and ``face`` tell how each such input of the network is computed.

    The network goes from its inputs, by name, to ``probabilities``, shape (n, n_labels); with a
    detector to ``cry``, shape (n, 1), or of a frame network ``cry_edges``, shape (n, n_steps, 1);
    with a tagger to ``tags``, shape (n, n_tags); and for each part to its logits, before its
    calibration. Its inputs are log-mel frames; the sound features; ``face``, crops in RGB from 0 to
    255, shape (n, size, size, 3), or with ``features`` embeddings; and where an ensemble takes a
    face, ``face_seen``, shape (n, 1): 1, or 0 where there is none.
    """

    choice: str
    features: bool
    labels: tuple[str, ...]
    parts: tuple[Part, ...]
    detector: Part | None
    reason: Part | None
    sounds: dict[str, SoundConfig]
    face: FaceConfig | None
    network: keras.Model
    tagger: Part | None = None
    frames: FrameSpan | None = None
    logmels: dict[str, LogMelConfig] = field(default_factory=dict)

    @property
    def output_names(self) -> list[str]:
        """What a file gives, in one order everywhere."""
        return [
            *[PROBABILITIES] * bool(self.labels),
            *([] if self.detector is None else [CRY if self.frames is None else CRY_EDGES]),
            *[TAGS] * (self.tagger is not None),
            *self.level_names,
            *(logits_name(part) for part in self.parts),
        ]

    @property
    def level_names(self) -> list[str]:
        """Outputs that come from the front end."""
        if self.detector is None or self.features:
            return []
        return [LEVEL] + [TAGS_LEVEL] * (self.tagger is not None)

    @property
    def takes_sound(self) -> bool:
        """Whether anything is computed from sound."""
        return bool(self.sounds or self.logmels)

    @property
    def takes_waveform(self) -> bool:
        """Whether the file itself takes sound, not what was computed from it."""
        return self.takes_sound and not self.features

    @property
    def span_samples(self) -> int:
        """Samples of waveform that the longest window and its context take; 0 without sound."""
        windows = [config.span_samples for config in self.sounds.values()]
        return max([*windows, 0 if self.frames is None else self.frames.n_samples])


def logits_name(part: Part) -> str:
    """What the output before a part's calibration is called; Core ML takes no hyphens."""
    return f"{part.name.replace('-', '_')}_logits"


def build_graph(bundle: Bundle, choice: str, features: bool = False) -> Graph:
    """Load the Keras originals of the chosen parts and join them.

    The choice is one of `CHOICES`; ``all`` is the detector and the reason, as far as the bundle has
    them. With ``features``, embeddings of faces go in, not crops. A part that the bundle lacks is a
    ConfigError.
    """
    detector = bundle.detector if choice in ("all", "detector") else None
    tagger = None if detector is None else bundle.tagger
    reason = _decider(bundle, choice) if choice != "detector" else None
    if detector is None and reason is None:
        names = ", ".join(f"{part.name} ({part.kind})" for part in bundle.parts)
        raise ConfigError(
            f"{bundle.folder}: there is no {choice} to export; the bundle's parts are {names}"
        )
    parts = _with_needed(bundle, [part for part in (detector, tagger, reason) if part is not None])
    frames = None if detector is None else FrameSpan.of(detector, tagger)
    labels = () if frames is not None else DETECTOR_LABELS
    return Graph(
        choice=choice,
        features=features,
        labels=labels if reason is None else bundle.labels,
        parts=parts,
        detector=detector,
        reason=reason,
        sounds={
            _input_name(part, part.sound.feature, parts): part.sound
            for part in parts
            if part.sound is not None
        },
        face=next((part.face for part in parts if part.face is not None), None),
        network=_join(bundle, parts, frames, features),
        tagger=tagger,
        frames=frames,
        logmels={
            _input_name(part, LOGMEL, parts): part.logmel
            for part in parts
            if part.logmel is not None
        },
    )


def build_waveform_front_end(graph: Graph) -> keras.Model | None:
    """Build the model before the network; None where that takes no sound, or features.

    It goes from ``waveform``, shape (n, graph.span_samples), and for log-mel frames
    ``silent_frames``, shape (n, 2); to a dict of the network's inputs that are computed from sound
    and, with a detector, levels. A part with a shorter span takes the newest samples.
    """
    import keras

    if not graph.takes_waveform:
        return None
    waveform = keras.Input((graph.span_samples,), name=WAVEFORM)
    inputs, outputs = {WAVEFORM: waveform}, {}
    for name, config in graph.sounds.items():
        front_end = build_front_end(config, f"sound_{name}")
        feature, level = front_end(waveform[:, graph.span_samples - config.span_samples :])
        outputs[name] = feature
        if graph.detector is not None and config is graph.detector.sound:
            outputs[LEVEL] = level
    if graph.frames is not None:
        inputs[SILENT_FRAMES] = keras.Input((2,), name=SILENT_FRAMES)
        newest = waveform[:, graph.span_samples - graph.frames.n_samples :]
        outputs.update(_frame_features(graph, graph.frames, newest, inputs[SILENT_FRAMES]))
    return keras.Model(inputs, outputs, name=FRONT_END)


def _frame_features(graph: Graph, frames: FrameSpan, waveform: Any, silent: Any) -> dict[str, Any]:
    """Log-mel frames as edges and tagger take them, and the levels of what they are about."""
    front_end = build_log_mel_front_end(frames.edges, frames.n_frames)
    log_power, mean_square = front_end([waveform, silent])
    outputs = {
        name: scaled_frames(log_power[:, frames.frames_of(config)], config)
        for name, config in graph.logmels.items()
    }
    outputs[LEVEL] = frame_levels(mean_square[:, frames.step_frames], frames.edges.hop_frames)
    if frames.tagger is not None:
        of_tagger = mean_square[:, frames.frames_of(frames.tagger)]
        outputs[TAGS_LEVEL] = frame_levels(of_tagger, frames.tagger.window_frames)
    return outputs


def build_whole(graph: Graph) -> keras.Model:
    """Build the model from what a file takes to everything that it gives."""
    import keras

    front_end = build_waveform_front_end(graph)
    if front_end is None:
        return graph.network
    inputs = {
        tensor.name: keras.Input(tensor.shape[1:], name=tensor.name)
        for tensor in (*front_end.inputs, *graph.network.inputs)
        if tensor.name not in front_end.output
    }
    features = front_end({tensor.name: inputs[tensor.name] for tensor in front_end.inputs})
    tensors = {**inputs, **features}
    network = graph.network({tensor.name: tensors[tensor.name] for tensor in graph.network.inputs})
    levels = {name: features[name] for name in graph.level_names}
    return keras.Model(inputs, {**network, **levels}, name="whole")


def concrete_function(model: keras.Model, output_names: Sequence[str]) -> Any:
    """Give a model as a function of TensorFlow on one item, its inputs and outputs in order."""
    import tensorflow as tf

    specs = [
        tf.TensorSpec((1, *tensor.shape[1:]), tf.float32, name=tensor.name)
        for tensor in model.inputs
    ]

    def ordered(*tensors: Any) -> list[Any]:
        named = {spec.name: tensor for spec, tensor in zip(specs, tensors, strict=True)}
        outputs = model(named, training=False)
        return [outputs[name] for name in output_names]

    return tf.function(ordered, input_signature=specs).get_concrete_function()


def _decider(bundle: Bundle, choice: str) -> Part | None:
    """The part whose output is the class, if there is one."""
    branches = [part for part in bundle.parts if part.kind == "branch"]
    if choice == "face":
        return next((part for part in branches if part.face is not None), None)
    ensemble = next((part for part in bundle.parts if part.kind == "ensemble"), None)
    if ensemble is None and len(branches) > 1:
        raise ConfigError(
            f"{bundle.folder}: the branches {', '.join(b.name for b in branches)} have no "
            "ensemble that joins them; there is no one reason to export"
        )
    return ensemble or next(iter(branches), None)


def _with_needed(bundle: Bundle, parts: Sequence[Part]) -> tuple[Part, ...]:
    """The parts and those whose outputs they take, in the bundle's order."""
    names = {part.name for part in parts}
    for part in reversed(bundle.parts):  # a part stands after those it takes its inputs from
        if part.name in names and part.kind == "ensemble":
            names.update(part.inputs)
    return tuple(part for part in bundle.parts if part.name in names)


def _input_name(part: Part, feature: str, parts: Sequence[Part]) -> str:
    """Name of an input: the feature, with the part's name where two are computed differently."""
    rivals = [p for p in parts if p.kind != "ensemble" and feature in p.inputs]
    # Of log-mel frames, edges and tagger take different numbers.
    computed = {(r.sound, r.face, r.kind if feature == LOGMEL else "") for r in rivals}
    if len(computed) == 1:
        return feature
    if feature == FACE:
        raise ConfigError("branches that find faces differently cannot be exported as one file")
    return f"{part.name.replace('-', '_')}_{feature}"


def _join(
    bundle: Bundle, parts: Sequence[Part], frames: FrameSpan | None, features: bool
) -> keras.Model:
    """Join the parts' models; each is called once, on inputs or on outputs of others."""
    import keras

    inputs: dict[str, Any] = {}
    tensors: dict[str, Any] = {}  # what the parts take: inputs, and results of parts
    outputs: dict[str, Any] = {}
    for part in parts:
        model = _with_logits(bundle, part)
        taken = []
        for tensor in model.inputs:
            name = tensor.name
            if part.kind != "ensemble":
                name = _input_name(part, name, parts)
                if name not in tensors:
                    inputs[name], tensors[name] = _input(part, tensor, name, frames, features)
            taken.append(tensors[name])
        outputs[logits_name(part)], tensors[part.name] = model(taken)
        if part.face is not None and any(part.name in other.inputs for other in parts):
            # A missing face is zeros to an ensemble, which no softmax gives.
            if FACE_SEEN not in inputs:
                inputs[FACE_SEEN] = keras.Input((1,), name=FACE_SEEN)
            tensors[part.name] = tensors[part.name] * inputs[FACE_SEEN]
        outputs.update(_results(part, tensors[part.name], parts))
    return keras.Model(inputs, outputs, name="network")


def _results(part: Part, result: Any, parts: Sequence[Part]) -> dict[str, Any]:
    """Outputs of the file that a part's result is."""
    from keras import ops

    if part.kind == "tagger":
        return {TAGS: result}
    if part.kind != "detector":  # the last one decides: an ensemble stands behind its branches
        return {PROBABILITIES: result}
    if part.logmel is not None:
        return {CRY_EDGES: result}
    if any(other.kind in ("branch", "ensemble") for other in parts):
        return {CRY: result}
    return {CRY: result, PROBABILITIES: ops.concatenate([1.0 - result, result], axis=-1)}


def _input(
    part: Part, tensor: Any, name: str, frames: FrameSpan | None, features: bool
) -> tuple[Any, Any]:
    """Give what the network takes, and what it makes of that for the part."""
    import keras

    if name == FACE and part.face is not None and not features:
        front_end = build_face_front_end(part.face)
        crops = keras.Input(front_end.inputs[0].shape[1:], name=name)
        return crops, front_end(crops)
    shape = tuple(tensor.shape[1:])
    if part.logmel is not None and frames is not None:  # as many frames as the file's steps need
        span = frames.frames_of(part.logmel)
        shape = (span.stop - span.start, part.logmel.n_mels)
    taken = keras.Input(shape, name=name)
    return taken, taken


def _with_logits(bundle: Bundle, part: Part) -> keras.Model:
    """A part's model with what comes before its calibration as first output."""
    import keras

    model = cast(KerasModel, bundle.model(part, "keras")).model
    logits = model.get_layer("logits").output
    return keras.Model(model.inputs, [logits, model.outputs[0]], name=part.name)
