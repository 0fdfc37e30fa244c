"""A place that nothing can be written to is refused before the work, not after it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cryvision.cli import main

COMMANDS = {
    "evaluate nowhere --out": "report",
    "train nowhere --out": "bundle",
    "train-detector nowhere --out": "bundle",
    "train-audio-only nowhere --out": "bundle.zip",
    "audit nowhere --html": "page.html",
    "agree nowhere nowhere --html": "page.html",
    "agree nowhere nowhere --figure": "figure.png",
    "export --bundle nowhere --out": "cry.onnx",
    "lr-find nowhere --out": "curve.png",
    "features nowhere.wav --out": "rows.npz",
    "score nowhere --out t.csv --summary s.csv --week": "week.png",
}


@pytest.mark.parametrize("words", COMMANDS)
def test_a_place_below_a_file_is_refused(
    words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes").touch()
    place = tmp_path / "notes" / "deep" / COMMANDS[words]
    assert main([*words.split(), str(place)]) == 1
    refusal = capsys.readouterr().err.splitlines()[-1]
    assert f"{COMMANDS[words]}: cannot be written: notes is not a folder" in refusal


@pytest.mark.parametrize("words", COMMANDS)
def test_a_folder_that_may_not_be_written_to_is_refused(
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    assert main([*words.split(), str(tmp_path / "new" / COMMANDS[words])]) == 1
    refusal = capsys.readouterr().err.splitlines()[-1]
    assert f"no permission to write to the folder {tmp_path.name}" in refusal


@pytest.mark.parametrize("words", ["evaluate nowhere --out", "audit nowhere --html"])
def test_a_root_is_refused(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    root = os.path.abspath(os.sep)
    assert main([*words.split(), root]) == 1
    refusal = capsys.readouterr().err.splitlines()[-1]
    assert f"{root}: cannot be written: there is no folder for it" in refusal


@pytest.mark.parametrize(
    ("words", "place", "suffix"),
    [
        ("agree nowhere nowhere --figure", "figure.pdf", ".png"),
        ("agree nowhere nowhere --html", "page.pdf", ".html"),
        ("audit nowhere --html", "page.htm", ".html"),
        ("lr-find nowhere --out", "cry.wav", ".png"),
        ("features nowhere.wav --out", "rows.csv", ".npz"),
        ("score nowhere --out t.csv --summary", "hours.xlsx", ".csv"),
        ("score nowhere --out t.csv --summary s.csv --week", "week.jpg", ".png"),
        ("live report nowhere --figure", "days.svg", ".png"),
    ],
)
def test_a_name_that_tells_of_another_kind_of_file_is_refused(
    words: str,
    place: str,
    suffix: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*words.split(), place]) == 2
    assert f"must end in {suffix}; got '{place}'" in capsys.readouterr().err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", ["lr-find nowhere --out", "features nowhere.wav --out"])
def test_a_folder_where_a_file_is_to_be_is_refused(
    words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / COMMANDS[words]
    place.mkdir()
    assert main([*words.split(), str(place)]) == 1
    refusal = capsys.readouterr().err.splitlines()[-1]
    assert f"{place}: cannot be written: it is a folder" in refusal
