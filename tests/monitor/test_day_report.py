"""The day's report: what adds up, days of 23 and 25 hours, and files that are not whole."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import date, datetime, timezone
from pathlib import Path

import pytest
from observing import START, noise, observations

from cryvision import cli
from cryvision.bundle import Bundle
from cryvision.errors import CryvisionError
from cryvision.monitor.config import RecordingSettings
from cryvision.monitor.recording import day_figure, day_report
from cryvision.monitor.recording.recorder import Recorder

SetZone = Callable[[str], None]

ROUNDING_S = 0.2
"""Seconds of a minute are written to 0.1, and pieces of sound lie across its ends."""


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[SetZone]:
    if not hasattr(time, "tzset"):
        pytest.skip("the zone of a process cannot be set here")

    def set_zone(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield set_zone
    monkeypatch.undo()
    time.tzset()


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()


def utc(wall_time: float) -> str:
    return datetime.fromtimestamp(wall_time, timezone.utc).isoformat().replace("+00:00", "Z")


def put_recording(
    folder: Path, *spans: tuple[float, float | None], end: float | None = None, source: str = "cot"
) -> Path:
    """Write the JSON object of a recording with events."""
    start = spans[0][0] - 10
    moment = datetime.fromtimestamp(start)
    path = folder / source / moment.strftime("%Y-%m-%d/%H-%M-%S.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    events = [
        {"onset": utc(onset), **({} if offset is None else {"offset": utc(offset)})}
        for onset, offset in spans
    ]
    last = end or max(offset for _, offset in spans if offset is not None) + 5
    facts = {"format": "cryvision recording", "source": source, "events": events}
    path.write_text(json.dumps({**facts, "start": utc(start), "end": utc(last), "files": {}}))
    return path


def put_minutes(
    folder: Path, first: float, last: float, crying_s: float = 0.0, source: str = "cot"
) -> None:
    """Write that each minute of a stretch was observed."""
    for start in range(int(first), int(last), 60):
        path = folder / source / datetime.fromtimestamp(start).strftime("%Y-%m-%d/observed.jsonl")
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            header = {"format": "cryvision observed minutes", "source": source}
            path.write_text(json.dumps(header) + "\n")
        line = {"minute": utc(start), "observed_s": 60.0, "crying_s": crying_s}
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def test_a_recorded_day_is_reported(tmp_path: Path, zone: SetZone) -> None:
    zone("UTC")
    start = START - START % 86_400 + 7 * 3600 + 58 * 60
    settings = RecordingSettings(tmp_path, max_gb=1e6, max_days=36_500)
    recorder = Recorder(settings, "nursery", Bundle.load())
    cries = [(30.0, 50.0), (53.0, 60.0), (110.0, 140.0)]
    for observation in observations(noise(300), cries, start=start, source="nursery", piece_s=0.25):
        recorder.observe(observation)
    recorder.close()
    (day,) = day_report.read(tmp_path)
    assert (day.source, day.date.isoformat()) == ("nursery", "2023-11-14")
    assert day.crying_s == pytest.approx(57, abs=ROUNDING_S)
    assert [offset - onset for onset, offset in day.bouts] == pytest.approx([30, 30])
    assert day.longest_s == pytest.approx(30)
    assert day.observed_s == pytest.approx(300, abs=5 * ROUNDING_S)
    assert day.hours[7].crying_s == pytest.approx(37, abs=ROUNDING_S)
    assert day.hours[8].crying_s == pytest.approx(20, abs=ROUNDING_S)
    text = day_report.text([day])
    assert "nursery, 2023-11-14: 57 s of crying, 2 recorded bouts, the longest 30 s" in text


def test_without_a_log_of_minutes_the_recordings_say_it(tmp_path: Path, zone: SetZone) -> None:
    zone("UTC")
    noon = at("2026-11-29T12:00:00")
    put_recording(tmp_path, (noon - 30, noon + 90))
    (day,) = day_report.read(tmp_path)
    assert day.observed_s is None
    assert [hour.crying_s for hour in day.hours[11:13]] == [30, 90]
    assert "observed time unknown" in day_report.text([day])


def test_crying_that_goes_on_in_the_next_file_counts_once(tmp_path: Path, zone: SetZone) -> None:
    zone("UTC")
    noon = at("2026-11-29T12:00:00")
    put_recording(tmp_path, (noon, None), end=noon + 290)
    put_recording(tmp_path, (noon + 300, noon + 310))
    path = put_recording(tmp_path, (noon + 290, None), end=noon + 400)
    facts = json.loads(path.read_text())
    facts["events"] = [{"onset": utc(noon), "offset": utc(noon + 299)}]
    path.write_text(json.dumps(facts))
    (day,) = day_report.read(tmp_path)
    assert day.crying_s == pytest.approx(309)
    assert day.bouts == ((noon, noon + 310),)  # the pause of a second does not end a bout


def test_a_bout_over_midnight_belongs_to_both_days(tmp_path: Path, zone: SetZone) -> None:
    zone("Asia/Kolkata")
    midnight = at("2026-11-28T18:30:00")
    put_recording(tmp_path, (midnight - 120, midnight + 60))
    first, second = day_report.read(tmp_path)
    assert [day.date.isoformat() for day in (first, second)] == ["2026-11-28", "2026-11-29"]
    assert [day.crying_s for day in (first, second)] == [120, 60]
    assert [len(day.bouts) for day in (first, second)] == [1, 0]
    assert first.longest_s == 180


@pytest.mark.parametrize(
    ("day_text", "n_hours", "clocks"),
    [
        ("2026-03-29", 23, ["01:00", "03:00"]),
        ("2026-10-25", 25, ["02:00", "02:00"]),
        ("2026-11-29", 24, ["01:00", "02:00"]),
    ],
)
def test_days_on_which_the_clocks_change_have_all_their_hours(
    tmp_path: Path, zone: SetZone, day_text: str, n_hours: int, clocks: list[str]
) -> None:
    zone("Europe/Berlin")
    start = datetime.fromisoformat(day_text).timestamp()
    put_minutes(tmp_path, start, start + n_hours * 3600, crying_s=6.0)
    (day,) = day_report.read(tmp_path)
    assert day.day_s == n_hours * 3600
    assert [hour.clock for hour in day.hours if hour.clock in clocks] == clocks
    assert {round(hour.crying_s) for hour in day.hours} == {360}
    assert day.observed_s == pytest.approx(day.day_s)
    assert f"100% of {n_hours} h observed" in day_report.text([day])


@pytest.mark.parametrize(
    ("day_text", "n_hours", "short"), [("2026-04-05", 24.5, ["01:30"]), ("2026-10-04", 23.5, [])]
)
def test_hours_are_those_of_the_clock_where_it_is_changed_by_half_an_hour(
    tmp_path: Path, zone: SetZone, day_text: str, n_hours: float, short: list[str]
) -> None:
    zone("Australia/Lord_Howe")
    start = datetime.fromisoformat(day_text).timestamp()
    put_minutes(tmp_path, start, start + n_hours * 3600, crying_s=6.0)
    (day,) = day_report.read(tmp_path)
    off = [hour.clock for hour in day.hours if not hour.clock.endswith(":00")]
    assert off == (short or ["02:30"])
    assert day.crying_s == pytest.approx(360 * n_hours)
    assert {round(hour.crying_s) for hour in day.hours if hour.clock not in off} == {360}
    day_figure.draw([day], tmp_path / "day.png")


def test_hours_that_were_not_observed_are_told_from_quiet_ones(
    tmp_path: Path, zone: SetZone
) -> None:
    zone("UTC")
    start = at("2026-11-29T00:00:00")
    put_minutes(tmp_path, start, start + 2 * 3600)
    put_minutes(tmp_path, start + 2 * 3600, start + 3 * 3600, crying_s=20.0)
    (day,) = day_report.read(tmp_path)
    cells = day_report.text([day]).splitlines()[2].split()[1:]
    assert cells == [".", ".", "20", *["-"] * 21]


def test_minutes_that_two_runs_shared_add_up(tmp_path: Path, zone: SetZone) -> None:
    zone("UTC")
    start = at("2026-11-29T00:00:00")
    put_minutes(tmp_path, start, start + 60, crying_s=20.0)
    put_minutes(tmp_path, start, start + 60, crying_s=15.0)
    (day,) = day_report.read(tmp_path)
    assert (day.crying_s, day.observed_s) == (35, 60)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"format": "cryvision recording", "source": "cot", "end": "soon", "events": []}',
        b'{"format": "cryvision recording", "source": 1, "end": "2026-11-29T12:00Z", "events": []}',
        b'{"format": "cryvision recording", "source": "cot", "end": "2026-11-29T12:00:00Z",'
        b' "events": [{"onset": "1970-01-01T00:00:00Z"}]}',
        b'{"format": "cryvision recording", "source": "cot", "end": "9999-12-31T23:59:59Z",'
        b' "events": [{"onset": "9999-12-31T23:00:00Z"}]}',
        b'{"format": "cryvision recording", "source": "cot", "end": "2026-11-29T12:00:00Z",'
        b' "events": [{"onset": "2026-11-29T11:00:00"}, 3]}',
    ],
)
def test_damaged_files_cost_a_line(
    tmp_path: Path, zone: SetZone, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    zone("UTC")
    good = put_recording(tmp_path, (at("2026-11-29T12:00:00"), at("2026-11-29T12:00:20")))
    bad = good.with_name("13-00-00.json")
    bad.write_bytes(content)
    (day,) = day_report.read(tmp_path)
    assert day.crying_s == 20
    (line,) = caplog.messages
    assert str(bad) in line


def test_of_a_torn_log_the_whole_lines_count(
    tmp_path: Path, zone: SetZone, caplog: pytest.LogCaptureFixture
) -> None:
    zone("UTC")
    start = at("2026-11-29T00:00:00")
    put_minutes(tmp_path, start, start + 120, crying_s=10.0)
    (path,) = tmp_path.glob("*/*/observed.jsonl")
    with path.open("a") as file:
        file.write('{"minute": "2026-11-29T00:02')
    (day,) = day_report.read(tmp_path)
    assert day.crying_s == 20
    assert len(caplog.messages) == 1


def test_other_files_are_not_looked_at(
    tmp_path: Path, zone: SetZone, caplog: pytest.LogCaptureFixture
) -> None:
    zone("UTC")
    (tmp_path / "letter.txt").write_text("dear")
    (tmp_path / "photos" / "2026").mkdir(parents=True)
    good = put_recording(tmp_path, (at("2026-11-29T12:00:00"), at("2026-11-29T12:00:20")))
    good.with_suffix(".flac").write_bytes(b"sound")
    assert len(day_report.read(tmp_path)) == 1
    assert not caplog.messages


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_links_are_not_followed(tmp_path: Path, zone: SetZone) -> None:
    zone("UTC")
    put_recording(tmp_path / "real", (at("2026-11-29T12:00:00"), at("2026-11-29T12:00:20")))
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "cot").symlink_to(tmp_path / "real" / "cot")
    assert day_report.read(tmp_path / "linked") == []


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CryvisionError, match="must be readable"):
        day_report.read(tmp_path / "none")


def test_the_report_is_plain_data(tmp_path: Path, zone: SetZone) -> None:
    zone("Europe/Berlin")
    start = at("2026-11-29T12:00:00")
    put_recording(tmp_path, (start, start + 20.5))
    put_minutes(tmp_path, start, start + 60, crying_s=20.5)
    (day,) = json.loads(json.dumps(day_report.record(day_report.read(tmp_path)), allow_nan=False))
    assert day["date"] == "2026-11-29"
    assert (day["crying_s"], day["observed_s"], day["longest_bout_s"]) == (20.5, 60.0, 20.5)
    assert day["bouts"] == [
        {"onset": "2026-11-29T12:00:00.000Z", "offset": "2026-11-29T12:00:20.500Z"}
    ]
    assert day["hours"][13] == {
        "start": "2026-11-29T12:00:00.000Z",
        "clock": "13:00",
        "crying_s": 20.5,
        "observed_s": 60.0,
    }


def test_a_figure_shows_when_there_was_crying(tmp_path: Path, zone: SetZone) -> None:
    zone("UTC")
    start = at("2026-11-29T00:00:00")
    put_minutes(tmp_path, start, start + 12 * 3600)
    put_minutes(tmp_path, start + 12 * 3600, start + 13 * 3600, crying_s=50.0)
    put_minutes(tmp_path, start, start + 86_400, source="$x^2$ <b>")
    day_figure.draw(day_report.read(tmp_path), tmp_path / "day.png")
    import cv2

    picture = cv2.imread(str(tmp_path / "day.png"))
    orange = (abs(picture.astype(int) - (0, 159, 230)) < 8).all(axis=2)
    columns = orange.any(axis=0).nonzero()[0] / picture.shape[1]
    assert 0.45 < columns.min() < columns.max() < 0.65  # noon to one o'clock, and nothing else
    day_figure.check_target(tmp_path / "day.png")  # drawn anew
    with pytest.raises(CryvisionError, match="none"):
        day_figure.draw([], tmp_path / "none.png")


def test_hours_too_quiet_to_be_scored_are_hatched(tmp_path: Path) -> None:
    import cv2

    def ink(too_quiet: bool) -> int:
        hours = tuple(
            day_report.Hour(3600.0 * n, 0.0, 3600.0, timezone.utc, too_quiet and n < 12)
            for n in range(24)
        )
        day = day_report.Day("p1", date(1970, 1, 1), 24 * 3600.0, hours, ())
        day_figure.draw([day], tmp_path / "day.png")
        plot = cv2.imread(str(tmp_path / "day.png"))[40:-90]
        return int((plot < 250).any(axis=2).sum())

    assert ink(too_quiet=True) > 2 * ink(too_quiet=False)


@pytest.mark.parametrize("option", ["--microphone=x", "--every=3", "--mask-speech"])
def test_options_of_the_monitor_are_refused(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["live", option, "report", str(tmp_path)]) == 2
    name = option.split("=")[0]
    assert capsys.readouterr().err == f"cryvision: {name} has no meaning for 'live report'\n"


def test_json_may_stand_before_or_behind_report(
    tmp_path: Path, zone: SetZone, capsys: pytest.CaptureFixture[str]
) -> None:
    zone("UTC")
    noon = at("2026-11-29T12:00:00")
    put_recording(tmp_path, (noon, noon + 90))
    printed = []
    for words in (["--json", "report"], ["report", "--json"]):
        assert cli.main(["live", *words, str(tmp_path)]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert json.loads(printed[0].splitlines()[0])
