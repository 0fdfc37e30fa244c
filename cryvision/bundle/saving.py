"""Write a bundle: whole and verified, or not at all."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from cryvision.atomic import staged
from cryvision.bundle.bundle import DESCRIPTION, Bundle, read
from cryvision.bundle.parts import Part
from cryvision.bundle.schema import FORMAT_VERSION, library_versions
from cryvision.config import GateConfig, VetoConfig, to_json
from cryvision.errors import BundleError
from cryvision.inputs.backbone import keep_weights
from cryvision.runtime import loading as runtimes
from cryvision.runtime import safe_load

_TEXT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.md|\.txt)?")


def save(
    out: str | os.PathLike[str],
    *,
    name: str,
    labels: Sequence[str],
    parts: Sequence[Part],
    models: Mapping[str, Mapping[str, Path]],
    gate: GateConfig | None,
    smooth_seconds: float,
    skill: Sequence[Mapping[str, Any]],
    sources: Sequence[Mapping[str, str]],
    seed: int,
    command: str,
    notes: str = "",
    veto: VetoConfig | None = None,
    texts: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> Bundle:
    """Write a bundle: whole, verified and at once, or not at all.

    Parameters
    ----------
    out : path
        The folder to make, or a zip where the name ends in ``.zip``.
    name, labels, parts, gate, smooth_seconds, skill, sources, seed, command, notes, veto
        As in `Bundle`; the ``files`` of the parts are filled in here.
    models : mapping
        Name of a part to runtime to a ready file, as ``cryvision.export.onnx.parts.part_files``
        gives them.
    texts : mapping of str to str, optional
        Texts to put beside: ``NOTICE``, ``LICENSE``, or names ending in ``.md`` or ``.txt``.
    overwrite : bool
        Whether to replace an older bundle. What is not a bundle is never replaced.

    Returns
    -------
    Bundle
        The saved one, read back.

    Raises
    ------
    BundleError
        If ``out`` exists and is not to be replaced, cannot be written, or what was given would
        not pass `Bundle.load`.
    """
    target = check_target(out, overwrite)
    contents: dict[str, bytes] = {}
    placed = [_place_files(part, models.get(part.name, {}), contents) for part in parts]
    for text_name, text in (texts or {}).items():
        if not _TEXT_NAME.fullmatch(text_name):
            raise BundleError(f"{target}: a text must end in .md or .txt; got {text_name!r}")
        contents[text_name] = text.encode()
    description = {
        "format_version": FORMAT_VERSION,
        "name": name,
        "labels": list(labels),
        "parts": [to_json(part) for part in placed],
        "gate": None if gate is None else to_json(gate),
        "veto": None if veto is None else to_json(veto),
        "smooth_seconds": smooth_seconds,
        "skill": list(skill),
        "sources": list(sources),
        "versions": library_versions(),
        "seed": seed,
        "command": command,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "notes": notes,
    }
    try:
        text = json.dumps(description, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise BundleError(f"{target}: not plain JSON data: {error}") from error
    contents[DESCRIPTION] = text.encode()
    with _system_errors(target), staged(target, overwrite) as place:
        _write(place, contents, zipped=_is_zip_name(target))
        bundle = read(safe_load.Files(place, shown=target))
    return bundle


def check_target(out: str | os.PathLike[str], overwrite: bool) -> Path:
    """Find out before any work whether a bundle may be written to a place.

    Returns
    -------
    Path
        The place itself, links resolved.

    Raises
    ------
    BundleError
        If something is there, or with ``overwrite`` something that is not a bundle.
    """
    target = Path(os.path.realpath(out))
    with _system_errors(target):
        if not target.exists():
            return target
        if not overwrite:
            raise FileExistsError
        if _is_zip_name(target):
            replaceable = zipfile.is_zipfile(target)
        else:
            try:
                names = os.listdir(target)
            except FileNotFoundError:
                return target  # another save has just moved it aside
            except NotADirectoryError:
                names = [target.name]
            replaceable = not names or DESCRIPTION in names
    if not replaceable:
        raise BundleError(f"{target}: only a bundle is overwritten; this is something else")
    return target


@contextlib.contextmanager
def _system_errors(target: Path) -> Iterator[None]:
    """Say in a line what the system refused."""
    try:
        yield
    except FileExistsError as error:
        raise BundleError(f"{target}: exists already; nothing was written") from error
    except OSError as error:
        raise BundleError(f"{target}: cannot be written: {error.strerror or error}") from error


def _is_zip_name(path: Path) -> bool:
    return path.suffix.lower() == ".zip"


def _place_files(part: Part, ready: Mapping[str, Path], contents: dict[str, bytes]) -> Part:
    """Take in the ready files of a part; give the part with their names and hashes.

    Weights of a backbone that a path names are kept in the user's cache, and named by hash too.
    """
    files = {}
    for runtime in runtimes.RUNTIMES:
        if runtime not in ready:
            raise BundleError(f"the part {part.name!r} needs a .{runtime} file; none was given")
        try:
            data = Path(ready[runtime]).read_bytes()
        except OSError as error:
            raise BundleError(f"{ready[runtime]}: cannot be read: {error.strerror}") from error
        path = f"{part.name}.{runtime}"
        contents[path] = data
        files[runtime] = {"path": path, "sha256": hashlib.sha256(data).hexdigest()}
    face = None if part.face is None else keep_weights(part.face)
    return dataclasses.replace(part, files=files, face=face)


def _write(place: Path, contents: Mapping[str, bytes], zipped: bool) -> None:
    if zipped:
        with zipfile.ZipFile(place, "x", zipfile.ZIP_DEFLATED) as archive:
            for name, data in contents.items():
                archive.writestr(name, data)
        return
    place.mkdir()
    for name, data in contents.items():
        (place / name).write_bytes(data)
