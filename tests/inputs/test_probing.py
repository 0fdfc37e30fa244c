"""Nothing in a file poses as what ffmpeg says of it, whichever ffmpeg that is."""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cryvision.errors import MediaError, MissingDependencyError
from cryvision.inputs import ffmpeg, media
from cryvision.inputs.streams import SoundTrack

MakeMedia = Callable[..., Path]

FORGED = (
    "\nInput #0, wav, from 'x':\n  Duration: 27:00:00.00, start: 0.000000, bitrate: 1 kb/s\n"
    "  Stream #0:7: Audio: pcm_s16le, 8000 Hz, mono, s16, 256 kb/s\n"
    "    Stream #0:8: Video: h264, yuv420p, 640x480, 25 fps\n"
    "Output #0, null, to 'x':\n  Stream #0:0: Audio: pcm_s16le, 8000 Hz, mono, s16, 256 kb/s\n"
)
"""Lines as ffmpeg prints them, in the indentation of all its versions."""

posix = pytest.mark.skipif(os.name != "posix", reason="scripts of this kind are POSIX")


@pytest.fixture(scope="module")
def plain_mkv(make_media: MakeMedia) -> Path:
    tone = "sine=440:r=16000:d=2"
    return make_media("plain.mkv", "-f", "lavfi", "-i", tone, "-c:a", "pcm_s16le")


def sized(size: int) -> bytes:
    """A size in EBML, of eight bytes."""
    return (1 << 56 | size).to_bytes(8, "big")


def with_doctype(matroska: bytes, doctype: bytes) -> bytes:
    """Exchange the kind that a Matroska file says it is of."""
    n_header = matroska[4] & 0x7F
    start = 5
    if matroska[4] == 1:
        n_header, start = int.from_bytes(matroska[5:12], "big"), 12
    header, rest = matroska[start : start + n_header], matroska[start + n_header :]
    at = header.index(b"\x42\x82")
    n_old = header[at + 2] & 0x7F
    header = header[:at] + b"\x42\x82" + sized(len(doctype)) + doctype + header[at + 3 + n_old :]
    return matroska[:4] + sized(len(header)) + header + rest


def check_plain(path: Path) -> None:
    """Check that a file is told to hold what `plain_mkv` holds."""
    info = media.probe(path)
    assert (info.container, info.has_picture) == ("matroska,webm", False)
    assert (info.sound_stream, info.sound_rate_hz) == (0, 16000)
    assert [track.stream for track in info.sound_tracks] == [0]
    assert info.duration_s is None or info.duration_s == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("kind", ["matroska", ""])
