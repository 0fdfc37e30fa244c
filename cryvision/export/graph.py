"""The models of a bundle put together as one: what an exported file computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from cryvision.bundle import Bundle, Part
from cryvision.config import SoundConfig
from cryvision.errors import ConfigError
from cryvision.export.frontend import FRONT_END, build_front_end
from cryvision.runtime import KerasModel

if TYPE_CHECKING:
    import keras

CHOICES = ("all", "detector", "reason", "face")

DETECTOR_LABELS = ("no cry", "cry")
"""Labels of a file with a detector alone."""

WAVEFORM, LEVEL = "waveform", "level_dbfs"
PROBABILITIES, CRY = "probabilities", "cry"


@dataclass(frozen=True)
class Graph:
    """What is exported.

    Attributes
    ----------
    choice : str
        ``all``, ``detector``, ``reason`` or ``face``.
    labels : tuple of str
        What the columns of ``probabilities`` are.
    parts : tuple of Part
        All that are inside, each after those it needs.
    detector, reason : Part or None
        The parts that give ``cry`` and, of the others, ``probabilities``.
    sounds : dict of str to SoundConfig
        How each input of the network that is a sound feature is computed.
    network : keras.Model
        From features, by name, to ``probabilities``, shape (n, n_labels); with a detector to
        ``cry``, shape (n, 1); and for each part to ``<part>_logits``, before its calibration.
    """

    choice: str
    labels: tuple[str, ...]
    parts: tuple[Part, ...]
    detector: Part | None
    reason: Part | None
    sounds: dict[str, SoundConfig]
    network: keras.Model

    def output_names(self, features: bool) -> list[str]:
        """Name what a file gives, in one order everywhere.

        Parameters
        ----------
        features : bool
            Whether the file takes features: then no level is known.
        """
        names = [PROBABILITIES]
        if self.detector is not None:
            names += [CRY] if features else [CRY, LEVEL]
        return names + [logits_name(part) for part in self.parts]

    @property
    def span_samples(self) -> int:
        """Samples of waveform that the longest window and its context take."""
        return max(config.span_samples for config in self.sounds.values())


def logits_name(part: Part) -> str:
    """What the output before a part's calibration is called; Core ML takes no hyphens."""
    return f"{part.name.replace('-', '_')}_logits"


def build_graph(bundle: Bundle, choice: str) -> Graph:
    """Load the Keras originals of the chosen parts and join them.

    Parameters
    ----------
    bundle : Bundle
    choice : str
        One of ``CHOICES``. ``all`` is the detector and the reason, as far as the bundle has them.

    Raises
    ------
    ConfigError
        If the bundle lacks the part.
    BundleError
        If a model cannot be read.
    """
    detector = bundle.detector if choice in ("all", "detector") else None
    reason = _decider(bundle, choice) if choice != "detector" else None
    if detector is None and reason is None:
        names = ", ".join(f"{part.name} ({part.kind})" for part in bundle.parts)
        raise ConfigError(
            f"{bundle.folder}: there is no {choice} to export; the bundle's parts are {names}"
        )
    parts = _with_needed(bundle, [part for part in (detector, reason) if part is not None])
    sounds = {
        _input_name(part, feature, parts): part.sound
        for part in parts
        for feature in part.inputs
        if part.sound is not None and feature == part.sound.feature
    }
    network = _join(bundle, parts, detector, reason)
    labels = bundle.labels if reason is not None else DETECTOR_LABELS
    return Graph(choice, labels, parts, detector, reason, sounds, network)


def build_waveform_front_end(graph: Graph) -> keras.Model:
    """Build the model before the network.

    Returns
    -------
    keras.Model
        From ``waveform``, shape (n, graph.span_samples), to a dict of the network's inputs and,
        with a detector, ``level_dbfs``, shape (n, 1). A part with a shorter span takes the newest
        samples.

    Raises
    ------
    ConfigError
        If the network has an input that is not computed from sound.
    """
    import keras

    waveform = keras.Input((graph.span_samples,), name=WAVEFORM)
    outputs = {}
    for name in (tensor.name for tensor in graph.network.inputs):
        config = graph.sounds.get(name)
        if config is None:
            raise ConfigError(
                f"the input {name!r} is not computed from sound: export this part with features"
            )
        front_end = build_front_end(config, f"sound_{name}")
        feature, level = front_end(waveform[:, graph.span_samples - config.span_samples :])
        outputs[name] = feature
        if graph.detector is not None and config is graph.detector.sound:
            outputs[LEVEL] = level
    return keras.Model({WAVEFORM: waveform}, outputs, name=FRONT_END)


def build_whole(graph: Graph) -> keras.Model:
    """Build the model from ``waveform`` to everything that the network gives, and the level."""
    import keras

    front_end = build_waveform_front_end(graph)
    waveform = keras.Input((graph.span_samples,), name=WAVEFORM)
    features = front_end({WAVEFORM: waveform})
    level = {LEVEL: features.pop(LEVEL)} if LEVEL in features else {}
    return keras.Model({WAVEFORM: waveform}, {**graph.network(features), **level}, name="whole")


def _decider(bundle: Bundle, choice: str) -> Part | None:
    """The part whose output is the class, if there is one."""
    branches = [part for part in bundle.parts if part.kind == "branch"]
    if choice == "face":
        return next((part for part in branches if "face" in part.inputs), None)
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
    if all(rival.sound == part.sound for rival in rivals):
        return feature
    return f"{part.name.replace('-', '_')}_{feature}"


def _join(
    bundle: Bundle, parts: Sequence[Part], detector: Part | None, reason: Part | None
) -> keras.Model:
    """Join the parts' models; each is called once, on inputs or on outputs of others."""
    import keras

    inputs: dict[str, Any] = {}
    results: dict[str, Any] = {}
    outputs: dict[str, Any] = {}
    for part in parts:
        model = _with_logits(bundle, part)
        taken = []
        for tensor in model.inputs:
            if part.kind == "ensemble":
                taken.append(results[tensor.name])
                continue
            name = _input_name(part, tensor.name, parts)
            if name not in inputs:
                inputs[name] = keras.Input(tensor.shape[1:], name=name)
            taken.append(inputs[name])
        outputs[logits_name(part)], results[part.name] = model(taken)
    if detector is not None:
        outputs[CRY] = results[detector.name]
    if reason is not None:
        outputs[PROBABILITIES] = results[reason.name]
    else:
        cry = outputs[CRY]
        outputs[PROBABILITIES] = keras.ops.concatenate([1.0 - cry, cry], axis=-1)
    return keras.Model(inputs, outputs, name="network")


def _with_logits(bundle: Bundle, part: Part) -> keras.Model:
    """A part's model with what comes before its calibration as first output."""
    import keras

    model = cast(KerasModel, bundle.model(part, "keras"))._model
    logits = model.get_layer("logits").output
    return keras.Model(model.inputs, [logits, model.outputs[0]], name=part.name)
