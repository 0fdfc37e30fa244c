"""Faces: how steadily and how often they are found, and what it costs to classify a video by them.

A real face, NASA's public portrait in scikit-image, is moved and turned over another picture. The
face detector is the one that ``cryvision fetch`` brought, or that CRYVISION_FACE_MODEL names. Part
one follows the face. Part two classifies 15 s of 720p in exact mode: every frame through ResNet-50,
whose random weights make no difference to its speed. The naive way of many scripts stands beside
it: a list of all frames, the face looked for in each at full size, ``predict`` on one after the
other. Sound is left out of both. CPU time is of the whole process, with ffmpeg.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from report import SEED, Demand, finish, parser
from skimage import data

from cryvision.bundle import Bundle, Part
from cryvision.bundle.saving import Description, save
from cryvision.config import FRAME_RATE_HZ, FaceConfig
from cryvision.inputs.media import find_ffmpeg
from cryvision.inputs.pictures.faces import FaceFinder, crop
from cryvision.inputs.pictures.yunet import TURNS_DEGREES

STEADY_PX, MISSED_SHARE = 0.5, 0.1
EXACT_OVER_NAIVE, PEAK_MIB = 0.5, 500 / 1.048576
CLIP_SECONDS, SHAPE = 15, (720, 1280)
CLASSES = ("calm", "upset")
EXACT = FaceConfig(backbone_weights="random")

NAIVE = """
import sys
import cv2, keras
import numpy as np
path, model = sys.argv[1:]
clip, frames = cv2.VideoCapture(path), []
while True:
    there, frame = clip.read()
    if not there:
        break
    frames.append(frame)
backbone = keras.applications.ResNet50(include_top=False, weights=None, pooling="avg")
head = keras.Sequential([keras.layers.Dense(64, "relu"), keras.layers.Dense(2, "softmax")])
detector = cv2.FaceDetectorYN.create(model, "", frames[0].shape[1::-1], 0.7)
said = []
for frame in frames:
    found = detector.detect(frame)[1]
    if found is None:
        continue
    x, y, width, height = np.maximum(found[0][:4], 0).astype(int)
    face = cv2.resize(frame[y : y + height, x : x + width], (224, 224))
    ready = keras.applications.resnet50.preprocess_input(face[None, :, :, ::-1].astype("float32"))
    said.append(head.predict(backbone.predict(ready, verbose=0), verbose=0))
print(len(said))
"""


def main() -> int:
    options = parser(__doc__, repeats=1).parse_args()
    demands, result = followed()
    with tempfile.TemporaryDirectory() as folder:
        clip = write_clip(Path(folder, "clip.mp4"))
        # In a process of its own: a child's peak memory starts at that of its parent.
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            bundle = Bundle.load(pool.submit(make_bundle, Path(folder, "bundle")).result())
        runs: dict[str, list[dict[str, float]]] = {"exact": [], "naive": []}
        classify = ["-m", "cryvision", "classify", "--json", "--require-face"]
        commands = {
            "exact": [*classify, "--bundle", str(bundle.folder), str(clip)],
            "naive": ["-c", NAIVE, str(clip), face_model()],
        }
        # The backbone is turned into ONNX once on a machine; that is no part of a clip's cost.
        spent(
            [*classify, "--bundle", str(bundle.folder), str(write_clip(Path(folder, "s.mp4"), 1))]
        )
        for _ in range(options.repeats):
            for name, command in commands.items():
                runs[name].append(spent(command))
    best = {name: min(run["cpu_seconds"] for run in of_one) for name, of_one in runs.items()}
    peak = max(run["peak_mib"] for run in runs["exact"])
    demands += [
        Demand("CPU time, exact mode over the naive way", best["exact"] / best["naive"],
               EXACT_OVER_NAIVE),
        Demand("peak memory of exact mode in MiB (500 MB)", peak, PEAK_MIB),
    ]  # fmt: skip
    cost = {"clip_seconds": CLIP_SECONDS, "shape": SHAPE, "runs": runs}
    return finish("faces", bundle, {**result, "cost": cost}, demands)


def face_model() -> str:
    """The detector's file, as the package finds it."""
    from cryvision.inputs.pictures.yunet import MODEL_VARIABLE, fetched_model

    return os.environ.get(MODEL_VARIABLE) or str(fetched_model())


def followed() -> tuple[list[Demand], dict[str, Any]]:
    """Follow the face: its place in the crop while it glides, and whether it is found turned."""
    demands, found, spread = [], {}, {}
    for moves in ("camera", "face"):
        spread[moves] = float(np.std(crop_shifts(gliding(moves)), axis=0).max())
        what = f"pixels of the crop that a face wanders while the {moves} glides, deviation"
        demands.append(Demand(what, spread[moves], STEADY_PX))
    for turn in TURNS_DEGREES:
        finder = FaceFinder(EXACT)
        faces = [finder.find(frame, k / FRAME_RATE_HZ) for k, frame in enumerate(turned(turn))]
        right = [face is not None and face.rotation_degrees == turn for face in faces]
        found[str(turn)] = float(np.mean(right))
        what = f"share of frames in which a face turned by {turn} degrees is missed"
        demands.append(Demand(what, 1 - found[str(turn)], MISSED_SHARE))
    return demands, {"deviation_px": spread, "found_share": found}


