"""Sound stands at its own time, whatever gaps, starts and other streams a file has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cryvision.config import SAMPLE_RATE_HZ
from cryvision.inputs import decoding, ffmpeg, media

MakeMedia = Callable[..., Path]

PRIMING_SECONDS = 0.05
"""MPEG-TS and MPEG-PS cannot say that the priming of a codec is to be dropped."""

GAP_SECONDS = 12.0
CLICK_AT_SECONDS = 2.0
CLICK = "aevalsrc='0.8*sin(2*PI*1000*t)*between(t,2,2.1)':s=48000:d=3"
PICTURES = ("-f", "lavfi", "-i", "testsrc=s=64x48:r=30:d=16")
BEHIND_THE_GAP = f"asetpts='PTS+gte(T,1)*{GAP_SECONDS}/TB'"


def lavfi(source: str) -> tuple[str, ...]:
    return "-f", "lavfi", "-i", source


def click_s(samples: np.ndarray) -> float:
    return int(np.argmax(np.abs(samples) > 0.3)) / SAMPLE_RATE_HZ


@pytest.mark.parametrize(
    ("name", "encoder", "pictures"),
    [
        ("gap.ts", "aac", "mpeg2video"),
        ("gap.mpg", "mp2", "mpeg2video"),
        ("gap.mkv", "aac", "mpeg4"),
        ("gap.mp4", "aac", "mpeg4"),
        ("alone.ts", "aac", ""),
        ("alone.ogg", "libvorbis", ""),
        ("alone.mka", "aac", ""),
    ],
)
def test_sound_behind_a_long_gap_is_at_its_time(
    make_media: MakeMedia, name: str, encoder: str, pictures: str
) -> None:
    video = (*PICTURES, "-c:v", pictures) if pictures else ()
    inputs = (*video[:4], *lavfi(CLICK), *video[4:])
    path = make_media(name, *inputs, "-af", BEHIND_THE_GAP, "-c:a", encoder)
    with media.open_clip(path) as clip:
        found = [piece.samples for piece in clip.pieces() if piece.samples is not None]
        assert not clip.warnings
    assert click_s(np.concatenate(found)) == pytest.approx(
        CLICK_AT_SECONDS + GAP_SECONDS, abs=PRIMING_SECONDS
    )


def test_sound_that_is_lost_behind_a_gap_in_a_video_is_warned_of(
    make_media: MakeMedia, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media, "LONGEST_GAP_SECONDS", 5.0)
    monkeypatch.setattr(decoding, "_BELIEVED", decoding._BELIEVED.replace("600.0", "5.0"))
    inputs = (*PICTURES, *lavfi(CLICK), "-c:v", "mpeg4")
    path = make_media("lost.mkv", *inputs, "-af", BEHIND_THE_GAP, "-c:a", "pcm_s16le")
    with media.open_clip(path, frames=False) as clip:
        list(clip.pieces())
        assert len(clip.warnings) == 1
        assert "behind a gap of more than 5 s is lost" in clip.warnings[0]


@pytest.mark.parametrize(
    ("name", "encoder"), [("a.ts", "aac"), ("a.ogg", "vorbis"), ("a.mka", "aac")]
)
def test_the_clock_is_the_same_whichever_track_is_read(
    make_media: MakeMedia, name: str, encoder: str
) -> None:
    encoder = "libvorbis" if encoder == "vorbis" else encoder
    early, late = lavfi(CLICK), ("-itsoffset", "1.5", *lavfi(CLICK))
    path = make_media(name, *early, *late, "-map", "0", "-map", "1", "-c:a", encoder)
    for track, at_s in ((1, CLICK_AT_SECONDS), (2, CLICK_AT_SECONDS + 1.5)):
        with media.open_clip(path, audio_track=track) as clip:
            found = [piece.samples for piece in clip.pieces() if piece.samples is not None]
        assert click_s(np.concatenate(found)) == pytest.approx(at_s, abs=PRIMING_SECONDS)


@pytest.mark.parametrize("frames", [True, False])
def test_a_matroska_file_that_starts_late_does_not_end_early(
    make_media: MakeMedia, frames: bool
) -> None:
    inputs = (*PICTURES, *lavfi(CLICK), "-t", "3", "-c:v", "mpeg4", "-c:a", "pcm_s16le")
    path = make_media("late.mkv", *inputs, "-output_ts_offset", "4000")
    with media.open_clip(path, frames=frames) as clip:
        assert clip.info.duration_s == pytest.approx(3.0, abs=0.1)
        found = [piece.samples for piece in clip.pieces() if piece.samples is not None]
        assert not clip.warnings
    assert click_s(np.concatenate(found)) == pytest.approx(CLICK_AT_SECONDS, abs=0.01)


def test_pictures_stored_in_another_order_than_shown_are_no_damage(make_media: MakeMedia) -> None:
    inputs = (*PICTURES, *lavfi(CLICK), "-t", "3", "-c:v", "mpeg2video", "-bf", "2")
    path = make_media("order.mpg", *inputs, "-c:a", "mp2")
    with media.open_clip(path) as clip:
        list(clip.pieces())
        assert not clip.warnings


def test_the_longest_gap_is_the_same_for_all_containers(tone_wav: Path) -> None:
    output = ffmpeg.clip_input().output("pipe:1", format="f32le")
    words = ffmpeg.command_line(tone_wav, output)
    assert float(words[words.index("-dts_delta_threshold") + 1]) == media.LONGEST_GAP_SECONDS
