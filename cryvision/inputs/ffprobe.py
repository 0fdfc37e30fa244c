"""The contents of a file by ffprobe, where there is one beside ffmpeg: data, not prose."""

from __future__ import annotations

import json
import math
import os
import subprocess
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from cryvision.errors import MissingDependencyError
from cryvision.inputs import ffmpeg
from cryvision.inputs.streams import (
    NO_DECODER,
    Contents,
    PictureTrack,
    SoundTrack,
    length_s,
    shown_size,
)

_ASKED = (
    "format=format_name,start_time,duration:stream=index,codec_type,codec_name,sample_rate,channels,"
    "channel_layout,width,height,sample_aspect_ratio,avg_frame_rate:"
    "stream_disposition=default,attached_pic,still_image,timed_thumbnails:"
    "stream_side_data=rotation"
)
"""None of the texts of the file."""

_LONGEST_LINE = 65_536
_GUESSED = b"Estimating duration"
_NOT_MOVING = ("attached_pic", "still_image", "timed_thumbnails")


def find_ffprobe(binary: str) -> str | None:
    """Return the ffprobe in the folder of an ffmpeg; None where there is none."""
    folder, name = os.path.split(binary)
    root, suffix = os.path.splitext(name)
    if root.lower() != "ffmpeg":
        return None
    path = os.path.join(folder, f"ffprobe{suffix}")
    return path if os.access(path, os.X_OK) and os.path.isfile(path) else None


def probe(binary: str, path: str | os.PathLike[str]) -> Contents | None:
    """Ask an ffprobe what a file holds; None where it gives no answer that can be read.

    ffmpeg may, or gives the reason.
    """
    command = [
        *(binary, "-loglevel", "warning", *ffmpeg.limits(), "-print_format", "json"),
        *("-show_entries", _ASKED, ffmpeg.file_url(path)),
    ]
    try:
        with ffmpeg.Process(command, stall_seconds=ffmpeg.PROBE_TIMEOUT_SECONDS) as process:
            answer = b"".join(iter(lambda: process.read_line(_LONGEST_LINE), b""))
            if process.wait(ffmpeg.PROBE_TIMEOUT_SECONDS) != 0:
                return None
            guessed = _GUESSED in process.log()
        return _contents(json.loads(answer), guessed)
    except (subprocess.TimeoutExpired, MissingDependencyError, ValueError, KeyError, TypeError):
        return None


def _contents(answer: Mapping[str, Any], guessed: bool) -> Contents:
    stated = answer["format"].get("duration")
    duration_s = None if stated is None or guessed else float(stated)
    if duration_s is not None and not math.isfinite(duration_s):
        duration_s = None
    sound, pictures = [], []
    for stream in answer["streams"]:
        codec = stream.get("codec_name", "")
        if codec in NO_DECODER:
            continue
        disposition = stream.get("disposition", {})
        if stream.get("codec_type") == "audio":
            sound.append(_sound_track(stream, codec, bool(disposition.get("default"))))
        elif stream.get("codec_type") == "video" and not any(map(disposition.get, _NOT_MOVING)):
            pictures.append(_picture_track(stream, codec))
    container, start_s = answer["format"]["format_name"], answer["format"].get("start_time", 0.0)
    duration_s = length_s(container, duration_s, float(start_s))
    return Contents(container, duration_s, tuple(sound), tuple(pictures))


def _sound_track(stream: Mapping[str, Any], codec: str, default: bool) -> SoundTrack:
    return SoundTrack(
        int(stream["index"]),
        codec,
        rate_hz=int(stream.get("sample_rate", 0)) or None,
        channels=int(stream.get("channels", 0)) or None,
        layout=stream.get("channel_layout"),
        default=default,
    )


def _picture_track(stream: Mapping[str, Any], codec: str) -> PictureTrack:
    width, height = int(stream.get("width", 0)), int(stream.get("height", 0))
    index, fps = int(stream["index"]), _ratio(stream.get("avg_frame_rate", "0/0"), "/")
    if not (width and height):
        return PictureTrack(index, codec, fps=fps)
    shape = _ratio(stream.get("sample_aspect_ratio", "0:1"), ":") or 1.0
    across, down = Fraction(shape).limit_denominator(100_000).as_integer_ratio()
    turns = [entry["rotation"] for entry in stream.get("side_data_list", ()) if "rotation" in entry]
    turned = float(turns[0]) if turns else 0.0
    return PictureTrack(index, codec, *shown_size(width, height, across, down, turned), fps=fps)


def _ratio(text: str, between: str) -> float | None:
    """Read ``30000/1001``; None where a part of it is zero."""
    above, below = (int(part) for part in text.split(between))
    return above / below if above and below else None
