"""The newest sound and pictures of a source, in memory, on a clock of samples."""

from __future__ import annotations

from collections import deque

import numpy as np


class Ring:
    """Takes pieces of sound and pictures, and gives stretches of them.

    Sound is kept in 16 bits and pictures as JPEG files, of ``picture_bytes`` in all. ``start`` and
    ``end`` are the places of the first sample that is kept, and after the last, since the ring was
    made. Who uses it forgets what is old.
    """

    def __init__(self) -> None:
        self.start = self.end = 0
        self.picture_bytes = 0
        self._sound: deque[np.ndarray] = deque()
        self._pictures: deque[tuple[int, bytes]] = deque()

    def push(self, samples: np.ndarray, picture: bytes | None) -> None:
        """Take the next sound, float32, -1 to 1, and a picture at its end."""
        if len(samples):
            finite = np.nan_to_num(samples * 32768.0, nan=0.0)
            self._sound.append(np.clip(np.rint(finite), -32768, 32767).astype(np.int16))
            self.end += len(samples)
        if picture is not None:
            self._pictures.append((self.end, picture))
            self.picture_bytes += len(picture)

    def forget(self, before: int) -> None:
        """Forget sound and pictures before a place, a piece as a whole."""
        while self._sound and self.start + len(self._sound[0]) <= before:
            self.start += len(self._sound.popleft())
        while self._pictures and self._pictures[0][0] < before:
            self.picture_bytes -= len(self._pictures.popleft()[1])

    def cut(self, start: int, end: int) -> tuple[np.ndarray, list[tuple[int, bytes]]]:
        """Give the sound between two places, int16, and the pictures by their places from the
        start."""
        sound = np.concatenate([*self._sound, np.zeros(0, np.int16)])
        pictures = [(at - start, one) for at, one in self._pictures if start <= at <= end]
        return sound[start - self.start : end - self.start], pictures
