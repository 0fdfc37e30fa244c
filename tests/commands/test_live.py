"""``cryvision live``: a file played as a microphone gives what `classify` gives, and alerts."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from bundles import BUNDLE_V1

from cryvision.cli import build_parser, main
from cryvision.commands import live as live_command

DEMO = Path(__file__).parents[2] / "examples" / "demo.mp4"

SOON_S = 1.2
"""Here in the demo the first crying is about to begin."""

TIMES_TOLERANCE_S = 2e-3
"""Times are printed to the millisecond, wall times and offsets each."""


def live(*arguments: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(["live", *map(str, arguments)])
    return status, out.getvalue(), err.getvalue()


def records(*arguments: object) -> list[dict[str, Any]]:
    status, out, err = live("--no-wait", "--json", *arguments)
    assert (status, err) == (0, "")
    return [json.loads(line) for line in out.splitlines()]


def moment(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


@pytest.fixture(scope="module")
def demo() -> list[dict[str, Any]]:
    return records("--file", DEMO)


def test_events_are_those_of_classify(demo: list[dict[str, Any]]) -> None:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        main(["classify", "--json", str(DEMO)])
    expected = json.loads(out.getvalue())["events"]
    found = [record for record in demo if record["type"] == "event"]
    assert len(found) == len(expected)
    start = moment(found[0]["onset"]) - expected[0]["onset_s"]
    for one, other in zip(found, expected, strict=True):
        assert moment(one["onset"]) - start == pytest.approx(
            other["onset_s"], abs=TIMES_TOLERANCE_S
        )
        assert one["duration_s"] == pytest.approx(
            other["offset_s"] - other["onset_s"], abs=TIMES_TOLERANCE_S
        )
        assert one["confidence"] == pytest.approx(other["confidence"], abs=1e-3)


def test_an_event_is_told_of_before_it_ends(demo: list[dict[str, Any]]) -> None:
    told = [(r["type"], r["onset"]) for r in demo if r["type"] in ("onset", "event")]
    began = [onset for kind, onset in told if kind == "onset"]
    assert began
    assert all(told.index(("onset", onset)) < told.index(("event", onset)) for onset in began)


@pytest.fixture
def soon(make_media: Callable[..., Path]) -> Path:
    """The sound of the demo from shortly before its first crying on."""
    return make_media("soon.wav", "-ss", str(SOON_S), "-i", str(DEMO), "-vn")


@pytest.fixture(scope="module")
def seldom() -> list[dict[str, Any]]:
    """The same with a state each five seconds, and an alert after a minute alone."""
    return records("--file", DEMO, "--every", 5, "--alert-after", 60)


def test_states_come_once_a_second_or_as_often_as_asked(
    demo: list[dict[str, Any]], seldom: list[dict[str, Any]]
) -> None:
    def n_states(found: list[dict[str, Any]]) -> int:
        return sum(record["type"] == "state" for record in found)

    assert n_states(demo) == pytest.approx(15, abs=2)
    assert n_states(seldom) == pytest.approx(4, abs=1)


def test_crying_that_lasts_is_an_alert_and_with_a_longer_wait_it_is_none(
    demo: list[dict[str, Any]], seldom: list[dict[str, Any]]
) -> None:
    alerts = [record for record in demo if record["type"] == "alert"]
    assert [(one["rule"], one["state"]) for one in alerts] == [("crying", "raised")]
    assert not [record for record in seldom if record["type"] == "alert"]


def test_what_the_options_of_events_say_holds_here_too(demo: list[dict[str, Any]]) -> None:
    few = records("--file", DEMO, "--min-duration", 0.9)
    lengths = [record["duration_s"] for record in few if record["type"] == "event"]
    assert lengths
    assert min(lengths) >= 0.9
    assert len(lengths) < sum(record["type"] == "event" for record in demo)


@pytest.mark.parametrize(
    ("option", "value", "changed"),
    [
        ("--threshold", 0.95, "event"),
        ("--min-gap", 3, "event"),
        ("--bout-gap", 5, "state"),
        ("--veto", "off", "state"),
    ],
)
def test_every_option_of_events_changes_what_is_found(
    demo: list[dict[str, Any]], option: str, value: object, changed: str
) -> None:
    def summary(found: list[dict[str, Any]]) -> list[object]:
        names = ("duration_s", "crying", "probability")
        return [[r.get(name) for name in names] for r in found if r["type"] == changed]

    assert summary(records("--file", DEMO, option, value)) != summary(demo)


def test_another_bundle_finds_what_it_was_trained_for() -> None:
    assert {r["type"] for r in records("--file", DEMO, "--bundle", BUNDLE_V1)} == {"state"}


def test_what_was_recorded_is_summed_up_by_day(tmp_path: Path) -> None:
    folder, figure = tmp_path / "recordings", tmp_path / "days.png"
    records("--file", DEMO, "--record-events", folder, "--mask-speech")
    (recording,) = folder.glob("demo.mp4/*/??-??-??.json")
    content = json.loads(recording.read_text())
    assert content["masked_s"] is not None
    assert {path.suffix for path in recording.parent.glob(f"{recording.stem}.*")} == {
        *(".flac", ".mp4", ".jpg", ".json")
    }
    status, out, err = live("report", folder, "--json", "--figure", figure)
    assert (status, err) == (0, f"cryvision: wrote {figure}\n")
    days = [json.loads(line) for line in out.splitlines()]
    assert {day["source"] for day in days} == {"demo.mp4"}
    assert sum(day["crying_s"] for day in days) == pytest.approx(7.4, abs=0.5)
    assert figure.read_bytes().startswith(b"\x89PNG")
    status, out, _ = live("report", folder)
    assert status == 0
    assert "1 recorded bout" in out
    assert live("report", folder, "--figure", figure)[0] == 0, "an older one is replaced"
    figure.write_bytes(b"\x89PNG of a holiday")
    status, out, err = live("report", folder, "--figure", figure)
    assert (status, out) == (1, "")
    assert "only the figure of older days is replaced" in err
    assert figure.read_bytes() == b"\x89PNG of a holiday"


def test_people_read_when_it_began_and_ended() -> None:
    status, out, err = live("--no-wait", "--file", DEMO)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].endswith(" crying")
    assert any("no crying, after 0:1" in line and "events)" in line for line in lines)
    assert any("raised demo.mp4: crying for 10 s" in line for line in lines)


def test_sources_of_one_name_are_told_apart(tmp_path: Path) -> None:
    twin = tmp_path / DEMO.name
    shutil.copy(DEMO, twin)
    found = records("--file", DEMO, "--file", twin)
    names = {record["source"] for record in found if record["type"] == "event"}
    assert names == {"demo.mp4-1", "demo.mp4-2"}


def test_one_that_cannot_be_read_does_not_end_the_others(tmp_path: Path) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF")
    status, out, err = live("--no-wait", "--json", "--file", DEMO, "--file", broken)
    assert status == 3
    assert '"event"' in out
    assert len(err.splitlines()) == 1
    assert "broken.wav" in err
    status, _, err = live("--no-wait", "--file", broken)
    assert (status, len(err.splitlines())) == (1, 1)


def test_a_configuration_names_sources_rules_and_sinks(tmp_path: Path) -> None:
    note = "import sys; open(sys.argv[1], 'a').write(sys.argv[2])"
    command = [sys.executable, "-c", note, str(tmp_path / "note"), "{source} {state}"]
    config = tmp_path / "live.toml"
    config.write_text(
        f"""
