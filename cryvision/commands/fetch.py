"""``cryvision fetch``: bring to this machine, once, what faces need."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from cryvision.commands.terminal import EXIT_DONE, Bar, log, show
from cryvision.errors import DownloadError

WHAT = ("face-detector", "backbone", "all")

FACE_DETECTOR_URLS = (
    "https://github.com/opencv/opencv_zoo/raw/82b38c8f98e7b52aa171400f3e4c722352d0669f/models/"
    "face_detection_yunet/face_detection_yunet_2023mar.onnx",
    "https://huggingface.co/opencv/face_detection_yunet/resolve/main/"
    "face_detection_yunet_2023mar.onnx",
)
"""OpenCV's model zoo, and its own copy of it elsewhere; MIT licence."""

BACKBONE_FOLDER_URL = "https://storage.googleapis.com/tensorflow/keras-applications/resnet/"
"""Where Keras fetches its weights of ResNet from."""


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "fetch",
        help="download the models that faces need",
        description="Download the face detector (YuNet, 0.2 MB, into cryvision's cache) and the "
        "weights of the backbone (ResNet-50 on ImageNet, 95 MB, into Keras' cache), check their "
        "hashes, and prepare the backbone for use without TensorFlow. Nothing is ever sent.",
    )
    parser.add_argument(
        "what", nargs="?", choices=WHAT, default="all", help="what to download (default: all)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    if options.what in ("face-detector", "all"):
        show(f"face detector: {_fetch_face_detector()}")
    if options.what in ("backbone", "all"):
        show(f"backbone weights: {_fetch_backbone_weights()}")
        show(f"backbone ready: {_prepare_backbone()}")
    return EXIT_DONE


def _fetch_face_detector() -> Path:
    from cryvision import download
    from cryvision.inputs.pictures.yunet import MODEL_BYTES, MODEL_SHA256, fetched_model

    def fetch(url: str) -> Path:
        return download.download(url, fetched_model(), sha256=MODEL_SHA256, size_bytes=MODEL_BYTES)

    first, second = FACE_DETECTOR_URLS
    try:
        return fetch(first)
    except DownloadError as error:
        log(str(error))
        return fetch(second)


def _fetch_backbone_weights() -> Path:
    from cryvision import download
    from cryvision.inputs.pictures.backbone import IMAGENET_MD5, has_imagenet_weights, imagenet_path

    target = imagenet_path()
    # Keras, too, replaces a file of the wrong hash.
    if target.is_file() and not has_imagenet_weights(target):
        target.unlink()
    url = BACKBONE_FOLDER_URL + target.name
    look = {"desc": target.name, "unit": "B", "unit_scale": True}
    with Bar() as bar:
        download.download(
            url, target, progress=lambda done, total: bar.move(done, total=total, **look)
        )
    if not has_imagenet_weights(target):
        target.unlink()
        raise DownloadError(f"{url}: the file must have the MD5 {IMAGENET_MD5}; it had another one")
    return target


def _prepare_backbone() -> Path:
    # TensorFlow reports on the machine as it starts.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from cryvision.config import FaceConfig
    from cryvision.inputs.pictures.embedding import prepare

    log("preparing the backbone, which takes half a minute and 5 GB of memory")
    return prepare(FaceConfig())
