"""Faces: where one is in each frame, and a crop of it, upright and steady.

A face is looked for in every n-th frame. Between detections its box moves with the picture under
it: by the median of the optical flow, of which only points count that flow back to where they were
(Kalal, Mikolajczyk and Matas, "Forward-backward error", ICPR 2010). Detections then move the box
only where they contradict it. So it depends on frames of the past alone, and does not tremble.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cryvision.config import FRAME_RATE_HZ, FaceConfig
from cryvision.errors import ConfigError
from cryvision.inputs.pictures.yunet import (
    TURNS_DEGREES,
    Detection,
    YuNet,
    load_cv2,
    overlap,
    turning,
)

SURE_SCORE = 0.9
"""A face with this score is turned as was assumed, and other turns are not tried: adults' faces
that were not scored 0.87 at most."""

TURN_MARGIN = 0.05
"""A face keeps its turn until another one scores better by this: half-way between two quarter
turns both score alike. Of 290 faces in a wrong turn, the right one scored better by 0.05 for 95 %
(7 adults, 66 to 300 pixels wide in 1280, tilted by up to 30 degrees)."""

ALL_TURNS_SECONDS = 1.0
"""How often all turns are tried although the face is sure: another may have become larger."""

DOUBTFUL_MARGIN = 0.1
"""A face that scores less than the best one by more than this is no new face: things that only look
like one score up to 0.8, and may be large."""

KEPT_SCORE_SHARE = 0.7
"""A face that is followed already is believed down to this share of what a new one needs."""

TAKEOVER_AREA = 1.2
"""Another face must be larger by this to become the largest one, or two alike would alternate."""

SAME_FACE_OVERLAP = 0.5
"""Share of the smaller box in the larger one from which on they are one face. Of the same 290, all
but 1 % shared more with the face in its right turn; their size may be quite another."""

FREE_PLAY = 0.1
"""Share of the box's longer side by which a detection may be off without moving the box. YuNet's
boxes of a face that glides through the picture wander by up to 0.08 of it."""

LONGEST_STEP_PX = 1.25
"""Pixels of the frame from one interpolated point to the next: no pixel is passed over."""

SEARCHED = 0.75
"""A face is searched this far from its middle, as a share of its box, from one frame to the next:
it may move by a quarter of itself."""

FLOW_POINTS = 7
FLOW_WINDOW_PX = 15
FLOW_LEVELS = 3
"""Points along each side of the box, and window and pyramid of Lucas and Kanade's method."""

FLOW_BACK_PX = 0.5
"""How near a point must flow back to where it was."""

LEAST_FLOW_SHARE = 0.2
"""Share of points that must flow back for the box to move."""


@dataclass(frozen=True)
class Face:
    """One face in one frame.

    `box` is x and y of the upper left corner, width and height, in pixels of the frame, beyond
    which it may reach; `rotation_degrees` is how far the face is turned clockwise from upright: 0,
    90, 180 or 270. `score` is the detector's when the face was last found, `age_s` ago; NaN where
    the mode is ``center``. A crop shows a square of `crop_side_px` of the frame.
    """

    box: tuple[float, float, float, float]
    rotation_degrees: int
    score: float
    age_s: float
    crop_side_px: float


