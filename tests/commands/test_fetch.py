"""``fetch`` brings the official files, checked, to where they are looked for, and says where."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cryvision import download
from cryvision.commands import fetch
from cryvision.errors import DownloadError
from cryvision.inputs.pictures import backbone, embedding, yunet

CONTENT = b"the weights, or so"


@pytest.fixture(autouse=True)
def caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CRYVISION_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Stand in for the web, which has ``CONTENT`` at every address; gives what was asked for."""
    calls: list[dict[str, Any]] = []

    def serve(url: str, target: Path, **wanted: Any) -> Path:
        calls.append({"url": url, "target": target, **wanted})
        if not target.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(CONTENT)
        return target

    monkeypatch.setattr(download, "download", serve)
    return calls


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Return ``run(*words) -> int``; the backbone is not really turned into ONNX."""
    monkeypatch.setattr(embedding, "prepare", lambda config: Path(f"{config.backbone}.onnx"))
    parser = argparse.ArgumentParser()
    fetch.add(parser.add_subparsers())

    def command(*words: str) -> int:
        options = parser.parse_args(["fetch", *words])
        return options.run(options)

    return command


@pytest.fixture
def genuine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``CONTENT`` be the ImageNet weights."""
    digest = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    monkeypatch.setattr(backbone, "IMAGENET_MD5", digest)


def test_the_face_detector_comes_to_where_it_is_looked_for(asked, run, capsys):
    assert run("face-detector") == 0
    (call,) = asked
    assert call["url"].endswith("/face_detection_yunet_2023mar.onnx")
    assert call["target"] == yunet.fetched_model()
    assert (call["size_bytes"], call["sha256"]) == (
        232_589,
        "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
    )
    assert capsys.readouterr().out == f"face detector: {yunet.fetched_model()}\n"


def test_where_one_place_fails_another_is_asked(asked, run, monkeypatch, capsys):
    serve = download.download

    def first_is_down(url: str, target: Path, **wanted: Any) -> Path:
        if "github" in url:
            raise DownloadError(f"{url} could not be fetched: the server answered 503")
        return serve(url, target, **wanted)

    monkeypatch.setattr(download, "download", first_is_down)
    assert run("face-detector") == 0
    assert len(asked) == 1
    assert "503" in capsys.readouterr().err


@pytest.mark.usefixtures("genuine")
def test_the_backbone_comes_into_keras_own_cache_and_is_prepared(asked, run, capsys):
    assert run("backbone") == 0
    (call,) = asked
    assert call["url"] == (
        "https://storage.googleapis.com/tensorflow/keras-applications/resnet/"
        "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
    )
    assert call["target"] == backbone.imagenet_path()
    assert capsys.readouterr().out == (
        f"backbone weights: {backbone.imagenet_path()}\nbackbone ready: resnet50.onnx\n"
    )


@pytest.mark.usefixtures("genuine")
def test_by_default_everything_is_fetched(asked, run):
    assert run() == 0
    assert len(asked) == 2


@pytest.mark.usefixtures("asked")
def test_weights_of_the_wrong_hash_are_not_kept(run):
    with pytest.raises(DownloadError, match="must have the MD5 4d473c1dd8becc155b73f8504c6f6626"):
        run("backbone")
    assert not backbone.imagenet_path().exists()


@pytest.mark.usefixtures("asked", "genuine")
def test_damaged_weights_from_before_are_replaced(run):
    backbone.imagenet_path().parent.mkdir(parents=True)
    backbone.imagenet_path().write_bytes(b"half a download")
    assert run("backbone") == 0
    assert backbone.imagenet_path().read_bytes() == CONTENT


def test_keras_keeps_and_names_the_weights_as_we_do():
    from keras.src.applications import resnet

    name = backbone.IMAGENET_NAME
    assert resnet.WEIGHTS_HASHES["resnet50"][1] == backbone.IMAGENET_MD5
    assert resnet.BASE_WEIGHTS_PATH == fetch.BACKBONE_FOLDER_URL
    assert name == "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
