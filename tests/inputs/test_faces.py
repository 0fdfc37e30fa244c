"""Faces are found whichever way they lie, followed steadily, and never made up."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from cryvision.bundle.fields import settings
from cryvision.config import FaceConfig, to_json
from cryvision.errors import ConfigError, MissingDependencyError
from cryvision.inputs.pictures import faces, yunet
from cryvision.inputs.pictures.faces import Face, FaceFinder, crop
from cryvision.inputs.pictures.yunet import TURNS_DEGREES, Detection

cv2 = pytest.importorskip("cv2")

FRAME_S = 1 / 30
HEIGHT, WIDTH = 360, 640

STEADY_PX = 0.5  # what is promised of a face in a slowly panned picture, in pixels of the crop
FOUND_SHARE = 0.9  # what is promised of faces at any quarter turn
GREY_LEVELS = 1.5  # of 255: rounding, once for the frame and once for the crop


# --- crops ----------------------------------------------------------------------------------------


def face_at(center: tuple[float, float], side: float, turn: int = 0) -> Face:
    x, y = center
    return Face((x - side / 2, y - side / 2, side, side), turn, 0.9, 0.0, side)


def ramp() -> np.ndarray:
    """A picture whose red is its x and whose green its y, in pixels from its corner."""
    y, x = np.mgrid[:200, :240] + 0.5
    return np.stack([x, y, 0 * x], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("turn", TURNS_DEGREES)
@pytest.mark.parametrize("side", [50.0, 64.0, 117.3])
def test_a_crop_shows_its_square_turned_upright_to_a_fraction_of_a_pixel(turn: int, side: float):
    center = np.array([110.3, 95.8])
    picture = crop(ramp(), face_at(tuple(center), side, turn), 64)
    across = ((np.arange(64) + 0.5) / 64 - 0.5) * side
    u, v = np.meshgrid(across, across)
    x, y = {0: (u, v), 90: (-v, u), 180: (-u, -v), 270: (v, -u)}[turn]
    # The ramp was cut to whole numbers: half a level less than the place.
    np.testing.assert_allclose(picture[..., 0], center[0] + x - 0.5, atol=GREY_LEVELS)
    np.testing.assert_allclose(picture[..., 1], center[1] + y - 0.5, atol=GREY_LEVELS)


@pytest.mark.parametrize("side", [150.0, 197.3, 700.0])
def test_a_shrunk_crop_passes_over_no_pixel(side: float):
    checks = (np.indices((720, 720)).sum(0) % 2 * 255).astype(np.uint8)
    picture = crop(np.dstack([checks] * 3), face_at((360.4, 359.7), side), 100)
    uneven = 24  # of 255; one pixel of the checks alone would be 127 off
    assert abs(picture.astype(float) - 127.5).max() < uneven


def test_a_crop_beyond_the_frame_repeats_its_edge():
    frame = np.full((40, 40, 3), 200, np.uint8)
    assert (crop(frame, face_at((0, 20), 60), 32) == 200).all()


# --- whose face, with a detector that says what it is told ----------------------------------------


class Stub:
    """Stands in for YuNet: ``seen(turn, look)`` gives the faces; counts the looks."""

    def __init__(self, seen: Callable[[int, int], Iterable[Detection]]) -> None:
        self.seen = seen
        self.turns: list[list[int]] = []

    def __call__(self, *arguments: object) -> Stub:
        return self

    def faces(self, frame: np.ndarray, turns_degrees: Iterable[int]) -> list[Detection]:
        self.turns.append(list(turns_degrees))
        return [face for turn in self.turns[-1] for face in self.seen(turn, len(self.turns))]


def detection(x: float, side: float, score: float = 0.95, turn: int = 0) -> Detection:
    return Detection(np.array([x, 180.0, side, side]), turn, score)


@pytest.fixture
def finder(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FaceFinder]:
    def make(stub: Stub, **settings: object) -> FaceFinder:
        monkeypatch.setattr(faces, "YuNet", stub)
        return FaceFinder(FaceConfig(**settings))

    return make


def upright(*seen: Detection) -> Callable[[int, int], list[Detection]]:
    return lambda turn, look: [face for face in seen if face.rotation_degrees == turn]


def plain_frame() -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 3), 120, np.uint8)


def centers(finder: FaceFinder, n_frames: int, first: int = 0) -> list[float | None]:
    found = [finder.find(plain_frame(), k * FRAME_S) for k in range(first, first + n_frames)]
    return [None if face is None else face.box[0] + face.box[2] / 2 for face in found]


def test_faces_are_looked_for_in_every_nth_frame_of_the_clock(finder):
    stub = Stub(upright(detection(300, 80)))
    every = finder(stub, detect_every_frames=5)
    assert centers(every, 20) == [300.0] * 20
    assert len(stub.turns) == 4
    stub.turns.clear()
    for k in (21, 24, 27, 30, 33):  # a caller that takes every third frame
        every.find(plain_frame(), k * FRAME_S)
    assert 2 <= len(stub.turns) <= 3


def test_the_largest_face_is_taken_and_two_alike_do_not_alternate(finder):
    sizes = {1: (80, 78), 2: (77, 80), 3: (80, 78), 4: (76, 80)}
    stub = Stub(
        lambda turn, look: (
            [
                detection(150, sizes.get(look, (80, 78))[0]),
                detection(450, sizes.get(look, (80, 78))[1]),
            ]
            if turn == 0
            else []
        )
    )
    assert set(centers(finder(stub, mode="largest"), 30)) == {150.0}


def later_larger(turn: int, look: int) -> list[Detection]:
    return [detection(150, 80), *([detection(450, 140)] if look > 4 else [])] if turn == 0 else []


def test_largest_changes_to_a_larger_face_and_tracked_does_not(finder):
    assert centers(finder(Stub(later_larger), mode="largest"), 40)[-1] == 450.0
    assert set(centers(finder(Stub(later_larger), mode="tracked"), 40)) == {150.0}


def test_a_larger_thing_that_is_less_like_a_face_is_not_taken(finder):
    stub = Stub(upright(detection(150, 80, 0.92), detection(450, 140, 0.8)))
    assert set(centers(finder(stub, mode="largest"), 30)) == {150.0}


def test_a_doubtful_face_is_left_for_a_sure_one_unless_it_is_tracked(finder):
    def seen(turn: int, look: int) -> list[Detection]:
        thing = detection(450, 140, 0.75 if look == 1 else 0.52)
        return [thing, *([detection(150, 80, 0.93)] if look > 4 else [])] if turn == 0 else []

    largest = centers(finder(Stub(seen), mode="largest"), 60)
    assert (largest[0], largest[-1]) == (450.0, 150.0)
    assert set(centers(finder(Stub(seen), mode="tracked"), 60)) == {450.0}


def test_a_face_that_is_gone_is_held_for_a_while_and_then_is_none(finder):
    held = finder(Stub(lambda turn, look: [detection(300, 80)] if (turn, look) == (0, 1) else []))
    ages = []
    for k in range(30):
        face = held.find(plain_frame(), k * FRAME_S)
        ages.append(None if face is None else face.age_s)
    hold = FaceConfig().hold_seconds
    for k, age in enumerate(ages):
        if k * FRAME_S <= hold + 1e-9:
            assert age == pytest.approx(k * FRAME_S), k
        else:
            assert age is None, k


def test_nothing_is_found_where_nothing_is(finder):
    assert centers(finder(Stub(lambda turn, look: [])), 12) == [None] * 12
    doubtful = upright(detection(300, 80, score=0.6))
    assert centers(finder(Stub(doubtful), min_score=0.7), 12) == [None] * 12


def test_a_face_once_found_is_kept_at_a_lower_score(finder):
    stub = Stub(
        lambda turn, look: [detection(300, 80, 0.9 if look == 1 else 0.55)] if turn == 0 else []
    )
    assert centers(finder(stub, min_score=0.7), 60) == [300.0] * 60


def test_the_turn_that_scores_best_is_the_faces_own(finder):
    lying = upright(*(detection(300, 80, s, t) for t, s in ((0, 0.75), (90, 0.93), (180, 0.7))))
    found = finder(Stub(lying)).find(plain_frame(), 0.0)
    assert found is not None
    assert found.rotation_degrees == 90


def test_a_wrong_turn_of_a_face_is_not_another_larger_face(finder):
    whole = Detection(np.array([310.0, 200.0, 170.0, 230.0]), 90, 0.85)
    stub = Stub(upright(detection(300, 100, 0.93), whole))
    assert set(centers(finder(stub, mode="largest"), 40)) == {300.0}


def test_other_turns_are_tried_only_while_the_face_is_unsure(finder):
    sure, unsure = (Stub(upright(detection(300, 80, 0.95))), Stub(upright(detection(300, 80, 0.8))))
    centers(finder(sure), 30)
    centers(finder(unsure), 30)
    assert sum(len(turns) for turns in sure.turns) == 4 + 5  # all at first, then one each
    assert sum(len(turns) for turns in unsure.turns) == 4 * 6


def test_a_turn_is_kept_until_another_one_is_clearly_better(finder):
    def tilting(turn: int, look: int) -> list[Detection]:
        score = {0: 0.8, 90: 0.85 if look < 10 else 0.93}.get(turn)
        if look == 1 and turn == 90:
            score = None
        return [] if score is None else [detection(300, 80, score, turn)]

    tilted = finder(Stub(tilting))
    turns = [tilted.find(plain_frame(), k * FRAME_S).rotation_degrees for k in range(60)]
    assert turns[:20] == [0] * 20
    assert turns[-1] == 90


def test_a_box_moves_with_the_picture_between_detections(finder):
    random = np.random.default_rng(0)
    cloth = cv2.GaussianBlur(random.integers(0, 256, (HEIGHT, 2 * WIDTH, 3), np.uint8), (0, 0), 3)
    once = finder(Stub(lambda turn, look: [detection(200, 90)] if (turn, look) == (0, 1) else []))
    for k in range(15):
        face = once.find(np.ascontiguousarray(cloth[:, 3 * k : 3 * k + WIDTH]), k * FRAME_S)
        assert face is not None
        assert face.box[0] + 45 == pytest.approx(200 - 3 * k, abs=0.3)
        assert face.box[1] + 45 == pytest.approx(180, abs=0.3)


def test_a_box_does_not_tremble_with_its_detections(finder):
    random = np.random.default_rng(0)
    stub = Stub(
        lambda turn, look: (
            [detection(300 + random.uniform(-6, 6), 80 + random.uniform(-6, 6))]
            if turn == 0
            else []
        )
    )
    assert np.std(centers(finder(stub), 150)) < STEADY_PX


def test_a_box_that_is_far_off_goes_to_the_face_by_and_by(finder):
    stub = Stub(lambda turn, look: [detection(300 if look < 3 else 330, 80)] if turn == 0 else [])
    path = centers(finder(stub, smoothing_seconds=0.5), 90)
    steps = np.diff(path)
    assert 0 < steps.max() < 10
    # What is left is the free play.
    assert 330 - path[-1] == pytest.approx(faces.FREE_PLAY * 80, abs=1)


def test_a_picture_of_another_size_starts_anew(finder):
    stub = Stub(lambda turn, look: [detection(300, 80)] if (turn, look) == (0, 1) else [])
    changed = finder(stub)
    assert changed.find(plain_frame(), 0.0) is not None
    assert changed.find(plain_frame()[:200], FRAME_S) is None


def test_center_takes_the_middle_square_without_a_detector(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(yunet.MODEL_VARIABLE, "/nowhere/model.onnx")
    face = FaceFinder(FaceConfig(mode="center")).find(plain_frame(), 0.0)
    assert face is not None
    assert face.box == ((WIDTH - HEIGHT) / 2, 0, HEIGHT, HEIGHT)
    assert math.isnan(face.score)
    assert face.crop_side_px == HEIGHT


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)],
)
def test_what_is_no_picture_is_refused(frame: np.ndarray):
    with pytest.raises(ConfigError, match="a frame must be uint8 RGB"):
        FaceFinder(FaceConfig(mode="center")).find(frame, 0.0)


def test_frames_out_of_order_are_refused():
    central = FaceFinder(FaceConfig(mode="center"))
    central.find(plain_frame(), 1.0)
    for time_s in (0.5, 1.0, math.nan):
        with pytest.raises(ConfigError, match="clock order"):
            central.find(plain_frame(), time_s)


def one_line(error: BaseException) -> bool:
    return len(str(error).splitlines()) == 1


def test_a_missing_detector_names_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv(yunet.MODEL_VARIABLE, raising=False)
    monkeypatch.setenv("CRYVISION_CACHE", str(tmp_path))
    with pytest.raises(MissingDependencyError, match="cryvision fetch face-detector") as caught:
        FaceFinder(FaceConfig())
    assert one_line(caught.value)
    monkeypatch.setenv(yunet.MODEL_VARIABLE, str(tmp_path / "named.onnx"))
    with pytest.raises(MissingDependencyError, match=r"named\.onnx"):
        FaceFinder(FaceConfig())


def test_a_fetched_detector_that_is_damaged_is_not_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.delenv(yunet.MODEL_VARIABLE, raising=False)
    monkeypatch.setenv("CRYVISION_CACHE", str(tmp_path))
    (tmp_path / yunet.MODEL_NAME).write_bytes(b"half a download")
    with pytest.raises(MissingDependencyError, match="damaged"):
        FaceFinder(FaceConfig())


def test_a_file_that_is_no_detector_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    path = tmp_path / "not_yunet.onnx"
    monkeypatch.setenv(yunet.MODEL_VARIABLE, str(path))
    for content in (b"", b"not a model at all"):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=r"not_yunet\.onnx") as caught:
            FaceFinder(FaceConfig())
        assert one_line(caught.value)


class Broken:
    """An importer for which OpenCV lacks a system library, as on a bare server."""

    def find_spec(self, name: str, *rest: object) -> None:
        if name == "cv2":
            raise ImportError("libGL.so.1: cannot open shared object file: No such file")


@pytest.fixture
def without_libgl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "cv2")
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])


@pytest.mark.usefixtures("without_libgl")
def test_a_missing_system_library_names_the_remedy():
    with pytest.raises(MissingDependencyError, match=r"libGL\.so\.1.*apt-get install libgl1") as e:
        FaceFinder(FaceConfig(mode="center"))
    assert one_line(e.value)


def test_opencv_that_is_not_installed_names_the_remedy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingDependencyError, match="pip install opencv-python") as caught:
        FaceFinder(FaceConfig())
    assert one_line(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "smallest"},
        {"detect_every_frames": 0},
        {"detection_width_px": 8},
        {"crop_size_px": 100_000},
        {"min_score": 0.0},
        {"min_score": math.nan},
        {"hold_seconds": -1.0},
        {"smoothing_seconds": math.inf},
        {"crop_margin": -0.1},
        {"backbone": "vgg"},
        {"backbone_weights": ""},
        {"backbone": "squeezenet", "embedding_width": 512},
        {"embedding_width": 512},
        {"embedding_width": 0, "backbone_weights": "mine.onnx"},
        {"backbone_seed": -1},
    ],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, object]):
    with pytest.raises(ConfigError) as caught:
        FaceConfig(**wrong)
    assert one_line(caught.value)


def test_settings_survive_json():
    config = FaceConfig(mode="tracked", backbone_weights="mine.onnx", embedding_width=3)
    assert settings(FaceConfig, to_json(config), "here") == config


# --- a real face, with the real detector ----------------------------------------------------------


@pytest.fixture
def model(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = corpus / "models" / "face_detection_yunet_2026may.onnx"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    monkeypatch.setenv(yunet.MODEL_VARIABLE, str(path))


@pytest.fixture(scope="module")
def portrait() -> tuple[np.ndarray, np.ndarray]:
    """A real face, cut out, and the place between the eyes and the mouth in it."""
    from skimage import data

    return data.astronaut()[20:260, 110:340], np.array([111.0, 105.0])


@pytest.fixture(scope="module")
def paste(portrait) -> Callable[..., np.ndarray]:
    """Return ``paste(scene, x, y, turn, scale)``, which puts the face there, turned clockwise."""
    picture, middle = portrait

    def put(scene: np.ndarray, x: float, y: float, turn: float = 0.0, scale: float = 1.0):
        place = cv2.getRotationMatrix2D(tuple(middle), -turn, scale)
        place[:, 2] += (x, y) - middle
        size = scene.shape[1::-1]
        # As a vignette: a hard edge would be the easiest thing in the picture to follow.
        height, width = picture.shape[:2]
        v, u = np.mgrid[:height, :width]
        far = np.hypot((u - middle[0]) / 85, (v - middle[1]) / 100)
        weight = np.clip((1.2 - far) / 0.2, 0, 1).astype(np.float32)
        weight = cv2.warpAffine(weight, place, size)[..., None]
        face = cv2.warpAffine(picture, place, size)
        return (scene * (1 - weight) + face * weight).astype(np.uint8)

    return put


@pytest.fixture(scope="module")
def room() -> np.ndarray:
    """A scene without a face, larger than a frame."""
    from skimage import data

    return cv2.resize(data.coffee(), (1000, 700))


@pytest.mark.corpus
@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("turn", TURNS_DEGREES)
def test_a_face_is_found_and_set_upright_at_each_quarter_turn(turn, paste, portrait):
    finder = FaceFinder(FaceConfig())
    scene = np.full((HEIGHT, WIDTH, 3), (150, 140, 120), np.uint8)
    found = []
    for k in range(40):
        tilt = 12 * math.sin(k / 10)
        frame = paste(scene, 200 + 2.5 * k, 190 + 20 * math.sin(k / 15), turn + tilt, 0.7)
        face = finder.find(frame, k * FRAME_S)
        found.append(face is not None and face.rotation_degrees == turn)
    assert np.mean(found) >= FOUND_SHARE


@pytest.mark.corpus
@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("moves", ["camera", "face"])
def test_a_face_stays_in_its_place_in_the_crop_while_it_glides(moves, paste, room):
    finder = FaceFinder(FaceConfig())
    whole = paste(room, 420, 330) if moves == "camera" else room
    crops = []
    for k in range(75):
        at = 1.3 * k, 0.4 * k
        move = np.array([[1, 0, at[0]], [0, 1, at[1]]])
        if moves == "camera":
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            frame = cv2.warpAffine(whole, move, (WIDTH, HEIGHT + 100), flags=flags)
        else:
            frame = paste(whole[:460, :WIDTH], 250 + at[0], 220 + at[1])
        face = finder.find(frame, k * FRAME_S)
        assert face is not None
        crops.append(crop(frame, face, 224))
    places = [shift_between(crops[0], picture) for picture in crops]
    assert np.std(places, axis=0).max() <= STEADY_PX


def shift_between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """How far the second picture's middle has moved from the first's, measured on the pixels."""
    gray = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (first, second)]
    middle = np.zeros((224, 224), np.uint8)
    middle[56:168, 56:168] = 1
    until = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 50, 1e-4)
    move = np.eye(2, 3, dtype=np.float32)
    _, move = cv2.findTransformECC(*gray, move, cv2.MOTION_TRANSLATION, until, middle, 5)
    return move[:, 2]


@pytest.mark.corpus
def test_the_shift_that_is_measured_is_the_shift_that_is_there(paste, room):
    frame = paste(room, 420, 330)
    faces_at = [face_at((420 + dx, 330.0), 210) for dx in (0.0, 2.0)]
    first, second = (crop(frame, face, 224) for face in faces_at)
    assert shift_between(first, second)[0] == pytest.approx(-2 * 224 / 210, abs=0.1)


@pytest.mark.corpus
@pytest.mark.usefixtures("model")
def test_a_picture_that_is_turned_on_its_side_is_followed(paste):
    finder = FaceFinder(FaceConfig())
    scene = np.full((HEIGHT, WIDTH, 3), (150, 140, 120), np.uint8)
    turns = []
    for k in range(75):
        turn = min(90.0, max(0.0, 4.0 * (k - 15)))
        face = finder.find(paste(scene, 320, 180, turn, 0.8), k * FRAME_S)
        turns.append(None if face is None else face.rotation_degrees)
    assert turns[:15] == [0] * 15
    assert turns[-15:] == [90] * 15
    assert sum(a != b for a, b in pairwise(turns)) == 1


@pytest.mark.corpus
@pytest.mark.usefixtures("model")
def test_frames_without_a_face_are_none(paste, room):
    finder = FaceFinder(FaceConfig())
    empty = room[:HEIGHT, :WIDTH]
    full = paste(empty, 300, 180, scale=0.7)
    found = [
        finder.find(full if 20 <= k < 40 else empty, k * FRAME_S) is not None for k in range(80)
    ]
    hold = round(FaceConfig().hold_seconds / FRAME_S)
    assert not any(found[:20])
    assert all(found[25:40])
    assert not any(found[40 + hold :])


@pytest.mark.corpus
@pytest.mark.usefixtures("model")
def test_what_comes_later_changes_nothing_before(paste, room):
    frames = [paste(room[:HEIGHT, :WIDTH], 250 + 3 * k, 180, scale=0.7) for k in range(20)]
    other = frames[:10] + [np.zeros_like(frames[0])] * 10

    def follow(clip: list[np.ndarray]) -> list[Face | None]:
        finder = FaceFinder(FaceConfig())
        return [finder.find(frame, k * FRAME_S) for k, frame in enumerate(clip)]

    whole, cut = follow(frames), follow(other)
    assert whole[:10] == cut[:10]
    assert whole[10:] != cut[10:]


@pytest.mark.corpus
@pytest.mark.usefixtures("model")
def test_a_finder_does_not_touch_the_frame(paste, room):
    frame = paste(room[:HEIGHT, :WIDTH], 300, 180)
    before = frame.copy()
    face = FaceFinder(replace(FaceConfig(), mode="tracked")).find(frame, 0.0)
    assert face is not None
    crop(frame, face, 224)
    assert (frame == before).all()
