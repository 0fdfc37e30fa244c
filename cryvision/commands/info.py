"""``cryvision info``: verify and describe a bundle."""

from __future__ import annotations

import argparse
import os
from typing import Any

from cryvision.commands.terminal import EXIT_DONE, add_bundle_option, show, show_json
from cryvision.errors import ConfigError, CryvisionError


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "info",
        help="describe a bundle: parts, skill, sources, licences",
        description="Verify a bundle and describe it.",
    )
    add_bundle_option(parser, also_first=True)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object")
    form.add_argument(
        "--methods",
        nargs="?",
        const="",
        metavar="ABOUT",
        help="print a paragraph for the methods of a paper: version, bundle, settings and skill; "
        "of a run where its file TABLE.about.json is named",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    if options.methods and options.bundle is None and _may_be_bundle(options.methods):
        options.bundle, options.methods = options.methods, ""
    if options.methods:
        if options.bundle is not None:
            raise ConfigError("--methods of a run needs no bundle: its file says which it used")
        show(_methods_of_run(options.methods))
        return EXIT_DONE
    from cryvision.bundle import Bundle

    facts = Bundle.load(options.bundle).describe()
    if options.json:
        show_json(facts)
    elif options.methods is not None:
        from cryvision.outputs.methods_text import methods_paragraph

        show(methods_paragraph(facts))
    else:
        from cryvision.outputs.text import describe_bundle

        show(describe_bundle(facts))
    return EXIT_DONE


def _may_be_bundle(path: str) -> bool:
    """Whether the word behind ``--methods`` is the bundle, which could stand before it."""
    return os.path.isdir(path) or path.lower().endswith(".zip")


def _methods_of_run(path: str) -> str:
    import json

    from cryvision.outputs.methods_text import methods_paragraph

    try:
        with open(path, encoding="utf-8") as file:
            about = json.load(file)
        sha256 = about["settings"]["bundle_sha256"]
        return methods_paragraph({**about["bundle"], "sha256": sha256}, about["settings"])
    except OSError as error:
        raise CryvisionError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise CryvisionError(
            f"{path}: must be the .about.json that score writes beside its table"
        ) from error
