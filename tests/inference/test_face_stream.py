"""Faces over a stream: which frames describe a window, and what is missing stays missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toy_videos import SIDE_PX, face_config

from cryvision.config import FaceConfig, SoundConfig
from cryvision.errors import BundleError, MissingDependencyError
from cryvision.inference.branch_inputs import FACE, BranchInputs
from cryvision.inference.detector import DetectorWindows
from cryvision.inference.face_stream import FaceStream
from cryvision.inputs.pictures.embedding import BATCH_CROPS, Embedder
from cryvision.inputs.pictures.faces import Face, FaceFinder

FLOAT32 = 1e-4
"""Of means up to 255."""

RATE_HZ = 16_000


def gray(value: int) -> np.ndarray:
    return np.full((SIDE_PX, SIDE_PX, 3), value, np.uint8)


def stream(folder: Path, **changes: object) -> FaceStream:
    settings = {"embed_every_frames": 1, "window_seconds": 1.0, "hop_seconds": 0.5}
    return FaceStream(face_config(folder, **{**settings, **changes}))


class HalfBlind(FaceFinder):
    """Finds the face in the middle of every second frame, and none in the others."""

    def __init__(self, config: FaceConfig) -> None:
        super().__init__(replace(config, mode="center"))

    def find(self, frame: np.ndarray, frame_time_s: float) -> Face | None:
        face = super().find(frame, frame_time_s)
        return face if round(frame_time_s * 30) % 2 else None


def push(faces: FaceStream, first: int, last: int) -> None:
    """Push frames whose gray is their number."""
    for k in range(first, last):
        faces.push(gray(k), k / 30)


def test_a_window_is_the_mean_over_its_frames(tmp_path: Path) -> None:
    faces = stream(tmp_path)
    push(faces, 0, 30)
    assert faces.window(RATE_HZ) == pytest.approx([14.5] * 3, abs=FLOAT32)
    push(faces, 30, 45)
    assert faces.window(RATE_HZ * 3 // 2) == pytest.approx([29.5] * 3, abs=FLOAT32)
    assert faces.n_frames == faces.n_faces == 45


def test_where_nobody_looks_for_a_face_no_share_of_frames_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = stream(tmp_path)
    push(faces, 0, 3)
    assert (faces.looks, faces.share) == (False, None)
    monkeypatch.setattr("cryvision.inference.face_stream.FaceFinder", HalfBlind)
    faces = stream(tmp_path, mode="largest")
    assert (faces.looks, faces.share) == (True, None)
    push(faces, 0, 4)
    assert faces.share == 0.5


def test_frames_after_its_end_have_no_part_in_a_window(tmp_path: Path) -> None:
    faces = stream(tmp_path)
    push(faces, 0, 40)
    assert faces.window(RATE_HZ) == pytest.approx([14.5] * 3, abs=FLOAT32)


def test_only_every_nth_face_is_embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    embed = Embedder.embed

    def spy(self: Embedder, crops: np.ndarray) -> np.ndarray:
        sizes.append(len(crops))
        return embed(self, crops)

    monkeypatch.setattr(Embedder, "embed", spy)
    faces = stream(tmp_path, embed_every_frames=3)
    push(faces, 0, 30)
    assert faces.window(RATE_HZ) == pytest.approx([np.arange(0, 30, 3).mean()] * 3, abs=FLOAT32)
    assert sum(sizes) == 10
    assert max(sizes) <= BATCH_CROPS


def test_a_window_without_a_face_is_missing_and_the_next_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = stream(tmp_path)
    find = faces._finder.find

    def in_the_second_second(frame: np.ndarray, time_s: float) -> Face | None:
        return find(frame, time_s) if time_s >= 1 else None

    monkeypatch.setattr(faces._finder, "find", in_the_second_second)
    push(faces, 0, 60)
    assert np.isnan(faces.window(RATE_HZ)).all()
    # Half of this window has no face; the other half describes it.
    assert faces.window(RATE_HZ * 3 // 2) == pytest.approx([np.arange(30, 45).mean()] * 3)
    assert (faces.n_frames, faces.n_faces) == (60, 30)


def test_a_long_stream_is_not_kept(tmp_path: Path) -> None:
    faces = stream(tmp_path)
    for second in range(1, 6):
        push(faces, 30 * (second - 1), 30 * second)
        faces.window(RATE_HZ * second)
        assert len(faces._embedded) <= 31
        assert not faces._waiting


def test_many_streams_may_share_a_backbone(tmp_path: Path) -> None:
    config = face_config(tmp_path)
    embedder = Embedder(config)
    first, second = FaceStream(config, embedder), FaceStream(config, embedder)
    first.push(gray(10), 0.0)
    second.push(gray(20), 0.0)
    assert first.window(RATE_HZ) == pytest.approx([10] * 3, abs=FLOAT32)
    assert second.window(RATE_HZ) == pytest.approx([20] * 3, abs=FLOAT32)
    assert first.weights == second.weights == embedder.weights


def test_a_backbone_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingDependencyError, match=r"lost\.onnx: the backbone's weights cannot"):
        stream(tmp_path, backbone_weights=str(tmp_path / "lost.onnx"))


SOUNDS = {"mfcc": SoundConfig(feature="mfcc", window_seconds=1.0, hop_seconds=0.5)}


class TestBranchInputs:
    def inputs(
        self, folder: Path, sounds: dict[str, SoundConfig]
    ) -> tuple[BranchInputs, FaceStream]:
        faces = stream(folder)
        return BranchInputs(sounds, faces._config, faces, None), faces

    def test_sound_and_faces_of_one_window_stand_in_one_row(self, tmp_path: Path) -> None:
        inputs, faces = self.inputs(tmp_path, SOUNDS)
        rng = np.random.default_rng(0)
        rows, ends = [], []
        for k in range(60):
            # As a clip is read: the sound up to a frame, then the frame.
            n = k * RATE_HZ // 30 - (k - 1) * RATE_HZ // 30 if k else 0
            windows = inputs.push(rng.normal(0, 0.1, n).astype(np.float32), None)
            faces.push(gray(k), k / 30)
            ends += windows.end_samples.tolist()
            if len(windows.end_samples):
                assert windows.inputs["mfcc"].shape[0] == len(windows.end_samples)
                rows.append(windows.inputs[FACE][0, 0])
        assert ends == [RATE_HZ, RATE_HZ * 3 // 2]
        assert rows == pytest.approx([14.5, 29.5], abs=FLOAT32)

    @pytest.mark.parametrize("sounds", [{}, SOUNDS])
    def test_pictures_without_sound_have_windows_at_the_same_times(
        self, tmp_path: Path, sounds: dict[str, SoundConfig]
    ) -> None:
        inputs, faces = self.inputs(tmp_path, sounds)
        ends, rows = [], []
        for k in range(60):
            windows = inputs.push_time(k * RATE_HZ // 30)
            faces.push(gray(k), k / 30)
            ends += windows.end_samples.tolist()
            rows += windows.inputs[FACE][:, 0].tolist() if len(windows.end_samples) else []
        windows = inputs.finish(None, 2 * RATE_HZ)
        ends += windows.end_samples.tolist()
        rows += windows.inputs[FACE][:, 0].tolist()
        assert ends == [RATE_HZ, RATE_HZ * 3 // 2, 2 * RATE_HZ]
        assert rows == pytest.approx([14.5, 29.5, 44.5], abs=FLOAT32)
        assert "mfcc" not in windows.inputs

    def test_pictures_shorter_than_a_window_give_one(self, tmp_path: Path) -> None:
        inputs, faces = self.inputs(tmp_path, SOUNDS)
        push(faces, 0, 10)
        windows = inputs.finish(None, RATE_HZ // 3)
        assert windows.end_samples.tolist() == [RATE_HZ // 3]
        assert windows.inputs[FACE][0] == pytest.approx([4.5] * 3, abs=FLOAT32)

    def test_without_faces_that_feature_is_missing(self, tmp_path: Path) -> None:
        config = face_config(tmp_path, window_seconds=1.0, hop_seconds=0.5)
        inputs = BranchInputs(SOUNDS, config, None, None)
        windows = inputs.push(np.zeros(RATE_HZ, np.float32), None)
        assert set(windows.inputs) == {"mfcc"}

    def test_faces_are_not_kept_where_nothing_cries(self, tmp_path: Path) -> None:
        faces = stream(tmp_path)
        inputs = BranchInputs(SOUNDS, faces._config, faces, 0.5)
        detected = DetectorWindows(
            *np.zeros((8, 0)), scored_samples=10 * RATE_HZ, settled_samples=10 * RATE_HZ
        )
        for second in range(8):
            push(faces, 30 * second, 30 * (second + 1))
            windows = inputs.push(np.zeros(RATE_HZ, np.float32), detected)
            assert not windows.crying.any()
        assert len(faces._embedded) + len(faces._waiting) <= 31 + BATCH_CROPS

    def test_features_of_other_times_are_refused(self, tmp_path: Path) -> None:
        config = face_config(tmp_path, window_seconds=2.0, hop_seconds=0.5)
        with pytest.raises(BundleError, match="branches must share one window and hop"):
            BranchInputs(SOUNDS, config, None, None)
