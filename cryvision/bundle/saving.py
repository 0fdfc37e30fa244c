"""Write a bundle: whole and verified, or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from cryvision.argument_types import typed
from cryvision.atomic import check_place, staged
from cryvision.bundle.bundle import DESCRIPTION, Bundle, read
from cryvision.bundle.parts import Part
from cryvision.bundle.schema import FORMAT_VERSION, library_versions
from cryvision.config import GateConfig, VetoConfig, to_json
from cryvision.errors import BundleError
from cryvision.inputs.pictures.backbone import cache_weights
from cryvision.os_errors import os_errors, reason
from cryvision.runtime import loading as runtimes
from cryvision.runtime import safe_load

_TEXT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.md|\.txt)?")


@dataclass(frozen=True)
class Description:
    """The description of a bundle to save.

    Attributes
    ----------
    name, labels, parts, gate, veto, smooth_seconds, skill, sources, seed, command, notes
        As in `Bundle`; the ``files`` of the parts are filled in when it is saved.
    texts : mapping of str to str
        Texts to put beside: ``NOTICE``, ``LICENSE``, or names ending in ``.md`` or ``.txt``.
    """

    name: str
    labels: Sequence[str] = ()
    parts: Sequence[Part] = ()
    gate: GateConfig | None = None
    veto: VetoConfig | None = None
    smooth_seconds: float = 1.0
    skill: Sequence[Mapping[str, Any]] = ()
    sources: Sequence[Mapping[str, str]] = ()
    seed: int = 0
    command: str = ""
    notes: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)

    def to_json(self, placed: Sequence[Part]) -> str:
        """Write ``bundle.json``, with parts that name their files."""
        content = {
            "format_version": FORMAT_VERSION,
            "name": self.name,
            "labels": list(self.labels),
            "parts": [to_json(part) for part in placed],
            "gate": None if self.gate is None else to_json(self.gate),
            "veto": None if self.veto is None else to_json(self.veto),
            "smooth_seconds": self.smooth_seconds,
            "skill": list(self.skill),
            "sources": list(self.sources),
            "versions": library_versions(),
            "seed": self.seed,
            "command": self.command,
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "notes": self.notes,
        }
        return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def source_name(source: str | os.PathLike[str]) -> str:
    """Name recordings by their folder; a manifest, many of which have one name, by its own too."""
    path = Path(source).resolve()
    return f"{path.parent.name}/{path.name}" if path.is_file() else path.name


def own_source(name: str) -> dict[str, str]:
    """Give the entry among a bundle's sources for recordings of whoever trains it."""
    return {"name": name, "licence": "the owner's", "url": "", "changes": "none"}


@typed
def save(
    out: str | os.PathLike[str],
    description: Description,
    models: Mapping[str, Mapping[str, Path]],
    overwrite: bool = False,
) -> Bundle:
    """Write a bundle: whole, verified and at once, or not at all.

    Parameters
    ----------
    out : path
        The folder to make, or a zip where the name ends in ``.zip``.
    description : Description
    models : mapping
        Name of a part to runtime to a ready file, as ``cryvision.export.onnx.parts.part_files``
        gives them.
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
    placed = [_with_files(p, models.get(p.name, {}), contents) for p in description.parts]
    for text_name, text in description.texts.items():
        if not _TEXT_NAME.fullmatch(text_name):
            raise BundleError(f"{target}: a text must end in .md or .txt; got {text_name!r}")
        contents[text_name] = text.encode()
    try:
        contents[DESCRIPTION] = description.to_json(placed).encode()
    except (TypeError, ValueError) as error:
        raise BundleError(f"{target}: not plain JSON data: {error}") from error
    with _system_errors(target), staged(target, overwrite) as path:
        _write(path, contents, zipped=_is_zip_name(target))
        bundle = read(safe_load.Files(path, shown=target))
    return bundle


def check_target(out: str | os.PathLike[str], overwrite: bool) -> Path:
    """Find out before any work whether a bundle may be written to a place; resolve its links.

    Something that is not a bundle is never overwritten.
    """
    target = Path(os.path.realpath(out))
    check_place(target)
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
        raise BundleError(f"{target}: cannot be written: {reason(error)}") from error


def _is_zip_name(path: Path) -> bool:
    return path.suffix.lower() == ".zip"


def _with_files(part: Part, ready: Mapping[str, Path], contents: dict[str, bytes]) -> Part:
    """Take in the ready files of a part; give the part with their names and hashes.

    Weights of a backbone that a path names are kept in the user's cache, and named by hash too.
    """
    files = {}
    for runtime in runtimes.RUNTIMES:
        if runtime not in ready:
            raise BundleError(f"the part {part.name!r} needs a .{runtime} file; none was given")
        with os_errors(f"{ready[runtime]}: cannot be read", BundleError):
            data = Path(ready[runtime]).read_bytes()
        path = f"{part.name}.{runtime}"
        contents[path] = data
        files[runtime] = {"path": path, "sha256": hashlib.sha256(data).hexdigest()}
    face = None if part.face is None else cache_weights(part.face)
    return replace(part, files=files, face=face)


def _write(path: Path, contents: Mapping[str, bytes], zipped: bool) -> None:
    if zipped:
        with zipfile.ZipFile(path, "x", zipfile.ZIP_DEFLATED) as archive:
            for name, data in contents.items():
                archive.writestr(name, data)
        return
    path.mkdir()
    for name, data in contents.items():
        (path / name).write_bytes(data)
