"""Finds what two have coded of the same recordings: coders' files, results, or clips to score."""

from __future__ import annotations

import json
import logging
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from cryvision.annotations import Interval, format_of, read_recordings
from cryvision.annotations.interval import DamagedError
from cryvision.annotations.json_files import result_records
from cryvision.annotations.text import header_of, read_text, refused
from cryvision.config import FRAME_RATE_HZ
from cryvision.datasets.annotated import (
    LABEL_SUFFIXES,
    VIEW_SUFFIXES,
    AnnotatedClip,
    cry_intervals,
    find_subject,
    visible_files,
)
from cryvision.datasets.cry_labels import count_as_crying, inside
from cryvision.errors import AnnotationError, MediaError, MissingDependencyError
from cryvision.evaluation.agreement import CodedClip
from cryvision.inputs.media import MEDIA_SUFFIXES, probe
from cryvision.outputs.timeline_tables import TIME
from cryvision.subjects import compile_subject_pattern

log = logging.getLogger(__name__)

_RESULT_SUFFIXES = (".json", ".jsonl", ".parquet")
_SUBTITLES = (".srt", ".vtt")
_RESULTS = "cryvision"
_RESULT_COLUMNS = ("path", "status", "duration_s", "events")
_TIME_TOLERANCE_S = 0.01
"""Of the times of a timeline: they are rounded, and float32 over a whole day."""

_NO_LENGTH = (
    "{}: the length is not known and taken to be {:.1f} s, the end of the last label; kappa and "
    "rates an hour depend on it: --media names the folder of the recordings"
)


@dataclass(frozen=True)
class CodingOptions:
    """How two codings are read.

    Attributes
    ----------
    tiers : tuple of (str, str)
        Tier of the first and of the second that counts; empty for all.
    cry_labels : sequence of str
        Labels that mean crying, beside ``cry`` and ``crying``.
    subject_pattern : str or None
        Regular expression whose first group, in the name of a recording, is its subject; without
        one, each recording is a subject.
    media : path or None
        Folder with the recordings, for their lengths; they are also looked for beside the labels.
    bundle : path or None
        What clips are scored with.
    """

    tiers: tuple[str, str] = ("", "")
    cry_labels: Sequence[str] = ()
    subject_pattern: str | None = None
    media: str | os.PathLike[str] | None = None
    bundle: str | os.PathLike[str] | None = None


@dataclass(frozen=True)
class CodedPairs:
    """Recordings that both have coded.

    Attributes
    ----------
    clips : list of CodedClip
    problems : list of str
        What was left out.
    notes : list of str
        Which labels count as crying.
    warnings : list of str
        What makes the figures doubtful.
    """

    clips: list[CodedClip]
    problems: list[str]
    notes: list[str]
    warnings: list[str]


@dataclass(frozen=True)
class _Coding:
    """What one has coded of a recording."""

    intervals: list[Interval]
    path: Path
    duration_s: float | None = None
    scores: np.ndarray | None = None
    frame_seconds: float = 1 / FRAME_RATE_HZ
    is_result: bool = False


@dataclass
class _Lengths:
    """Lengths of recordings, by the names of their files."""

    files: dict[str, Path] = field(default_factory=dict)

    def add(self, folder: Path) -> None:
        if folder.is_dir():
            for path in sorted(folder.iterdir()):
                if path.suffix.lower() in MEDIA_SUFFIXES:
                    self.files.setdefault(path.stem, path)

    def of(self, name: str) -> float | None:
        path = self.files.get(PurePath(name).name)
        try:
            return None if path is None else probe(path).duration_s
        except MediaError as error:
            log.warning("%s", error)
            return None


def find_coded_clips(
    first: str | os.PathLike[str],
    second: str | os.PathLike[str],
    options: CodingOptions | None = None,
) -> CodedPairs:
    """Find the recordings that two have coded.

    Parameters
    ----------
    first, second : path
        Each a file of annotations of one or of many recordings; a folder of such files; a result of
        ``cryvision classify --json`` or ``cryvision score``; or a clip, or a folder of clips
        without labels, which is scored now. Recordings are paired by name, less suffixes; two
        files of one recording each are a pair whatever their names are.
    options : CodingOptions, optional

    Raises
    ------
    AnnotationError
        If a source is missing or cannot be read, or no recording is in both.
    ConfigError
        If the subject pattern is none.
    """
    options = options or CodingOptions()
    pattern = compile_subject_pattern(options.subject_pattern)
    codings = [
        _read(Path(path), tier, options)
        for path, tier in zip((first, second), options.tiers, strict=True)
    ]
    if len(codings[0]) == len(codings[1]) == 1:
        (name,), (other,) = codings
        codings[1] = {name: codings[1][other]}
    names, problems = _in_both(codings, (os.fspath(first), os.fspath(second)))
    crying, notes, warnings = _crying(codings, names, options.cry_labels)
    lengths = _Lengths()
    folders = {own[name].path.parent for own in codings for name in names}
    for folder in (*([Path(options.media)] if options.media is not None else []), *sorted(folders)):
        lengths.add(folder)
    clips = []
    for name in names:
        pair = codings[0][name], codings[1][name]
        stated = (pair[0].duration_s, pair[1].duration_s, lengths.of(name))
        duration_s = next((one for one in stated if one), None)
        if duration_s is None:
            duration_s = max((i.end_s for one in pair for i in one.intervals), default=1.0)
            warnings.append(_NO_LENGTH.format(name, duration_s))
        spans = []
        for coding, own in zip(pair, crying, strict=True):
            coded = AnnotatedClip(coding.path, name, tuple(own[name]), "file")
            within, remarks = inside(coded, duration_s)
            spans.append(_spans(within.intervals))
            warnings += [f"{name}: {remark}" for remark in remarks]
        path = pair[0].path.parent / name
        subject, _ = find_subject(path, Path(first), "", pattern)
        scores, frame_seconds = pair[1].scores, pair[1].frame_seconds
        clips.append(
            CodedClip(name, subject, spans[0], spans[1], duration_s, scores, frame_seconds)
        )
    return CodedPairs(clips, problems, notes, warnings)