def gliding(moves: str) -> Iterator[np.ndarray]:
    """Frames of 2.5 s in which the camera pans over a room with a face, or the face goes."""
    room = cv2.resize(data.coffee(), (1000, 700))
    whole = paste(room, 420, 330) if moves == "camera" else room
    for k in range(75):
        x, y = 1.3 * k, 0.4 * k
        if moves == "camera":
            move = np.array([[1, 0, x], [0, 1, y]])
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            yield cv2.warpAffine(whole, move, (640, 460), flags=flags)
        else:
            yield paste(whole[:460, :640], 250 + x, 220 + y)


def turned(turn: int) -> Iterator[np.ndarray]:
    """Frames of 2 s with a face at a quarter turn that moves, and nods by 12 degrees."""
    scene = np.full((360, 640, 3), (150, 140, 120), np.uint8)
    for k in range(60):
        tilt = 12 * math.sin(k / 10)
        yield paste(scene, 200 + 2.5 * k, 190 + 20 * math.sin(k / 15), turn + tilt, 0.7)


def paste(
    scene: np.ndarray, x: float, y: float, turn: float = 0.0, scale: float = 1.0
) -> np.ndarray:
    """Put the face into a scene, turned clockwise, and faded at its edge."""
    picture, middle = data.astronaut()[20:260, 110:340], np.array([111.0, 105.0])
    place = cv2.getRotationMatrix2D(tuple(middle), -turn, scale)
    place[:, 2] += (x, y) - middle
    v, u = np.mgrid[: picture.shape[0], : picture.shape[1]]
    far = np.hypot((u - middle[0]) / 85, (v - middle[1]) / 100)
    weight = np.clip((1.2 - far) / 0.2, 0, 1).astype(np.float32)
    size = scene.shape[1::-1]
    weight = cv2.warpAffine(weight, place, size)[..., None]
    return (scene * (1 - weight) + cv2.warpAffine(picture, place, size) * weight).astype(np.uint8)


def crop_shifts(frames: Iterable[np.ndarray]) -> np.ndarray:
    """How far the face lies in each crop from where it lies in the first, by their pixels."""
    finder = FaceFinder(EXACT)
    crops = []
    for k, frame in enumerate(frames):
        face = finder.find(frame, k / FRAME_RATE_HZ)
        if face is None:
            raise SystemExit(f"no face was found in frame {k}, and there is one in each")
        crops.append(cv2.cvtColor(crop(frame, face, 224), cv2.COLOR_RGB2GRAY))
    middle = np.zeros((224, 224), np.uint8)
    middle[56:168, 56:168] = 1
    until = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 50, 1e-4)
    start = np.eye(2, 3, dtype=np.float32)
    return np.array(
        [
            cv2.findTransformECC(
                crops[0], one, start.copy(), cv2.MOTION_TRANSLATION, until, middle, 5
            )[1][:, 2]
            for one in crops
        ]
    )


def write_clip(path: Path, seconds: int = CLIP_SECONDS) -> Path:
    """Write 720p at 30 frames a second, in which the face moves over a room."""
    height, width = SHAPE
    room = cv2.resize(data.coffee(), (width, height))
    coded = ["-c:v", "mpeg4", "-q:v", "5", "-pix_fmt", "yuv420p", str(path)]
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", "30"]
    command = [find_ffmpeg(), "-v", "error", *source, "-i", "pipe:0", *coded]
    frames = (
        paste(room, 400 + 1.1 * k, 350 + 60 * math.sin(k / 40)).tobytes()
        for k in range(seconds * FRAME_RATE_HZ)
    )
    with subprocess.Popen(command, stdin=subprocess.PIPE) as encoder, encoder.stdin as pipe:  # type: ignore[union-attr]
        pipe.writelines(frames)
    return path


def make_bundle(folder: Path) -> Path:
    """Save a bundle with an untrained face branch and nothing else: every frame has a say."""
    from cryvision.export.onnx.parts import part_files
    from cryvision.models.cha_bae import build_head, build_scaling

    width = EXACT.embedding_width
    head = build_head(build_scaling(np.zeros(width), np.ones(width)), width, len(CLASSES), "face")
    rows = np.random.default_rng(SEED).normal(0, 1, (16, width)).astype(np.float32)
    files, agreement = part_files(head, folder.parent, "branch_face", {"face": rows})
    part = Part("branch_face", "branch", ("face",), None, agreement, face=EXACT)
    description = Description(
        "untrained faces", CLASSES, [part], seed=SEED, command="benchmarks/faces.py"
    )
    return save(folder, description, {"branch_face": files}).folder


def spent(arguments: list[str]) -> dict[str, float]:
    """Run a Python command to its end: CPU seconds, peak memory of the process, and wall time."""
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{arguments[:3]} ended with status {status}")
    return {
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_mib": used.ru_maxrss / 1024,
        "wall_seconds": time.monotonic() - started,
    }


if __name__ == "__main__":
    sys.exit(main())
