"""``cryvision train``: labelled videos become a bundle of the user's own."""

from __future__ import annotations

import argparse
import os
from typing import Any

from cryvision.commands.terminal import add_subject_option, log
from cryvision.commands.training import (
    add_method_options,
    add_training_options,
    chosen_system,
    show_trained,
    training_options,
)
from cryvision.errors import ConfigError

KNOWN_WEIGHTS = ("imagenet", "random")


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "train",
        help="train on sound and faces of your own labelled videos",
        description="Train branches on sound and face and their ensemble on a folder per class, or "
        "on a manifest CSV with the columns path, label and perhaps subject, start_s, end_s and "
        "split. Labels may be any, not only reasons of crying. The bundle is measured on subjects "
        "that training had not seen, together and by modality; a report with figures is written "
        "beside it. Clips that fail are listed and left out, and the exit status is then 3. When "
        "stopped, the same command goes on with what is left.",
    )
    parser.add_argument("source", metavar="SOURCE", help="folder or manifest CSV")
    add_training_options(parser)
    add_method_options(parser, "--preset")
    parser.add_argument(
        "--gate",
        choices=("cry", "none"),
        default="cry",
        help="cry: learn from what the default detector calls crying (default); none: from all",
    )
    add_subject_option(
        parser,
        "SOURCE",
        "the manifest's, or the phone in a donateacry name; else each file is one, which is never "
        "skill",
    )
    add_face_options(parser)
    parser.add_argument(
        "--cache", metavar="DIR", help="where to keep the features of clips (default: your cache)"
    )
    parser.add_argument(
        "--tensorboard",
        metavar="DIR",
        help="write the learning curves of all branches to this folder, for TensorBoard",
    )
    parser.set_defaults(run=run)


def add_face_options(parser: Any) -> None:
    parser.add_argument(
        "--require-face",
        action="store_true",
        help="fail where faces cannot be looked at (default: leave them out, with a warning)",
    )
    parser.add_argument(
        "--face-mode",
        choices=("largest", "tracked", "center"),
        help="largest: the largest face (default); tracked: stay with the first one; center: the "
        "middle of the picture, without looking for a face",
    )
    parser.add_argument(
        "--backbone-weights",
        metavar="imagenet|random|PATH",
        help="of ResNet-50: imagenet (default), random, or a file (.h5, .keras, .onnx)",
    )
    parser.add_argument(
        "--detect-every", type=int, metavar="N", help="look for a face in every Nth frame (5)"
    )
    parser.add_argument(
        "--embed-every", type=int, metavar="N", help="describe the face in every Nth frame (1)"
    )


def face_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Give those fields of FaceConfig that were set on the command line."""
    if options.face_mode == "center" and options.detect_every is not None:
        raise ConfigError("--detect-every is for a face mode that looks for faces; got center")
    weights = options.backbone_weights
    if weights not in (None, *KNOWN_WEIGHTS):
        weights = os.path.abspath(weights)  # a bundle is used from other folders
    fields = {
        "mode": options.face_mode,
        "backbone_weights": weights,
        "detect_every_frames": options.detect_every,
        "embed_every_frames": options.embed_every,
    }
    return {name: value for name, value in fields.items() if value is not None}


def run(options: argparse.Namespace) -> int:
    from cryvision.training import train as fusion
    from cryvision.training.options import VideoOptions, face_of

    chosen = chosen_system(options)
    of_face = face_settings(options)
    settings = VideoOptions(
        face=face_of(chosen, **of_face) if of_face else None,
        require_face=options.require_face,
        gate=options.gate,
        arch=chosen,
        protocol=options.protocol,
        augment=options.augment,
        cache=options.cache,
        tensorboard=options.tensorboard,
        **training_options(options),
    )
    try:
        trained = fusion.train_with(options.source, options.out, settings)
    except KeyboardInterrupt:
        log("the same command goes on from what is done")
        raise
    return show_trained(trained)
