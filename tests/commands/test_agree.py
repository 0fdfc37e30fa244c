"""``cryvision agree`` compares files of coders, results and clips, and says what it left out."""

from __future__ import annotations

import json
import shutil
import sys
import unicodedata
from pathlib import Path

import lab
import numpy as np
import pytest
from textgrids import LONG_TEXTGRID, SHORT_TEXTGRID

import cryvision
from cryvision.annotations import Interval, write_annotations
from cryvision.cli import main
from cryvision.outputs.files import FORMATS, stems, write
from cryvision.result import Classification, Detection, Event

DEMO = Path(__file__).parents[2] / "examples" / "demo.mp4"
PNG = b"\x89PNG\r\n\x1a\n"


def sound(path: Path) -> Path:
    return lab.write_wav(path, np.zeros(10 * lab.RATE_HZ))


def code(
    folder: Path, name: str, spans: list[tuple[float, float]], form: str, tier: str = ""
) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    write_annotations([Interval(*span, "cry", tier) for span in spans], path, form)
    return path


def agree(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    status = main(["agree", *map(str, words)])
    out, err = capsys.readouterr()
    return status, out, err


def record(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, object]:
    status, out, _ = agree(capsys, *words, "--json")
    assert status in (0, 3)
    found: dict[str, object] = json.loads(out)
    return found


def test_two_folders_of_coders_are_compared_by_name(tmp_path: Path, capsys) -> None:
    for name in ("s1 a", "s2 b"):
        sound(tmp_path / "media" / f"{name}.wav")
        code(tmp_path / "one", f"{name}.eaf", [(1, 2), (4, 6)], "eaf")
        code(tmp_path / "two", f"{name}.wav.TextGrid", [(1.1, 2), (4, 6)], "textgrid")
    code(tmp_path / "two", "alone.txt", [(0, 1)], "audacity")
    words = [tmp_path / "one", tmp_path / "two", "--media", tmp_path / "media"]
    status, out, err = agree(capsys, *words, "--subject-pattern", r"(s\d)")
    assert status == 3
    assert "alone: only in" in err
    assert out.startswith("2 recordings of 2 subjects, 20.0 s\n")
    found = record(capsys, *words)
    assert found["figures"]["event_f1"]["value"] == 1
    assert found["figures"]["iou"]["value"] == pytest.approx(2.9 / 3)
    assert found["onset_error_s"]["p95"] == pytest.approx(0.1, abs=0.01)


@pytest.mark.skipif(sys.platform == "win32", reason="no such names on Windows")
@pytest.mark.parametrize(
    "name", ["2024-03-05T14:22:33+0100", 'who cries? "he"', "mu\u0308de", "night ", "con"]
)
def test_a_recording_is_paired_with_what_was_written_of_it(
    tmp_path: Path, capsys, name: str
) -> None:
    lines = []
    for number in (1, 2):
        clip = sound(tmp_path / "media" / f"{number} {name}.wav")
        stem = unicodedata.normalize("NFC", stems([clip])[0])
        code(tmp_path / "coder", f"{stem}.TextGrid", [(1, 2)], "textgrid")
        events = [{"onset_s": 1.0, "offset_s": 2.0, "label": "cry", "confidence": 0.9}]
        lines.append({"path": str(clip), "events": events})
    result = tmp_path / "found.jsonl"
    result.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = record(capsys, tmp_path / "coder", result, "--media", tmp_path / "media")
    assert found["problems"] == []
    assert found["figures"]["event_f1"]["value"] == 1
    assert found["hours"] == pytest.approx(20 / 3600)


def test_two_tiers_of_one_file_are_two_coders(tmp_path: Path, capsys) -> None:
    sound(tmp_path / "a.wav")
    intervals = [Interval(1, 2, "cry", "anna"), Interval(1, 3, "cry", "ben")]
    write_annotations(intervals, tmp_path / "a.eaf", "eaf")
    path = tmp_path / "a.eaf"
    found = record(capsys, path, path, "--tier-a", "anna", "--tier-b", "ben")
    assert found["figures"]["iou"]["value"] == 0.5
    status, _, err = agree(capsys, path, path, "--tier-a", "carl")
    assert status == 1
    assert "no tier 'carl'; there are anna, ben" in err


@pytest.mark.parametrize(
    ("second", "where", "says"),
    [
        ((2.5, 3), "warnings", "crying is on 2 tiers, anna (1), ben (1), which overlap"),
        ((3, 4), "notes", "crying is on 2 tiers, anna (1), ben (1)"),
    ],
)
def test_tiers_that_are_joined_are_named(
    tmp_path: Path, capsys, second: tuple[float, float], where: str, says: str
) -> None:
    sound(tmp_path / "a.wav")
    path = tmp_path / "a.eaf"
    intervals = [Interval(1, 3, "cry", "anna"), Interval(*second, "Cry", "ben")]
    write_annotations([*intervals, Interval(0, 9, "home", "place")], path, "eaf")
    other = code(tmp_path, "a.rttm", [(1, 3)], "rttm")
    found = record(capsys, other, path)
    assert f"a.eaf: {says}; all of them count as one coding" in found[where]  # type: ignore[operator]
    alone = record(capsys, other, path, "--tier-b", "anna")
    assert "tier" not in f"{alone['notes']} {alone['warnings']}"


def test_results_are_compared_with_a_coder_whatever_their_reasons_are(
    tmp_path: Path, capsys
) -> None:
    coder = code(tmp_path, "a.rttm", [(1, 2), (4, 6)], "rttm")
    events = [
        {"onset_s": 1.0, "offset_s": 2.0, "label": "hungry", "confidence": 0.9},
        {"onset_s": 4.0, "offset_s": 6.0, "label": "cry", "confidence": 0.9},
    ]
    lines = [
        {"path": "v/a.mp4", "duration_s": 10.0, "events": events},
        {"path": "v/b.mp4", "duration_s": 10.0, "events": []},
    ]
    result = tmp_path / "found.jsonl"
    result.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = record(capsys, coder, result)
    assert found["figures"]["kappa"]["value"] == 1
    assert found["hours"] == pytest.approx(10 / 3600)
    assert found["problems"] == [f"b: only in {result}"]


def test_a_length_that_is_not_known_is_a_warning(tmp_path: Path, capsys) -> None:
    first = code(tmp_path, "a.rttm", [(1, 2)], "rttm")
    second = code(tmp_path, "b.txt", [(1, 2)], "audacity")
    status, _, err = agree(capsys, first, second)
    assert status == 0
    assert "the length is not known and taken to be 2.0 s" in err


@pytest.mark.parametrize("text", [LONG_TEXTGRID, SHORT_TEXTGRID], ids=["long", "short"])
def test_a_textgrid_says_how_long_its_recording_is(tmp_path: Path, capsys, text: str) -> None:
    first, second = tmp_path / "a.TextGrid", code(tmp_path, "b.rttm", [(1.25, 2.5)], "rttm")
    first.write_text(text)
    found = record(capsys, first, second)
    assert found["hours"] == pytest.approx(3.5 / 3600)
    assert not found["warnings"]


def test_the_recording_itself_is_believed_before_a_textgrid(tmp_path: Path, capsys) -> None:
    first, second = tmp_path / "a.TextGrid", code(tmp_path, "b.rttm", [(1.25, 2.5)], "rttm")
    first.write_text(LONG_TEXTGRID)
    sound(tmp_path / "a.wav")
    assert record(capsys, first, second)["hours"] == pytest.approx(10 / 3600)


def test_a_textgrid_that_ends_before_a_label_says_no_length(tmp_path: Path, capsys) -> None:
    first, second = tmp_path / "a.TextGrid", code(tmp_path, "b.rttm", [(1, 5)], "rttm")
    first.write_text(LONG_TEXTGRID)
    found = record(capsys, first, second)
    assert found["hours"] == pytest.approx(5 / 3600)
    assert "the length is not known and taken to be 5.0 s" in found["warnings"][0]


@pytest.mark.parametrize("end", ["-3", "9e12", "nan"])
def test_a_textgrid_whose_end_is_no_time_is_refused(tmp_path: Path, capsys, end: str) -> None:
    first, second = tmp_path / "a.TextGrid", code(tmp_path, "b.rttm", [(1.25, 2.5)], "rttm")
    first.write_text(SHORT_TEXTGRID.replace("3.5", end, 1))
    status, out, err = agree(capsys, first, second)
    assert (status, out) == (1, "")
    assert "a.TextGrid: line 5: a time must lie between 0 and" in err


def test_points_have_no_length_and_are_warned_of(tmp_path: Path, capsys) -> None:
    first = code(tmp_path, "a.txt", [(0, 0)], "audacity")
    status, out, err = agree(capsys, first, first)
    assert status == 0
    assert "a.txt: 1 of 1 labels that mean crying have no length, and do not count" in err
    assert "A (reference): 0 events" in out


def test_a_table_that_names_a_single_recording_is_paired_by_that_name(
    tmp_path: Path, capsys
) -> None:
    for name in ("v1", "v2"):
        code(tmp_path / "coder", f"{name}.txt", [(1, 2)], "audacity")
    events = tmp_path / "events.csv"
    events.write_text("path,onset_s,offset_s,label\nrec/v1.wav,1,2,cry\n")
    for words in ((tmp_path / "coder", events), (events, tmp_path / "coder")):
        found = record(capsys, *words)
        assert [clip["name"] for clip in found["clips"]] == ["v1"]
        assert found["problems"] == [f"v2: only in {tmp_path / 'coder'}"]
    code(tmp_path / "coder", "events.txt", [(1, 2)], "audacity")
    assert record(capsys, *words)["clips"][0]["name"] == "events"


def test_a_folder_of_one_recording_is_paired_by_its_name_alone(tmp_path: Path, capsys) -> None:
    one = code(tmp_path / "one", "monday.rttm", [(1, 2)], "rttm")
    two = code(tmp_path / "two", "tuesday.txt", [(1, 2)], "audacity")
    for words in ((one.parent, two.parent), (one.parent, two), (one, two.parent)):
        status, out, err = agree(capsys, *words)
        assert (status, out) == (1, "")
        assert "paired by name" in err
    assert record(capsys, one, two)["n_clips"] == 1
    two.rename(two.with_name("monday.txt"))
    assert record(capsys, one.parent, two.parent)["n_clips"] == 1


def test_a_folder_of_recordings_that_is_not_there_is_one_line(tmp_path: Path, capsys) -> None:
    coded = code(tmp_path, "a.txt", [(1, 2)], "audacity")
    status, _, err = agree(capsys, coded, coded, "--media", tmp_path / "none")
    assert status == 1
    assert err.startswith("cryvision: the recordings must be in a folder; none is at")


def test_a_page_and_a_figure_are_written_and_no_other_file_is_replaced(
    tmp_path: Path, capsys
) -> None:
    first = code(tmp_path, "<b>a.rttm", [(1, 2), (5, 700)], "rttm")
    second = code(tmp_path, "b.txt", [(1, 2), (900, 2000)], "audacity")
    page, figure = tmp_path / "p.html", tmp_path / "f.png"
    for _ in range(2):
        status, *_ = agree(capsys, first, second, "--html", page, "--figure", figure)
        assert status == 0
    html = page.read_text()
    assert "<b>" not in html
    assert "&lt;b&gt;a" in html
    assert "data:image/png;base64," in html
    assert "@media print" in html
    assert figure.read_bytes().startswith(PNG)
    status, _, err = agree(capsys, first, second, "--html", second)
    assert status == 1
    assert "older agreement" in err


def test_psds_is_that_of_the_times_of_the_scores(tmp_path: Path, capsys) -> None:
    coder = code(tmp_path, "a.rttm", [(1, 2), (4, 6)], "rttm")
    times = [n / 2 for n in range(20)]
    scores = [1.0 if 1 <= t < 2 or 4 <= t < 6 else 0.0 for t in times]
    result = {"path": "a.wav", "duration_s": 10.0, "events": []}
    path = tmp_path / "found.json"
    path.write_text(json.dumps({**result, "timeline": {"time_s": times, "cry": scores}}))
    assert record(capsys, coder, path)["figures"]["psds1"]["value"] == 1
    for odd in ([*times[:-1], 12.0], times[1:], [5.0] * 20):
        path.write_text(json.dumps({**result, "timeline": {"time_s": odd, "cry": scores}}))
        status, _, err = agree(capsys, coder, path)
        assert status == 1
        assert "in equal steps from 0" in err


def test_labels_behind_the_end_are_a_warning(tmp_path: Path, capsys) -> None:
    sound(tmp_path / "a.wav")
    first = code(tmp_path, "a.rttm", [(1, 2), (11, 12), (13, 14)], "rttm")
    second = code(tmp_path, "a.txt", [(1, 2)], "audacity")
    status, _, err = agree(capsys, first, second)
    assert status == 0
    assert "inside the clip, which is 10.00 s long; 2 left out: cry from 11.00 to 12.00 s" in err


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.parquet", b"x"),
        ("a.json", b'{"events": [{"onset_s": null, "offset_s": 2}]}'),
        ("a.json", b'{"events": [{"onset_s": 3, "offset_s": 2}]}'),
        ("a.json", b'{"events": [1]}'),
        ("a.json", b'{"events": [{"onset_s": 3, "offset_s": 1e15}]}'),
        ("a.json", b'{"events": [], "duration_s": Infinity}'),
        ("a.json", b'{"events": [], "duration_s": -5}'),
        ("a.json", b'{"events": [], "duration_s": [1]}'),
        ("a.json", b'{"events": [], "timeline": {"cry": [0.1]}}'),
    ],
)
def test_a_damaged_result_is_one_line(tmp_path: Path, capsys, name: str, content: bytes) -> None:
    coder = code(tmp_path, "b.rttm", [(1, 2)], "rttm")
    (tmp_path / name).write_bytes(content)
    status, _, err = agree(capsys, coder, tmp_path / name)
    assert status == 1
    assert name in err
    assert err.count("\n") == 1


