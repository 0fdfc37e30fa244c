"""Clips of every kind become sound and frames on one clock, and bad ones one line."""

from __future__ import annotations

import gc
import math
import os
import shutil
import signal
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from programs import is_alive
from waiting import until

from cryvision.config import SAMPLE_RATE_HZ
from cryvision.errors import ConfigError, MediaError, MissingDependencyError
from cryvision.inputs import ffmpeg, media

MakeMedia = Callable[..., Path]

LOSSY_LENGTH_SECONDS = 0.13
"""Codecs prime their filters and pad to whole packets: two of 1024 samples, of AAC at 16 kHz."""

LEVEL_TOLERANCE = 0.06
"""Relative error of an RMS level after a lossy codec at its default bit rate."""

EXACT_TOLERANCE = 1e-4
"""16-bit samples are told from each other at 3e-5; the mixing itself is exact."""

CLICK_SECONDS = 0.02
"""How far a click may be from where it belongs: under one frame."""

ENDING_SECONDS = 10.0
"""Time that a process gets to end on a busy machine; it takes some milliseconds."""

SOUND = ("-f", "lavfi", "-i", "aevalsrc=0.5*sin(2*PI*440*t):s=16000:d=1")


def lavfi(source: str) -> tuple[str, ...]:
    return "-f", "lavfi", "-i", source


def read(path: Path, **options: object) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return all samples, all frames, and the warnings of a small clip."""
    samples, frames = [np.zeros(0, np.float32)], []
    with media.open_clip(path, **options) as clip:  # type: ignore[arg-type]
        for piece in clip.pieces():
            if piece.samples is not None:
                samples.append(piece.samples)
            if piece.frame is not None:
                frames.append(piece.frame)
    return np.concatenate(samples), np.array(frames), clip.warnings


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Collect every ffmpeg that is started."""
    running = []

    class Recorded(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *args: object, **options: object) -> None:
            super().__init__(*args, **options)  # type: ignore[call-overload]
            running.append(self)

    monkeypatch.setattr(ffmpeg.subprocess, "Popen", Recorded)
    return running


@pytest.fixture(scope="session")
def long_video(make_media: MakeMedia) -> Path:
    """Ten seconds, so that ffmpeg still has much to write when it is left."""
    return make_media(
        "long.mkv",
        *lavfi("testsrc=s=320x240:r=30:d=10"),
        *lavfi("anoisesrc=r=16000:d=10:seed=1"),
        *("-c:v", "mpeg4", "-c:a", "pcm_s16le"),
    )


# What a file may be


@pytest.mark.parametrize(
    ("name", "encoder"),
    [
        ("a.wav", "pcm_s16le"),
        ("a.mp3", "libmp3lame"),
        ("a.m4a", "aac"),
        ("a.ogg", "libvorbis"),
        ("a.opus", "libopus"),
        ("a.flac", "flac"),
        ("a.caf", "pcm_s16be"),
        ("a.3gp", "aac"),
        ("a.aac", "aac"),
        ("a.aiff", "pcm_s16be"),
        ("a.wma", "wmav2"),
        ("a.mka", "pcm_f32le"),
    ],
)
def test_sound_of_every_usual_kind_keeps_its_length_and_level(
    make_media: MakeMedia, name: str, encoder: str
) -> None:
    path = make_media(name, *SOUND, "-c:a", encoder)
    samples, frames, warnings = read(path)
    assert samples.dtype == np.float32
    assert len(samples) / SAMPLE_RATE_HZ == pytest.approx(1, abs=LOSSY_LENGTH_SECONDS)
    assert rms(samples[4000:12000]) == pytest.approx(0.5 / np.sqrt(2), rel=LEVEL_TOLERANCE)
    assert not len(frames)
    assert not warnings


