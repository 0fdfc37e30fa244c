"""A clip is opened, seen, heard, corrected and downloaded."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served import DEMO, Served, upload, wait_for
from waiting import until

import cryvision
from cryvision.annotations import read_annotations
from cryvision.annotations.corrections import corrections_path
from cryvision.inputs.media import probe, read_sound
from cryvision.outputs.tables import to_record
from cryvision.web.clips import Clips, PageClip
from cryvision.web.jobs import FINISHED, Job
from cryvision.web.pyramid import PEAK_SAMPLES
from cryvision.web.results import load_result, save_result

LEVEL_TOLERANCE = 1e-4
"""Peaks are kept as 16 bits and sent with four places."""

SCORE_TOLERANCE = 0.5
"""In percent: scores are sent as whole ones."""

STEP_SECONDS = 0.25
"""Sound of the detector's edge counts with either side of it."""

SHIFT_TOLERANCE_S = 1e-3

MakeMedia = Callable[..., Path]


def test_the_folder_is_a_table(client: Any, scored: str) -> None:
    (row,) = [row for row in client.get("/api/clips").json() if row["clip_id"] == scored]
    assert row["name"] == "cam_20260504_130700.mp4"
    assert row["status"] == "done"
    assert row["start_time"] == "2026-05-04T13:07:00"
    assert (row["n_events"], row["n_bouts"]) == (8, 3)
    assert 0 <= row["not_scored_s"] < 0.1


def test_the_record_is_that_of_the_command(client: Any, scored: str, tmp_path: Path) -> None:
    shown = client.get(f"/api/clips/{scored}").json()
    own = to_record(cryvision.classify(shutil.copy(DEMO, tmp_path / shown["name"])))
    assert shown["record"] == json.loads(json.dumps({**own, "path": shown["name"]}))
    assert (shown["has_video"], shown["has_sound"]) == (True, True)
    assert "no medical device" in shown["honesty"]


def test_the_waveform_of_any_stretch_is_that_of_the_sound(client: Any, scored: str) -> None:
    sound = read_sound(DEMO)
    for start_s, end_s, points in ((0.0, 15.0, 300), (2.0, 2.5, 400), (1.0, 9.0, 7)):
        query = {"start_s": start_s, "end_s": end_s, "points": points}
        peaks = client.get(f"/api/clips/{scored}/peaks", params=query).json()
        assert len(peaks["min"]) == len(peaks["max"]) == points
        edges = np.linspace(start_s, end_s, points + 1) * 16_000
        # A stretch may show what lies in the row of the pyramid that it begins or ends in.
        margin = PEAK_SAMPLES * max(1, int((edges[1] - edges[0]) / PEAK_SAMPLES))
        for low, high, first, last in zip(
            peaks["min"], peaks["max"], edges[:-1], edges[1:], strict=True
        ):
            inner = sound[int(np.ceil(first)) : max(int(last), int(np.ceil(first)) + 1)]
            outer = sound[max(0, int(first) - margin) : int(last) + margin]
            assert low <= inner.min() + LEVEL_TOLERANCE
            assert high >= inner.max() - LEVEL_TOLERANCE
            assert low >= outer.min() - LEVEL_TOLERANCE
            assert high <= outer.max() + LEVEL_TOLERANCE


def test_tracks_show_the_loudest_moment_and_nothing_where_nothing_is_known(
    client: Any, scored: str
) -> None:
    result = cryvision.classify(DEMO)
    tracks = client.get(f"/api/clips/{scored}/tracks?points=50").json()
    assert len(tracks["time_s"]) == 50
    cry = result.timeline["cry_smooth"]
    shown = max(tracks["columns"]["cry_smooth"])
    assert shown == pytest.approx(100 * float(cry.max()), abs=SCORE_TOLERANCE)
    whole = client.get(f"/api/clips/{scored}/tracks?start_s=0&end_s=1&points=100").json()
    assert len(whole["time_s"]) == 30  # the frames that there are
    assert whole["columns"]["heard_cry"][0] is None  # before the tagger's first window
    assert "hungry" not in tracks["columns"]  # reasons that were not measured are not shown