def test_a_timeline_in_parquet_is_no_result(tmp_path: Path, capsys) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.timeline.parquet"
    parquet.write_table(pyarrow.table({"time_s": [0.0, 0.1], "cry": [0.5, 0.5]}), path)
    status, _, err = agree(capsys, path, path)
    assert status == 1
    assert "must be a table of cryvision score" in err


def test_timelines_and_subtitles_beside_better_files_are_passed_over(
    tmp_path: Path, capsys
) -> None:
    folder = tmp_path / "results"
    code(folder, "a.rttm", [(1, 2), (2.1, 3)], "rttm")
    code(folder, "a.srt", [(1, 3)], "srt")
    code(folder, "a.vtt", [(1, 3)], "vtt")
    code(folder, "b.srt", [(1, 2)], "srt")
    (folder / "a.csv").write_text("time_s,cry\n0,0.5\n")
    (folder / "a.timeline.parquet").write_bytes(b"x")
    found = record(capsys, folder, folder)
    assert found["n_clips"] == 2
    assert found["events"]["matched"] == 3


def all_formats(folder: Path, label: str = "cry") -> None:
    """Write a clip's result as ``--formats all`` does; without events where the label is empty."""
    spans = [(1.234, 2.345), (4, 6)] if label else []
    events = tuple(Event(*span, label, 0.9, -20.0, 20.0) for span in spans)
    timeline = {"time_s": np.arange(300) / 30, "cry": np.zeros(300, np.float32)}
    detector = Detection(True, 0.5, 3.111)
    result = Classification("a.mp4", 10.0, label, {}, detector, timeline, events, (), {}, [])
    write(result, folder, [form for form in FORMATS if form not in ("png", "mp4", "mp4-blurred")])