@pytest.mark.parametrize("name", ["v.mp4", "v.mov", "v.mkv", "v.webm", "v.avi", "v.3gp", "v.ts"])
def test_video_of_every_usual_kind_gives_sound_and_frames(make_media: MakeMedia, name: str) -> None:
    codecs = {"v.webm": ("libvpx", "libopus"), "v.avi": ("mpeg4", "libmp3lame")}
    picture, sound = codecs.get(name, ("mpeg4", "aac"))
    source = (*lavfi("testsrc=s=64x48:r=30:d=1"), *SOUND)
    path = make_media(name, *source, "-c:v", picture, "-c:a", sound, "-ar", "48000")
    info = media.probe(path)
    assert (info.has_sound, info.has_picture) == (True, True)
    assert (info.width, info.height, info.fps) == (64, 48, 30)
    assert (info.sound_rate_hz, info.sound_channels) == (48000, 1)
    samples, frames, warnings = read(path)
    assert len(samples) / SAMPLE_RATE_HZ == pytest.approx(1, abs=LOSSY_LENGTH_SECONDS)
    assert abs(len(frames) - 30) <= 1
    assert frames.shape[1:] == (48, 64, 3)
    assert not warnings


def test_what_a_file_holds_is_reported(small_video: Path, tone_wav: Path) -> None:
    info = media.probe(small_video)
    assert info.duration_s == pytest.approx(2, abs=LOSSY_LENGTH_SECONDS)
    assert (info.picture_codec, info.sound_codec) == ("mpeg4", "aac")
    assert info.to_json()["path"] == str(small_video)
    sound = media.probe(tone_wav)
    assert (sound.container, sound.has_picture, sound.width) == ("wav", False, None)


def test_cover_picture_is_no_picture_stream(make_media: MakeMedia) -> None:
    cover = make_media("cover.png", *lavfi("color=red:s=32x32:d=1"), "-frames:v", "1")
    path = make_media(
        "covered.m4a",
        *(*SOUND, "-i", str(cover), "-map", "0:a", "-map", "1:v", "-c:v", "png"),
        *("-disposition:v:0", "attached_pic"),
    )
    info = media.probe(path)
    assert (info.has_sound, info.has_picture) == (True, False)


def test_text_in_names_and_titles_is_not_taken_for_streams(
    make_media: MakeMedia, tmp_path: Path
) -> None:
    fake = "  Stream #0:0: Video: h264, yuv420p, 640x480, 25 fps"
    path = make_media("titled.mkv", *SOUND, "-metadata", f"title=x\n{fake}")
    if os.name == "posix":
        path = Path(shutil.copy(path, tmp_path / f"x\nInput #0, wav, from 'y':\n{fake}\n.mkv"))
    info = media.probe(path)
    assert (info.has_sound, info.has_picture, info.container) == (True, False, "matroska,webm")


def test_a_name_cut_off_in_the_log_is_still_taken_out(tmp_path: Path) -> None:
    path = tmp_path / ("\n  Stream #0:7: Audio: fake" * 40)
    cut = b"Input #0, wav, from '" + os.fsencode(ffmpeg.file_url(path))[:900] + b"  Duration: N/A"
    # A blank that the name would go on with goes too, so blanks do not count.
    assert ffmpeg.without_name(cut, path).split() == b"Input #0, wav, from ' Duration: N/A".split()


