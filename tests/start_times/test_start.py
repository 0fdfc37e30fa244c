"""The start of a recording is in names, chunks and headers, and is right where clocks change."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from cryvision.errors import ConfigError
from cryvision.start_times import recording_start

ZONE = "Europe/Berlin"
START_SECONDS = 20.0  # a new process takes a second or two; the machine may be busy
LOCAL, IN_UTC = "2021-03-05T14:22:33+01:00", "2021-03-05T15:22:33+01:00"
"""14:22:33 by the clock of the place, and by UTC, as Berlin's clock shows both."""

NAMES = [
    # AudioMoth, old and new, with its number and with a trigger: UTC.
    ("20210305_142233.WAV", IN_UTC),
    ("24F319055FDF2902_20210305_142233.WAV", IN_UTC),
    ("20210305_142233T.WAV", IN_UTC),
    ("20210305_142233_123.WAV", "2021-03-05T15:22:33.123000+01:00"),
    ("60423EA9.WAV", IN_UTC),
    # LENA.
    ("e20210305_142233_009107.wav", LOCAL),
    ("20210305_142233_009107.wav", LOCAL),
    # Song Meter and other recorders of wildlife.
    ("SMM00123_20210305_142233.wav", LOCAL),
    ("S4A01234_20210305_142233.wav", LOCAL),
    ("2MM01234_20210305_142233_000.wav", "2021-03-05T14:22:33+01:00"),
    ("SM304472_0+1_20210305_142233.wav", LOCAL),
    ("SWIFT01_20210305_142233.wav", LOCAL),
    ("site7_20210305T142233+0100_rec.flac", LOCAL),
    ("20210305T132233Z.flac", LOCAL),
    ("5146.210305142233.wav", LOCAL),
    # Phones.
    ("PXL_20210305_142233123.mp4", "2021-03-05T15:22:33.123000+01:00"),
    ("PXL_20210305_142233123.TS.mp4", "2021-03-05T15:22:33.123000+01:00"),
    ("VID_20210305_142233.mp4", LOCAL),
    ("20210305_142233.mp4", LOCAL),
    ("VID20210305142233.mp4", LOCAL),
    ("Voice 210305_142233.m4a", LOCAL),
    ("REC_20210305_142233.m4a", LOCAL),
    ("2021_03_05_14_22_33.mp3", LOCAL),
    ("20210305 142233.m4a", LOCAL),
    ("WhatsApp Video 2021-03-05 at 14.22.33.mp4", LOCAL),
    ("WhatsApp Video 2021-03-05 at 2.22.33 PM.mp4", LOCAL),
    ("WhatsApp Video 2021-03-05 at 02.22.33 PM (1).mp4", LOCAL),
    ("WhatsApp Video 2021-03-05 at 12.22.33 AM.mp4", "2021-03-05T00:22:33+01:00"),
    ("WhatsApp Video 2021-03-05 at 12.22.33 PM.mp4", "2021-03-05T12:22:33+01:00"),
    ("Screen Recording 2021-03-05 at 2.22.33\u202fPM.mov", LOCAL),
    ("Screen_Recording_20210305-142233.mp4", LOCAL),
    ("Screenrecorder-2021-03-05-14-22-33-123.mp4", LOCAL),
    # Cameras.
    ("DJI_20210305142233_0001_D.MP4", LOCAL),
    ("20210305142233.MTS", LOCAL),
    ("MDalarm_20210305_142233.mkv", LOCAL),
    ("20210305_142233-1430.wav", LOCAL),
    ("20210305_142233-1500.wav", LOCAL),
    ("20210305T082233-0500.wav", LOCAL),
    ("RecM01_20210305_142233_142303.mp4", LOCAL),
    ("Nursery-00-20210305142233.mp4", LOCAL),
    ("1614954153123.mp4", "2021-03-05T15:22:33.123000+01:00"),
    ("1614954153.123456-k3j2.mp4", IN_UTC),
    # Programs.
    ("GMT20210305-142233_Recording.mp4", IN_UTC),
    ("Visit-20210305_142233-Meeting Recording.mp4", LOCAL),
    ("2021-03-05 14-22-33.mkv", LOCAL),
    ("vlc-record-2021-03-05-14h22m33s-cam.mp4", LOCAL),
    ("2021-03-05T14:22:33.wav", LOCAL),
    ("2021-03-05T14.22.33.wav", LOCAL),
    ("210305-142233.WAV", LOCAL),
    ("2021-03-05/14-22-33.flac", LOCAL),
    (
        "02c3b725-26e4-4a2c-9336-04ddc58836d9-1614954153123-1.7-m-04-hu.caf",
        "2021-03-05T15:22:33.123000+01:00",
    ),
    ("02c3b725-26e4-4a2c-9336-04ddc58836d9-1614954153-1.0-m-04-hu.caf", IN_UTC),
    ("s3://bucket/p1/SMM00123_20210305_142233.wav", LOCAL),
    ("C:\\data\\p1\\VID_20210305_142233.mp4", LOCAL),
]