@pytest.mark.parametrize("label", ["cry", "belly pain"])
def test_a_folder_with_all_formats_is_read_once(tmp_path: Path, capsys, label: str) -> None:
    all_formats(tmp_path / "found", label)
    sound(tmp_path / "a.wav")
    coder = code(tmp_path, "a.eaf", [(1.2, 2.3), (4, 6)], "eaf")
    status, out, err = agree(capsys, coder, tmp_path / "found", "--json")
    assert status == 0
    assert "found: 1 recording has several files with the same events; read: a.json" in err
    found = json.loads(out)
    assert found["events"]["matched"] == 2
    assert {"psds1", "psds2"} <= set(found["figures"])
    words = [tmp_path / "found", tmp_path / "found", "--tier-a", "cry"]
    if label == "cry":
        assert record(capsys, *words)["events"]["matched"] == 2


def test_a_coder_and_a_detector_that_heard_nothing_agree(tmp_path: Path, capsys) -> None:
    all_formats(tmp_path / "found", label="")
    for name in ("a.txt", "a.rttm"):
        sound(tmp_path / "a.wav")
        (tmp_path / name).touch()
        found = record(capsys, tmp_path / name, tmp_path / "found")
        assert found["events"] == {"matched": 0, "first": 0, "second": 0}
        assert found["figures"]["alarms_per_hour"]["value"] == 0
        assert found["figures"]["event_f1"]["value"] is None


