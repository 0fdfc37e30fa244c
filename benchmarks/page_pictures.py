"""Make the pictures of the tutorial on the page of ``cryvision serve``.

Run ``python benchmarks/page_pictures.py``; it needs Chromium, playwright and pillow. All clips are
made of ``examples/demo.mp4``, which is drawn and sung by a script: nobody is in the pictures.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
import time
import wave
from pathlib import Path
from typing import Any

import numpy as np
from report import ROOT, SEED
from serve_page import DEMO, QUIET, demo_sound, server

from cryvision.config import SAMPLE_RATE_HZ

sys.path.insert(0, str(ROOT / "tests" / "web"))
from browsers import PHONE, Tab, chromium, drag, timeline_point

PICTURES = ROOT / "docs" / "_static"
SIZE = (1280, 800)
STARTS = (
    *("20260504_065200", "20260504_131500", "20260504_203000", "20260505_021000"),
    *("20260505_064500", "20260505_191000", "20260506_012500", "20260506_124000"),
    *("20260507_053000", "20260507_174500", "20260508_031500"),
)
MAX_CLIP_MINUTES = 3


def make_folder(folder: Path) -> None:
    """Write a folder as of a week of recordings, and the drawn video."""
    rng = np.random.default_rng(SEED)
    crying = demo_sound()
    for start in STARTS:
        n = int(60 * SAMPLE_RATE_HZ * rng.uniform(0.5, MAX_CLIP_MINUTES))
        sound = 0.0015 * rng.standard_normal(n)
        for first in range(0, n - len(crying), int(len(crying) * rng.uniform(1.0, 3.0))):
            sound[first : first + len(crying)] += 10 ** rng.uniform(-1, 0) * crying
        with wave.open(str(folder / f"{start}_cot.wav"), "wb") as file:
            file.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
            file.writeframes((32767 * np.clip(sound, -1, 1)).astype("<i2").tobytes())
    shutil.copy(DEMO, folder / "20260506_210500_cot.mp4")


def shoot(page: Any, name: str) -> None:
    """Write what a page shows, with 256 colours, so that the file is small."""
    from PIL import Image

    page.mouse.move(0, 0)
    while page.locator(".timeline").count() and not page.evaluate(QUIET):
        time.sleep(0.1)
    time.sleep(1.0)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    path = PICTURES / f"page-{name}.png"
    picture.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
        path, optimize=True
    )
    print(f"{path.name}: {path.stat().st_size // 1000} kB")


def score_all(page: Any) -> str:
    """Score the folder, and return the id of the video."""
    page.get_by_role("button", name="Score all").click()
    while True:
        clips = page.evaluate("fetch('/api/clips').then((answer) => answer.json())")
        if all(clip["status"] == "done" for clip in clips):
            return next(clip["clip_id"] for clip in clips if clip["name"].endswith("mp4"))
        time.sleep(1.0)


def tour(browser: Any, url: str) -> None:
    """Go through the page, and take the pictures."""
    tab = Tab(browser, url, SIZE, who="Ada", color_scheme="light")
    page = tab.open()
    video = score_all(page)
    page = tab.open(f"clip/{video}")
    page.locator("button.event").nth(7).wait_for()
    shoot(page, "clip")
    page.keyboard.press("u")
    page.keyboard.press("c")
    drag(page, timeline_point(page, 10.0), timeline_point(page, 10.9))
    page.keyboard.press("2")
    page.keyboard.press("z")
    page.get_by_text("Event F1").wait_for()
    shoot(page, "correct")
    page.emulate_media(color_scheme="dark")
    page.keyboard.press("0")
    shoot(page, "dark")
    page.emulate_media(color_scheme="light")
    page = tab.open()
    page.locator(".heatmap td").first.wait_for()
    page.set_viewport_size({"width": SIZE[0], "height": 1230})
    shoot(page, "folder")
    tab.close()
    phone = Tab(browser, url, PHONE, has_touch=True, is_mobile=True, device_scale_factor=2)
    page = phone.open(f"clip/{video}")
    page.locator("button.event").nth(7).wait_for()
    shoot(page, "phone")
    phone.close()
    live = Tab(browser, url, SIZE, permissions=["microphone", "camera"])
    page = live.open("live")
    page.get_by_role("button", name="Use microphone", exact=True).click()
    page.get_by_text("crying for", exact=False).first.wait_for(timeout=60_000)
    shoot(page, "live")
    live.close()


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        recordings = Path(folder, "recordings")
        recordings.mkdir()
        make_folder(recordings)
        sound = Path(folder, "microphone.wav")
        with wave.open(str(sound), "wb") as file:
            file.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
            # Looped by the browser; its pauses are short enough to count as one crying.
            loud = demo_sound()[int(6.4 * SAMPLE_RATE_HZ) : int(9.6 * SAMPLE_RATE_HZ)]
            file.writeframes((32767 * np.tile(loud, 8)).astype("<i2").tobytes())
        microphone = f"--use-file-for-fake-audio-capture={sound}"
        with server(recordings) as url, chromium(microphone) as browser:
            tour(browser, url)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
