"""A camera of this computer, for pictures beside a microphone."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from pathlib import Path

import numpy as np

from cryvision.monitor.sources.pictures import PICTURE_RATE_HZ, Pictures
from cryvision.monitor.sources.source import DisconnectedError

_LINUX_CAMERAS = Path("/sys/class/video4linux")


class Camera(Pictures):
    """Pictures of a camera, read with OpenCV, whose first camera has the index 0.

    A camera that hangs holds its thread until OpenCV gives up, about ten seconds; nothing waits for
    it.
    """

    must_come = True

    def __init__(self, index: int = 0) -> None:
        super().__init__(f"camera {index}")
        self._index = index

    def frames(self, over: threading.Event) -> Generator[np.ndarray, None, None]:
        """Read pictures as they come, and pass on `PICTURE_RATE_HZ` of them a second at most."""
        import cv2

        # Each of OpenCV's ways to open a camera prints why it failed.
        before = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        try:
            camera = cv2.VideoCapture(self._index)
        finally:
            cv2.utils.logging.setLogLevel(before)
        try:
            if not camera.isOpened():
                raise DisconnectedError("lost", "it cannot be opened")
            camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)
            due = 0.0
            while not over.is_set():
                if not camera.grab():
                    raise DisconnectedError("lost", "it gives no more pictures")
                if time.monotonic() < due:
                    continue
                due = time.monotonic() + 1 / PICTURE_RATE_HZ
                there, picture = camera.retrieve()
                if there:
                    yield cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        finally:
            camera.release()

    def end(self) -> None:
        """Do nothing: each picture asks whether all is over."""


def camera_names() -> dict[int, str]:
    """Return the cameras that are found without opening one, by index.

    Only Linux lists them; elsewhere, and where there is none, the result is empty.
    """
    found = {}
    for folder in _LINUX_CAMERAS.glob("video*"):
        number = folder.name.removeprefix("video")
        try:
            # One camera has several nodes; the first of them has the pictures.
            if number.isdigit() and (folder / "index").read_text().strip() == "0":
                found[int(number)] = (folder / "name").read_text().strip()
        except OSError:
            continue
    return dict(sorted(found.items()))
