"""What the server knows and does: clips, jobs and limits, apart from how it is asked."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryvision import __version__
from cryvision.annotations.corrections import (
    CorrectedEvent,
    Corrections,
    check_events,
    check_name,
    read_corrections,
    write_corrections,
)
from cryvision.bundle import Bundle
from cryvision.errors import AnnotationError, ConfigError
from cryvision.monitor.live import open_source
from cryvision.outputs.bundle_text import rests_on
from cryvision.outputs.tables import to_record
from cryvision.outputs.wording import NO_BREAK
from cryvision.result import Classification
from cryvision.safe_text import escaped
from cryvision.web import settings as limits
from cryvision.web.clips import Clips, PageClip
from cryvision.web.exports import CLIP_FORMATS
from cryvision.web.jobs import BEHIND, CANCELLED, FINISHED, FIRST, Job, Jobs, Lane
from cryvision.web.live import Feeds
from cryvision.web.playback import Playback
from cryvision.web.pyramid import PYRAMID, Pyramid, Pyramids
from cryvision.web.results import not_scored, sound_seconds
from cryvision.web.settings import ServeSettings

if TYPE_CHECKING:
    from cryvision.monitor.config import SourceSettings
    from cryvision.monitor.sources.source import Source

HONESTY = (
    "Crying is missed and other sounds are taken for crying. Why a baby cries is not known from "
    "its sound. This is no medical device."
)


class StaleError(Exception):
    """Corrections were saved by somebody else meanwhile."""


class Page:
    """The clips of a server and the work on them; ``private`` is the server's own folder."""

    def __init__(self, settings: ServeSettings, private: Path) -> None:
        self.settings, self.private = settings, private
        self.bundle = Bundle.load(settings.bundle).keeping_models()
        self.clips = Clips(private, settings.folder)
        self.jobs = Jobs()
        requests = private / "requests"
        # Workers have a current folder of their own.
        bundle = None if settings.bundle is None else os.path.abspath(settings.bundle)
        self.score_lane = Lane("score", bundle, requests, limits.MAX_WAITING)
        self.side_lane = Lane("side", bundle, requests, limits.MAX_SIDE_WAITING)
        self.score_lane.submit(Job("warm"), BEHIND)
        self.playback = Playback()
        self.pyramids = Pyramids(round(limits.MAX_DRAWN_MB * 1e6))
        self.face_jobs: dict[Path, Job] = {}
        self.training: Job | None = None
        self.folder_job: Job | None = None
        self.closing = False
        self.n_live = 0
        self._sources = {} if settings.live_config is None else _sources(settings.live_config)
        self.feeds = Feeds(self._open_source, self.bundle)

    def close(self) -> None:
        self.closing = True
        self.score_lane.close()
        self.side_lane.close()
        self.playback.close()

    def _open_source(self, name: str) -> Source:
        if name not in self._sources:
            raise ConfigError("there is no such source")
        return open_source(self._sources[name], pictures=False)

    def session(self, who: str) -> dict[str, Any]:
        folder = self.settings.folder
        return {
            "version": __version__,
            "who": who,
            "has_folder": folder is not None,
            "folder_name": None if folder is None else folder.resolve().name,
            "max_upload_mb": self.settings.max_upload_mb,
            "max_minutes": self.settings.max_minutes,
            "formats": list(CLIP_FORMATS),
            "labels": list(limits.LABELS),
            "live_sources": list(self._sources),
            "bundle": {"name": self.bundle.name, "sha256": self.bundle.sha256},
            "honesty": HONESTY,
        }

    def score(self, clip: PageClip, order: int = FIRST) -> Job:
        """Have a clip scored, unless that is under way."""
        if clip.job is not None and clip.status in ("waiting", "scoring"):
            return clip.job
        job = Job("score", clip_id=clip.id)
        results = clip.place / job.id
        job.request = {
            "path": str(clip.path),
            "name": clip.name,
            "out": str(results),
            "max_minutes": self.settings.max_minutes,
        }
        job.then = lambda: self.pyramids.keep(results / PYRAMID)
        self.score_lane.submit(job, order)
        if clip.job is not None:
            shutil.rmtree(clip.results, ignore_errors=True)
        clip.job = self.jobs.add(job)
        return job

    def pyramid(self, clip: PageClip) -> Pyramid:
        return self.pyramids.get(clip.results / PYRAMID, clip.path)

    def score_folder(self) -> Job:
        """Have all clips of the folder scored that are not yet, behind everything else."""
        todo = [c for c in self.clips.all() if not c.uploaded and c.status != "done"]
        parent = Job("folder", children=[self.score(clip, BEHIND) for clip in todo])
        if not todo:
            parent.end(FINISHED)
        self.folder_job = self.jobs.add(parent)
        return parent

    def cancel(self, job: Job) -> None:
        for child in job.children:
            self.score_lane.cancel(child)
        if job.children:
            job.end(CANCELLED)
            return
        lane = self.score_lane if job.kind == "score" else self.side_lane
        lane.cancel(job)

    def side_job(self, kind: str, clip: PageClip, **request: str) -> Job:
        job = Job(kind, {"path": str(clip.path), **request}, clip.id)
        self.side_lane.submit(job)
        return self.jobs.add(job)


