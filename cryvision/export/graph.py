"""The models of a bundle put together as one: what an exported file computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from cryvision.bundle import Bundle, Part
from cryvision.config import FaceConfig, SoundConfig
from cryvision.errors import ConfigError
from cryvision.export.frontend import FRONT_END, build_face_front_end, build_front_end
from cryvision.runtime import KerasModel

if TYPE_CHECKING:
    import keras

CHOICES = ("all", "detector", "reason", "face")

DETECTOR_LABELS = ("no cry", "cry")
"""Labels of a file with a detector alone."""

WAVEFORM, LEVEL = "waveform", "level_dbfs"
FACE, FACE_SEEN = "face", "face_seen"
PROBABILITIES, CRY = "probabilities", "cry"


@dataclass(frozen=True)
class Graph:
    """What is exported.

    Attributes
    ----------
    choice : str
        ``all``, ``detector``, ``reason`` or ``face``.
    features : bool
        Whether the file takes features, not waveform and crops.
    labels : tuple of str
        What the columns of ``probabilities`` are.
    parts : tuple of Part
        All that are inside, each after those it needs.
    detector, reason : Part or None
        The parts that give ``cry`` and, of the others, ``probabilities``.
    sounds : dict of str to SoundConfig
        How each input of the network that is a sound feature is computed.
    face : FaceConfig or None
        How the input ``face`` is computed, if there is one.
    network : keras.Model
        From its inputs, by name, to ``probabilities``, shape (n, n_labels); with a detector to
        ``cry``, shape (n, 1); and for each part to its logits, before its calibration. Its
        inputs are the sound features; ``face``, crops in RGB from 0 to 255, shape
        (n, size, size, 3), or with ``features`` embeddings; and where an ensemble takes a face,
        ``face_seen``, shape (n, 1): 1, or 0 where there is none.
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

    @property
    def output_names(self) -> list[str]:
        """What a file gives, in one order everywhere."""
        names = [PROBABILITIES]
        if self.detector is not None:
            names += [CRY] if self.features else [CRY, LEVEL]
        return names + [logits_name(part) for part in self.parts]

    @property
    def span_samples(self) -> int:
        """Samples of waveform that the longest window and its context take; 0 without sound."""
        return max((config.span_samples for config in self.sounds.values()), default=0)


def logits_name(part: Part) -> str:
    """What the output before a part's calibration is called; Core ML takes no hyphens."""
    return f"{part.name.replace('-', '_')}_logits"


def build_graph(bundle: Bundle, choice: str, features: bool = False) -> Graph:
    """Load the Keras originals of the chosen parts and join them.

    Parameters
    ----------
    bundle : Bundle
    choice : str
        One of ``CHOICES``. ``all`` is the detector and the reason, as far as the bundle has them.
    features : bool
        Whether embeddings of faces go in, not crops.

    Raises
    ------
    ConfigError
        If the bundle lacks the part.
    BundleError
        If a model cannot be read.
    MissingDependencyError
        If the weights of a face's backbone are not on this machine.
    """
    detector = bundle.detector if choice in ("all", "detector") else None
    reason = _decider(bundle, choice) if choice != "detector" else None
    if detector is None and reason is None:
        names = ", ".join(f"{part.name} ({part.kind})" for part in bundle.parts)
        raise ConfigError(
            f"{bundle.folder}: there is no {choice} to export; the bundle's parts are {names}"
        )
    parts = _with_needed(bundle, [part for part in (detector, reason) if part is not None])
    return Graph(
        choice=choice,
        features=features,
        labels=bundle.labels if reason is not None else DETECTOR_LABELS,
        parts=parts,
        detector=detector,
        reason=reason,
        sounds={
            _input_name(part, part.sound.feature, parts): part.sound
            for part in parts
            if part.sound is not None
        },
        face=next((part.face for part in parts if part.face is not None), None),
        network=_join(bundle, parts, detector, reason, features),
    )


def build_waveform_front_end(graph: Graph) -> keras.Model | None:
    """Build the model before the network; None where that takes no sound, or features.

    Returns
    -------
    keras.Model
        From ``waveform``, shape (n, graph.span_samples), to a dict of the network's sound
        features and, with a detector, ``level_dbfs``, shape (n, 1). A part with a shorter span
        takes the newest samples.
    """
    import keras

    if graph.features or not graph.sounds:
        return None
    waveform = keras.Input((graph.span_samples,), name=WAVEFORM)
    outputs = {}
    for name, config in graph.sounds.items():
        front_end = build_front_end(config, f"sound_{name}")
        feature, level = front_end(waveform[:, graph.span_samples - config.span_samples :])
        outputs[name] = feature
        if graph.detector is not None and config is graph.detector.sound:
            outputs[LEVEL] = level
    return keras.Model({WAVEFORM: waveform}, outputs, name=FRONT_END)


