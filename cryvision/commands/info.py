"""``cryvision info``: verify and describe a bundle."""

from __future__ import annotations

import argparse
from typing import Any

from cryvision.commands.terminal import EXIT_DONE, add_bundle_option, show, show_json


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "info",
        help="describe a bundle: parts, skill, sources, licences",
        description="Verify a bundle and describe it.",
    )
    add_bundle_option(parser, also_first=True)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from cryvision.bundle import Bundle

    bundle = Bundle.load(options.bundle)
    if options.json:
        show_json(bundle.describe())
    else:
        from cryvision.outputs.text import describe_bundle

        show(describe_bundle(bundle.describe()))
    return EXIT_DONE
