"""Reads files that came from elsewhere without trusting them.

A bundle may have been mailed or downloaded. Reading one must not run code, must not touch a file
outside it and must not unpack without end. Everything here works on the stored bytes alone: neither
Keras, h5py nor onnx is imported, so nothing of theirs acts on a file before it was checked.
"""

from __future__ import annotations

import io
import json
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryvision.errors import BundleError
from cryvision.os_errors import os_errors
from cryvision.runtime.hdf5_check import check_hdf5
from cryvision.runtime.onnx_check import check_onnx

__all__ = [
    *("MAX_UNPACKED_BYTES", "Files", "check_keras", "check_name", "check_not_pickle"),
    "check_onnx",
]

MAX_UNPACKED_BYTES = 200_000_000
"""A bundle, and each model in it, is at most this large once unpacked."""

MAX_MEMBERS = 1000
"""Files in a bundle, and members of a zip; a bundle of five models has about fifteen."""

MAX_DIRECTORY_BYTES = 400 * MAX_MEMBERS
"""Of the list at the end of a zip, which is read into memory as a whole."""

MAX_JSON_BYTES = 10_000_000
"""JSON takes a hundred times its size in memory at the worst."""

PICKLE_SUFFIXES = frozenset(
    {".pkl", ".pickle", ".p", ".joblib", ".dill", ".npy", ".npz", ".pt", ".pth", ".h5", ".hdf5"}
)
"""Files that are pickles, or may hold them, under the name that the common libraries give them."""

KERAS_MEMBERS = frozenset({"config.json", "metadata.json", "model.weights.h5"})

KERAS_MODULES = frozenset(
    {
        "keras.layers",
        "keras.initializers",
        "keras.regularizers",
        "keras.constraints",
        "keras.dtype_policies",
        "keras.optimizers",
        "keras.optimizers.schedules",
        "keras.losses",
        "keras.metrics",
        "keras.src.models.functional",
        "keras.src.models.sequential",
        "keras.src.ops.math",
        "keras.src.ops.nn",
        "keras.src.ops.numpy",
    }
)
"""Where the parts of a model may come from; the rest of Keras holds loaders and downloaders too."""

KERAS_TOP_LEVEL = frozenset({"DTypePolicy", "Functional", "Model", "Sequential"})

KERAS_REFUSED = frozenset(
    {
        "Lambda",  # runs stored bytecode
        "FlaxLayer",  # these four run another framework's stored program
        "JaxLayer",
        "TFSMLayer",
        "TorchModuleWrapper",
        "IntegerLookup",  # these three read a vocabulary from any path
        "StringLookup",
        "TextVectorization",
    }
)

OWN_LAYERS = {"Calibration": ("cryvision.models.calibration", "cryvision>Calibration")}
"""Layers of this package that a model may hold: class, then module and registered name."""

KERAS_VALUES = frozenset({"__keras_tensor__", "__tensor__", "__numpy__", "__slice__"})
"""Marks with which Keras stores plain values."""

_ZIP_END_BYTES, _ZIP64_END_BYTES = 22, 20


class Files:
    """The files of a folder or of a zip, by relative name; nothing outside is ever opened.

    In errors it is ``shown`` as another path where one is given.
    """

    def __init__(self, path: Path, shown: Path | None = None) -> None:
        self.path = path
        self.shown = path if shown is None else shown
        if not path.exists():
            raise BundleError(f"{self.shown}: no bundle there")
        self._is_folder = path.is_dir()

    def check_members(self) -> None:
        """Refuse pickles and too much of anything, whether or not the bundle names it."""
        if self._is_folder:
            total = 0
            for n_files, (name, size) in enumerate(_walk(self.path), 1):
                total += size
                if total > MAX_UNPACKED_BYTES:
                    raise BundleError(_too_large(str(self.shown), total))
                if n_files > MAX_MEMBERS:
                    raise BundleError(f"{self.shown}: must hold at most {MAX_MEMBERS} files")
                check_not_pickle(name, str(self.shown))
            return
        with _open_zip(self.path, str(self.shown)) as archive:
            for info in archive.infolist():
                check_not_pickle(info.filename, str(self.shown))

    def read(self, name: str) -> bytes:
        """Bytes of one regular file, whose name must not leave the folder."""
        check_name(name, str(self.shown))
        if not self._is_folder:
            with _open_zip(self.path, str(self.shown)) as archive:
                return _read_member(archive, name, str(self.shown))
        path = self.path / name
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(os.path.realpath(self.path)):
            raise BundleError(f"{self.shown}: {name!r} leads out of the folder")
        if not real.is_file():
            raise BundleError(f"{self.shown}: the file {name!r} is missing")
        with os_errors(f"{self.shown}: cannot read {name!r}", BundleError):
            if real.stat().st_size > MAX_UNPACKED_BYTES:
                raise BundleError(_too_large(str(self.shown / name), real.stat().st_size))
            return real.read_bytes()


def check_name(name: str, where: str) -> None:
    """Refuse a file name that could lead out of its folder on any system."""
    inside = (
        not set(name) & set('\\:*?"<>|')
        and name.isprintable()
        and not any(step in ("", ".", "..") for step in name.split("/"))
    )
    if not inside:
        raise BundleError(f"{where}: {name!r} is not a plain path inside the bundle")


def check_not_pickle(name: str, where: str) -> None:
    """Refuse a file whose name shows that it is a pickle or may hold one."""
    if os.path.splitext(name)[1].lower() in PICKLE_SUFFIXES:
        raise BundleError(f"{where}: a bundle must not hold pickles or raw arrays; got {name!r}")


