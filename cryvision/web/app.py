"""The application: routes, refusals in one form, and the guard before all of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles

from cryvision import __version__
from cryvision.errors import CryvisionError
from cryvision.web.guard import Guard
from cryvision.web.jobs import BusyError
from cryvision.web.page import Page
from cryvision.web.passwords import Passwords
from cryvision.web.routes import clip as clip_routes
from cryvision.web.routes import folder as folder_routes
from cryvision.web.routes import job as job_routes
from cryvision.web.routes import live as live_routes
from cryvision.web.routes import v1 as v1_routes
from cryvision.web.routes.answers import JSON, ThePage, Who
from cryvision.web.uploads import Receiver, RefusedError

STATIC = Path(__file__).parent / "static"


def build_app(page: Page, passwords: Passwords | None = None) -> Any:
    """Build the ASGI application of a page; without passwords anybody may come in."""
    app = FastAPI(
        title="cryvision",
        version=__version__,
        description="Find the crying in video and sound of infants.",
        docs_url=None,
        redoc_url=None,
    )
    app.state.page, app.state.receiver = page, Receiver(page)
    app.state.background = set()
    for routes in (clip_routes, folder_routes, job_routes, live_routes, v1_routes):
        app.include_router(routes.router)
    _add_page(app)
    _add_refusals(app)
    return Guard(app, page.settings.host, passwords)


def _add_page(app: FastAPI) -> None:
    app.mount("/static", StaticFiles(directory=STATIC), name="static")

    @app.get("/", include_in_schema=False)
    def index() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    @app.get("/healthz", tags=["server"])
    def health() -> JSON:
        """Say that the server answers."""
        return JSON({"status": "ok", "version": __version__})

    @app.get("/api/session", tags=["server"])
    def session(page: ThePage, who: Who) -> JSON:
        """Describe the server to the page."""
        return JSON(page.session(who))


def _add_refusals(app: FastAPI) -> None:
    @app.exception_handler(RefusedError)
    async def refused(request: Request, error: RefusedError) -> JSON:
        return _error(error.status, str(error))

    @app.exception_handler(BusyError)
    async def busy(request: Request, error: BusyError) -> JSON:
        return _error(429, str(error))

    @app.exception_handler(CryvisionError)
    async def failed(request: Request, error: CryvisionError) -> JSON:
        # Nobody is told where a clip lies on this machine.
        return _error(422, _without_folders(str(error), request.app.state.page))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSON:
        return _error(error.status_code, str(error.detail))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSON:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"][1:])) or "the body"
        return _error(422, f"{where}: {first['msg']}")


def _without_folders(text: str, page: Page) -> str:
    folders = [page.private, page.clips.folder, page.settings.folder]
    for folder in sorted((str(one) for one in folders if one is not None), key=len, reverse=True):
        text = text.replace(f"{folder}{os.sep}", "")
    return text


def _error(status: int, message: str) -> JSON:
    headers = {"retry-after": "5"} if status == 429 else {}
    if status in (408, 411, 413, 429):
        headers["connection"] = "close"  # the rest of an upload is not read
    return JSON({"error": message}, status, headers)
