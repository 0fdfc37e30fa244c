"""The address of live sound."""

from __future__ import annotations

import asyncio
import json
from collections.abc import MutableMapping
from typing import Any

from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect

from cryvision.errors import ConfigError, CryvisionError
from cryvision.web.faces import LiveFaces
from cryvision.web.live import BROWSER, RATES_HZ, BrowserSource, Feed, Mailbox
from cryvision.web.page import Page, dumps
from cryvision.web.routes.answers import get_page
from cryvision.web.settings import MAX_LIVE

QUIET_SECONDS = 30.0
"""A browser from which nothing comes for so long is given up."""

PICTURE = b"J"
"""Before a JPEG picture."""

MAX_PICTURE_BYTES = 1_000_000

_TRY_LATER, _REFUSED, _TOO_LARGE = 1013, 1008, 1009

router = APIRouter()


@router.websocket("/api/live")
async def live(socket: WebSocket, kind: str = "", source: str = "") -> None:
    """Classify live sound: of the browser that sends it, or of a source of this machine."""
    page = get_page(socket)
    await socket.accept()
    if page.n_live >= MAX_LIVE:
        await _end(socket, f"at most {MAX_LIVE} live streams at once", _TRY_LATER)
        return
    page.n_live += 1
    try:
        if source:
            await _watch(socket, page, source)
        elif kind == BROWSER:
            await _take(socket, page)
        else:
            await _end(socket, "kind must be browser, or source a name", _REFUSED)
    except (WebSocketDisconnect, RuntimeError):
        pass  # the browser has gone
    except asyncio.TimeoutError:
        await _end(socket, "no sound came", _REFUSED)
    except CryvisionError as error:
        await _end(socket, str(error), _REFUSED)
    finally:
        page.n_live -= 1


async def _take(socket: WebSocket, page: Page) -> None:
    """Take sound and pictures from a browser, and say what is heard."""
    start = await asyncio.wait_for(_receive(socket), QUIET_SECONDS)
    source = BrowserSource(_rate_hz(start.get("text") or ""))
    feed, mailbox, faces = Feed(source, page.bundle), Mailbox(), LiveFaces()
    feed.listeners.add(mailbox.put)
    feed.start()
    sending = asyncio.create_task(_send(socket, mailbox, faces))
    try:
        while not (sending.done() or page.closing):
            message = await asyncio.wait_for(_receive(socket), QUIET_SECONDS)
            data = message.get("bytes") or b""
            if data.startswith(PICTURE) and data[1:3] == b"\xff\xd8":
                if len(data) > MAX_PICTURE_BYTES:
                    await _end(socket, "a picture must be at most 1 MB", _TOO_LARGE)
                    return
                faces.show(data[1:])
            else:
                await asyncio.to_thread(source.push, data)
    finally:
        feed.close()
        sending.cancel()


async def _watch(socket: WebSocket, page: Page, name: str) -> None:
    """Say what is heard at a source of this machine."""
    mailbox = Mailbox()
    with page.feeds.watched(name, mailbox.put):
        sending = asyncio.create_task(_send(socket, mailbox, None))
        receiving = asyncio.create_task(_receive(socket))
        try:
            await asyncio.wait((sending, receiving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sending.cancel()
            receiving.cancel()


async def _receive(socket: WebSocket) -> MutableMapping[str, Any]:
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1000))
    return message


async def _send(socket: WebSocket, mailbox: Mailbox, faces: LiveFaces | None) -> None:
    while (message := await mailbox.get()) is not None:
        if faces is not None:
            message = {**message, "face": faces.newest()}
        await socket.send_text(dumps(message).decode())
    await socket.close()


async def _end(socket: WebSocket, error: str, code: int) -> None:
    await socket.send_text(json.dumps({"error": error}))
    await socket.close(code)


def _rate_hz(text: str) -> float:
    try:
        start: Any = json.loads(text)
        rate_hz = float(start["sample_rate_hz"])
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ConfigError('a live stream must begin with {"sample_rate_hz": 48000}') from error
    lowest, highest = RATES_HZ
    if not lowest <= rate_hz <= highest:
        raise ConfigError(f"sample_rate_hz must be {lowest} to {highest}; got {rate_hz:g}")
    return rate_hz
