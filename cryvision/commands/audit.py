"""``cryvision audit``: what is wrong in a corpus, before anything is learned from it."""

from __future__ import annotations

import argparse
from typing import Any

from cryvision.commands.terminal import (
    EXIT_DONE,
    EXIT_SOME_FAILED,
    add_subject_option,
    log,
    show_json,
    show_text,
)


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "audit",
        help="look for what is wrong in labelled recordings",
        description="Read a folder per class, a manifest CSV with the columns path and label, or "
        "donateacry-corpus, and say what is wrong in it and what could make a model look better "
        "than it is: broken, silent and cut clips, copies, odd names, hasty labels, and what tells "
        "the label without the crying. Nothing is changed. The exit status is 3 where some clips "
        "cannot be read, whatever else is found.",
    )
    parser.add_argument("source", metavar="SOURCE", help="folder or manifest CSV")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--html", metavar="FILE", help="also write a page with figures; it names your files"
    )
    add_subject_option(parser, "SOURCE", "the phone in a donateacry name; else each file is one")
    parser.add_argument("--seed", type=int, default=0, help="of the folds that measure (default 0)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from cryvision.auditing.audit import audit
    from cryvision.auditing.html import KIND, page
    from cryvision.auditing.markdown import audit_text
    from cryvision.outputs.html_page import check_page, write_report_page

    if options.html is not None:
        check_page(KIND, options.html)  # fails before any work where it cannot be written
    result = audit(options.source, subject_pattern=options.subject_pattern, seed=options.seed)
    if options.html is not None:
        write_report_page(KIND, page(result), options.html)
        log(f"wrote {options.html}")
    if options.json:
        show_json(result.to_json())
    else:
        show_text(audit_text(result))
    return EXIT_SOME_FAILED if result.counts["unreadable"] else EXIT_DONE