def test_the_spectrogram_is_a_picture_of_the_wanted_size(client: Any, scored: str) -> None:
    from PIL import Image

    url = f"/api/clips/{scored}/spectrogram.png?start_s=1&end_s=4&width=320&height=64"
    answer = client.get(url)
    assert answer.headers["content-type"] == "image/png"
    picture = Image.open(io.BytesIO(answer.content))
    assert picture.size == (320, 64)
    brightness = np.asarray(picture.convert("L"), float).mean(axis=0)
    # 1.60 to 2.44 s is an event, 1.0 to 1.5 s is silence.
    assert brightness[70:140].mean() > 1.5 * brightness[:50].mean()


def test_a_part_of_the_media_can_be_asked_for(client: Any, scored: str) -> None:
    whole = client.get(f"/api/clips/{scored}/media")
    part = client.get(f"/api/clips/{scored}/media", headers={"range": "bytes=100-199"})
    assert (whole.status_code, part.status_code) == (200, 206)
    assert whole.content == DEMO.read_bytes()
    assert part.content == whole.content[100:200]
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["cache-control"] == "no-store"


def test_what_browsers_cannot_play_is_copied(client: Any, make_media: MakeMedia) -> None:
    tone = "aevalsrc=0.5*sin(2*PI*440*t):s=16000:d=1"
    clip = upload(client, make_media("tone.aiff", "-f", "lavfi", "-i", tone))
    answer = client.get(f"/api/clips/{clip}/media")
    assert answer.headers["content-type"] == "audio/ogg"
    assert answer.content.startswith(b"OggS")
    client.delete(f"/api/clips/{clip}")


def test_the_sound_that_was_scored_is_played_at_its_times(
    client: Any, make_media: MakeMedia, tmp_path: Path
) -> None:
    click = "aevalsrc='0.8*sin(2*PI*1000*t)*between(t,1,1.1)':s=48000:d=2"
    clip = make_media(
        "silent-first.mp4",
        *("-f", "lavfi", "-i", "anullsrc=r=48000:d=2"),
        *("-itsoffset", "1.5", "-f", "lavfi", "-i", click),
        *("-map", "0", "-map", "1", "-c:a", "aac"),
    )
    scored = upload(client, clip)
    (tmp_path / "played.ogg").write_bytes(client.get(f"/api/clips/{scored}/media").content)
    played = read_sound(tmp_path / "played.ogg")
    assert np.argmax(np.abs(played) > 0.3) / 16_000 == pytest.approx(2.5, abs=0.03)
    client.delete(f"/api/clips/{scored}")


def test_a_damaged_timestamp_asks_for_no_hours_of_silence_to_be_played(
    client: Any, make_media: MakeMedia, tmp_path: Path
) -> None:
    tone = "aevalsrc=0.5*sin(2*PI*440*t):s=16000:d=1"
    hours = "asetpts='PTS+gt(T,0.5)*7200/TB'"
    clip = make_media("jump.mka", "-f", "lavfi", "-i", tone, "-af", hours, "-c:a", "pcm_s16le")
    scored = upload(client, clip)
    (tmp_path / "played.ogg").write_bytes(client.get(f"/api/clips/{scored}/media").content)
    assert len(read_sound(tmp_path / "played.ogg")) < 16_000
    client.delete(f"/api/clips/{scored}")


def test_an_upload_is_scored_and_can_be_deleted(served: Served, client: Any) -> None:
    clip = upload(client, DEMO)
    assert len(client.get(f"/api/clips/{clip}").json()["record"]["events"]) == 8
    (private,) = [p for p in served.temporary.iterdir() if p.name.startswith("cryvision-web-")]
    assert (private / "clips" / clip).is_dir()
    assert client.delete(f"/api/clips/{clip}").status_code == 204
    assert client.get(f"/api/clips/{clip}").status_code == 404
    assert not (private / "clips" / clip).exists()
    assert not (private / "results" / clip).exists()


