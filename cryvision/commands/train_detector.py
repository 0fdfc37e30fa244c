"""``cryvision train-detector``: train a cry detector on a lab's own annotations."""

from __future__ import annotations

import argparse
from typing import Any

from cryvision.commands.terminal import add_cry_label_option, add_subject_option
from cryvision.commands.training import add_training_options, show_trained, training_options


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "train-detector",
        help="train a cry detector on your own annotated recordings",
        description="Train a cry detector on recordings with label files beside them (Praat "
        "TextGrid, Audacity labels, ELAN, WebVTT, RTTM, CSV with start_s and end_s, or what was "
        "corrected on the page of 'cryvision serve'), or on a manifest CSV with the columns path, "
        "labels and, if known, subject. Labels that read cry or crying mean crying, and so do "
        "those of --cry-label. The tagger, which names what is heard, is that of the default "
        "bundle; a last layer of its own is kept only where folds show it better. Recordings that "
        "cannot be used are listed and left out, and the exit status is then 3.",
    )
    parser.add_argument("source", metavar="SOURCE", help="folder or manifest CSV")
    add_training_options(parser)
    each = "each file is one, and the detector never has measured skill"
    add_subject_option(parser, "SOURCE", each)
    add_cry_label_option(parser)
    parser.add_argument(
        "--false-alarms",
        type=float,
        metavar="PER_HOUR",
        help="choose the threshold for at most this many false alarms an hour "
        "(default: about the best F1 of events)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from cryvision.detector_training.options import DetectorOptions
    from cryvision.detector_training.train import train_with

    settings = DetectorOptions(
        cry_labels=options.cry_label,
        false_alarms_per_hour=options.false_alarms,
        **training_options(options),
    )
    return show_trained(train_with(options.source, options.out, settings))
