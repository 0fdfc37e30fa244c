"""Labelled clips to learn from: donateacry-corpus, a folder per class, or a manifest."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryvision.annotations.corrections import LONGEST_LABEL
from cryvision.annotations.text import read_clock, read_rows, read_seconds, refused
from cryvision.argument_types import typed
from cryvision.datasets.annotated import (
    DONATEACRY_CLIP,
    AnnotatedClip,
    annotations_beside,
    find_subject,
    first_few,
    first_problem,
    media_files,
    visible_files,
)
from cryvision.errors import AnnotationError
from cryvision.os_errors import os_errors
from cryvision.safe_text import path_on_disk
from cryvision.subjects import compile_subject_pattern

CLEANED_FOLDER = "donateacry_corpus_cleaned_and_updated_data"
"""The folder of donateacry-corpus whose clips were listened to and sorted into classes."""

_BUCKET_FOLDERS = "donateacry-*-upload-bucket"
"""The folders of donateacry-corpus with the clips as phones sent them."""

REASONS: Mapping[str, str] = {
    "hu": "hungry",
    "bu": "burping",
    "bp": "belly_pain",
    "dc": "discomfort",
    "ti": "tired",
    "lo": "lonely",
    "ch": "cold_hot",
    "sc": "scared",
    "dk": "unknown",
}
"""Codes at the end of donateacry-corpus's names, as its README has them."""

_STUB_BYTES = {".caf": 24_000}
"""Uploads below this are stubs. The app for iOS wrote a header of 4,096 bytes and then 8,500 bytes
a second, for seven seconds: 24,000 bytes are 2.3 s. Android's files have no constant rate, and
none of them is a stub."""

_MANIFEST_FACTS = ("platform", "epoch_s", "gender", "age")
_MANIFEST_COLUMNS = ("path", "label", "subject", "start_s", "end_s", "split", *_MANIFEST_FACTS)
_MISSING_SHOWN = 5
"""How many missing files one message names."""


@dataclass(frozen=True)
class LabelledClip:
    """A clip, or a stretch of one in seconds, with its class.

    The subject is the baby, or where that is unknown the recording device; it comes from the
    ``manifest``, from a ``pattern`` (of the file's path or its donateacry name), or is the
    ``file``, where nothing is known and each file counts as a subject of its own. ``split`` is the
    part of the data set that its authors gave the clip to. ``copy`` numbers altered copies; 0 is
    the clip as it was recorded. ``columns`` are what else is known. From a donateacry name:
    ``platform`` (``ios`` or ``android``), ``epoch_s``, ``app_version``, ``gender`` (``m`` or
    ``f``), ``age`` (``04`` and ``48`` weeks, ``26`` months, ``72`` from 7 months to 2 years, ``22``
    above) and ``code``. From a manifest: ``platform``, ``epoch_s``, ``gender`` and ``age``, as far
    as it has them.
    """

    path: Path
    label: str
    subject: str
    subject_source: str
    start_s: float | None = None
    end_s: float | None = None
    split: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict, hash=False)
    copy: int = 0

    @property
    def name(self) -> str:
        """The path, with the stretch where the clip is one; altered copies have the same."""
        if self.start_s is None and self.end_s is None:
            return str(self.path)
        end = "end" if self.end_s is None else f"{self.end_s:g} s"
        return f"{self.path} from {self.start_s or 0.0:g} to {end}"


@dataclass(frozen=True)
class Dataset:
    """Labelled clips, at least one, sorted by path and start, and what was noticed on the way.

    ``problems`` has a line for each file that was left out, and for what is worth knowing of the
    others; ``left_out`` are the sound and video files that were left out, and ``unread`` the files
    of annotations beside clips, for the folder is the label.
    """

    clips: tuple[LabelledClip, ...]
    problems: tuple[str, ...]
    left_out: tuple[Path, ...] = ()
    unread: tuple[Path, ...] = ()


