"""``cryvision agree``: how far two coders, or a coder and a detector, agree."""

from __future__ import annotations

import argparse
from typing import Any

from cryvision.commands.terminal import (
    EXIT_DONE,
    EXIT_SOME_FAILED,
    add_bundle_option,
    add_cry_label_option,
    log,
    show_json,
    show_text,
)

ONSET_TOLERANCE_S, OFFSET_TOLERANCE_S, OVERLAP = 0.25, 0.5, 0.5
"""As in `cryvision.evaluation.agreement`, which would take time to import."""

_SOFTWARE = "cryvision agreement"
"""In the files of figures, to tell them from others."""


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "agree",
        help="measure how far two codings agree",
        description="Compare two codings of the same recordings: files of coders (ELAN, Praat, "
        "Raven, BORIS, ChildProject, LENA, CHAT, RTTM and more) or folders of them, results of "
        "cryvision classify --json or cryvision score, or clips, which are scored now. Recordings "
        "are paired by name. A is taken for the reference. The exit status is 3 where some "
        "recordings are in one of the two alone.",
    )
    parser.add_argument("first", metavar="A", help="file or folder: the reference")
    parser.add_argument("second", metavar="B", help="file or folder to compare with it")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--html", metavar="FILE", help="also write a page to print; it names your files"
    )
    parser.add_argument("--figure", metavar="FILE", help="also write a PNG of where the two differ")
    for letter in "ab":
        parser.add_argument(
            f"--tier-{letter}",
            default="",
            metavar="NAME",
            help=f"tier or speaker of {letter.upper()} that counts (default: all, joined)",
        )
    add_cry_label_option(parser)
    parser.add_argument(
        "--subject-pattern",
        metavar="REGEX",
        help="its first group, on the path of a recording below A, names its subject (default: "
        "each recording is a subject)",
    )
    parser.add_argument(
        "--media",
        metavar="DIR",
        help="folder of the recordings, for their lengths (default: beside the labels)",
    )
    _add_measure_options(parser)
    add_bundle_option(parser, help="scores clips without labels (default: the one shipped)")
    parser.set_defaults(run=run)


def _add_measure_options(parser: Any) -> None:
    parser.add_argument(
        "--onset-tolerance",
        type=float,
        default=ONSET_TOLERANCE_S,
        metavar="SECONDS",
        help="how far the onsets of two matching events may be apart (default: %(default)g)",
    )
    parser.add_argument(
        "--offset-tolerance",
        type=float,
        default=OFFSET_TOLERANCE_S,
        metavar="SECONDS",
        help="the same for their offsets (default: %(default)g)",
    )
    parser.add_argument(
        "--overlap",
        type=float,
        default=OVERLAP,
        metavar="SHARE",
        help="share of an event that must overlap for the F1 by intersection (default: "
        "%(default)g)",
    )


def run(options: argparse.Namespace) -> int:
    from cryvision.evaluation.agreement import measure_agreement
    from cryvision.evaluation.agreement_report import KIND, agreement_page, agreement_text, draw
    from cryvision.evaluation.coded_clips import CodingOptions, find_coded_clips
    from cryvision.evaluation.event_metrics import intersection_counts, match_events
    from cryvision.layers import require
    from cryvision.outputs.html_page import write_report_page
    from cryvision.outputs.tables import plain

    require("evaluate", "agreement")
    _check_outputs(options.html, options.figure)
    tolerances = options.onset_tolerance, options.offset_tolerance
    match_events([], [], *tolerances)  # refused before clips are scored
    intersection_counts([], [], options.overlap)
    pairs = find_coded_clips(
        options.first,
        options.second,
        CodingOptions(
            tiers=(options.tier_a, options.tier_b),
            cry_labels=options.cry_label,
            subject_pattern=options.subject_pattern,
            media=options.media,
            bundle=options.bundle,
        ),
    )
    record = measure_agreement(
        pairs.clips,
        onset_tolerance_s=options.onset_tolerance,
        offset_tolerance_s=options.offset_tolerance,
        overlap=options.overlap,
    )
    record |= {"notes": pairs.notes, "warnings": pairs.warnings, "problems": pairs.problems}
    for line in (*pairs.notes, *pairs.warnings, *pairs.problems):
        log(line)
    if options.html is not None:
        sources = (options.first, options.second)
        write_report_page(KIND, agreement_page(record, pairs.clips, sources), options.html)
        log(f"wrote {options.html}")
    if options.figure is not None:
        _write_figure(draw(pairs.clips), options.figure)
    if options.json:
        show_json(plain(record))
    else:
        show_text(agreement_text(record))
    return EXIT_SOME_FAILED if pairs.problems else EXIT_DONE


def _check_outputs(html: str | None, figure: str | None) -> None:
    """Fail before any work where a file cannot be written."""
    from cryvision.atomic import check_suffix
    from cryvision.evaluation.agreement_report import KIND
    from cryvision.outputs.html_page import check_marked, check_page

    if html is not None:
        check_page(KIND, html)
    if figure is not None:
        check_marked(f"figure of an older {KIND}", f"Software\0{_SOFTWARE}".encode(), figure)
        check_suffix("--figure", figure, ".png")


def _write_figure(figure: Any, path: str) -> None:
    from pathlib import Path

    from cryvision.atomic import replacing
    from cryvision.evaluation.figures import write_png

    with replacing(Path(path), path) as place:
        write_png(figure, place, _SOFTWARE)
    log(f"wrote {path}")