@pytest.mark.parametrize(
    "name",
    [
        "a b.wav",
        "Säugling 婴儿 👶.wav",
        "-i.wav",
        "%03d.wav",
        "%20.wav",
        "concat:a.wav|b.wav",
        "http:example.com",
        "it's [one];two,three=4.wav",
        "pipe:0",
        "line\nbreak.wav",
        "back\\slash.wav",
    ],
)
def test_a_name_is_just_a_name(
    tone_wav: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        shutil.copy(tone_wav, tmp_path / name)
    except OSError:
        pytest.skip("this system does not allow the name")
    monkeypatch.chdir(tmp_path)
    assert len(media.read_sound(name)) == SAMPLE_RATE_HZ


def test_a_name_that_is_not_text_is_just_a_name(tone_wav: Path, tmp_path: Path) -> None:
    try:
        path = shutil.copy(tone_wav, tmp_path / os.fsdecode(b"\xff\xfe.wav"))
    except (OSError, UnicodeError):
        pytest.skip("this system allows text only")
    assert len(media.read_sound(path)) == SAMPLE_RATE_HZ


# One clock


@pytest.mark.parametrize("rate", ["25", "30000/1001", "10", "60", "vfr"])
def test_frames_lie_on_the_30_hz_clock(make_media: MakeMedia, rate: str) -> None:
    source, seconds = f"testsrc=s=64x48:r={rate}:d=3", 3.0
    if rate == "vfr":
        # Gaps of 20 to 100 ms; the last frame, of unknown length, starts at 2.98 s.
        source = "testsrc=s=64x48:r=50:d=3,select='not(mod(n,5)*mod(n,3))+eq(n,149)'"
    name = f"rate-{rate.replace('/', '-')}.mkv"
    path = make_media(name, *lavfi(source), "-c:v", "mpeg4")
    times = [piece.frame_time_s for piece in media.open_clip(path).pieces()]
    assert abs(len(times) - round(30 * seconds)) <= 1
    assert times == [k / 30 for k in range(len(times))]


@pytest.mark.parametrize(
    ("container", "late"),
    [
        *(("mkv", late) for late in ("sound", "picture", "neither")),
        *(("mp4", late) for late in ("sound", "picture")),
        ("ts", "sound"),
    ],
)
def test_streams_stay_aligned_when_one_starts_late(
    make_media: MakeMedia, container: str, late: str
) -> None:
    flash = "color=black:s=64x48:r=30:d=3,drawbox=t=fill:c=white:enable='between(n,45,46)'"
    click = "aevalsrc='0.8*sin(2*PI*1000*t)*between(t,1.5,1.52)':s=44100:d=3"
    path = make_media(
        f"late-{late}.{container}",
        *("-itsoffset", "0.5" if late == "picture" else "0", *lavfi(flash)),
        *("-itsoffset", "0.5" if late == "sound" else "0", *lavfi(click)),
        *("-c:v", "mpeg4", "-bf", "0", "-c:a", "pcm_s16le" if container == "mkv" else "aac"),
    )
    samples, frames, _ = read(path)
    click_s = int(np.argmax(np.abs(samples) > 0.3)) / SAMPLE_RATE_HZ
    flash_s = int(np.argmax(frames.mean(axis=(1, 2, 3)) > 128)) / 30
    # MPEG-TS cannot say that the codec's priming is to be dropped, so its zero is not exact.
    start = 1 / 30 if container == "ts" else 0.0
    assert click_s == pytest.approx(2.0 if late == "sound" else 1.5, abs=CLICK_SECONDS + start)
    # A frame stands for the 33 ms around it.
    wanted = {"sound": 0.5, "picture": -0.5, "neither": 0.0}[late]
    assert click_s - flash_s == pytest.approx(wanted, abs=CLICK_SECONDS)


def test_late_sound_is_padded_with_silence_and_a_late_picture_held_back(
    make_media: MakeMedia,
) -> None:
    red = "color=red:s=64x48:r=30:d=1"
    codecs = ("-c:v", "mpeg4", "-c:a", "pcm_s16le")
    late_sound = make_media("padded.mkv", *lavfi(red), "-itsoffset", "0.5", *SOUND, *codecs)
    samples, frames, _ = read(late_sound)
    assert not samples[: round(0.48 * SAMPLE_RATE_HZ)].any()
    assert rms(samples[-8000:]) > 0.3
    late_picture = make_media("held.mkv", "-itsoffset", "0.5", *lavfi(red), *SOUND, *codecs)
    samples, frames, _ = read(late_picture)
    assert abs(len(frames) - 45) <= 1
    assert (frames[0, 24, 32] > (200, -1, -1)).all()
    assert len(samples) == SAMPLE_RATE_HZ


@pytest.mark.parametrize(("sound_s", "picture_s"), [(1, 2), (2, 1)])
def test_the_longer_stream_goes_on_alone(
    make_media: MakeMedia, sound_s: int, picture_s: int
) -> None:
    path = make_media(
        f"unequal-{sound_s}-{picture_s}.mkv",
        *lavfi(f"testsrc=s=64x48:r=30:d={picture_s}"),
        *lavfi(f"anoisesrc=r=16000:d={sound_s}:seed=1"),
        *("-c:v", "mpeg4", "-c:a", "pcm_s16le"),
    )
    samples, frames, warnings = read(path)
    assert len(samples) == sound_s * SAMPLE_RATE_HZ
    assert len(frames) == picture_s * 30
    assert not warnings


def test_a_gap_in_the_sound_is_filled_with_silence(make_media: MakeMedia) -> None:
    pause = "asetpts='PTS+gte(T,0.512)*0.5/TB'"
    path = make_media("gap.mka", *SOUND, "-af", pause, "-c:a", "pcm_s16le")
    samples = media.read_sound(path)
    assert len(samples) / SAMPLE_RATE_HZ == pytest.approx(1.5, abs=CLICK_SECONDS)
    assert rms(samples[10000:15000]) < EXACT_TOLERANCE
    assert rms(samples[-7000:]) > 0.3


def test_a_damaged_timestamp_does_not_ask_for_days_of_silence(make_media: MakeMedia) -> None:
    day = "asetpts='PTS+gt(T,0.5)*86400/TB'"
    path = make_media("jump.mka", *SOUND, "-af", day, "-c:a", "pcm_s16le")
    samples, _, warnings = read(path)
    assert 0.3 < len(samples) / SAMPLE_RATE_HZ < 0.8
    assert warnings[0].startswith("ends early")


def test_sound_comes_before_the_frame_it_leads_to(small_video: Path) -> None:
    n_read = 0
    with media.open_clip(small_video) as clip:
        for k, piece in enumerate(clip.pieces()):
            n_read += 0 if piece.samples is None else len(piece.samples)
            if piece.frame is not None:
                assert n_read == k * SAMPLE_RATE_HZ // 30


def test_sound_alone_comes_in_chunks_of_the_wanted_length(tone_wav: Path) -> None:
    with media.open_clip(tone_wav, chunk_seconds=0.3) as clip:
        lengths = [len(piece.samples) for piece in clip.pieces() if piece.samples is not None]
    assert lengths == [4800, 4800, 4800, 1600]


def test_sound_read_at_once_is_the_sound_read_in_pieces(small_video: Path) -> None:
    whole = media.read_sound(small_video)
    pieces, _, _ = read(small_video)
    np.testing.assert_array_equal(whole, pieces)
    np.testing.assert_array_equal(media.read_sound(small_video, 0.5, 1.25), whole[8000:20000])
    np.testing.assert_array_equal(media.read_sound(small_video, 1.9), whole[30400:])
    assert not len(media.read_sound(small_video, 5, 6))


# Levels, turns and shapes


@pytest.mark.parametrize("encoder", ["pcm_s16le", "pcm_f32le"])
def test_mixing_down_equal_channels_keeps_the_level(make_media: MakeMedia, encoder: str) -> None:
    tone = "0.5*sin(2*PI*440*t)"
    both = make_media(
        f"both-{encoder}.wav", *lavfi(f"aevalsrc={tone}|{tone}:s=16000:d=1"), "-c:a", encoder
    )
    one = make_media(
        f"one-{encoder}.wav", *lavfi(f"aevalsrc={tone}|0:s=16000:d=1"), "-c:a", encoder
    )
    assert rms(media.read_sound(both)) == pytest.approx(0.5 / np.sqrt(2), rel=EXACT_TOLERANCE)
    assert rms(media.read_sound(one)) == pytest.approx(0.25 / np.sqrt(2), rel=EXACT_TOLERANCE)


def test_many_microphones_without_a_layout_are_averaged(make_media: MakeMedia) -> None:
    tones = "|".join(["0.5*sin(2*PI*440*t)"] * 10)
    path = make_media("ten.wav", *lavfi(f"aevalsrc={tones}:s=16000:d=1"))
    assert media.probe(path).sound_channels == 10
    assert rms(media.read_sound(path)) == pytest.approx(0.5 / np.sqrt(2), rel=EXACT_TOLERANCE)


def test_samples_that_are_not_numbers_are_silence_and_reported(tmp_path: Path) -> None:
    samples = np.full(16000, 0.25, "<f4")
    samples[8000] = np.nan
    header = struct.pack(
        "<4sI4s4sIHHIIHH", b"RIFF", 36 + 64000, b"WAVE", b"fmt ", 16, 3, 1, 16000, 64000, 4, 32
    )
    path = tmp_path / "nan.wav"
    path.write_bytes(header + struct.pack("<4sI", b"data", 64000) + samples.tobytes())
    read_samples, _, warnings = read(path)
    assert np.isfinite(read_samples).all()
    assert warnings == ["samples that were not finite numbers are read as zero"]


@pytest.fixture(scope="session")
def corner_video(make_media: MakeMedia) -> Path:
    """Black 64x48 pictures with a red top left quarter, as mp4."""
    source = "color=black:s=64x48:r=30:d=0.5,drawbox=w=32:h=24:t=fill:c=red"
    return make_media("corner.mp4", *lavfi(source), "-c:v", "mpeg4", "-q:v", "2")


def red_quarter(frame: np.ndarray) -> str:
    """Name the quarter that is red; fails when there is not exactly one."""
    h, w = frame.shape[0] // 4, frame.shape[1] // 4
    centres = {"top left": (h, w), "top right": (h, -w), "bottom left": (-h, w)}
    centres["bottom right"] = (-h, -w)
    (name,) = (name for name, at in centres.items() if frame[at][0] > 150 > frame[at][1])
    return name


@pytest.mark.parametrize(
    ("matrix", "shape", "where"),
    [
        ((0, 1, -1, 0), (64, 48, 3), "top right"),
        ((0, -1, 1, 0), (64, 48, 3), "bottom left"),
        ((-1, 0, 0, -1), (48, 64, 3), "bottom right"),
    ],
)
def test_turned_video_is_upright(
    corner_video: Path,
    tmp_path: Path,
    matrix: tuple[int, int, int, int],
    shape: tuple[int, int, int],
    where: str,
) -> None:
    a, b, c, d = (value << 16 for value in matrix)
    movie = bytearray(corner_video.read_bytes())
    # Version 0 of the track header keeps its display matrix 44 bytes behind its name.
    at = movie.index(b"tkhd") + 44
    movie[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path = tmp_path / "turned.mp4"
    path.write_bytes(movie)
    info = media.probe(path)
    assert (info.height, info.width) == shape[:2]
    _, frames, _ = read(path)
    assert frames.shape[1:] == shape
    assert red_quarter(frames[3]) == where


@pytest.mark.parametrize(("shape", "width"), [("2/1", 128), ("8/9", 57), ("1/8", 16)])
def test_pixels_are_made_square(make_media: MakeMedia, shape: str, width: int) -> None:
    source = f"color=black:s=64x48:r=30:d=0.5,drawbox=w=32:h=24:t=fill:c=red,setsar={shape}"
    path = make_media(f"sar-{shape.replace('/', '-')}.mkv", *lavfi(source), "-c:v", "mpeg4")
    info = media.probe(path)
    assert (info.width, info.height) == (width, 48)
    _, frames, _ = read(path)
    assert frames.shape[1:] == (48, width, 3)
    assert red_quarter(frames[3]) == "top left"


def test_pictures_that_change_size_are_read_whole(make_media: MakeMedia, tmp_path: Path) -> None:
    parts = b""
    for size in ("64x48", "32x96", "160x120"):
        source = f"color=red:s={size}:r=30:d=1"
        parts += make_media(f"size-{size}.ts", *lavfi(source), "-c:v", "mpeg2video").read_bytes()
    path = tmp_path / "sizes.ts"
    path.write_bytes(parts)
    with media.open_clip(path) as clip:
        frames = [piece.frame for piece in clip.pieces() if piece.frame is not None]
    assert len(frames) > 60
    for frame in frames:
        assert (frame[..., 0] > 150).all()
        assert (frame[..., 1:] < 100).all()


# What is refused, and how


def refusal(path: str | Path) -> str:
    """Return the one line that a bad clip gives."""
    with pytest.raises(MediaError) as caught:
        list(media.open_clip(path).pieces())
    line = str(caught.value)
    assert "\n" not in line
    assert " @ 0x" not in line
    return line


def test_missing_empty_and_special_files_are_refused(tmp_path: Path) -> None:
    assert "there is no such file" in refusal(tmp_path / "none.mp4")
    assert "folder" in refusal(tmp_path)
    assert "possible file name" in refusal("a\0b")
    empty = tmp_path / "empty.wav"
    empty.touch()
    assert refusal(empty) == f"{empty}: a clip must hold media; this file is empty"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_or_a_device_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    assert "plain file" in refusal(tmp_path / "pipe.wav")
    assert "plain file" in refusal(os.devnull)


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\n{wav}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile {wav}\n",
        ";FFMETADATA1\ntitle=x\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period>'
        '<AdaptationSet><Representation id="1"><BaseURL>{wav}</BaseURL></Representation>'
        "</AdaptationSet></Period></MPD>",
        "1\n00:00:00,000 --> 00:00:01,000\nHello\n",
        "{wav}\n",
    ],
    ids=["hls", "concat", "ffmetadata", "sdp", "dash", "srt", "plain"],
)
@pytest.mark.parametrize("ending", [".mp4", None])
def test_playlists_are_refused_whatever_they_are_called(
    tone_wav: Path, tmp_path: Path, text: str, ending: str | None, request: pytest.FixtureRequest
) -> None:
    own = {"hls": ".m3u8", "concat": ".ffconcat", "dash": ".mpd"}
    kind = request.node.callspec.id.split("-")[-1]
    path = tmp_path / f"list{ending or own.get(kind, '.' + kind)}"
    shutil.copy(tone_wav, tmp_path / "tone.wav")
    path.write_text(text.format(wav="tone.wav"))
    assert "a clip must be a sound or video file" in refusal(path)