def joined_sources(clips: Iterable[LabelledClip | AnnotatedClip]) -> str:
    """Say where the subjects are known from: ``file`` if any clip counts as its own subject."""
    sources = {clip.subject_source for clip in clips}
    return "file" if "file" in sources else " and ".join(sorted(sources))


@typed
def find_labelled_clips(
    source: str | os.PathLike[str], subject_pattern: str | None = None
) -> Dataset:
    """Find labelled clips, whatever of the following the source is.

    - A manifest: a CSV file with the columns ``path``, ``label`` and perhaps ``subject``,
      ``start_s``, ``end_s``, ``split``, ``platform``, ``epoch_s`` (when it was recorded),
      ``gender`` and ``age``; paths relative to its folder.
    - A folder per class: the class is the top folder below the source. The subject is the phone
      where a name is donateacry's, as in its cleaned corpus; where most are, all must be.
    - An upload bucket of donateacry-corpus: files with donateacry's names and no folders; the code
      in the name is the label.
    - A checkout of donateacry-corpus: its cleaned corpus where that is there, else its buckets.
      Never both, for the one was made from the others.

    Parameters
    ----------
    source : path
    subject_pattern : str, optional
        Regular expression, searched in a clip's path relative to the source and written with
        ``/``; its first group is the subject where the manifest names none. It comes before the
        phone in a donateacry name.

    Returns
    -------
    Dataset
        Nothing in it is guessed: a clip whose subject, label or name is not understood is left
        out and reported, and so are empty files and stubs.

    Raises
    ------
    AnnotationError
        If there is no clip, or the manifest cannot be understood: unknown columns, missing files,
        wrong times, a subject in two splits; the message names the line.
    ConfigError
        If the pattern is no regular expression with a group.
    """
    source = Path(source)
    pattern = compile_subject_pattern(subject_pattern)
    if source.is_dir():
        data = _read_folder(source, pattern)
    elif source.is_file():
        data = _read_manifest(source, pattern)
    else:
        raise AnnotationError(f"the source must be a folder or a manifest; nothing is at {source}")
    if not data.clips:
        raise AnnotationError(
            f"{source}: a source must hold clips in a folder per class, or list them"
            + first_problem(data.problems)
        )
    in_order = sorted(data.clips, key=lambda clip: (clip.path.as_posix(), clip.start_s or 0.0))
    return replace(data, clips=tuple(in_order))


def _read_folder(source: Path, pattern: re.Pattern[str] | None) -> Dataset:
    folders, problems = _folders_to_read(source)
    clips: list[LabelledClip] = []
    left_out, unread = [], []
    for folder in folders:
        groups = list(visible_files(folder, problems))
        files = [path for group in groups for path in media_files(group)]
        unread += annotations_beside(groups)
        names = {path: donateacry_name(path) for path in files}
        is_bucket = all(path.parent == folder for path in files)
        is_donateacry = 2 * sum(name is not None for name in names.values()) > len(files)
        for path, name in names.items():
            try:
                _check_content(path)
                label = _label_of_code(path, name) if is_bucket else _label_of_folder(path, folder)
                if name is None and is_donateacry and pattern is None:
                    raise AnnotationError(
                        f"{path}: the name must be as donateacry-corpus has it, for the subject; "
                        "or give a subject pattern"
                    )
                clips.append(_clip(path, label, name, source, pattern))
            except AnnotationError as error:
                problems.append(str(error))
                left_out.append(path)
    problems += _remarks(clips)
    return Dataset(tuple(clips), tuple(problems), tuple(left_out), tuple(unread))


def _folders_to_read(source: Path) -> tuple[list[Path], list[str]]:
    """Choose within a checkout of donateacry-corpus; any other source is read as a whole."""
    cleaned = source / CLEANED_FOLDER
    buckets = sorted(path for path in source.glob(_BUCKET_FOLDERS) if path.is_dir())
    if not cleaned.is_dir():
        return buckets or [source], []
    problems = [
        f"{path}: left out; the cleaned corpus beside it was made from it" for path in buckets
    ]
    return [cleaned], problems


