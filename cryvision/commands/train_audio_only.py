"""``cryvision train-audio-only``: train the published sound models on a labelled corpus."""

from __future__ import annotations

import argparse
from typing import Any

from cryvision.commands.terminal import add_subject_option
from cryvision.commands.training import (
    add_method_options,
    add_training_options,
    chosen_system,
    show_trained,
    training_options,
)


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "train-audio-only",
        help="train a published system on the sound of labelled clips",
        description="Train a published sound system on donateacry-corpus, a folder per class "
        "or a manifest CSV with the columns path and label, and measure them on subjects that "
        "training had not heard. A report with figures is written beside the bundle. When "
        "stopped, the same command goes on with the folds that are left.",
    )
    parser.add_argument(
        "corpus",
        nargs="?",
        metavar="CORPUS",
        help="folder or manifest CSV (default: donateacry-corpus, downloaded once)",
    )
    add_training_options(parser, default_out="cryvision-donateacry")
    add_method_options(parser)
    phone = "the phone in a donateacry name; else each file is one, which is never skill"
    add_subject_option(parser, "CORPUS", phone)
    parser.add_argument(
        "--gate-bundle",
        "--gate",
        dest="gate",
        metavar="BUNDLE",
        help="whose detector chooses the crying that is learned from (default: the one that ships, "
        "or for donateacry-corpus one that has heard none of its phones)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from cryvision.training.options import SoundOptions
    from cryvision.training.train import train_sound_with

    settings = SoundOptions(
        gate=options.gate,
        arch=chosen_system(options),
        protocol=options.protocol,
        augment=options.augment,
        **training_options(options),
    )
    return show_trained(train_sound_with(options.corpus, options.out, settings))