NO_TIMES = [
    *("IMG_1234.MOV", "GX010123.MP4", "VID-20210305-WA0001.mp4", "20210305.wav", "ZOOM0001.WAV"),
    *("20211305_142233.mp4", "20210305_252233.mp4", "clip-123456789012345.wav", "night 2.mp4"),
    *("14-22-33.flac", "baby_2021_03.wav", "DEADBEEF.mp3"),
    *("1234567890.wav", "1234567890.3gp", "IMG_1234567890.MOV"),
]


@pytest.mark.parametrize(("name", "start"), NAMES)
def test_a_name_holds_the_start(name: str, start: str) -> None:
    found = recording_start(name, zone=ZONE)
    assert found is not None
    assert found.time.isoformat() == start
    assert found.source.startswith("name: ")


@pytest.mark.parametrize("name", NO_TIMES)
def test_a_count_or_a_date_is_no_start(name: str) -> None:
    assert recording_start(name, zone=ZONE) is None


def riff(path: Path, *chunks: tuple[bytes, bytes], behind: bool = False) -> Path:
    """A WAV file with some chunks before or behind its sound."""
    sound = [(b"fmt ", struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16)), (b"data", b"\0\0" * 80)]
    order = [*sound, *chunks] if behind else [*chunks, *sound]
    body = b"WAVE"
    for name, content in order:
        body += name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def comment(text: str) -> tuple[bytes, bytes]:
    raw = text.encode() + b"\0"
    return b"LIST", b"INFOICMT" + struct.pack("<I", len(raw)) + raw


def bext(date: str, clock: str) -> tuple[bytes, bytes]:
    return b"bext", b"\0" * 320 + date.encode() + clock.encode() + b"\0" * 264


def guano(stamp: str) -> tuple[bytes, bytes]:
    return b"guan", f"GUANO|Version: 1.0\nMake: X\nTimestamp: {stamp}\n".encode()


def wamd(stamp: str) -> tuple[bytes, bytes]:
    return b"wamd", struct.pack("<HIHHI", 0, 2, 1, 5, len(stamp)) + stamp.encode()


CHUNKS = [
    (guano("2021-03-05T14:22:33+01:00"), LOCAL),
    (guano("2021-03-05T14:22:33.5"), "2021-03-05T14:22:33.500000+01:00"),
    (guano("2021-03-05 14:22:33"), LOCAL),
    (guano("2021-03-05T13:22:33Z"), LOCAL),
    (bext("2021-03-05", "14:22:33"), LOCAL),
    (bext("2021:03:05", "14-22-33"), LOCAL),
    (wamd("2021-03-05 14:22:33+01:00"), LOCAL),
    (comment("Recorded at 14:22:33 05/03/2021 (UTC) by AudioMoth 24F319055FDF2902"), IN_UTC),
    (comment("Recorded at 14:22:33 05/03/2021 (UTC+1) by AudioMoth"), LOCAL),
    (comment("Recorded at 14:22:33.250 05/03/2021 (UTC+1)"), "2021-03-05T14:22:33.250000+01:00"),
    (comment("Recorded at 18:52:33 05/03/2021 (UTC+5:30)"), LOCAL),
]


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize(("chunk", "start"), CHUNKS)
def test_a_chunk_holds_the_start_and_goes_before_the_name(
    tmp_path: Path, chunk: tuple[bytes, bytes], start: str, behind: bool
) -> None:
    path = riff(tmp_path / "SMM1_19990101_000000.wav", chunk, behind=behind)
    found = recording_start(path, zone=ZONE)
    assert found is not None
    assert found.time.isoformat() == start
    assert not found.source.startswith("name")


