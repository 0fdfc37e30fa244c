"""``cryvision evaluate``: how a bundle does on recordings that people labelled."""

from __future__ import annotations

import argparse
import os
from typing import Any

from cryvision.commands.terminal import (
    EXIT_DONE,
    EXIT_SOME_FAILED,
    add_bundle_option,
    add_cry_label_option,
    add_runtime_option,
    add_subject_option,
    log,
    show_json,
    show_text,
)

SHIPPED = "default"
"""Name of the bundle that ships with the package, where nothing else has that name."""


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="measure a bundle on labelled recordings",
        description="Classify recordings that people labelled and measure the predictions. "
        "Clips with a class (a folder per class, a manifest CSV with the columns path and label, "
        "donateacry-corpus) are measured by clip, event and window; clips with annotations of when "
        "they cry (ELAN, Praat, Raven, BORIS, Audacity and other files of labels beside them) by "
        "agreement; clips in folders such as cry and 'no cry' by whether crying is detected. Clips "
        "that fail are listed, the rest goes on, and the exit status is then 3.",
    )
    add_bundle_option(
        parser, help="a folder or zip; 'default', or none, is the one shipped", also_first=True
    )
    parser.add_argument("source", metavar="SOURCE", help="folder or manifest CSV")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--out", metavar="DIR", help="also write report.json, report.md and figures to this folder"
    )
    add_subject_option(parser, "SOURCE", "the phone in a donateacry name; else each file is one")
    add_cry_label_option(parser)
    add_runtime_option(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from cryvision.evaluation.evaluate import evaluate
    from cryvision.evaluation.markdown import evaluation_text

    shipped = options.bundle == SHIPPED and not os.path.exists(SHIPPED)
    record = evaluate(
        None if shipped else options.bundle,
        options.source,
        out=options.out,
        subject_pattern=options.subject_pattern,
        cry_labels=options.cry_label,
        runtime=options.runtime,
    )
    if options.out is not None:
        log(f"wrote {options.out}")
    if options.json:
        show_json(record)
    else:
        show_text(evaluation_text(record))
    return EXIT_SOME_FAILED if record["failed"] else EXIT_DONE