def _in_both(
    codings: Sequence[Mapping[str, _Coding]], sources: tuple[str, str]
) -> tuple[list[str], list[str]]:
    """Name the recordings in both sources, and list those that are in one alone."""
    names = sorted(set(codings[0]) & set(codings[1]))
    if not names:
        raise AnnotationError(
            f"agreement needs recordings in both sources, paired by name; {sources[0]} has "
            f"{_listed(codings[0])} and {sources[1]} has {_listed(codings[1])}"
        )
    alone = [
        f"{name}: only in {source}"
        for source, own, others in zip(sources, codings, reversed(codings), strict=True)
        for name in sorted(set(own) - set(others))
    ]
    return names, alone


def _read(source: Path, tier: str, options: CodingOptions) -> dict[str, _Coding]:
    """Read a source: what it says of each recording, by name."""
    if source.is_dir():
        left_out: list[str] = []
        files = [path for group in visible_files(source, left_out) for path in group]
        labels = [path for path in files if _may_be_labels(path) and not _is_timeline(path)]
        clips = [path for path in files if path.suffix.lower() in MEDIA_SUFFIXES]
        found = _without_subtitles([i for path in labels for i in _read_file(path, source)])
        if not labels:
            found = [_scored(path, options) for path in clips]
    elif not source.is_file():
        raise AnnotationError(f"a source must be a file or a folder; nothing is at {source}")
    elif source.suffix.lower() in MEDIA_SUFFIXES:
        found = [_scored(source, options)]
    else:
        found = _read_file(source, source.parent)
    twice = [name for name, n in Counter(name for name, _ in found).items() if n > 1]
    if twice:
        paths = ", ".join(str(coding.path) for name, coding in found if name == twice[0])
        raise AnnotationError(
            f"{source}: a recording must be coded once; {twice[0]!r} is in {paths}"
        )
    if not found:
        raise AnnotationError(f"{source}: there are no labels, results or clips")
    if tier:
        found = [(name, _of_tier(coding, tier)) for name, coding in found]
    return dict(found)


def _may_be_labels(path: Path) -> bool:
    name = path.name.lower()
    return name.endswith((*LABEL_SUFFIXES, ".parquet", ".srt", ".json", ".jsonl")) and not (
        name.endswith((*VIEW_SUFFIXES, ".timeline.parquet"))
    )


def _is_timeline(path: Path) -> bool:
    """Whether a file is a table of scores by time, which holds no events."""
    if path.suffix.lower() != ".csv":
        return False
    header = header_of(read_text(path))
    return TIME in header and not header & {"start_s", "onset_s"}


def _without_subtitles(found: list[tuple[str, _Coding]]) -> list[tuple[str, _Coding]]:
    """Leave out subtitles, which may hold bouts, where another file codes the recording."""
    coded = {name for name, coding in found if coding.path.suffix.lower() not in _SUBTITLES}
    return [
        (name, coding)
        for name, coding in found
        if name not in coded or coding.path.suffix.lower() not in _SUBTITLES
    ]


def _read_file(path: Path, root: Path) -> list[tuple[str, _Coding]]:
    """Read a file of one or of many recordings."""
    if path.suffix.lower() == ".parquet":
        return [_of_result(row, path, number) for number, row in _parquet_rows(path)]
    if format_of(path) == _RESULTS:
        try:
            return [_of_result(one, path, line) for line, one in result_records(read_text(path))]
        except DamagedError as error:
            raise refused(path, error.line, error.rule) from error
    recordings = read_recordings(path)
    if len(recordings) < 2:
        name = _name(path.relative_to(root).as_posix())
        return [(name, _Coding(next(iter(recordings.values()), []), path))]
    return [(_name(name), _Coding(found, path)) for name, found in recordings.items()]


