"""Recordings of crying: what is in them, and that nothing can spoil them or the monitor."""

from __future__ import annotations

import json
import logging
import os
import stat
import subprocess
import sys
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from observing import (
    RATE_HZ,
    SOURCE,
    START,
    lost,
    noise,
    observations,
    sound_of,
    written,
)

from cryvision.bundle import Bundle
from cryvision.errors import ConfigError, CryvisionError
from cryvision.inputs import ffmpeg
from cryvision.inputs.media import open_clip
from cryvision.monitor.config import RecordingSettings
from cryvision.monitor.recording import recorder as recording
from cryvision.monitor.recording.folder import LOCK_NAME
from cryvision.monitor.recording.recorder import AFTER_SECONDS, Recorder
from cryvision.monitor.session import Observation

TICK_S = 1 / 4
"""The place of a picture in a video is right within one tick of its rate."""

GREY_TOLERANCE = 12
"""Of 255: what JPEG, H.264 and its limited range may do to a grey picture."""

MASKED_SHARE = 0.8
"""Of words with short pauses: the tagger need not hear each of them."""

posix = pytest.mark.skipif(os.name != "posix", reason="file modes, scripts and kill")


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.load()


def settings(folder: Path, **options: Any) -> RecordingSettings:
    return RecordingSettings(folder, **{"max_gb": 1e6, "max_days": 36_500, **options})


def record(
    folder: Path, bundle: Bundle, *parts: list[Observation], source: str = SOURCE, **options: object
) -> list[tuple[Path, dict]]:
    recorder = Recorder(settings(folder, **options), source, bundle)
    for part in parts:
        for observation in part:
            recorder.observe(observation)
    recorder.close()
    return written(folder)