def donateacry_name(path: Path) -> re.Match[str] | None:
    """Read a file's name as donateacry-corpus writes it; None where it is of another form."""
    stem = path.name
    while path.suffix and stem.endswith(path.suffix):
        stem = stem.removesuffix(path.suffix)
    return DONATEACRY_CLIP.fullmatch(stem)


def _check_content(path: Path) -> None:
    with os_errors(f"{path}: the clip could not be read", AnnotationError):
        n_bytes = path.stat().st_size
    if n_bytes == 0:
        raise AnnotationError(f"{path}: a clip must not be empty")
    if is_stub(path, n_bytes):
        raise AnnotationError(f"{path}: a stub of {n_bytes} bytes, an upload that was cut off")


def is_stub(path: Path, n_bytes: int) -> bool:
    """Tell whether an upload of donateacry-corpus was cut off at the start."""
    return n_bytes < _STUB_BYTES.get(path.suffix.lower(), 0) and donateacry_name(path) is not None


def _label_of_code(path: Path, name: re.Match[str] | None) -> str:
    if name is None:
        raise AnnotationError(
            f"{path}: a clip must be in the folder of its class, or have donateacry's name with "
            "the reason in it"
        )
    label = REASONS.get(name["code"].lower())
    if label is None:
        raise AnnotationError(
            f"{path}: the reason must be one of {', '.join(REASONS)}; got {name['code']}"
        )
    return label


def _label_of_folder(path: Path, folder: Path) -> str:
    below = path.relative_to(folder).parts
    if len(below) < 2:
        raise AnnotationError(f"{path}: a clip must be in the folder of its class")
    return below[0]


def _clip(
    path: Path,
    label: str,
    name: re.Match[str] | None,
    source: Path,
    pattern: re.Pattern[str] | None,
) -> LabelledClip:
    if name is not None and pattern is None:
        # Phones with iOS write their id in upper case, those with Android in lower case.
        subject, subject_source = name["phone"].lower(), "pattern"
    else:
        subject, subject_source = find_subject(path, source, "", pattern)
    columns = {} if name is None else _columns(name)
    return LabelledClip(path, label, subject, subject_source, columns=columns)


def _columns(name: re.Match[str]) -> dict[str, str]:
    fraction = name["fraction"] or ""
    in_milliseconds = fraction.isdigit()
    return {
        "platform": "android" if in_milliseconds else "ios",
        "epoch_s": f"{name['epoch']}.{fraction}" if in_milliseconds else name["epoch"] + fraction,
        "app_version": name["app_version"],
        "gender": name["gender"].lower(),
        "age": name["age"],
        "code": name["code"].lower(),
    }


def _remarks(clips: Sequence[LabelledClip]) -> list[str]:
    remarks = []
    moved: Counter[tuple[str, str, str]] = Counter()
    for clip in clips:
        name = donateacry_name(clip.path)
        if name is None:
            continue
        if name["second_id"] or clip.path.stem.endswith(clip.path.suffix):
            remarks.append(
                f"{clip.path}: an odd name, with a second id or suffix; read were the first id, "
                f"{name['phone']}, and {name['code']}"
            )
        named = REASONS.get(clip.columns["code"])
        if named not in (None, clip.label) and clip.label in REASONS.values():
            folder = clip.path.parent.as_posix()
            moved[folder, clip.columns["code"], str(named)] += 1
    for (folder, code, named), n_clips in sorted(moved.items()):
        remarks.append(
            f"{folder}: {n_clips} of the clips are named {code}, {named}; the folder is the label"
        )
    return remarks


