"""``bundle.json``: what a bundle says of itself, in a format that is fixed and checked strictly."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cryvision import untrusted
from cryvision.config import (
    SOUND_FEATURES,
    FaceConfig,
    GateConfig,
    LogMelConfig,
    SoundConfig,
    from_json,
)
from cryvision.errors import BundleError, ConfigError
from cryvision.runtime import RUNTIMES

FORMAT_VERSION = 2
READABLE_VERSIONS = (1, 2)
"""Version 2 adds frame networks and taggers (``logmel``, ``tags``) and the veto."""

KINDS = ("detector", "tagger", "branch", "ensemble")
LOGMEL = "logmel"
"""Name of the input of a frame network or a tagger."""
FEATURES = (*SOUND_FEATURES, "face")
UNITS = ("clip", "event", "window")

MAX_SPAN_SECONDS = 60.0
"""A model input is computed from at most this much sound: more would fill a machine's memory."""

_PART_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NUMBER = (int, float)


@dataclass(frozen=True)
class Part:
    """One model of a bundle.

    Attributes
    ----------
    name : str
        Unique in the bundle: lower-case letters, digits, ``-`` and ``_``.
    kind : str
        ``detector`` (one output: cry), ``branch`` (from features to the labels) or
        ``ensemble`` (from the outputs of earlier parts to the labels).
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


def parse(text: bytes, where: str) -> dict[str, Any]:
    """Read ``bundle.json`` and check all that can be checked without the model files.

    Parameters
    ----------
    text : bytes
        The file.
    where : str
        What to name in an error.

    Returns
    -------
    dict
        The fields of `cryvision.bundle.Bundle` that the file holds, by name.

    Raises
    ------
    BundleError
        On anything that is not JSON, an unreadable format version, and fields that are missing,
        unknown, of the wrong type or contradict each other.
    """
    data = _strict_json(text, where)
    version = data.get("format_version") if isinstance(data, dict) else None
    if isinstance(version, bool) or version not in READABLE_VERSIONS:
        readable = ", ".join(map(str, READABLE_VERSIONS))
        raise BundleError(f"{where}: readable format versions are {readable}; got {version!r:.80}")
    fields = _fields(
        data,
        where,
        format_version=int,
        name=str,
        labels=list,
        parts=list,
        gate=(dict, type(None)),
        smooth_seconds=_NUMBER,
        skill=list,
        sources=list,
        versions=dict,
        seed=int,
        command=str,
        created=str,
        notes=str,
    )
    del fields["format_version"]
    fields["labels"] = _labels(fields["labels"], where)
    fields["parts"] = _parts(fields["parts"], where)
    if fields["gate"] is not None:
        fields["gate"] = _settings(GateConfig, fields["gate"], f"{where}: gate")
    if not fields["smooth_seconds"] > 0:
        raise BundleError(
            f"{where}: smooth_seconds must be positive; got {fields['smooth_seconds']}"
        )
    names = [part.name for part in fields["parts"]]
    for i, entry in enumerate(fields["skill"]):
        _check_skill(entry, names, f"{where}: skill[{i}]")
    for i, entry in enumerate(fields["sources"]):
        _fields(entry, f"{where}: sources[{i}]", name=str, licence=str, url=str, changes=str)
    _strings(list(fields["versions"].values()), f"{where}: versions")
    return fields


def _labels(labels: list[Any], where: str) -> tuple[str, ...]:
    _strings(labels, f"{where}: labels")
    if not labels or len(set(labels)) < len(labels) or not all(labels):
        raise BundleError(f"{where}: labels must be one or more different names; got {labels!r}")
    return tuple(labels)


def _parts(entries: list[Any], where: str) -> tuple[Part, ...]:
    parts: dict[str, Part] = {}
    for i, entry in enumerate(entries):
        part = _part(entry, parts, f"{where}: parts[{i}]")
        if part.name in parts or part.name in FEATURES:
            raise BundleError(
                f"{where}: a part needs a name of its own, not a feature's; got {part.name!r} again"
            )
        parts[part.name] = part
    for kind in ("detector", "ensemble"):
        if sum(part.kind == kind for part in parts.values()) > 1:
            raise BundleError(f"{where}: a bundle has at most one {kind}; got more")
    if not parts:
        raise BundleError(f"{where}: a bundle must have a part; got none")
    return tuple(parts.values())


def _part(entry: Any, earlier: Mapping[str, Part], where: str) -> Part:
    """Check one part against those before it."""
    entry = {"face": None, **entry} if isinstance(entry, dict) else entry
    part = _fields(
        entry,
        where,
        name=str,
        kind=str,
        inputs=list,
        sound=(dict, type(None)),
        face=(dict, type(None)),
        agreement=dict,
        files=dict,
    )
    if not _PART_NAME.fullmatch(part["name"]):
        raise BundleError(
            f"{where}: a part's name has lower-case letters, digits, '-' and '_' only; "
            f"got {part['name']!r:.80}"
        )
    if part["kind"] not in KINDS:
        raise BundleError(f"{where}: kind must be one of {', '.join(KINDS)}; got {part['kind']!r}")
    _strings(part["inputs"], f"{where}: inputs")
    _check_inputs(part, earlier, where)
    if not part["inputs"] or len(set(part["inputs"])) < len(part["inputs"]):
        raise BundleError(f"{where}: inputs must be one or more different names")
    part["inputs"] = tuple(part["inputs"])
    part["sound"] = _sound(part["sound"], part["inputs"], where)
    if (part["face"] is not None) != ("face" in part["inputs"]):
        raise BundleError(f"{where}: face must describe the input 'face', where there is one")
    if part["face"] is not None:
        part["face"] = _settings(FaceConfig, part["face"], f"{where}: face")
    _check_agreement(part["agreement"], f"{where}: agreement")
    _check_files(part["files"], f"{where}: files")
    return Part(**part)


def _check_inputs(part: Mapping[str, Any], earlier: Mapping[str, Part], where: str) -> None:
    """A detector takes known features, a branch any, an ensemble the parts before it."""
    kind, inputs = part["kind"], part["inputs"]
    if kind == "branch":
        wrong = [name for name in inputs if name in earlier or not _PART_NAME.fullmatch(name)]
        known = "features, not parts"
    else:
        allowed = tuple(earlier) if kind == "ensemble" else FEATURES
        wrong = [name for name in inputs if name not in allowed]
        what = "parts before it" if kind == "ensemble" else "features"
        known = f"{what} ({', '.join(allowed) or 'none'})"
    if wrong:
        raise BundleError(f"{where}: inputs of a {kind} are {known}; got {wrong[0]!r:.80}")


def _sound(data: Any, inputs: tuple[str, ...], where: str) -> SoundConfig | None:
    """Settings of the one sound feature among the inputs."""
    wanted = [name for name in inputs if name in SOUND_FEATURES]
    sound = None if data is None else _settings(SoundConfig, data, f"{where}: sound")
    if wanted != ([] if sound is None else [sound.feature]):
        raise BundleError(
            f"{where}: sound must describe the sound feature among the inputs "
            f"({', '.join(wanted) or 'none'}); got {sound and sound.feature}"
        )
    if sound is not None and sound.context_seconds + sound.window_seconds > MAX_SPAN_SECONDS:
        raise BundleError(f"{where}: context and window must span at most {MAX_SPAN_SECONDS:g} s")
    return sound


def _check_agreement(data: Any, where: str) -> None:
    agreement = _fields(data, where, max_difference=dict, n_samples=int, tolerance=_NUMBER)
    for output, difference in agreement["max_difference"].items():
        if isinstance(difference, bool) or not isinstance(difference, _NUMBER):
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
        file = _fields(entry, f"{where}: {runtime}", path=str, sha256=str)
        untrusted.check_name(file["path"], where)
        untrusted.check_not_pickle(file["path"], where)
        if not file["path"].endswith(f".{runtime}"):
            raise BundleError(f"{where}: must end in .{runtime}; got {file['path']!r:.80}")
        if not _SHA256.fullmatch(file["sha256"]):
            raise BundleError(
                f"{where}: sha256 must be 64 hexadecimal digits; got {file['sha256']!r:.80}"
            )


def _check_skill(data: Any, part_names: list[str], where: str) -> None:
    entry = _fields(
        data,
        where,
        part=str,
        modalities=list,
        unit=str,
        protocol=str,
        subjects=str,
        figures=dict,
        chance=_NUMBER,
        prior=dict,
    )
    if entry["part"] not in part_names:
        raise BundleError(f"{where}: part must be one of the bundle's; got {entry['part']!r:.80}")
    if entry["unit"] not in UNITS:
        raise BundleError(f"{where}: unit must be one of {', '.join(UNITS)}; got {entry['unit']!r}")
    _strings(entry["modalities"], f"{where}: modalities")
    _numbers(entry["prior"], f"{where}: prior")
    for name, figure in entry["figures"].items():
        _check_figure(figure, f"{where}: {name}")


def _check_figure(figure: Any, where: str) -> None:
    """A figure is ``value`` and, where it was measured, ``interval``: its lower and upper end."""
    interval = figure.get("interval") if isinstance(figure, dict) else None
    with_interval = {} if interval is None else {"interval": list}
    _fields(figure, where, value=_NUMBER, **with_interval)
    if interval is not None:
        if len(interval) != 2:
            raise BundleError(f"{where}: an interval has two ends; got {interval!r:.80}")
        _numbers(dict(enumerate(interval)), where)


def _fields(data: Any, where: str, **types: type | tuple[type, ...]) -> dict[str, Any]:
    """Give a JSON object as a dict once it has exactly these fields of these types."""
    if not isinstance(data, dict):
        raise BundleError(f"{where}: must be an object; got {data!r:.80}")
    for name in types:
        if name not in data:
            raise BundleError(f"{where}: the field {name!r} is missing")
    for name, value in data.items():
        if name not in types:
            raise BundleError(f"{where}: there is no field {name!r:.80} in a bundle of version 1")
        # bool is an int to Python, not to JSON.
        if isinstance(value, bool) or not isinstance(value, types[name]):
            raise BundleError(f"{where}: {name} has the wrong type; got {value!r:.80}")
    return dict(data)


def _strings(values: list[Any], where: str) -> None:
    if not all(isinstance(value, str) for value in values):
        raise BundleError(f"{where}: must hold texts only; got {values!r:.80}")


def _numbers(values: Mapping[Any, Any], where: str) -> None:
    for value in values.values():
        if isinstance(value, bool) or not isinstance(value, _NUMBER):
            raise BundleError(f"{where}: must hold numbers only; got {value!r:.80}")


def _settings(kind: Callable[..., Any], data: Any, where: str) -> Any:
    """Build a settings dataclass; what a bundle gets wrong there is the bundle's fault."""
    try:
        return from_json(kind, data, where)  # type: ignore[arg-type]
    except (ConfigError, OverflowError) as error:
        raise BundleError(str(error)) from error


def _strict_json(text: bytes, where: str) -> Any:
    """Parse JSON proper: UTF-8, no NaN or infinity, no field twice."""

    def finite(number: str) -> float:
        value = float(number)
        if not math.isfinite(value):
            raise ValueError(f"{number} is not a finite number")
        return value

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            raise ValueError(f"a field is there twice among {', '.join(sorted(fields))}")
        return fields

    def whole(number: str) -> int:
        value = int(number)
        if abs(value) >= 2**63:
            raise ValueError(f"{number[:20]}... has more than 64 bits")
        return value

    untrusted.check_not_too_long(text, where)
    try:
        return json.loads(
            text.decode("utf-8"),
            parse_int=whole,
            parse_float=finite,
            parse_constant=finite,
            object_pairs_hook=unique,
        )
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{where}: not JSON: {error}") from error
