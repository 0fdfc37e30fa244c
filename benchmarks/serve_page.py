"""How fast the page of ``cryvision serve`` is on a clip of an hour, and from upload to events.

Run ``python benchmarks/serve_page.py``; it needs Chromium and playwright. The hour is made of
``examples/demo.mp4``, which is drawn and sung by a script: nobody is in it. A step is timed in the
browser, from the wheel or key to the second frame after it, so that what it drew is on the screen.
The processor time of the page's main thread stands beside it, which other work on the machine does
not change.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import report

from cryvision.bundle import Bundle
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.inputs.media import find_ffmpeg

sys.path.insert(0, str(report.ROOT / "tests" / "web"))
from browsers import Tab, chromium

DEMO = report.ROOT / "examples" / "demo.mp4"
HOUR_S = 3600
WAIT_MS = 300_000

STEP = """async (act) => {
    const host = document.querySelector('.timeline')
    const timeline = document.querySelector('.clip-page').timeline
    const frame = () => new Promise((go) => requestAnimationFrame(go))
    const box = host.getBoundingClientRect()
    const both = { bubbles: true, cancelable: true }
    const wheel = (options) => host.dispatchEvent(new WheelEvent(
        'wheel', { ...both, clientX: box.left + 600, clientY: box.top + 150, ...options }))
    const key = (name) => host.dispatchEvent(new KeyboardEvent('keydown', { ...both, key: name }))
    await frame()
    const start = performance.now()
    if (act === 'zoom in') wheel({ deltaY: -240 })
    if (act === 'zoom out') key('-')
    if (act === 'scroll') wheel({ deltaY: 300, shiftKey: true })
    await frame()
    await frame()
    return [performance.now() - start, timeline.drawMs]
}"""


QUIET = """() => {
    const { clip } = document.querySelector('.clip-page').timeline
    return ['peaks', 'tracks', 'spectrogram'].every((name) => !clip[name].busy)
}"""


def demo_sound() -> np.ndarray:
    """Return the sound of the demo: float64, mono, -1 to 1."""
    command = [find_ffmpeg(), "-loglevel", "error", "-i", str(DEMO), "-ac", "1"]
    command += ["-ar", str(SAMPLE_RATE_HZ), "-f", "s16le", "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(raw, np.int16) / 32768


def hour_of_sound(path: Path) -> None:
    """Write an hour with the demo's crying at about a hundred places."""
    crying = demo_sound()
    rng = np.random.default_rng(report.SEED)
    sound = 0.0015 * rng.standard_normal(HOUR_S * SAMPLE_RATE_HZ)
    starts = np.arange(10, HOUR_S - 20, 35) + rng.uniform(0, 15, len(range(10, HOUR_S - 20, 35)))
    for start_s in starts:
        first = int(start_s * SAMPLE_RATE_HZ)
        piece = sound[first : first + len(crying)]
        piece += 10 ** rng.uniform(-1, 0) * crying[: len(piece)]
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
        file.writeframes((32767 * np.clip(sound, -1, 1)).astype("<i2").tobytes())


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Serve a folder, and give the address."""
    command = [sys.executable, "-m", "cryvision", "serve", "--folder", str(folder), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        match = re.search(r"(http://\S+?)/\s", process.stderr.readline())
        assert match is not None
        yield match[1]
    finally:
        process.terminate()
        process.wait()


def upload_seconds(page: Any, clip: Path) -> float:
    """Return how long it takes from a file's choice until its events are on the page."""
    start = time.perf_counter()
    page.set_input_files("#file", clip)
    page.locator("button.event").first.wait_for()
    return time.perf_counter() - start


def scored_clip(page: Any) -> str:
    """Score the folder, and return the id of its clip."""
    page.evaluate("fetch('/api/folder/score', { method: 'POST' })")
    until = time.monotonic() + WAIT_MS / 1000
    while time.monotonic() < until:
        clips = page.evaluate("fetch('/api/clips').then((answer) => answer.json())")
        hour = next(one for one in clips if not one["uploaded"])
        if hour["status"] == "done":
            return str(hour["clip_id"])
        time.sleep(0.5)
    raise TimeoutError("the hour was not scored")


def steps(page: Any, act: str, n: int) -> dict[str, float]:
    """Time some steps of the timeline, in milliseconds."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def busy_ms() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return 1000 * next(float(m["value"]) for m in metrics if m["name"] == "TaskDuration")

    before_ms = busy_ms()
    timed = [page.evaluate(STEP, act) for _ in range(n)]
    busy = (busy_ms() - before_ms) / n
    session.detach()
    shown, drawn = zip(*timed, strict=True)
    return {
        "median_ms": round(statistics.median(shown), 1),
        "largest_ms": round(max(shown), 1),
        "median_drawing_ms": round(statistics.median(drawn), 1),
        "main_thread_processor_ms": round(busy, 1),
    }


def measure(browser: Any, url: str, repeats: int) -> dict[str, Any]:
    """Measure uploads and the hour in a browser."""
    tab = Tab(browser, url)
    tab.context.set_default_timeout(WAIT_MS)
    page = tab.open()
    uploads = []
    for _ in range(repeats + 1):
        uploads.append(upload_seconds(tab.open(), DEMO))
    clip = scored_clip(page)
    start = time.perf_counter()
    tab.open(f"clip/{clip}")
    page.locator("button.event").first.wait_for()
    n_events = page.locator("button.event").count()
    while not page.evaluate(QUIET):
        time.sleep(0.02)
    usable_s = time.perf_counter() - start
    result = {
        "upload_to_events_s": [round(value, 2) for value in uploads[1:]],
        "first_upload_s": round(uploads[0], 2),
        "hour": {
            "n_events": n_events,
            "open_and_drawn_s": round(usable_s, 2),
            **{act: steps(page, act, n) for act, n in (("zoom in", 14), ("scroll", 20))},
            "zoom out": steps(page, "zoom out", 14),
        },
        "requests_to_other_hosts": len(tab.foreign),
    }
    tab.close()
    return result


def main() -> int:
    options = report.parser(__doc__, repeats=5).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        hour_of_sound(Path(folder, "hour.wav"))
        with server(Path(folder)) as url, chromium() as browser:
            result = measure(browser, url, options.repeats)
    hour = result["hour"]
    slowest = {act: hour[act]["largest_ms"] for act in ("zoom in", "scroll", "zoom out")}
    demands = [
        report.Demand(
            "15 s clip, upload to events, s", statistics.median(result["upload_to_events_s"]), 2.0
        ),
        report.Demand("an hour, opened and drawn, s", hour["open_and_drawn_s"], 2.0),
        *(report.Demand(f"slowest {act}, ms", ms, 100.0) for act, ms in slowest.items()),
        report.Demand("requests to other hosts", result["requests_to_other_hosts"], 0),
    ]
    return report.finish("serve_page", Bundle.load(options.bundle), result, demands)


if __name__ == "__main__":
    raise SystemExit(main())
