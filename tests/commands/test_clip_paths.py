"""What is given to ``classify`` is taken for what its user means, or the way is pointed out."""

from __future__ import annotations

import io
import shutil
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

MakeMedia = Callable[..., Path]


@pytest.fixture
def clips(bout_wav: Path, tone_wav: Path, tmp_path: Path) -> Path:
    """A folder of two clips and a text, one of them in a folder of its own."""
    folder = tmp_path / "clips"
    (folder / "inner").mkdir(parents=True)
    shutil.copy(bout_wav, folder / "b.wav")
    shutil.copy(tone_wav, folder / "inner" / "a.wav")
    (folder / "notes.txt").write_text("not a clip\n")
    return folder


def test_a_folder_is_its_clips_one_after_the_other(classify, clips: Path) -> None:
    done = classify("--json", clips)
    assert (done.code, done.err) == (0, "")
    assert [found["path"] for found in done.objects] == [
        str(clips / "b.wav"),
        str(clips / "inner" / "a.wav"),
    ]


def test_a_pattern_is_the_clips_that_fit(classify, clips: Path) -> None:
    done = classify("--json", clips / "*.wav", clips / "**" / "a.*")
    assert (done.code, done.err) == (0, "")
    assert [Path(found["path"]).name for found in done.objects] == ["b.wav", "a.wav"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(
    classify, bout_wav: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copy(bout_wav, tmp_path / "[1].wav"))
    done = classify("--json", path)
    assert [found["path"] for found in done.objects] == [str(path)]


def test_standard_input_is_read(
    classify, bout_wav: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.TextIOWrapper(io.BytesIO(bout_wav.read_bytes()))
    monkeypatch.setattr(sys, "stdin", stream)
    done = classify("--json", "--formats", "csv,png", "--out", tmp_path, "-")
    assert done.code == 0
    (found,) = done.objects
    assert (found["path"], found["duration_s"], len(found["events"])) == ("-", 3.0, 1)
    assert (tmp_path / "stdin.png").exists()


def test_an_empty_standard_input_is_one_line(classify, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    done = classify("-")
    assert done.code == 1
    assert done.err == "cryvision: -: a clip must hold media; this file is empty\n"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("https://example.com/a.mp4", "to 'cryvision score', and download any other"),
        ("s3://bucket/a.mp4", "to 'cryvision score', and download any other"),
        ("{tmp}/none*.wav", "no sound or video file fits the pattern"),
        ("{tmp}", "no sound or video file is in the folder"),
        ("{tmp}/none.wav", "there is no such file"),
    ],
)
def test_what_is_no_clip_is_one_line_and_the_rest_goes_on(
    classify, tone_wav: Path, tmp_path: Path, given: str, message: str
) -> None:
    given = given.format(tmp=tmp_path)
    done = classify("--json", given, tone_wav)
    assert done.code == 3
    assert [found["path"] for found in done.objects] == [str(tone_wav)]
    assert message in done.err
    assert len(done.err.splitlines()) == 1
    assert classify(given).code == 1


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("still.png", None, "a picture"),
        ("still.jpg", None, "a picture"),
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\nx.wav\n", "a text"),
        ("said.srt", "1\n00:00:00,000 --> 00:00:01,000\nHello\n", "a text"),
        ("said.vtt", "WEBVTT\n\n00:00.000 --> 00:01.000\nHello\n", "a text"),
    ],
)
def test_a_picture_or_a_text_is_named_as_such(
    classify, make_media: MakeMedia, tmp_path: Path, name: str, content: str | None, what: str
) -> None:
    path = tmp_path / name
    if content is None:
        red = ("-f", "lavfi", "-i", "color=red:s=8x8:d=1", "-frames:v", "1")
        path = make_media(name, *red)
    else:
        path.write_text(content)
    done = classify(path)
    assert done.code == 1
    assert "whitelist" not in done.err
    assert f"a clip must be a sound or video file that ffmpeg can read; this is {what}" in done.err


def nist(samples: np.ndarray, coding: str) -> bytes:
    """A NIST SPHERE file."""
    lines = [
        *("NIST_1A", "   1024", "channel_count -i 1", f"sample_count -i {len(samples)}"),
        *("sample_rate -i 16000", "sample_n_bytes -i 2", "sample_sig_bits -i 16"),
        *("sample_byte_format -s2 01", f"sample_coding -s{len(coding)} {coding}", "end_head"),
    ]
    return "\n".join([*lines, ""]).encode().ljust(1024) + samples.astype("<i2").tobytes()


@pytest.mark.parametrize("name", ["a.sph", "a.wav"])
def test_nist_sphere_is_read(classify, tmp_path: Path, name: str) -> None:
    time_s = np.arange(3 * 16000) / 16000
    tone = 16000 * np.sin(2 * np.pi * 440 * time_s) * ((time_s > 1) & (time_s < 2))
    (tmp_path / name).write_bytes(nist(tone, "pcm"))
    done = classify("--json", tmp_path)
    assert (done.code, done.err) == (0, "")
    (found,) = done.objects
    assert (found["duration_s"], len(found["events"])) == (3.0, 1)


def test_a_track_may_be_named(classify, make_media: MakeMedia) -> None:
    tone = "aevalsrc='0.5*sin(2*PI*440*t)*between(t,1,2)':s=16000:d=3"
    sources = ("-f", "lavfi", "-i", tone, "-f", "lavfi", "-i", "anoisesrc=r=16000:d=3:a=0.01")
    maps = ("-map", "0", "-map", "1", "-c:a", "pcm_s16le")
    path = make_media("tracks.mkv", *sources, *maps)
    first, second = (classify("--json", "--audio-track", n, path).objects[0] for n in "12")
    assert (len(first["events"]), len(second["events"])) == (1, 0)
    assert any("not used: track 1" in warning for warning in second["warnings"])
    done = classify("--audio-track", "3", path)
    assert done.code == 2
    assert "has 2 tracks of sound; got 3" in done.err


def test_crying_on_the_second_track_is_found(classify, make_media: MakeMedia) -> None:
    tone = "aevalsrc='0.5*sin(2*PI*440*t)*between(t,1,2)':s=16000:d=3"
    silence = "anullsrc=r=16000:cl=mono:d=3"
    sources = ("-f", "lavfi", "-i", silence, "-f", "lavfi", "-i", tone)
    path = make_media("second.mkv", *sources, "-map", "0", "-map", "1", "-c:a", "pcm_s16le")
    (found,) = classify("--json", path).objects
    assert len(found["events"]) == 1
    assert any("not used: track 1 " in warning for warning in found["warnings"])


def test_one_wild_sample_hides_no_event(classify, tmp_path: Path) -> None:
    time_s = np.arange(3 * 16000) / 16000
    tone = 0.5 * np.sin(2 * np.pi * 440 * time_s) * ((time_s > 1) & (time_s < 2))
    tone[24000] = 1e30
    data = tone.astype("<f4").tobytes()
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, 1, 16000, 64000, 4, 32)
    head = struct.pack("<4sI4s", b"RIFF", 36 + len(data), b"WAVE") + form
    path = tmp_path / "wild.wav"
    path.write_bytes(head + struct.pack("<4sI", b"data", len(data)) + data)
    (found,) = classify("--json", path).objects
    assert len(found["events"]) == 1
    assert any("no sound" in warning for warning in found["warnings"])