def check_not_too_long(text: bytes, where: str) -> None:
    """Refuse JSON that would fill the memory once it is read."""
    if len(text) > MAX_JSON_BYTES:
        raise BundleError(f"{where}: must be at most {MAX_JSON_BYTES} bytes; got {len(text)}")


def check_keras(data: bytes, where: str) -> None:
    """Refuse a ``.keras`` file that holds more than Keras' own layers and ``cryvision``'s.

    Refused are lambdas, layers that run foreign programs or read files, objects and functions from
    outside Keras, members that do not belong there, weights that are not all in the file as plain
    arrays, and a damaged file.
    """
    with _open_zip(io.BytesIO(data), where) as archive:
        for name in archive.namelist():
            if name not in KERAS_MEMBERS:
                raise BundleError(
                    f"{where}: a .keras file holds {', '.join(sorted(KERAS_MEMBERS))} only; "
                    f"got {name!r}"
                )
        text = _read_member(archive, "config.json", where)
        weights = _read_member(archive, "model.weights.h5", where)
    check_not_too_long(text, f"{where}: config.json")
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{where}: config.json is not JSON") from error
    waiting = [config]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if "class_name" in item:
                _check_keras_object(item, where)
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    check_hdf5(weights, where)


def _check_keras_object(item: dict[str, Any], where: str) -> None:
    """Refuse one serialised object unless it is a class on the lists above or one of our own."""
    kind, module, registered = (item.get(k) for k in ("class_name", "module", "registered_name"))
    if not isinstance(kind, str) or not isinstance(module, (str, type(None))):
        raise BundleError(f"{where}: config.json names a class by {kind!r:.80} of {module!r:.80}")
    if kind in KERAS_VALUES:
        return
    if kind in ("function", "__lambda__"):
        raise BundleError(
            f"{where}: functions are not loaded from a .keras file; got {item.get('config')!r:.80} "
            f"of module {module!r:.80}"
        )
    if kind in KERAS_REFUSED:
        raise BundleError(f"{where}: {kind} layers can run code or read files; they are refused")
    own = kind in OWN_LAYERS and OWN_LAYERS[kind] == (module, registered)
    # A lower-case name is a function of that module, not a class.
    of_keras = (
        kind[:1].isupper()
        and registered in (None, kind)
        and (module in KERAS_MODULES or (module == "keras" and kind in KERAS_TOP_LEVEL))
    )
    if not (own or of_keras):
        raise BundleError(
            f"{where}: objects from outside Keras are refused; got {kind!r:.80} of module "
            f"{module!r:.80}, registered as {registered!r:.80}"
        )


def _walk(folder: Path) -> Iterator[tuple[str, int]]:
    """Relative name and size in bytes of every file under a folder."""
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            size = os.lstat(path).st_size
            yield os.path.relpath(path, folder), size


def _open_zip(source: Path | io.BytesIO, where: str) -> zipfile.ZipFile:
    try:
        _check_zip_directory(source, where)
        archive = zipfile.ZipFile(source)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise BundleError(f"{where}: not a readable zip: {error}") from error
    try:
        _check_zip_members(archive, where)
    except BundleError:
        archive.close()
        raise
    return archive


def _check_zip_directory(source: Path | io.BytesIO, where: str) -> None:
    """Refuse a list of members that is long, by the record at the end of the file."""
    if isinstance(source, Path):
        if not source.is_file():
            raise BundleError(f"{where}: not a regular file")
        with source.open("rb") as file:
            file.seek(max(0, source.stat().st_size - _ZIP64_END_BYTES - _ZIP_END_BYTES))
            end = file.read()
    else:
        end = source.getbuffer()[-_ZIP64_END_BYTES - _ZIP_END_BYTES :].tobytes()
    record = end[-_ZIP_END_BYTES:]
    if not record.startswith(b"PK\x05\x06") or record[-2:] != b"\0\0":
        raise BundleError(f"{where}: not a readable zip: it is cut short or has a comment")
    size = int.from_bytes(record[12:16], "little")
    if size > MAX_DIRECTORY_BYTES or end.startswith(b"PK\x06\x07"):
        raise BundleError(f"{where}: must hold at most {MAX_MEMBERS} members")


def _check_zip_members(archive: zipfile.ZipFile, where: str) -> None:
    total, names = 0, set()
    if len(archive.infolist()) > MAX_MEMBERS:
        raise BundleError(f"{where}: must hold at most {MAX_MEMBERS} members")
    for info in archive.infolist():
        # orig_filename is the stored name: zipfile cuts at NUL and, on Windows, turns slashes.
        name = info.orig_filename[:-1] if info.is_dir() else info.orig_filename
        check_name(name, where)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise BundleError(f"{where}: the zip member {name!r} is a link or a device")
        if info.flag_bits & 0x1:
            raise BundleError(f"{where}: the zip member {name!r} is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BundleError(f"{where}: the zip member {name!r} must be stored or deflated")
        if name in names:
            raise BundleError(f"{where}: the zip holds {name!r} twice")
        names.add(name)
        total += info.file_size
    if total > MAX_UNPACKED_BYTES:
        raise BundleError(_too_large(where, total))


def _read_member(archive: zipfile.ZipFile, name: str, where: str) -> bytes:
    """Bytes of one member; zipfile stops at the declared size, which was checked."""
    try:
        return archive.read(name)
    except KeyError as error:
        raise BundleError(f"{where}: the file {name!r} is missing") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise BundleError(f"{where}: {name!r} is damaged: {error}") from error


def _too_large(where: str, size: int) -> str:
    return f"{where}: must unpack to at most {MAX_UNPACKED_BYTES} bytes; got {size} or more"
