"""The command line as a process: its streams, its end, and what it leaves behind."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from bundles import BUNDLE_V1
from programs import running
from waiting import until

from cryvision import __version__, cli
from cryvision.bundle import Bundle
from cryvision.commands import classify
from cryvision.commands import terminal as terminal_module
from cryvision.commands.terminal import ClipProgress, log, show
from cryvision.errors import MissingDependencyError
from cryvision.inputs.media import find_ffmpeg
from cryvision.outputs import FORMATS
from cryvision.result import BOUT_GAP_SECONDS

MakeMedia = Callable[..., Path]
Start = Callable[..., "subprocess.Popen[str]"]

WAIT_SECONDS = 60.0
"""For what takes a second on an idle machine."""

ENDING_SECONDS = 5.0
"""For what takes a few milliseconds on an idle machine; unread, ffmpeg would last longer here."""

TERMINAL_COLUMNS = 80

CLASSIFY = ("classify", "--bundle", str(BUNDLE_V1))

posix = pytest.mark.skipif(os.name != "posix", reason="signals and pipes of this kind are POSIX")
linux = pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looked up in /proc")
full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is on Linux only")


@pytest.fixture(scope="session")
def clip(make_media: MakeMedia) -> Path:
    """Three seconds of digital silence but for a tone from 1 to 2 s, which the bundle hears."""
    tone = "aevalsrc='0.5*sin(2*PI*440*t)*between(t,1,2)':s=16000:d=3"
    return make_media("bout.wav", "-f", "lavfi", "-i", tone)


@pytest.fixture(scope="session")
def long_clip(make_media: MakeMedia) -> Path:
    """A quarter of an hour of hum, in a container that does not state its length."""
    hum = ("-f", "lavfi", "-i", "aevalsrc=0.1*sin(2*PI*100*t):s=8000:d=900")
    return make_media("quarter-hour.caf", *hum, "-c:a", "pcm_alaw")


def test_version_and_help(start: Start) -> None:
    version = start("--version")
    assert version.communicate(timeout=WAIT_SECONDS) == (f"cryvision {__version__}\n", "")
    helped = start("--help")
    out, err = helped.communicate(timeout=WAIT_SECONDS)
    assert (version.returncode, helped.returncode, err) == (0, 0, "")
    assert "exit status: 0 done, 1 failed, 2 wrong usage, 3 some clips failed, 130 stopped" in out


def test_help_lists_every_command_once_in_its_group(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    lines = capsys.readouterr().out.splitlines()
    listed: dict[str, list[str]] = {}
    for title in cli.GROUPS:
        start = lines.index(f"{title}:") + 1
        group = lines[start : lines.index("", start)]
        assert all(re.fullmatch(r"  [a-z-]+ {2,}\S.*", line) for line in group)
        listed[title] = [line.split()[0] for line in group]
    assert list(listed) == ["use", "train", "measure", "publish"]
    texts = Path(cli.__file__).parent.glob("commands/*.py")
    modules = {path.stem for path in texts if "\ndef run(" in path.read_text(encoding="utf-8")}
    names = [name for group in listed.values() for name in group]
    assert len(names) == len(set(names)) == sum(map(len, cli.GROUPS.values()))
    assert {name.replace("-", "_") for name in names} == modules
    assert max(map(len, lines)) <= TERMINAL_COLUMNS


def test_what_the_options_list_is_what_there_is() -> None:
    assert {*classify.FORMATS, "mp4-blurred"} == set(FORMATS)  # --blur-faces stands for the last
    assert classify.BOUT_GAP_SECONDS == BOUT_GAP_SECONDS


@pytest.mark.parametrize("command", ["classify", "score"])
def test_without_a_temporary_folder_there_is_one_line(
    command: str,
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(tmp_path / "none")])
    out = ["--out", str(tmp_path / "table.csv")] if command == "score" else []
    assert cli.main([command, str(clip), *out]) == 1
    line = capsys.readouterr().err
    assert line.startswith("cryvision: a temporary folder with room is needed: No usable temp")
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "more"),
    [
        ("classify", ["a.wav"]),
        ("score", ["a.wav", "--out", "a.csv"]),
        ("features", ["a.wav", "--out", "a.npz"]),
        ("info", []),
        ("evaluate", ["clips"]),
        ("export", ["--out", "a.onnx"]),
    ],
)
def test_every_command_that_takes_a_bundle_takes_it_as_bundle(
    command: str, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    parser = cli.build_parser()
    assert parser.parse_args([command, *more]).bundle is None
    for named in ([*more, "--bundle", "b"], ["--bundle", "b", *more]):
        assert parser.parse_args([command, *named]).bundle == "b"
    with pytest.raises(SystemExit):
        parser.parse_args([command, "--help"])
    assert "--bundle BUNDLE" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["info", "b"], ["export", "b", "--out", "a.onnx"], ["evaluate", "b", "clips"]]
)
def test_a_bundle_may_come_first_but_not_twice(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    parser = cli.build_parser()
    assert parser.parse_args(arguments).bundle == "b"
    with pytest.raises(SystemExit):
        parser.parse_args([*arguments, "--bundle", "c"])
    assert "not allowed with argument" in capsys.readouterr().err


def test_no_command_is_wrong_usage(start: Start) -> None:
    process = start()
    out, err = process.communicate(timeout=WAIT_SECONDS)
    assert (process.returncode, out) == (2, "")
    assert "COMMAND" in err


def test_the_exit_status_reaches_the_shell(start: Start, clip: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_text("no media")
    runs = {0: (clip,), 1: (bad,), 2: ("--smooth", "-1", clip), 3: (bad, clip)}
    processes = {code: start(*CLASSIFY, *arguments) for code, arguments in runs.items()}
    for code, process in processes.items():
        out, err = process.communicate(timeout=WAIT_SECONDS)
        assert process.returncode == code
        assert bool(out) == (code in (0, 3))
        assert len(err.splitlines()) == (code != 0)


# Progress


def test_without_a_terminal_there_is_no_progress(start: Start, make_media: MakeMedia) -> None:
    # It takes longer than a bar waits.
    hum = ("-f", "lavfi", "-i", "aevalsrc=0.1*sin(2*PI*100*t):s=8000:d=400")
    process = start(*CLASSIFY, "--json", make_media("minutes.caf", *hum, "-c:a", "pcm_alaw"))
    out, err = process.communicate(timeout=WAIT_SECONDS)
    assert (process.returncode, err) == (0, "")
    assert json.loads(out)["duration_s"] == 400


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("duration_s", "shown"), [(None, "30 s done"), (60.0, "30/60 s"), (20.0, "20/20 s")]
)
def test_a_terminal_shows_the_seconds_done(
    monkeypatch: pytest.MonkeyPatch, duration_s: float | None, shown: str
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(terminal_module, "BAR_DELAY_SECONDS", 0.2)
    with ClipProgress("folder/two\nlines.wav") as progress:
        progress.show(0.0, duration_s)
        assert not terminal.getvalue()
        time.sleep(0.25)
        progress.show(30.0, duration_s)
    assert shown in terminal.getvalue()
    assert r"two\nlines.wav: " in terminal.getvalue()


# Streams that are closed, full, or left by their reader


@posix
def test_a_reader_that_leaves_is_no_error(start: Start, clip: Path) -> None:
    process = start(*CLASSIFY, "--json", *[clip] * 10)
    assert process.stdout is not None
    assert process.stderr is not None
    assert json.loads(process.stdout.readline())["label"] == "not sure"
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(WAIT_SECONDS) == 0


@full
@pytest.mark.parametrize("command", [CLASSIFY, ("info", BUNDLE_V1)])
def test_no_space_for_the_result_is_one_line(
    start: Start, clip: Path, command: tuple[str, ...]
) -> None:
    with open("/dev/full", "w") as no_space:
        clips = () if command[0] == "info" else (clip, clip)
        process = start(*command, *clips, stdout=no_space)
        _, err = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 1
    (line,) = err.splitlines()
    assert line.startswith("cryvision: the result could not be written to stdout: ")


@full
def test_no_space_for_the_log_does_not_end_the_run(
    start: Start, clip: Path, tmp_path: Path
) -> None:
    with open("/dev/full", "w") as no_space:
        process = start(*CLASSIFY, "--json", tmp_path / "none.wav", clip, stderr=no_space)
        out, _ = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 3
    assert json.loads(out)["path"] == str(clip)


@posix
def test_closed_streams_are_no_trouble(start: Start, clip: Path, tmp_path: Path) -> None:
    close = (
        "import os, sys; [os.close(n) for n in (0, 1, 2)]; os.execv(sys.executable, sys.argv[1:])"
    )
    program = ("-c", close, sys.executable, "-m", "cryvision")
    arguments = (*CLASSIFY, "--formats", "json", "--out", tmp_path, tmp_path / "none.wav", clip)
    process = start(*arguments, program=program)
    assert process.communicate(timeout=WAIT_SECONDS) == ("", "")
    assert process.returncode == 3
    assert json.loads((tmp_path / "bout.json").read_text())["duration_s"] == 3


def test_nothing_is_said_on_stdout_where_stderr_is_closed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    log("trouble")
    with ClipProgress("a.wav") as progress:
        progress.show(1.0, 2.0)
    show("result")
    assert capsys.readouterr().out == "result\n"


# Being stopped


@linux
@pytest.mark.parametrize(
    ("how", "to_all"),
    [
        (signal.SIGINT, True),
        pytest.param(signal.SIGINT, False, marks=pytest.mark.slow),
        (signal.SIGTERM, False),
    ],
)
def test_a_stopped_run_leaves_whole_files_and_no_ffmpeg(
    start: Start,
    clip: Path,
    long_clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: signal.Signals,
    to_all: bool,
) -> None:
    own = tmp_path / "ffmpeg"  # a name of its own, to tell its processes from any other
    own.symlink_to(find_ffmpeg())
    out = tmp_path / "out"
    arguments = (*CLASSIFY, "--json", "--formats", "csv,json", "--out", out, clip, long_clip)
    environment = {**os.environ, "CRYVISION_FFMPEG": str(own)}
    process = start(*arguments, env=environment, start_new_session=True)
    assert process.stdout is not None
    first = process.stdout.readline()
    until(lambda: any("pipe:1" in p and "quarter-hour.caf" in p for p in running(own)))
    # A terminal's Ctrl-C reaches ffmpeg too.
    (os.killpg if to_all else os.kill)(process.pid, how)
    rest, err = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 130
    assert rest == ""
    assert json.loads(first)["path"] == str(clip)
    assert err.splitlines()[-1] == "cryvision: stopped"
    assert err.count("cryvision: wrote ") == len(err.splitlines()) - 1 == 4
    assert sorted(os.listdir(out)) == [
        *("bout.bouts.csv", "bout.csv", "bout.events.csv", "bout.json")
    ]
    # An ffmpeg that was just being started ends at its first write, as nobody reads it.
    until(lambda: not running(own), "the end of ffmpeg", ENDING_SECONDS)


def test_a_stop_that_a_library_takes_for_its_own_error_is_a_stop(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], clip: Path
) -> None:
    def load(path: object) -> Bundle:
        try:
            try:
                raise KeyboardInterrupt
            except KeyboardInterrupt as stop:
                raise ImportError("initialization failed") from stop
        except ImportError as error:
            raise MissingDependencyError("onnxruntime cannot be imported") from error

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(Bundle, "load", load)
    assert cli.main([*CLASSIFY, str(clip)]) == 130
    assert capsys.readouterr() == ("", "cryvision: stopped\n")
    signal.signal(signal.SIGTERM, before)


# Side by side, and alone


def test_two_runs_may_write_the_same_files_at_once(
    start: Start, clip: Path, tmp_path: Path
) -> None:
    arguments = (*CLASSIFY, "--formats", "csv,json,vtt", "--out", tmp_path / "out", *[clip] * 3)
    for process in [start(*arguments) for _ in range(2)]:
        process.communicate(timeout=WAIT_SECONDS)
        assert process.returncode == 0
    names = sorted(os.listdir(tmp_path / "out"))
    assert len(names) == 3 * 5
    for name in names:
        text = (tmp_path / "out" / name).read_text()
        if name.endswith(".json"):
            assert len(json.loads(text)["timeline"]["cry"]) == 90
        elif name.endswith(("events.csv", "bouts.csv")):
            assert len(text.splitlines()) == 2
        elif name.endswith(".csv"):
            assert len(text.splitlines()) == 91


OFFLINE = """
import socket, sys

def refuse(event, arguments):
    if event.startswith(("socket.", "urllib.", "http.", "ftplib.", "smtplib.")):
        raise SystemExit(f"the network was used: {event} {arguments}")

sys.addaudithook(refuse)
if sys.argv[1] == "probe":
    socket.create_connection(("127.0.0.1", 9))
from cryvision.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_recordings_never_leave_the_machine(start: Start, clip: Path, tmp_path: Path) -> None:
    formats = ("--formats", "csv,json,audacity,vtt,textgrid,png", "--out", tmp_path)
    process = start(*CLASSIFY, "--json", *formats, clip, program=("-c", OFFLINE))
    probe = start("probe", program=("-c", OFFLINE))
    out, err = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 0, err
    assert json.loads(out)["path"] == str(clip)
    # The watch itself works.
    assert "the network was used" in probe.communicate(timeout=WAIT_SECONDS)[1]


@pytest.mark.parametrize(
    "words", ["evaluate", "audit", "train-audio-only", "info --bundle", "agree .", "classify"]
)
def test_a_name_that_no_file_can_have_is_refused_in_one_line(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*words.split(), "x" * 5000]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("cryvision: ")
