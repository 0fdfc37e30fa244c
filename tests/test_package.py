"""What importing costs, which way imports point, and what the distribution says of itself."""

from __future__ import annotations

import ast
import configparser
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import cryvision

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path(cryvision.__file__).parent

HEAVY = {"tensorflow", "keras", "numba", "librosa", "sklearn", "scipy", "matplotlib", "onnx"}
HELP_SECONDS = 0.15  # what the project promises for --help, CPU time, the interpreter included

# Who may import whom, from the design: each module names those it may use, beside config and
# errors. Names of folders stand for all modules in them.
ALLOWED: dict[str, set[str]] = {
    "__init__": {"batch", "bundle", "classifier", "export", "result", "learning"},
    "__main__": {"cli"},
    "cli": {"commands", "traces"},
    "traces": set(),
    "commands": {
        *("batch", "bundle", "classifier", "download", "export", "inputs", "learning"),
        *("outputs", "result", "staging"),
    },
    "classifier": {
        *("branch_inputs", "bundle", "crying", "facing", "inputs", "labelling", "reasons"),
        *("result", "smoothing", "timeline", "veto"),
    },
    "reasons": {"branch_inputs", "bundle", "detector", "facing", "scoring", "stack"},
    "branch_inputs": {"detector", "facing", "scoring"},
    "crying": {"bundle", "detector", "events", "labelling", "result", "tags", "timeline"},
    "events": {"detector", "result", "smoothing", "veto"},
    "detector": {"bundle", "inputs", "runtime", "steps", "tags", "veto"},
    "steps": {"inputs", "runtime"},
    "tags": {"inputs", "runtime"},
    "veto": {"result", "tags"},
    "facing": {"inputs"},
    "scoring": {"detector", "inputs"},
    "timeline": {"smoothing"},
    "labelling": set(),
    "download": set(),
    "batch": {
        *("bundle", "classifier", "inputs", "models", "outputs", "result", "runtime"),
        *("smoothing", "staging"),
    },
    "bundle": {"inputs", "runtime", "description", "parts", "stack", "staging", "untrusted"},
    "stack": set(),
    "description": {"checking", "parts"},
    "parts": {"checking", "inputs", "runtime", "untrusted"},
    "checking": {"untrusted"},
    "runtime": {"models", "session"},
    "session": set(),
    "outputs": {"result", "inputs"},
    "smoothing": {"result"},
    "learning": {
        *("branch_inputs", "bundle", "classifier", "detector", "download", "events", "export"),
        *("facing", "inputs", "labelling", "models", "result", "runtime", "scoring", "smoothing"),
        *("staging", "steps", "tags", "veto"),
    },
    "export": {
        *("bundle", "inputs", "labelling", "models", "parts", "result", "runtime", "scoring"),
        *("smoothing", "staging", "tags", "veto"),
    },
    "models": set(),
    "inputs": {"session", "download", "staging", "models", "runtime", "untrusted"},
    "result": set(),
    "staging": set(),
    "untrusted": {"hdf5_check", "onnx_check"},
    "hdf5_check": set(),
    "onnx_check": set(),
    "config": set(),
    "errors": set(),
}
KERAS_USERS = {
    *("models", "runtime", "learning/pieces", "learning/hearing", "learning/branches"),
    "learning/curve_log",
    *("inputs/backbone", "inputs/embedding", "export"),
}


def modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py"))


def place(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").as_posix()


def imported(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it, less what only the type checker sees."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for_types.update(ast.walk(node))
    names: set[str] = set()
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            if node.module == "cryvision":
                names.update(f"cryvision.{alias.name}" for alias in node.names)
    return names


@pytest.mark.parametrize("path", modules(), ids=place)
def test_imports_point_downwards_only(path: Path):
    own = place(path).split("/")[0]
    for name in imported(path):
        parts = name.split(".")
        if parts[0] != "cryvision" or len(parts) < 2 or parts[1].startswith("_"):
            continue
        assert parts[1] in ALLOWED[own] | {own, "config", "errors"}, f"{place(path)} uses {name}"


@pytest.mark.parametrize("path", modules(), ids=place)
def test_keras_is_imported_where_models_are_made_or_run_and_nowhere_else(path: Path):
    name = place(path)
    if not any(name == user or name.startswith(f"{user}/") for user in KERAS_USERS):
        assert not {n.split(".")[0] for n in imported(path)} & {"keras", "tensorflow"}


def loaded_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.split(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


def test_importing_the_package_loads_the_standard_library_only():
    loaded = loaded_after("import cryvision, cryvision.cli; cryvision.cli.build_parser()")
    assert not loaded & (HEAVY | {"numpy", "onnxruntime", "tqdm", "ffmpeg", "cv2"})


def test_classifying_needs_only_numpy_onnxruntime_and_the_media_tools(tone_wav: Path):
    bundle = Path(__file__).parent / "data" / "bundle_v1"
    loaded = loaded_after(
        "import sys\n"
        f"for name in {sorted(HEAVY)!r}: sys.modules[name] = None\n"
        f"import cryvision; cryvision.classify({str(tone_wav)!r}, {str(bundle)!r})\n"
        f"for name in {sorted(HEAVY)!r}: del sys.modules[name]"
    )
    assert {"numpy", "onnxruntime"} <= loaded
    assert not loaded & HEAVY


def test_help_comes_at_once():
    best = min(_help_cpu_seconds() for _ in range(3))
    assert best <= HELP_SECONDS


def _help_cpu_seconds() -> float:
    resource = pytest.importorskip("resource", reason="CPU time of children is read on POSIX only")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "cryvision", "--help"], stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_every_public_name_is_there():
    for name in cryvision.__all__:
        assert getattr(cryvision, name) is not None
    assert set(cryvision.__all__) <= set(dir(cryvision))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = cryvision.nonsense


def test_the_version_is_in_the_changelog():
    assert f"## {cryvision.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_setup_cfg_holds_all_metadata():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert config["options"]["python_requires"] == ">=3.10,<3.14"
    assert config["metadata"]["license_expression"] == "Apache-2.0"
    sections = re.findall(r"^\[.*\]$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert sections == ["[build-system]"]


def test_modules_stay_readable():
    too_long = [place(p) for p in modules() if len(p.read_text().splitlines()) > 420]
    assert not too_long
