"""Reads and writes the files of annotation editors, diarization tools and corpora."""

from __future__ import annotations

from cryvision.annotations.formats import (
    FORMATS,
    format_of,
    read_annotations,
    read_recordings,
    write_annotations,
)
from cryvision.annotations.interval import Interval

__all__ = [
    "FORMATS",
    "Interval",
    "format_of",
    "read_annotations",
    "read_recordings",
    "write_annotations",
]
