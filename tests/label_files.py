"""Files of labels, also those that must be refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryvision.annotations import read_annotations
from cryvision.errors import AnnotationError


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def assert_refused(path: Path, line: int, rule: str = "") -> None:
    """Check that a file is refused in one line, which names the path, the line and the rule."""
    with pytest.raises(AnnotationError) as caught:
        read_annotations(path)
    assert str(caught.value).startswith(f"{path}: line {line}: ")
    assert rule in str(caught.value)
    assert "\n" not in str(caught.value)