def build_whole(graph: Graph) -> keras.Model:
    """Build the model from what a file takes to everything that it gives."""
    import keras

    front_end = build_waveform_front_end(graph)
    if front_end is None:
        return graph.network
    inputs = {
        tensor.name: keras.Input(tensor.shape[1:], name=tensor.name)
        for tensor in (*front_end.inputs, *graph.network.inputs)
        if tensor.name not in graph.sounds
    }
    known = front_end({WAVEFORM: inputs[WAVEFORM]})
    level = {LEVEL: known.pop(LEVEL)} if LEVEL in known else {}
    others = {name: tensor for name, tensor in inputs.items() if name != WAVEFORM}
    return keras.Model(inputs, {**graph.network({**known, **others}), **level}, name="whole")


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


def _with_needed(bundle: Bundle, wanted: Sequence[Part]) -> tuple[Part, ...]:
    """The wanted parts and those whose outputs they take, in the bundle's order."""
    names = {part.name for part in wanted}
    for part in reversed(bundle.parts):  # a part stands after those it takes its inputs from
        if part.name in names and part.kind == "ensemble":
            names.update(part.inputs)
    return tuple(part for part in bundle.parts if part.name in names)


def _input_name(part: Part, feature: str, parts: Sequence[Part]) -> str:
    """Name of an input: the feature, with the part's name where two are computed differently."""
    rivals = [p for p in parts if p.kind != "ensemble" and feature in p.inputs]
    if all((rival.sound, rival.face) == (part.sound, part.face) for rival in rivals):
        return feature
    if feature == FACE:
        raise ConfigError("branches that find faces differently cannot be exported as one file")
    return f"{part.name.replace('-', '_')}_{feature}"


def _join(
    bundle: Bundle,
    parts: Sequence[Part],
    detector: Part | None,
    reason: Part | None,
    features: bool,
) -> keras.Model:
    """Join the parts' models; each is called once, on inputs or on outputs of others."""
    import keras

    inputs: dict[str, Any] = {}
    known: dict[str, Any] = {}  # what the parts take: inputs, and results of parts
    outputs: dict[str, Any] = {}
    for part in parts:
        model = _with_logits(bundle, part)
        taken = []
        for tensor in model.inputs:
            name = tensor.name
            if part.kind != "ensemble":
                name = _input_name(part, name, parts)
                if name not in known:
                    inputs[name], known[name] = _input(part, tensor, name, features)
            taken.append(known[name])
        outputs[logits_name(part)], known[part.name] = model(taken)
        if part.face is not None and any(part.name in other.inputs for other in parts):
            # An ensemble is told of a missing face by zeros, which no softmax gives.
            if FACE_SEEN not in inputs:
                inputs[FACE_SEEN] = keras.Input((1,), name=FACE_SEEN)
            known[part.name] = known[part.name] * inputs[FACE_SEEN]
    if detector is not None:
        outputs[CRY] = cry = known[detector.name]
    if reason is not None:
        outputs[PROBABILITIES] = known[reason.name]
    else:
        outputs[PROBABILITIES] = keras.ops.concatenate([1.0 - cry, cry], axis=-1)
    return keras.Model(inputs, outputs, name="network")


def _input(part: Part, tensor: Any, name: str, features: bool) -> tuple[Any, Any]:
    """What the network takes, and what it makes of that for the part."""
    import keras

    if name == FACE and part.face is not None and not features:
        front_end = build_face_front_end(part.face)
        crops = keras.Input(front_end.inputs[0].shape[1:], name=name)
        return crops, front_end(crops)
    given = keras.Input(tensor.shape[1:], name=name)
    return given, given


def _with_logits(bundle: Bundle, part: Part) -> keras.Model:
    """A part's model with what comes before its calibration as first output."""
    import keras

    model = cast(KerasModel, bundle.model(part, "keras")).model
    logits = model.get_layer("logits").output
    return keras.Model(model.inputs, [logits, model.outputs[0]], name=part.name)
