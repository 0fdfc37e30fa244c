"""``features`` writes what the models see of a clip, and nothing that tells whose it is."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import BUNDLE_V1, REASON_SOUNDS, reasons_bundle

from cryvision.bundle.fields import settings
from cryvision.config import FaceConfig, SoundConfig, to_json
from cryvision.inputs.features import sound_windows
from cryvision.inputs.media import open_clip, read_sound
from cryvision.training.systems import CHA_BAE_SOUNDS

MakeMedia = Callable[..., Path]

HALF = 1e-3  # relative: features are written in half precision
COLOUR = 2.0  # of 255: half precision, and the rounding of a crop
WIDTH = FaceConfig().embedding_width


@pytest.fixture(autouse=True)
def own_places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No model of faces on this machine."""
    monkeypatch.setenv("CRYVISION_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("CRYVISION_FACE_MODEL", raising=False)


@pytest.fixture(scope="module")
def mean_colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backbone as ONNX whose first three numbers are the mean colour of a crop."""
    from onnx import TensorProto, helper, save

    side = FaceConfig().crop_size_px
    spread = np.zeros((3, WIDTH), np.float32)
    spread[:, :3] = np.eye(3)
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["crops"], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["pixels"], ["colours"], axes=[1, 2], keepdims=0),
            helper.make_node("MatMul", ["colours", "spread"], ["embeddings"]),
        ],
        "mean_colours",
        [helper.make_tensor_value_info("crops", TensorProto.UINT8, ["n", side, side, 3])],
        [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["n", WIDTH])],
        [helper.make_tensor("spread", TensorProto.FLOAT, spread.shape, spread.ravel())],
    )
    path = tmp_path_factory.mktemp("backbone") / "mean_colours.onnx"
    opsets = [helper.make_opsetid("", 17)]
    save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


@pytest.fixture(scope="module")
def redder_mp4(make_media: MakeMedia) -> Path:
    """Three seconds of a square picture, black for one and a half and then red, with a tone."""
    picture = "color=black:s=64x64:r=30:d=3,drawbox=t=fill:c=red:enable='gte(t,1.5)'"
    return make_media(
        "redder.mp4",
        *("-f", "lavfi", "-i", picture),
        *("-f", "lavfi", "-i", "aevalsrc=0.3*sin(2*PI*440*t):s=16000:d=3"),
        *("-c:v", "mpeg4", "-q:v", "1", "-c:a", "aac"),
    )


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays of a file, and its metadata."""
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    return arrays, json.loads(str(arrays.pop("metadata")))


def test_features_of_sound_are_those_that_models_are_given(
    run: Any, bout_wav: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "x.npz"
    done = run("features", bout_wav, "--out", out)
    assert done.code == 0
    assert done.out.startswith(f"{out}: 3 windows; mfcc ")
    arrays, metadata = read(out)
    assert arrays["end_s"].tolist() == [2.0, 2.5, 3.0]
    samples = read_sound(bout_wav)
    for name, config in CHA_BAE_SOUNDS.items():
        expected = sound_windows(samples, config).inputs
        np.testing.assert_allclose(arrays[name], expected, rtol=HALF, atol=HALF)
        assert settings(SoundConfig, metadata["settings"][name], "here") == config
    assert metadata["gate_sha256"] is None


def test_without_models_of_faces_they_are_left_out_and_that_is_said(
    run: Any, small_video: Path, tmp_path: Path
) -> None:
    done = run("features", small_video, "--out", tmp_path / "x.npz")
    assert done.code == 0
    (line,) = done.err.splitlines()
    assert line.startswith("cryvision: the faces are left out: ")
    assert "cryvision fetch backbone" in line
    arrays, metadata = read(tmp_path / "x.npz")
    assert set(arrays) == {"end_s", "mfcc", "stft"}
    assert set(metadata["settings"]) == {"mfcc", "stft"}


def test_required_faces_that_cannot_be_looked_at_are_an_error(
    run: Any, small_video: Path, tmp_path: Path
) -> None:
    done = run("features", small_video, "--out", tmp_path / "x.npz", "--require-face")
    assert (done.code, done.out) == (1, "")
    assert len(done.err.splitlines()) == 1
    assert not (tmp_path / "x.npz").exists()


def test_faces_are_described_window_by_window(
    run: Any, redder_mp4: Path, mean_colours: Path, tmp_path: Path
) -> None:
    face = ("--face-mode", "center", "--backbone-weights", mean_colours)
    assert run("features", redder_mp4, "--out", tmp_path / "x.npz", *face).code == 0
    arrays, metadata = read(tmp_path / "x.npz")
    with open_clip(redder_mp4, sound=False) as clip:
        colours = np.stack([piece.frame.mean(axis=(0, 1)) for piece in clip.pieces()])
    assert arrays["face"].shape == (3, WIDTH)
    for end_s, row in zip(arrays["end_s"], arrays["face"], strict=True):
        last = round(end_s * 30)
        np.testing.assert_allclose(row[:3], colours[last - 60 : last].mean(axis=0), atol=COLOUR)
    assert arrays["face"][0, 0] < arrays["face"][2, 0] - 50
    described = metadata["settings"]["face"]
    assert described["backbone_weights"].startswith("sha256:")
    assert described["mode"] == "center"


def test_pictures_without_sound_have_faces_and_no_features_of_sound(
    run: Any, make_media: MakeMedia, mean_colours: Path, tmp_path: Path
) -> None:
    picture = ("-f", "lavfi", "-i", "color=blue:s=64x64:r=30:d=2.5", "-c:v", "mpeg4")
    clip = make_media("blue.mp4", *picture)
    face = ("--face-mode", "center", "--backbone-weights", mean_colours)
    assert run("features", clip, "--out", tmp_path / "x.npz", *face).code == 0
    arrays, _ = read(tmp_path / "x.npz")
    assert len(arrays["end_s"]) > 0
    assert np.isnan(arrays["mfcc"]).all()
    assert np.isfinite(arrays["face"]).all()


def test_sound_alone_has_rows_of_nan_for_the_face(
    run: Any, bout_wav: Path, mean_colours: Path, tmp_path: Path
) -> None:
    face = ("--face-mode", "center", "--backbone-weights", mean_colours)
    assert run("features", bout_wav, "--out", tmp_path / "x.npz", *face).code == 0
    arrays, _ = read(tmp_path / "x.npz")
    assert arrays["face"].shape == (3, WIDTH)
    assert np.isnan(arrays["face"]).all()


def test_nothing_in_the_file_tells_whose_it_is_or_where_it_lay(
    run: Any, redder_mp4: Path, mean_colours: Path, tmp_path: Path
) -> None:
    clip = tmp_path / "ada-lovelace.mp4"
    clip.write_bytes(redder_mp4.read_bytes())
    face = ("--face-mode", "center", "--backbone-weights", mean_colours)
    assert run("features", clip, "--out", tmp_path / "x.npz", *face).code == 0
    _, metadata = read(tmp_path / "x.npz")
    text = json.dumps(metadata)
    for telling in ("lovelace", "mp4", mean_colours.name, str(tmp_path)):
        assert telling not in text
        assert telling.encode() not in (tmp_path / "x.npz").read_bytes()


def test_with_a_bundle_the_settings_are_its_own_and_the_windows_are_those_that_cry(
    run: Any, bout_wav: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bundle = reasons_bundle(tmp_path_factory)
    out = tmp_path / "x.npz"
    assert run("features", bout_wav, "--out", out, "--bundle", bundle.folder).code == 0
    arrays, metadata = read(out)
    assert metadata["gate_sha256"] == bundle.sha256
    assert metadata["settings"] == {name: to_json(c) for name, c in REASON_SOUNDS.items()}
    # The tone lasts from 1 to 2 s; a window of a second that is mostly tone ends in this stretch.
    assert len(arrays["end_s"])
    assert (arrays["end_s"] > 1.2).all()
    assert (arrays["end_s"] < 2.9).all()
    assert arrays["mfcc"].shape[1:] == (
        REASON_SOUNDS["mfcc"].n_frames,
        REASON_SOUNDS["mfcc"].n_mfcc,
    )


def test_an_older_file_is_replaced_but_not_by_a_failure(
    run: Any, bout_wav: Path, tmp_path: Path
) -> None:
    out = tmp_path / "x.npz"
    out.write_bytes(b"older")
    bad = tmp_path / "bad.wav"
    bad.write_text("no sound")
    done = run("features", bad, "--out", out)
    assert (done.code, done.out) == (1, "")
    assert str(bad) in done.err.splitlines()[-1]
    assert out.read_bytes() == b"older"
    assert run("features", bout_wav, "--out", out).code == 0
    assert len(read(out)[0]["end_s"]) == 3
    assert sorted(os.listdir(tmp_path)) == ["bad.wav", "x.npz"]


def test_a_place_that_cannot_be_written_is_one_line(
    run: Any, bout_wav: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    done = run("features", bout_wav, "--out", tmp_path / "file" / "x.npz")
    assert (done.code, done.out) == (1, "")
    assert str(tmp_path / "file" / "x.npz") in done.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--out"),
        (("--out", "clip.wav"), "--out must end in .npz; got 'clip.wav'"),
        (("--out", "x.npz", "--face-mode", "none"), "'none'"),
        (("--out", "x.npz", "--bundle", str(BUNDLE_V1)), "must have branches on sound or face"),
        (
            ("--out", "x.npz", "--bundle", str(BUNDLE_V1), "--embed-every", "2"),
            "--bundle states how faces are described",
        ),
        (
            ("--out", "x.npz", "--bundle", str(BUNDLE_V1), "--require-face"),
            "the bundle has no face branch",
        ),
    ],
)
def test_wrong_usage_is_exit_status_2(
    run: Any,
    bout_wav: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("features", bout_wav, *options)
    assert (done.code, done.out) == (2, "")
    assert message in done.err.splitlines()[-1]
    assert not list(tmp_path.glob("*.npz"))
