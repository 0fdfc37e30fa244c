"""What a media file says it holds, read from what ffmpeg prints about it.

ffmpeg-python would ask ffprobe, which is not always there; this needs the ffmpeg binary alone.
"""

from __future__ import annotations

import dataclasses
import math
import os
import re
from dataclasses import dataclass
from typing import Any

from cryvision.errors import MediaError
from cryvision.inputs import ffmpeg

PIXEL_SHAPES = (0.25, 4.0)
"""Pixel width over height that is believed. Real video lies within 0.5 and 2.2; a damaged header
may say anything, and would ask for enormous pictures."""

LARGEST_WAV_BYTES = 0x7FFF0000
"""A WAV file that states this size or more was written to a pipe, where nobody knew its size."""

_STREAM = re.compile(
    r"  Stream #0:(?P<index>\d+)(?:\[0x[0-9a-f]+\])?(?:\([^)]*\))?: "
    r"(?P<kind>Audio|Video): (?P<codec>[\w.-]+)(?P<rest>.*)"
)
_TURNED = re.compile(r"display ?matrix: rotation of (-?[\d.]+) degrees", re.IGNORECASE)
_SOUND_BIT_RATE = re.compile(r"  Stream #0:\d+.*: Audio: .*, ([1-9]\d*) kb/s")
_NO_DECODER = ("none", "unknown")
_NOT_MOVING = ("(attached pic)", "(still image)", "(timed thumbnails)")
_LAYOUT_CHANNELS = {"mono": 1, "stereo": 2, "downmix": 2, "binaural": 2, "quad": 4}


@dataclass(frozen=True)
class MediaInfo:
    """What a media file says it holds; None where it does not say.

    Attributes
    ----------
    path : str
        The file, as it was given.
    container : str
        ffmpeg's name of the container; containers that are read alike share a name.
    duration_s : float or None
        Length of the longest stream in seconds; None also where it could only be guessed.
    has_sound, has_picture : bool
        Whether there is a stream to decode. A cover picture is not a picture stream.
    sound_codec, sound_rate_hz, sound_channels : str, int, int or None
        The sound stream, as stored.
    picture_codec : str or None
    width, height : int or None
        Pixels of a frame as displayed: upright, and made square.
    fps : float or None
        Mean pictures a second, as stored.
    sound_stream, picture_stream : int or None
        Which of the file's streams they are: the first ones that can be decoded.
    """

    path: str
    container: str
    duration_s: float | None = None
    has_sound: bool = False
    has_picture: bool = False
    sound_codec: str | None = None
    sound_rate_hz: int | None = None
    sound_channels: int | None = None
    picture_codec: str | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    sound_stream: int | None = None
    picture_stream: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain JSON data."""
        return dataclasses.asdict(self)


def probe(path: str | os.PathLike[str]) -> MediaInfo:
    """Find out what a media file holds, without decoding it.

    Parameters
    ----------
    path : str or path-like
        A local file.

    Returns
    -------
    MediaInfo

    Raises
    ------
    MediaError
        When it is not a plain, readable file of a known container with sound or pictures.
    MissingDependencyError
        When there is no ffmpeg.
    """
    ffmpeg.check_file(path)
    printed = ffmpeg.printed(path)
    lines = ffmpeg.without_name(printed, path).decode("utf-8", "replace").splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith("Input #0, ")), None)
    if start is None:
        raise MediaError(
            f"{ffmpeg.shown(path)}: a clip must be a sound or video file that ffmpeg can read; "
            f"ffmpeg: {ffmpeg.last_words(printed, path)}"
        )
    guessed = any("Estimating duration" in line for line in lines[:start])
    lines = lines[start:]
    container = lines[0].removeprefix("Input #0, ").split(", from '")[0]
    fields = _stream_fields(lines)
    if not fields:
        raise MediaError(
            f"{ffmpeg.shown(path)}: a clip must hold sound or moving pictures; this file "
            f"({container}) has no such stream that ffmpeg can decode"
        )
    if not guessed:
        duration_s = _duration_s(lines)
    else:
        duration_s = _cut_wav_duration_s(path, lines) if container == "wav" else None
    return MediaInfo(os.fspath(path), container, duration_s, **fields)


def _stream_fields(lines: list[str]) -> dict[str, Any]:
    """Read the fields of the first sound and the first picture stream from ffmpeg's print."""
    fields: dict[str, Any] = {}
    for i, line in enumerate(lines):
        found = _STREAM.fullmatch(line)
        if found is None or found["codec"] in _NO_DECODER:
            continue
        if found["kind"] == "Audio":
            if "has_sound" not in fields:
                fields.update(_sound_fields(found))
        elif "has_picture" not in fields and not any(word in line for word in _NOT_MOVING):
            ends = (j for j in range(i + 1, len(lines)) if _STREAM.fullmatch(lines[j]))
            fields.update(_picture_fields(found, lines[i + 1 : next(ends, len(lines))]))
    return fields