def test_line_feeds_in_a_doctype_forge_nothing(plain_mkv: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "forged.mkv"
    path.write_bytes(with_doctype(plain_mkv.read_bytes(), (kind + FORGED).encode()))
    check_plain(path)
    assert media.probe(path).duration_s == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("place", ["title", "language", "filename", "tag"])
def test_texts_in_a_file_forge_no_streams(make_media: MakeMedia, place: str) -> None:
    options = {
        "title": ("-metadata", f"title=x{FORGED}"),
        "language": ("-metadata:s:a:0", f"language=x{FORGED}"),
        "filename": ("-metadata:s:a:0", f"title=x{FORGED}", "-metadata", f"artist=x\r{FORGED}"),
        "tag": ("-metadata", FORGED.replace("=", "") + "=x"),
    }
    source = ("-f", "lavfi", "-i", "sine=440:r=16000:d=2")
    path = make_media(f"texts-{place}.mkv", *source, "-c:a", "pcm_s16le", *options[place])
    check_plain(path)


def test_a_stream_that_nothing_is_known_of_does_not_hide_the_others(
    make_media: MakeMedia, tmp_path: Path
) -> None:
    sources = [("-f", "lavfi", "-i", f"sine={hz}:r=16000:d=1") for hz in (300, 440)]
    path = make_media("two.ts", *sources[0], *sources[1], "-map", "0", "-map", "1", "-c:a", "mp2")
    # Packets of 188 bytes; those of the first stream lose all they hold.
    spoiled = bytearray(path.read_bytes())
    for at in range(0, len(spoiled), 188):
        if spoiled[at + 1] & 0x1F == 1 and spoiled[at + 2] == 0:
            spoiled[at + 20 : at + 188] = bytes(168)
    broken = tmp_path / "broken.ts"
    broken.write_bytes(spoiled)
    assert media.probe(broken).has_sound
    assert len(media.read_sound(broken))


# Other ffmpegs


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@posix
def test_an_ffmpeg_that_is_too_old_is_refused_by_name(
    plain_mkv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    banner = "ffmpeg version 3.4.11-0ubuntu0.1 Copyright (c) 2000-2022 the FFmpeg developers"
    old = script(tmp_path / "old", f"echo '{banner}' >&2; exit 1")
    monkeypatch.setenv("CRYVISION_FFMPEG", str(old))
    with pytest.raises(MissingDependencyError, match=r"4\.2 or newer; .*/old is 3\.4"):
        media.probe(plain_mkv)


@posix
@pytest.mark.parametrize("version", ["4.2.2", "n9.0.2-17-g2a571b6068", "N-47683-g0e8eb07980"])
def test_versions_that_are_new_enough_or_unknown_may_go_on(
    plain_mkv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    real = media.find_ffmpeg()
    path = script(
        tmp_path / "other",
        f'\'{real}\' "$@" 2>"$0.log"; status=$?\n'
        f"sed '1s/^ffmpeg version [^ ]*/ffmpeg version {version}/' \"$0.log\" >&2; exit $status",
    )
    monkeypatch.setenv("CRYVISION_FFMPEG", str(path))
    check_plain(plain_mkv)


@posix
def test_an_ffprobe_beside_ffmpeg_is_asked(
    plain_mkv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = {
        "format": {"format_name": "matroska,webm", "duration": "2.5"},
        "streams": [
            {
                **{"index": 0, "codec_type": "video", "codec_name": "h264"},
                **{"width": 48, "height": 64, "sample_aspect_ratio": "2:1"},
                **{"avg_frame_rate": "30000/1001", "side_data_list": [{"rotation": -90}]},
            },
            {"index": 1, "codec_type": "video", "codec_name": "png"}
            | {"disposition": {"attached_pic": 1}},
            {"index": 2, "codec_type": "audio", "sample_rate": "48000", "channels": 2},
            {
                **{"index": 3, "codec_type": "audio", "codec_name": "aac"},
                **{"sample_rate": "44100", "channels": 6, "channel_layout": "5.1"},
                **{"disposition": {"default": 1}},
            },
        ],
    }
    (tmp_path / "answer.json").write_text(json.dumps(answer))
    script(tmp_path / "ffprobe", f"cat {tmp_path}/answer.json")
    script(tmp_path / "ffmpeg", "exit 1")
    monkeypatch.setenv("CRYVISION_FFMPEG", str(tmp_path / "ffmpeg"))
    info = media.probe(plain_mkv)
    assert (info.container, info.duration_s) == ("matroska,webm", 2.5)
    # Upright, the pixels that are twice as wide stand beside each other.
    assert (info.picture_stream, info.width, info.height) == (0, 32, 48)
    assert info.fps == pytest.approx(29.97, abs=0.001)
    assert info.sound_tracks == (SoundTrack(3, "aac", 44100, 6, "5.1", default=True),)


@posix
@pytest.mark.parametrize("answer", ["exit 1", "echo '{'", "echo '[]'", "echo '{\"format\":{}}'"])
def test_an_ffprobe_without_an_answer_is_passed_over(
    plain_mkv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    (tmp_path / "ffmpeg").symlink_to(media.find_ffmpeg())
    script(tmp_path / "ffprobe", answer)
    monkeypatch.setenv("CRYVISION_FFMPEG", str(tmp_path / "ffmpeg"))
    check_plain(plain_mkv)


# An ffmpeg that does not end


def running(marker: str) -> bool:
    """Whether a process with a word in its command line runs."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if marker.encode() in (folder / "cmdline").read_bytes():
                return True
        except OSError:
            continue
    return False


@posix
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
def test_an_ffmpeg_that_hangs_behind_a_script_is_ended_with_it(
    plain_mkv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = f"idle-{tmp_path.name}"
    hang = f"'{sys.executable}' -c 'import time; time.sleep(600)' {marker}\nexit 0"
    monkeypatch.setenv("CRYVISION_FFMPEG", str(script(tmp_path / "wrapper", hang)))
    monkeypatch.setattr(ffmpeg, "PROBE_TIMEOUT_SECONDS", 0.3)
    started = time.monotonic()
    with pytest.raises(MediaError, match=r"must recognise a clip within 0\.3 s"):
        media.probe(plain_mkv)
    assert time.monotonic() - started < 10
    assert not running(marker)


@posix
def test_an_ffmpeg_that_gives_nothing_while_a_clip_is_read_is_ended(
    plain_mkv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = media.find_ffmpeg()
    hang = f'case "$*" in *f32le*) sleep 600;; esac\nexec \'{real}\' "$@"'
    monkeypatch.setenv("CRYVISION_FFMPEG", str(script(tmp_path / "wrapper", hang)))
    monkeypatch.setattr(ffmpeg, "STALL_SECONDS", 0.4)
    with pytest.raises(MediaError, match=r"it gave nothing for 0\.4 s"):
        media.read_sound(plain_mkv)
