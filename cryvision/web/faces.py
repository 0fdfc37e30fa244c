"""Where a face is in a clip, a few times a second."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cryvision.config import FRAME_RATE_HZ
from cryvision.errors import CryvisionError
from cryvision.inputs.media import open_clip
from cryvision.inputs.pictures.yunet import TURNS_DEGREES, YuNet

EVERY_FRAMES = 10
"""Three pictures a second are looked at."""

WIDTH_PX = 320
LEAST_SCORE = 0.7

MAX_PIXELS = 16_000_000
"""Of a picture of a browser; a small file may hold one that fills the memory."""


def find_faces(path: str, out: Path, progress: Callable[[float], object]) -> None:
    """Look for faces in a clip, and write where they are; ``progress`` takes the share done.

    The file ``out`` is JSON: ``time_s``, and ``boxes``: left, top, width and height in pixels of
    the picture as it is displayed.
    """
    detector = YuNet(WIDTH_PX, LEAST_SCORE)
    times: list[float] = []
    boxes: list[list[float]] = []
    with open_clip(path, sound=False) as clip:
        for number, piece in enumerate(clip.pieces()):
            if piece.frame is None or piece.frame_time_s is None or number % EVERY_FRAMES:
                continue
            progress(piece.frame_time_s / (clip.info.duration_s or piece.frame_time_s + 1))
            box = _surest_face(detector, piece.frame)
            if box is not None:
                times.append(round(piece.frame_time_s, 3))
                boxes.append(box)
    part = out.with_suffix(".part")
    part.write_text(json.dumps({"time_s": times, "boxes": boxes}), "ascii")
    part.replace(out)


def faces_within(path: Path, start_s: float, end_s: float) -> dict[str, Any]:
    """Read the faces of a stretch; none where they were not looked for."""
    if not path.exists():
        return {"time_s": [], "boxes": [], "every_s": EVERY_FRAMES / FRAME_RATE_HZ}
    data = json.loads(path.read_text("ascii"))
    inside = [start_s <= time_s < end_s for time_s in data["time_s"]]
    return {
        "every_s": EVERY_FRAMES / FRAME_RATE_HZ,
        **{name: list(itertools.compress(data[name], inside)) for name in ("time_s", "boxes")},
    }


class LiveFaces:
    """Looks for the face in the newest picture of a live stream, in a thread of its own."""

    def __init__(self) -> None:
        self._detector: YuNet | None = None
        with contextlib.suppress(CryvisionError):
            self._detector = YuNet(WIDTH_PX, LEAST_SCORE)
        self._newest: dict[str, Any] | None = None
        self._busy = threading.Lock()

    def newest(self) -> dict[str, Any] | None:
        """Return the ``box`` of the face in the newest picture; None before one was looked at."""
        return self._newest

    def show(self, jpeg: bytes) -> None:
        """Look at a picture, unless one is being looked at."""
        if self._detector is None or not self._busy.acquire(blocking=False):
            return
        threading.Thread(target=self._look, args=(jpeg,), daemon=True).start()

    def _look(self, jpeg: bytes) -> None:
        try:
            frame = _decoded(jpeg)
            if frame is not None and self._detector is not None:
                self._newest = {"box": _surest_face(self._detector, frame)}
        finally:
            self._busy.release()


def _decoded(jpeg: bytes) -> np.ndarray | None:
    """Decode a picture of a browser; None where it is none, or would fill the memory."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                return None
            return np.asarray(picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _surest_face(detector: YuNet, frame: np.ndarray) -> list[float] | None:
    """Left, top, width and height of the surest face, in pixels."""
    found = detector.faces(frame, TURNS_DEGREES)
    if not found:
        return None
    x, y, w, h = max(found, key=lambda face: face.score).box.tolist()
    return [round(value, 1) for value in (x - w / 2, y - h / 2, w, h)]
