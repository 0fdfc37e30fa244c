"""``bundle.json``: the description of a bundle, in a format that is fixed and checked strictly."""

from __future__ import annotations

import platform
from typing import Any

from cryvision.bundle import fields as checking
from cryvision.bundle.parts import FEATURES, LOGMEL, Part, parse_part
from cryvision.config import MAX_SECONDS, GateConfig, VetoConfig, unusable_label
from cryvision.errors import BundleError

FORMAT_VERSION = 2
READABLE_VERSIONS = (1, 2)
"""Version 2 adds frame networks and taggers (``logmel``, ``tags``) and the veto."""

UNITS = ("clip", "event", "window")

_VERSIONED = ("cryvision", "keras", "tensorflow", "numpy", "onnx", "onnxruntime", "tf2onnx")


def parse(text: bytes, where: str) -> dict[str, Any]:
    """Read ``bundle.json`` and check all that can be checked without the model files.

    The fields of `cryvision.bundle.Bundle` that the file holds, by name.
    """
    data = checking.strict_json(text, where)
    version = data.get("format_version") if isinstance(data, dict) else None
    if isinstance(version, bool) or version not in READABLE_VERSIONS:
        readable = ", ".join(map(str, READABLE_VERSIONS))
        raise BundleError(f"{where}: readable format versions are {readable}; got {version!r:.80}")
    fields = checking.fields(
        {"veto": None, **data} if version == 1 and "veto" not in data else data,
        where,
        format_version=int,
        name=str,
        labels=list,
        parts=list,
        gate=(dict, type(None)),
        veto=(dict, type(None)) if version > 1 else type(None),
        smooth_seconds=checking.NUMBER,
        skill=list,
        sources=list,
        versions=dict,
        seed=int,
        command=str,
        created=str,
        notes=str,
    )
    fields["labels"] = _labels(fields["labels"], where)
    fields["parts"] = _parts(fields["parts"], version, where)
    for name, kind in (("gate", GateConfig), ("veto", VetoConfig)):
        if fields[name] is not None:
            fields[name] = checking.settings(kind, fields[name], f"{where}: {name}")
    _check_together(fields, where)
    for i, entry in enumerate(fields["sources"]):
        checking.fields(
            entry, f"{where}: sources[{i}]", name=str, licence=str, url=str, changes=str
        )
    checking.strings(list(fields["versions"].values()), f"{where}: versions")
    return fields


def _check_together(fields: dict[str, Any], where: str) -> None:
    """Check what the parts of a bundle leave to its other fields."""
    if fields["veto"] is not None and all(part.kind != "tagger" for part in fields["parts"]):
        raise BundleError(f"{where}: a veto needs a tagger; the bundle has none")
    if not 0 < fields["smooth_seconds"] <= MAX_SECONDS:
        raise BundleError(
            f"{where}: smooth_seconds must be positive, to {MAX_SECONDS:g}; "
            f"got {fields['smooth_seconds']}"
        )
    reasons = any(part.kind in ("branch", "ensemble") for part in fields["parts"])
    taken = unusable_label(fields["labels"]) if reasons else None
    if taken is not None:
        raise BundleError(f"{where}: a label must not have the name of a column; got {taken!r:.80}")
    names = [part.name for part in fields["parts"]]
    for i, entry in enumerate(fields["skill"]):
        _check_skill(entry, names, f"{where}: skill[{i}]")


def _labels(labels: list[Any], where: str) -> tuple[str, ...]:
    checking.strings(labels, f"{where}: labels")
    if not labels or len(set(labels)) < len(labels) or not all(labels):
        raise BundleError(f"{where}: labels must be one or more different names; got {labels!r}")
    return tuple(labels)


def _parts(entries: list[Any], version: int, where: str) -> tuple[Part, ...]:
    parts: dict[str, Part] = {}
    for i, entry in enumerate(entries):
        part = parse_part(entry, parts, version, f"{where}: parts[{i}]")
        if part.name in parts or part.name in (*FEATURES, LOGMEL):
            raise BundleError(
                f"{where}: a part needs a name of its own, not a feature's; got {part.name!r} again"
            )
        parts[part.name] = part
    for kind in ("detector", "tagger", "ensemble"):
        if sum(part.kind == kind for part in parts.values()) > 1:
            raise BundleError(f"{where}: a bundle has at most one {kind}; got more")
    if not parts:
        raise BundleError(f"{where}: a bundle must have a part; got none")
    kinds = {part.kind for part in parts.values() if part.kind == "tagger" or part.logmel}
    if kinds == {"tagger"}:
        raise BundleError(f"{where}: a tagger needs a detector on {LOGMEL}; the bundle has none")
    return tuple(parts.values())


def _check_skill(data: Any, part_names: list[str], where: str) -> None:
    entry = checking.fields(
        data,
        where,
        part=str,
        modalities=list,
        unit=str,
        protocol=str,
        subjects=str,
        figures=dict,
        chance=checking.NUMBER,
        prior=dict,
    )
    if entry["part"] not in part_names:
        raise BundleError(f"{where}: part must be one of the bundle's; got {entry['part']!r:.80}")
    if entry["unit"] not in UNITS:
        raise BundleError(f"{where}: unit must be one of {', '.join(UNITS)}; got {entry['unit']!r}")
    checking.strings(entry["modalities"], f"{where}: modalities")
    checking.numbers(entry["prior"], f"{where}: prior")
    for name, figure in entry["figures"].items():
        _check_figure(figure, f"{where}: {name}")


def _check_figure(figure: Any, where: str) -> None:
    """A figure is ``value`` and, where it was measured, ``interval``: its lower and upper end."""
    interval = figure.get("interval") if isinstance(figure, dict) else None
    with_interval = {} if interval is None else {"interval": list}
    checking.fields(figure, where, value=checking.NUMBER, **with_interval)
    if interval is not None:
        if len(interval) != 2:
            raise BundleError(f"{where}: an interval has two ends; got {interval!r:.80}")
        checking.numbers(dict(enumerate(interval)), where)


def library_versions() -> dict[str, str]:
    """Versions of Python and of the installed libraries that shape a model; imports none."""
    from importlib import metadata

    versions = {"python": platform.python_version()}
    for library in _VERSIONED:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return versions
