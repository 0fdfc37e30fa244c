"""A clip is as long as what is in it, whatever its header says."""

from __future__ import annotations

import os
import signal
import stat
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cryvision.config import SAMPLE_RATE_HZ
from cryvision.errors import MediaError
from cryvision.inputs import media

MakeMedia = Callable[..., Path]

SECONDS = 2

posix = pytest.mark.skipif(os.name != "posix", reason="signals and scripts of this kind are POSIX")


def read(path: Path, **options: object) -> tuple[float, float, media.MediaInfo, list[str]]:
    """Return seconds of sound and of pictures, what is told of the clip, and the warnings."""
    n_samples = n_frames = 0
    with media.open_clip(path, **options) as clip:  # type: ignore[arg-type]
        for piece in clip.pieces():
            n_samples += 0 if piece.samples is None else len(piece.samples)
            n_frames += piece.frame is not None
    return n_samples / SAMPLE_RATE_HZ, n_frames / 30, clip.info, clip.warnings


def wav(seconds: float, stated_bytes: int | None = None, rate_hz: int = SAMPLE_RATE_HZ) -> bytes:
    """A WAV file of noise; its header may state another size."""
    rng = np.random.default_rng(0)
    data = (8000 * rng.standard_normal(round(seconds * rate_hz))).astype("<i2").tobytes()
    stated = len(data) if stated_bytes is None else stated_bytes
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate_hz, 2 * rate_hz, 2, 16)
    head = struct.pack("<4sI4s", b"RIFF", (36 + stated) & 0xFFFFFFFF, b"WAVE")
    return head + form + struct.pack("<4sI", b"data", stated) + data


# WAV files


@pytest.mark.parametrize("stated_s", [0.5, 1.0, 2.9])
def test_a_wav_with_a_size_that_is_short_or_wrapped_is_read_to_its_end(
    tmp_path: Path, stated_s: float
) -> None:
    path = tmp_path / "wrapped.wav"
    path.write_bytes(wav(3, stated_bytes=round(stated_s * 32000)))
    sound_s, _, info, (warning,) = read(path)
    assert sound_s == 3
    assert info.duration_s == 3
    assert warning.startswith(f"the file goes on for {3 - stated_s:.2f} s behind the end")


@pytest.mark.parametrize("second_hz", [16000, 44100])
def test_wavs_joined_byte_by_byte_are_read_to_the_join_and_it_is_said(
    tmp_path: Path, second_hz: int
) -> None:
    path = tmp_path / "joined.wav"
    path.write_bytes(wav(1) + wav(2, rate_hz=second_hz))
    sound_s, _, _, (warning,) = read(path)
    assert sound_s == 1
    assert "another file begins there, not read" in warning
    assert f"goes on for {2 * second_hz / 16000:.1f}" in warning


@pytest.mark.parametrize(
    "behind",
    [
        struct.pack("<4sI", b"LIST", 40_000) + b"INFO" + bytes(39_996),
        struct.pack("<4sI", b"junk", 30_001) + bytes(30_002) + struct.pack("<4sI", b"plst", 0),
        b"ID3\x04" + bytes(30_000),
        b"TAG" + b"x" * 125,
        bytes(10),
    ],
    ids=["list", "odd", "id3", "id3v1", "padding"],
)
def test_what_belongs_behind_the_sound_is_not_taken_for_sound(
    tmp_path: Path, behind: bytes
) -> None:
    path = tmp_path / "tagged.wav"
    path.write_bytes(wav(1) + behind)
    sound_s, _, _, warnings = read(path)
    assert sound_s == 1
    assert not warnings


# Videos


def with_mkv_duration(matroska: bytes, seconds: float) -> bytes:
    """State another length in a Matroska file, which counts milliseconds."""
    at = matroska.index(b"\x44\x89\x88") + 3
    return matroska[:at] + struct.pack(">d", seconds * 1000) + matroska[at + 8 :]


@pytest.fixture(scope="module")
def video(make_media: MakeMedia) -> bytes:
    source = ("-f", "lavfi", "-i", f"testsrc=s=64x48:r=30:d={SECONDS}")
    tone = ("-f", "lavfi", "-i", f"sine=440:r=16000:d={SECONDS}")
    codecs = ("-c:v", "mpeg4", "-c:a", "aac")
    return make_media("said.mkv", *source, *tone, *codecs).read_bytes()


@pytest.mark.parametrize("frames", [True, False])
@pytest.mark.parametrize("stated_s", [60.0, 97_200.0, 1e12])
def test_a_length_that_a_video_only_states_is_not_believed(
    video: bytes, tmp_path: Path, stated_s: float, frames: bool
) -> None:
    path = tmp_path / "stated.mkv"
    path.write_bytes(with_mkv_duration(video, stated_s))
    assert media.probe(path).duration_s == pytest.approx(stated_s, rel=1e-3)
    sound_s, _, info, warnings = read(path, frames=frames)
    assert sound_s == pytest.approx(SECONDS, abs=0.2)
    assert info.duration_s == pytest.approx(SECONDS, abs=0.2)
    assert any(warning.startswith("ends early: 2.") for warning in warnings)


