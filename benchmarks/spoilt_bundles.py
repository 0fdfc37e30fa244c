"""Spoils a bundle: its description, its zip, its ONNX and Keras models, each in ways of its own.

Each function takes a bundle's folder, a source of random numbers and a file elsewhere that nothing
may read, and changes the folder, or puts a zip in its place.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from report import ROOT

sys.path.insert(0, str(ROOT / "tests"))
from hostile import (
    MISBEHAVING,
    WILD_VALUES,
    change_wildly,
    edit,
    field,
    keras_with,
    outside,
    put,
    rezipped,
    zip_of,
)
from hostile_weights import PLANTS

RUNTIMES = ("onnx", "keras")
DECOYS = "decoys"
Random = np.random.Generator


def names(decoy: Path) -> tuple[str, ...]:
    """Names of files that a bundle has no business with."""
    relative = f"../../{DECOYS}/{decoy.name}"
    return (
        *(str(decoy), relative, f"a/../{relative}", "/etc/hostname", "..", ".", "", "/", "a\\b"),
        *(
            "C:\\w.onnx",
            r"\\host\share\w",
            "http://h/w",
            "x\0y",
            "n" * 3000,
            "~/.bashrc",
            "\x1b[2J",
        ),
    )


def description_fields(folder: Path, random: Random, decoy: Path) -> None:
    """Wild values in one to three fields of the description."""
    values = (*WILD_VALUES, *names(decoy))
    for _ in range(random.integers(1, 4)):
        edit(folder, lambda d: change_wildly(d, random, values))


def description_paths(folder: Path, random: Random, decoy: Path) -> None:
    """Another file where the description names one of its own."""
    name = pick(names(decoy), random)

    def change(description: dict[str, Any]) -> None:
        part = pick(description["parts"], random)
        if random.random() < 0.3:
            part["face"] = {"backbone_weights": name}
        else:
            part["files"][pick(RUNTIMES, random)]["path"] = name

    edit(folder, change)


def description_bytes(folder: Path, random: Random, decoy: Path) -> None:
    """Bytes of the description that are changed, cut off or nested without end."""
    place = folder / "bundle.json"
    data = bytearray(place.read_bytes())
    if random.random() < 0.2:
        data = bytearray(b'{"a":' * 50_000)
    elif random.random() < 0.3:
        del data[random.integers(len(data)) :]
    else:
        flip(data, random)
    place.write_bytes(data)


def links(folder: Path, random: Random, decoy: Path) -> None:
    """A file of the bundle that leads elsewhere, is a folder, a pipe, or not there."""
    place = pick(sorted(folder.iterdir()), random)
    place.unlink()
    kind = random.integers(4)
    if kind == 0:
        place.symlink_to(pick((decoy, Path("/dev/zero"), Path("/etc/hostname")), random))
    elif kind == 1:
        place.mkdir()
    elif kind == 2:
        os.mkfifo(place)


def zip_members(folder: Path, random: Random, decoy: Path) -> None:
    """A zip with a member of an odd name, or that is a link."""
    info = zipfile.ZipInfo(pick((*names(decoy), "w.pkl", "bundle.json"), random) or "x")
    if random.random() < 0.3:
        info.external_attr = 0o120777 << 16
    as_zip(folder, (info, str(decoy).encode()))


def zip_bytes(folder: Path, random: Random, decoy: Path) -> None:
    """A zip with changed bytes, most of them where its members are listed."""
    as_zip(folder)
    data = bytearray(folder.read_bytes())
    flip(data, random, first=max(0, len(data) - 2000) if random.random() < 0.7 else 0)
    folder.write_bytes(data)


def onnx_bytes(folder: Path, random: Random, decoy: Path) -> None:
    """An ONNX model with changed bytes."""
    name = model_of(folder, random, "onnx")
    data = bytearray((folder / name).read_bytes())
    flip(data, random, first=0, last=len(data) if random.random() < 0.3 else 4000)
    put(folder, name, bytes(data))


def onnx_fields(folder: Path, random: Random, decoy: Path) -> None:
    """An ONNX model with more fields: weights in other files, functions, tags beyond 32 bits."""
    name = model_of(folder, random, "onnx")
    tag_bits = int(pick((0, 1 << 32, 1 << 34, 1 << 60), random))
    planted = outside(pick(names(decoy)[:4], random), tag_bits)
    number = int(pick((5, 15, 20, 25, 13, 99, 2**28), random))
    more = (
        field(7, field(5, planted), tag_bits) if number == 5 else field(number, planted, tag_bits)
    )
    put(folder, name, (folder / name).read_bytes() + more)


def onnx_models(folder: Path, random: Random, decoy: Path) -> None:
    """A model that is well formed and does not do what it should."""
    put(folder, model_of(folder, random, "onnx"), pick(list(MISBEHAVING.values()), random))


def keras_config(folder: Path, random: Random, decoy: Path) -> None:
    """A Keras model of other layers and settings, some that read files or run code."""
    name = model_of(folder, random, "keras")
    layer = pick(
        (
            {"class_name": "TextVectorization", "config": {"vocabulary": str(decoy)}},
            {"class_name": "StringLookup", "config": {"vocabulary": str(decoy)}},
            {"class_name": "TFSMLayer", "config": {"filepath": str(decoy.parent)}},
            {"class_name": "Lambda", "config": {"function": ["00", None, None]}},
            {"class_name": "get_file", "config": {"origin": "http://h/w", "fname": str(decoy)}},
        ),
        random,
    )
    values = (
        *WILD_VALUES,
        *names(decoy),
        {"module": "keras.layers", **layer},
        "keras.utils",
        layer,
    )

    def change(config: dict[str, Any]) -> None:
        for _ in range(random.integers(1, 3)):
            change_wildly(config, random, values)

    put(folder, name, keras_with(change, of=folder / name))


def keras_weights(folder: Path, random: Random, decoy: Path) -> None:
    """Weights of Keras with links, other files and layouts, or changed bytes."""
    name = model_of(folder, random, "keras")
    with zipfile.ZipFile(folder / name) as archive:
        weights = io.BytesIO(archive.read("model.weights.h5"))
    if random.random() < 0.5:
        with h5py.File(weights, "r+") as file, contextlib.suppress(KeyError):
            place = file.create_group("planted") if random.random() < 0.5 else file
            pick(PLANTS, random)(place)
        data = weights.getvalue()
    else:
        changed = bytearray(weights.getvalue())
        flip(changed, random)
        data = bytes(changed)
    put(folder, name, keras_with(of=folder / name, model__weights__h5=data))


def keras_members(folder: Path, random: Random, decoy: Path) -> None:
    """A Keras file with members that do not belong there, or changed bytes."""
    name = model_of(folder, random, "keras")
    data = bytearray((folder / name).read_bytes())
    if random.random() < 0.5:
        flip(data, random)
    else:
        extra = pick((*names(decoy)[:4], "assets/x", "_layer/vocabulary.txt", "a.pkl"), random)
        data = bytearray(rezipped(bytes(data), lambda members: members.update({extra: b"x"})))
    put(folder, name, bytes(data))


SPOILERS: tuple[Callable[[Path, Random, Path], None], ...] = (
    *(description_fields, description_paths, description_bytes, links, zip_members, zip_bytes),
    *(onnx_bytes, onnx_fields, onnx_models, keras_config, keras_weights, keras_members),
)


def pick(things: Any, random: Random) -> Any:
    """Draw one of several things."""
    return things[int(random.integers(len(things)))]


def flip(data: bytearray, random: Random, first: int = 0, last: int | None = None) -> None:
    """Change one to six bytes of a stretch."""
    last = min(len(data), last or len(data))
    for place in random.integers(first, last, size=random.integers(1, 7)):
        data[place] = int(random.integers(256))


def model_of(folder: Path, random: Random, kind: str) -> str:
    """Draw the name of a model."""
    return str(pick(sorted(folder.glob(f"*.{kind}")), random).name)


def as_zip(folder: Path, *extra: tuple[zipfile.ZipInfo, bytes]) -> None:
    """Put a zip in the place of a bundle's folder."""
    whole = folder.with_suffix(".folder")
    folder.rename(whole)
    zip_of(whole, folder, *extra)
    shutil.rmtree(whole)
