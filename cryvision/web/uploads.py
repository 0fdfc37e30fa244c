"""Receiving a clip: bounded in size and time, kept under a name of the server's own."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request

from cryvision.errors import CryvisionError, MediaError
from cryvision.inputs import media
from cryvision.web.clips import PageClip, without_path
from cryvision.web.jobs import Job
from cryvision.web.settings import MAX_RECEIVING, MAX_UPLOADED_MB

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryvision.web.page import Page

IDLE_SECONDS = 15.0
"""An upload from which nothing comes for so long is given up."""

LEAST_BYTES_PER_SECOND = 4_000.0
SLOW_AFTER_SECONDS = 20.0
"""After so long an upload must have come at this rate on average."""

_FORM_BYTES = 100_000
"""What a form may add to the size of its file."""

_BLOCK_BYTES = 1 << 20


class RefusedError(CryvisionError):
    """A request is refused, with a status of HTTP."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Receiver:
    """Takes uploads, so many at once, and has them scored."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._n_receiving = 0

    async def receive(self, request: Request, name: str = "clip") -> tuple[PageClip, Job]:
        """Take the clip of a request, and have it scored.

        It is the part ``file`` of a form, or the body, called ``name``, and not yet among the clips
        that are shown. A request is refused with 408, 411, 413, 415, 422 or 429.
        """
        self._check_length(request)
        with self._slot():
            clip = self._page.clips.new_place(name)
            try:
                clip = await self._take(request, clip)
                clip.stated_seconds = await run_in_threadpool(
                    check_media, clip.path, self._page.settings.max_minutes
                )
                return clip, self._page.score(clip)
            except BaseException:
                self._page.clips.remove(clip)
                raise

    def _check_length(self, request: Request) -> None:
        length = request.headers.get("content-length")
        if length is None and "chunked" not in request.headers.get("transfer-encoding", ""):
            raise RefusedError(411, "an upload must state its length")
        if length is not None and int(length) > self._page.settings.max_upload_bytes + _FORM_BYTES:
            raise self._too_large()

    def _too_large(self) -> RefusedError:
        most = self._page.settings.max_upload_mb
        return RefusedError(413, f"a clip must be at most {most:g} MB")

    @contextmanager
    def _slot(self) -> Iterator[None]:
        if self._n_receiving >= MAX_RECEIVING:
            raise RefusedError(429, f"at most {MAX_RECEIVING} uploads at once; try again soon")
        if self._page.clips.uploaded_bytes() > MAX_UPLOADED_MB * 1e6:
            raise RefusedError(429, "the uploads fill their space; remove some clips first")
        self._n_receiving += 1
        try:
            yield
        finally:
            self._n_receiving -= 1

    async def _take(self, request: Request, clip: PageClip) -> PageClip:
        request = Request(request.scope, self._bounded(request))
        try:
            if request.headers.get("content-type", "").startswith("multipart/form-data"):
                return await self._take_form(request, clip)
            with clip.path.open("wb") as file:
                async for block in request.stream():
                    await run_in_threadpool(file.write, block)
        except MultiPartException as error:
            raise RefusedError(422, f"the form cannot be read: {error.message}") from error
        except ClientDisconnect as error:
            raise RefusedError(400, "the upload broke off") from error
        return clip

    async def _take_form(self, request: Request, clip: PageClip) -> PageClip:
        async with request.form(max_files=1, max_fields=4, max_part_size=1_000) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise RefusedError(422, "a form must have the clip in its field 'file'")
            self._page.clips.remove(clip)
            named = self._page.clips.new_place(file.filename or "clip")
            try:
                await run_in_threadpool(_copy, file.file, named.path)
            except BaseException:
                self._page.clips.remove(named)
                raise
        return named

    def _bounded(self, request: Request) -> Any:
        """Count what comes, and give up what is too much or too slow."""
        most = self._page.settings.max_upload_bytes + _FORM_BYTES
        begun, n_bytes = time.monotonic(), 0

        async def receive() -> MutableMapping[str, Any]:
            nonlocal n_bytes
            try:
                message = await asyncio.wait_for(request.receive(), IDLE_SECONDS)
            except asyncio.TimeoutError:
                raise RefusedError(408, "the upload has stalled") from None
            n_bytes += len(message.get("body", b""))
            if n_bytes > most:
                raise self._too_large()
            spent_s = time.monotonic() - begun
            if spent_s > SLOW_AFTER_SECONDS and n_bytes < LEAST_BYTES_PER_SECOND * spent_s:
                raise RefusedError(408, "the upload is too slow")
            return message

        return receive


def check_media(path: Path, max_minutes: float) -> float | None:
    """Refuse what is no sound or video (415), too long (413), or cannot be decoded (422).

    Returned is how long the clip states to be.
    """
    try:
        info = media.probe(path)
    except MediaError as error:
        raise RefusedError(415, without_path(error, path)) from error
    if info.duration_s is not None and info.duration_s > 60 * max_minutes:
        raise RefusedError(
            413,
            f"a clip must be at most {max_minutes:g} minutes long; got {info.duration_s / 60:.1f}",
        )
    try:
        with media.open_clip(path, frames=not info.has_sound, chunk_seconds=0.1) as clip:
            next(clip.pieces(), None)
    except MediaError as error:
        raise RefusedError(422, without_path(error, path)) from error
    return info.duration_s


def _copy(source: IO[bytes], target: Path) -> None:
    source.seek(0)
    with target.open("wb") as file:
        shutil.copyfileobj(source, file, _BLOCK_BYTES)
