"""``classify --veto --bout-gap --show-rejected``: which events stand, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lab
import pytest
from two_parts import tones, two_part_bundle

from cryvision.bundle import Bundle
from cryvision.result import Classification


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return two_part_bundle(tmp_path_factory)


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    """Crying that the tagger hears, and music that the edges take for crying."""
    samples = tones(
        9.0, edges=[(0.8, 1.4), (1.6, 2.0), (8.0, 8.6)], cry=[(0, 2)], music=[(8.0, 8.6)]
    )
    return lab.write_wav(tmp_path / "clip.wav", samples)


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Classification, dict[str, Any]]]:
    """What the command gives to the text that it prints."""
    given: list[tuple[Classification, dict[str, Any]]] = []

    def describe(result: Classification, **options: Any) -> str:
        given.append((result, options))
        return ""

    monkeypatch.setattr("cryvision.outputs.text.describe", describe)
    return given


@pytest.mark.parametrize(
    ("options", "n_events", "n_bouts", "veto", "shown"),
    [
        ((), 2, 1, "normal", False),
        (("--veto", "strict"), 2, 1, "strict", False),
        (("--veto", "off"), 3, 2, "off", False),
        (("--bout-gap", "0.1", "--show-rejected"), 2, 2, "normal", True),
    ],
)
def test_the_options_reach_the_result(
    run: Callable[..., Any],
    bundle: Bundle,
    wav: Path,
    results: list[tuple[Classification, dict[str, Any]]],
    options: tuple[str, ...],
    n_events: int,
    n_bouts: int,
    veto: str,
    shown: bool,
) -> None:
    done = run("classify", "--bundle", bundle.folder, *options, wav)
    assert done.code == 0, done.err
    ((result, given),) = results
    assert (len(result.events), len(result.bouts), result.veto) == (n_events, n_bouts, veto)
    assert len(result.rejected) == 3 - n_events
    assert given.get("show_rejected", False) == shown


@pytest.mark.parametrize(
    ("option", "value", "named"),
    [
        ("--veto", "loud", "invalid choice: 'loud'"),
        ("--bout-gap", "-1", "must be seconds, 0 or more; got '-1'"),
        ("--bout-gap", "inf", "got 'inf'"),
        ("--bout-gap", "nan", "got 'nan'"),
        ("--bout-gap", "half", "got 'half'"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(
    run: Callable[..., Any], wav: Path, option: str, value: str, named: str
) -> None:
    done = run("classify", f"{option}={value}", wav)
    assert done.code == 2
    assert named in done.err
