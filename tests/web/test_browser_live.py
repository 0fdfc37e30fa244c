"""A browser's microphone and camera are heard and seen by the page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import Tab, chromium

pytest.importorskip("fastapi", reason="the page needs the layer web")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright.expect

DEMO = Path(__file__).parents[2] / "examples" / "demo.mp4"


@pytest.fixture(scope="module")
def browser(make_media: Any) -> Iterator[Any]:
    """A browser whose microphone plays the clip over and over, at a rate of its own."""
    sound = make_media("microphone.wav", "-i", str(DEMO), "-vn", "-ac", "1", "-ar", "44100")
    with chromium(f"--use-file-for-fake-audio-capture={sound}") as browser:
        yield browser


def test_microphone_and_camera_reach_a_live_label(browser: Any, served: Any) -> None:
    tab = Tab(browser, served.url, permissions=["microphone", "camera"])
    page = tab.open("live")
    expect(page.locator(".state-word")).to_have_text("Not listening")
    sent: list[bytes | str] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame)))
    page.get_by_role("button", name="Use microphone and camera").click()
    expect(page.locator(".state-word")).to_have_text("Crying")
    expect(page.locator(".state-since")).to_have_text(re.compile(r"^for \d"))
    assert page.locator("video").evaluate("video => video.videoWidth") > 0
    assert any(frame[:3] == b"J\xff\xd8" for frame in sent if isinstance(frame, bytes))
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".state-word")).to_have_text("Not listening")
    tab.close()


def test_a_microphone_that_may_not_be_used_is_named(browser: Any, served: Any) -> None:
    tab = Tab(browser, served.url)
    page = tab.open("live")
    page.evaluate(
        """() => { navigator.mediaDevices.getUserMedia = () =>
            Promise.reject(new DOMException('', 'NotAllowedError')) }"""
    )
    page.get_by_role("button", name="Use microphone", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("may not use the microphone")
    expect(page.locator(".state-word")).to_have_text("Not listening")
    tab.close()