def crop(frame: np.ndarray, face: Face, size: int) -> np.ndarray:
    """Cut a face out of a frame, uint8 of shape (height, width, 3), and turn it upright.

    The square of shape (size, size, 3) keeps its place to a fraction of a pixel; where it is
    shrunk, each pixel is the mean of an area. Beyond the frame its edge is repeated.
    """
    cv2 = load_cv2()
    # Drawn larger by a whole factor, then averaged: interpolation alone would skip pixels.
    factor = max(1, math.ceil(face.crop_side_px / size / LONGEST_STEP_PX))
    step = face.crop_side_px / (size * factor)
    turn = turning(face.rotation_degrees)
    x, y, width, height = face.box
    corner = (x + width / 2, y + height / 2) - turn @ np.full(2, face.crop_side_px / 2)
    # OpenCV counts from the middle of the first pixel, here as there.
    first = corner + turn @ np.full(2, step / 2) - 0.5
    drawn = cv2.warpAffine(
        np.ascontiguousarray(frame),
        np.column_stack([turn * step, first]),
        (size * factor, size * factor),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if factor > 1:
        drawn = cv2.resize(drawn, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(drawn)


class FaceFinder:
    """Finds one person's face in the frames of one clip; `YuNet` says which file finds it."""

    def __init__(self, config: FaceConfig) -> None:
        load_cv2()
        self.config = config
        self._track: _Track | None = None
        self._shape: tuple[int, ...] = ()
        self._time_s = self._detected_s = self._all_turns_s = -math.inf
        if config.mode != "center":
            least_score = config.min_score * KEPT_SCORE_SHARE
            self._detector = YuNet(config.detection_width_px, least_score)

    def find(self, frame: np.ndarray, frame_time_s: float) -> Face | None:
        """Find the face in the next frame, uint8 RGB of shape (height, width, 3).

        None where no face was found within the last ``hold_seconds``. Frames may be left out.
        """
        self._check(frame, frame_time_s)
        if self.config.mode == "center":
            return _central(frame)
        if self._track is not None:
            self._track.follow(frame)
        # Half a frame early is in time: a camera's clock wavers.
        due_s = (self.config.detect_every_frames - 0.5) / FRAME_RATE_HZ
        if frame_time_s - self._detected_s > due_s:
            self._detect(frame, frame_time_s)
        track = self._track
        if track is None or frame_time_s - track.detected_s > self.config.hold_seconds:
            self._track = None
            return None
        track.remember(frame)
        return track.face(frame_time_s, self.config.crop_margin)

    def _check(self, frame: np.ndarray, frame_time_s: float) -> None:
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or not frame.size:
            raise ConfigError(
                "a frame must be uint8 RGB of shape (height, width, 3); "
                f"got {frame.dtype} of shape {frame.shape}"
            )
        if not frame_time_s > self._time_s:
            raise ConfigError(
                f"frames must come in clock order; got {frame_time_s:g} s after {self._time_s:g} s"
            )
        self._time_s = frame_time_s
        if frame.shape != self._shape:
            self._shape = frame.shape
            self._track = None
            self._detected_s = -math.inf

    def _detect(self, frame: np.ndarray, time_s: float) -> None:
        """Look for faces, and let the track have its own or begin anew."""
        since_s = time_s - self._detected_s
        self._detected_s = time_s
        track = self._track
        detections: list[Detection] = []
        turns = list(TURNS_DEGREES)
        if track is not None and time_s - self._all_turns_s < ALL_TURNS_SECONDS:
            turns.remove(track.rotation_degrees)
            detections = self._detector.faces(frame, [track.rotation_degrees])
        own = _own(track, detections)
        if own is None or own.score < SURE_SCORE:
            detections += self._detector.faces(frame, turns)
            self._all_turns_s = time_s
        chosen = self._choose(_distinct(detections, track))
        if chosen is None:
            return
        if track is None or not track.is_of(chosen):
            self._track = _Track(chosen, time_s)
        else:
            track.correct(chosen, time_s, since_s, self.config.smoothing_seconds)

    def _choose(self, detections: list[Detection]) -> Detection | None:
        """Whose face: the track's own, unless there is none or another one is larger."""
        track = self._track
        own = _own(track, detections)
        best_score = max((face.score for face in detections), default=0.0)
        bar = max(self.config.min_score, best_score - DOUBTFUL_MARGIN)
        certain = [face for face in detections if face.score >= bar]
        if not certain or (track is not None and self.config.mode == "tracked"):
            return own
        largest = max(certain, key=lambda face: _area(face.box))
        if track is None or _area(largest.box) > TAKEOVER_AREA * _area(track.box):
            return largest
        if own is not None and own.score < KEPT_SCORE_SHARE * bar:
            return largest
        return own


class _Track:
    """The face that is followed; its box is centre x and y, width and height."""

    def __init__(self, detection: Detection, time_s: float) -> None:
        self.box = detection.box.copy()
        self.rotation_degrees = detection.rotation_degrees
        self.score = detection.score
        self.detected_s = time_s
        self._patch: np.ndarray | None = None
        self._patch_corner = (0, 0)

    def is_of(self, detection: Detection) -> bool:
        return overlap(self.box, detection.box) >= SAME_FACE_OVERLAP

    def remember(self, frame: np.ndarray) -> None:
        """Keep the picture under the box, and as far around it as the face may move."""
        edge = frame.shape[1::-1]
        reach = SEARCHED * self.box[2:]
        left, top = np.clip(self.box[:2] - reach, 0, edge).astype(int).tolist()
        right, bottom = np.clip(self.box[:2] + reach, 0, edge).astype(int).tolist()
        self._patch = _gray(frame[top:bottom, left:right])
        self._patch_corner = (left, top)

    def follow(self, frame: np.ndarray) -> None:
        """Move the box as the picture under it moved, from the remembered frame to this one."""
        if self._patch is None:
            return
        left, top = self._patch_corner
        height, width = self._patch.shape
        now = _gray(frame[top : top + height, left : left + width])
        if now is not None:
            self.box[:2] += _shift(self._patch, now, self.box - (left, top, 0, 0))

    def correct(
        self, detection: Detection, time_s: float, since_s: float, smoothing_seconds: float
    ) -> None:
        self.score = detection.score
        self.detected_s = time_s
        if detection.rotation_degrees != self.rotation_degrees:
            self.rotation_degrees = detection.rotation_degrees
            self.box = detection.box.copy()
            return
        play = FREE_PLAY * self.box[2:].max()
        off = detection.box - self.box
        gain = 1.0 if smoothing_seconds == 0 else 1 - math.exp(-since_s / smoothing_seconds)
        self.box += gain * (off - np.clip(off, -play, play))

    def face(self, time_s: float, margin: float) -> Face:
        x, y, width, height = self.box.tolist()
        return Face(
            box=(x - width / 2, y - height / 2, width, height),
            rotation_degrees=self.rotation_degrees,
            score=self.score,
            age_s=time_s - self.detected_s,
            crop_side_px=(1 + 2 * margin) * max(width, height),
        )


def _central(frame: np.ndarray) -> Face:
    """The largest square in the middle of a frame, taken as a face."""
    height, width = frame.shape[:2]
    side = float(min(height, width))
    return Face(((width - side) / 2, (height - side) / 2, side, side), 0, math.nan, 0.0, side)


def _own(track: _Track | None, detections: list[Detection]) -> Detection | None:
    """The detection that is the face of the track."""
    if track is None:
        return None
    return max(filter(track.is_of, detections), key=lambda face: face.score, default=None)


def _distinct(faces: list[Detection], track: _Track | None) -> list[Detection]:
    """Each face once: in the turn in which it scores best."""
    track_turn = None if track is None else track.rotation_degrees
    ranked = sorted(
        faces, key=lambda face: face.score + TURN_MARGIN * (face.rotation_degrees == track_turn)
    )
    distinct: list[Detection] = []
    for face in reversed(ranked):
        if all(overlap(face.box, other.box) < SAME_FACE_OVERLAP for other in distinct):
            distinct.append(face)
    return distinct


def _area(box: np.ndarray) -> float:
    return float(box[2] * box[3])


def _gray(picture: np.ndarray) -> np.ndarray | None:
    if not picture.size:
        return None
    cv2 = load_cv2()
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))


def _shift(before: np.ndarray, after: np.ndarray, box: np.ndarray) -> np.ndarray:
    """How far the picture moved inside a box, in pixels; nothing where that is unclear."""
    cv2 = load_cv2()
    # Not up to the edge of the box: its corners show what is behind the face.
    along = np.linspace(-0.4, 0.4, FLOW_POINTS)
    grid = np.stack(np.meshgrid(along, along), axis=-1).reshape(-1, 1, 2)
    points = (box[:2] + grid * box[2:]).astype(np.float32)
    search = {"winSize": (FLOW_WINDOW_PX, FLOW_WINDOW_PX), "maxLevel": FLOW_LEVELS}
    ahead, tracked, _ = cv2.calcOpticalFlowPyrLK(before, after, points, None, **search)
    back, tracked_back, _ = cv2.calcOpticalFlowPyrLK(after, before, ahead, None, **search)
    returned = np.linalg.norm(back - points, axis=-1) < FLOW_BACK_PX
    good = (returned & (tracked == 1) & (tracked_back == 1)).ravel()
    if good.mean() < LEAST_FLOW_SHARE:
        return np.zeros(2)
    return np.asarray(np.median((ahead - points)[good, 0], axis=0), np.float64)