def test_a_clip_of_the_folder_cannot_be_deleted(client: Any, scored: str, served: Served) -> None:
    assert client.delete(f"/api/clips/{scored}").status_code == 405
    assert list(served.folder.glob("*.mp4"))


def test_an_edge_is_moved_saved_and_exported(client: Any) -> None:
    clip = upload(client, DEMO)
    before = client.get(f"/api/clips/{clip}/corrections").json()
    assert before["version"] == 0
    assert {event["origin"] for event in before["events"]} == {"detector"}
    assert client.get(f"/api/clips/{clip}/agreement").json()["event_f1"] == 1.0
    events = before["events"][:-1]  # the last one is deleted
    events[0] = {**events[0], "onset_s": 1.35, "checked": True}
    events.append({"id": "p1", "onset_s": 14.0, "offset_s": 14.5, "label": "fuss"})
    body = {"version": 0, "events": events, "who": "Ada", "labels": ["cry", "fuss"]}
    saved = client.put(f"/api/clips/{clip}/corrections", json=body).json()
    after = client.get(f"/api/clips/{clip}/corrections").json()
    assert (saved["version"], after["version"], after["who"]) == (1, 1, "Ada")
    assert after["labels"] == ["cry", "fuss"]
    assert [e["onset_s"] for e in after["events"]] == sorted(e["onset_s"] for e in events)
    agreement = client.get(f"/api/clips/{clip}/agreement").json()
    assert (agreement["n_reference"], agreement["n_detected"]) == (7, 8)
    assert agreement["event_f1"] < 1.0
    stale = client.put(f"/api/clips/{clip}/corrections", json=body)
    assert stale.status_code == 409
    assert stale.json()["events"] == after["events"]
    detected = client.get(f"/api/clips/{clip}/export/raven?which=detector").text
    corrected = client.get(f"/api/clips/{clip}/export/raven?which=corrected").text
    assert "1.3500" in corrected
    assert "1.3500" not in detected
    client.delete(f"/api/clips/{clip}")


@contextlib.contextmanager
def scored_in_folder(
    served: Served, client: Any, name: str, source: Path = DEMO
) -> Iterator[tuple[Path, str]]:
    """Lay a clip into the folder and score it; give its path, and where the page has it."""
    clip = served.folder / name
    shutil.copy(source, clip)
    shown = name.encode("utf-8", "backslashreplace").decode()
    try:
        url = f"/api/clips/{wait_for_listing(client, shown)[shown]['clip_id']}"
        wait_for(client, client.post(f"{url}/score").json()["job_id"])
        yield clip, url
    finally:
        clip.unlink(missing_ok=True)
        corrections_path(clip).unlink(missing_ok=True)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a name of a file is text")
def test_a_clip_whose_name_is_no_text_is_corrected(served: Served, client: Any) -> None:
    with scored_in_folder(served, client, os.fsdecode(b"bad\xff.mp4")) as (_, url):
        state = client.get(f"{url}/corrections").json()
        assert client.put(f"{url}/corrections", json={**state, "who": "Ada"}).status_code == 200
        assert client.get(f"{url}/corrections").json()["version"] == 1


def test_corrections_of_a_clip_are_not_saved_beside_another_one_of_its_name(
    served: Served, client: Any, small_video: Path
) -> None:
    with scored_in_folder(served, client, "swapped.mp4") as (clip, url):
        state = client.get(f"{url}/corrections").json()
        shutil.copy(small_video, clip)
        refused = client.put(f"{url}/corrections", json=state)
        assert refused.status_code == 409
        assert "events" not in refused.json()
        assert "this file has no result: not scored" in refused.json()["error"]
        assert not corrections_path(clip).exists()