def test_files_of_a_recording_that_differ_are_refused_with_what_to_do(
    tmp_path: Path, capsys
) -> None:
    coder = code(tmp_path, "a.rttm", [(1, 2)], "rttm")
    other = Interval(1.234, 2.345, "laugh"), Interval(4, 6, "laugh")
    for name, change in (("moved", [Interval(1, 2, "cry")]), ("relabelled", other)):
        all_formats(tmp_path / name)
        write_annotations(change, tmp_path / name / "a.eaf", "eaf")
        status, out, err = agree(capsys, coder, tmp_path / name)
        assert (status, out) == (1, "")
        assert err.count("\n") == 1
        assert "is coded differently, or twice, in" in err
        assert "a folder of their own" in err


def test_a_figure_replaces_no_other_file(tmp_path: Path, capsys) -> None:
    first = code(tmp_path, "a.rttm", [(1, 2)], "rttm")
    second = code(tmp_path, "b.txt", [(1, 2)], "audacity")
    other, page = tmp_path / "photo.png", tmp_path / "p.html"
    other.write_bytes(PNG + b"of somebody else")
    assert agree(capsys, first, second, "--html", page)[0] == 0
    for path in (first, other, page):
        before = path.read_bytes()
        status, out, err = agree(capsys, first, second, "--figure", path)
        assert (status, out) == (1, "")
        assert "only the figure of an older agreement is replaced" in err
        assert path.read_bytes() == before


