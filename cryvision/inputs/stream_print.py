"""What ffmpeg prints about a file's streams, read so that nothing in the file can pose as it.

ffmpeg prints texts of the file (titles, names of tracks, the kind of a Matroska file) among its own
words, line breaks included. Two names that no file can contain mark ffmpeg's part: the clip is
opened by a path with separators in it that are drawn at random, and an output that is never written
has a random name. For that output ffmpeg prints all streams once more, without a word of the file.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Sequence

from cryvision.inputs import ffmpeg
from cryvision.inputs.streams import (
    NO_DECODER,
    Contents,
    PictureTrack,
    SoundTrack,
    length_s,
    n_channels,
    shown_size,
)

_SEPARATORS = 24
_MOST_RETRIED = 8
"""Streams that are tried one by one where ffmpeg cannot copy all of them."""

_COPIES = (
    *("-copy_unknown", "-c", "copy", "-map_metadata", "-1", "-map_chapters", "-1"),
    *("-fflags", "+bitexact", "-frames:v", "0", "-frames:a", "0", "-frames:s", "0"),
    *("-frames:d", "0", "-f", "null"),
)
"""Copies of streams without a word of the file, of which nothing is written."""

_STREAM = re.compile(
    r" +Stream #0:(?P<index>\d+)(?:\[0x[0-9a-f]+\])?(?:\([^)]*\))?: "
    r"(?P<kind>[A-Z][a-z]+): (?P<codec>[\w.-]+)(?P<rest>.*)"
)
_TURNED = re.compile(r" +display ?matrix: rotation of (-?[\d.]+) degrees", re.IGNORECASE)
_DURATION = re.compile(r"  Duration: (\d+):(\d\d):(\d\d\.\d+),(?: start: (-?\d+\.\d+),)?")
_HAS_SHAPE = re.compile(r", \d+ Hz|, \d+x\d+")
_NOT_MOVING = ("(attached pic)", "(still image)", "(timed thumbnails)")
_GUESSED = "Estimating duration"


class Print:
    """What ffmpeg printed about a clip, or about some of its streams, named in ffmpeg's words."""

    def __init__(self, path: str | os.PathLike[str], streams: str = "0") -> None:
        self._path = path
        # From the root on, so that the mark is printed however long the path is.
        drive, below = os.path.splitdrive(os.path.abspath(path))
        idle = (secrets.choice((os.sep, f".{os.sep}")) for _ in range(_SEPARATORS))
        self._mark = f"file:{drive}{os.sep}.{os.sep}{''.join(idle)}"
        self._url = self._mark + below.lstrip(os.sep)
        self._output = f"cryvision-{secrets.token_hex(16)}"
        output = [*("-map", streams), *_COPIES, self._output]
        # It may look for a first packet of each stream, to the end of a long file.
        self._log = ffmpeg.printed(path, self._url, output, self._output.encode())
        self._lines = self._log.decode("utf-8", "replace").split("\n")

    @property
    def banner(self) -> str:
        """The first line, in which ffmpeg names its version."""
        return self._lines[0]

    @property
    def trouble(self) -> str:
        """ffmpeg's last words, without the file's name."""
        messages = [
            line
            for line in self._log.split(b"\n")
            if not line.startswith((b"ffmpeg version", b"  built", b"  config", b"  lib"))
        ]
        return ffmpeg.last_words(b"\n".join(messages), self._path, self._url)

    def contents(self) -> Contents | None:
        """Return what the file holds; None where ffmpeg could not open it."""
        mark = os.fsencode(self._mark).decode("utf-8", "replace")
        opened = re.compile(rf"Input #0, ([\w,]+), from '{re.escape(mark)}")
        start = next((i for i, line in enumerate(self._lines) if opened.match(line)), None)
        if start is None:
            return None
        container = re.findall(opened, self._lines[start])[0]
        end = self._end()
        about = self._lines[start:end]
        guessed = any(_GUESSED in line for line in self._lines[:start])
        duration_s = None if guessed else _duration_s(container, about)
        if end is not None:
            return _read(container, duration_s, self._lines[end + 1 :])
        return self._one_by_one(container, duration_s, about)

    def _end(self) -> int | None:
        """Find the line after which the copies are; None where the streams cannot be copied."""
        copied = f"Output #0, null, to '{self._output}':"
        return self._lines.index(copied) if copied in self._lines else None

    def _one_by_one(self, container: str, duration_s: float | None, about: list[str]) -> Contents:
        """Try each stream alone: one that ffmpeg cannot copy spoils it for all.

        Which there may be is read from lines that the file may have written too; what they are is
        not.
        """
        matches = filter(None, map(_STREAM.match, about))
        indices = dict.fromkeys(int(m["index"]) for m in matches if _HAS_SHAPE.search(m[0]))
        sound: list[SoundTrack] = []
        pictures: list[PictureTrack] = []
        for index in list(indices)[:_MOST_RETRIED]:
            alone = Print(self._path, f"0:{index}")
            if (end := alone._end()) is not None:
                one = _read(container, None, alone._lines[end + 1 :], [index])
                sound += one.sound
                pictures += one.pictures
        return Contents(container, duration_s, tuple(sound), tuple(pictures))


