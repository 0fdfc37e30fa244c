"""Files of labels that must be refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryvision.annotations import read_annotations
from cryvision.errors import AnnotationError


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def assert_refused(path: Path, line: int, rule: str) -> None:
    """Check that a file is refused in one line, which names it, its line and the rule."""
    with pytest.raises(AnnotationError) as caught:
        read_annotations(path)
    assert str(caught.value).startswith(f"{path}: line {line}: ")
    assert rule in str(caught.value)
    assert "\n" not in str(caught.value)
