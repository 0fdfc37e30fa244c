"""A clip as browsers can play it: itself, or a copy in formats that all of them know."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryvision.atomic import staged
from cryvision.errors import MediaError
from cryvision.inputs import ffmpeg
from cryvision.inputs.decoding import on_clock, with_other_streams
from cryvision.inputs.probing import probe
from cryvision.web.clips import PageClip

MAX_AT_ONCE = 2

_SOUND_KINDS = {
    "wav": ("audio/wav", ("pcm_s16le", "pcm_u8", "pcm_s24le", "pcm_f32le")),
    "mp3": ("audio/mpeg", ("mp3",)),
    "flac": ("audio/flac", ("flac",)),
    "ogg": ("audio/ogg", ("opus", "vorbis", "flac")),
    "aac": ("audio/aac", ("aac",)),
}
_MP4_CODECS = ("h264", "aac", "mp3")
_WEBM_CODECS = ("vp8", "vp9", "av1", "opus", "vorbis")
_VIDEO: dict[str, Any] = {
    **{"format": "mp4", "movflags": "+faststart", "vcodec": "libx264", "preset": "veryfast"},
    **{"crf": 23, "pix_fmt": "yuv420p", "vf": "scale=trunc(iw/2)*2:trunc(ih/2)*2"},
}
_SOUND_OF_VIDEO: dict[str, Any] = {"acodec": "aac", "ac": 2}
_SOUND: dict[str, Any] = {"format": "ogg", "acodec": "libopus", "audio_bitrate": "64k", "ac": 2}


def playable_kind(info: Mapping[str, Any]) -> str | None:
    """Return the media type of a file that all browsers play; None where a copy is needed.

    ``info`` is the ``media`` of a `Classification`. A browser plays the first track of sound.
    """
    if (info.get("sound_track") or 1) > 1:
        return None
    container = str(info.get("container", ""))
    sound, picture = info.get("sound_codec"), info.get("picture_codec")
    codecs = {codec for codec in (sound, picture) if codec}
    if "mp4" in container.split(","):
        kind = "video/mp4" if picture else "audio/mp4"
        return kind if codecs <= set(_MP4_CODECS) else None
    if container == "matroska,webm":
        kind = "video/webm" if picture else "audio/webm"
        return kind if codecs <= set(_WEBM_CODECS) else None
    if picture or container not in _SOUND_KINDS:
        return None
    kind, known = _SOUND_KINDS[container]
    return kind if sound in known else None


class Playback:
    """Makes copies to play, a few at once."""

    def __init__(self) -> None:
        self._slots = threading.Semaphore(MAX_AT_ONCE)
        self._processes: set[ffmpeg.Process] = set()
        self._closed = False

    def playable(self, clip: PageClip) -> tuple[Path, str]:
        """Return a file to play and its media type; makes it where that is needed."""
        info = clip.result().media
        kind = playable_kind(info)
        if kind is not None:
            return clip.path, kind
        name, kind = "play.ogg", "audio/ogg"
        if info.get("has_picture"):
            name, kind = "play.mp4", "video/mp4"
        target = clip.results / name
        with clip.playback_lock:
            if not target.exists():
                with self._slots:
                    self._make(clip.path, info, target)
        return target, kind

    def close(self) -> None:
        self._closed = True
        for process in tuple(self._processes):
            process.kill()

    def _make(self, path: Path, info: Mapping[str, Any], target: Path) -> None:
        builder = ffmpeg.command_builder()
        clip = ffmpeg.clip_input()
        picture, sound = info.get("picture_stream"), info.get("sound_stream")
        streams = [] if picture is None else [clip[str(picture)]]
        if sound is not None:
            streams.append(on_clock(clip[str(sound)]))
        options = dict(_SOUND)
        if info.get("has_picture"):
            options = _VIDEO | (_SOUND_OF_VIDEO if info.get("has_sound") else {})
        with staged(target, overwrite=True) as place:
            url = ffmpeg.file_url(place)
            output = builder.output(*streams, url, map_metadata=-1, **options).overwrite_output()
            output = with_other_streams(output, clip, probe(path), picture, sound)
            with ffmpeg.Process(ffmpeg.command_line(path, output)) as process:
                self._processes.add(process)
                if self._closed:
                    process.kill()
                try:
                    if process.wait() or self._closed:
                        raise MediaError("the clip cannot be made playable for a browser")
                finally:
                    self._processes.discard(process)
