"""YuNet, the face detector: the faces in one picture, whichever way they are turned.

Wu, Peng and Yu, "YuNet: a tiny millisecond-level face detector", Machine Intelligence Research 20,
2023. It also finds lying and upside-down faces, but takes them for upright ones. Its score shows:
of the four quarter turns of a picture the one with the upright face scores best.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cryvision.errors import ConfigError, MissingDependencyError

MODEL_VARIABLE = "CRYVISION_FACE_MODEL"
"""Environment variable that may name the face detector's file."""

MODEL_NAME = "face_detection_yunet_2023mar.onnx"
MODEL_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
MODEL_BYTES = 232_589

TURNS_DEGREES = (0, 90, 180, 270)

_COS_SIN = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}


class Detection(NamedTuple):
    """One face in one turn of a picture, with a score between 0 and 1.

    `box` is x and y of the centre, width and height, float64, in pixels of the picture before it
    was turned; `rotation_degrees` is how far the face is turned clockwise, if this is the right
    turn.
    """

    box: np.ndarray
    rotation_degrees: int
    score: float


class YuNet:
    """The detector, ready to run on copies of frames that are ``width_px`` wide, or narrower.

    Detections below ``least_score`` are left out. Its file is the one that ``CRYVISION_FACE_MODEL``
    names, or else the one that ``cryvision fetch`` brought. A MissingDependencyError says that
    OpenCV or the file is missing, or the fetched one damaged, a ConfigError that OpenCV cannot run
    it.
    """

    def __init__(self, width_px: int, least_score: float) -> None:
        cv2 = load_cv2()
        path, model = _read_model()
        buffers = np.frombuffer(model, np.uint8), np.zeros(0, np.uint8)
        # OpenCV warns of settings that nobody made; 0 is silence. Version 5 keeps this elsewhere.
        logging = getattr(cv2.utils, "logging", cv2)
        level = logging.setLogLevel(0)
        try:
            self._yunet = cv2.FaceDetectorYN.create("onnx", *buffers, (32, 32), least_score)
            self._yunet.detect(np.zeros((32, 32, 3), np.uint8))
        except cv2.error as error:
            raise ConfigError(
                f"{path}: the face detector must be YuNet as ONNX; OpenCV cannot run this file: "
                f"{' '.join(str(error).split())[:200]}"
            ) from error
        finally:
            logging.setLogLevel(level)
        self._cv2 = cv2
        self._width_px = width_px

    def faces(self, frame: np.ndarray, turns_degrees: Iterable[int]) -> list[Detection]:
        """Find faces turned clockwise by any of some quarter turns, in a uint8 RGB frame.

        A face may be in the list once for each turn.
        """
        height, width = frame.shape[:2]
        scale = min(1.0, self._width_px / width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small = self._cv2.resize(frame, size, interpolation=self._cv2.INTER_AREA)
        copy = self._cv2.cvtColor(small, self._cv2.COLOR_RGB2BGR)
        pixels = np.array([width / size[0], height / size[1]] * 2)
        return [
            Detection(box * pixels, turn, score)
            for turn in turns_degrees
            for box, score in self._upright(copy, turn)
        ]

    def _upright(self, copy: np.ndarray, turn_degrees: int) -> list[tuple[np.ndarray, float]]:
        """Boxes and scores of the faces that are upright once the copy is turned back."""
        turned = np.ascontiguousarray(np.rot90(copy, turn_degrees // 90))
        size = np.array(turned.shape[1::-1])
        self._yunet.setInputSize(size.tolist())
        rows = self._yunet.detect(turned)[1]
        turn = turning(turn_degrees)
        detections = []
        for x, y, width, height, score in [] if rows is None else rows[:, [0, 1, 2, 3, -1]]:
            if width > 0 and height > 0:
                from_middle = np.array([x + width / 2, y + height / 2]) - size / 2
                center = turn @ from_middle + np.abs(turn) @ size / 2
                box = np.concatenate([center, np.abs(turn) @ (width, height)])
                detections.append((box, float(score)))
        return detections


def turning(rotation_degrees: int) -> np.ndarray:
    """Matrix of a clockwise quarter turn, shape (2, 2), for x to the right and y down."""
    cos, sin = _COS_SIN[rotation_degrees]
    return np.array([[cos, -sin], [sin, cos]], np.float64)


def overlap(box: np.ndarray, other: np.ndarray) -> float:
    """Share of the smaller one of two boxes that lies in the other; boxes as in `Detection`."""
    low = np.maximum(box[:2] - box[2:] / 2, other[:2] - other[2:] / 2)
    high = np.minimum(box[:2] + box[2:] / 2, other[:2] + other[2:] / 2)
    common = np.clip(high - low, 0, None).prod()
    return float(common / min(box[2:].prod(), other[2:].prod()))


def fetched_model() -> Path:
    """Where ``cryvision fetch`` puts the detector's file."""
    from cryvision.download import cache_folder

    return cache_folder() / MODEL_NAME


def load_cv2() -> Any:
    """Import OpenCV, or say how to install it, or the system library that it needs."""
    try:
        import cv2
    except ImportError as error:
        reason = " ".join(str(error).split())
        remedy = "run 'python -m pip install opencv-python'"
        if ".so" in reason:
            remedy = (
                "install that from the system's packages (Debian, Ubuntu: apt-get install libgl1 "
                "libglib2.0-0), or run 'python -m pip install opencv-python-headless'"
            )
        raise MissingDependencyError(
            f"faces need OpenCV, which cannot be loaded ({reason}); {remedy}"
        ) from error
    return cv2


def _read_model() -> tuple[Path, bytes]:
    """The detector's file and its bytes: as named, or the one that was fetched."""
    named = os.environ.get(MODEL_VARIABLE)
    file = Path(named) if named else fetched_model()
    try:
        model = file.read_bytes()
    except OSError as error:
        raise MissingDependencyError(
            f"{file}: the face detector's file cannot be read ({error.strerror}); run 'cryvision "
            f"fetch face-detector', or name a YuNet file in {MODEL_VARIABLE}"
        ) from error
    if not named and hashlib.sha256(model).hexdigest() != MODEL_SHA256:
        raise MissingDependencyError(
            f"{file}: the face detector's file is damaged; run 'cryvision fetch face-detector'"
        )
    return file, model