def test_a_timeline_is_as_long_as_the_clip_and_not_as_it_states(
    video: bytes, tmp_path: Path
) -> None:
    import cryvision

    path = tmp_path / "stated.mkv"
    path.write_bytes(with_mkv_duration(video, 1e12))
    result = cryvision.classify(path)
    assert result.duration_s == pytest.approx(SECONDS, abs=0.2)
    assert len(result.timeline["time_s"]) == round(result.duration_s * 30)
    assert any("ends early" in warning for warning in result.warnings)


def test_pictures_that_go_on_without_sound_count_undecoded(make_media: MakeMedia) -> None:
    source = ("-f", "lavfi", "-i", "testsrc=s=64x48:r=30:d=6")
    tone = ("-f", "lavfi", "-i", "sine=440:r=16000:d=2")
    path = make_media("longer.mp4", *source, *tone, "-c:v", "mpeg4", "-c:a", "aac")
    _, _, info, warnings = read(path, frames=False)
    assert info.duration_s == pytest.approx(6, abs=0.1)
    assert not warnings


# What would cost all memory


@pytest.mark.parametrize("rate_hz", [1, 100])
def test_sound_at_an_absurd_rate_is_one_line(tmp_path: Path, rate_hz: int) -> None:
    path = tmp_path / "slow.wav"
    path.write_bytes(wav(600, rate_hz=rate_hz))
    with pytest.raises(MediaError, match=f"1000 to 4000000 samples a second; .* {rate_hz}$"):
        read(path)


@pytest.mark.skipif(sys.platform != "linux", reason="memory of children is in kB on Linux alone")
def test_a_long_gap_costs_no_gigabytes(make_media: MakeMedia) -> None:
    hour = "asetpts='PTS+gt(T,0.5)*3590/TB'"
    source = ("-f", "lavfi", "-i", "aevalsrc=0.1*sin(2000*t)|0.1*sin(3000*t):s=16000:d=2")
    path = make_media("hour.mka", *source, "-af", hour, "-c:a", "pcm_s16le")
    sound_s, _, _, warnings = read(path)
    assert 0.3 < sound_s < 0.8
    assert warnings[0].startswith("ends early")
    # The largest child of a process counts, so a process of its own asks.
    code = (
        "import resource, sys; from cryvision.inputs.media import read_sound; "
        "read_sound(sys.argv[1]); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 600_000


# An ffmpeg that does not come to its end


@pytest.fixture
def crashing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that lets ffmpeg end in some way after two thirds of a clip's sound."""
    real = media.find_ffmpeg()

    def crash(end: str) -> None:
        path = tmp_path / "ffmpeg-crash"
        path.write_text(
            "#!/bin/sh\n"
            f'case "$*" in *f32le*) "{real}" "$@" | head -c 80000; {end};; esac\n'
            f'exec "{real}" "$@"\n'
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("CRYVISION_FFMPEG", str(path))

    return crash


@posix
@pytest.mark.parametrize(
    ("end", "message"),
    [
        ("kill -KILL $$", "SIGKILL"),
        ("kill -SEGV $$", "SIGSEGV"),
        ("exit 139", "SIGSEGV"),
        ("exit 137", "SIGKILL"),
        ("exit 255", "it was stopped"),
        ("exit 244", "no more memory"),
    ],
)
def test_an_ffmpeg_that_is_killed_or_crashes_is_an_error(
    make_media: MakeMedia, crashing: Callable[[str], None], end: str, message: str
) -> None:
    path = make_media("whole.wav", "-f", "lavfi", "-i", "sine=440:r=16000:d=2")
    crashing(end)
    with pytest.raises(MediaError, match=rf"after 1\.25 s of sound, .*{message}"):
        media.read_sound(path)


@posix
def test_an_ffmpeg_that_is_told_to_end_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_media: MakeMedia
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Recorded(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *args: object, **options: object) -> None:
            super().__init__(*args, **options)  # type: ignore[call-overload]
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    path = make_media("long.wav", "-f", "lavfi", "-i", "sine=440:r=16000:d=600")
    with media.open_clip(path) as clip:
        pieces = clip.pieces()
        next(pieces)
        started[-1].send_signal(signal.SIGTERM)
        with pytest.raises(MediaError, match="ffmpeg must read a clip to its end"):
            for _ in pieces:
                pass


@posix
def test_a_clip_whose_ffmpeg_crashes_is_a_failed_row(
    make_media: MakeMedia, crashing: Callable[[str], None], tmp_path: Path
) -> None:
    from cryvision.cli import main

    path = make_media("whole.wav", "-f", "lavfi", "-i", "sine=440:r=16000:d=2")
    table = tmp_path / "table.csv"
    crashing("exit 139")
    assert main(["score", str(path), "--out", str(table)]) in (1, 3)
    assert "MediaError" in table.read_text()
    assert "SIGSEGV" in table.read_text()
