"""Finds what two have coded of the same recordings: coders' files, results, or clips to score."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

import numpy as np

from cryvision.annotations import Interval
from cryvision.argument_types import check_types, typed
from cryvision.datasets.annotated import (
    AnnotatedClip,
    cry_intervals,
    find_subject,
    first_few,
    first_problem,
    spans_s,
    visible_files,
)
from cryvision.datasets.cry_labels import brief, count_as_crying, inside
from cryvision.errors import AnnotationError, MediaError
from cryvision.evaluation.agreement import CodedClip
from cryvision.evaluation.coding_files import (
    CRY,
    Coding,
    has_no_events,
    may_be_labels,
    one_each,
    read_file,
    recording_name,
)
from cryvision.inputs.media import MEDIA_SUFFIXES, probe
from cryvision.subjects import compile_subject_pattern

log = logging.getLogger(__name__)

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

    def __post_init__(self) -> None:
        check_types(self)


@dataclass(frozen=True)
class CodedPairs:
    """Recordings that both have coded.

    ``problems`` say what was left out, ``notes`` which file of several was read and which labels
    count as crying, and ``warnings`` what makes the figures doubtful.
    """

    clips: list[CodedClip]
    problems: list[str]
    notes: list[str]
    warnings: list[str]


@typed
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
        If a source or the folder of the recordings is missing, a source cannot be read, or no
        recording is in both.
    ConfigError
        If the subject pattern is none.
    """
    options = options or CodingOptions()
    if options.media is not None and not os.path.isdir(options.media):
        raise AnnotationError(f"the recordings must be in a folder; none is at {options.media}")
    pattern = compile_subject_pattern(options.subject_pattern)
    for path in (first, second):
        if not os.path.isfile(path) and not os.path.isdir(path):
            raise AnnotationError(f"a source must be a file or a folder; nothing is at {path}")
    read = [
        _read(Path(path), tier, options)
        for path, tier in zip((first, second), options.tiers, strict=True)
    ]
    two_files = not any(os.path.isdir(path) for path in (first, second))
    codings = _paired([one for one, _ in read], two_files)
    names, problems = _in_both(codings, (os.fspath(first), os.fspath(second)))
    crying, counted, warnings = _crying(codings, names, options.cry_labels)
    notes = list(dict.fromkeys([note for _, passed_over in read for note in passed_over] + counted))
    folders = {own[name].path.parent for own in codings for name in names}
    media = _media([*([] if options.media is None else [Path(options.media)]), *sorted(folders)])
    clips = []
    for name in names:
        pair = codings[0][name], codings[1][name]
        duration_s, remark = _duration_s(name, pair, media.get(PurePath(name).name))
        warnings += remark
        spans = []
        for coding, own in zip(pair, crying, strict=True):
            coded = AnnotatedClip(coding.path, name, tuple(own[name]), "file")
            within, remarks = inside(coded, duration_s)
            spans.append(spans_s(within.intervals))
            warnings += [f"{name}: {remark}" for remark in remarks]
        path = pair[0].path.parent / name
        subject, _ = find_subject(path, Path(first), "", pattern)
        scores, frame_seconds = pair[1].scores, pair[1].frame_seconds
        clips.append(
            CodedClip(name, subject, spans[0], spans[1], duration_s, scores, frame_seconds)
        )
    return CodedPairs(clips, problems, notes, warnings)


def _media(folders: Sequence[Path]) -> dict[str, Path]:
    """Find recordings by the names of their files; the first folder that has one counts."""
    paths = [path for folder in filter(Path.is_dir, folders) for path in sorted(folder.iterdir())]
    return {
        recording_name(path.name): path
        for path in reversed(paths)
        if path.suffix.lower() in MEDIA_SUFFIXES
    }


def _duration_s(
    name: str, pair: tuple[Coding, Coding], path: Path | None
) -> tuple[float, list[str]]:
    """Find how long a recording is; warn where nothing states it and the last label decides.

    Results and the recording itself count before the end of a TextGrid, which is a coder's, and
    does not count where labels go on behind it.
    """
    of_file_s = None
    try:
        of_file_s = None if path is None else probe(path).duration_s
    except MediaError as error:
        log.warning("%s", error)
    stated = [*(one.duration_s for one in pair if one.is_result), of_file_s]
    if known := next((one for one in stated if one), None):
        return known, []
    last_s = max((i.end_s for one in pair for i in one.intervals), default=0.0)
    end_s = max(one.duration_s or 0.0 for one in pair)
    if end_s and end_s >= last_s:
        return end_s, []
    last_s = last_s or 1.0
    return last_s, [_NO_LENGTH.format(name, last_s)]


