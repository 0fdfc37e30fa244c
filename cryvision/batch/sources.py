"""What is to be scored: files, folders, patterns, manifests and URLs become a list of clips."""

from __future__ import annotations

import csv
import glob
import io
import itertools
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from cryvision.annotations.text import delimiter_of
from cryvision.batch import remote
from cryvision.errors import ConfigError, CryvisionError, MediaError
from cryvision.inputs.ffmpeg import shown
from cryvision.inputs.media import MEDIA_SUFFIXES
from cryvision.safe_text import path_on_disk
from cryvision.start_times.chunks import TIME_RULE, iso_time

MANIFEST_SUFFIX = ".csv"
MANIFEST_COLUMN = "path"
SUBJECT_COLUMN = "subject"
START_COLUMN = "start"


class FoundClip(NamedTuple):
    """A clip that a source holds.

    `path`, or a URL, is as the source gives it; `size_bytes` is -1 where a manifest names a clip
    that is not there. `version` tells one state of the file from the next: its time of
    modification, or the store's tag. `subject` and `start`, date and time, are as a manifest states
    them, else empty.
    """

    path: str
    size_bytes: int
    version: str
    subject: str = ""
    start: str = ""


class ListedClip(NamedTuple):
    """A clip of a run.

    Its row is known by `key`, a hash of path, size, version and settings. `name` is its place below
    the sources' common folder, with ``/``; what is written for each clip takes its name from this.
    The rest is as in `FoundClip`.
    """

    key: str
    path: str
    size_bytes: int
    name: str
    subject: str = ""
    start: str = ""


def subject_of(clip: ListedClip, pattern: re.Pattern[str] | None) -> str:
    """Name the subject of a clip: as a manifest does, or by the first group of a pattern.

    The pattern is searched in the path, written with ``/``. Empty where neither names one.
    """
    match = None if pattern is None else pattern.search(clip.path.replace("\\", "/"))
    return clip.subject or (match[1] or "" if match else "")


def find_clips(
    sources: Sequence[str], excluded: Sequence[str], problems: list[str]
) -> Iterator[FoundClip]:
    """List the clips of some sources, in the order of the sources and of the names in each.

    A source is a file, a folder (searched with all folders in it, but for those ``excluded``: of
    the results), a pattern such as ``day*/*.wav``, a manifest (``.csv`` with a column ``path``,
    relative to its own folder, and perhaps ``subject`` and ``start``), or a URL of one of these.
    Folders and patterns give the names in `MEDIA_SUFFIXES` that are not hidden. One clip may come
    twice where sources overlap.

    To ``problems`` one line is added for each folder, and each row of a manifest, that cannot be
    read. A source that is not there, or a store that cannot be listed, is a MediaError, a manifest
    without a column ``path``, or that is no CSV file, a ConfigError.
    """
    for source in sources:
        if remote.is_url(source):
            yield from _remote(source, problems)
        elif os.path.isdir(source):
            yield from _folder(source, excluded, problems)
        elif os.path.isfile(source):
            is_manifest = source.lower().endswith(MANIFEST_SUFFIX)
            yield from _manifest(source, problems) if is_manifest else [local_clip(source)]
        elif glob.has_magic(source):
            yield from _pattern(source)
        else:
            raise MediaError(f"{shown(source)}: there is no such file or folder")


def identity(path: str) -> str:
    """Return what one clip is known by, however its path is written."""
    return path if remote.is_url(path) else os.path.abspath(path)


def common_folder(sources: Sequence[str]) -> str:
    """Return the folder on this machine that holds all sources; nothing where there is none."""
    roots = []
    for source in (source for source in sources if not remote.is_url(source)):
        path = os.path.abspath(source)
        while not os.path.isdir(path) and os.path.dirname(path) != path:
            path = os.path.dirname(path)
        roots.append(path)
    try:
        return os.path.commonpath(roots) if roots else ""
    except ValueError:  # on Windows, drives have no folder in common
        return ""


def name_below(path: str, folder: str) -> str:
    """Name a clip's place below a folder so that nothing written under it can leave another one.

    The place of a URL is its store and its path there.
    """
    if remote.is_url(path):
        parts = path.replace("://", "/", 1).split("/")
    else:
        path = os.path.abspath(path)
        try:
            path = os.path.relpath(path, folder) if folder else os.path.splitdrive(path)[1]
        except ValueError:  # on another drive
            path = os.path.splitdrive(path)[1]
        parts = path.replace(os.sep, "/").split("/")
    names = (part for part in parts if part not in ("", "."))
    return "/".join("__" if part == ".." else part for part in names)


