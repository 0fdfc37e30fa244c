"""What a user may choose when a bundle is exported."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TypedDict

from cryvision.argument_types import check_types
from cryvision.config import check_choice
from cryvision.errors import ConfigError
from cryvision.export.graph import CHOICES

SUFFIXES = {"coreml": ".mlpackage", "onnx": ".onnx", "litert": ".tflite"}

PRECISIONS = ("fp32", "fp16", "int8")


@dataclass(frozen=True)
class ExportOptions:
    """What of a bundle is exported, and how.

    Attributes
    ----------
    to : {"coreml", "onnx", "litert"}, optional
        By default by the ending of the file's name.
    precision : {"fp32", "fp16", "int8"}, optional
        By default ``fp16`` for Core ML, else ``fp32``.
    part : {"all", "detector", "reason", "face"}
        ``all`` is the detector and the reason in one file, as far as the bundle has them.
    representative : path, optional
        A recording or a folder of recordings: to compare on, beside synthetic sound, and for the
        ranges of ``int8``, which cannot do without.
    features : bool
        Whether the file takes features in place of waveform.
    overwrite : bool
        Whether to replace an older export.
    force : bool
        Whether to write in 8 bits what changes labels, steps or tags in more than a tenth of cases.

    Raises
    ------
    ConfigError
        If one is unknown, ``int8`` lacks recordings, or ``force`` has nothing to force.
    """

    to: str | None = None
    precision: str | None = None
    part: str = "all"
    representative: str | os.PathLike[str] | None = None
    features: bool = False
    overwrite: bool = False
    force: bool = False

    def __post_init__(self) -> None:
        check_types(self)
        if self.to is not None and self.to not in SUFFIXES:
            raise ConfigError(f"an export goes to {', '.join(SUFFIXES)}; got {self.to!r}")
        if self.precision is not None:
            check_choice("precision", self.precision, PRECISIONS)
        check_choice("part", self.part, CHOICES)
        if self.force and self.precision != "int8":
            raise ConfigError(f"force is for the precision int8; got {self.precision!r}")
        if self.precision == "int8" and self.representative is None:
            raise ConfigError(
                "int8 needs recordings to measure ranges and agreement on: give representative"
            )


class ExportValues(TypedDict, total=False):
    """The fields of `ExportOptions` as keyword arguments, for type checkers."""

    to: str | None
    precision: str | None
    part: str
    representative: str | os.PathLike[str] | None
    features: bool
    overwrite: bool
    force: bool
