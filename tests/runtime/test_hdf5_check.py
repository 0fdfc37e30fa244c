"""Weights of Keras are plain arrays in their own file, or they are refused unopened."""

from __future__ import annotations

import contextlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from bundles import BUNDLE_V1
from hostile import changed_copies
from hostile_weights import PLANTS

from cryvision.bundle.bundle import SHIPPED
from cryvision.errors import BundleError
from cryvision.runtime.hdf5_check import check_hdf5

SHIPPED = [
    *(SHIPPED).glob("*/*.keras"),
    BUNDLE_V1 / "detector.keras",
]


def written(fill: Callable[[h5py.File], object], **options: str) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", **options) as file:
        fill(file)
    return buffer.getvalue()


def refusal(data: bytes) -> str:
    with pytest.raises(BundleError, match=r"^m\.keras: the weights must be plain") as caught:
        check_hdf5(data, "m.keras")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def weights_of(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.read("model.weights.h5")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_ships_passes(path: Path) -> None:
    check_hdf5(weights_of(path), str(path))


def test_what_keras_may_write_passes() -> None:
    """Many layers and many weights in one, numbers alone, nothing, attributes."""

    def fill(file: h5py.File) -> None:
        for i in range(100):
            group = file.create_group(f"layers/dense_{i}/vars")
            group.attrs["name"] = "n" * i
            for k in range(40 if i == 7 else 2):
                group.create_dataset(str(k), data=np.zeros((i % 3, 4), np.float32))
            group.create_dataset("seed", data=np.uint32(3))
        file["layers"].attrs["n"] = np.arange(3)

    check_hdf5(written(fill), "m.keras")


@pytest.mark.parametrize("fill", PLANTS)
def test_whatever_is_not_a_plain_array(fill: Callable[[h5py.File], object]) -> None:
    refusal(written(fill))


def test_other_formats_of_hdf5() -> None:
    refusal(written(lambda file: file.create_group("a"), libver="latest"))
    refusal(b"\x80\x04K\x01.")
    assert "no HDF5 file" in refusal(bytes(512) + written(lambda file: None))


def test_shapes_beyond_the_data_are_refused_before_anything_is_read() -> None:
    data = written(lambda file: file.create_dataset("0", data=np.zeros(777, "f4")))
    at = data.index((777).to_bytes(8, "little"))
    changed = data[:at] + (2**40).to_bytes(8, "little") * 2 + data[at + 16 :]
    assert "not as large as its shape" in refusal(changed)


@pytest.mark.parametrize("n_copies", [500, pytest.param(1500, marks=pytest.mark.slow)])
def test_any_truncation_and_any_changed_byte_is_refused_or_harmless(n_copies: int) -> None:
    """Whatever passes is, to h5py, made of hard links to contiguous arrays of some size."""
    data = weights_of(BUNDLE_V1 / "detector.keras")
    for length in range(0, len(data), 997):
        refusal(data[:length])
    n_passed = 0
    for changed in changed_copies(data, n_copies, most=30, seed=3):
        try:
            check_hdf5(changed, "m.keras")
        except BundleError:
            continue
        n_passed += 1
        # What h5py finds damaged is not read either.
        damaged = (OSError, KeyError, ValueError, RuntimeError, TypeError)
        with contextlib.suppress(*damaged), h5py.File(io.BytesIO(changed)) as file:
            look_at(file)
    assert n_passed > n_copies // 30


def look_at(group: h5py.Group) -> None:
    for name in group:
        link = group.get(name, getlink=True)
        assert not isinstance(link, h5py.SoftLink | h5py.ExternalLink)
        if isinstance(group[name], h5py.Group):
            look_at(group[name])
            continue
        plist = group[name].id.get_create_plist()
        assert plist.get_external_count() == plist.get_nfilters() == 0
        assert plist.get_layout() == h5py.h5d.CONTIGUOUS
        assert group[name].nbytes < 100_000
