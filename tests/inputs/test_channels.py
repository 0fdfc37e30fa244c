"""No channel and no track of sound is lost unheard."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cryvision.config import SAMPLE_RATE_HZ
from cryvision.errors import ConfigError
from cryvision.inputs import media
from cryvision.inputs.mixing import BLOCK_SAMPLES

MakeMedia = Callable[..., Path]

LEVEL_TOLERANCE_DB = 1.5
"""A lossy codec at its default bit rate keeps a tone's level within this."""

TONE = "0.2*sin(2*PI*440*t)"
TONE_DB = 20 * np.log10(0.2 / np.sqrt(2))


def lavfi(
    *channels: str, layout: str = "", seconds: float = 2, rate: int = 16000
) -> tuple[str, ...]:
    named = f":c={layout}" if layout else ""
    return "-f", "lavfi", "-i", f"aevalsrc='{'|'.join(channels)}':s={rate}:d={seconds}{named}"


def read(path: Path, **options: object) -> tuple[np.ndarray, list[str]]:
    with media.open_clip(path, frames=False, **options) as clip:  # type: ignore[arg-type]
        pieces = [piece.samples for piece in clip.pieces() if piece.samples is not None]
    return np.concatenate(pieces), clip.warnings


def level_db(samples: np.ndarray) -> float:
    """Level of the middle of some sound, dB relative to full scale."""
    n = len(samples)
    middle = samples[n // 4 : 3 * n // 4]
    return float(10 * np.log10(np.mean(np.square(middle, dtype=np.float64)) + 1e-12))


def wav(path: Path, samples: np.ndarray, rate_hz: int = SAMPLE_RATE_HZ, kind: int = 1) -> Path:
    """Write a WAV file whose header has no places for its channels."""
    stored = samples.astype("<f4" if kind == 3 else "<i2")
    n_channels, width = samples.shape[1], stored.itemsize
    per_frame = n_channels * width
    form = struct.pack(
        "<HHIIHH", kind, n_channels, rate_hz, rate_hz * per_frame, per_frame, 8 * width
    )
    data = stored.tobytes()
    head = struct.pack("<4sI4s4sI", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16)
    path.write_bytes(head + form + struct.pack("<4sI", b"data", len(data)) + data)
    return path


# Channels


@pytest.mark.parametrize(
    ("name", "encoder", "share"),
    [
        ("opposite.wav", "pcm_s16le", 1.0),
        ("opposite.wav", "pcm_s16le", 0.7),
        ("opposite.flac", "flac", 0.7),
        ("opposite.mp3", "libmp3lame", 1.0),
        ("opposite.m4a", "aac", 1.0),
        ("opposite.m4a", "aac", 0.7),
        ("opposite.opus", "libopus", 1.0),
        ("opposite.ogg", "libvorbis", 0.7),
    ],
)
def test_channels_of_opposite_phase_do_not_cancel(
    make_media: MakeMedia, name: str, encoder: str, share: float
) -> None:
    source = lavfi(TONE, f"-{share}*{TONE}", layout="stereo", rate=48000)
    path = make_media(f"{share}-{name}", *source, "-c:a", encoder, "-ar", "48000")
    samples, warnings = read(path)
    assert level_db(samples) == pytest.approx(TONE_DB, abs=LEVEL_TOLERANCE_DB)
    assert any("far below the loudest" in warning for warning in warnings)


def test_opposite_phase_for_a_while_is_heard_throughout(make_media: MakeMedia) -> None:
    other = f"{TONE}*(1-2*between(t,1,2))"
    path = make_media("for-a-while.wav", *lavfi(TONE, other, layout="stereo", seconds=3))
    samples, warnings = read(path)
    levels = [level_db(samples[i : i + 1600]) for i in range(0, len(samples) - 1600, 1600)]
    assert min(levels) > TONE_DB - 3
    assert len(warnings) == 1


def test_usual_stereo_is_mixed_as_ever_and_nothing_is_said(make_media: MakeMedia) -> None:
    noises = [f"0.2*(random({i})-0.5)" for i in (1, 2)]
    path = make_media("usual.wav", *lavfi(f"{TONE}+{noises[0]}", f"{TONE}+{noises[1]}"))
    samples, warnings = read(path)
    assert level_db(samples) == pytest.approx(TONE_DB, abs=LEVEL_TOLERANCE_DB)
    assert not warnings


@pytest.mark.parametrize("pieces_s", [0.03, 0.777, 5.0])
def test_the_mix_does_not_depend_on_the_pieces(make_media: MakeMedia, pieces_s: float) -> None:
    other = f"{TONE}*(1-2*gt(mod(t,0.7),0.3))"
    path = make_media("changing.wav", *lavfi(TONE, other, layout="stereo", seconds=3))
    whole = media.read_sound(path)
    samples, _ = read(path, chunk_seconds=pieces_s)
    np.testing.assert_array_equal(samples, whole)
    assert len(whole) % BLOCK_SAMPLES == 0


@pytest.mark.parametrize("n_channels", [3, 6, 10])
def test_every_microphone_of_an_array_is_heard(tmp_path: Path, n_channels: int) -> None:
    tone = 0.2 * np.sin(2 * np.pi * 440 * np.arange(2 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ)
    for i in (0, 1, *range(2, n_channels - 1, 2), n_channels - 1):
        samples = np.zeros((len(tone), n_channels))
        samples[:, i] = 32767 * tone
        sound, _ = read(wav(tmp_path / f"only-{i}.wav", samples))
        assert level_db(sound) == pytest.approx(TONE_DB, abs=0.1), f"microphone {i}"


def test_a_near_microphone_is_not_lost_among_noisy_ones(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tone = 0.2 * np.sin(2 * np.pi * 440 * np.arange(2 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ)
    samples = 0.001 * rng.standard_normal((len(tone), 8))
    samples[:, 3] += tone
    sound, _ = read(wav(tmp_path / "near.wav", 32767 * samples))
    assert level_db(sound) == pytest.approx(TONE_DB, abs=1)


@pytest.mark.parametrize("where", ["FC", "FL and FR", "all"])
@pytest.mark.parametrize(("name", "encoder"), [("51.mkv", "ac3"), ("51.m4a", "aac")])
def test_surround_sound_is_not_too_low(
    make_media: MakeMedia, name: str, encoder: str, where: str
) -> None:
    front = TONE if where != "FC" else "0"
    centre = TONE if where != "FL and FR" else "0"
    rear = TONE if where == "all" else "0"
    source = lavfi(front, front, centre, "0", rear, rear, layout="5.1", rate=48000)
    path = make_media(f"{where[:2]}-{name}", *source, "-c:a", encoder, "-b:a", "448k")
    samples, _ = read(path)
    assert level_db(samples) == pytest.approx(TONE_DB, abs=2)


# Tracks


def tracks(*kinds: str) -> tuple[str, ...]:
    """Sources of sound tracks: ``tone``, ``silent``, or ``late``, which is heard from 1.5 s on."""
    sounds = {"tone": TONE, "silent": "0", "late": f"{TONE}*gt(t,1.5)"}
    sources = [word for kind in kinds for word in lavfi(sounds[kind])]
    return *sources, *(word for i in range(len(kinds)) for word in ("-map", f"{i}:a"))


def marked(number: int, n_tracks: int) -> tuple[str, ...]:
    """Mark one track as the default, or with 0 none."""
    args = [(f"-disposition:a:{i}", "default" if i + 1 == number else "0") for i in range(n_tracks)]
    return tuple(word for words in args for word in words)


@pytest.mark.parametrize(
    ("name", "default"),
    [*(("silent-first.mp4", default) for default in (0, 1, 2)), ("silent-first.mkv", 1)],
)
def test_a_silent_first_track_does_not_hide_the_second(
    make_media: MakeMedia, name: str, default: int
) -> None:
    arguments = marked(default, 2)
    path = make_media(f"{default}-{name}", *tracks("silent", "late"), "-c:a", "aac", *arguments)
    samples, warnings = read(path)
    assert level_db(samples[-8000:]) == pytest.approx(TONE_DB, abs=LEVEL_TOLERANCE_DB)
    assert len(warnings) == 1
    assert warnings[0].startswith("sound track 2 of 2 was used; not used: track 1 (aac, 16000 Hz")


def test_the_track_that_the_file_marks_is_heard(make_media: MakeMedia) -> None:
    arguments = marked(2, 3)
    quiet = lavfi(f"0.1*{TONE}")
    sources = (*lavfi(TONE), *quiet, *lavfi(TONE), "-map", "0", "-map", "1", "-map", "2")
    path = make_media("marked.mkv", *sources, "-c:a", "pcm_s16le", *arguments)
    samples, warnings = read(path)
    assert level_db(samples) == pytest.approx(TONE_DB - 20, abs=0.1)
    assert "sound track 2 of 3 was used; not used: track 1 (" in warnings[0]
    assert "track 3 (" in warnings[0]


def test_a_track_may_be_named(make_media: MakeMedia) -> None:
    path = make_media("named.mkv", *tracks("tone", "silent"), "-c:a", "pcm_s16le")
    assert level_db(read(path)[0]) == pytest.approx(TONE_DB, abs=0.1)
    samples, warnings = read(path, audio_track=2)
    assert not samples.any()
    assert "sound track 2 of 2 was used" in warnings[0]
    for number in (0, 3, -1):
        with pytest.raises(ConfigError, match="which has 2 tracks of sound"):
            media.open_clip(path, audio_track=number)


def test_where_all_tracks_are_silent_the_marked_one_is_read(make_media: MakeMedia) -> None:
    path = make_media("all-silent.mkv", *tracks("silent", "silent"), "-c:a", "pcm_s16le")
    samples, warnings = read(path)
    assert len(samples) == 2 * SAMPLE_RATE_HZ
    assert "not used: track 2 (pcm_s16le, 16000 Hz, mono, silent)" in warnings[0]


# Samples that are no sound


@pytest.mark.parametrize(
    ("rate_hz", "value"),
    [(16000, 1e30), (44100, -1e5), (16000, np.inf), (44100, np.inf), (44100, np.nan)],
)
def test_one_wild_sample_hides_nothing(tmp_path: Path, rate_hz: int, value: float) -> None:
    time_s = np.arange(2 * rate_hz) / rate_hz
    samples = (0.2 * np.sin(2 * np.pi * 440 * time_s)).astype("<f4")[:, None]
    tame = media.read_sound(wav(tmp_path / "tame.wav", samples, rate_hz, 3))
    samples[rate_hz + 7] = value
    sound, warnings = read(wav(tmp_path / "wild.wav", samples, rate_hz, 3))
    assert np.abs(sound).max() <= 1
    # Nothing but the sample and its neighbours is touched.
    assert np.count_nonzero(np.abs(sound - tame) > 1e-3) < 0.02 * SAMPLE_RATE_HZ
    (warning,) = warnings
    assert "zero" in warning


def test_sound_beyond_full_scale_is_kept_and_said(tmp_path: Path) -> None:
    time_s = np.arange(2 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    samples = (4 * np.sin(2 * np.pi * 440 * time_s)).astype("<f4")[:, None]
    sound, (warning,) = read(wav(tmp_path / "over.wav", samples, kind=3))
    assert level_db(sound) == pytest.approx(TONE_DB + 20 * np.log10(20), abs=0.1)
    assert warning.startswith("the sound goes beyond full scale, up to 4.0 times")