def _folder(folder: str, excluded: Sequence[str], problems: list[str]) -> Iterator[FoundClip]:
    passed_over = {os.path.realpath(path) for path in excluded}

    def unreadable(error: OSError) -> None:
        problems.append(f"{shown(error.filename)}: the folder cannot be read: {error.strerror}")

    for parent, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and os.path.realpath(os.path.join(parent, name)) not in passed_over
        )
        for name in sorted(names):
            if _is_media(name):
                yield local_clip(os.path.join(parent, name))


def _pattern(pattern: str) -> Iterator[FoundClip]:
    paths = sorted(glob.iglob(pattern, recursive=True))
    media = [path for path in paths if _is_media(os.path.basename(path)) and os.path.isfile(path)]
    if not media:
        raise MediaError(f"{shown(pattern)}: no sound or video file fits the pattern")
    yield from map(local_clip, media)


def _manifest(manifest: str, problems: list[str]) -> Iterator[FoundClip]:
    try:
        with open(manifest, encoding="utf-8-sig", newline="") as file:
            for path, *facts in _manifest_clips(file, manifest, problems):
                if remote.is_url(path):
                    clip = _elsewhere(path)
                else:
                    whole = os.path.join(os.path.dirname(manifest), path)
                    clip = local_clip(path_on_disk(whole))
                yield _with_facts(clip, *facts)
    except OSError as error:
        raise MediaError(f"{shown(manifest)}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{shown(manifest)}: a manifest must be UTF-8 text") from error


def _remote(url: str, problems: list[str]) -> Iterator[FoundClip]:
    if not url.lower().endswith(MANIFEST_SUFFIX):
        for found in remote.objects_of(url, MEDIA_SUFFIXES):
            yield FoundClip(*found)
        return
    folder = url.rsplit("/", 1)[0]
    lines = io.StringIO(remote.read_text(url), newline="")
    for path, *facts in _manifest_clips(lines, url, problems):
        clip = _elsewhere(path if remote.is_url(path) else f"{folder}/{PurePosixPath(path)}")
        yield _with_facts(clip, *facts)


def _with_facts(clip: FoundClip, subject: str, start: str) -> FoundClip:
    """Add what a manifest states; another start makes another row."""
    version = f"{clip.version} {start}" if start else clip.version
    return FoundClip(clip.path, clip.size_bytes, version, subject, start)


def _elsewhere(url: str) -> FoundClip:
    try:
        return FoundClip(url, *remote.state(url))
    except CryvisionError:  # its row has the reason
        return FoundClip(url, -1, "unreadable")


def _manifest_clips(
    lines: Iterator[str] | io.StringIO, manifest: str, problems: list[str]
) -> Iterator[tuple[str, str, str]]:
    """Give path, subject and start of each row; the latter are empty where they are not stated."""
    header = next(lines, "")
    reader = csv.DictReader(
        itertools.chain([header] if header else [], lines),
        skipinitialspace=True,
        strict=True,
        delimiter=delimiter_of(header),
    )
    try:
        names = {(name or "").strip().lower(): name for name in reader.fieldnames or ()}
        if MANIFEST_COLUMN not in names:
            raise ConfigError(
                f"{shown(manifest)}: line 1: a manifest must have the column {MANIFEST_COLUMN}; "
                f"got {', '.join(names) or 'nothing':.80}"
            )
        while (row := _next_row(reader, manifest, problems)) is not None:
            path = (row.get(names[MANIFEST_COLUMN]) or "").strip()
            if path:
                start = (row.get(names.get(START_COLUMN, "")) or "").strip()
                if start and iso_time(start) is None:
                    raise ConfigError(
                        f"{shown(manifest)}: line {reader.line_num}: a start {TIME_RULE}; "
                        f"got {start!r:.60}"
                    )
                yield path, (row.get(names.get(SUBJECT_COLUMN, "")) or "").strip(), start
            elif row:
                problems.append(f"{shown(manifest)}: line {reader.line_num}: the path is empty")
    except csv.Error as error:
        raise ConfigError(
            f"{shown(manifest)}: line {reader.reader.line_num}: not a CSV file: {error}"
        ) from error


def _next_row(
    reader: csv.DictReader[str], manifest: str, problems: list[str]
) -> dict[str, str] | None:
    """Give the next row, empty where it cannot be read; None at the end."""
    try:
        return next(reader, None)
    except csv.Error as error:
        if "end of data" in str(error):  # a quote that is left open takes in all that follows
            raise
        problems.append(
            f"{shown(manifest)}: line {reader.reader.line_num}: not a row of CSV: {error}"
        )
        return {}


def _is_media(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in MEDIA_SUFFIXES


def local_clip(path: str) -> FoundClip:
    """Describe a file on this machine, also one that is not there."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # its row has the reason
        return FoundClip(path, -1, "missing")
    return FoundClip(path, status.st_size, str(status.st_mtime_ns))