def test_a_replaced_file_has_no_result_until_it_is_scored(
    served: Served, client: Any, small_video: Path
) -> None:
    with scored_in_folder(served, client, "replaced.mp4") as (clip, url):
        shutil.copy(small_video, clip)
        answers = [client.get(f"{url}{end}").status_code for end in ("", "/tracks", "/media")]
        assert answers == [409, 409, 409]
        wait_for(client, client.post(f"{url}/score").json()["job_id"])
        assert client.get(url).json()["duration_s"] == pytest.approx(probe(small_video).duration_s)
        clip.unlink()
        assert client.get(url).status_code == 200  # a drive may be away for a while


def test_a_clip_of_the_same_name_in_another_folder_is_another_clip(tmp_path: Path) -> None:
    ids = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(DEMO, folder / "a.mp4")
        (clip,) = Clips(tmp_path, folder).all()
        ids.append(clip.id)
    assert ids[0] != ids[1]


@pytest.mark.parametrize("form", ["textgrid", "eaf", "csv", "audacity", "vtt", "rttm"])
def test_exports_hold_the_corrected_events(
    client: Any, corrected_clip: str, form: str, tmp_path: Path
) -> None:
    answer = client.get(f"/api/clips/{corrected_clip}/export/{form}?which=corrected")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"].startswith("attachment")
    name = answer.headers["content-disposition"].rpartition("'")[2]
    path = tmp_path / name
    path.write_bytes(answer.content)
    if name.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(tmp_path)
        (path,) = [p for p in tmp_path.iterdir() if p.name.endswith((".events.csv", ".labels.txt"))]
    first = read_annotations(path)[0]
    # Subtitles show bouts, which begin with their first event.
    assert first.start_s == pytest.approx(1.35, abs=SHIFT_TOLERANCE_S)


@pytest.fixture(scope="module")
def corrected_clip(served: Served) -> str:
    """An upload whose first event was moved to 1.35 s."""
    with served.client() as client:
        clip = upload(client, DEMO)
        state = client.get(f"/api/clips/{clip}/corrections").json()
        state["events"][0]["onset_s"] = 1.35
        answer = client.put(f"/api/clips/{clip}/corrections", json=state)
        assert answer.status_code == 200
    return clip


def test_boris_and_label_studio_get_what_they_read(client: Any, corrected_clip: str) -> None:
    url = f"/api/clips/{corrected_clip}/export"
    (task,) = client.get(f"{url}/label-studio?which=corrected").json()
    region = task["annotations"][0]["result"][0]
    assert (region["value"]["start"], region["value"]["labels"]) == (1.35, ["cry"])
    head, first, *_ = client.get(f"{url}/boris?which=corrected").text.splitlines()
    row = dict(zip(head.split("\t"), first.split("\t"), strict=True))
    assert (float(row["Start (s)"]), row["Behavior"]) == (1.35, "cry")


def test_every_format_that_is_offered_can_be_had(client: Any, corrected_clip: str) -> None:
    for form in client.get("/api/session").json()["formats"]:
        answer = client.get(f"/api/clips/{corrected_clip}/export/{form}?which=corrected")
        assert answer.status_code == 200, form
        assert answer.content


def test_a_video_is_made_on_request(client: Any, small_video: Path) -> None:
    clip = upload(client, small_video)
    assert client.get(f"/api/clips/{clip}/video.mp4").status_code == 404
    job = wait_for(client, client.post(f"/api/clips/{clip}/video").json()["job_id"])
    assert job["status"] == "done", job
    assert client.get(f"/api/clips/{clip}/video.mp4").content[4:8] == b"ftyp"
    client.delete(f"/api/clips/{clip}")


