"""The parts of a bundle: what each model takes and gives, checked strictly."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryvision.bundle import fields as checking
from cryvision.config import SAMPLE_RATE_HZ, SOUND_FEATURES, FaceConfig, LogMelConfig, SoundConfig
from cryvision.errors import BundleError, ConfigError
from cryvision.inputs.audio import n_features
from cryvision.inputs.pictures.backbone import NAMED_WEIGHTS, is_named
from cryvision.runtime import safe_load
from cryvision.runtime.loading import RUNTIMES, Model

KINDS = ("detector", "tagger", "branch", "ensemble")
LOGMEL = "logmel"
"""Name of the input of a frame network or a tagger."""
FEATURES = (*SOUND_FEATURES, "face")
CRY_TAG = "cry"
"""First output of every tagger."""

MAX_SPAN_SECONDS = 60.0
"""A model input is computed from at most this much sound: more would fill a machine's memory."""

MIN_HOP_SAMPLES, MIN_FRAME_HOP_SAMPLES, MAX_BANDS = 160, 16, 512
"""Windows 10 ms apart and frames 1 ms apart are far more than any model here uses."""

_PART_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_TAG_NAME = re.compile(r"[a-z0-9][a-z0-9_]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Part:
    """One model of a bundle.

    Attributes
    ----------
    name : str
        Unique in the bundle: lower-case letters, digits, ``-`` and ``_``.
    kind : str
        ``detector`` (one output: cry), ``tagger`` (one output for each of its tags), ``branch``
        (from features to the labels) or ``ensemble`` (from the outputs of earlier parts to the
        labels).
    inputs : tuple of str
        Names of features, the package's or a laboratory's own; for an ensemble, of parts that stand
        before this one.
    sound : SoundConfig or None
        How the sound feature among the inputs is computed; None where there is none.
    face : FaceConfig or None
        How the feature ``face`` is computed; None where it is not among the inputs.
    agreement : dict
        How well the ONNX copy agreed with Keras at saving: ``max_difference`` per output,
        ``n_samples``, ``tolerance``.
    files : dict
        Runtime (``onnx``, ``keras``) to ``path`` in the bundle and ``sha256``.
    logmel : LogMelConfig or None
        How the input ``logmel`` of a frame network or a tagger is computed.
    tags : tuple of str
        What the outputs of a tagger are, in order; the first is ``cry``.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    sound: SoundConfig | None
    agreement: dict[str, Any]
    face: FaceConfig | None = None
    files: dict[str, dict[str, str]] = field(default_factory=dict)
    logmel: LogMelConfig | None = None
    tags: tuple[str, ...] = ()

    @property
    def lookahead_samples(self) -> int:
        """Samples that an output needs beyond the time it is about."""
        return 0 if self.logmel is None else self.logmel.lookahead_samples

    @property
    def band_hz(self) -> tuple[float, float] | None:
        """Lowest and highest frequency of the sound that it takes; None where it takes none."""
        config = self.sound or self.logmel
        return None if config is None else (config.min_hz, config.max_hz)


def parse_part(entry: Any, earlier: Mapping[str, Part], version: int, where: str) -> Part:
    """Check one part of ``bundle.json`` against those before it."""
    absent: dict[str, Any] = {}
    if version == 1:
        absent = {"face": None, "logmel": None, "tags": []}
        for name in ("logmel", "tags"):
            if isinstance(entry, dict) and name in entry:
                raise BundleError(f"{where}: there is no field {name!r} in a bundle of version 1")
    part = checking.fields(
        {**absent, **entry} if isinstance(entry, dict) else entry,
        where,
        name=str,
        kind=str,
        inputs=list,
        sound=(dict, type(None)),
        face=(dict, type(None)),
        agreement=dict,
        files=dict,
        logmel=(dict, type(None)),
        tags=list,
    )
    if not _PART_NAME.fullmatch(part["name"]):
        raise BundleError(
            f"{where}: a part's name has lower-case letters, digits, '-' and '_' only; "
            f"got {part['name']!r:.80}"
        )
    kinds = tuple(kind for kind in KINDS if version > 1 or kind != "tagger")
    if part["kind"] not in kinds:
        raise BundleError(f"{where}: kind must be one of {', '.join(kinds)}; got {part['kind']!r}")
    checking.strings(part["inputs"], f"{where}: inputs")
    _check_inputs(part, earlier, version, where)
    if not part["inputs"] or len(set(part["inputs"])) < len(part["inputs"]):
        raise BundleError(f"{where}: inputs must be one or more different names")
    part["inputs"] = tuple(part["inputs"])
    part["sound"] = _sound(part["sound"], part["inputs"], where)
    part["logmel"] = _logmel(part, where)
    part["tags"] = _tags(part, where)
    if (part["face"] is not None) != ("face" in part["inputs"]):
        raise BundleError(f"{where}: face must describe the input 'face', where there is one")
    if part["face"] is not None:
        part["face"] = checking.settings(FaceConfig, part["face"], f"{where}: face")
        _check_hop(part["face"].hop_samples, where)
        if not is_named(part["face"].backbone_weights):
            raise BundleError(
                f"{where}: backbone_weights must be {', '.join(NAMED_WEIGHTS)} or sha256: and the "
                f"hash of a file, never a path; got {part['face'].backbone_weights!r:.80}"
            )
    _check_agreement(part["agreement"], f"{where}: agreement")
    _check_files(part["files"], f"{where}: files")
    return Part(**part)


def _check_inputs(
    part: Mapping[str, Any], earlier: Mapping[str, Part], version: int, where: str
) -> None:
    """A detector takes known features, a branch any, an ensemble the parts before it."""
    kind, inputs = part["kind"], part["inputs"]
    if kind == "branch":
        wrong = [name for name in inputs if name in earlier or not _PART_NAME.fullmatch(name)]
        rule = "features, not parts"
    else:
        of_sound = FEATURES if version == 1 else (*FEATURES, LOGMEL)
        allowed = {"ensemble": tuple(earlier), "tagger": (LOGMEL,)}.get(kind, of_sound)
        wrong = [name for name in inputs if name not in allowed]
        if LOGMEL in inputs and len(inputs) > 1:
            wrong = [name for name in inputs if name != LOGMEL]
        what = "parts before it" if kind == "ensemble" else "features"
        rule = f"{what} ({', '.join(allowed) or 'none'})"
    if wrong:
        raise BundleError(f"{where}: inputs of a {kind} are {rule}; got {wrong[0]!r:.80}")


def _logmel(part: Mapping[str, Any], where: str) -> LogMelConfig | None:
    kind, data = part["kind"], part["logmel"]
    needed = kind in ("detector", "tagger") and LOGMEL in part["inputs"]
    if (data is not None) != needed:
        raise BundleError(
            f"{where}: logmel must describe the input {LOGMEL!r} of a detector or tagger, where "
            "there is one"
        )
    if data is None:
        return None
    config: LogMelConfig = checking.settings(LogMelConfig, data, f"{where}: logmel")
    if config.window_frames * config.frame_samples > MAX_SPAN_SECONDS * SAMPLE_RATE_HZ:
        raise BundleError(f"{where}: a window must span at most {MAX_SPAN_SECONDS:g} s")
    _check_hop(config.hop_samples, where)
    if config.hop_frames + config.lookahead_frames > config.window_frames:
        raise BundleError(f"{where}: a window must hold the hop that its output is about")
    if kind == "detector" and config.relative:
        raise BundleError(f"{where}: a detector's frames are not relative to each window")
    if kind == "tagger" and config.lookahead_frames:
        raise BundleError(f"{where}: a tagger looks at what was; lookahead_frames must be 0")
    return config


def _tags(part: Mapping[str, Any], where: str) -> tuple[str, ...]:
    tags = part["tags"]
    checking.strings(tags, f"{where}: tags")
    if (part["kind"] == "tagger") != bool(tags):
        raise BundleError(f"{where}: tags must name the outputs of a tagger, and of nothing else")
    if tags and (
        tags[0] != CRY_TAG
        or len(set(tags)) < len(tags)
        or not all(_TAG_NAME.fullmatch(tag) for tag in tags)
    ):
        raise BundleError(
            f"{where}: tags must be different names of lower-case letters, digits and '_', the "
            f"first {CRY_TAG!r}; got {', '.join(tags):.80}"
        )
    return tuple(tags)


def _sound(data: Any, inputs: tuple[str, ...], where: str) -> SoundConfig | None:
    features = [name for name in inputs if name in SOUND_FEATURES]
    sound = None if data is None else checking.settings(SoundConfig, data, f"{where}: sound")
    if features != ([] if sound is None else [sound.feature]):
        raise BundleError(
            f"{where}: sound must describe the sound feature among the inputs "
            f"({', '.join(features) or 'none'}); got {sound and sound.feature}"
        )
    if sound is not None and sound.context_seconds + sound.window_seconds > MAX_SPAN_SECONDS:
        raise BundleError(f"{where}: context and window must span at most {MAX_SPAN_SECONDS:g} s")
    if sound is not None:
        _check_hop(sound.hop_samples, where)
        _check_hop(sound.frame_hop_samples, where, MIN_FRAME_HOP_SAMPLES)
        if max(sound.n_mels, sound.n_mfcc) > MAX_BANDS:
            raise BundleError(f"{where}: must have at most {MAX_BANDS} bands and coefficients")
    return sound


def _check_hop(samples: int, where: str, least: int = MIN_HOP_SAMPLES) -> None:
    """Refuse so many windows or frames that computing them would not end."""
    if samples < least:
        raise BundleError(f"{where}: hops must be at least {least} samples; got {samples}")


def _check_agreement(data: Any, where: str) -> None:
    agreement = checking.fields(
        data, where, max_difference=dict, n_samples=int, tolerance=checking.NUMBER
    )
    for output, difference in agreement["max_difference"].items():
        if isinstance(difference, bool) or not isinstance(difference, checking.NUMBER):
            raise BundleError(f"{where}: {output} must be a number; got {difference!r:.80}")
        if not 0 <= difference <= agreement["tolerance"]:
            raise BundleError(
                f"{where}: {output} must differ by at most {agreement['tolerance']}; "
                f"got {difference}"
            )


def _check_files(data: dict[str, Any], where: str) -> None:
    if set(data) != set(RUNTIMES):
        raise BundleError(
            f"{where}: must name a file for each of {', '.join(RUNTIMES)}; "
            f"got {', '.join(data) or 'none'}"
        )
    for runtime, entry in data.items():
        file = checking.fields(entry, f"{where}: {runtime}", path=str, sha256=str)
        safe_load.check_name(file["path"], where)
        safe_load.check_not_pickle(file["path"], where)
        if not file["path"].endswith(f".{runtime}"):
            raise BundleError(f"{where}: must end in .{runtime}; got {file['path']!r:.80}")
        if not _SHA256.fullmatch(file["sha256"]):
            raise BundleError(
                f"{where}: sha256 must be 64 hexadecimal digits; got {file['sha256']!r:.80}"
            )


def check_model(part: Part, model: Model, n_labels: int, where: str) -> None:
    """Refuse a model with other inputs or outputs than its part and the bundle's labels state."""
    if set(model.inputs) != set(part.inputs):
        raise BundleError(
            f"{where}: the inputs must be {', '.join(part.inputs)}; got {', '.join(model.inputs)}"
        )
    n_outputs = {"detector": 1, "tagger": len(part.tags)}.get(part.kind, n_labels)
    if model.n_outputs != n_outputs:
        raise BundleError(f"{where}: must have {n_outputs} outputs; got {model.n_outputs}")
    steps = part.kind == "detector" and part.logmel is not None
    if len(model.output) != 1 + steps:
        shape = "(n, any, 1)" if steps else f"(n, {n_outputs})"
        raise BundleError(f"{where}: the output must have shape {shape}; got more or less")
    for name, dims in _input_dims(part, n_labels, where).items():
        got = model.inputs[name]
        if len(got) != len(dims) or any(g not in (None, d) for g, d in zip(got, dims, strict=True)):
            raise BundleError(
                f"{where}: the input {name!r} must have the shape {dims} an item; got {got}"
            )
    if part.logmel is not None:
        frames = None if steps else part.logmel.window_frames
        if model.inputs[LOGMEL] != (frames, part.logmel.n_mels):
            raise BundleError(
                f"{where}: the input {LOGMEL!r} must hold {frames or 'any number of'} frames of "
                f"{part.logmel.n_mels} bands; got {model.inputs[LOGMEL]}"
            )


def _input_dims(part: Part, n_labels: int, where: str) -> dict[str, tuple[int, ...]]:
    """Shape of one item of each input that the bundle itself describes."""
    if part.kind == "ensemble":
        return dict.fromkeys(part.inputs, (n_labels,))
    dims: dict[str, tuple[int, ...]] = {}
    if part.face is not None:
        dims["face"] = (part.face.embedding_width,)
    if part.sound is not None:
        try:
            dims[part.sound.feature] = (part.sound.n_frames, n_features(part.sound))
        except ConfigError as error:
            raise BundleError(f"{where}: {error}") from error
    return dims
