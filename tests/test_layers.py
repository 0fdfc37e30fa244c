"""What is installed in layers says in one line which layer is missing."""

from __future__ import annotations

import atexit
import configparser
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import cryvision
from cryvision import cli, layers
from cryvision.errors import MissingDependencyError

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {
    "markdown_it": "markdown-it-py",
    "paho": "paho-mqtt",
    "parselmouth": "praat-parselmouth",
    "python_multipart": "python-multipart",
    "sklearn": "scikit-learn",
}
"""Modules whose package has another name."""

COMMANDS = {
    "evaluate": ["evaluate default SOURCE", "audit SOURCE", "agree SOURCE SOURCE"],
    "train": [
        "train SOURCE --out OUT",
        "train-audio-only SOURCE --out OUT",
        "train-detector SOURCE --out OUT",
    ],
    "export": ["export --out OUT.onnx"],
    "acoustics": ["classify SOURCE --acoustics", "score SOURCE --out OUT.csv --acoustics"],
    "web": ["serve --port 0"],
}


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that lets a layer's modules be found no more."""

    def hide(layer: str) -> None:
        real = layers.find_spec
        hidden = layers.LAYERS[layer]
        monkeypatch.setattr(
            layers, "find_spec", lambda name: None if name in hidden else real(name)
        )

    return hide


@pytest.mark.parametrize("layer", COMMANDS)
def test_a_command_without_its_layer_is_one_line_with_the_remedy(
    layer: str, without: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "source").mkdir()
    without(layer)
    for command in COMMANDS[layer]:
        words = command.replace("SOURCE", str(tmp_path / "source"))
        assert cli.main(words.replace("OUT", str(tmp_path / "out")).split()) == 1
        *_, line = capsys.readouterr().err.splitlines()
        assert line.endswith(f"install it with: python -m pip install 'cryvision[{layer}]'")
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("name", ["train", "train_audio_only", "train_detector"])
def test_a_function_without_its_layer_says_so_before_it_looks_at_its_source(
    name: str, without: Any, tmp_path: Path
) -> None:
    without("train")
    with pytest.raises(cryvision.CryvisionError, match=r"training needs .* 'cryvision\[train\]'$"):
        getattr(cryvision, name)(tmp_path / "none", tmp_path / "out")


def test_what_is_installed_but_cannot_be_imported_is_told_with_its_reason() -> None:
    with (
        pytest.raises(MissingDependencyError, match=r"cannot be imported: libx\.so: no such file"),
        layers.needed("drawing", "matplotlib"),
    ):
        raise ImportError("libx.so: no such file")


def test_only_the_code_of_tensorflow_is_removed_at_the_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Lazy(ModuleType):
        def __getattr__(self, name: str) -> Any:
            raise ImportError("what it stands for is not installed")

    registered: list[Callable[[], None]] = []
    monkeypatch.setattr(atexit, "register", registered.append)
    layers._clean_up_after_autograph.__wrapped__()
    compiled = tmp_path / "__pycache__" / "x.pyc"
    compiled.parent.mkdir()
    compiled.touch()
    made = ModuleType("__autograph_generated_file_x")
    made.__cached__ = str(compiled)
    monkeypatch.setitem(sys.modules, "lazy_module_of_a_test", Lazy("lazy_module_of_a_test"))
    monkeypatch.setitem(sys.modules, made.__name__, made)
    (remove,) = registered
    remove()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def extras() -> dict[str, set[str]]:
    """Requirements of each layer."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    return {
        name: set(text.split("\n")) - {""}
        for name, text in config["options.extras_require"].items()
    }


@pytest.mark.parametrize("layer", layers.LAYERS)
def test_a_layer_brings_what_it_is_checked_for(layer: str, extras: dict[str, set[str]]) -> None:
    packages = {re.split(r"[><=;]", requirement)[0] for requirement in extras[layer]}
    assert {PACKAGES.get(module, module) for module in layers.LAYERS[layer]} <= packages


def test_all_is_all_of_them(extras: dict[str, set[str]]) -> None:
    layers_of_users = ("evaluate", "train", "export", "batch", "acoustics", "live", "web")
    assert extras["all"] == set().union(*(extras[name] for name in layers_of_users))