def test_table_and_map_have_the_crying_as_it_was_corrected(
    client: Any, served: Served, scored: str
) -> None:
    def row() -> dict[str, Any]:
        return next(one for one in client.get("/api/clips").json() if one["clip_id"] == scored)

    before = row()
    events = [
        {"id": "a", "onset_s": 1.0, "offset_s": 4.0, "label": "cry"},
        {"id": "b", "onset_s": 6.0, "offset_s": 9.0, "label": "laughter"},
    ]
    save = {"version": 0, "who": "Ada", "events": events}
    assert client.put(f"/api/clips/{scored}/corrections", json=save).status_code == 200
    path = corrections_path(served.folder / "cam_20260504_130700.mp4")
    try:
        after = row()
        assert (after["cry_seconds"], after["n_events"], after["n_bouts"]) == (3.0, 1, 1)
        assert client.get("/api/folder/heatmap").json()["minutes"][0][13] == pytest.approx(0.05)
        path.write_text("damaged")
        assert row()["cry_seconds"] == before["cry_seconds"]
    finally:
        path.unlink()
    assert row() == before


def test_a_clip_that_is_being_scored_anew_has_its_row(tmp_path: Path) -> None:
    path = Path(shutil.copy(DEMO, tmp_path))
    corrections_path(path).write_text("{}")
    job = Job("score", status=FINISHED, result={"cry_seconds": 2.0})
    clip = PageClip("a", path.name, path, tmp_path / "gone", uploaded=False, job=job)
    assert (clip.row()["cry_seconds"], clip.row()["corrected"]) == (2.0, True)


def test_a_silent_video_says_once_that_it_has_no_sound_and_its_crying_is_unknown(
    served: Served, client: Any, make_media: MakeMedia
) -> None:
    made = make_media("mute.mp4", *("-f", "lavfi", "-i", "color=size=64x64:rate=5:d=2"))
    with scored_in_folder(served, client, made.name, made) as (_, url):
        row = next(one for one in client.get("/api/clips").json() if one["name"] == made.name)
        assert (row["cry_seconds"], row["n_events"], row["n_bouts"]) == (None, None, None)
        warnings = client.get(url).json()["record"]["warnings"]
        assert [text for text in warnings if "no sound" in text] == [
            "nothing to decide from: the clip has no sound"
        ]


def test_a_download_of_what_nobody_corrected_is_that_of_the_detector(
    served: Served, client: Any, make_media: MakeMedia
) -> None:
    made = make_media("off.wav", *("-f", "lavfi", "-i", "anullsrc=r=16000:d=2"))
    with scored_in_folder(served, client, made.name, made) as (_, url):
        export = f"{url}/export/json"
        corrected = client.get(export, params={"which": "corrected"}).json()
        assert corrected == client.get(export, params={"which": "detector"}).json()
        assert (corrected["label"], corrected["detector"]["cry"]) == ("not sure", None)


def test_a_detector_that_scored_nothing_has_missed_nothing(
    served: Served, client: Any, make_media: MakeMedia
) -> None:
    made = make_media("mic.wav", *("-f", "lavfi", "-i", "anullsrc=r=16000:d=2"))
    with scored_in_folder(served, client, made.name, made) as (_, url):
        events = [{"id": "p1", "onset_s": 0.5, "offset_s": 1.0, "label": "cry"}]
        body = {"version": 0, "events": events, "who": "Ada", "labels": ["cry"]}
        assert client.put(f"{url}/corrections", json=body).status_code == 200
        agreement = client.get(f"{url}/agreement").json()
        measures = ("event_f1", "precision", "recall", "kappa")
        assert [agreement[name] for name in measures] == [None] * 4
        assert agreement["reference_seconds"] == 0.5


