"""Names the files of a clip and puts them in place whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import unicodedata
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path, PurePath

from cryvision.argument_types import typed
from cryvision.errors import ConfigError, CryvisionError
from cryvision.layers import require_package
from cryvision.outputs.labels import (
    all_bouts,
    all_events,
    bout_cues,
    events_and_bouts,
    events_inside,
    label_writer,
)
from cryvision.outputs.plots import write_png
from cryvision.outputs.tables import (
    write_bouts_csv,
    write_events_csv,
    write_json,
    write_quality_csv,
    write_timeline_csv,
)
from cryvision.outputs.timeline_tables import check_hop, with_hop, write_timeline_parquet
from cryvision.outputs.video import write_video
from cryvision.result import Classification
from cryvision.safe_text import portable_name

Writer = Callable[..., None]
"""Takes the classification, the path to write, and what `_TAKES` names for its format."""

FORMATS: Mapping[str, Mapping[str, Writer]] = {
    "csv": {
        ".csv": write_timeline_csv,
        ".events.csv": write_events_csv,
        ".bouts.csv": write_bouts_csv,
    },
    "parquet": {".timeline.parquet": write_timeline_parquet},
    "quality": {".quality.csv": write_quality_csv},
    "json": {".json": write_json},
    "audacity": {
        ".labels.txt": label_writer("audacity", all_events),
        ".bouts.txt": label_writer("audacity", all_bouts),
    },
    "vtt": {".vtt": label_writer("vtt", bout_cues)},
    "srt": {".srt": label_writer("srt", bout_cues)},
    "rttm": {".rttm": label_writer("rttm", events_inside)},
    "textgrid": {".TextGrid": label_writer("textgrid", events_and_bouts)},
    "eaf": {".eaf": label_writer("eaf", events_and_bouts)},
    "raven": {".selections.txt": label_writer("raven", events_inside)},
    "boris": {".boris.tsv": label_writer("boris", events_inside)},
    "childproject": {".childproject.csv": label_writer("childproject", events_inside)},
    "chat": {".cha": label_writer("chat", events_inside)},
    "audioset": {".audioset.tsv": label_writer("audioset", events_inside)},
    "dcase": {".dcase.tsv": label_writer("dcase", events_inside)},
    "label-studio": {".label-studio.json": label_writer("label-studio", events_inside)},
    "png": {".png": write_png},
    "mp4": {".annotated.mp4": write_video},
    "mp4-blurred": {".blurred.mp4": partial(write_video, blur_faces=True)},
}
"""Each format's files: suffix and the function that writes it to a path."""

ALL = "all"
"""In place of a format: each that the clip can have."""

_TIMELINES = ("csv", "parquet", "json")
"""Formats that hold the timeline, with the hop that is wanted."""

_VIDEOS = ("mp4", "mp4-blurred")
READS_THE_CLIP = ("png", *_VIDEOS)
"""Formats that are written from the clip itself, which must be at the path of the result."""

_TAKES = {
    "json": ("show_experimental",),
    "png": ("show_rejected", "show_experimental"),
    "mp4": ("show_experimental",),
    "mp4-blurred": ("show_experimental",),
}

MAX_NAME_BYTES = 255
"""Longest file name that the common file systems of Linux, macOS and Windows all take."""

_SUFFIXES = tuple(suffix for files in FORMATS.values() for suffix in files)
# Room is left for the number that `stems` may add.
_MAX_STEM_BYTES = MAX_NAME_BYTES - max(len(suffix) for suffix in _SUFFIXES) - len("-99999")


@typed
def write(
    classification: Classification,
    out_dir: str | os.PathLike[str],
    formats: Sequence[str],
    stem: str | None = None,
    *,
    show_rejected: bool = False,
    show_experimental: bool = False,
    timeline_hop_s: float | None = None,
) -> list[Path]:
    """Write one clip's result in the wanted formats, replacing files of the same names.

    Every file is written beside its place and renamed when all are complete, so a full disk or an
    interrupted run leaves nothing half-written.

    Parameters
    ----------
    classification : Classification
    out_dir : path
        Folder for the files; made if it is missing.
    formats : sequence of str
        Keys of `FORMATS`, or `ALL`; see `clip_formats`.
    stem : str, optional
        Start of the file names (see `stems`); by default the clip's own name without its suffix.
        What a file system somewhere would refuse is replaced, so nothing leaves ``out_dir``.
    show_rejected : bool
        Draw the candidates that the tagger rejected into the figure; they are in the JSON anyway.
    show_experimental : bool
        Show reasons that were not measured to be distinguished in figure, video and JSON.
    timeline_hop_s : float, optional
        From row to row of the timeline in CSV, Parquet and JSON; by default a frame.

    Returns
    -------
    list of Path
        The files, in the order of the formats.

    Raises
    ------
    ConfigError
        On an unknown format, or where a file would overwrite the clip itself.
    CryvisionError
        If the folder or a file in it cannot be written.
    MediaError
        If the figure is wanted and the clip can no longer be read.
    """
    name = _portable(PurePath(classification.path).stem if stem is None else stem)
    shown = {"show_rejected": show_rejected, "show_experimental": show_experimental}
    shorter = with_hop(classification, timeline_hop_s)
    files = {
        Path(out_dir, f"{name}{suffix}"): partial(
            writer,
            shorter if form in _TIMELINES else classification,
            **{key: shown[key] for key in _TAKES.get(form, ())},
        )
        for form in clip_formats(classification, formats)
        for suffix, writer in FORMATS[form].items()
    }
    _write_all(classification.path, Path(out_dir), files)
    return list(files)


