"""``cryvision info``: verify and describe a bundle."""

from __future__ import annotations

import argparse
import json
from typing import Any

from cryvision.commands.terminal import EXIT_DONE, show


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "info",
        help="describe a bundle: parts, skill, sources, licences",
        description="Verify a bundle and describe it.",
    )
    parser.add_argument(
        "bundle", nargs="?", metavar="BUNDLE", help="folder or zip (default: the one shipped)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from cryvision.bundle import Bundle

    bundle = Bundle.load(options.bundle)
    if options.json:
        show(json.dumps(bundle.describe(), allow_nan=False))
    else:
        from cryvision.outputs.text import describe_bundle

        show(describe_bundle(bundle.describe()))
    return EXIT_DONE
