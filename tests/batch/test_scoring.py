"""A row says of a clip what `classify --json` says, and measures of its bouts."""

from __future__ import annotations

import json
import math
import platform
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile
from bundles import BUNDLE_V1
from drivers import as_sent, read_table
from two_parts import tones, two_part_bundle

import cryvision
from cryvision.batch.job import Job
from cryvision.batch.rows import COLUMNS, kind_of, ordered_columns, scored_row
from cryvision.batch.run import score
from cryvision.batch.scoring import ClipScorer, return_free_memory
from cryvision.batch.sources import ListedClip
from cryvision.batch.worker import json_pieces
from cryvision.bundle import Bundle
from cryvision.cli import main
from cryvision.config import GateConfig
from cryvision.errors import BundleError, ConfigError
from cryvision.inputs.pitch import PitchTrack
from cryvision.inputs.quality import MinuteQuality
from cryvision.outputs.event_rows import event_rows
from cryvision.result import Classification, Detection, Event

PROBABILITY_TOLERANCE = 1e-5  # what is demanded; both round alike


@pytest.fixture(scope="module")
def media(make_media, tmp_path_factory) -> list[Path]:
    """A cry-like sound, a video, silence, a very short clip, and a damaged one."""
    warble = "aevalsrc=0.3*sin(2*PI*450*t+8*sin(2*PI*5*t))*(gt(mod(t\\,2)\\,0.7)):s=16000:d=6"
    source = ("-f", "lavfi", "-i")
    made = [
        make_media("warble.wav", *source, warble),
        make_media("video.mp4", *source, "testsrc=s=64x48:r=30:d=2", *source, warble, "-shortest"),
        make_media("silence.flac", *source, "anullsrc=r=16000:cl=mono:d=2"),
        make_media("short.wav", *source, "aevalsrc=0.3*sin(2*PI*450*t):s=16000:d=0.2"),
        make_media("mute.mp4", *source, "testsrc=s=64x48:r=30:d=1"),
    ]
    folder = tmp_path_factory.mktemp("media")
    damaged = folder / "damaged.wav"
    damaged.write_bytes(b"RIFF" + b"\0" * 100)
    return [*(Path(shutil.copy(path, folder)) for path in made), damaged]


@pytest.fixture(scope="module")
def rows(media, tmp_path_factory) -> list[dict]:
    out = tmp_path_factory.mktemp("score") / "t.jsonl"
    summary = score(media, out, bundle=BUNDLE_V1, label_policy="always", workers=1)
    assert summary.failures == {"MediaError": 1}
    return read_table(out)


def test_rows_equal_what_classify_prints(media, rows, capsys):
    paths = [str(path) for path in media]
    status = main(
        ["classify", *paths, "--bundle", str(BUNDLE_V1), "--json", "--label-policy", "always"]
    )
    assert status == 3
    records = {r["path"]: r for r in map(json.loads, capsys.readouterr().out.splitlines())}
    assert [row["path"] for row in rows] == paths
    for row in rows[:-1]:
        record = records[row["path"]]
        for name in (
            *("label", "duration_s", "events", "bouts", "rejected", "veto", "bout_gap_s"),
            *("threshold", "min_duration_s", "min_gap_s", "modalities", "warnings"),
        ):
            assert row[name] == record[name], name
        for label in ("no cry", "cry"):
            value = row[f"probabilities_{label.replace(' ', '_')}"]
            assert value == pytest.approx(
                record["probabilities"].get(label), abs=PROBABILITY_TOLERANCE
            )
        assert row["detector_cry"] == record["detector"]["cry"]
        assert row["cry_seconds"] == record["detector"]["seconds"]
        assert row["detector_probability"] == record["detector"]["probability"]
        assert row["bundle_sha256"] == record["bundle"]["sha256"]