def _write_all(clip: str, folder: Path, files: Mapping[Path, Callable[[Path], object]]) -> None:
    for target in files:
        if _is_same_file(target, clip):
            raise ConfigError(
                f"an output must not overwrite the clip; choose another out: {target}"
            )
    parts: dict[Path, Path] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for target, write_to in files.items():
            parts[target] = folder / f".{uuid.uuid4().hex}.part"
            write_to(parts[target])
        for target, part in parts.items():
            os.replace(part, target)
    except OSError as error:
        reason = error.strerror or error
        raise CryvisionError(f"the results could not be written: {reason}: {folder}") from error
    finally:
        for part in parts.values():
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)


def check_formats(formats: Collection[str]) -> None:
    allowed = (*FORMATS, ALL)
    for name in formats:
        if name not in allowed:
            raise ConfigError(f"formats must be among {', '.join(allowed)}; got {name!r}")
    if "parquet" in formats:
        require_package("pyarrow", "Parquet", "batch")


def check_timeline_hop(hop_seconds: float | None, formats: Collection[str]) -> None:
    """Refuse with ConfigError a hop that is too short, or that none of the formats would have."""
    check_hop(hop_seconds)
    if hop_seconds is not None and not {*_TIMELINES, ALL} & set(formats):
        raise ConfigError(
            "the hop of the timeline needs csv, parquet or json among the formats; "
            f"got {', '.join(formats) or 'none'}"
        )


def clip_formats(classification: Classification, formats: Sequence[str]) -> list[str]:
    """Put the formats that a clip can have in the place of `ALL`; other lists stay as they are.

    Of the videos that is ``mp4``, or ``mp4-blurred`` where that is named too, and neither without
    pictures; ``parquet`` only where pyarrow is installed.
    """
    check_formats(formats)
    if ALL not in formats:
        return list(formats)
    left_out = set(_VIDEOS)
    if find_spec("pyarrow") is None:
        left_out.add("parquet")
    if classification.media.get("has_picture"):
        left_out.remove(_VIDEOS[_VIDEOS[1] in formats])
    return [name for name in FORMATS if name not in left_out]


@typed
def stems(paths: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Name the outputs of one run's clips so that no two clips share a file.

    Parameters
    ----------
    paths : iterable of path
        The clips.

    Returns
    -------
    list of str
        One stem a clip, in order: the file's name without its suffix; with it where two clips
        would collide (``a.wav`` and ``a.mp4``), and numbered where that is not enough. Names that
        differ only in case or in Unicode form collide, as they do on macOS and Windows.
    """
    names = [PurePath(path) for path in paths]
    plain = [_portable(name.stem) for name in names]
    count = Counter(_folded(stem) for stem in plain)
    taken: set[str] = set()
    chosen = []
    for name, stem in zip(names, plain, strict=True):
        base = stem if count[_folded(stem)] == 1 else _portable(name.name)
        candidate, number = base, 1
        while not taken.isdisjoint(_claimed(candidate)):
            number += 1
            candidate = f"{base}-{number}"
        taken |= _claimed(candidate)
        chosen.append(candidate)
    return chosen


def _claimed(stem: str) -> set[str]:
    """All file names a stem may lead to: the stems ``a`` and ``a.events`` meet in one of them."""
    return {_folded(stem + suffix) for suffix in _SUFFIXES}


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _portable(stem: str) -> str:
    """Turn any text into a file stem that every file system takes; the same text, the same stem."""
    name = portable_name(stem)
    encoded = name.encode()
    if len(encoded) > _MAX_STEM_BYTES:
        mark = f"~{hashlib.sha256(encoded).hexdigest()[:8]}"
        name = encoded[: _MAX_STEM_BYTES - len(mark)].decode(errors="ignore") + mark
    return name


def _is_same_file(target: Path, clip: str) -> bool:
    try:
        return bool(clip) and target.samefile(clip)
    except (OSError, ValueError):
        return False
