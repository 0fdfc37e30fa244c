"""``cryvision lr-find``: look for the learning rate of a network."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from cryvision.commands.terminal import EXIT_DONE, EXIT_SOME_FAILED, log, show
from cryvision.commands.training import add_size_options, chosen_system
from cryvision.errors import ConfigError

if TYPE_CHECKING:
    from cryvision.training.branches import Rows
    from cryvision.training.systems import System


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "lr-find",
        help="look for the learning rate of a network",
        description="Train a network for some steps while its learning rate grows, and show at "
        "which rate the loss falls fastest: a rate to train with. All clips take part, so what "
        "is measured afterwards on some of them has seen a little of them.",
    )
    parser.add_argument("source", metavar="SOURCE", help="folder or manifest CSV")
    parser.add_argument(
        "--arch",
        default="deepinfant-v1",
        metavar="NAME",
        help="system whose network is tried (default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        default="lr-find.png",
        metavar="PNG",
        help="where to draw loss over learning rate (default: %(default)s)",
    )
    parser.add_argument("--steps", type=int, default=100, help="steps at most (default 100)")
    add_size_options(parser)
    parser.add_argument("--seed", type=int, default=0, help="of weights and batches (default 0)")
    parser.add_argument("--json", action="store_true", help="print the curve as a JSON object")
    parser.set_defaults(run=run, learning_rate=None)


def run(options: argparse.Namespace) -> int:
    from pathlib import Path

    from cryvision.atomic import check_place, check_suffix
    from cryvision.training.lr_finder import FEWEST_STEPS, draw, find_learning_rate

    chosen = chosen_system(options)
    if chosen.network is None:
        raise ConfigError(f"--arch must name a system that is one network; got {chosen.name!r}")
    if options.steps < FEWEST_STEPS:
        raise ConfigError(f"--steps must be at least {FEWEST_STEPS}; got {options.steps}")
    check_suffix("--out", options.out, ".png")
    check_place(Path(options.out), file=True)
    rows, n_classes, n_failed = _rows(options.source, chosen)
    curve = find_learning_rate(chosen.network, rows, n_classes, options.seed, n_steps=options.steps)
    title = f"{chosen.name} on {len(rows.labels)} windows"
    log(f"wrote {draw(curve, options.out, title)}")
    if options.json:
        record = {name: getattr(curve, name).tolist() for name in ("rates", "losses", "smoothed")}
        import json

        show(json.dumps({"arch": chosen.name, "suggested": curve.suggested, **record}))
    else:
        show(f"{chosen.name}: the loss falls fastest at a learning rate of {curve.suggested:.1e}")
    return EXIT_SOME_FAILED if n_failed else EXIT_DONE


def _rows(source: str, chosen: System) -> tuple[Rows, int, int]:
    """Windows of all clips that can be read, the number of classes, and of clips that cannot."""
    from cryvision.bundle import Bundle
    from cryvision.datasets.labelled import find_labelled_clips
    from cryvision.training.branches import Rows, class_weights
    from cryvision.training.clip_features import crying_windows
    from cryvision.training.systems import CRY
    from cryvision.training.training_set import class_names, warn_of_unread

    data = find_labelled_clips(source)
    warn_of_unread(data)
    labels = class_names(data)
    gate = Bundle.load() if chosen.gate == CRY else None
    samples, unreadable = crying_windows(data.clips, labels, chosen.settings, gate)
    for problem in unreadable.values():
        log(f"left out: {problem}")
    (windows,) = samples.features.values()
    weights = class_weights(samples.labels, samples.clips, len(labels))
    return Rows(windows, samples.labels, weights, samples.subjects), len(labels), len(unreadable)