@pytest.mark.usefixtures("same_process")
def test_the_row_of_the_demo_equals_what_classify_prints_with_the_default_bundle(tmp_path, capsys):
    demo = str(Path(__file__).parents[2] / "examples" / "demo.mp4")
    score(demo, tmp_path / "t.jsonl", workers=1)
    assert main(["classify", demo, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    (row,) = read_table(tmp_path / "t.jsonl")
    assert row["events"] == record["events"] != []
    assert row["label"] == record["label"]
    for label, expected in record["probabilities"].items():
        value = row[f"probabilities_{label.replace(' ', '_')}"]
        assert value == pytest.approx(expected, abs=PROBABILITY_TOLERANCE)


def test_every_field_of_the_record_has_its_column(rows):
    from cryvision.outputs.tables import to_record

    result = cryvision.classify(rows[0]["path"], BUNDLE_V1)
    record = to_record(result)
    assert record.pop("heard_seconds") == {}
    for name, value in record.items():
        inner = (
            [f"{name}_{key}".replace(" ", "_") for key in value]
            if isinstance(value, dict)
            else [name]
        )
        for column in inner:
            assert column in (*rows[0], "skill", "detector_seconds")


def test_a_damaged_clip_says_why_in_a_line(rows):
    assert rows[-1]["status"] == "MediaError"
    assert "damaged.wav" in rows[-1]["error"]
    assert "\n" not in rows[-1]["error"]
    assert rows[-1]["label"] is None


def test_a_clip_without_sound_has_no_measures(rows):
    mute = next(row for row in rows if row["path"].endswith("mute.mp4"))
    assert mute["label"] == "not sure"
    names = ("n_bouts", "n_events", "pauses", "median_f0_hz", "detector_cry", "n_rejected")
    assert {mute[name] for name in names} == {None}


def test_crying_is_unknown_and_not_zero_where_nothing_was_scored(rows):
    for name in ("mute.mp4", "silence.flac"):
        row = next(row for row in rows if row["path"].endswith(name))
        assert (row["detector_cry"], row["cry_seconds"]) == (None, None)


def test_silence_counts_as_too_quiet_to_be_scored(rows):
    silence = next(row for row in rows if row["path"].endswith("silence.flac"))
    assert silence["too_quiet_s"] == pytest.approx(2.0, abs=0.5)  # a window
    assert silence["sound_s"] == pytest.approx(2.0, abs=0.5)
    warble = next(row for row in rows if row["path"].endswith("warble.wav"))
    assert warble["too_quiet_s"] < 2.0


def test_without_a_tagger_the_columns_of_tags_are_there_and_empty(rows):
    names = [name for name in rows[0] if name.startswith("heard_")]
    assert {"heard_cry_s", "heard_music_s", "heard_adult_speech_s"} < set(names)
    assert {row[name] for row in rows for name in names} == {None}


def _row(
    events: list[tuple[float, float, float]], duration_s: float, f0_hz: list[float], **more: object
) -> dict:
    bouts = tuple(Event(a, b, "cry", 0.9, level, 20.0) for a, b, level in events)
    seconds = sum(event.duration_s for event in bouts)
    detector = Detection(bool(bouts), 0.5, seconds)
    result = Classification("a.wav", duration_s, "cry", {}, detector, {}, bouts, (), {}, [], **more)
    track = PitchTrack(np.array(f0_hz, np.float32))
    job = Job(None, "b", "0" * 64, "0", "")
    return as_sent(scored_row(ListedClip("k", "a.wav", 1, "a.wav"), job, result, track, 0.5))


class TestMeasures:
    def test_of_two_bouts(self):
        f0_hz = [math.nan, 400.0, 500.0, math.nan, 900.0]  # at 15, 35, 55, 75 and 95 ms
        row = _row([(0.03, 0.07, -20.0), (1.07, 1.11, -30.0)], 30.0, f0_hz)
        assert (row["n_bouts"], row["cries_per_minute"], row["pauses"]) == (2, 4.0, 1)
        assert (row["pause_seconds"], row["longest_bout_s"]) == (1.0, 0.04)
        assert row["bout_seconds"] == pytest.approx(0.08)
        assert (row["median_f0_hz"], row["voiced_seconds"]) == (450.0, 0.04)
        assert row["cry_seconds"] == pytest.approx(0.08)
        # The mean of the powers 0.01 and 0.001.
        assert row["intensity_db"] == pytest.approx(-22.6, abs=0.05)

    def test_of_none(self):
        row = _row([], 30.0, [400.0] * 5, quality=(MinuteQuality(0.0, 30.0, 0.0, 0.0, -60.0),))
        assert (row["n_bouts"], row["pauses"], row["cries_per_minute"]) == (0, 0, 0.0)
        names = ("longest_bout_s", "bout_seconds", "pause_seconds", "too_quiet_s")
        seconds = [row[name] for name in names]
        assert seconds == [0, 0, 0, 0]
        assert {type(one) for one in seconds} == {float}  # as in the other rows
        assert row["median_f0_hz"] is row["intensity_db"] is None

    def test_of_bouts_that_touch(self):
        row = _row([(0.0, 1.0, -20.0), (1.0, 2.0, -20.0)], 2.0, [])
        assert (row["pauses"], row["pause_seconds"]) == (0, 0)

    def test_of_cries_that_make_one_bout(self):
        cries = [(1.0, 2.0, -20.0), (2.25, 3.0, -20.0), (9.0, 9.5, -20.0)]
        row = _row(cries, 60.0, [])
        assert (row["n_events"], row["n_bouts"], row["cries_per_minute"]) == (3, 2, 3.0)
        assert (row["bout_seconds"], row["longest_bout_s"], row["cry_seconds"]) == (2.5, 2.0, 2.25)
        assert (row["pauses"], row["pause_seconds"], row["bout_gap_s"]) == (1, 6.0, 0.5)
        assert [bout["n_events"] for bout in row["bouts"]] == [2, 1]
        narrow = _row(cries, 60.0, [], bout_gap_s=0.2)
        assert (narrow["n_bouts"], narrow["longest_bout_s"]) == (3, 1.0)

    def test_of_what_was_heard_and_rejected(self):
        rejected = (Event(4.0, 5.0, "cry", 0.2, -30.0, 9.0, rejected="music"),) * 2
        tag_seconds = {"music": 7.2, "adult_speech": 0.24, "a tag": 1.0}
        row = _row([], 60.0, [], rejected=rejected, heard_seconds=tag_seconds, veto="strict")
        assert (row["n_rejected"], row["veto"], row["n_events"]) == (2, "strict", 0)
        assert (row["heard_music_s"], row["heard_adult_speech_s"]) == (7.2, 0.24)
        assert [event["rejected"] for event in row["rejected"]] == ["music"] * 2
        columns = ordered_columns(row)
        assert "heard_a_tag_s" in columns
        assert {kind_of(name) for name in columns if name.startswith("heard_")} == {"real"}

    def test_are_sent_as_json_writes_them(self):
        events = [{"onset_s": 1.5, "label": "caf\u00e9"}, {"onset_s": None}]
        row = {"path": 'a "b".wav', "n": 2, "events": events, "bouts": [], "minutes": [0.1]}
        lazy = {**row, "events": iter(events), "bouts": iter([])}
        assert "".join(json_pieces(lazy)) == json.dumps(row) + "\n"

    def test_all_have_a_meaning(self):
        assert set(_row([(0, 1, -20.0)], 2.0, [])) - {"key"} <= set(COLUMNS)


@pytest.fixture
def tone(make_media, monkeypatch):
    """A clip of which a second is heard as crying."""
    # A gate that opens at once, because the bundle of the tests knows nothing of crying.
    wide = GateConfig(enter=2e-6, leave=1e-6, min_level_dbfs=-60.0)
    bundle = replace(Bundle.load(BUNDLE_V1), gate=wide)
    monkeypatch.setattr(Bundle, "load", lambda path: bundle)
    sound = "aevalsrc=0.1*sin(2*PI*450*t)*between(t\\,1\\,2):s=16000:d=3"
    path = make_media("second.wav", "-f", "lavfi", "-i", sound)
    return ListedClip("k", str(path), 1, path.name)


def test_the_pitch_and_level_of_what_is_heard_as_crying_are_in_the_row(tone):
    row = as_sent(ClipScorer(_job())(tone))
    assert row["n_bouts"] == row["n_events"] == len(row["bouts"]) == 1
    assert row["median_f0_hz"] == pytest.approx(450, rel=0.005)
    assert row["voiced_seconds"] == pytest.approx(1.0, abs=0.1)
    assert -30 < row["intensity_db"] <= -23  # -23.0 dB while the tone lasts


def test_the_acoustics_of_real_sound_are_in_the_rows(tone):
    pytest.importorskip("parselmouth")
    (event,) = event_rows(as_sent(ClipScorer(_job(acoustics=True))(tone)))
    assert event["f0_median_hz"] == pytest.approx(450.0, abs=1.0)
    assert event["bout_cries"] == 1


def _job(**changes: object) -> Job:
    bundle = Bundle.load(BUNDLE_V1)
    facts = {"bundle": str(BUNDLE_V1), "bundle_name": bundle.name, "bundle_sha256": bundle.sha256}
    return Job(**{**facts, "version": "0", "folder": "", **changes})


def test_the_models_are_loaded_once_for_all_clips(media, monkeypatch):
    loads: list[str] = []
    original = Bundle.model

    def counted(self, part, runtime="onnx"):
        loads.append(runtime)
        return original(self, part, runtime)

    monkeypatch.setattr(Bundle, "model", counted)
    scorer = ClipScorer(_job())
    for path in (media[0], media[2]):
        assert scorer(ListedClip("k", str(path), 1, path.name))["status"] == "ok"
    assert loads == ["onnx"]


def test_another_bundle_than_that_of_the_run_is_refused():
    with pytest.raises(BundleError, match="every machine must hold the bundle of the run"):
        ClipScorer(_job(bundle_sha256="0" * 64))


@pytest.mark.usefixtures("same_process")
def test_a_setting_that_no_clip_can_be_scored_with_ends_the_run(media, tmp_path):
    with pytest.raises(ConfigError, match="smooth_seconds"):
        score(media[0], tmp_path / "t.csv", bundle=BUNDLE_V1, smooth_seconds=-1.0)


def test_a_clip_that_breaks_a_library_is_a_row(media, monkeypatch):
    def broken(*arguments: object, **options: object) -> None:
        raise IndexError("index 7 is out\nof bounds")

    monkeypatch.setattr("cryvision.batch.scoring.media.open_clip", broken)
    row = ClipScorer(_job())(ListedClip("k", str(media[0]), 1, "a.wav"))
    assert row["status"] == "IndexError"
    assert row["error"].endswith("index 7 is out of bounds")


@pytest.mark.usefixtures("same_process")
def test_the_gap_of_bouts_and_the_veto_are_settings_that_a_run_resumes_by(media, tmp_path):
    out = tmp_path / "t.jsonl"

    def run(**settings: object) -> tuple[int, dict]:
        summary = score(media[0], out, bundle=BUNDLE_V1, workers=1, **settings)
        (row,) = read_table(out)
        return summary.n_scored, row

    plain = run()
    assert plain[0] == 1
    assert plain[1]["bout_gap_s"] == 0.5
    n_scored, wide = run(bout_gap_s=60.0)
    assert (n_scored, wide["bout_gap_s"]) == (1, 60.0)
    assert wide["n_bouts"] <= 1
    assert wide["settings_sha256"] != plain[1]["settings_sha256"]
    assert run(veto="strict")[0] == 1
    assert run() == (0, plain[1])
    settings = json.loads(Path(f"{out}.about.json").read_text())["settings"]
    assert (settings["veto"], settings["bout_gap_s"]) == ("normal", 0.5)


@pytest.mark.usefixtures("same_process")
def test_threshold_duration_and_gap_decide_what_a_row_holds_and_what_a_run_resumes_by(
    tmp_path, tmp_path_factory
):
    folder = two_part_bundle(tmp_path_factory).folder
    sound = tones(5.0, edges=[(1.0, 1.2), (1.4, 2.0)], cry=[(0, 5)])
    sound += tones(5.0, {"edges": 0.008}, edges=[(3.0, 3.6)])  # a score of 0.7
    soundfile.write(tmp_path / "cries.wav", sound, 16_000)
    out = tmp_path / "t.jsonl"

    def run(**settings: float) -> tuple[int, dict]:
        summary = score(tmp_path / "cries.wav", out, bundle=folder, workers=1, **settings)
        (row,) = read_table(out)
        return summary.n_scored, row

    own = run()[1]
    names = ("n_events", "threshold", "min_duration_s", "min_gap_s")
    assert [own[name] for name in names] == [3, 0.5, 0.1, 0.0]
    for settings, expected in (
        ({"threshold": 0.8}, [2, 0.8, 0.1, 0.0]),
        ({"min_duration_s": 0.3}, [2, 0.5, 0.3, 0.0]),
        ({"min_gap_s": 0.3}, [2, 0.5, 0.1, 0.3]),
        ({"min_gap_s": 2, "threshold": 0.8}, [1, 0.8, 0.1, 2.0]),
    ):
        n_scored, row = run(**settings)
        assert [row[name] for name in names] == expected
        assert (n_scored, run(**settings)) == (1, (0, row))
        assert row["settings_sha256"] != own["settings_sha256"]
    assert run() == (0, own)
    settings = json.loads(Path(f"{out}.about.json").read_text())["settings"]
    assert settings["threshold"] is None  # the bundle's own


@pytest.mark.usefixtures("same_process")
def test_the_veto_of_a_run_decides_which_events_stand_in_a_row(tmp_path, tmp_path_factory):
    folder = two_part_bundle(tmp_path_factory).folder
    # Something that the detector takes for crying, at which the tagger hears music.
    sound = tones(4.0, edges=[(1.0, 2.0)], music=[(0.5, 2.5)])
    soundfile.write(tmp_path / "music.wav", sound, 16_000)
    rows = {}
    for veto in ("off", "normal"):
        out = tmp_path / f"{veto}.jsonl"
        score(tmp_path / "music.wav", out, bundle=folder, veto=veto, workers=1)
        (rows[veto],) = read_table(out)
    assert (rows["off"]["n_events"], rows["off"]["n_rejected"], rows["off"]["veto"]) == (
        1,
        0,
        "off",
    )
    kept = rows["normal"]
    assert (kept["n_events"], kept["n_rejected"], kept["veto"]) == (0, 1, "normal")
    assert kept["rejected"][0]["rejected"] == "music"
    assert kept["heard_music_s"] == pytest.approx(2.0, abs=0.5)
    assert kept["heard_animal_s"] is None  # this tagger has no such tag


@pytest.mark.usefixtures("same_process")
class TestFormats:
    def test_files_mirror_the_folders_of_the_clips(self, media, tmp_path):
        clips = tmp_path / "clips"
        for name in ("monday/a.wav", "monday/a.flac", "tuesday/a.wav"):
            (clips / name).parent.mkdir(parents=True, exist_ok=True)
            (clips / name).write_bytes(media[0 if name.endswith("wav") else 2].read_bytes())
        out = tmp_path / "t.csv"
        formats = ["vtt", "eaf", "rttm", "srt"]
        score(clips, out, bundle=BUNDLE_V1, formats=formats, workers=1)
        written = {
            p.relative_to(f"{out}.clips").as_posix() for p in Path(f"{out}.clips").rglob("*.*")
        }
        assert written == {
            f"{name}.{form}"
            for name in ("monday/a.wav", "monday/a.flac", "tuesday/a.wav")
            for form in formats
        }

    def test_a_run_that_wants_files_scores_again_and_a_folder_can_be_named(self, media, tmp_path):
        out = tmp_path / "t.csv"
        score(media[0], out, bundle=BUNDLE_V1, workers=1)
        options = {"formats": ["csv"], "formats_dir": tmp_path / "files", "workers": 1}
        assert score(media[0], out, bundle=BUNDLE_V1, **options).n_scored == 1
        assert score(media[0], out, bundle=BUNDLE_V1, **options).n_scored == 0
        (row,) = read_table(out)
        elsewhere = {**options, "formats_dir": tmp_path / "elsewhere"}
        assert score(media[0], out, bundle=BUNDLE_V1, **elsewhere).n_scored == 1
        assert read_table(out)[0]["settings_sha256"] == row["settings_sha256"]
        assert sorted(p.name for p in (tmp_path / "files").iterdir()) == [
            "warble.wav.bouts.csv",
            "warble.wav.csv",
            "warble.wav.events.csv",
        ]

    @pytest.mark.parametrize("folder", ["t.csv", "t.csv.rows.sqlite", "t.csv.about.json", "mine"])
    def test_files_in_the_place_of_the_folder_are_refused_before_any_work(
        self, media, tmp_path, folder
    ):
        (tmp_path / "mine").write_text("a file")
        out = tmp_path / "t.csv"
        options = {"formats": ["csv"], "formats_dir": tmp_path / folder, "workers": 1}
        with pytest.raises(ConfigError, match=r"of its own|to a folder"):
            score(media[0], out, bundle=BUNDLE_V1, **options)
        assert [path.name for path in tmp_path.iterdir() if path.name != "mine"] == []
        assert (tmp_path / "mine").read_text() == "a file"

    def test_all_are_those_that_each_clip_can_have(self, media, tmp_path):
        out = tmp_path / "t.csv"
        score(media[:2], out, bundle=BUNDLE_V1, formats=["all"], workers=1)
        written = {path.name for path in Path(f"{out}.clips").iterdir()}
        assert {"warble.wav.png", "warble.wav.json", "video.mp4.eaf", "video.mp4.png"} < written
        assert [name for name in written if name.endswith(".mp4")] == ["video.mp4.annotated.mp4"]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries return memory")
def test_freed_memory_between_pieces_in_use_goes_back_to_the_system() -> None:
    pieces = [bytes(2000) for _ in range(50_000)]
    kept = pieces[::64]  # glibc keeps what lies between them
    del pieces
    before = psutil.Process().memory_info().rss
    return_free_memory()
    assert before - psutil.Process().memory_info().rss > 50e6  # of 98 MB that were freed
    assert len(kept) == 782