def _sound_fields(found: re.Match[str]) -> dict[str, Any]:
    rate = re.search(r", (\d+) Hz(?:, ([^,]+))?", found["rest"])
    layout = (rate[2] or "") if rate else ""
    channels = _LAYOUT_CHANNELS.get(layout)
    if count := re.match(r"(\d+) channels", layout):
        channels = int(count[1])
    elif re.match(r"\d+\.\d", layout):
        # 5.1(side) is five and one.
        channels = sum(int(digits) for digits in layout.split("(")[0].split("."))
    return {
        "has_sound": True,
        "sound_codec": found["codec"],
        "sound_rate_hz": int(rate[1]) if rate else None,
        "sound_channels": channels,
        "sound_stream": int(found["index"]),
    }


def _picture_fields(found: re.Match[str], below: list[str]) -> dict[str, Any]:
    size = re.search(r", (\d+)x(\d+)(?=[ ,\[]|$)", found["rest"])
    width = height = None
    if size:
        width, height = int(size[1]), int(size[2])
        # The container's pixel shape is printed after the codec's, and holds.
        shapes = re.findall(r"SAR (\d+):(\d+)", found["rest"])
        across, down = (int(n) for n in shapes[-1]) if shapes else (1, 1)
        turned = re.search(_TURNED, "\n".join(below))
        if turned and round(abs(float(turned[1])) / 90) % 2 == 1:
            width, height, across, down = height, width, down, across
        shape = across / down if across and down else 1.0
        shape = min(max(shape, PIXEL_SHAPES[0]), PIXEL_SHAPES[1])
        width = max(1, math.floor(width * shape + 0.5))
    rate = re.search(r", ([\d.]+)(k?) fps", found["rest"])
    return {
        "has_picture": True,
        "picture_codec": found["codec"],
        "width": width,
        "height": height,
        "fps": float(rate[1]) * (1000 if rate[2] else 1) if rate else None,
        "picture_stream": int(found["index"]),
    }


def _cut_wav_duration_s(path: str | os.PathLike[str], lines: list[str]) -> float | None:
    """Return the length that a WAV file's header states where the file ends before it.

    ffmpeg then gives the length of what is there.
    """
    with open(path, "rb") as file:
        stated = int.from_bytes(file.read(8)[4:], "little") + 8
        missing = stated - os.fstat(file.fileno()).st_size
    rate = next((found for line in lines if (found := _SOUND_BIT_RATE.match(line))), None)
    if missing <= 0 or stated >= LARGEST_WAV_BYTES or rate is None:
        return None
    return stated * 8 / (int(rate[1]) * 1000)


def _duration_s(lines: list[str]) -> float | None:
    for line in lines:
        if found := re.match(r"  Duration: (\d+):(\d\d):(\d\d\.\d+),", line):
            return 3600 * int(found[1]) + 60 * int(found[2]) + float(found[3])
    return None
