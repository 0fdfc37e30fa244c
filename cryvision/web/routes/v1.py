"""The addresses for programs alone: classify a clip, and what all addresses are."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from html import escape
from typing import Any

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse

from cryvision.outputs.tables import to_record
from cryvision.web.clips import PageClip
from cryvision.web.jobs import FINISHED, Job
from cryvision.web.page import Page
from cryvision.web.routes.answers import JSON, ThePage
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
    clip, job = await request.app.state.receiver.receive(request, name)
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
    return HTMLResponse(_openapi_html(request.app.openapi()))


async def _conclude(page: Page, clip: PageClip, job: Job) -> None:
    """Wait for the end, keep the record, delete the clip."""
    while not (job.ended.is_set() or page.closing):
        await asyncio.sleep(_POLL_SECONDS)
    record: dict[str, Any] | None = None
    if job.status == FINISHED:
        record = {**to_record(await asyncio.to_thread(clip.result)), "path": clip.name}
    job.result = record
    await asyncio.to_thread(page.clips.remove, clip)


def _openapi_html(schema: Mapping[str, Any]) -> str:
    """Write FastAPI's description as plain HTML: no script, no file of another host."""
    info = schema["info"]
    parts = [
        "<!doctype html>",
        '<html lang="en"><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{escape(info['title'])}: addresses</title>",
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>",
        f"<p>{escape(info.get('description', ''))}",
        'The same for programs: <a href="/openapi.json">openapi.json</a>.</p>',
    ]
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            parts.append(f"<h2><code>{method.upper()} {escape(path)}</code></h2>")
            text = operation.get("description", operation.get("summary", ""))
            parts += [f"<p>{escape(' '.join(text.split()))}</p>", *_parameters(operation)]
    return "\n".join([*parts, "</html>", ""])


def _parameters(operation: Mapping[str, Any]) -> list[str]:
    parameters = operation.get("parameters", ())
    rows = [
        f"<li><code>{escape(one['name'])}</code> ({escape(one['in'])}"
        f"{', required' if one.get('required') else ''}): {escape(_kind(one['schema']))}</li>"
        for one in parameters
    ]
    return ["<ul>", *rows, "</ul>"] if rows else []


def _kind(schema: Mapping[str, Any]) -> str:
    kinds = [one.get("type") for one in schema.get("anyOf", ())] or [schema.get("type")]
    words = " or ".join(str(kind) for kind in kinds if kind and kind != "null") or "any"
    words += f", at least {schema['minimum']}" if "minimum" in schema else ""
    words += f", at most {schema['maximum']}" if "maximum" in schema else ""
    return words + (f"; default {schema['default']}" if "default" in schema else "")
