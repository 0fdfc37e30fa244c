"""What importing costs, which way imports point, and what the distribution says of itself."""

from __future__ import annotations

import ast
import configparser
import functools
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pages import ROOT, extension

import cryvision

PACKAGE = Path(cryvision.__file__).parent

HEAVY = {"tensorflow", "keras", "numba", "librosa", "sklearn", "scipy", "matplotlib", "onnx"}
MOST_PARAMETERS, MOST_FUNCTION_LINES = 8, 60  # of a function, as reviewers want them

HELP_SECONDS = 0.15  # what the project promises for --help, CPU time, the interpreter included

floors = extension("floors")


def modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py"))


def place(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").as_posix()


def listed(faults: list[str]) -> str:
    return "\n".join(["", *faults, "the table is in docs/_ext/floors.py"])


@pytest.fixture(scope="module")
def read():
    """All modules of the package, and what they import."""
    return floors.read_modules(PACKAGE)


def test_imports_point_downwards_only(read):
    faults = floors.layer_faults(read)
    assert not faults, listed(faults)


def test_keras_is_imported_where_models_are_made_or_run_and_nowhere_else(read):
    faults = floors.keras_faults(read)
    assert not faults, listed(faults)


def test_every_fault_of_the_layers_is_named(tmp_path: Path):
    texts = {
        "__init__": '_PUBLIC = {"classify": "cryvision.top"}',
        "ground": "def late():\n    from cryvision import top, __version__\n    import keras",
        "middle/one": "import typing\nif typing.TYPE_CHECKING:\n    import cryvision.top",
        "middle/two": "from cryvision.middle import one\nfrom cryvision.gone import x",
        "top": '"""The top."""\nimport cryvision.ground\nfrom cryvision import middle',
        "new": "import cryvision.top",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.py").write_text(text)
    read = floors.read_modules(tmp_path)
    table = [floors.Floor("", ("ground", "middle", "old")), floors.Floor("", ("top", "__init__"))]
    assert floors.layer_faults(read, table) == [
        "new is on no floor of the table",
        "old is on a floor, but not in the package",
        "ground imports top, which is above ground",
        "middle/two imports gone, which is not in the package",
    ]
    assert floors.keras_faults(read) == ["ground imports keras"]
    assert floors.room_imports(read)["__init__"] == {"top"}
    twice = [*table, floors.Floor("", ("new", "top"))]
    assert "top is on two floors" in floors.layer_faults(read, twice)


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


def test_a_warning_is_printed_only_where_logging_is_configured(tone_wav: Path, tmp_path: Path):
    longer = tmp_path / "longer.wav"
    longer.write_bytes(tone_wav.read_bytes() + bytes(64_000))  # more sound than the header states
    read = f"from cryvision.inputs.media import read_sound; read_sound({str(longer)!r})"
    silent, verbose = (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for code in (read, f"import logging; logging.basicConfig(); {read}")
    )
    assert (silent.stdout, silent.stderr, verbose.stdout) == ("", "", "")
    assert "longer.wav" in verbose.stderr


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
    best = min(_help_cpu_seconds() for _ in range(5))
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


def test_the_citation_has_the_version():
    lines = (ROOT / "CITATION.cff").read_text().splitlines()
    assert f"version: {cryvision.__version__}" in lines


def test_setup_cfg_holds_all_metadata():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert config["options"]["python_requires"] == ">=3.10,<3.14"
    assert config["metadata"]["license_expression"] == "Apache-2.0"
    sections = re.findall(r"^\[.*\]$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert sections == ["[build-system]"]


def test_modules_stay_readable():
    too_long = [place(p) for p in modules() if len(p.read_text().splitlines()) > 400]
    assert not too_long


@functools.cache
def functions() -> list[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    return [
        (f"{place(path)}: {node.name}", node)
        for path in modules()
        for node in floors.statements(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def test_functions_take_few_parameters():
    def n_parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
        given = function.args
        named = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
        return sum(one is not None and one.arg not in ("self", "cls") for one in named)

    too_many = [name for name, node in functions() if n_parameters(node) > MOST_PARAMETERS]
    assert not too_many


def test_functions_stay_readable():
    too_long = [
        name
        for name, node in functions()
        if (node.end_lineno or 0) - node.lineno + 1 > MOST_FUNCTION_LINES
    ]
    assert not too_long
