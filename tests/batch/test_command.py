"""`cryvision score` as a new user meets it: a table, a summary, exit codes, Ctrl-C and again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

import pytest
from bundles import BUNDLE_V1
from drivers import names, read_table
from waiting import until

from cryvision import cli
from cryvision.batch.hours import DAY, HOUR, Period
from cryvision.commands import score
from cryvision.monitor.recording import day_figure

N_CLIPS = 24
"""More than a run has scored before it can be stopped."""

COMMAND = """
from cryvision import cli
from cryvision.__main__ import run
from cryvision.commands import score
cli.GROUPS["use"] = (*(c for c in cli.GROUPS["use"] if c is not score), score)
run()
"""


@pytest.fixture
def recordings(make_media, tmp_path: Path) -> Path:
    """Recordings of two seconds, and a note."""
    warble = "aevalsrc=0.3*sin(2*PI*450*t+8*sin(2*PI*5*t)):s=16000:d=2"
    original = make_media("two.wav", "-f", "lavfi", "-i", warble)
    folder = tmp_path / "recordings"
    folder.mkdir()
    for i in range(N_CLIPS):
        shutil.copy(original, folder / f"{i:02d}.wav")
    (folder / "note.txt").touch()
    return folder


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cli, "GROUPS", {"use": (score,)})
    return lambda *words: cli.main(["score", *map(str, words), "--bundle", str(BUNDLE_V1)])


def test_a_folder_becomes_a_table_and_a_line_says_so(recordings, main, tmp_path, capsys):
    out = tmp_path / "t.csv"
    assert main(recordings, "--out", out, "--workers", 1) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith(f"{out}: {N_CLIPS} clips; scored {N_CLIPS} in 0:")
    assert "clips/s" in printed.out
    assert printed.err == ""  # no progress off a terminal
    assert main(recordings, "--out", out) == 0
    assert capsys.readouterr().out == f"{out}: {N_CLIPS} clips; nothing was left to score\n"


@pytest.mark.parametrize(
    "words",
    [
        ("--events", "t.csv"),
        ("--summary", "t.csv"),
        ("--events", "e.csv", "--summary", "e.csv"),
        ("--events", "e.csv", "--summary", "e.csv.dictionary.csv"),
        ("--summary", "h.csv", "--week", "t.csv"),
        ("--summary", "h.csv", "--week", "./h.csv"),
    ],
)
def test_two_outputs_never_share_a_file(
    main, tmp_path, capsys, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main("clips", "--out", "t.csv", *words) == 2
    assert "must have a file of its own" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--out", "--events", "--summary", "--week"])
def test_a_file_of_something_else_is_never_replaced(
    main, tmp_path, capsys, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.chdir(tmp_path)
    names = {"--out": "t.csv", "--events": "e.csv", "--summary": "h.csv", "--week": "w.png"}
    other = tmp_path / names[option]
    other.write_bytes(b"\x89PNG of a holiday")
    words = [word for pair in names.items() for word in pair]
    assert main("clips", *words) == 1
    assert names[option] in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [other]
    assert other.read_bytes() == b"\x89PNG of a holiday"


@pytest.mark.usefixtures("same_process")
def test_exit_codes_say_whether_some_or_all_clips_failed(recordings, main, tmp_path, capsys):
    (recordings / "bad.wav").write_bytes(b"no sound")
    two = (recordings / "bad.wav", recordings / "00.wav")
    assert main(*two, "--out", tmp_path / "t.csv") == 3
    assert "2 clips, 1 failed (MediaError 1)" in capsys.readouterr().out
    assert main(recordings / "bad.wav", "--out", tmp_path / "t.csv") == 1
    assert main(recordings / "gone.wav", "--out", tmp_path / "t.csv") == 1
    assert "there is no such file" in capsys.readouterr().err
    assert main(recordings, "--out", tmp_path / "t.docx") == 2


@pytest.mark.usefixtures("same_process")
def test_faces_that_are_required_and_cannot_be_looked_at_end_the_run(
    recordings, main, tmp_path, capsys
):
    out = tmp_path / "t.csv"
    assert main(recordings, "--out", out, "--require-face") == 1
    assert "faces are required and the bundle has no face branch" in capsys.readouterr().err
    assert main(recordings, "--out", out, "--formats", "csv", "--blur-faces") == 2
    assert "--blur-faces needs mp4 among --formats" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
@pytest.mark.parametrize(
    "stop", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_run_that_is_stopped_shows_what_it_has_and_goes_on_from_there(recordings, tmp_path, stop):
    out, files = tmp_path / "t.csv", tmp_path / "files"
    words = [sys.executable, "-c", COMMAND, "score", str(recordings), "--out", str(out)]
    words += ["--bundle", str(BUNDLE_V1), "--formats", "rttm", "--formats-dir", str(files)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: files.exists() and len(os.listdir(files)) >= 5)
    process.send_signal(stop)
    printed, output = process.communicate(timeout=60)
    assert (process.returncode, printed) == (130, "")
    shown = len(read_table(out))
    assert 4 <= shown < N_CLIPS
    assert f"{shown} of {N_CLIPS} clips are in {out}; the same command goes on from there" in output

    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert f"{N_CLIPS} clips; scored {N_CLIPS - shown} in" in done.stdout
    assert names(out) == [f"{i:02d}.wav" for i in range(N_CLIPS)]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_terminal_shows_clips_rates_failures_and_time_left(recordings, tmp_path):
    import fcntl
    import pty
    import struct
    import termios

    for path in sorted(recordings.glob("*.wav"))[12:]:
        path.unlink()
    (recordings / "05-bad.wav").write_bytes(b"no sound")
    out = tmp_path / "t.csv"
    words = [sys.executable, "-c", COMMAND, "score", str(recordings), "--out", str(out)]
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    process = subprocess.Popen(
        [*words, "--bundle", str(BUNDLE_V1), "--workers", "1"],
        stdout=subprocess.DEVNULL,
        stderr=terminal,
    )
    os.close(terminal)
    output = b""
    while True:
        try:
            output += os.read(controller, 65536)
        except OSError:  # how a pseudo-terminal says that the other end has closed
            break
    os.close(controller)
    assert process.wait() == 3
    lines = [line for line in output.decode().split("\r") if "/13 clips" in line]
    assert any("clips/s" in line and "h of media an hour" in line for line in lines)
    assert any("1 failed" in line and "left" in line for line in lines)


def test_the_figure_of_a_week_tells_too_quiet_hours_from_those_without_crying(monkeypatch):
    drawn = []
    monkeypatch.setattr(day_figure, "draw", lambda days, path: drawn.extend(days))
    start, hour = datetime(2024, 6, 1, tzinfo=timezone.utc), timedelta(hours=1)
    periods = [
        Period("p1", DAY, start, start + 24 * hour, 7200.0, 3600.0, 0.0, 0),
        Period("p1", HOUR, start, start + hour, 3600.0, 3600.0, None, None),
        Period("p1", HOUR, start + hour, start + 2 * hour, 3600.0, 0.0, 0.0, 0),
        Period("p1", HOUR, start + 2 * hour, start + 3 * hour, 0.0, 0.0, None, None),
    ]
    score._draw_week(SimpleNamespace(periods=periods), "w.png")
    (day,) = drawn
    assert [hour.too_quiet for hour in day.hours] == [True, False, False]