[[source]]
name = "nursery"
kind = "file"
value = {json.dumps(str(DEMO))}

[[rule]]
name = "soon"
kind = "crying"
after_s = 4

[[sink]]
name = "log"
kind = "command"
command = {json.dumps(command)}
"""
    )
    status, _, err = live("--no-wait", "--config", config)
    assert (status, err) == (0, "")
    assert (tmp_path / "note").read_text() == "nursery raised"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--every", "0"], "--every must be above 0 s; got 0"),
        (["--alert-after", "-1"], "--alert-after must be 0 to 86400 s; got -1"),
        (["--mask-speech"], "--mask-speech needs --record-events"),
        (["--config", "no.toml"], "no.toml: must be a readable file"),
        (["--config", "no.toml", "--file", "a.wav"], "from --config or from options"),
        (["--no-wait"], "--no-wait is for --file; got none"),
        (["--no-wait", "--rtsp", "rtsp://127.0.0.1:1/"], "--no-wait is for --file; got none"),
        (["--file", "no.wav"], "cryvision: no.wav: there is no such file"),
        (["--file", ""], "--file must name something; got nothing"),
        (["--rtsp", ""], "--rtsp must name something; got nothing"),
        (["--camera", "x"], "--camera must be a whole number from 0 to 99; got 'x'"),
        (["--record-events", ""], "--record-events must name a folder; got nothing"),
        (["--metrics", "70000"], "--metrics must be a port from 0 to 65535; got 70000"),
        (["--rtsp", "file:///etc/passwd"], "must"),
        (["report", "no-folder"], "no-folder"),
    ],
)
def test_what_is_refused_is_one_line(arguments: list[str], line: str) -> None:
    try:
        status, out, err = live(*arguments)
    except SystemExit as error:
        pytest.fail(f"ended with {error.code}")
    assert status in (1, 2)
    assert out == ""
    assert len(err.splitlines()) == 1
    assert line in err


def test_a_stop_ends_it_at_once_with_what_was_open(soon: Path) -> None:
    running = subprocess.Popen(
        [sys.executable, "-m", "cryvision", "live", "--file", soon, "--metrics", "0", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert running.stdout is not None
    assert running.stderr is not None
    address = running.stderr.readline().split()[-1]
    for line in running.stdout:
        if json.loads(line)["type"] == "onset":
            break
    with urllib.request.urlopen(address, timeout=5) as reply:
        assert b"cryvision_probability" in reply.read()
    running.send_signal(signal.SIGTERM)
    _, err = running.communicate(timeout=20)
    assert running.returncode == 130
    assert err.splitlines() == ["cryvision: stopped"]


def test_a_camera_takes_its_sound_from_the_microphone_beside_it() -> None:
    def sources(*arguments: str) -> list[tuple[str, str | None, str | None]]:
        options = build_parser().parse_args(["live", *arguments])
        return [(one.kind, one.value, one.microphone) for one in live_command.sources(options)]

    assert sources("--camera", "--microphone", "USB") == [("camera", "0", "USB")]
    assert sources("--camera", "1", "--camera", "2", "--microphone", "USB") == [
        ("camera", "1", "USB"),
        ("camera", "2", None),
    ]
    assert sources("--camera", "--microphone", "--microphone", "USB") == [
        ("camera", "0", None),
        ("microphone", "USB", None),
    ]


def test_it_ends_where_nobody_reads_any_more_though_an_alert_notices_first(soon: Path) -> None:
    running = subprocess.Popen(
        [sys.executable, "-m", "cryvision", "live", "--file", soon, "--alert-after", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert running.stdout is not None
    running.stdout.readline()
    running.stdout.close()
    # The clip goes on for more than ten seconds after the first alert.
    assert running.wait(timeout=12) == 0
