"""The clips of a source to evaluate a bundle on: with classes, and with annotations."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from cryvision.annotations.text import read_rows
from cryvision.bundle import Bundle
from cryvision.datasets.annotated import (
    DONATEACRY_CLIP,
    AnnotatedClip,
    Problem,
    cry_intervals,
    find_annotated_clips,
    first_problem,
)
from cryvision.datasets.cry_labels import brief, count_as_crying, count_lines, meant
from cryvision.datasets.labelled import (
    REASONS,
    Dataset,
    LabelledClip,
    find_labelled_clips,
    joined_sources,
)
from cryvision.errors import AnnotationError
from cryvision.outputs.wording import counted

CRY, NO_CRY = "cry", "no cry"

DONATEACRY = "donateacry"
"""In the name of a bundle's source, it may be any corpus whose clips have donateacry's names."""

_LABELS_SHOWN = 5


class Segment(NamedTuple):
    """A clip, or a part of one; None is its start or its end."""

    path: Path
    start_s: float | None = None
    end_s: float | None = None


@dataclass(frozen=True)
class EvaluationSet:
    """The clips that a bundle is evaluated on.

    ``labelled`` are of the bundle's classes or, as ``cry_or_not`` tells, of the classes ``cry`` and
    ``no cry``; ``annotated`` say when they cry. ``problems`` is a line for what was left out or is
    worth knowing of the rest; ``notes`` say which labels count as crying, ``cautions`` what is odd
    about it.
    """

    labelled: Mapping[Segment, LabelledClip]
    cry_or_not: bool
    annotated: Mapping[Segment, AnnotatedClip]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    cautions: tuple[str, ...]

    @property
    def stretches(self) -> list[Segment]:
        """What has to be classified, each once: labelled clips, then those annotated alone."""
        return list({**self.labelled, **self.annotated})

    @property
    def subjects(self) -> set[str]:
        return {clip.subject for clip in self._clips()}

    @property
    def subject_source(self) -> str:
        return joined_sources(self._clips())

    def _clips(self) -> list[LabelledClip | AnnotatedClip]:
        return [*self.labelled.values(), *self.annotated.values()]


def find_evaluation_set(
    source: str | os.PathLike[str],
    bundle: Bundle,
    subject_pattern: str | None = None,
    cry_labels: Sequence[str] = (),
) -> EvaluationSet:
    """Find the clips in a source to evaluate a bundle on.

    The source is a folder; or a manifest, whose column ``labels`` or ``label`` shows what it lists.
    Classes are there for a bundle with branches, annotations for one with a detector, and for that
    also clips whose classes are crying and no crying. ``subject_pattern`` is as for
    `find_labelled_clips`; ``cry_labels`` mean crying beside ``cry`` and ``crying``.

    Raises
    ------
    AnnotationError
        If there is nothing.
    """
    may_annotate, may_label = _kinds(Path(source))
    annotated: list[AnnotatedClip] = []
    problems: list[Problem] = []
    if may_annotate and bundle.detector is not None:
        annotated, problems = find_annotated_clips(source, subject_pattern)
    annotated, lines, cautions = count_as_crying(annotated, cry_labels)
    damaged = [p.line for p in problems if not (p.lacks_labels or p.lacks_clip)]
    labelled: list[LabelledClip] = []
    about: list[str] = []
    left_out: list[str] = []
    if may_label:
        try:
            labelled, about, left_out = _clips_with_classes(
                source, bundle, subject_pattern, cry_labels, annotated
            )
        except AnnotationError as error:
            if not damaged:
                raise
            why = f"{source}: no annotations can be used{first_problem(damaged)}"
            raise AnnotationError(why) from error
    if not labelled and not annotated:
        needed = "a class"
        if bundle.detector is not None:
            needed = "classes such as cry and 'no cry', or annotations of when they cry"
        raise AnnotationError(
            f"{source}: bundle {bundle.name!r} needs clips with {needed}; there are none"
            + first_problem(damaged or [problem.line for problem in problems])
        )
    if labelled:
        # That a clip with a class has no annotations is no problem.
        problems = [problem for problem in problems if not problem.lacks_labels]
    annotated = _with_one_subject(annotated, labelled)
    return EvaluationSet(
        {Segment(clip.path, clip.start_s, clip.end_s): clip for clip in labelled},
        bool(about),
        {Segment(clip.path): clip for clip in annotated},
        (*left_out, *(problem.line for problem in problems)),
        (*lines, *about),
        tuple(cautions),
    )


def _with_one_subject(
    annotated: Sequence[AnnotatedClip], labelled: Sequence[LabelledClip]
) -> list[AnnotatedClip]:
    """Take the subject of a clip, however it is found, to be one and the same."""
    by_path = {clip.path: clip for clip in labelled}
    return [
        replace(clip, subject=other.subject, subject_source=other.subject_source)
        if (other := by_path.get(clip.path)) and clip.subject_source == "file"
        else clip
        for clip in annotated
    ]


def _kinds(source: Path) -> tuple[bool, bool]:
    """Whether a source may hold annotated clips, and labelled ones; a folder may hold both."""
    if not source.is_file():
        return True, True
    header, _ = read_rows(source)
    return "labels" in header, "labels" not in header


def _clips_with_classes(
    source: str | os.PathLike[str],
    bundle: Bundle,
    subject_pattern: str | None,
    cry_labels: Sequence[str],
    annotated: Sequence[AnnotatedClip],
) -> tuple[list[LabelledClip], list[str], list[str]]:
    """Clips with classes that a bundle can be evaluated on, beside those that are annotated.

    Gives them; lines on which classes count as crying, if they are ``cry`` and ``no cry``; and what
    was left out.
    """
    has_branches = any(part.kind == "branch" for part in bundle.parts)
    try:
        data = find_labelled_clips(source, subject_pattern)
    except AnnotationError as error:
        if has_branches and not annotated:
            raise
        why = f"only the times of crying were evaluated: {error}"
        return [], [], [why] if has_branches else []
    if bundle.detector is not None:
        classes = bundle.labels if has_branches else ()
        detected, lines = _cry_or_not(data, classes, cry_labels)
        if detected:
            return detected, lines, list(data.problems)
    if not has_branches:
        return [], [], []
    labelled, left_out = _of_classes(data, bundle.labels, source, annotated)
    return labelled, [], left_out


def _of_classes(
    data: Dataset,
    classes: Sequence[str],
    source: str | os.PathLike[str],
    annotated: Sequence[AnnotatedClip],
) -> tuple[list[LabelledClip], list[str]]:
    """Clips of the classes, and a line for what else there is; none only if there are others."""
    clips = [clip for clip in data.clips if clip.label in classes]
    others = Counter(clip.label for clip in data.clips if clip.label not in classes)
    names = ", ".join(
        f"{brief(label)} ({counted(n, 'clip')})" for label, n in others.most_common(_LABELS_SHOWN)
    )
    rule = f"classes must be the bundle's, {', '.join(classes)}; others are {names}"
    if not clips and not annotated:
        raise AnnotationError(f"{source}: {rule}")
    return clips, [*data.problems, *([f"{source}: {rule}"] if others else [])]


def _cry_or_not(
    data: Dataset, classes: Sequence[str], cry_labels: Sequence[str]
) -> tuple[list[LabelledClip], list[str]]:
    """Clips whose classes mean crying or no crying, and lines on what each class means.

    Beside a class that means crying, or none, all others count as none, unless one is a reason.
    """
    counts = Counter(clip.label for clip in data.clips)
    names = {label.strip().casefold() for label in cry_labels}
    crying = {
        label for label in counts if label.strip().casefold() in names or meant(label) is True
    }
    has_classes = crying or any(meant(label) is False for label in counts)
    if not has_classes or set(counts) & ({*classes, *REASONS.values()} - crying):
        return [], []
    lines = count_lines(
        {label: n for label, n in counts.items() if label in crying},
        {label: n for label, n in counts.items() if label not in crying},
        "classes of clips",
    )
    return [replace(c, label=CRY if c.label in crying else NO_CRY) for c in data.clips], lines


def warnings_on(
    material: EvaluationSet, bundle: Bundle, source: str | os.PathLike[str]
) -> list[str]:
    """List what the figures of a bundle on this evaluation set do not show."""
    warnings = list(material.cautions)
    shared = _shared_source(material, bundle, Path(source))
    if shared:
        warnings.append(
            f"subjects may have been in the bundle's training, which names {shared!r}: the "
            "figures may be too good, and are no skill on new babies"
        )
    if material.subject_source == "file":
        warnings.append(
            "subjects are not known, so each file counts as one: intervals are too narrow, and "
            "nothing here is skill on new babies"
        )
    intervals = [i for clip in material.annotated.values() for i in clip.intervals]
    if intervals and not cry_intervals(intervals):
        labels = sorted({brief(interval.label) for interval in intervals})[:_LABELS_SHOWN]
        warnings.append(f"no annotation reads cry or crying; there are {', '.join(labels)}")
    return warnings


def _shared_source(material: EvaluationSet, bundle: Bundle, source: Path) -> str | None:
    """What the bundle was trained on, if that seems to be this source, a part or the whole of it.

    Names are compared, not sounds: a bundle does not hold what it was trained on.
    """
    paths = [source, *{stretch.path for stretch in material.stretches}]
    folders = {_letters(part) for path in paths for part in Path(os.path.realpath(path)).parts}
    donated = any(DONATEACRY_CLIP.fullmatch(path.stem) for path in paths)
    for entry in bundle.sources:
        # A name may be a path or a URL, and have more behind a comma.
        name = entry["name"].partition(",")[0].replace("\\", "/").rstrip("/")
        *above, last = name.split("/")
        own = {_letters(last)}
        if above and last.lower().endswith(".csv"):
            # Another manifest beside it may name other clips; a folder holds those of all.
            own = {_letters(above[-1])} | (set() if source.is_dir() else own)
        if ("" not in own and own <= folders) or (donated and DONATEACRY in name.casefold()):
            return entry["name"]
    return None


def _letters(text: str) -> str:
    """Letters and digits alone: ``ESC-10`` and ``esc_10`` are one."""
    return "".join(char for char in text.casefold() if char.isalnum())
