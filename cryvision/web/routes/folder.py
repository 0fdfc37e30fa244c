"""The addresses of the folder, and of what takes long: videos, faces, training."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, Field
from starlette.responses import FileResponse, Response

from cryvision.inputs.quality import MINUTE_SECONDS
from cryvision.subjects import compile_subject_pattern
from cryvision.web.clips import PageClip
from cryvision.web.faces import faces_within
from cryvision.web.heatmap import TimedClip, heatmap
from cryvision.web.jobs import CANCELLED, FINISHED, RUNNING, WAITING, Job
from cryvision.web.results import sound_seconds
from cryvision.web.routes.answers import JSON, ScoredClip, Seconds, TheJob, ThePage

router = APIRouter(prefix="/api")


class TrainingOptions(BaseModel):
    """How a detector is trained on corrections."""

    subject_pattern: str | None = Field(
        default=None,
        max_length=200,
        description="Regular expression whose first group, on the name of a clip, is its subject.",
    )
    cry_labels: list[str] = Field(
        default=[], max_length=20, description="More labels that mean crying."
    )
    folds: int = Field(default=5, ge=2, le=20, strict=True)


@router.post("/folder/score", status_code=202, tags=["folder"])
def score_folder(page: ThePage) -> JSON:
    """Score all clips of the folder that are not scored yet, behind everything else."""
    if page.settings.folder is None:
        raise HTTPException(409, "the server was started without a folder")
    job = page.score_folder()
    return JSON({"job_id": job.id, "n_clips": len(job.children)}, 202)


@router.get("/folder/score", tags=["folder"])
def newest_folder_job(page: ThePage) -> JSON:
    """Name the job that scores the folder, while that is under way."""
    job = page.folder_job
    under_way = job is not None and job.snapshot()["status"] in (WAITING, RUNNING)
    return JSON({"job_id": job.id if job is not None and under_way else None})


@router.get("/folder/heatmap", tags=["folder"])
def minutes_by_hour(page: ThePage, by: Literal["day", "week"] = "day") -> JSON:
    """Give minutes of crying by hour, of the scored clips whose names say when they begin."""
    clips = [clip for clip in page.clips.all() if clip.scored and not clip.uploaded]
    timed = [one for clip in clips if (one := _timed(clip)) is not None]
    return JSON(
        {**heatmap(timed, by), "n_clips": len(timed), "n_without_time": len(clips) - len(timed)}
    )


@router.post("/clips/{clip_id}/video", status_code=202, tags=["clips"])
def make_video(clip: ScoredClip, page: ThePage) -> JSON:
    """Make the video with what was found drawn below the picture."""
    if not clip.result().media.get("has_picture"):
        raise HTTPException(422, "a video needs a clip with pictures")
    out = str(clip.results / "annotated.mp4")
    job = page.side_job("video", clip, folder=str(clip.results), out=out)
    return JSON({"job_id": job.id}, 202)


@router.get("/clips/{clip_id}/video.mp4", tags=["clips"])
def video(clip: ScoredClip) -> FileResponse:
    """Download the video that was made."""
    path = clip.results / "annotated.mp4"
    if not path.exists():
        raise HTTPException(404, "the video was not made yet")
    return FileResponse(path, media_type="video/mp4")


@router.get("/clips/{clip_id}/faces", tags=["clips"])
def faces(clip: ScoredClip, page: ThePage, start_s: Seconds = 0.0, end_s: Seconds = 1e6) -> JSON:
    """Give the face in each of some pictures a second, where the face detector is installed.

    The first request has the faces looked for, and names the job.
    """
    path = clip.results / "faces.json"
    job = page.face_jobs.get(path)
    if not path.exists() and job is None and clip.result().media.get("has_picture"):
        job = page.face_jobs[path] = page.side_job("faces", clip, out=str(path))
    found = faces_within(path, start_s, end_s)
    state = "done" if path.exists() else "none" if job is None else job.snapshot()["status"]
    return JSON({**found, "status": state, "job_id": None if job is None else job.id})


@router.post("/train", status_code=202, tags=["training"])
def train(page: ThePage, options: TrainingOptions | None = None) -> JSON:
    """Train a detector on all corrections, and measure it on clips kept apart."""
    options = options or TrainingOptions()
    compile_subject_pattern(options.subject_pattern or None)  # refused at once, not by the job
    clips = [clip for clip in page.clips.all() if clip.corrections.exists()]
    if not clips:
        raise HTTPException(422, "no clip has been corrected yet")
    job = Job("train")
    folder = page.settings.folder
    job.request = {
        **options.model_dump(),
        "job_id": job.id,
        "source": (folder.resolve().name if folder else "") or "corrections",
        "clips": [_training_clip(clip) for clip in clips],
        "out": str(page.private / "downloads" / f"{job.id}.zip"),
    }
    page.side_lane.submit(job)
    page.training = page.jobs.add(job)
    return JSON({"job_id": job.id, "n_clips": len(clips)}, 202)


@router.get("/train", tags=["training"])
def newest_training(page: ThePage) -> JSON:
    """Name the job of the newest training, unless that was called off."""
    job = page.training
    return JSON({"job_id": None if job is None or job.status == CANCELLED else job.id})


@router.get("/train/{job_id}/bundle.zip", tags=["training"])
def trained_bundle(job: TheJob, page: ThePage) -> Response:
    """Download the bundle of a training that is done."""
    path = page.private / "downloads" / f"{job.id}.zip"
    if job.kind != "train" or job.status != FINISHED or not path.exists():
        raise HTTPException(404, "there is no bundle of such a training")
    return FileResponse(path, media_type="application/zip", filename="corrected-detector.zip")


def _timed(clip: PageClip) -> TimedClip | None:
    if clip.start is None:
        return None
    result = clip.corrected_result()
    spans = tuple(event.span_s for event in result.crying)
    starts = (MINUTE_SECONDS * number for number in range(len(result.quiet_seconds)))
    # It is known in which minute it was too quiet, and that is enough for hours.
    quiet = tuple((at, at + s) for at, s in zip(starts, result.quiet_seconds, strict=True) if s)
    return TimedClip(clip.start, sound_seconds(result), spans, quiet)


def _training_clip(clip: PageClip) -> dict[str, Any]:
    return {
        "path": str(clip.path),
        "labels": str(clip.corrections),
        "name": clip.name,
        "results": str(clip.results) if clip.scored else None,
    }