def test_what_has_no_recording_in_common_is_one_line(tmp_path: Path, capsys) -> None:
    for folder in ("one", "two"):
        for name in ("a", "b"):
            code(tmp_path / folder, f"{folder}{name}.rttm", [(1, 2)], "rttm")
    status, out, err = agree(capsys, tmp_path / "one", tmp_path / "two")
    assert (status, out) == (1, "")
    assert "one has onea, oneb and" in err
    status, _, err = agree(capsys, tmp_path / "none", tmp_path / "two")
    assert status == 1
    assert "nothing is at" in err


def test_a_clip_is_scored(tmp_path: Path, capsys) -> None:
    demo = Path(__file__).resolve().parents[2] / "examples" / "demo.mp4"
    coder = code(tmp_path, "demo.eaf", [(2, 4)], "eaf")
    found = record(capsys, coder, demo)
    assert found["events"]["second"] > 0
    assert {"psds1", "psds2"} <= set(found["figures"])


def test_the_folder_of_a_run_of_score_is_a_source(tmp_path: Path, capsys) -> None:
    code(tmp_path / "coder", "demo.txt", [(1, 2)], "audacity")
    run = tmp_path / "run"
    run.mkdir()
    table, hours, events = run / "a.csv", run / "hours.csv", run / "events.csv"
    cryvision.score(DEMO, table, summary=hours, events=events, workers=1)
    words = [tmp_path / "coder", run, "--media", DEMO.parent]
    n_events = len(events.read_text().splitlines()) - 1
    assert record(capsys, *words)["events"]["second"] == n_events > 0
    status, _, err = agree(capsys, *words)
    assert (status, "only in" in err) == (0, False)
    again = record(capsys, run, run)
    assert (again["n_clips"], again["events"]["first"]) == (1, n_events)
    table.unlink()  # the table of events alone is a source, too
    assert record(capsys, *words)["events"]["second"] == n_events


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_table_of_events_in_another_format_is_passed_over(
    tmp_path: Path, capsys, suffix: str
) -> None:
    pytest.importorskip("pyarrow")
    coder = code(tmp_path / "coder", "demo.txt", [(1, 2)], "audacity")
    run = tmp_path / "run"
    run.mkdir()
    cryvision.score(DEMO, run / "a.csv", events=run / f"events.{suffix}", workers=1)
    found = record(capsys, coder.parent, run, "--media", DEMO.parent)
    assert (found["n_clips"], found["events"]["second"] > 0) == (1, True)


