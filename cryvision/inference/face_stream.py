"""Faces of a stream of frames: found, cut out, embedded, and averaged over windows."""

from __future__ import annotations

from collections import deque

import numpy as np

from cryvision.config import FRAME_RATE_HZ, SAMPLE_RATE_HZ, FaceConfig
from cryvision.errors import BundleError, MissingDependencyError
from cryvision.inputs.pictures.embedding import BATCH_CROPS, Embedder
from cryvision.inputs.pictures.faces import Face, FaceFinder, crop


class FaceStream:
    """Turns frames into the feature ``face`` of windows; between calls it keeps one window of it.

    An ``embedder`` that is loaded already may serve many streams. Of `n_frames` so far, `n_faces`
    show a face; it `looks` for one, but where the middle of the picture is taken for it.
    """

    def __init__(self, config: FaceConfig, embedder: Embedder | None = None) -> None:
        self._config = config
        self._finder = FaceFinder(config)
        self._embedder = embedder or Embedder(config)
        self.weights = self._embedder.weights
        self.looks = config.mode != "center"
        self.n_frames = self.n_faces = 0
        self._n_until_embedding = 0
        self._waiting: list[tuple[float, np.ndarray]] = []
        self._embedded: deque[tuple[float, np.ndarray]] = deque()

    @property
    def share(self) -> float | None:
        """Share of the frames so far that show a face; None where none was looked for."""
        return self.n_faces / self.n_frames if self.looks and self.n_frames else None

    def push(self, frame: np.ndarray, frame_time_s: float) -> Face | None:
        """Take the next frame, uint8 RGB, (height, width, 3), at a time on the 30 Hz clock."""
        face = self._finder.find(frame, frame_time_s)
        self.n_frames += 1
        self._n_until_embedding -= 1
        if face is None:
            return None
        self.n_faces += 1
        if self._n_until_embedding <= 0:
            self._n_until_embedding = self._config.embed_every_frames
            cut = crop(frame, face, self._config.crop_size_px)
            self._waiting.append((frame_time_s, cut))
            if len(self._waiting) == BATCH_CROPS:
                self._embed()
        return face

    def window(self, end_samples: int) -> np.ndarray:
        """Give the mean embedding of the faces in a window, float32, (width,); NaN without any.

        Its end is on the clock of the sound; all frames before it were pushed, and later windows
        must end later.
        """
        self._embed()
        self.forget(end_samples)
        end_s = end_samples / SAMPLE_RATE_HZ
        inside = [embedding for time_s, embedding in self._embedded if time_s < end_s]
        if not inside:
            return np.full(self._embedder.width, np.nan, np.float32)
        mean: np.ndarray = np.stack(inside).mean(axis=0, dtype=np.float64)
        return mean.astype(np.float32)

    def forget(self, end_samples: int) -> None:
        """Forget what lies before a window that ends here; later ones must not end before it."""
        start_s = (end_samples - self._config.window_samples) / SAMPLE_RATE_HZ
        # A window's first frame may start a little before the window does.
        while self._embedded and self._embedded[0][0] <= start_s - 0.5 / FRAME_RATE_HZ:
            self._embedded.popleft()

    def _embed(self) -> None:
        if self._waiting:
            times, crops = zip(*self._waiting, strict=True)
            embeddings = self._embedder.embed(np.stack(crops))
            self._embedded.extend(zip(times, embeddings, strict=True))
            self._waiting.clear()


def face_stream(
    config: FaceConfig | None, require_face: bool, where: str
) -> tuple[FaceStream | None, list[str]]:
    """Make the stream of faces for a bundle's face branch, and list the warnings.

    It is None where there is no such branch, or faces cannot be looked at on this machine: with
    ``require_face``, these are errors, in which ``where`` names the bundle.
    """
    if config is None:
        if require_face:
            raise BundleError(f"{where}: faces are required and the bundle has no face branch")
        return None, []
    try:
        faces = FaceStream(config)
    except MissingDependencyError as error:
        if require_face:
            raise
        return None, [f"faces are not used: {error}"]
    if config.backbone_weights == "random":
        return faces, ["the backbone of the face branch has random weights"]
    return faces, []
