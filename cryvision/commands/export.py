"""``cryvision export``: one bundle as a file for a phone or a small computer."""

from __future__ import annotations

import argparse
import os
from typing import Any

from cryvision.commands.terminal import EXIT_DONE, add_bundle_option, show


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "export",
        help="write Core ML, ONNX or LiteRT, compared with the bundle",
        description="Write a bundle's models as one Core ML, ONNX or LiteRT file that takes "
        "waveform and gives scores: of crying, of the other tags, of the reasons. The file is "
        "read back and compared with the models it was made of; one that does not agree is not "
        "written. FILE.json beside it holds what a stream needs to behave as classify does.",
    )
    add_bundle_option(parser, also_first=True)
    parser.add_argument(
        "--out",
        required=True,
        metavar="FILE",
        help="where to write; the name ends in .mlpackage (Core ML), .onnx or .tflite (LiteRT)",
    )
    parser.add_argument(
        "--to",
        choices=("coreml", "onnx", "litert"),
        help="kind of file (default: by the ending of the name)",
    )
    parser.add_argument(
        "--precision",
        choices=("fp32", "fp16", "int8"),
        help="of the weights (default: fp16 for Core ML, else fp32)",
    )
    parser.add_argument(
        "--part",
        choices=("all", "detector", "reason", "face"),
        default="all",
        help="what of the bundle; the detector is the edges and the tagger (default: all, the "
        "detector and the reason in one file)",
    )
    parser.add_argument(
        "--representative",
        metavar="SOURCE",
        help="a recording or a folder of recordings to compare on as well; int8 needs them",
    )
    parser.add_argument(
        "--features", action="store_true", help="the file takes features in place of waveform"
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace an older export once the new one is whole (default: refuse)",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="write in 8 bits what changes labels, steps or tags in more than a tenth of cases",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    # Before TensorFlow is loaded: it greets on stderr.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from cryvision.export.deploy import export

    report = export(
        options.bundle,
        options.out,
        to=options.to,
        precision=options.precision,
        part=options.part,
        representative=options.representative,
        features=options.features,
        overwrite=options.overwrite,
        force=options.force,
    )
    show("\n".join(report.lines()))
    return EXIT_DONE