def _duration_s(container: str, lines: Sequence[str]) -> float | None:
    """Return the stated length; of two, one is a text of the file, and neither is believed."""
    stated = [match for line in lines if (match := _DURATION.match(line))]
    if len(stated) != 1:
        return None
    hours, minutes, seconds, start = stated[0].groups()
    stated_s = 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    return length_s(container, stated_s, float(start or 0))


def _read(
    container: str, duration_s: float | None, lines: list[str], indices: Sequence[int] | None = None
) -> Contents:
    """Read the streams of an output that holds copies of all, or of those with the indices."""
    sound, pictures = [], []
    number = 0
    for i, line in enumerate(lines):
        match = _STREAM.fullmatch(line)
        if match is None or int(match["index"]) != number:
            continue
        index = number if indices is None else indices[number]
        number += 1
        if match["codec"] in NO_DECODER:
            continue
        if match["kind"] == "Audio":
            sound.append(_sound_track(index, match))
        elif match["kind"] == "Video" and not any(word in line for word in _NOT_MOVING):
            ends = (j for j in range(i + 1, len(lines)) if _STREAM.fullmatch(lines[j]))
            pictures.append(_picture_track(index, match, lines[i + 1 : next(ends, len(lines))]))
    return Contents(container, duration_s, tuple(sound), tuple(pictures))


def _sound_track(index: int, match: re.Match[str]) -> SoundTrack:
    rate = re.search(r", (\d+) Hz(?:, ([^,]+))?", match["rest"])
    layout = (rate[2] or None) if rate else None
    return SoundTrack(
        index,
        match["codec"],
        rate_hz=int(rate[1]) if rate else None,
        channels=n_channels(layout) if layout else None,
        layout=layout,
        default="(default)" in match["rest"],
    )


def _picture_track(index: int, fields: re.Match[str], below: list[str]) -> PictureTrack:
    size = re.search(r", (\d+)x(\d+)(?=[ ,\[]|$)", fields["rest"])
    width = height = None
    if size:
        # The container's pixel shape is printed after the codec's, and holds.
        shapes = re.findall(r"SAR (\d+):(\d+)", fields["rest"])
        across, down = (int(n) for n in shapes[-1]) if shapes else (1, 1)
        turned = next((match for line in below if (match := _TURNED.match(line))), None)
        degrees = float(turned[1]) if turned else 0.0
        width, height = shown_size(int(size[1]), int(size[2]), across, down, degrees)
    rate = re.search(r", ([\d.]+)(k?) fps", fields["rest"])
    fps = float(rate[1]) * (1000 if rate[2] else 1) if rate else None
    return PictureTrack(index, fields["codec"], width, height, fps)