def _of_result(record: Mapping[str, Any], path: Path, line: int) -> tuple[str, _Coding]:
    """Take all events of a result as crying, whatever reasons they state."""
    try:
        intervals = [_event(event) for event in record["events"]]
        duration_s = float(record.get("duration_s") or 0) or None
    except (KeyError, TypeError, ValueError) as error:
        rule = "a result must have events with 0 <= onset_s <= offset_s, and duration_s in seconds"
        raise refused(path, line, rule) from error
    try:
        scores, frame_seconds = _timeline(record.get("timeline") or {})
    except (KeyError, TypeError, ValueError) as error:
        rule = f"a timeline must have cry and {TIME} of equal length, in equal steps from 0"
        raise refused(path, line, rule) from error
    name = _name(str(record.get("path", "")) or path.name)
    return name, _Coding(intervals, path, duration_s, scores, frame_seconds, is_result=True)


def _event(event: Mapping[str, Any]) -> Interval:
    onset_s, offset_s = float(event["onset_s"]), float(event["offset_s"])
    if not 0 <= onset_s <= offset_s < math.inf:
        raise ValueError(f"{onset_s} to {offset_s}")
    return Interval(onset_s, offset_s, "cry")


def _timeline(columns: Mapping[str, Any]) -> tuple[np.ndarray | None, float]:
    """Give the scores, where there are some, and the seconds from one to the next."""
    if "cry" not in columns:
        return None, 1 / FRAME_RATE_HZ
    scores, times = (np.array(columns[name], np.float64) for name in ("cry", TIME))
    n_steps = len(times) - 1
    hop_s = float(times[-1] / n_steps) if n_steps > 0 else 1 / FRAME_RATE_HZ
    if scores.shape != times.shape or not hop_s > 0:
        raise ValueError(f"{scores.shape} scores, {times.shape} times")
    if not np.allclose(times, hop_s * np.arange(len(times)), rtol=0, atol=_TIME_TOLERANCE_S):
        raise ValueError("unequal steps")
    return scores, hop_s


def _parquet_rows(path: Path) -> list[tuple[int, dict[str, Any]]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise MissingDependencyError(
            f"{path}: Parquet needs pyarrow: python -m pip install 'cryvision[batch]'"
        ) from error
    try:
        rows = parquet.read_table(path, columns=list(_RESULT_COLUMNS)).to_pylist()
        return [
            (number, {**row, "events": json.loads(row["events"])})
            for number, row in enumerate(rows, start=1)
            if row["status"] == "ok"
        ]
    except (ArrowException, KeyError, OSError, TypeError, ValueError) as error:
        raise AnnotationError(
            f"{path}: a result in Parquet must be a table of cryvision score, with "
            f"{', '.join(_RESULT_COLUMNS)}"
        ) from error


def _scored(path: Path, options: CodingOptions) -> tuple[str, _Coding]:
    from cryvision.inference.clip import classify

    log.info("scoring %s", path)
    result = classify(path, options.bundle)
    return _name(path.name), _Coding(
        [Interval(*event.span_s, "cry") for event in result.events],
        path,
        result.duration_s,
        result.timeline["cry"].astype(np.float64),
        is_result=True,
    )


def _of_tier(coding: _Coding, tier: str) -> _Coding:
    kept = [i for i in coding.intervals if i.tier == tier]
    if not kept and coding.intervals:
        tiers = ", ".join(sorted({i.tier or "(none)" for i in coding.intervals}))
        raise AnnotationError(f"{coding.path}: there is no tier {tier!r}; there are {tiers}")
    return replace(coding, intervals=kept)


def _crying(
    codings: Sequence[Mapping[str, _Coding]], names: Sequence[str], cry_labels: Sequence[str]
) -> tuple[list[dict[str, list[Interval]]], list[str], list[str]]:
    """Keep the crying of each recording, and list which labels count."""
    crying, notes, warnings = [], [], []
    for own in codings:
        clips = [AnnotatedClip(Path(n), n, tuple(own[n].intervals), "file") for n in names]
        renamed, lines, cautions = count_as_crying(clips, cry_labels)
        if not all(own[name].is_result for name in names):
            source = os.path.commonpath([os.path.abspath(own[name].path) for name in names])
            notes += [f"{os.path.basename(source)}: {line}" for line in lines]
            warnings += cautions
        crying.append(
            {n: cry_intervals(clip.intervals) for n, clip in zip(names, renamed, strict=True)}
        )
    return crying, notes, warnings


def _spans(intervals: Sequence[Interval]) -> np.ndarray:
    return np.array([(i.start_s, i.end_s) for i in intervals], np.float64).reshape(-1, 2)


def _name(path: str) -> str:
    """Return the name of a recording: the path's last part, less what follows the clip's name."""
    name = PurePath(path.replace("\\", "/")).name
    suffixes = (*LABEL_SUFFIXES, *_RESULT_SUFFIXES, ".srt")
    fitting = [suffix for suffix in suffixes if name.lower().endswith(suffix)]
    name = name[: -len(max(fitting, key=len))] if fitting else name
    return name[: -len(PurePath(name).suffix)] if _is_media(name) else name


def _is_media(name: str) -> bool:
    return PurePath(name).suffix.lower() in MEDIA_SUFFIXES


def _listed(codings: Mapping[str, _Coding]) -> str:
    shown = ", ".join(sorted(codings)[:3])
    return f"{shown} and {len(codings) - 3} more" if len(codings) > 3 else shown
