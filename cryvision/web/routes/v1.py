"""The addresses for programs alone: classify a clip, and what all addresses are."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse

from cryvision.outputs.tables import to_record
from cryvision.web.clips import PageClip
from cryvision.web.jobs import FINISHED, Job
from cryvision.web.page import Page
from cryvision.web.routes.answers import JSON, ThePage
from cryvision.web.routes.openapi_page import openapi_html
from cryvision.web.uploads import RefusedError

WAITED_SECONDS = 60.0
"""A longer clip is answered with a job."""

_POLL_SECONDS = 0.02

_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": {"type": "string", "format": "binary"}},
                    "required": ["file"],
                }
            },
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}

router = APIRouter(prefix="/v1", tags=["for programs"])


@router.post("/classify", openapi_extra=_BODY)
async def classify(request: Request, page: ThePage, name: str = Query("clip")) -> JSON:
    """Classify a clip and delete it: the record of ``cryvision classify --json``.

    The clip is the part ``file`` of a form, or the body itself, then perhaps with its ``name``. One
    longer than 60 s is answered with 202 and a ``job_id``.
    """
    clip = await request.app.state.receiver.receive(request, name)
    try:
        job = page.score(clip)
    except BaseException:
        page.clips.remove(clip)
        raise
    ending = asyncio.create_task(_conclude(page, clip, job))
    request.app.state.background.add(ending)
    ending.add_done_callback(request.app.state.background.discard)
    if clip.stated_seconds is None or clip.stated_seconds > WAITED_SECONDS:
        return JSON({"job_id": job.id}, 202)
    await asyncio.shield(ending)
    if job.status != FINISHED:
        raise RefusedError(422, job.error or "the clip was not classified")
    return JSON(job.result)


@router.get("/docs", include_in_schema=False)
def documentation(request: Request) -> HTMLResponse:
    """Describe all addresses on one page without scripts."""
    return HTMLResponse(openapi_html(request.app.openapi()))


async def _conclude(page: Page, clip: PageClip, job: Job) -> None:
    """Wait for the end, keep the record, delete the clip."""
    while not (job.ended.is_set() or page.closing):
        await asyncio.sleep(_POLL_SECONDS)
    record: dict[str, Any] | None = None
    if job.status == FINISHED:
        record = {**to_record(await asyncio.to_thread(clip.result)), "path": clip.name}
    job.result = record
    await asyncio.to_thread(page.clips.remove, clip)