def _sources(config: Path) -> dict[str, SourceSettings]:
    from cryvision.monitor.config import load_config

    return {source.name: source for source in load_config(config).sources}


def clip_record(clip: PageClip) -> dict[str, Any]:
    """Give all that is known of a scored clip but its tracks."""
    result = clip.result()
    record = {**to_record(result), "path": clip.name}
    words = " ".join(rests_on(result).replace(NO_BREAK, " ").split())
    return {
        "clip_id": clip.id,
        "name": clip.name,
        "duration_s": record["duration_s"],
        "has_video": bool(result.media.get("has_picture")),
        "has_sound": bool(result.media.get("has_sound")),
        "sound_s": sound_seconds(result),
        **not_scored(result),
        "honesty": f"{HONESTY} {words[:1].upper()}{words[1:]}.",
        "record": record,
    }


def current_corrections(clip: PageClip) -> Corrections:
    """Read a clip's corrections, or make those of version 0 from what the detector found."""
    if clip.corrections.exists():
        return read_corrections(clip.corrections)
    result = clip.result()
    events = tuple(
        CorrectedEvent(
            f"d{number}",
            max(0.0, round(event.onset_s, 3)),
            round(event.span_s[1], 3),
            limits.LABELS[0],  # whatever the reason, it is crying
            "detector",
            confidence=round(float(event.confidence), 4),
        )
        for number, event in enumerate(result.events, 1)
    )
    return Corrections(events, labels=limits.LABELS, about=_about(clip, result))


def save_corrections(clip: PageClip, body: Any, who: str) -> Corrections:
    """Check what a page sends and save it; on the disk when this returns.

    ``body`` is JSON data with ``version``, ``events``, and perhaps ``who`` and ``labels``; ``who``
    is the name that came with the password, or the body's where it is empty. A StaleError says that
    the version is not that of the newest state, an AnnotationError that something in the body is
    not as it must be, or the clip is not there.
    """
    if not isinstance(body, dict) or not isinstance(body.get("version"), int):
        raise AnnotationError("corrections must be an object with a version and events")
    name = who or check_name(body.get("who", ""), "who")
    labels = body.get("labels", [])
    if not isinstance(labels, list) or len(labels) > 100:
        raise AnnotationError("labels must be a list of at most 100 texts")
    labels = [check_name(label, "a label") for label in labels]
    with clip.lock:
        if not clip.path.exists():  # the folder would be made anew, beside a drive that is away
            raise AnnotationError("the file of this clip is not there: nothing is saved")
        current = current_corrections(clip)
        # Whoever edits the file by other means leaves its version as it was.
        if (body["version"], body.get("digest", current.digest)) != (
            current.version,
            current.digest,
        ):
            raise StaleError
        events = check_events(body.get("events"), clip.result().duration_s)
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        saved = current.after(events, name, now, [label for label in labels if label])
        write_corrections(saved, clip.corrections)
    return saved


def corrections_json(corrections: Corrections) -> dict[str, Any]:
    """Give corrections as the page takes them, without their history."""
    return {
        "version": corrections.version,
        "digest": corrections.digest,
        "events": [asdict(event) for event in corrections.events],
        "labels": list(corrections.labels),
        "who": corrections.who,
        "saved_at": corrections.saved_at or None,
    }


def _about(clip: PageClip, result: Classification) -> dict[str, Any]:
    return {
        "clip": escaped(clip.path.name),
        "duration_s": round(result.duration_s, 3),
        "bundle": result.bundle.get("name"),
        "sha256": result.bundle.get("sha256"),
        "cryvision": __version__,
    }


def dumps(data: Any) -> bytes:
    """Write JSON as it is sent: quickly, and without what is no JSON."""
    return json.dumps(data, allow_nan=False, separators=(",", ":"), ensure_ascii=False).encode()