def test_the_table_of_events_of_a_run_without_any_is_no_recording(tmp_path: Path, capsys) -> None:
    coder = code(tmp_path / "coder", "quiet.txt", [(1, 2)], "audacity")
    run = tmp_path / "run"
    noise = np.random.default_rng(0).normal(0, 0.01, 10 * lab.RATE_HZ)
    quiet = lab.write_wav(tmp_path / "quiet.wav", noise)
    cryvision.score(quiet, run / "a.csv", events=run / "events.csv", workers=1)
    assert len((run / "events.csv").read_text().splitlines()) == 1
    status, _, err = agree(capsys, coder, run)
    assert (status, "only in" in err) == (0, False)


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (["missing.eaf"], "nothing is at missing.eaf"),
        (["a.wav", "--overlap", "3"], "the overlap must be above 0 and at most 1; got 3"),
        (["a.wav", "--onset-tolerance", "-1"], "tolerances must not be negative; got -1 s"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_clips_are_scored(
    tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch, words: list[str], rule: str
) -> None:
    monkeypatch.chdir(tmp_path)
    sound(tmp_path / "a.wav")
    status, _, err = agree(capsys, "a.wav", *words)
    assert status in (1, 2)
    assert rule in err
    assert "scoring" not in err


@pytest.mark.parametrize("kind", ["clip", "json", "csv", "jsonl", "parquet"])
def test_a_recording_of_which_nothing_was_scored_is_not_one_without_crying(
    tmp_path: Path, capsys, kind: str
) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    silent = sound(clips / "silent.wav")
    shutil.copy(DEMO, clips / "demo.mp4")
    for name in ("silent", "demo"):
        code(tmp_path / "coder", f"{name}.txt", [(1, 2)], "audacity")
    found = clips
    if kind == "json":
        found = tmp_path / "results"
        found.mkdir()
        for clip in (silent, clips / "demo.mp4"):
            write(cryvision.classify(clip), found, ["json"])
    elif kind != "clip":
        found = tmp_path / f"table.{kind}"
        assert main(["score", str(clips), "--out", str(found)]) == 0
        capsys.readouterr()
    compared = record(capsys, tmp_path / "coder", found)
    assert [clip["name"] for clip in compared["clips"]] == ["demo"]
    assert compared["problems"] == [f"silent: no sound was scored in {_where(found, kind)}"]
    status, _, err = agree(capsys, tmp_path / "coder" / "silent.txt", silent)
    assert status == 1
    assert "no sound was scored" in err


def _where(found: Path, kind: str) -> Path:
    return {"clip": found / "silent.wav", "json": found / "silent.json"}.get(kind, found)
