"""Which clips are meant: files, all in a folder, those that fit a pattern, or standard input."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from cryvision.errors import MediaError

STDIN = "-"
"""What stands for standard input."""


class NamedClip(NamedTuple):
    """A clip on this machine, and what it is called in the result."""

    path: str
    name: str


@contextmanager
def named_clips(sources: Sequence[str]) -> Iterator[tuple[list[NamedClip], list[str]]]:
    """Find the clips that are meant; a line for each source without one is among the problems.

    Sources are files, which need not be there; folders, searched with all folders in them for sound
    and video files; patterns such as ``day*/*.wav``; and ``-``, which is read to its end. The clips
    come in their order, and in that of the names in each.
    """
    import glob
    import tempfile

    from cryvision.batch import remote
    from cryvision.batch.sources import find_clips
    from cryvision.inputs.ffmpeg import shown

    clips: list[NamedClip] = []
    problems: list[str] = []
    with tempfile.TemporaryDirectory(prefix="cryvision-") as folder:
        for source in sources:
            try:
                if source == STDIN:
                    matches = [NamedClip(_read_stdin(folder), STDIN)]
                elif remote.is_url(source):
                    raise MediaError(
                        f"{shown(source)}: classify reads files on this machine; give a URL of a "
                        "store, as s3:// or gs://, to 'cryvision score', and download any other"
                    )
                elif os.path.isdir(source) or (
                    glob.has_magic(source) and not os.path.lexists(source)
                ):
                    listed = find_clips([source], (), problems)
                    matches = [NamedClip(clip.path, clip.path) for clip in listed]
                else:
                    matches = [NamedClip(source, source)]
                if not matches:
                    raise MediaError(f"{shown(source)}: no sound or video file is in the folder")
            except MediaError as error:
                problems.append(str(error))
                continue
            clips += matches
        yield clips, problems


def _read_stdin(folder: str) -> str:
    """Keep standard input as a file: ffmpeg reads a clip more than once, and not in order."""
    import shutil

    from cryvision.os_errors import os_errors

    path = os.path.join(folder, "stdin")
    if sys.stdin is None or sys.stdin.isatty():
        raise MediaError("-: a clip must come by standard input; it is a terminal")
    if not os.path.exists(path):
        what = f"-: standard input cannot be kept in {folder}"
        with os_errors(what, MediaError), open(path, "wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
    return path
