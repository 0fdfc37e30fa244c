"""The frozen backbones: where their weights are, and the networks that Keras makes of them.

A user's own option may name weights by a path. A bundle, which may come from anywhere, names them
by their hash: a file of that hash is looked for in the user's cache, where it was put when the
bundle was made, or by hand.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import re
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryvision.atomic import staged
from cryvision.config import FaceConfig
from cryvision.download import cache_folder, file_hash
from cryvision.errors import ConfigError, MissingDependencyError
from cryvision.os_errors import os_errors

if TYPE_CHECKING:
    import keras

IMAGENET_NAME = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
IMAGENET_MD5 = "4d473c1dd8becc155b73f8504c6f6626"
"""Keras' name and hash for its weights of ResNet-50 on ImageNet, without the classifier."""

IMAGENET_MEAN_BGR = (103.939, 116.779, 123.68)
"""Means of ImageNet in Caffe's order of colours, which both backbones have taken off."""

WEIGHTS_SUFFIXES = (".h5", ".hdf5", ".keras")
_SUFFIXES = (*WEIGHTS_SUFFIXES, ".onnx")

NAMED_WEIGHTS = ("imagenet", "random")
_HASH = re.compile(r"sha256:[0-9a-f]{64}")

REMEDY = "run 'cryvision fetch backbone' once, where there is a network"


def imagenet_path() -> Path:
    """Where Keras keeps the ImageNet weights of ResNet-50, there or not."""
    home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    return Path(home, "models", IMAGENET_NAME)


def has_imagenet_weights(path: Path) -> bool:
    """Whether a file holds Keras' ImageNet weights of ResNet-50: by its hash."""
    return file_hash(path, hashlib.md5(usedforsecurity=False)) == IMAGENET_MD5


def is_named(weights: str) -> bool:
    """Whether weights are named by anything but a path: by a name or by their hash."""
    return weights in NAMED_WEIGHTS or _HASH.fullmatch(weights) is not None


def cached_path(weights: str, suffix: str) -> Path:
    """Return where the cache holds the weights with a hash, there or not."""
    return cache_folder() / "backbones" / f"{weights.replace(':', '-')}{suffix}"


def cache_weights(config: FaceConfig) -> FaceConfig:
    """Name weights as a bundle may: a file of the user's own is kept in the cache under its hash.

    Errors as for `Embedder`, and where the copy cannot be written.
    """
    if is_named(config.backbone_weights):
        return config
    name, path = find_weights(config)
    if path is None:
        return config
    cached = cached_path(name, path.suffix)
    with os_errors(f"{cached}: the backbone's weights cannot be kept"):
        if not cached.exists():
            with contextlib.suppress(FileExistsError), staged(cached) as temporary:
                shutil.copyfile(path, temporary)
    return dataclasses.replace(config, backbone_weights=name)


def find_weights(config: FaceConfig) -> tuple[str, Path | None]:
    """Find the weights of a backbone: what `Embedder.weights` is, and their file or None."""
    if config.backbone_weights == "random":
        return f"random:{config.backbone_seed}", None
    if _HASH.fullmatch(config.backbone_weights):
        return config.backbone_weights, _find_cached(config.backbone_weights)
    imagenet = config.backbone_weights == "imagenet"
    path = imagenet_path() if imagenet else Path(config.backbone_weights)
    if path.suffix not in _SUFFIXES:
        raise ConfigError(
            "backbone_weights must be imagenet, random or a file that ends in "
            f"{', '.join(WEIGHTS_SUFFIXES)} or .onnx; got {config.backbone_weights!r}"
        )
    if path.exists() and not path.is_file():
        raise ConfigError(f"{path}: the backbone's weights must be a regular file")
    try:
        return f"sha256:{file_hash(path)}", path
    except OSError as error:
        remedy = REMEDY if imagenet else "name a file that is there in backbone_weights"
        raise MissingDependencyError(
            f"{path}: the backbone's weights cannot be read ({error.strerror}); {remedy}"
        ) from error


def _find_cached(weights: str) -> Path:
    paths = [cached_path(weights, suffix) for suffix in _SUFFIXES]
    for path in paths:
        if path.is_file() and f"sha256:{file_hash(path)}" == weights:
            return path
    raise MissingDependencyError(
        f"the backbone's weights with {weights} are not on this machine; copy their file to "
        f"{paths[-1].with_suffix('')} with its own ending ({', '.join(_SUFFIXES)})"
    )


def build_backbone(config: FaceConfig, weights_path: Path | None) -> keras.Model:
    """Build the backbone in Keras, with weights drawn from ``config.backbone_seed`` without a path.

    It takes uint8 RGB crops, shape (n, crop_size_px, crop_size_px, 3), to float32 embeddings, shape
    (n, embedding_width). Its last layer is the network of `keras.applications`, which takes BGR
    less `IMAGENET_MEAN_BGR`.
    """
    import keras
    from keras import layers

    shape = (config.crop_size_px, config.crop_size_px, 3)
    if config.backbone == "resnet50":
        network = keras.applications.ResNet50(
            include_top=False, weights=None, input_shape=shape, pooling="avg"
        )
    else:
        from cryvision.models.squeezenet import build_squeezenet

        network = build_squeezenet(config.crop_size_px)
    if weights_path is None:
        _draw_weights(network, config.backbone_seed)
    else:
        _load_weights(network, weights_path, config)
    crops = keras.Input(shape, name="crops", dtype="uint8")
    bgr = keras.ops.flip(keras.ops.cast(crops, "float32"), axis=-1)
    centered = layers.Rescaling(1.0, offset=[-mean for mean in IMAGENET_MEAN_BGR])(bgr)
    return keras.Model(crops, network(centered), name=config.backbone)


def _load_weights(network: keras.Model, path: Path, config: FaceConfig) -> None:
    import keras

    for weight in network.weights:
        weight.assign(np.full(weight.shape, np.nan, np.float32))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras only warns of weights that it did not find
            network.load_weights(path)
    except Exception as error:  # Keras and h5py raise any kind
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"{path}: must hold weights of {config.backbone} without its classifier: {reason}"
        ) from error
    for weight in network.weights:
        if not np.isfinite(keras.ops.convert_to_numpy(weight)).all():
            raise ConfigError(
                f"{path}: must hold all weights of {config.backbone} without its classifier, as "
                f"finite numbers; {weight.path} is missing or is not"
            )


def _draw_weights(network: keras.Model, seed: int) -> None:
    """Glorot and Bengio's uniform weights (AISTATS 2010), the same on every machine.

    Keras would draw from its global state, and leave that changed.
    """
    random = np.random.default_rng(seed)
    for weight in network.weights:
        if weight.path.endswith("kernel"):
            height, width, n_in, n_out = weight.shape
            limit = np.sqrt(6 / (height * width * (n_in + n_out)))
            weight.assign(random.uniform(-limit, limit, weight.shape).astype(np.float32))
