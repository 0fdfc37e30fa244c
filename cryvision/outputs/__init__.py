"""A classification becomes text, tables, annotators' labels and figures.

matplotlib and praatio are imported by the writers that need them, not here.
"""

from __future__ import annotations

from cryvision.outputs.files import FORMATS, stems, write
from cryvision.outputs.tables import to_record
from cryvision.outputs.text import describe

__all__ = ["FORMATS", "describe", "stems", "to_record", "write"]
