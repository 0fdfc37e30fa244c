"""Bad input is one line with the path, the rule and ffmpeg's own words; nothing hangs or stays."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from programs import running

MakeMedia = Callable[..., Path]

EARLY_END_SECONDS = 1.0
"""A clip that ends this much before the end it states must say so; codecs round by less."""

SECONDS = 2.0
"""Length of the clips that are cut."""

PICTURE = ("-f", "lavfi", "-i", f"testsrc=s=64x48:r=30:d={SECONDS:g}", "-c:v", "mpeg4")
TONE = ("-f", "lavfi", "-i", f"aevalsrc=0.5*sin(2*PI*440*t):s=16000:d={SECONDS:g}")

pytestmark = [
    pytest.mark.timeout(60),  # seconds: a clip that hangs is to be seen as such
    pytest.mark.usefixtures("own_ffmpeg"),
]


@pytest.fixture
def refusal(classify, own_ffmpeg: Path) -> Callable[..., str]:
    """Return ``refusal(path) -> str``: what is said of a bad clip after its path."""

    def classify_one(path: Path) -> str:
        done = classify("--json", path)
        assert (done.code, done.out) == (1, "")
        (line,) = done.err.splitlines()
        assert not running(own_ffmpeg)
        start = f"cryvision: {path}: "
        assert line.startswith(start)
        assert " @ 0x" not in line  # where ffmpeg has what speaks in memory
        return line[len(start) :]

    return classify_one


def test_no_media_at_all(refusal, tmp_path: Path) -> None:
    empty, text = tmp_path / "empty.mp4", tmp_path / "notes.mp4"
    empty.touch()
    text.write_text("He cried from two to three.\n" * 50)
    assert refusal(empty) == "a clip must hold media; this file is empty"
    (tmp_path / "clips").mkdir()
    assert refusal(tmp_path / "clips") == "no sound or video file is in the folder"
    assert refusal(tmp_path / "none.wav") == "there is no such file"
    message = refusal(text)
    assert message.startswith("a clip must be a sound or video file that ffmpeg can read; ffmpeg: ")
    assert "Invalid data found when processing input" in message


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="this user may read every file"
)
def test_no_permission(refusal, tone_wav: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(tone_wav, tmp_path / "locked.wav"))
    path.chmod(0)
    assert "ermission" in refusal(path)


def test_no_stream(refusal, make_media: MakeMedia, tmp_path: Path) -> None:
    captions = tmp_path / "a.srt"
    captions.write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n")
    path = make_media("only-captions.mkv", "-i", str(captions))
    assert refusal(path).startswith("a clip must hold sound or moving pictures; this file")


def test_sound_of_no_length(refusal, tone_wav: Path, tmp_path: Path) -> None:
    wav = tone_wav.read_bytes()
    path = tmp_path / "zero.wav"
    path.write_bytes(wav[: wav.index(b"data") + 4] + bytes(4))
    assert refusal(path).startswith("a clip must hold sound that ffmpeg can decode; ffmpeg: ")


@pytest.mark.parametrize("n_samples", [1, 160])
def test_a_very_short_clip_is_classified_and_flagged(
    classify, make_media: MakeMedia, n_samples: int
) -> None:
    path = make_media(f"{n_samples}-samples.wav", *TONE, "-af", f"atrim=end_sample={n_samples}")
    done = classify("--json", path)
    assert (done.code, done.err) == (0, "")
    (found,) = done.objects
    assert found["duration_s"] == pytest.approx(n_samples / 16_000, abs=1e-3)
    assert any("shorter than one window" in warning for warning in found["warnings"])


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("end.mp4", (*PICTURE, *TONE, "-c:a", "aac")),
        ("front.mp4", (*PICTURE, *TONE, "-c:a", "aac", "-movflags", "+faststart")),
        ("cut.wav", TONE),
    ],
)
def test_a_clip_cut_at_any_byte_is_read_so_far_or_refused(
    classify,
    refusal,
    own_ffmpeg: Path,
    make_media: MakeMedia,
    tmp_path: Path,
    name: str,
    arguments: tuple[str, ...],
) -> None:
    whole = make_media(name, *arguments).read_bytes()
    path = tmp_path / name
    n_refused = 0
    for cut in sorted({1, 8, 43, 79, len(whole) - 1, *range(97, len(whole), len(whole) // 16)}):
        path.write_bytes(whole[:cut])
        done = classify("--json", path)
        if done.code:
            assert "a clip must " in refusal(path)
            n_refused += 1
            continue
        assert done.err == ""
        (found,) = done.objects
        has_sound = "sound" in found["modalities"]
        if has_sound and name == "cut.wav" and found["duration_s"] < SECONDS - EARLY_END_SECONDS:
            assert any(warning.startswith("ends early") for warning in found["warnings"])
        if not has_sound:
            message = " ".join(found["warnings"])
            assert "no sound" in message or "nothing was scored" in message
    assert n_refused
    assert not running(own_ffmpeg)