def _paired(codings: list[dict[str, Coding]], two_files: bool) -> list[dict[str, Coding]]:
    """Give a single recording the name that it has in the other source.

    Two files of a single recording each are a pair. Else it is called as its file names it, where
    the other source has only that name.
    """
    if two_files and len(codings[0]) == len(codings[1]) == 1:
        (name,), (other,) = codings
        return [codings[0], {name: codings[1][other]}]
    return [
        {
            c.named if len(own) == 1 and name not in others and c.named in others else name: c
            for name, c in own.items()
        }
        for own, others in zip(codings, codings[::-1], strict=True)
    ]


def _in_both(
    codings: Sequence[Mapping[str, Coding]], sources: tuple[str, str]
) -> tuple[list[str], list[str]]:
    """Give the names to compare, and what is left out: in one source alone, or never scored."""
    names = sorted(set(codings[0]) & set(codings[1]))
    if not names:
        raise AnnotationError(
            f"agreement needs recordings in both sources, paired by name; {sources[0]} has "
            f"{first_few(sorted(codings[0]), 3)} and {sources[1]} has "
            f"{first_few(sorted(codings[1]), 3)}"
        )
    alone = [
        f"{name}: only in {source}"
        for source, own, others in zip(sources, codings, reversed(codings), strict=True)
        for name in sorted(set(own) - set(others))
    ]
    unscored = [
        f"{name}: no sound was scored in {own[name].path}"
        for own in codings
        for name in names
        if not own[name].scored
    ]
    names = [name for name in names if all(own[name].scored for own in codings)]
    if not names:
        raise AnnotationError(
            f"agreement needs a recording that was scored{first_problem(unscored)}"
        )
    return names, unscored + alone


def _read(source: Path, tier: str, options: CodingOptions) -> tuple[dict[str, Coding], list[str]]:
    """Read a source: what it says of each recording, by name, and what was passed over."""
    if source.is_dir():
        left_out: list[str] = []
        files = [path for group in visible_files(source, left_out) for path in group]
        labels = [path for path in files if may_be_labels(path) and not has_no_events(path)]
        clips = [path for path in files if path.suffix.lower() in MEDIA_SUFFIXES]
        found = [coding for path in labels for coding in read_file(path, source)]
        if not labels:
            found = [_scored(path, options) for path in clips]
    elif source.suffix.lower() in MEDIA_SUFFIXES:
        found = [_scored(source, options)]
    else:
        found = read_file(source, source.parent)
    if not found:
        raise AnnotationError(f"{source}: there are no labels, results or clips")
    codings, notes = one_each(found, source, tier)
    if tier:
        codings = {name: _of_tier(coding, tier) for name, coding in codings.items()}
    # All events of a result are crying, whatever reasons they state.
    for name, coding in codings.items():
        if coding.is_result:
            crying = [replace(interval, label=CRY) for interval in coding.intervals]
            codings[name] = replace(coding, intervals=crying)
    return codings, notes


def _scored(path: Path, options: CodingOptions) -> tuple[str, Coding]:
    from cryvision.inference.clip import classify

    log.info("scoring %s", path)
    result = classify(path, options.bundle)
    return recording_name(path.name), Coding(
        [Interval(*event.span_s, "cry") for event in result.events],
        path,
        result.duration_s,
        result.timeline["cry"].astype(np.float64),
        is_result=True,
        scored=result.detector.cry is not None,
    )


def _of_tier(coding: Coding, tier: str) -> Coding:
    kept = [i for i in coding.intervals if i.tier == tier]
    if not kept and coding.intervals:
        tiers = ", ".join(sorted({brief(i.tier) for i in coding.intervals}))
        raise AnnotationError(f"{coding.path}: there is no tier {tier!r}; there are {tiers}")
    return replace(coding, intervals=kept)


def _crying(
    codings: Sequence[Mapping[str, Coding]], names: Sequence[str], cry_labels: Sequence[str]
) -> tuple[list[dict[str, list[Interval]]], list[str], list[str]]:
    crying, notes, warnings = [], [], []
    for own in codings:
        clips = [AnnotatedClip(Path(n), n, tuple(own[n].intervals), "file") for n in names]
        renamed, lines, cautions = count_as_crying(clips, cry_labels)
        if not all(own[name].is_result for name in names):
            source = os.path.commonpath([os.path.abspath(own[name].path) for name in names])
            notes += [f"{os.path.basename(source)}: {line}" for line in lines]
            warnings += [f"{os.path.basename(source)}: {line}" for line in cautions]
        crying.append(
            {n: cry_intervals(clip.intervals) for n, clip in zip(names, renamed, strict=True)}
        )
    return crying, notes, warnings
