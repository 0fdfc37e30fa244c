"""What all routes share: JSON answers, refusals, and finding what a request names."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, HTTPException, Query
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from cryvision.web.clips import PageClip
from cryvision.web.jobs import Job
from cryvision.web.page import Page, dumps


class JSON(Response):
    """JSON that is written as it is, without a detour."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return dumps(content)


def get_page(connection: HTTPConnection) -> Page:
    page: Page = connection.app.state.page
    return page


def get_clip(clip_id: str, request: Request) -> PageClip:
    """Find a clip by the id in the path; 404 where there is none."""
    clip = get_page(request).clips.get(clip_id)
    if clip is None:
        raise HTTPException(404, "there is no such clip")
    return clip


def get_scored_clip(clip_id: str, request: Request) -> PageClip:
    """Find a clip that has a result; 409 where it has none yet."""
    clip = get_clip(clip_id, request)
    if not clip.scored:
        raise HTTPException(409, f"this file has no result: {clip.status}")
    return clip


def get_job(job_id: str, request: Request) -> Job:
    """Find a job by the id in the path; 404 where there is none."""
    job = get_page(request).jobs.get(job_id)
    if job is None:
        raise HTTPException(404, "there is no such job")
    return job


def get_who(request: Request) -> str:
    """Return the name that came with the password; empty without passwords."""
    return str(request.scope.get("who", ""))


ThePage = Annotated[Page, Depends(get_page)]
AnyClip = Annotated[PageClip, Depends(get_clip)]
ScoredClip = Annotated[PageClip, Depends(get_scored_clip)]
TheJob = Annotated[Job, Depends(get_job)]
Who = Annotated[str, Depends(get_who)]
Seconds = Annotated[float, Query(ge=0, le=1e6, allow_inf_nan=False)]
Points = Annotated[int, Query(ge=1, le=8000)]


def get_stretch(
    clip: ScoredClip, start_s: Seconds = 0.0, end_s: Seconds | None = None
) -> tuple[float, float]:
    """Check a stretch of a clip; the whole of it by default."""
    end_s = clip.result().duration_s if end_s is None else end_s
    if not start_s < end_s:
        raise HTTPException(422, "start_s must be before end_s")
    return start_s, end_s


Stretch = Annotated[tuple[float, float], Depends(get_stretch)]