def test_a_chunk_without_a_time_leaves_it_to_the_name(tmp_path: Path) -> None:
    odd = [bext("\0" * 10, "\0" * 8), comment("a lullaby"), (b"guan", b"\xff\xfe"), (b"wamd", b"1")]
    path = riff(tmp_path / "SMM1_20210305_142233.wav", *odd)
    found = recording_start(path, zone=ZONE)
    assert found is not None
    assert found.time.isoformat() == LOCAL
    (tmp_path / "b.wav").write_bytes(path.read_bytes()[:50])
    assert recording_start(tmp_path / "b.wav", zone=ZONE) is None


def box(name: bytes, *contents: bytes) -> bytes:
    body = b"".join(contents)
    return struct.pack(">I", 8 + len(body)) + name + body


def movie(
    path: Path, *, seconds: int, version: int = 0, meta: bytes = b"", length_s: float = 0.0
) -> Path:
    form = ">IQQIQ" if version else ">IIIII"
    header = struct.pack(form, version << 24, seconds, seconds, 1000, round(1000 * length_s))
    header += b"\0" * 80
    parts = [box(b"mvhd", header), *([box(b"meta", meta)] if meta else [])]
    path.write_bytes(
        box(b"ftyp", b"isom\0\0\2\0") + box(b"mdat", b"\0" * 99) + box(b"moov", *parts)
    )
    return path


UNIX_1904 = 2_082_844_800
EPOCH_S = 1_614_954_153
ANDROID = b"keys com.android.version ilst 13"
APPLE = b"keys com.apple.quicktime.creationdate ilst 2021-03-05T14:22:33+0100"


@pytest.mark.parametrize("version", [0, 1])
def test_the_header_of_an_mp4_is_utc(tmp_path: Path, version: int) -> None:
    path = movie(tmp_path / "IMG_1.MOV", seconds=EPOCH_S + UNIX_1904, version=version)
    found = recording_start(path, zone=ZONE)
    assert found is not None
    assert (found.time.isoformat(), found.source) == (IN_UTC, "MP4 creation time")


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize(("meta", "ahead_s"), [(ANDROID, 90.5), (b"", 0.0)])
def test_android_writes_the_time_at_which_a_recording_ends(
    tmp_path: Path, version: int, meta: bytes, ahead_s: float
) -> None:
    end = EPOCH_S + UNIX_1904
    path = movie(tmp_path / "a.mp4", seconds=end, version=version, meta=meta, length_s=90.5)
    found = recording_start(path, zone=ZONE)
    assert found is not None
    assert found.time.timestamp() == EPOCH_S - ahead_s
    assert found.source == "MP4 creation time"


def test_android_without_a_known_length_says_no_start(tmp_path: Path) -> None:
    unknown_s = (2**32 - 1) / 1000
    end = EPOCH_S + UNIX_1904
    path = movie(tmp_path / "a.mp4", seconds=end, meta=ANDROID, length_s=unknown_s)
    assert recording_start(path, zone=ZONE) is None


def test_apples_own_date_keeps_the_zone_of_the_place(tmp_path: Path) -> None:
    path = movie(tmp_path / "IMG_1.MOV", seconds=EPOCH_S + UNIX_1904, meta=APPLE)
    found = recording_start(path, zone="America/New_York")
    assert found is not None
    assert found.time.isoformat() == "2021-03-05T08:22:33-05:00"
    found = recording_start(path)
    assert found is not None
    assert found.time.isoformat() == LOCAL


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no such files")
@pytest.mark.parametrize("name", ["a.wav", "a.mp4"])
def test_a_pipe_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    code = "import sys; from cryvision.start_times import recording_start as find; "
    code += "assert find(sys.argv[1]) is None"
    subprocess.run([sys.executable, "-c", code, tmp_path / name], check=True, timeout=START_SECONDS)


@pytest.mark.parametrize("seconds", [0, UNIX_1904])
def test_a_camera_without_a_clock_has_no_start(tmp_path: Path, seconds: int) -> None:
    assert recording_start(movie(tmp_path / "IMG_1.MP4", seconds=seconds), zone=ZONE) is None


@pytest.mark.parametrize("cut", range(0, 300, 7))
def test_a_damaged_mp4_is_no_crash(tmp_path: Path, cut: int) -> None:
    path = movie(tmp_path / "IMG_1.MP4", seconds=UNIX_1904 + EPOCH_S, meta=APPLE)
    whole = recording_start(path, zone=ZONE)
    path.write_bytes(path.read_bytes()[:cut])
    assert recording_start(path, zone=ZONE) in (None, whole)


