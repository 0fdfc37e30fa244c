"""The addresses of jobs."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response, StreamingResponse

from cryvision.web.routes.answers import JSON, TheJob, ThePage, follow

router = APIRouter(tags=["jobs"])


@router.get("/api/jobs/{job_id}")
def state(job: TheJob) -> JSON:
    """Say how far a job is."""
    return JSON(job.snapshot())


@router.get("/api/jobs/{job_id}/events")
async def events(job: TheJob, page: ThePage) -> StreamingResponse:
    """Follow a job by server-sent events, until it has ended."""
    return follow(page, job)


@router.delete("/api/jobs/{job_id}", status_code=204)
def cancel(job: TheJob, page: ThePage) -> Response:
    """End a job."""
    page.cancel(job)
    return Response(status_code=204)
