"""What the commands that train have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryvision.commands.terminal import EXIT_DONE, EXIT_SOME_FAILED, log, show

if TYPE_CHECKING:
    import argparse

    from cryvision.training.saving import Trained


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


def show_trained(trained: Trained) -> int:
    """Say what was written and describe it; give the exit status."""
    from cryvision.outputs.text import describe_bundle

    log(f"wrote {trained.bundle.folder}")
    if trained.report is not None:
        log(f"wrote {trained.report}")
    show(describe_bundle(trained.bundle.describe()))
    return EXIT_SOME_FAILED if trained.left_out else EXIT_DONE
