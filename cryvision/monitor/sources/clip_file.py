"""A file as a source, as if it were live."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator

import numpy as np

from cryvision.config import SAMPLE_RATE_HZ
from cryvision.inputs import ffmpeg, media
from cryvision.monitor.sources.source import PIECE_SECONDS, Piece, SourceFault

log = logging.getLogger(__name__)


class ClipFile:
    """A sound or video file, whose wall time is the time of its start plus its media time.

    It is read where it is used: nothing is dropped, and no thread waits. In real time it waits
    until each piece is due; else it gives them as fast as they can be read.
    """

    has_camera = False

    def __init__(
        self, path: str | os.PathLike[str], *, realtime: bool = True, frames: bool = False
    ) -> None:
        self.name = ffmpeg.shown(path)
        self._path = path
        self._realtime = realtime
        self._frames = frames
        self._over = threading.Event()

    def pieces(self, stop: threading.Event) -> Iterator[Piece | SourceFault]:
        """Iterate over the clip until its end, ``stop`` or `close`."""
        self._over.clear()
        start, begun = time.time(), time.monotonic()
        n_samples, media_s = 0, 0.0
        with media.open_clip(self._path, frames=self._frames, chunk_seconds=PIECE_SECONDS) as clip:
            for read in clip.pieces():
                samples = np.zeros(0, np.float32) if read.samples is None else read.samples
                n_samples += len(samples)
                media_s = max(media_s, n_samples / SAMPLE_RATE_HZ, read.frame_time_s or 0.0)
                while self._realtime and (early_s := begun + media_s - time.monotonic()) > 0:
                    if stop.wait(min(early_s, PIECE_SECONDS)) or self._over.is_set():
                        return
                if stop.is_set() or self._over.is_set():
                    return
                yield Piece(samples, read.frame, read.frame_time_s, start + media_s)
            for warning in clip.warnings:
                log.warning("%s: %s", self.name, warning)

    def close(self) -> None:
        self._over.set()
