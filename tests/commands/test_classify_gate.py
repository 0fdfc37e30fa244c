"""``--threshold --min-duration --min-gap`` on the command line, and ``--formats all``."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cryvision.commands.classify import FORMATS
from cryvision.outputs import files

DEMO = Path(__file__).parents[2] / "examples" / "demo.mp4"


@pytest.fixture(scope="module")
def suffixes() -> set[str]:
    """Of all files that a clip with pictures can have."""
    return {suffix for name in FORMATS for suffix in files.FORMATS[name]}


def demo(run: Callable[..., Any], *options: str) -> dict[str, Any]:
    done = run("classify", "--json", *options, DEMO)
    assert done.code == 0, done.err
    (found,) = done.objects
    return found


def seconds(found: dict[str, Any]) -> float:
    return float(found["detector"]["seconds"])


def test_the_options_change_what_is_found_in_the_demo(run: Callable[..., Any]) -> None:
    own = demo(run)
    high = demo(run, "--threshold", "0.99")
    assert seconds(high) < seconds(own) - 0.3
    long = demo(run, "--min-duration", "1")
    assert 0 < len(long["events"]) < len(own["events"])
    assert all(event["offset_s"] - event["onset_s"] >= 1 for event in long["events"])
    bridged = demo(run, "--min-gap", "0.5")
    assert len(bridged["events"]) == len(own["bouts"]) == 3
    assert seconds(bridged) > seconds(own)
    names = ("threshold", "min_duration_s", "min_gap_s")
    assert [[found[name] for name in names] for found in (own, high, long, bridged)] == [
        [0.475, 0.1, 0.0],
        [0.99, 0.1, 0.0],
        [0.475, 1.0, 0.0],
        [0.475, 0.1, 0.5],
    ]


@pytest.mark.parametrize("command", ["classify", "score"])
@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--threshold", "1.5", "the threshold must be above 0 and below 1; got 1.5"),
        ("--threshold", "nan", "the threshold must be above 0 and below 1; got nan"),
        ("--min-duration", "-1", "the minimum duration must be 0 to 3600 s; got -1"),
        ("--min-gap", "inf", "the minimum gap must be 0 to 3600 s; got inf"),
    ],
)
def test_what_is_out_of_range_is_one_line(
    run: Callable[..., Any], tmp_path: Path, command: str, option: str, value: str, message: str
) -> None:
    more = ["--out", tmp_path / "t.csv"] if command == "score" else []
    done = run(command, DEMO, *more, f"{option}={value}")
    assert (done.code, done.out, done.err) == (2, "", f"cryvision: {message}\n")
    assert not list(tmp_path.iterdir())


def test_all_formats_of_a_video(
    run: Callable[..., Any], small_video: Path, tmp_path: Path, suffixes: set[str]
) -> None:
    done = run("classify", "--quiet", "--formats", "all", "--out", tmp_path, small_video)
    assert done.code == 0, done.err
    assert set(os.listdir(tmp_path)) == {f"small{suffix}" for suffix in suffixes}
    assert "no mp4" not in done.err


def test_all_formats_of_sound_are_without_a_video_and_that_is_said(
    classify: Callable[..., Any], bout_wav: Path, tmp_path: Path, suffixes: set[str]
) -> None:
    done = classify("--quiet", "--formats", "json,all", "--out", tmp_path, bout_wav)
    assert done.code == 0, done.err
    sound = suffixes - {".annotated.mp4"}
    assert set(os.listdir(tmp_path)) == {f"bout{suffix}" for suffix in sound}
    message = f"cryvision: {bout_wav}: no mp4 was written, as the clip has no pictures"
    assert message in done.err.splitlines()


def test_a_format_that_is_none_is_told_of_all(classify: Callable[..., Any]) -> None:
    done = classify("--formats", "docx", "a.wav")
    assert done.code == 2
    assert done.err.rstrip().endswith("png, mp4, all; got 'docx'")
