"""A browser without a window, and what is looked at in it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

VARIABLE = "CRYVISION_CHROMIUM"
"""Environment variable that may name the browser's program."""

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)

DESKTOP, PHONE = (1366, 820), (390, 844)

WAIT_MS = 60_000
"""For what takes a second on an idle machine."""


@contextmanager
def chromium(*arguments: str) -> Iterator[Any]:
    """Start Chromium; the test is skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        found = os.environ.get(VARIABLE) or next(filter(None, map(shutil.which, NAMES)), None)
        own = driver.chromium.executable_path
        program = found or (own if Path(own).exists() else None)
        if program is None:
            pytest.skip(f"no Chromium: install one, or name it in {VARIABLE}")
        playwright.expect.set_options(timeout=WAIT_MS)
        browser = driver.chromium.launch(
            executable_path=program, headless=True, args=[*ARGUMENTS, *arguments]
        )
        yield browser
        browser.close()


class Tab:
    """A page of the server in a browser context of its own.

    Parameters
    ----------
    browser : playwright Browser
    url : str
        Of the server.
    size : (int, int)
        Of the window.
    who : str
        Name of the person; without one the page asks who corrects.
    options
        Of the browser context, such as ``color_scheme``.
    """

    def __init__(
        self,
        browser: Any,
        url: str,
        size: tuple[int, int] = DESKTOP,
        who: str = "",
        **options: Any,
    ) -> None:
        width, height = size
        self.url = url
        kept = [{"name": "cryvision.who", "value": json.dumps(who)}]
        self.context = browser.new_context(
            viewport={"width": width, "height": height},
            storage_state={"origins": [{"origin": url, "localStorage": kept}]},
            **options,
        )
        self.context.set_default_timeout(WAIT_MS)
        self.foreign: list[str] = []
        self.faults: list[str] = []
        self.context.on("request", self._request)
        self.page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", self._console)

    def _request(self, request: Any) -> None:
        if not request.url.startswith((f"{self.url}/", "data:", "blob:")):
            self.foreign.append(request.url)

    def _console(self, message: Any) -> None:
        # What is refused by the content security policy is told on the console alone.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.faults.append(message.text)

    def open(self, view: str = "open") -> Any:
        """Open a view of the page anew, and return the page, which is loaded once."""
        if self.page.url.startswith(self.url):
            other = "live" if view == "open" else "open"
            self.page.evaluate("view => { location.hash = view }", other)
        self.page.goto(f"{self.url}/#{view}")
        return self.page

    def reset(self, who: str) -> None:
        """Forget what the browser keeps, but for the name of the person."""
        self.open("live")
        self.page.evaluate(
            """who => {
                localStorage.clear()
                localStorage.setItem('cryvision.who', JSON.stringify(who))
            }""",
            who,
        )

    def check(self) -> None:
        """Fail if it asked another host for anything, or met a fault."""
        assert not self.foreign, self.foreign
        assert not self.faults, self.faults

    def close(self) -> None:
        self.context.close()
        self.check()


def timeline_point(page: Any, time_s: float, lane: str = "events") -> tuple[float, float]:
    """Return where on the screen a time in a lane of the timeline is, in CSS pixels."""
    box = page.locator(".timeline").bounding_box()
    x, y = page.evaluate(
        """([time, kind]) => {
            const timeline = document.querySelector('.clip-page').timeline
            const lane = timeline.lane(kind)
            return [timeline.x(time), lane.y + lane.height / 2]
        }""",
        [time_s, lane],
    )
    return box["x"] + x, box["y"] + y


def drag(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag with the mouse from one point of the screen to another."""
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=4)
    page.mouse.up()
