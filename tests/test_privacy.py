"""Nothing that the package imports may report home or leave traces on the user's machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SECONDS = 4
"""onnxruntime with telemetry leaves its files within this time."""


def run_apart(code: str, home: Path, temporary: Path) -> subprocess.CompletedProcess[str]:
    """Run Python with an empty home, where nothing has switched telemetry off yet."""
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    environment.update(HOME=str(home), USERPROFILE=str(home), TMPDIR=str(temporary))
    environment.pop("XDG_CACHE_HOME", None)
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )


def test_onnxruntime_leaves_nothing_behind(tmp_path: Path):
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    temporary.mkdir()
    code = f"import cryvision, onnxruntime, time; time.sleep({SECONDS})"
    assert run_apart(code, home, temporary).stderr == ""
    assert [p for p in (*home.rglob("*"), *temporary.rglob("*")) if p.is_file()] == []


def test_an_import_that_came_too_early_is_named_once(tmp_path: Path):
    code = "import onnxruntime, cryvision, importlib; importlib.reload(cryvision)"
    said = run_apart(code, tmp_path, tmp_path).stderr
    assert said.count("onnxruntime was imported before cryvision") == 1
