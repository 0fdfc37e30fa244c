"""``cryvision export`` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryvision import cli
from cryvision.bundle import Bundle

pytestmark = pytest.mark.usefixtures("few_windows")


def test_it_writes_a_file_and_says_what_was_proven(
    toy: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "cry.tflite"
    command = ["export", str(toy.folder), "--out", str(target), "--part", "detector"]
    assert cli.main(command) == 0
    output = capsys.readouterr()
    assert target.is_file()
    assert (tmp_path / "cry.tflite.json").is_file()
    assert "control, weights x 1.02: would fail" in output.out
    assert "proven: the file, run by the LiteRT interpreter, agrees" in output.out
    assert "not proven: anything on real recordings" in output.out


@pytest.mark.parametrize(
    ("more", "status", "named"),
    [
        (["--out", "cry.h5"], 2, "must end in .mlpackage, .onnx, .tflite"),
        (["--out", "cry.onnx", "--precision", "int8"], 2, "int8 needs recordings"),
        (["--out", "cry.onnx", "--part", "face"], 2, "there is no face to export"),
    ],
)
def test_what_goes_wrong_is_one_line(
    toy: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    status: int,
    named: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["export", str(toy.folder), *more]) == status
    output = capsys.readouterr()
    (line,) = output.err.splitlines()
    assert named in line
    assert output.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there", ["cry.tflite", "cry.tflite.json"])
def test_what_is_there_is_refused_by_name_of_the_option_that_replaces_it(
    toy: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    there: str,
) -> None:
    (tmp_path / there).write_bytes(b"older")
    words = ["export", str(toy.folder), "--out", str(tmp_path / "cry.tflite"), "--part", "detector"]
    assert cli.main(words) == 1
    refused = capsys.readouterr().err.splitlines()[-1]
    assert f"{there}: exists already; --overwrite " in refused
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"older"]

    def fails(*given: object) -> None:
        raise OSError(28, "No space left on device")

    # Until the new one is whole, the older one stays.
    with monkeypatch.context() as broken:
        broken.setattr("cryvision.export.deploy._convert", fails)
        assert cli.main([*words, "--overwrite"]) == 1
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"older"]
    assert cli.main([*words, "--overwrite"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cry.tflite", "cry.tflite.json"]
    assert b"older" not in [path.read_bytes() for path in tmp_path.iterdir()]