def test_times_of_day_follow_a_change_of_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        clip = shutil.copy(DEMO, tmp_path / "cam_20260329_015955.mp4")
        result = cryvision.classify(clip)
        save_result(result, tmp_path)
        assert to_record(load_result(tmp_path)) == to_record(result)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_folder_is_scored_behind_the_page(served: Served, client: Any) -> None:
    shutil.copy(DEMO, served.folder / "second.mp4")
    (served.folder / "broken_20260505_000000.wav").write_bytes(b"RIFF no sound")
    try:
        wait_for_listing(client, "second.mp4", "broken_20260505_000000.wav")
        answer = client.post("/api/folder/score").json()
        assert client.get("/api/folder/score").json()["job_id"] == answer["job_id"]
        ended = wait_for(client, answer["job_id"])
        assert (ended["status"], ended["progress"]) == ("done", 1.0)
        assert client.get("/api/folder/score").json()["job_id"] is None
        rows = {row["name"]: row for row in client.get("/api/clips").json()}
        assert rows["second.mp4"]["status"] == "done"
        broken = rows["broken_20260505_000000.wav"]
        assert broken["status"] == "failed"
        assert str(served.folder) not in broken["error"]
        days = client.get("/api/folder/heatmap").json()
        assert days["days"] == ["2026-05-04"]
        crying_s = sum(e.offset_s - e.onset_s for e in cryvision.classify(DEMO).events)
        assert days["minutes"][0][13] == pytest.approx(crying_s / 60, abs=1e-3)
        assert days["minutes"][0][12] is None
        assert days["n_without_time"] == 1
        shutil.copy(served.folder / "cam_20260504_130700.mp4", served.folder / "second.mp4")
        os.utime(served.folder / "second.mp4", (0, 0))  # another file of the same name
        until(lambda: status_of(client, "second.mp4") == "not scored")
    finally:
        (served.folder / "second.mp4").unlink()
        (served.folder / "broken_20260505_000000.wav").unlink()


def test_an_hour_without_sound_is_not_observed(
    served: Served, client: Any, make_media: MakeMedia
) -> None:
    tone, picture = "sine=440:d=3", "color=size=64x64:rate=5:d=60"
    made = make_media("partly.mp4", *("-f", "lavfi", "-i", tone), *("-f", "lavfi", "-i", picture))
    clip = Path(shutil.copy(made, served.folder / "cam_20260601_120000.mp4"))
    try:
        wait_for_listing(client, clip.name)
        wait_for(client, client.post("/api/folder/score").json()["job_id"])
        heatmap = client.get("/api/folder/heatmap").json()
        minutes = heatmap["recorded_minutes"][heatmap["days"].index("2026-06-01")][12]
        assert minutes == pytest.approx(3 / 60, abs=0.01)
    finally:
        clip.unlink()


def test_what_was_too_quiet_is_told_from_what_was_not_heard(client: Any, half_off: Path) -> None:
    clip = upload(client, half_off)
    (row,) = [row for row in client.get("/api/clips").json() if row["clip_id"] == clip]
    assert row["too_quiet_s"] == pytest.approx(20, abs=STEP_SECONDS)
    assert row["not_scored_s"] - row["too_quiet_s"] == pytest.approx(10, abs=STEP_SECONDS)
    record = client.get(f"/api/clips/{clip}").json()
    assert record["not_scored_s"] == row["not_scored_s"]
    assert record["sound_s"] == pytest.approx(30, abs=STEP_SECONDS)
    columns = client.get(f"/api/clips/{clip}/tracks?points=40").json()["columns"]
    known = [value is not None for value in columns["cry"]]
    assert all(known[:10])
    assert not any(known[11:])
    client.delete(f"/api/clips/{clip}")


def test_the_page_itself_is_kept_by_the_browser_and_asked_for_by_its_tag(client: Any) -> None:
    first = client.get("/static/js/app.js")
    assert first.headers["cache-control"] == "no-cache"
    again = client.get("/static/js/app.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/api/clips").headers["cache-control"] == "no-store"


def rows_of_folder(client: Any) -> list[dict[str, Any]]:
    return [row for row in client.get("/api/clips").json() if not row["uploaded"]]


def wait_for_listing(client: Any, *names: str) -> dict[str, dict[str, Any]]:
    """Wait until the folder lists its own clip and these ones, without those of tests before."""
    expected = {"cam_20260504_130700.mp4", *names}
    until(lambda: {row["name"] for row in rows_of_folder(client)} == expected)
    return {row["name"]: row for row in rows_of_folder(client)}


def status_of(client: Any, name: str) -> str:
    (status,) = [row["status"] for row in rows_of_folder(client) if row["name"] == name]
    return str(status)
