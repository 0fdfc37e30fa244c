"""The stated contents of a media file, and what is refused before anything is decoded."""

from __future__ import annotations

import dataclasses
import os
import re
import stat
from dataclasses import dataclass, field
from typing import Any

from cryvision.argument_types import typed
from cryvision.errors import MediaError, MissingDependencyError
from cryvision.inputs import ffmpeg, ffprobe, riff
from cryvision.inputs.stream_print import Print
from cryvision.inputs.streams import Contents, SoundTrack

OLDEST = (4, 2)
"""The oldest version of ffmpeg that was tested to do all that is needed here."""

_VERSION = re.compile(r"ffmpeg version n?(\d+)\.(\d+)")
_NOT_LISTED = "Format not on whitelist"
_PICTURE_STARTS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*")
_SNIFFED_BYTES = 512


@dataclass(frozen=True)
class MediaInfo:
    """The stated contents of a media file; None where it states none.

    Attributes
    ----------
    path : str
        The file, as it was given.
    container : str
        ffmpeg's name of the container; containers that are read alike share a name.
    duration_s : float or None
        Length of the longest stream in seconds, as it is stated; None also where it could only be
        guessed. Of a clip that was read, the length that was found, where less was found.
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
        Which of the file's streams they are. Of several of sound, the one that the file marks as
        its default, else the first that can be decoded; `cryvision.inputs.media.open_clip` may
        choose another.
    sound_tracks : tuple of SoundTrack
        All streams of sound that can be decoded.
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
    sound_tracks: tuple[SoundTrack, ...] = field(default=(), repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain JSON data: of the tracks, the number of the one in use."""
        fields = dataclasses.asdict(self)
        streams = [track["stream"] for track in fields.pop("sound_tracks")]
        number = streams.index(self.sound_stream) + 1 if self.sound_stream in streams else None
        return {**fields, "sound_track": number}


@typed
def probe(path: str | os.PathLike[str]) -> MediaInfo:
    """Find out what a media file holds, without decoding it.

    An ffprobe beside ffmpeg reads it, where there is one, else ffmpeg.

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
        When there is no ffmpeg, or one that is too old.
    """
    _check_file(path)
    beside = ffprobe.find_ffprobe(ffmpeg.find_ffmpeg())
    contents = None if beside is None else ffprobe.probe(beside, path)
    if contents is None:
        contents = _printed(path)
    if not (contents.sound or contents.pictures):
        raise MediaError(
            f"{ffmpeg.shown(path)}: a clip must hold sound or moving pictures; this file "
            f"({contents.container}) has no such stream that ffmpeg can decode"
        )
    duration_s = contents.duration_s
    is_plain = all(track.codec.startswith("pcm_") for track in contents.sound)
    header = riff.read_header(path) if contents.container == "wav" and is_plain else None
    if header is not None:
        # ffmpeg gives the length of what is there, or guesses.
        duration_s = riff.stated_seconds(path, header)
    info = MediaInfo(os.fspath(path), contents.container, duration_s, sound_tracks=contents.sound)
    if contents.pictures:
        picture = contents.pictures[0]
        info = dataclasses.replace(
            info,
            has_picture=True,
            picture_codec=picture.codec,
            width=picture.width,
            height=picture.height,
            fps=picture.fps,
            picture_stream=picture.stream,
        )
    marked = next((track for track in contents.sound if track.default), None)
    return with_track(info, marked or contents.sound[0]) if contents.sound else info


def with_track(info: MediaInfo, track: SoundTrack) -> MediaInfo:
    return dataclasses.replace(
        info,
        has_sound=True,
        sound_codec=track.codec,
        sound_rate_hz=track.rate_hz,
        sound_channels=track.channels,
        sound_stream=track.stream,
    )


def _check_file(path: str | os.PathLike[str]) -> None:
    """Check that a path is a plain file with content that may be read.

    A pipe or a device is refused before it could block.
    """
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise MediaError(f"{ffmpeg.shown(path)}: a clip must be a file; this is a folder")
        if not stat.S_ISREG(status.st_mode):
            raise MediaError(
                f"{ffmpeg.shown(path)}: a clip must be a plain file; got a pipe or a device"
            )
        with open(path, "rb"):
            pass
    except FileNotFoundError as error:
        raise MediaError(f"{ffmpeg.shown(path)}: there is no such file") from error
    except OSError as error:
        raise MediaError(f"{ffmpeg.shown(path)}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise MediaError(f"{ffmpeg.shown(path)}: is not a possible file name: {error}") from error
    if status.st_size == 0:
        raise MediaError(f"{ffmpeg.shown(path)}: a clip must hold media; this file is empty")


def _printed(path: str | os.PathLike[str]) -> Contents:
    """Read a file's contents with ffmpeg, or raise the reason of a refusal."""
    printed = Print(path)
    _check_version(printed.banner)
    contents = printed.contents()
    if contents is None:
        trouble = printed.trouble
        rule = "a clip must be a sound or video file that ffmpeg can read"
        if _NOT_LISTED in trouble:
            raise MediaError(f"{ffmpeg.shown(path)}: {rule}; this is {_kind(path)}")
        raise MediaError(f"{ffmpeg.shown(path)}: {rule}; ffmpeg: {trouble}")
    return contents


def _check_version(banner: str) -> None:
    """Check ffmpeg's first line, which names its version; a build without a number may pass."""
    match = _VERSION.match(banner)
    if match is not None and (int(match[1]), int(match[2])) < OLDEST:
        raise MissingDependencyError(
            f"ffmpeg must be version {OLDEST[0]}.{OLDEST[1]} or newer; {ffmpeg.find_ffmpeg()} is "
            f"{match[1]}.{match[2]}"
        )


def _kind(path: str | os.PathLike[str]) -> str:
    """Name the kind of a file that ffmpeg reads as something else than a clip."""
    with open(path, "rb") as file:
        start = file.read(_SNIFFED_BYTES)
    if start.startswith(_PICTURE_STARTS) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP"):
        return "a picture"
    if b"\0" in start:
        return "a file of another kind"
    return "a text, as captions, playlists and scripts are"
