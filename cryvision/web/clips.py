"""The clips that the page shows: uploads, and those of a folder."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path, PurePath
from typing import Any

from cryvision.annotations.corrections import corrections_path, read_corrections
from cryvision.batch.sources import FoundClip, find_clips, local_clip
from cryvision.errors import AnnotationError, MediaError
from cryvision.inputs.media import MEDIA_SUFFIXES
from cryvision.outputs.files import stems
from cryvision.outputs.shown import as_shown
from cryvision.result import Classification
from cryvision.safe_text import escaped
from cryvision.start_times import recording_start
from cryvision.web.exports import corrected
from cryvision.web.jobs import CANCELLED, FINISHED, RUNNING, WAITING, Job
from cryvision.web.results import SUMMARY, crying_summary, load_result

RESCAN_SECONDS = 2.0
"""How long the listing of the folder is taken to be true."""

LONGEST_NAME = 200


@dataclass(eq=False)
class PageClip:
    """A clip, with its newest scoring.

    The name is what is shown: of an upload its file name, of a clip of the folder its path there.
    ``place`` is the folder of all that is known of the clip. Of an upload ``stated_seconds`` is the
    length that its file states; of a clip of the folder ``version`` tells one state of the file
    from the next.
    """

    id: str
    name: str
    path: Path
    place: Path
    uploaded: bool
    job: Job | None = None
    stated_seconds: float | None = None
    version: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    playback_lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @cached_property
    def start(self) -> datetime | None:
        """When the recording started, by the clock of its place; None where nothing states it."""
        found = recording_start(self.path, name=self.name)
        return None if found is None else found.time

    @property
    def scored(self) -> bool:
        return self.job is not None and self.job.status == FINISHED

    @property
    def status(self) -> str:
        if self.job is None or self.job.status == CANCELLED:
            return "not scored"
        names = {WAITING: "waiting", RUNNING: "scoring", FINISHED: "done"}
        return names.get(self.job.status, "failed")

    @property
    def corrections(self) -> Path:
        return corrections_path(self.path)

    @property
    def results(self) -> Path:
        """Folder of the newest scoring: of its own, so that nothing changes while it is read."""
        return self.place / (self.job.id if self.job is not None else "none")

    def result(self) -> Classification:
        """Return its result; the clip must be scored."""
        return _result(self.results, _version(self.results / "result.json"))

    def shown_result(self) -> Classification:
        """Return its result less what is hidden by default."""
        return _shown_result(self.results, _version(self.results / "result.json"))

    def corrected_result(self) -> Classification:
        """Return its result with the events that a person left, where that can be read."""
        return _corrected_result(self.results, self.corrections)

    def row(self) -> dict[str, Any]:
        summary: dict[str, Any] = dict.fromkeys(SUMMARY)
        if self.scored and self.job is not None:
            summary |= self.job.result or {}
            # It may be scored anew at this moment, or its corrections taken away.
            with contextlib.suppress(FileNotFoundError):
                versions = _version(self.corrections), _version(self.results / "result.json")
                summary |= _corrected_summary(self.results, self.corrections, versions)
        return {
            "clip_id": self.id,
            "name": self.name,
            "status": self.status,
            "job_id": None if self.job is None else self.job.id,
            "error": self.job.error or None if self.job is not None else None,
            **summary,
            "corrected": self.corrections.exists(),
            "uploaded": self.uploaded,
            "start_time": (
                self.start and self.start.replace(tzinfo=None).isoformat(timespec="seconds")
            ),
        }


@lru_cache(maxsize=16)
def _result(folder: Path, version: int) -> Classification:
    return load_result(folder)


@lru_cache(maxsize=16)
def _shown_result(folder: Path, version: int) -> Classification:
    return as_shown(_result(folder, version))


@lru_cache(maxsize=4096)
def _corrected_summary(
    folder: Path, corrections: Path, versions: tuple[int, int]
) -> dict[str, Any]:
    return crying_summary(_corrected_result(folder, corrections))


def _corrected_result(folder: Path, corrections: Path) -> Classification:
    result = _result(folder, _version(folder / "result.json"))
    if not corrections.exists():
        return result
    try:
        return corrected(result, read_corrections(corrections).events)
    except AnnotationError:
        return result


def _version(path: Path) -> int:
    return path.stat().st_mtime_ns


def shown_name(name: str) -> str:
    """Turn the name of an upload into one to show: its last part, in one line, not too long."""
    last = re.split(r"[/\\]", name)[-1].strip() or "clip"
    return escaped(last)[:LONGEST_NAME]


def without_path(error: Exception | str, path: Path | str) -> str:
    """Give the words of an error less the place of a clip on this machine."""
    text = str(error)
    for name in (str(path), os.path.dirname(path)):
        text = text.replace(f"{name}: ", "").replace(name, "the clip")
    return text


class Clips:
    """All clips by their id: uploads, and those of ``folder`` where there is one.

    ``private`` holds the folders ``clips`` and ``results``.
    """

    def __init__(self, private: Path, folder: Path | None) -> None:
        self._private = private
        self.folder = None if folder is None else folder.resolve()
        self._clips: dict[str, PageClip] = {}
        self._lock = threading.RLock()
        self._scanned_at = -RESCAN_SECONDS

    def all(self) -> list[PageClip]:
        """List uploads, newest first, then the folder in the order of names."""
        with self._lock:
            self._scan()
            clips = list(self._clips.values())
        uploads = [clip for clip in clips if clip.uploaded]
        return uploads[::-1] + sorted(
            (clip for clip in clips if not clip.uploaded), key=lambda clip: clip.name
        )

    def get(self, clip_id: str) -> PageClip | None:
        with self._lock:
            if clip_id not in self._clips:
                self._scan()
            clip = self._clips.get(clip_id)
            if clip is not None and not clip.uploaded:
                found = local_clip(os.fspath(clip.path))
                if found.size_bytes >= 0:  # else its drive may be away for a while
                    self._put(self._clip(found))
            return self._clips.get(clip_id)

    def new_place(self, name: str) -> PageClip:
        """Make a place for an upload; nothing of its name decides where that is."""
        clip_id = secrets.token_hex(8)
        name = shown_name(name)
        folder = self._private / "clips" / clip_id
        folder.mkdir()
        suffix = PurePath(name).suffix.lower()
        suffix = suffix if suffix in MEDIA_SUFFIXES else ""
        path = folder / f"{stems([name])[0]}{suffix}"
        return PageClip(clip_id, name, path, self._private / "results" / clip_id, True)

    def add(self, clip: PageClip) -> None:
        with self._lock:
            self._clips[clip.id] = clip

    def remove(self, clip: PageClip) -> None:
        with self._lock:
            self._clips.pop(clip.id, None)
        if clip.uploaded:
            shutil.rmtree(clip.path.parent, ignore_errors=True)
        shutil.rmtree(clip.place, ignore_errors=True)

    def uploaded_bytes(self) -> int:
        with self._lock:
            uploads = [clip.path for clip in self._clips.values() if clip.uploaded]
        return sum(path.stat().st_size for path in uploads if path.exists())

    def _scan(self) -> None:
        if self.folder is None or time.monotonic() - self._scanned_at < RESCAN_SECONDS:
            return
        self._scanned_at = time.monotonic()
        try:
            clips = map(self._clip, find_clips([str(self.folder)], (), []))
            found = {clip.id: clip for clip in clips}
        except MediaError:
            return  # a drive that is away for a while: its clips stay as they were
        gone = [i for i, clip in self._clips.items() if not clip.uploaded and i not in found]
        for clip_id in gone:
            del self._clips[clip_id]
        for clip in found.values():
            self._put(clip)

    def _put(self, clip: PageClip) -> None:
        """Take a clip that is new, or another file than the one that was scored."""
        if clip.id not in self._clips or self._clips[clip.id].version != clip.version:
            self._clips[clip.id] = clip

    def _clip(self, found: FoundClip) -> PageClip:
        assert self.folder is not None
        relative = os.path.relpath(found.path, self.folder).replace(os.sep, "/")
        # Browsers keep drafts by it: a clip of the same name elsewhere is another one.
        clip_id = hashlib.sha256(os.fsencode(found.path)).hexdigest()[:16]
        place = self._private / "results" / clip_id
        version = f"{found.size_bytes} {found.version}"
        return PageClip(
            clip_id, escaped(relative), Path(found.path), place, uploaded=False, version=version
        )
