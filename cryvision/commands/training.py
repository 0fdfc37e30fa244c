"""What the commands that train have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryvision.commands.terminal import EXIT_DONE, EXIT_SOME_FAILED, log, show

if TYPE_CHECKING:
    import argparse

    from cryvision.training.saving import Trained
    from cryvision.training.systems import System


def add_training_options(parser: Any, default_out: str | None = None) -> None:
    """Give a command the options on where its bundle goes and how its clips are divided."""
    parser.add_argument(
        "--out",
        required=default_out is None,
        default=default_out,
        metavar="DIR",
        help="where to write the bundle: a folder, or a file whose name ends in .zip"
        + ("" if default_out is None else " (default: %(default)s)"),
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace a bundle that is there already"
    )
    parser.add_argument("--folds", type=int, default=5, help="folds by subject (default 5)")
    parser.add_argument("--seed", type=int, default=0, help="of everything drawn (default 0)")


def training_options(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "subject_pattern": options.subject_pattern,
        "n_folds": options.folds,
        "seed": options.seed,
        "overwrite": options.overwrite,
    }


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


def show_trained(trained: Trained) -> int:
    """Say what was written and describe it; give the exit status."""
    from cryvision.outputs.text import describe_bundle

    log(f"wrote {trained.bundle.folder}")
    if trained.report is not None:
        log(f"wrote {trained.report}")
    show(describe_bundle(trained.bundle.describe()))
    return EXIT_SOME_FAILED if trained.left_out else EXIT_DONE