@pytest.mark.parametrize("name", ["still.png", "still.jpg", "%03d.png", "still.gif"])
def test_still_images_are_refused(make_media: MakeMedia, tmp_path: Path, name: str) -> None:
    still = make_media(name.replace("%03d", "001"), *lavfi("color=red:s=8x8:d=1"), "-frames:v", "1")
    for copy in (name, "renamed.mp4"):
        refusal(shutil.copy(still, tmp_path / copy))


@pytest.mark.parametrize("n_samples", [1, 2, 160])
def test_a_few_samples_are_a_clip(make_media: MakeMedia, n_samples: int) -> None:
    cut = ("-af", f"atrim=end_sample={n_samples}")
    samples = media.read_sound(make_media(f"short-{n_samples}.wav", *SOUND, *cut))
    assert len(samples) == n_samples


def test_one_frame_is_a_clip(make_media: MakeMedia) -> None:
    one = ("-frames:v", "1", "-c:v", "mpeg4")
    path = make_media("one-frame.mp4", *lavfi("testsrc=s=64x48:r=30"), *one)
    _, frames, _ = read(path)
    assert len(frames) == 1


def test_a_clip_without_what_is_wanted_is_empty_and_says_so(
    make_media: MakeMedia, tone_wav: Path
) -> None:
    silent = make_media("silent.mkv", *lavfi("testsrc=s=64x48:r=30:d=0.2"), "-c:v", "mpeg4")
    samples, _, warnings = read(silent, frames=False)
    assert (len(samples), warnings) == (0, ["the clip has no sound"])
    _, frames, warnings = read(tone_wav, sound=False)
    assert (len(frames), warnings) == (0, ["the clip has no pictures"])
    with pytest.raises(MediaError, match="must have sound"):
        media.read_sound(silent)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("cut.wav", ()),
        ("cut.ogg", ("-c:a", "libvorbis")),
        ("cut.mp3", ("-c:a", "libmp3lame")),
        ("cut-end.mp4", ("-c:v", "mpeg4", "-c:a", "aac")),
        ("cut-front.mp4", ("-c:v", "mpeg4", "-c:a", "aac", "-movflags", "+faststart")),
        ("cut.mkv", ("-c:v", "mpeg4", "-c:a", "aac")),
    ],
)
def test_a_clip_cut_at_any_byte_is_read_so_far_or_refused(
    make_media: MakeMedia, tmp_path: Path, name: str, arguments: tuple[str, ...]
) -> None:
    picture = lavfi("testsrc=s=64x48:r=30:d=1") if "-c:v" in arguments else ()
    whole = make_media(name, *picture, *SOUND, *arguments).read_bytes()
    for cut in (8, len(whole) // 10, len(whole) // 2, len(whole) - 1):
        path = tmp_path / f"{cut}-{name}"
        path.write_bytes(whole[:cut])
        line = None
        try:
            samples, frames, _ = read(path)
        except MediaError as error:
            line = str(error)
        if line is None:
            assert len(samples) or len(frames)
        else:
            assert line.startswith(f"{path}: ")
            assert "\n" not in line


def test_a_clip_that_ends_early_is_read_so_far_and_says_so(
    make_media: MakeMedia, tmp_path: Path
) -> None:
    source = (*lavfi("testsrc=s=64x48:r=30:d=4"), *lavfi("anoisesrc=r=16000:d=4:seed=1"))
    codecs = ("-c:v", "mpeg4", "-c:a", "aac", "-movflags", "+faststart")
    whole = make_media("early.mp4", *source, *codecs).read_bytes()
    path = tmp_path / "early.mp4"
    path.write_bytes(whole[: len(whole) // 2])
    samples, frames, warnings = read(path)
    assert len(samples)
    assert len(frames)
    (warning,) = warnings
    assert warning.startswith("ends early: ")
    assert " @ 0x" not in warning


@pytest.mark.parametrize("n_bytes", [200, 50_001, 50_002])
def test_a_wav_that_is_shorter_than_its_header_states_says_so(
    make_media: MakeMedia, tmp_path: Path, n_bytes: int
) -> None:
    whole = make_media("stated.wav", *lavfi("anoisesrc=r=16000:d=4:seed=1")).read_bytes()
    path = tmp_path / "cut.wav"
    path.write_bytes(whole[:n_bytes])
    # The header also counts itself, a few samples' worth.
    assert media.probe(path).duration_s == pytest.approx(4, abs=CLICK_SECONDS)
    samples, _, (warning,) = read(path)
    assert abs(len(samples) - n_bytes / 2) < CLICK_SECONDS * SAMPLE_RATE_HZ
    assert warning.startswith(f"ends early: {len(samples) / SAMPLE_RATE_HZ:.2f} s of 4.00 s")


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_wav_from_a_pipe_states_no_length_and_is_whole(
    tone_wav: Path, tmp_path: Path, size: int
) -> None:
    wav = bytearray(tone_wav.read_bytes())
    data = wav.index(b"data")
    wav[4:8] = wav[data + 4 : data + 8] = struct.pack("<I", size)
    path = tmp_path / "piped.wav"
    path.write_bytes(wav)
    assert media.probe(path).duration_s is None
    samples, _, warnings = read(path)
    assert len(samples) == SAMPLE_RATE_HZ
    assert not warnings


@pytest.mark.parametrize("bad", [{"sound": False, "frames": False}, {"chunk_seconds": 0}])
def test_impossible_wishes_are_refused(tone_wav: Path, bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        media.open_clip(tone_wav, **bad)  # type: ignore[arg-type]
    with pytest.raises(ConfigError):
        media.read_sound(tone_wav, 2, 1)


# Nothing is left over


def ended(processes: list[subprocess.Popen[bytes]]) -> bool:
    return bool(processes) and all(process.returncode is not None for process in processes)


def test_an_abandoned_clip_leaves_no_ffmpeg(
    long_video: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    pieces = media.open_clip(long_video).pieces()
    next(pieces)
    assert len(started) == 3
    assert not ended(started)
    del pieces
    gc.collect()
    assert ended(started)


def test_a_closed_clip_leaves_no_ffmpeg_and_no_more_pieces(
    long_video: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    with media.open_clip(long_video) as clip:
        pieces = clip.pieces()
        next(pieces)
    assert ended(started)
    assert list(pieces) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_error_in_the_loop_leaves_no_ffmpeg(
    long_video: Path, started: list[subprocess.Popen[bytes]], error: type[BaseException]
) -> None:
    def consume() -> None:
        with media.open_clip(long_video) as clip:
            for _ in clip.pieces():
                raise error

    with pytest.raises(error):
        consume()
    assert ended(started)


@pytest.mark.skipif(os.name != "posix", reason="signals of this kind are POSIX")
def test_ctrl_c_while_reading_leaves_no_ffmpeg(
    long_video: Path, started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    read_into = ffmpeg.Process.read_into

    def interrupted(process: ffmpeg.Process, buffer: memoryview) -> int:
        os.kill(os.getpid(), signal.SIGINT)
        return read_into(process, buffer)

    monkeypatch.setattr(ffmpeg.Process, "read_into", interrupted)
    # A program that a shell runs in the background ignores this signal, as does what it starts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), media.open_clip(long_video) as clip:
            list(clip.pieces())
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended(started)


def test_a_bad_clip_leaves_no_ffmpeg(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    path = tmp_path / "bad.mp4"
    path.write_bytes(b"\0" * 1000)
    refusal(path)
    assert ended(started)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
def test_ffmpeg_ends_with_a_program_that_is_killed(long_video: Path) -> None:
    program = (
        "import sys, time; from cryvision.inputs import ffmpeg, media\n"
        "started = []; start = ffmpeg.Process.__init__\n"
        "def recorded(self, *a):\n    start(self, *a); started.append(self._popen.pid)\n"
        "ffmpeg.Process.__init__ = recorded\n"
        "pieces = media.open_clip(sys.argv[1]).pieces(); next(pieces)\n"
        "print(*started, flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(long_video)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = parent.stdout.readline().split()
        parent.kill()
    assert len(pids) == 3
    until(lambda: not any(map(is_alive, pids)), "the end of ffmpeg", ENDING_SECONDS)


def test_two_clips_may_be_read_in_turns(small_video: Path, long_video: Path) -> None:
    alone = [piece.frame for piece in media.open_clip(small_video).pieces()]
    with media.open_clip(small_video) as one, media.open_clip(long_video) as two:
        together = [a.frame for a, _ in zip(one.pieces(), two.pieces(), strict=False)]
    np.testing.assert_array_equal(
        [frame for frame in alone if frame is not None],
        [frame for frame in together if frame is not None],
    )


def test_frames_are_never_gathered(long_video: Path) -> None:
    frame_bytes = 320 * 240 * 3
    tracemalloc.start()
    try:
        n = sum(piece.frame is not None for piece in media.open_clip(long_video).pieces())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert n == 300
    assert peak < 6 * frame_bytes


# Which ffmpeg


def test_a_wrong_name_for_ffmpeg_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYVISION_FFMPEG", "no-such-ffmpeg")
    with pytest.raises(MissingDependencyError, match="CRYVISION_FFMPEG must name"):
        media.find_ffmpeg()


def test_no_ffmpeg_at_all_is_reported_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CRYVISION_FFMPEG", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(MissingDependencyError, match="pip install imageio-ffmpeg"):
        media.find_ffmpeg()


def test_another_package_called_ffmpeg_is_reported(
    monkeypatch: pytest.MonkeyPatch, tone_wav: Path
) -> None:
    monkeypatch.setitem(sys.modules, "ffmpeg", type(sys)("ffmpeg"))
    with pytest.raises(MissingDependencyError, match="not the package ffmpeg-python"):
        media.read_sound(tone_wav)


@pytest.mark.corpus
def test_recordings_of_phones_are_read(corpus: Path) -> None:
    for folder, ending in [("android", "3gp"), ("ios", "caf")]:
        clips = sorted((corpus / f"donateacry-corpus/donateacry-{folder}-upload-bucket").glob("*"))
        for path in [clip for clip in clips if clip.suffix == f".{ending}"][:5]:
            samples, _, warnings = read(path)
            assert len(samples) > SAMPLE_RATE_HZ
            assert rms(samples) > 0
            assert not warnings


@pytest.mark.parametrize("bounds", [(0.5, 1.25), (None, 1.0), (1.5, None), (1.0, 1.0), (5.0, 6.0)])
def test_a_segment_is_a_clip_of_its_own(
    small_video: Path, bounds: tuple[float | None, float | None]
) -> None:
    start_s, end_s = bounds
    first_s, last_s = start_s or 0.0, math.inf if end_s is None else end_s
    with media.open_clip(small_video) as whole:
        pieces = list(whole.pieces())
    samples = np.concatenate([p.samples for p in pieces if p.samples is not None])
    frames = [(p.frame, p.frame_time_s) for p in pieces if p.frame_time_s is not None]
    with media.open_clip(small_video, start_s=start_s, end_s=end_s) as segment:
        found = list(segment.pieces())
    last = None if end_s is None else round(end_s * SAMPLE_RATE_HZ)
    sound = [np.zeros(0), *(p.samples for p in found if p.samples is not None)]
    expected = samples[round(first_s * SAMPLE_RATE_HZ) : last]
    np.testing.assert_array_equal(np.concatenate(sound), expected)
    shown = [(p.frame, p.frame_time_s) for p in found if p.frame_time_s is not None]
    inside = [(frame, t - first_s) for frame, t in frames if first_s <= t < last_s]
    assert [t for _, t in shown] == [t for _, t in inside]
    assert all((one == other).all() for (one, _), (other, _) in zip(shown, inside, strict=True))


def test_a_segment_that_ends_before_it_starts_is_refused(small_video: Path) -> None:
    with pytest.raises(ConfigError, match=r"0 <= start_s <= end_s; got 2.0, 1.0"):
        media.open_clip(small_video, start_s=2.0, end_s=1.0)