def _read_manifest(manifest: Path, pattern: re.Pattern[str] | None) -> Dataset:
    header, rows = read_rows(manifest)
    if not {"path", "label"} <= set(header) <= set(_MANIFEST_COLUMNS) or len(set(header)) < len(
        header
    ):
        rule = (
            f"a manifest must have the columns path and label, and may have "
            f"{', '.join(_MANIFEST_COLUMNS[2:])}, each once; got {', '.join(header):.80}"
        )
        raise refused(manifest, 1, rule)
    _check_files(manifest, rows)
    root = Path(os.path.normpath(manifest.parent))
    clips: dict[int, LabelledClip] = {}
    problems = []
    left_out = []
    for line, row in rows:
        path = Path(path_on_disk(os.path.normpath(root / row["path"])))
        try:
            _check_content(path)
            subject = find_subject(path, root, row.get("subject", ""), pattern)
        except AnnotationError as error:
            problems.append(f"{manifest}: line {line}: {error}")
            left_out.append(path)
            continue
        clips[line] = _clip_of_row(manifest, line, row, path, subject)
    _check_together(manifest, clips)
    return Dataset(tuple(clips.values()), tuple(problems), tuple(left_out))


def _check_files(manifest: Path, rows: Sequence[tuple[int, Mapping[str, str]]]) -> None:
    missing = [
        f"line {line}: {row['path']!r}"
        for line, row in rows
        if not os.path.isfile(path_on_disk(str(manifest.parent / row["path"])))
    ]
    if missing:
        raise AnnotationError(
            f"{manifest}: files of a manifest must be there; missing are "
            f"{first_few(missing, _MISSING_SHOWN)}"
        )


def _clip_of_row(
    manifest: Path, line: int, row: Mapping[str, str], path: Path, subject: tuple[str, str]
) -> LabelledClip:
    times = []
    for column in ("start_s", "end_s", "epoch_s"):
        cell = row.get(column, "")
        read = read_clock if column == "epoch_s" else read_seconds
        try:
            times.append(read(cell) if cell else None)
        except ValueError as error:
            raise refused(manifest, line, str(error)) from error
    start_s, end_s, epoch_s = times
    if end_s is not None and end_s <= (start_s or 0.0):
        rule = f"the end must be after the start; got {start_s or 0.0:g} to {end_s:g} s"
        raise refused(manifest, line, rule)
    if not 0 < len(row["label"]) <= LONGEST_LABEL:
        raise refused(manifest, line, f"a label must have 1 to {LONGEST_LABEL} characters")
    if row.get("split") == "":
        raise refused(manifest, line, "the split must be given in every row or in none")
    facts = {column: row[column] for column in _MANIFEST_FACTS if row.get(column)}
    if epoch_s is not None:
        facts["epoch_s"] = str(epoch_s)
    return LabelledClip(path, row["label"], *subject, start_s, end_s, row.get("split"), facts)


def _check_together(manifest: Path, clips: Mapping[int, LabelledClip]) -> None:
    """Refuse rows that contradict each other, or put one subject on two sides of a split."""
    of_stretch: dict[tuple[str, float, float | None], int] = {}
    of_file: dict[str, int] = {}
    of_subject: dict[str, int] = {}
    for line, clip in clips.items():
        place = os.path.abspath(clip.path)  # in full in one row, and relative in another
        other = of_stretch.setdefault((place, clip.start_s or 0.0, clip.end_s), line)
        if other != line:
            raise refused(manifest, line, f"a clip must be listed once; line {other} has it too")
        other = of_file.setdefault(place, line)
        if clips[other].subject != clip.subject:
            rule = f"a file must have one subject; got {clip.subject!r} and, in line {other}, "
            raise refused(manifest, line, rule + repr(clips[other].subject))
        other = of_subject.setdefault(clip.subject, line)
        if clips[other].split != clip.split:
            rule = f"a subject must be in one split; {clip.subject!r} is in {clip.split!r} and, "
            raise refused(manifest, line, f"{rule}in line {other}, in {clips[other].split!r}")
