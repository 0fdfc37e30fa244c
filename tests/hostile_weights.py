"""Plants in an HDF5 file what is no plain array: links, other files, types and layouts."""

from __future__ import annotations

import h5py
import numpy as np


def external(file: h5py.File) -> None:
    file.create_dataset("0", (4,), "f4", external=[("/etc/passwd", 0, 16)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/tmp/other.h5", "x", (4,))
    file.create_virtual_dataset("0", layout)


def external_link(file: h5py.File) -> None:
    file["0"] = h5py.ExternalLink("/tmp/other.h5", "/x")


def soft_link(file: h5py.File) -> None:
    file["0"] = h5py.SoftLink("/layers")


def hard_link(file: h5py.File) -> None:
    file.create_dataset("0", data=np.zeros(4, "f4"))
    file["1"] = file["0"]


def ring(file: h5py.File) -> None:
    file.create_group("a/b")
    file["a/b/c"] = file["a"]


def chunked(file: h5py.File) -> None:
    file.create_dataset("0", (2**40,), "f4", chunks=(1024,))


def compressed(file: h5py.File) -> None:
    file.create_dataset("0", data=np.zeros(1000, "f4"), compression="gzip")


def unwritten(file: h5py.File) -> None:
    file.create_dataset("0", (2**40,), "f4")


def growing(file: h5py.File) -> None:
    file.create_dataset("0", data=np.zeros(3, "f4"), maxshape=(None,))


def texts(file: h5py.File) -> None:
    file.create_dataset("0", data="text")


def references(file: h5py.File) -> None:
    file.attrs["r"] = file.ref


def compound(file: h5py.File) -> None:
    file.create_dataset("0", data=np.zeros(3, [("a", "f4"), ("b", "i4")]))


def named_type(file: h5py.File) -> None:
    file["t"] = np.dtype("f4")


PLANTS = (
    *(external, virtual, external_link, soft_link, hard_link, ring, chunked, compressed),
    *(unwritten, growing, texts, references, compound, named_type),
)