CHANGES = [
    # name, zone, seconds on, time by the clock, remark
    ("VID_20210328_013000.mp4", "Europe/Berlin", 3600, "2021-03-28T03:30:00+02:00", ""),
    ("VID_20211031_013000.mp4", "Europe/Berlin", 5400, "2021-10-31T02:00:00+01:00", ""),
    ("VID_20210314_013000.mp4", "America/New_York", 3600, "2021-03-14T03:30:00-04:00", ""),
    ("VID_20211107_003000.mp4", "America/New_York", 7200, "2021-11-07T01:30:00-05:00", ""),
    ("VID_20210403_233000.mp4", "Australia/Lord_Howe", 9000, "2021-04-04T01:30:00+10:30", ""),
    ("VID_20210328_023000.mp4", "Europe/Berlin", 0, "2021-03-28T03:30:00+02:00", "never showed"),
    ("VID_20211031_023000.mp4", "Europe/Berlin", 0, "2021-10-31T02:30:00+02:00", "twice"),
    ("20210328_003000.WAV", "Europe/Berlin", 3600, "2021-03-28T03:30:00+02:00", ""),
]


@pytest.mark.parametrize(("name", "zone", "seconds", "wanted", "remark"), CHANGES)
def test_times_are_right_where_the_clock_is_changed(
    name: str, zone: str, seconds: float, wanted: str, remark: str
) -> None:
    found = recording_start(name, zone=zone)
    assert found is not None
    assert found.after(seconds).isoformat() == wanted
    assert remark in found.remark
    assert bool(found.remark) == bool(remark)


@pytest.mark.parametrize(
    ("stated", "start"),
    [
        ("2021-03-05T14:22:33", LOCAL),
        ("2021-03-05 14:22", "2021-03-05T14:22:00+01:00"),
        ("2021-03-05T13:22:33Z", LOCAL),
        ("2021-03-05T08:22:33-0500", LOCAL),
    ],
)
def test_what_is_stated_goes_before_all(stated: str, start: str) -> None:
    found = recording_start("VID_19990101_000000.mp4", stated=stated, zone=ZONE)
    assert found is not None
    assert (found.time.isoformat(), found.source) == (start, "stated")


def test_without_a_zone_the_one_of_this_machine_is_taken() -> None:
    found = recording_start("VID_20210305_142233.mp4")
    assert found is not None
    assert found.time == datetime(2021, 3, 5, 14, 22, 33).astimezone()
    stated = recording_start("a.wav", stated="2021-03-05T14:22:33+05:30")
    assert stated is not None
    assert stated.time.utcoffset() == timedelta(hours=5.5)
    assert stated.time == datetime(2021, 3, 5, 8, 52, 33, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    "chunk",
    [bext("0001-01-01", "00:00:00"), guano("9999-12-31T23:59:59"), guano("2100-01-01T00:00")],
)
def test_a_clock_that_was_never_set_is_no_start(tmp_path: Path, chunk: tuple[bytes, bytes]) -> None:
    assert recording_start(riff(tmp_path / "a.wav", chunk), zone=ZONE) is None


def test_a_header_of_the_far_future_is_no_start(tmp_path: Path) -> None:
    path = movie(tmp_path / "a.mp4", seconds=8095 * 365 * 86400, version=1)
    assert recording_start(path, zone=ZONE) is None


@pytest.mark.parametrize(
    "stated",
    [
        *("yesterday", "2021-13-05T00:00", "14:22", "0001-01-01T00:00:00", "9999-12-31T23:59"),
        *("05.03.2021 14:22", "2021-03-05", " "),
    ],
)
def test_what_is_no_time_is_refused_with_the_form_that_is_read(stated: str) -> None:
    with pytest.raises(ConfigError, match="YYYY-MM-DDTHH:MM:SS") as refusal:
        recording_start("a.wav", stated=stated)
    assert "ISO 8601" in str(refusal.value)
    assert "from 1990 to 2099" in str(refusal.value)


def test_an_unknown_zone_is_refused() -> None:
    for zone in ("Mars/Olympus", "../../etc/passwd"):
        with pytest.raises(ConfigError, match="IANA"):
            recording_start("a.wav", zone=zone)
