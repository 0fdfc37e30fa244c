"""The command line, run inside this process, on the first bundle ever saved."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from bundles import BUNDLE_V1

from cryvision.cli import main
from cryvision.evaluation import figures

MakeMedia = Callable[..., Path]


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """What ``--json`` printed."""
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Done]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Return ``run(*arguments) -> Done``; a traceback is a failure of the test."""
    before = signal.getsignal(signal.SIGTERM)

    def command(*arguments: str | Path) -> Done:
        capsys.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = int(stop.code or 0)
        return Done(code, *capsys.readouterr())

    yield command
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the figures of reports empty, where nobody looks at them: drawing takes a second."""
    monkeypatch.setattr(figures, "write_png", lambda figure, path, software=None: path.touch())


@pytest.fixture
def classify(run: Run) -> Run:
    """Return ``classify(*arguments) -> Done`` with the small bundle."""
    return lambda *arguments: run("classify", "--bundle", BUNDLE_V1, *arguments)


@pytest.fixture(scope="session")
def bout_wav(make_media: MakeMedia) -> Path:
    """Three seconds of digital silence but for a tone from 1 to 2 s, which the bundle hears."""
    tone = "aevalsrc='0.5*sin(2*PI*440*t)*between(t,1,2)':s=16000:d=3"
    return make_media("bout.wav", "-f", "lavfi", "-i", tone)
