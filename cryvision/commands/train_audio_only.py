"""``cryvision train-audio-only``: train the published sound models on a labelled corpus."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from cryvision.commands.terminal import add_subject_option
from cryvision.commands.training import add_training_options, show_trained, training_options

if TYPE_CHECKING:
    from cryvision.training.systems import System


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


def add_method_options(parser: Any, *also: str) -> None:
    """Give a command the options of the system, ``--arch`` and other names, and its evaluation."""
    parser.add_argument(
        "--arch",
        *also,
        default="cha-bae",
        metavar="SYSTEM",
        help="a published system: cha-bae (default), deepinfant-v1, deepinfant-v2, "
        "deepinfant-vggish, tinytoes, tinytoes-resnet50, or a classifier of Cha and Bae's Table 2, "
        "such as svm-mfcc",
    )
    add_size_options(parser)
    parser.add_argument(
        "--learning-rate",
        type=float,
        metavar="RATE",
        help="of a network, such as lr-find suggests; of a cycle the highest (default: the "
        "published one)",
    )
    parser.add_argument(
        "--protocol",
        default="grouped",
        metavar="NAME",
        help="how clips are divided: grouped (default), grouped-holdout or grouped-kfold-10 keep "
        "subjects apart; random, kfold-10, leak-duplicate, leak-augment and leak-early-stopping "
        "do not, and what they measure is no skill",
    )
    parser.add_argument(
        "--augment",
        type=int,
        default=0,
        metavar="N",
        help="learn from N altered copies of each training clip too: pitch, tempo, time, noise, "
        "coding (default 0)",
    )


def add_size_options(parser: Any) -> None:
    parser.add_argument(
        "--width",
        type=int,
        metavar="N",
        help="of a network's layers (default: the published one; time goes with its square)",
    )
    parser.add_argument(
        "--window",
        type=float,
        metavar="SECONDS",
        help="length of a window (default: the published one)",
    )


def chosen_system(options: argparse.Namespace) -> System:
    from cryvision.training.systems import system

    chosen = system(options.arch)
    if options.window is not None:
        chosen = chosen.with_window(options.window)
    if options.width is not None:
        chosen = chosen.with_network(width=options.width)
    if options.learning_rate is not None:
        chosen = chosen.with_rate(options.learning_rate)
    return chosen


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
