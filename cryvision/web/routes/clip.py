"""The addresses of clips: upload, result, media, waveform, tracks, corrections, downloads."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import numpy as np
from fastapi import APIRouter, Body, HTTPException, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, Response

from cryvision.web.agreement import agreement_record
from cryvision.web.exports import CLIP_FORMATS, corrected, export
from cryvision.web.page import (
    StaleError,
    clip_record,
    corrections_json,
    current_corrections,
    save_corrections,
)
from cryvision.web.results import pooled_tracks
from cryvision.web.routes.answers import JSON, AnyClip, Points, ScoredClip, Stretch, ThePage, Who

router = APIRouter(prefix="/api/clips", tags=["clips"])


@router.post("", status_code=202)
async def upload(request: Request, page: ThePage) -> JSON:
    """Upload a clip as the part ``file`` of a form; it is scored at once."""
    clip, job = await request.app.state.receiver.receive(request)
    page.clips.add(clip)
    return JSON({"clip_id": clip.id, "job_id": job.id}, 202)


@router.get("")
def table(page: ThePage) -> JSON:
    """List all clips, each with what is known of it."""
    return JSON([clip.row() for clip in page.clips.all()])


@router.delete("/{clip_id}", status_code=204)
def delete(clip: AnyClip, page: ThePage) -> Response:
    """Delete an upload with all that is known of it."""
    if not clip.uploaded:
        raise HTTPException(405, "a clip of the folder is never deleted")
    if clip.job is not None:
        page.cancel(clip.job)
    page.clips.remove(clip)
    return Response(status_code=204)


@router.post("/{clip_id}/score", status_code=202)
def score(clip: AnyClip, page: ThePage) -> JSON:
    """Score a clip of the folder, or one whose scoring failed, anew."""
    return JSON({"job_id": page.score(clip).id}, 202)


@router.get("/{clip_id}")
def record(clip: ScoredClip) -> JSON:
    """Give the record of ``cryvision classify --json``, and what the page needs besides."""
    return JSON(clip_record(clip))


@router.get("/{clip_id}/media")
def media(clip: ScoredClip, page: ThePage) -> FileResponse:
    """Play a clip, or a copy that browsers can play; a part of it with a Range."""
    if not clip.path.exists():
        raise HTTPException(404, "the file of this clip is not there")
    path, kind = page.playback.playable(clip)
    return FileResponse(path, media_type=kind, headers={"content-disposition": "inline"})


@router.get("/{clip_id}/peaks")
def peaks(clip: ScoredClip, page: ThePage, stretch: Stretch, points: Points = 1000) -> JSON:
    """Give the lowest and highest sample of each of so many stretches."""
    rows = np.round(page.pyramid(clip).peaks(*stretch, points), 4)
    return JSON({"min": rows[:, 0].tolist(), "max": rows[:, 1].tolist()})


@router.get("/{clip_id}/tracks")
def tracks(clip: ScoredClip, stretch: Stretch, points: Points = 1000) -> JSON:
    """Give the columns of the timeline, the largest value of each of at most so many stretches.

    Values are in percent, and null where nothing was scored.
    """
    time_s, columns = pooled_tracks(clip.shown_result().timeline, *stretch, points)
    return JSON(
        {
            "time_s": np.round(time_s, 4).tolist(),
            "columns": {name: _percent(values) for name, values in columns.items()},
        }
    )


@router.get("/{clip_id}/spectrogram.png")
def spectrogram(
    clip: ScoredClip,
    page: ThePage,
    stretch: Stretch,
    width: Annotated[int, Query(ge=1, le=4000)] = 1000,
    height: Annotated[int, Query(ge=1, le=1000)] = 128,
) -> Response:
    """Draw the spectrogram of a stretch, 0 to 8 kHz."""
    picture = page.pyramid(clip).spectrogram_png(*stretch, width, height)
    return Response(picture, media_type="image/png")


@router.get("/{clip_id}/corrections")
def corrections(clip: ScoredClip) -> JSON:
    """Give the newest events; those of the detector before the first save."""
    return JSON(corrections_json(current_corrections(clip)))


@router.put("/{clip_id}/corrections")
def correct(clip: ScoredClip, who: Who, body: Annotated[Any, Body()]) -> JSON:
    """Save events; they are on the disk when this is answered."""
    try:
        saved = save_corrections(clip, body, who)
    except StaleError:
        newer = corrections_json(current_corrections(clip))
        return JSON({"error": "the corrections were saved elsewhere meanwhile", **newer}, 409)
    except OSError as error:
        reason = error.strerror or error
        raise HTTPException(507, f"the corrections could not be saved: {reason}") from error
    return JSON({"version": saved.version, "digest": saved.digest, "saved_at": saved.saved_at})


@router.get("/{clip_id}/export/{form}")
def download(clip: ScoredClip, form: str, which: str = "detector") -> Response:
    """Download the events of the detector, or those that somebody corrected, in a format."""
    if form not in CLIP_FORMATS:
        raise HTTPException(404, f"formats are {', '.join(CLIP_FORMATS)}")
    if which not in ("detector", "corrected"):
        raise HTTPException(422, "which must be detector or corrected")
    result = clip.result()
    if which == "corrected" and clip.corrections.exists():
        result = corrected(result, current_corrections(clip).events)
    with tempfile.TemporaryDirectory() as scratch:
        name, kind, data = export(result, clip.name, form, Path(scratch))
    disposition = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    return Response(data, media_type=kind, headers={"content-disposition": disposition})


@router.get("/{clip_id}/agreement")
async def agreement(clip: ScoredClip) -> JSON:
    """Compare the corrected events with those of the detector."""
    events = (await run_in_threadpool(current_corrections, clip)).events
    return JSON(await run_in_threadpool(agreement_record, clip.result(), events))


def _percent(values: np.ndarray) -> list[int | None]:
    known = np.isfinite(values)
    percents = np.rint(100 * np.where(known, values, 0)).astype(int).astype(object)
    percents[~known] = None
    return list(percents)
