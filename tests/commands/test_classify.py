"""``classify`` says when, how long, how sure and how loud, and writes it in every format."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pysubs2
import pytest
import soundfile
from bundles import BUNDLE_V1
from praatio import textgrid

MS = 1e-3
"""Times are written to the millisecond."""

SAME_MODEL = 2e-4
"""What ONNX and Keras may differ by, 1e-4, and as much again from rounding to four places."""

ABOUT_A_WINDOW = 0.02
"""Share of a minute in which a window reaches from noise into silence."""

FIELDS = [
    "path",
    "duration_s",
    "label",
    "probabilities",
    "detector",
    "events",
    "bouts",
    "rejected",
    "veto",
    "bout_gap_s",
    "threshold",
    "min_duration_s",
    "min_gap_s",
    "heard_seconds",
    "modalities",
    "bundle",
    "skill",
    "warnings",
]
EVENT_FIELDS = [
    *("onset_s", "offset_s", "label", "confidence", "intensity_db", "above_background_db"),
    *("other_tag", "other_tag_score"),
]
FILES = {
    "csv": {"bout.csv", "bout.events.csv", "bout.bouts.csv"},
    "json": {"bout.json"},
    "audacity": {"bout.labels.txt", "bout.bouts.txt"},
    "vtt": {"bout.vtt"},
    "textgrid": {"bout.TextGrid"},
    "png": {"bout.png"},
}


def test_the_crying_comes_first(classify, bout_wav: Path) -> None:
    done = classify(bout_wav)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    first, second, *rest = [line for line in lines if not line.startswith("  warning")]
    assert "too quiet to be scored" in lines[1]
    assert first.startswith(f"{bout_wav} (3.0 s): crying 1.4 s in 1 bout, sure 0.")
    assert second.split()[:3] == ["0:00.85", "-", "0:02.25"]
    assert "sure 0." in second
    assert "dBFS" in second
    assert rest == [""]


def test_what_a_result_rests_on_is_said_once_a_run_and_on_request(
    classify, bout_wav: Path, tone_wav: Path
) -> None:
    plain, verbose = (classify(*words, bout_wav, tone_wav).out for words in ([], ["--verbose"]))
    assert "rests on" not in plain
    assert verbose.count("rests on  bundle ") == 1
    assert verbose.count("label     not sure, from sound") >= 1


def test_quiet_prints_a_line_a_clip(classify, bout_wav: Path, tone_wav: Path) -> None:
    lines = classify("--quiet", bout_wav, tone_wav).out.splitlines()
    assert [line.split(" (")[0] for line in lines] == [str(bout_wav), str(tone_wav)]


def test_all_events_and_experimental_reasons_can_be_asked_for(classify, bout_wav: Path) -> None:
    done = classify("--all-events", "--show-experimental", bout_wav)
    assert done.code == 0
    assert "experimental: " in done.out
    assert "experimental" not in classify(bout_wav).out


def test_json_is_one_object_a_clip_on_a_line(classify, bout_wav: Path, tone_wav: Path) -> None:
    done = classify("--json", bout_wav, tone_wav)
    assert (done.code, done.err) == (0, "")
    bout, tone = done.objects
    assert [bout["path"], tone["path"]] == [str(bout_wav), str(tone_wav)]
    assert list(bout) == FIELDS
    assert list(bout["detector"]) == ["cry", "probability", "seconds"]
    assert [list(event) for event in bout["events"]] == [EVENT_FIELDS]
    assert list(bout["bundle"]) == ["name", "sha256"]
    assert bout["detector"]["cry"] is True
    assert bout["detector"]["probability"] == bout["probabilities"]["cry"]
    assert bout["duration_s"] == 3.0
    assert bout["modalities"] == ["sound"]


def test_the_score_of_a_clip_is_the_mean_of_what_passes_the_gate(classify, bout_wav: Path) -> None:
    done = classify("--json", bout_wav)
    # Two seconds of digital silence would pull a mean over all windows below a half.
    assert done.objects[0]["detector"]["probability"] > 0.8


def test_every_format_appears_and_all_tell_the_same_bout(
    classify, bout_wav: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "out"
    done = classify(
        "--json", "--formats", "csv,json,audacity,vtt,textgrid,png", "--out", out, bout_wav
    )
    assert done.code == 0
    assert set(os.listdir(out)) == set().union(*FILES.values())
    assert done.err.count("cryvision: wrote ") == len(done.err.splitlines()) == 9
    (event,) = done.objects[0]["events"]
    bout = (event["onset_s"], event["offset_s"])

    whole = json.loads((out / "bout.json").read_text())
    timeline = whole.pop("timeline")
    assert whole == done.objects[0]
    with open(out / "bout.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["time_s", "cry", "cry_smooth"] == list(timeline)
    assert len(rows) == 90
    assert [row["cry"] for row in rows] == ["" if v is None else str(v) for v in timeline["cry"]]
    with open(out / "bout.events.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (float(row["onset_s"]), float(row["offset_s"])) == bout

    (line,) = (out / "bout.labels.txt").read_text().splitlines()
    assert tuple(map(float, line.split("\t")[:2])) == pytest.approx(bout, abs=MS)
    (cue,) = pysubs2.load(str(out / "bout.vtt"))
    assert (cue.start / 1000, cue.end / 1000) == pytest.approx(bout, abs=MS)
    grid = textgrid.openTextgrid(str(out / "bout.TextGrid"), includeEmptyIntervals=False)
    for tier in grid.tiers:
        assert any((s.start, s.end) == pytest.approx(bout, abs=MS) for s in tier.entries)
    assert (out / "bout.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("form", ["csv", "audacity"])
def test_without_out_files_go_to_the_current_folder(
    classify, bout_wav: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert classify("--formats", form, bout_wav).code == 0
    assert set(os.listdir(tmp_path)) == FILES[form]


def timeline_of(classify, clip: Path, out: Path, *options: str) -> dict[str, np.ndarray]:
    assert classify("--formats", "json", "--out", out, *options, clip).code == 0
    timeline = json.loads((out / f"{clip.stem}.json").read_text())["timeline"]
    return {name: np.array(values, float) for name, values in timeline.items()}


def test_smooth_is_the_length_of_the_rolling_mean(classify, bout_wav: Path, tmp_path: Path) -> None:
    raw = timeline_of(classify, bout_wav, tmp_path, "--smooth", "0")
    smooth = timeline_of(classify, bout_wav, tmp_path, "--smooth", "0.5")
    np.testing.assert_array_equal(raw["cry"], smooth["cry"])
    np.testing.assert_array_equal(raw["cry_smooth"], raw["cry"])
    at = 45
    assert smooth["cry_smooth"][at] == pytest.approx(raw["cry"][at - 14 : at + 1].mean(), abs=MS)
    assert smooth["cry_smooth"][at] != raw["cry"][at]


def test_a_label_without_measured_skill_is_not_sure_unless_asked_for(
    classify, bout_wav: Path
) -> None:
    (skill,) = classify("--json", bout_wav).objects
    (always,) = classify("--json", "--label-policy", "always", bout_wav).objects
    assert (skill["label"], always["label"]) == ("not sure", "cry")
    assert any("whatever its measured skill" in warning for warning in always["warnings"])


def test_both_runtimes_hear_the_same(classify, bout_wav: Path, tmp_path: Path) -> None:
    onnx = timeline_of(classify, bout_wav, tmp_path)
    keras = timeline_of(classify, bout_wav, tmp_path, "--runtime", "keras")
    for name in onnx:
        np.testing.assert_allclose(keras[name], onnx[name], atol=SAME_MODEL)


def test_sound_of_a_video_is_heard_and_its_faces_are_not_used(classify, small_video: Path) -> None:
    (found,) = classify("--json", small_video).objects
    assert found["modalities"] == ["sound"]
    assert any("faces are not used" in warning for warning in found["warnings"])


def test_nothing_to_decide_from_is_not_sure_and_no_failure(
    classify, make_media: Callable[..., Path]
) -> None:
    picture = ("-f", "lavfi", "-i", "testsrc=s=64x48:r=30:d=0.5", "-c:v", "mpeg4")
    clip = make_media("no-sound.mp4", *picture)
    done = classify("--json", clip)
    (found,) = done.objects
    assert (done.code, done.err) == (0, "")
    assert found["label"] == "not sure"
    assert found["detector"] == {"cry": None, "probability": None, "seconds": None}
    assert any("nothing to decide from" in warning for warning in found["warnings"])
    assert "no sound to find crying in" in classify(clip).out.splitlines()[0]


# Several clips


def test_a_bad_clip_among_good_ones_costs_only_itself(
    classify, bout_wav: Path, tmp_path: Path
) -> None:
    missing = tmp_path / "missing.wav"
    out = tmp_path / "out"
    done = classify("--json", "--formats", "csv", "--out", out, missing, bout_wav)
    assert done.code == 3
    assert [found["path"] for found in done.objects] == [str(bout_wav)]
    assert f"cryvision: {missing}: there is no such file\n" in done.err
    assert set(os.listdir(out)) == FILES["csv"]


def test_when_all_clips_are_bad_the_run_failed(classify, tmp_path: Path) -> None:
    done = classify("--json", tmp_path / "a.wav", tmp_path / "b.wav")
    assert (done.code, done.out) == (1, "")
    assert len(done.err.splitlines()) == 2


def test_clips_of_one_name_keep_files_apart(classify, bout_wav: Path, tmp_path: Path) -> None:
    clips = [tmp_path / "a" / "bout.wav", tmp_path / "b" / "bout.wav"]
    for clip in clips:
        clip.parent.mkdir()
        shutil.copy(bout_wav, clip)
    out = tmp_path / "out"
    assert classify("--formats", "json", "--out", out, *clips).code == 0
    found = [json.loads(path.read_text())["path"] for path in sorted(out.iterdir())]
    assert sorted(found) == sorted(map(str, clips))


# Names


@pytest.mark.parametrize(
    "name",
    [
        "two words.wav",
        "Säugling 婴儿 👶.wav",
        "-json.wav",
        "--out.wav",
        "%03d.wav",
        "concat:a.wav|b.wav",
        "line\nbreak.wav",
        "\x1b[31mred.wav",
    ],
)
def test_a_name_is_just_a_name(
    classify, bout_wav: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    try:
        shutil.copy(bout_wav, tmp_path / name)
    except OSError:
        pytest.skip("this system does not allow the name")
    monkeypatch.chdir(tmp_path)
    done = classify("--json", "--formats", "json", "--out", "out", "--", name)
    assert done.code == 0
    (found,) = done.objects
    assert found["path"] == name
    assert len(found["events"]) == 1
    (written,) = os.listdir("out")
    assert json.loads((tmp_path / "out" / written).read_text())["path"] == name
    text = classify("--", name).out
    assert "crying 1.4 s in 1 bout" in text.splitlines()[0]
    assert "\x1b" not in text + done.err


# What is refused


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "PATH"),
        (["--formats", "docx", "a.wav"], "docx"),
        (["--formats", ",", "a.wav"], "got none"),
        (["--runtime", "torch", "a.wav"], "torch"),
        (["--label-policy", "never", "a.wav"], "never"),
        (["--smooth", "soon", "a.wav"], "soon"),
        (["--smooth", "-1", "{bout}"], "-1"),
        (["--smooth", "nan", "{bout}"], "nan"),
        (["--out", "results", "a.wav"], "--out needs --formats"),
        (["--timeline-hop", "1", "a.wav"], "needs csv, parquet or json among the formats"),
        (["--timeline-hop", "0.001", "--formats", "csv", "a.wav"], "at least a frame"),
        (["--loud", "a.wav"], "--loud"),
        (["--quiet", "--verbose", "a.wav"], "not allowed with"),
        (["--json", "--verbose", "a.wav"], "not allowed with"),
        (["--json", "--quiet", "a.wav"], "not allowed with"),
        (["--json", "--all-events", "a.wav"], "--all-events is for the list of bouts; --json"),
        (["--quiet", "--all-events", "a.wav"], "--all-events is for the list of bouts; --quiet"),
        (["--quiet", "--show-rejected", "a.wav"], "--show-rejected is for the list of bouts, or"),
        (["--json", "--show-rejected", "a.wav"], "--show-rejected is for the list of bouts, or"),
    ],
)
def test_wrong_usage_names_what_is_wrong(
    classify, bout_wav: Path, arguments: list[str], named: str
) -> None:
    done = classify(*(argument.format(bout=bout_wav) for argument in arguments))
    assert (done.code, done.out) == (2, "")
    assert named in done.err.splitlines()[-1]


def test_parquet_without_pyarrow_is_said_before_any_work(
    classify, bout_wav: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = classify("--formats", "parquet", "--out", tmp_path / "out", bout_wav, bout_wav)
    assert (done.code, done.out) == (1, "")
    assert "pip install 'cryvision[batch]'" in done.err
    assert not (tmp_path / "out").exists()


def test_a_file_in_place_of_the_folder_ends_the_run_at_once(
    classify, bout_wav: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.write_text("mine")
    done = classify("--json", "--formats", "csv", "--out", out, bout_wav, bout_wav)
    assert (done.code, done.out) == (1, "")
    (line,) = done.err.splitlines()
    assert str(out) in line
    assert out.read_text() == "mine"


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="this user may write everywhere"
)
def test_a_read_only_folder_is_one_line(classify, bout_wav: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir(mode=0o500)
    done = classify("--formats", "csv", "--out", out, bout_wav)
    assert done.code == 1
    (line,) = done.err.splitlines()
    assert str(out) in line
    assert not list(out.iterdir())


def test_a_folder_with_a_line_break_in_its_name_is_still_one_line(
    classify, bout_wav: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    done = classify("--formats", "csv", "--out", tmp_path / "file" / "a\n\x1b[31mb", bout_wav)
    assert done.code == 1
    (line,) = done.err.splitlines()
    assert line.endswith(r"a\n\x1b[31mb")


@pytest.mark.parametrize("bundle", [(), ("--bundle", BUNDLE_V1)])
def test_a_silent_minute_is_not_scored(run, tmp_path: Path, bundle: tuple[str, ...]) -> None:
    rng = np.random.default_rng(0)
    sound = 0.05 * rng.normal(size=130 * 16_000)
    sound[60 * 16_000 : 120 * 16_000] = 0
    soundfile.write(tmp_path / "night.wav", sound, 16_000)
    words = ["--formats", "quality", "--out", tmp_path]
    assert run("classify", *bundle, *words, tmp_path / "night.wav").code == 0
    with open(tmp_path / "night.quality.csv", newline="") as file:
        noise, silence, rest = csv.DictReader(file)
    assert silence["silent_share"] == "1.0"
    assert float(silence["not_scored_share"]) == pytest.approx(1.0, abs=ABOUT_A_WINDOW)
    for minute in (noise, rest):
        assert float(minute["not_scored_share"]) == pytest.approx(0.0, abs=ABOUT_A_WINDOW * 6)


def test_a_wrong_start_names_the_option_and_its_form(run, bout_wav: Path, tone_wav: Path) -> None:
    for start in ("31.03.2024 01:59", ""):
        done = run("classify", bout_wav, "--start", start)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("cryvision: --start must be a date and time of ISO 8601")
        assert repr(start) in done.err
        assert done.err.count("\n") == 1
    done = run("classify", bout_wav, tone_wav, "--start", "2024-03-31T01:59:55")
    assert "--start is for a single clip; got 2 clips" in done.err
    assert "column start" in done.err
