"""The addresses of jobs, for the page and for programs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter
from starlette.responses import Response, StreamingResponse

from cryvision.web.jobs import CANCELLED, FAILED, FINISHED
from cryvision.web.page import dumps
from cryvision.web.routes.answers import JSON, TheJob, ThePage

SSE_SECONDS = 0.1
"""How often a job is looked at for those who follow it."""

SSE_QUIET_SECONDS = 10.0
"""After so long without news a comment is sent, so that a connection that has gone is noticed."""

router = APIRouter()


@router.get("/api/jobs/{job_id}", tags=["jobs"])
@router.get("/v1/jobs/{job_id}", tags=["for programs"])
def state(job: TheJob) -> JSON:
    """Say how far a job is; once it is done, with its ``result``."""
    return JSON(job.snapshot())


@router.get("/api/jobs/{job_id}/events", tags=["jobs"])
@router.get("/v1/jobs/{job_id}/events", tags=["for programs"])
async def events(job: TheJob, page: ThePage) -> StreamingResponse:
    """Follow a job by server-sent events: itself whenever it changes, until it has ended."""

    async def messages() -> AsyncIterator[bytes]:
        last, quiet_s = b"", 0.0
        while not page.closing:
            snapshot = job.snapshot()
            data = dumps(snapshot)
            if data != last:
                last, quiet_s = data, 0.0
                yield b"data: " + data + b"\n\n"
            if snapshot["status"] in (FINISHED, FAILED, CANCELLED):
                return
            await asyncio.sleep(SSE_SECONDS)
            quiet_s += SSE_SECONDS
            if quiet_s >= SSE_QUIET_SECONDS:
                quiet_s = 0.0
                yield b": still here\n\n"

    return StreamingResponse(messages(), media_type="text/event-stream")


@router.delete("/api/jobs/{job_id}", tags=["jobs"], status_code=204)
def cancel(job: TheJob, page: ThePage) -> Response:
    """End a job."""
    page.cancel(job)
    return Response(status_code=204)
