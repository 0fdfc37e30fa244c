"""A lab's own labels of when crying happens, and the clips that they belong to."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryvision.annotations import FORMATS, Interval, read_annotations
from cryvision.annotations.text import read_rows
from cryvision.argument_types import typed
from cryvision.errors import AnnotationError, ConfigError
from cryvision.inputs.media import MEDIA_SUFFIXES
from cryvision.safe_text import pairing_name, path_on_disk
from cryvision.spans import joined
from cryvision.subjects import compile_subject_pattern

CRY_LABELS = ("cry", "crying")
"""Labels that mean crying, in any case."""

_OTHER_SUFFIXES = {".json", ".jsonl", ".srt"}
# Beside a clip these are results and subtitles, not labels.

LABEL_SUFFIXES = (
    *sorted({suffix for form in FORMATS.values() for suffix in form.suffixes} - _OTHER_SUFFIXES),
    *(".labels.txt", ".events.csv"),
)
"""What may follow the name of a clip, with or without its own suffix, in the name of its labels."""

VIEW_SUFFIXES = (".bouts.txt", ".bouts.csv", ".quality.csv")
# Written beside the labels of events, and nothing that anybody corrects.

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"

DONATEACRY_CLIP = re.compile(
    rf"(?P<phone>{_UUID})-(?P<epoch>\d{{10}})(?P<fraction>\d{{3}}|\.\d+)?"
    rf"-(?P<app_version>\d+(?:\.\d+)*)(?:-(?P<second_id>{_UUID}))?"
    r"-(?P<gender>[mf])-(?P<age>\d\d)-(?P<code>[a-z]{2})",
    re.IGNORECASE,
)
"""How donateacry-corpus names a clip, without suffixes: the epoch is in seconds (iOS, once with a
fraction) or in milliseconds (Android), and two clips carry a second id behind the version."""


@dataclass(frozen=True)
class AnnotatedClip:
    """A clip with its labels.

    Attributes
    ----------
    path : Path
        The sound or video file.
    subject : str
        The baby, or where that is unknown the recording device.
    intervals : tuple of Interval
        All labels of the clip as they were read, sorted; see `cry_intervals`.
    subject_source : str
        Where the subject comes from: ``manifest``, ``pattern`` (of the file's path), or ``file``
        where nothing is known and each file counts as a subject of its own.
    """

    path: Path
    subject: str
    intervals: tuple[Interval, ...]
    subject_source: str


class Problem(NamedTuple):
    """A line on what was left out; whether that is merely a clip without labels, or the reverse."""

    line: str
    lacks_labels: bool = False
    lacks_clip: bool = False


def cry_intervals(
    intervals: Iterable[Interval], cry_labels: Sequence[str] = CRY_LABELS
) -> list[Interval]:
    """Keep the crying and merge what touches or overlaps.

    Parameters
    ----------
    intervals : iterable of Interval
    cry_labels : sequence of str
        Labels that mean crying; case and outer blanks do not matter.

    Returns
    -------
    list of Interval
        Sorted and disjoint, each with the first of ``cry_labels``; points without length are gone.
    """
    names = {label.strip().casefold() for label in cry_labels}
    crying = (
        (interval.start_s, interval.end_s)
        for interval in intervals
        if interval.label.strip().casefold() in names and interval.start_s < interval.end_s
    )
    return [Interval(start_s, end_s, cry_labels[0]) for start_s, end_s in joined(crying)]


def spans_s(intervals: Sequence[Interval]) -> NDArray[np.float64]:
    """Give starts and ends of intervals in seconds; float64, shape (n, 2)."""
    return np.array([(i.start_s, i.end_s) for i in intervals], np.float64).reshape(-1, 2)


def window_labels(
    intervals: Sequence[Interval],
    end_samples: ArrayLike,
    window_samples: int,
    sample_rate_hz: float,
) -> NDArray[np.float32]:
    """Measure how much of each window is crying.

    Parameters
    ----------
    intervals : sequence of Interval
        The crying, as `cry_intervals` gives it: sorted and disjoint. Labels are not looked at.
    end_samples : array_like of int, shape (n,)
        Where the windows end: window i is ``[end_samples[i] - window_samples, end_samples[i])``.
    window_samples : int
        Length of a window.
    sample_rate_hz : float

    Returns
    -------
    ndarray of float32, shape (n,)
        Share of the window inside the intervals, 0 to 1.

    Raises
    ------
    ConfigError
        If the length or the rate is not positive, or the intervals overlap or are not sorted.
    """
    if window_samples < 1 or not sample_rate_hz > 0:
        raise ConfigError(
            "window_samples and sample_rate_hz must be positive; got "
            f"{window_samples} and {sample_rate_hz}"
        )
    edges = spans_s(intervals).ravel()
    if np.any(np.diff(edges) < 0):
        raise ConfigError("intervals must be sorted and must not overlap; use cry_intervals")
    ends = np.asarray(end_samples, dtype=np.float64)
    if not edges.size:
        return np.zeros(ends.shape, dtype=np.float32)
    edges *= sample_rate_hz
    # Crying up to each edge: it grows inside the intervals and stands still between them.
    total = np.concatenate(
        [[0.0], np.cumsum(np.diff(edges) * (np.arange(edges.size - 1) % 2 == 0))]
    )
    cry = np.interp(ends, edges, total) - np.interp(ends - window_samples, edges, total)
    share: NDArray[np.float64] = np.clip(cry / window_samples, 0.0, 1.0)
    return share.astype(np.float32)


@typed
def find_annotated_clips(
    source: str | os.PathLike[str], subject_pattern: str | None = None
) -> tuple[list[AnnotatedClip], list[Problem]]:
    """Find the clips of a folder or a manifest that have labels.

    Parameters
    ----------
    source : path
        A folder, searched with all folders in it for sound and video files with a file of labels
        beside them (``clip.wav`` with ``clip.TextGrid``, ``clip.wav.csv`` or another of
        `LABEL_SUFFIXES`); or a manifest, a CSV file
        with the columns ``path``, ``labels`` and perhaps ``subject``, paths relative to its folder.
    subject_pattern : str, optional
        Regular expression, searched in a clip's path relative to the source and written with
        ``/``; its first group is the subject where the manifest names none.

    Returns
    -------
    clips : list of AnnotatedClip
        Sorted by path.
    problems : list of Problem
        One for each clip or file of labels that was left out. Nothing is guessed: a clip
        with two files of labels is left out too, and so is one that the pattern does not fit.

    Raises
    ------
    AnnotationError
        If the source is missing, or the manifest cannot be understood.
    ConfigError
        If the pattern is no regular expression with a group.
    """
    source = Path(source)
    pattern = compile_subject_pattern(subject_pattern)
    if source.is_dir():
        root, (pairs, problems) = source, _pairs_in_folder(source)
    elif source.is_file():
        root, (pairs, problems) = source.parent, _pairs_in_manifest(source)
    else:
        raise AnnotationError(f"the source must be a folder or a manifest; nothing is at {source}")
    clips = []
    for path, labels, named_subject in pairs:
        try:
            subject, subject_source = find_subject(path, root, named_subject, pattern)
            intervals = tuple(read_annotations(labels))
        except AnnotationError as error:
            problems.append(Problem(str(error)))
            continue
        clips.append(AnnotatedClip(path, subject, intervals, subject_source))
    return sorted(clips, key=lambda clip: clip.path), problems


# A clip, its file of labels, and its subject where the source names one.
_Pair = tuple[Path, Path, str]


def _pairs_in_folder(folder: Path) -> tuple[list[_Pair], list[Problem]]:
    problems: list[str] = []
    unlabelled: list[str] = []
    pairs: list[_Pair] = []
    alone: list[str] = []
    for files in visible_files(folder, problems):
        clips = media_files(files)
        owners = _label_owners(files, clips)
        alone += [f"{path}: labels without a clip" for path in owners if not owners[path]]
        for clip in clips:
            labels = [path for path, owned in owners.items() if clip in owned]
            if not labels:
                problems.append(f"{clip}: a clip without labels")
                unlabelled.append(problems[-1])
            elif len(labels) > 1:
                names = ", ".join(path.name for path in labels)
                problems.append(f"{clip}: a clip must have one file of labels; got {names}")
            elif len(owners[labels[0]]) > 1:
                problems.append(f"{clip}: {labels[0].name} fits more than this clip")
            else:
                pairs.append((clip, labels[0], ""))
    return pairs, [
        *(Problem(line, lacks_clip=True) for line in alone),
        *(Problem(line, line in unlabelled) for line in problems),
    ]


def media_files(files: Iterable[Path]) -> list[Path]:
    """Take the files of sound and video, by their suffixes."""
    return [path for path in files if path.suffix.lower() in MEDIA_SUFFIXES]


def _label_owners(files: Iterable[Path], clips: Iterable[Path]) -> dict[Path, list[Path]]:
    """Give each file of annotations among the files of a folder, with the clips that it names."""
    exact: dict[str, list[Path]] = {}
    alike: dict[str, list[Path]] = {}
    for clip in clips:
        for name in {clip.name, clip.stem}:
            exact.setdefault(name, []).append(clip)
        for name in _pairing(clip.name, clip.stem):
            alike.setdefault(name, []).append(clip)
    return {
        path: _owners(path.name, exact, alike)
        for path in files
        if path.name.lower().endswith(LABEL_SUFFIXES)
        and not path.name.lower().endswith(VIEW_SUFFIXES)
    }


def _owners(
    label_name: str, exact: Mapping[str, list[Path]], alike: Mapping[str, list[Path]]
) -> list[Path]:
    """Find the clips that a file of labels names: as they are called, or else as outputs are."""
    names = _clip_names(label_name)
    tries = ((exact, names), (alike, _pairing(*names)))
    found = ({clip for name in own for clip in by.get(name, ())} for by, own in tries)
    return sorted(next((clips for clips in found if clips), set()))


def _pairing(*names: str) -> set[str]:
    return {pairing_name(name) for name in names}


def _clip_names(label_name: str) -> set[str]:
    """Names that a clip may have, with or without its suffix, for its labels to be so named."""
    return {
        label_name[: -len(suffix)]
        for suffix in LABEL_SUFFIXES
        if label_name.lower().endswith(suffix)
    }


def _pairs_in_manifest(manifest: Path) -> tuple[list[_Pair], list[Problem]]:
    header, rows = read_rows(manifest)
    if not {"path", "labels"} <= set(header):
        raise AnnotationError(
            f"{manifest}: line 1: a manifest must have the columns path and labels; got "
            f"{', '.join(header):.80}"
        )
    # A path may be written in full in one row, and relative to the manifest in another.
    places = [os.path.abspath(path_on_disk(str(manifest.parent / row["path"]))) for _, row in rows]
    times_listed = Counter(places)
    pairs: list[_Pair] = []
    problems = []
    for (line, row), place in zip(rows, places, strict=True):
        where = f"{manifest}: line {line}: {row['path']}"
        path, labels = (
            Path(path_on_disk(str(manifest.parent / row[name]))) for name in ("path", "labels")
        )
        n_rows = times_listed[place]
        if n_rows > 1:
            problems.append(Problem(f"{where}: a clip must be listed once; got {n_rows} rows"))
        elif not path.is_file():
            why = f"{where}: labels without a clip: the file is not there"
            problems.append(Problem(why, lacks_clip=True))
        elif not row["labels"]:
            problems.append(Problem(f"{where}: a clip without labels", lacks_labels=True))
        else:
            pairs.append((path, labels, row.get("subject", "")))
    return pairs, problems


def annotations_beside(groups: Iterable[Sequence[Path]]) -> list[Path]:
    """Find the annotations of clips among the files of folders."""
    owners = [_label_owners(files, media_files(files)) for files in groups]
    return sorted(path for of in owners for path, clips in of.items() if clips)


def visible_files(folder: Path, problems: list[str]) -> Iterator[list[Path]]:
    """Walk through a folder and all folders in it: the files of each, sorted, less hidden ones.

    A folder that cannot be read becomes a line of ``problems``.
    """

    def unreadable(error: OSError) -> None:
        problems.append(f"{error.filename}: the folder could not be read: {error.strerror}")

    for parent, folders, names in os.walk(folder, onerror=unreadable):
        folders.sort()
        yield [Path(parent, name) for name in sorted(names) if not name.startswith(".")]


def find_subject(
    path: Path, root: Path, named: str, pattern: re.Pattern[str] | None
) -> tuple[str, str]:
    """Tell whose clip it is, and by what: its manifest, the pattern, or else the file alone.

    Raises
    ------
    AnnotationError
        If the pattern decides and does not fit the path below ``root``.
    """
    try:
        relative = path.relative_to(root).as_posix()
    except ValueError:  # a manifest may name clips anywhere
        relative = path.as_posix()
    if named:
        return named, "manifest"
    if pattern is None:
        return relative, "file"
    match = pattern.search(relative)
    if match is None or not match[1]:
        raise AnnotationError(f"{path}: the subject pattern {pattern.pattern!r} does not fit")
    return match[1], "pattern"


def first_few(names: Sequence[str], most: int) -> str:
    """List the first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def first_problem(problems: Sequence[str]) -> str:
    """Write what may end a message: the first of some problems, and their number."""
    return f"; first of {len(problems)} problems: {problems[0]}" if problems else ""
