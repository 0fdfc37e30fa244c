"""``audit`` says what is wrong in a corpus: text, JSON, a page, exit status."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import phones
import pytest

from cryvision import cli
from cryvision.commands import audit as command

Command = Callable[..., Any]


@pytest.fixture
def audit(run: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Return ``audit(*arguments) -> Done``."""
    monkeypatch.setattr(cli, "GROUPS", {"use": (command,)})
    return lambda *arguments: run("audit", *arguments)


@pytest.fixture(scope="module")
def sung(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six clips of three phones, one of them under both labels."""
    corpus = phones.write_corpus(tmp_path_factory.mktemp("sung"), n_phones=3)
    clip = next((corpus / "hungry").iterdir())
    shutil.copy(clip, corpus / "tired" / clip.name)
    return corpus


@pytest.fixture
def corpus(sung: Path, tmp_path: Path) -> Path:
    """A copy of the corpus to change."""
    return Path(shutil.copytree(sung, tmp_path / "corpus"))


def test_what_matters_comes_first(audit: Command, corpus: Path) -> None:
    done = audit(corpus)
    assert done.code == 0
    assert done.out.startswith(f"# Audit of {corpus}\n")
    before = done.out[: done.out.index("## Clips by label")]
    assert "## Errors" in before
    assert "The same sound under two labels" in before
    assert "What to do: " in before
    assert "7 clips of 3 subjects" in before
    assert [line for line in done.out.splitlines() if line != line.rstrip()] == []


def test_json_is_one_object_and_the_page_is_beside_it(
    audit: Command, corpus: Path, tmp_path: Path
) -> None:
    place = tmp_path / "new" / "audit.html"
    done = audit(corpus, "--json", "--html", place)
    assert done.code == 0
    (record,) = done.objects
    assert record["counts"]["clips"] == 7
    assert record["copies"][0]["kind"] == "same file"
    assert place.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert f"wrote {place}" in done.err


def test_clips_that_cannot_be_read_give_exit_status_3(audit: Command, corpus: Path) -> None:
    broken = next((corpus / "hungry").iterdir())
    broken.write_text("this is no sound")
    done = audit(corpus)
    assert done.code == 3
    assert "Clips that cannot be read: 1" in done.out
    assert broken.name in done.out


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--subject-pattern", "nobody"), 2, "must have a group"),
        (("--seed", "-1"), 2, "the seed must be"),
        (("--html", "."), 1, "the page is a file"),
    ],
)
def test_wrong_usage_is_said_before_any_clip_is_read(
    audit: Command,
    corpus: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(corpus)
    done = audit(corpus, *options)
    assert (done.code, done.out) == (code, "")
    assert words in done.err.splitlines()[-1]
    assert "clips to read" not in done.err


def test_a_recording_is_never_replaced_by_a_page(audit: Command, corpus: Path) -> None:
    clip = next((corpus / "hungry").iterdir())
    before = clip.read_bytes()
    done = audit(corpus, "--html", clip)
    assert done.code == 1
    assert "only the page of an older audit is replaced" in done.err
    assert clip.read_bytes() == before


def test_a_page_that_cannot_be_written_is_one_line(
    audit: Command, corpus: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    done = audit(corpus, "--html", tmp_path / "file" / "audit.html")
    assert (done.code, done.out) == (1, "")
    assert "cannot be written" in done.err.splitlines()[-1]


def test_what_is_not_there_is_one_line(audit: Command, tmp_path: Path) -> None:
    done = audit(tmp_path / "nowhere")
    assert (done.code, done.out) == (1, "")
    (line,) = done.err.splitlines()
    assert str(tmp_path / "nowhere") in line


def test_names_cannot_steer_the_terminal(audit: Command, corpus: Path) -> None:
    clip = next((corpus / "hungry").iterdir())
    shutil.copytree(corpus / "hungry", corpus / "\x1b[31mred")
    clip.unlink()
    done = audit(corpus)
    assert done.code == 0
    assert all(char.isprintable() for char in done.out.replace("\n", ""))


def test_a_stop_is_exit_status_130_and_leaves_no_page(
    audit: Command, corpus: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def stopped(*given: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cryvision.datasets.clip_stats.open_clip", stopped)
    done = audit(corpus, "--html", tmp_path / "audit.html")
    assert (done.code, done.out) == (130, "")
    assert not (tmp_path / "audit.html").exists()