def iso(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all observations wait: a test sends them faster than any disk takes them."""
    monkeypatch.setattr(recording, "MOST_WAITING", 100_000)


def test_a_recording_holds_the_sound_around_the_crying(tmp_path: Path, bundle: Bundle) -> None:
    samples = noise(40)
    seen = list(observations(samples, [(20.0, 23.0)]))
    ((path, facts),) = record(tmp_path, bundle, seen)
    found = sound_of(path.with_suffix(".flac"))
    expected = samples[10 * RATE_HZ : round((23 + AFTER_SECONDS) * RATE_HZ)]
    # Whether there is crying is known to a piece of sound, 0.1 s, and some time later.
    assert len(expected) <= len(found) <= len(expected) + RATE_HZ
    np.testing.assert_array_equal(found[: len(expected)], expected)
    assert iso(facts["start"]) == pytest.approx(START + 10, abs=1e-3)
    assert iso(facts["end"]) == pytest.approx(START + 10 + len(found) / RATE_HZ, abs=1e-3)
    (event,) = facts["events"]
    assert [iso(event["onset"]), iso(event["offset"])] == pytest.approx([START + 20, START + 23])
    assert facts["source"] == SOURCE
    assert facts["bundle"] == {"name": bundle.name, "sha256": bundle.sha256}
    assert facts["files"] == {"sound": path.with_suffix(".flac").name}
    moment = datetime.fromtimestamp(START + 10)
    assert path.parent == tmp_path / SOURCE / moment.strftime("%Y-%m-%d")
    assert path.stem == moment.strftime("%H-%M-%S")


@pytest.mark.parametrize("mask_speech", [False, True])
def test_events_lie_where_they_are_heard_also_where_sound_arrives_late(
    tmp_path: Path, bundle: Bundle, mask_speech: bool
) -> None:
    samples = noise(60)
    speech = [(0.0, 60.0)] if mask_speech else []
    parts = [
        observations(samples, [(20.0, 23.0)], start=START + late, speech=speech) for late in (0, 3)
    ]
    # A network holds the sound back for a while; then it comes at once.
    seen = [
        late if 22.0 < late.state.time_s < 25.0 else soon for soon, late in zip(*parts, strict=True)
    ]
    ((path, facts),) = record(tmp_path, bundle, seen, mask_speech=mask_speech)
    found = sound_of(path.with_suffix(".flac"))
    (event,) = facts["events"]
    onset, offset = (iso(event[name]) - iso(facts["start"]) for name in ("onset", "offset"))
    heard = found[round(onset * RATE_HZ) : round(offset * RATE_HZ)]
    np.testing.assert_allclose(heard, samples[20 * RATE_HZ : 23 * RATE_HZ], atol=1e-6)


def test_the_first_crying_has_what_there_is_before_it(tmp_path: Path, bundle: Bundle) -> None:
    samples = noise(12)
    ((path, _),) = record(tmp_path, bundle, list(observations(samples, [(2.0, 4.0)])))
    found = sound_of(path.with_suffix(".flac"))
    np.testing.assert_array_equal(found, samples[: len(found)])


def test_events_near_each_other_share_a_file_and_others_do_not(
    tmp_path: Path, bundle: Bundle
) -> None:
    samples = noise(70)
    cries = [(20.0, 22.0), (25.0, 26.0), (35.0, 36.0), (60.0, 61.0)]
    found = record(tmp_path, bundle, list(observations(samples, cries)))
    assert [len(facts["events"]) for _, facts in found] == [2, 1, 1]
    spans = [(iso(facts["start"]), iso(facts["end"])) for _, facts in found]
    assert spans[1][0] == pytest.approx(spans[0][1], abs=2e-3)  # no sound is there twice
    assert spans[2][0] == pytest.approx(START + 50, abs=2e-3)


def test_crying_without_end_goes_on_in_the_next_file(
    tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "LONGEST_SECONDS", 8.0)
    monkeypatch.setattr(recording, "BEFORE_SECONDS", 2.0)
    samples = noise(40)
    found = record(tmp_path, bundle, list(observations(samples, [(15.0, 30.0)])))
    assert [facts["continues"] for _, facts in found] == [False, True, True]
    whole = np.concatenate([sound_of(path.with_suffix(".flac")) for path, _ in found])
    first = 13 * RATE_HZ
    np.testing.assert_array_equal(whole, samples[first : first + len(whole)])
    assert len(whole) >= (30 - 13 + AFTER_SECONDS) * RATE_HZ
    assert [len(facts["events"]) for _, facts in found] == [1, 1, 1]
    assert "offset" not in found[0][1]["events"][0]
    assert iso(found[2][1]["events"][0]["offset"]) == pytest.approx(START + 30)


def test_sound_from_before_a_break_does_not_belong_to_what_follows(
    tmp_path: Path, bundle: Bundle
) -> None:
    before, after = noise(20, seed=1), noise(20, seed=2)
    found = record(
        tmp_path,
        bundle,
        list(observations(before, [(17.0, 19.0)])),
        [lost(20.0)],
        list(observations(after, [(2.0, 4.0)], start=START + 30)),
    )
    assert len(found) == 2
    first, second = (sound_of(path.with_suffix(".flac")) for path, _ in found)
    np.testing.assert_array_equal(first, before[7 * RATE_HZ :])
    np.testing.assert_array_equal(second, after[: len(second)])


def test_pictures_become_a_video_at_their_times(tmp_path: Path, bundle: Bundle) -> None:
    frames = {k / 10: np.full((49, 65, 3), 60 + k, np.uint8) for k in range(5, 160)}
    seen = list(observations(noise(25), [(12.0, 14.0)], frames=frames))
    ((path, facts),) = record(tmp_path, bundle, seen)
    assert facts["files"] == {
        "sound": f"{path.stem}.flac",
        "picture": f"{path.stem}.jpg",
        "video": f"{path.stem}.mp4",
    }
    with open_clip(path.with_suffix(".mp4")) as clip:
        shown = [
            (p.frame_time_s, float(p.frame.mean())) for p in clip.pieces() if p.frame is not None
        ]
    start_s = iso(facts["start"]) - START
    for time_s, grey in shown:
        at_s = start_s + (time_s or 0.0)
        if at_s < 15.5:
            assert grey == pytest.approx(60 + 10 * at_s, abs=10 * TICK_S + GREY_TOLERANCE)
        elif at_s > 16 + 2 + TICK_S:  # no picture has come for two seconds
            assert grey < GREY_TOLERANCE
    assert shown[-1][0] == pytest.approx(iso(facts["end"]) - iso(facts["start"]), abs=2 * TICK_S)
    with open_clip(path.with_suffix(".mp4"), frames=False) as clip:
        assert clip.info.has_sound
    import cv2

    thumbnail = cv2.imread(str(path.with_suffix(".jpg")))
    assert thumbnail.mean() == pytest.approx(60 + 120, abs=10 * TICK_S + GREY_TOLERANCE)


def test_a_lack_of_pictures_costs_the_video_alone(
    tmp_path: Path,
    bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    script = tmp_path / "ffmpeg"
    real = ffmpeg.find_ffmpeg()
    script.write_text(
        f'#!/bin/sh\ncase "$*" in *libx264*) echo "Unknown encoder" >&2; exit 8;; esac\n'
        f'exec "{real}" "$@"\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv(ffmpeg.FFMPEG_VARIABLE, str(script))
    frames = {1.0: np.zeros((48, 64, 3), np.uint8)}
    seen = list(observations(noise(12), [(2.0, 4.0)], frames=frames))
    ((path, facts),) = record(tmp_path / "out", bundle, seen)
    assert set(facts["files"]) == {"sound", "picture"}
    assert sorted(p.suffix for p in path.parent.iterdir()) == [".flac", ".jpg", ".json", ".jsonl"]
    assert "kept without a video" in caplog.text


@posix
def test_nobody_else_can_read_them(tmp_path: Path, bundle: Bundle) -> None:
    frames = {1.0: np.zeros((48, 64, 3), np.uint8)}
    seen = list(observations(noise(12), [(2.0, 4.0)], frames=frames))
    record(tmp_path / "new", bundle, seen)
    paths = list((tmp_path / "new").rglob("*"))
    assert {stat.S_IMODE(p.stat().st_mode) for p in paths if p.is_file()} == {0o600}
    assert {stat.S_IMODE(p.stat().st_mode) for p in paths if p.is_dir()} == {0o700}
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_masked_seconds_hold_nothing_of_the_speech(tmp_path: Path, bundle: Bundle) -> None:
    samples = noise(40)
    cries, speech = [(20.0, 23.0)], [(13.0, 15.0), (21.0, 25.0)]
    seen = list(observations(samples, cries, speech=speech))
    ((path, facts),) = record(tmp_path, bundle, seen, mask_speech=True)
    found = sound_of(path.with_suffix(".flac"))
    expected = samples[10 * RATE_HZ :][: len(found)].copy()
    masked = np.zeros(len(found), bool)
    for first_s, last_s in facts["masked_s"]:
        masked[round(first_s * RATE_HZ) : round(last_s * RATE_HZ)] = True
    assert not found[masked].any()
    np.testing.assert_array_equal(found[~masked], expected[~masked])
    time_s = 10 + np.arange(len(found)) / RATE_HZ
    spoken = ((time_s >= 13) & (time_s < 15)) | ((time_s >= 23) & (time_s < 25))
    assert masked[spoken].all()
    # Where both overlap the crying stays, and all that is far from speech.
    assert not masked[(time_s >= 20) & (time_s < 23)].any()
    assert not masked[time_s < 10.5].any()
    assert not masked[time_s >= 25.1].any()


def test_speech_that_is_noticed_after_the_end_of_a_recording_is_masked_in_it(
    tmp_path: Path, bundle: Bundle
) -> None:
    # The sound of 27 to 28 s is in windows of the tagger that end up to 30 s.
    seen = list(observations(noise(40), [(20.0, 23.0)], speech=[(28.8, 29.0)]))
    ((path, facts),) = record(tmp_path, bundle, seen, mask_speech=True)
    found = sound_of(path.with_suffix(".flac"))
    assert len(found) / RATE_HZ == pytest.approx(18.5, abs=0.6)
    assert not found[17 * RATE_HZ : 18 * RATE_HZ].any()
    assert facts["masked_s"][0][0] == pytest.approx(16.7, abs=0.2)


def test_what_nobody_could_check_for_speech_is_masked(tmp_path: Path, bundle: Bundle) -> None:
    samples = noise(26)
    seen = [*observations(samples, [(20.0, 23.0), (24.5, 25.0)]), lost(26.0)]
    ((path, facts),) = record(tmp_path, bundle, seen, mask_speech=True)
    found = sound_of(path.with_suffix(".flac"))
    assert facts["masked_s"] == [[13.76, 14.5], [15.0, 16.0]]
    np.testing.assert_array_equal(
        found[round(14.5 * RATE_HZ) : 15 * RATE_HZ], samples[round(24.5 * RATE_HZ) : 25 * RATE_HZ]
    )


def test_without_a_tagger_of_speech_nothing_can_be_masked(tmp_path: Path, bundle: Bundle) -> None:
    deaf = replace(bundle, parts=tuple(part for part in bundle.parts if part.kind != "tagger"))
    with pytest.raises(ConfigError, match="adult_speech"):
        Recorder(settings(tmp_path, mask_speech=True), "a", deaf)


@posix
def test_a_full_disk_costs_a_line_and_the_next_event_is_tried_again(
    tmp_path: Path,
    bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    script, full = tmp_path / "ffmpeg", tmp_path / "full"
    script.write_text(
        f'#!/bin/sh\nif [ -e "{full}" ]; then\n'
        '  rm "' + str(full) + '"; echo "sound.flac: No space left on device" >&2; exit 228\nfi\n'
        f'exec "{ffmpeg.find_ffmpeg()}" "$@"\n'
    )
    script.chmod(0o755)
    full.touch()
    monkeypatch.setenv(ffmpeg.FFMPEG_VARIABLE, str(script))
    out = tmp_path / "out"
    with caplog.at_level(logging.WARNING):
        found = record(out, bundle, list(observations(noise(60), [(10.0, 12.0), (40.0, 42.0)])))
    (line,) = caplog.messages
    assert "No space left on device" in line
    assert [iso(facts["events"][0]["onset"]) for _, facts in found] == [START + 40]
    assert not list(out.rglob("*partial*"))


@posix
def test_a_stuck_encoder_stops_neither_the_monitor_nor_its_end(
    tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "ffmpeg"
    script.write_text("#!/bin/sh\nexec sleep 600\n")
    script.chmod(0o755)
    monkeypatch.setenv(ffmpeg.FFMPEG_VARIABLE, str(script))
    monkeypatch.setattr(recording, "CLOSE_SECONDS", 1.0)
    monkeypatch.setattr(recording, "MOST_WAITING", 50)
    recorder = Recorder(settings(tmp_path / "out"), SOURCE, bundle)
    slowest = 0.0
    for observation in observations(noise(60), [(2.0, 4.0)]):
        begun = time.perf_counter()
        recorder.observe(observation)
        slowest = max(slowest, time.perf_counter() - begun)
    assert slowest < 0.5
    begun = time.perf_counter()
    recorder.close()
    assert time.perf_counter() - begun < 5
    assert not [
        p
        for p in (tmp_path / "out").rglob("*")
        if p.name not in ("observed.jsonl", LOCK_NAME) and p.is_file()
    ]


KILLED = """
import pathlib
import sys
import time
sys.path.insert(0, sys.argv[1])
from observing import noise, observations, START
from cryvision.bundle import Bundle
from cryvision.monitor.config import RecordingSettings
from cryvision.monitor.recording.recorder import Recorder
settings = RecordingSettings(pathlib.Path(sys.argv[2]), 1e6, 36500)
recorder = Recorder(settings, "nursery", Bundle.load())
for k in range(10_000):
    cries = [(1.0, 2.0)]
    for observation in observations(noise(9), cries, start=START + 60 * k + float(sys.argv[3])):
        recorder.observe(observation)
    time.sleep(0.1)
    if any(pathlib.Path(sys.argv[2]).glob("*/*/*.json")):
        print("one is there", flush=True)
"""


@posix
@pytest.mark.parametrize(
    "waits_s", [(0.1,), pytest.param((0.1, 0.2, 0.55, 0.8), marks=pytest.mark.slow)]
)
def test_a_kill_leaves_whole_recordings_or_none(
    tmp_path: Path, bundle: Bundle, waits_s: tuple[float, ...]
) -> None:
    out = tmp_path / "out"
    here = str(Path(__file__).parent)
    for k, wait_s in enumerate(waits_s):
        command = [sys.executable, "-c", KILLED, here, str(out), str(k * 86_400)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(wait_s)
            process.kill()
    recorder = Recorder(settings(out), SOURCE, bundle)
    recorder.close()
    found = written(out)
    assert found
    for path, facts in found:
        seconds = iso(facts["end"]) - iso(facts["start"])
        sound = sound_of(path.with_suffix(".flac"))
        assert len(sound) == pytest.approx(seconds * RATE_HZ, abs=0.002 * RATE_HZ)
    stems = {path.stem for path in out.glob("*/*/*.flac")}
    assert stems == {path.stem for path, _ in found}
    assert not list(out.rglob("*partial*"))


def test_a_whole_recording_that_waited_for_its_place_comes_to_it(
    tmp_path: Path, bundle: Bundle
) -> None:
    ((path, _),) = record(tmp_path, bundle, list(observations(noise(12), [(2.0, 4.0)])))
    sound = path.with_suffix(".flac").read_bytes()
    staged = path.parent.parent / f".{path.parent.name}.abcd1234.partial"
    staged.mkdir()
    path.rename(staged / path.name)  # killed between the two
    half = path.parent.parent / f".{path.parent.name}.efgh5678.partial"
    half.mkdir()
    (half / "sound.pcm").write_bytes(b"half")
    assert [p for p, _ in record(tmp_path, bundle)] == [path]
    assert path.with_suffix(".flac").read_bytes() == sound
    assert not list(tmp_path.rglob("*partial*"))


def test_the_oldest_recordings_make_room_and_nothing_else_goes(
    tmp_path: Path, bundle: Bundle
) -> None:
    cries = [(20.0, 21.0), (60.0, 61.0), (100.0, 101.0), (140.0, 141.0)]
    samples = noise(150)
    found = record(tmp_path / "all", bundle, list(observations(samples, cries)))
    sizes = [sum(p.stat().st_size for p in path.parent.glob(f"{path.stem}.*")) for path, _ in found]
    folder = tmp_path / "few"
    day = folder / SOURCE / found[0][0].parent.name
    day.mkdir(parents=True)
    foreign = {
        day / "00-00-01.flac": b"mine" * 100_000,
        day / "00-00-02.json": b'{"format": "other", "files": {"sound": "00-00-01.flac"}}',
        day / "notes.json": b"{}",
        folder / "letter.txt": b"dear",
        day.parent / "00-00-03.json": b"[1]",
    }
    for path, content in foreign.items():
        path.write_bytes(content)
    most = sum(sizes[-2:]) + 1000
    few = record(folder, bundle, list(observations(samples, cries)), max_gb=most / 1e9)
    kept = [path.name for path, facts in few if facts.get("format") == "cryvision recording"]
    assert kept == [path.name for path, _ in found[-2:]]
    assert {path: path.read_bytes() for path in foreign} == foreign
    flacs = {path.stem for path in day.glob("*.flac")} - {"00-00-01"}
    assert flacs == {Path(name).stem for name in kept}


def test_a_json_file_cannot_have_other_files_removed(tmp_path: Path, bundle: Bundle) -> None:
    ((path, facts),) = record(tmp_path, bundle, list(observations(noise(12), [(2.0, 4.0)])))
    precious = tmp_path / "precious.flac"
    precious.write_bytes(b"precious")
    facts["files"]["video"] = "../../precious.flac"
    path.write_text(json.dumps(facts))
    assert record(tmp_path, bundle, list(observations(noise(1))), max_days=1) == []
    assert not path.with_suffix(".flac").exists()
    assert precious.read_bytes() == b"precious"


def test_old_recordings_go(tmp_path: Path, bundle: Bundle) -> None:
    now = time.time()
    seen = list(observations(noise(12), [(2.0, 4.0)], start=now - 3 * 86_400))
    late = list(observations(noise(12), [(2.0, 4.0)], start=now - 3600))
    assert len(record(tmp_path, bundle, seen, late)) == 2
    ((_, facts),) = record(tmp_path, bundle, list(observations(noise(1), start=now)), max_days=2)
    assert iso(facts["start"]) > now - 86_400
    old_day = datetime.fromtimestamp(now - 3 * 86_400 + 2 - 10).strftime("%Y-%m-%d")
    assert not (tmp_path / SOURCE / old_day).exists()


@pytest.mark.parametrize(
    "name", ["../../outside", "/etc", "a/b", "..", "", "rtsp://cam:554/x", "Süd 1"]
)
def test_any_name_of_a_source_is_a_folder_in_the_folder(
    tmp_path: Path, bundle: Bundle, name: str
) -> None:
    seen = list(observations(noise(12), [(2.0, 4.0)], source=name))
    ((path, facts),) = record(tmp_path / "out", bundle, seen, source=name)
    assert path.parent.parent.parent == tmp_path / "out"
    assert facts["source"] == name
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_sources_share_a_folder(tmp_path: Path, bundle: Bundle) -> None:
    for name in ("a b", "a-b", "a/b"):
        seen = list(observations(noise(12), [(2.0, 4.0)], source=name))
        record(tmp_path, bundle, seen, source=name)
    assert sorted(facts["source"] for _, facts in written(tmp_path)) == ["a b", "a-b", "a/b"]


def test_one_monitor_at_a_time_records_a_source(tmp_path: Path, bundle: Bundle) -> None:
    def recorder() -> Recorder:
        return Recorder(settings(tmp_path), SOURCE, bundle)

    first = recorder()
    with pytest.raises(CryvisionError, match=f"another monitor records here: .*{SOURCE}"):
        recorder()
    first.close()
    recorder().close()


def test_where_nothing_can_be_written_it_is_refused_at_once(tmp_path: Path, bundle: Bundle) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CryvisionError, match="cannot be kept"):
        Recorder(settings(tmp_path / "file"), "a", bundle)


def test_each_minute_says_how_much_was_observed_and_cried(tmp_path: Path, bundle: Bundle) -> None:
    start = START - START % 60
    seen = list(observations(noise(200), [(50.0, 130.0), (131.0, 132.0)], start=start))
    record(tmp_path, bundle, seen)
    (path,) = tmp_path.glob("*/*/observed.jsonl")
    header, *lines = map(json.loads, path.read_text().splitlines())
    assert header["source"] == SOURCE
    assert [iso(line["minute"]) - start for line in lines] == [0, 60, 120, 180]
    assert [line["observed_s"] for line in lines] == pytest.approx([60, 60, 60, 20], abs=0.2)
    assert [line["crying_s"] for line in lines] == pytest.approx([10, 60, 11, 0], abs=0.2)


@pytest.mark.slow
@pytest.mark.corpus
def test_of_real_speech_nothing_is_left_where_it_is_masked(
    tmp_path: Path, bundle: Bundle, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    from test_session import Script, pieces

    from cryvision.monitor.session import LiveSession

    def read(paths: list[Path], seconds: float) -> np.ndarray:
        sound = np.concatenate([sound_of(path) for path in paths])
        return sound[: round(seconds * RATE_HZ)]

    digits = sorted((corpus / "spoken-digits").rglob("*_jackson_*.wav"))[::7][:20]
    cry = next(iter(sorted((corpus / "donateacry-corpus").rglob("*-hu.wav"))))
    speech, crying = read(digits, 12.0), read([cry], 6.0)
    gap = noise(3.0) * 0.01
    samples = np.concatenate([gap, speech, gap, crying, gap, gap])
    session = LiveSession(Script(pieces(samples)), bundle)
    seen = list(session.observations(threading.Event()))
    monkeypatch.setattr(recording, "BEFORE_SECONDS", 20.0)
    ((path, facts),) = record(tmp_path, bundle, seen, mask_speech=True)
    found = sound_of(path.with_suffix(".flac"))
    assert facts["masked_s"]
    for first_s, last_s in facts["masked_s"]:
        assert not found[round(first_s * RATE_HZ) : round(last_s * RATE_HZ)].any()
    spoken = slice(len(gap), len(gap) + len(speech))
    assert np.mean(found[spoken] == 0) > MASKED_SHARE
    scale = np.float32(32768)
    for event in facts["events"]:
        onset, offset = (round((iso(event[key]) - START) * RATE_HZ) for key in ("onset", "offset"))
        expected = np.rint(samples[onset:offset] * scale) / scale
        np.testing.assert_array_equal(found[onset:offset], expected)


def test_every_field_and_file_is_explained(tmp_path: Path, bundle: Bundle) -> None:
    page = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
    frames = {1.0: np.zeros((48, 64, 3), np.uint8)}
    ((path, facts),) = record(
        tmp_path, bundle, list(observations(noise(12), [(2.0, 4.0)], frames=frames))
    )
    lines = (path.parent / "observed.jsonl").read_text().splitlines()
    names = {*facts, *facts["files"], *facts["events"][0], *json.loads(lines[1])}
    for name in names - {"type"}:
        assert f"`{name}`" in page
    for file in path.parent.iterdir():
        assert f"{file.suffix}`" in page
