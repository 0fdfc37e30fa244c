"""``cryvision classify``: find the crying in clips."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cryvision.commands.clip_paths import NamedClip, named_clips
from cryvision.commands.terminal import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_SOME_FAILED,
    ClipProgress,
    add_bundle_option,
    add_runtime_option,
    log,
    show,
    show_json,
)
from cryvision.errors import ConfigError, MediaError

if TYPE_CHECKING:
    from cryvision.bundle import Bundle
    from cryvision.inference.options import OptionValues
    from cryvision.result import Classification

FORMATS = (
    *("csv", "parquet", "quality", "json", "audacity", "vtt", "srt", "rttm", "textgrid", "eaf"),
    *("raven", "boris", "childproject", "chat", "audioset", "dcase", "label-studio"),
    *("png", "mp4"),
)
"""As in `cryvision.outputs.FORMATS`, which would take time to import."""

ALL_FORMATS = "all"
"""As in `cryvision.outputs.files`, for the same reason."""

VETO_LEVELS = ("off", "normal", "strict")
"""As in `cryvision.config`, for the same reason."""

BOUT_GAP_SECONDS = 0.5
"""As in `cryvision.result`, for the same reason."""


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "classify",
        help="find the crying in clips",
        description="Find the crying in video or sound files and print when, how long, how sure "
        "and how loud.",
    )
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="a video or sound file; a folder or a pattern for all in it; - for standard input",
    )
    add_bundle_option(parser)
    parser.add_argument(
        "--formats",
        type=_formats,
        metavar="LIST",
        help=f"also write files: {', '.join(FORMATS)} (comma-separated), or {ALL_FORMATS}: each "
        "of them, mp4 only of clips with pictures",
    )
    parser.add_argument(
        "--out", metavar="DIR", help="folder for --formats (default: the current one)"
    )
    _add_text_options(parser)
    parser.add_argument(
        "--audio-track",
        type=int,
        metavar="N",
        help="the sound track to read, from 1 on (default: the one that the file marks, or if "
        "that is silent, the first that is not)",
    )
    parser.add_argument(
        "--start",
        metavar="TIME",
        help="date and time at which the recording started, such as 2026-03-29T01:30:00+01:00 "
        "(default: what its file or its name states); one clip only",
    )
    add_clip_options(parser)
    parser.set_defaults(run=run)


def _add_text_options(parser: Any) -> None:
    parser.add_argument(
        "--all-events",
        action="store_true",
        help="list every bout with its events (default: the first 20 bouts)",
    )
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument(
        "--json", action="store_true", help="print one JSON object a clip, each on a line"
    )
    amount.add_argument(
        "--verbose",
        action="store_true",
        help="also say what else was heard, and what was measured of the bundle",
    )
    amount.add_argument("--quiet", action="store_true", help="print one line a clip")
    parser.add_argument(
        "--show-rejected",
        action="store_true",
        help="also show the candidates that the tagger did not hear as crying, and what it heard "
        "(default: in JSON alone)",
    )
    parser.add_argument(
        "--show-experimental",
        action="store_true",
        help="show reasons also where the bundle was not measured to tell them apart",
    )


def add_clip_options(parser: Any) -> None:
    """Give a command the options of one clip and of many: times, acoustics, labels, events."""
    parser.add_argument(
        "--timezone",
        default="",
        metavar="ZONE",
        help="zone of the recorder's clock, such as Europe/Berlin, in which times are shown "
        "(default: that of this machine, or what the recording states)",
    )
    parser.add_argument(
        "--timeline-hop",
        type=float,
        metavar="SECONDS",
        help="write the timeline of csv, parquet and json with a row each so many seconds "
        "(default: a row a frame, 30 a second)",
    )
    parser.add_argument(
        "--acoustics",
        action="store_true",
        help="measure F0, voice quality, spectrum and timing of each cry and bout with Praat",
    )
    _add_decision_options(parser)
    add_event_options(parser)


def add_event_options(parser: Any) -> None:
    parser.add_argument(
        "--veto",
        choices=VETO_LEVELS,
        default="normal",
        help="how much the tagger must hear of crying for an event to stand: off keeps crying "
        "under noise, and more that is none; strict drops more of both (default: normal)",
    )
    parser.add_argument(
        "--bout-gap",
        type=_gap_seconds,
        default=BOUT_GAP_SECONDS,
        metavar="SECONDS",
        help="events less than this far apart make one bout (default: %(default)g)",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="P",
        help="score of the detector at which an event opens, above 0 and below 1: higher finds "
        "less; the level at which it closes moves with it (default: the bundle's)",
    )
    parser.add_argument(
        "--min-duration",
        type=float,
        metavar="SECONDS",
        help="drop events that are shorter (default: the bundle's)",
    )
    parser.add_argument(
        "--min-gap",
        type=float,
        metavar="SECONDS",
        help="make one event of two with a shorter gap between them (default: the bundle's)",
    )


def _add_decision_options(parser: Any) -> None:
    add_runtime_option(parser)
    parser.add_argument(
        "--smooth",
        type=float,
        metavar="SECONDS",
        help="length of the rolling prediction deque (default: the bundle's)",
    )
    parser.add_argument(
        "--label-policy",
        choices=("skill", "always"),
        default="skill",
        help="skill: a label only where it was measured to be better than chance (default); "
        "always: the most probable one",
    )
    parser.add_argument(
        "--require-face",
        action="store_true",
        help="fail where faces cannot be looked at (default: the rest decides, with a warning)",
    )
    parser.add_argument(
        "--blur-faces",
        action="store_true",
        help="blur the faces that are found in the video of --formats mp4; one that is missed "
        "stays visible, so watch a video before you show it",
    )


def _gap_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"must be seconds, 0 or more; got {text!r}")
    return seconds


def _formats(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    allowed = (*FORMATS, ALL_FORMATS)
    unknown = [repr(name) for name in names if name not in allowed]
    if unknown or not names:
        raise argparse.ArgumentTypeError(
            f"formats must be among {', '.join(allowed)}; got {(unknown or ['none'])[0]}"
        )
    return list(dict.fromkeys(names))


def run(options: argparse.Namespace) -> int:
    if options.out is not None and options.formats is None:
        raise ConfigError("--out needs --formats to say what to write; got none")
    _check_list_options(options)
    formats = written_formats(options.formats or (), options.blur_faces)
    from cryvision.bundle import Bundle
    from cryvision.outputs.files import check_formats, check_timeline_hop, stems
    from cryvision.start_times.chunks import TIME_RULE, iso_time

    check_formats(formats)
    check_timeline_hop(options.timeline_hop, formats)
    if options.acoustics:
        from cryvision.acoustics.praat import require_praat

        require_praat()  # fails before any work without it
    if options.start is not None and iso_time(options.start.strip()) is None:
        raise ConfigError(f"--start {TIME_RULE}; got {options.start!r:.60}")
    bundle = Bundle.load(options.bundle).keeping_models()
    n_done = n_failed = 0
    rested_on: set[str] = set()
    with named_clips(options.paths) as (clips, problems):
        if options.start is not None and len(clips) != 1:
            raise ConfigError(
                f"--start is for a single clip; got {len(clips)} clips: cryvision score reads the "
                "column start of a manifest"
            )
        for problem in problems:
            log(problem)
            n_failed += 1
        for clip, stem in zip(clips, stems([clip.path for clip in clips]), strict=True):
            try:
                _one(clip, stem, bundle, formats, options, rested_on)
                n_done += 1
            except MediaError as error:
                # Anything else would befall the other clips as well, and ends the run.
                log(str(error).replace(clip.path, clip.name))
                n_failed += 1
    if n_failed == 0:
        return EXIT_DONE
    return EXIT_SOME_FAILED if n_done else EXIT_FAILED


def _check_list_options(options: argparse.Namespace) -> None:
    """Refuse what changes the list of bouts where none is printed."""
    if not options.json and not options.quiet:
        return
    form = "--json" if options.json else "--quiet"
    if options.all_events:
        raise ConfigError(f"--all-events is for the list of bouts; {form} prints none")
    if options.show_rejected and not options.formats:
        raise ConfigError(
            f"--show-rejected is for the list of bouts, or for --formats; {form} prints none"
        )


def written_formats(formats: Sequence[str], blur_faces: bool) -> list[str]:
    """Give the formats to write, the video with its faces blurred if they are to be."""
    if not blur_faces:
        return list(formats)
    if not {"mp4", ALL_FORMATS} & set(formats):
        raise ConfigError("--blur-faces needs mp4 among --formats; it is not there")
    from cryvision.outputs.video import face_detectors

    face_detectors()  # fails before any work without one
    return [*(name for name in formats if name != "mp4"), "mp4-blurred"]


def chosen_options(options: argparse.Namespace) -> OptionValues:
    return {
        "runtime": options.runtime,
        "smooth_seconds": options.smooth,
        "label_policy": options.label_policy,
        "require_face": options.require_face,
        **event_options(options),
    }


def event_options(options: argparse.Namespace) -> OptionValues:
    return {
        "veto": options.veto,
        "bout_gap_s": options.bout_gap,
        "threshold": options.threshold,
        "min_duration_s": options.min_duration,
        "min_gap_s": options.min_gap,
    }


def _one(
    clip: NamedClip,
    stem: str,
    bundle: Bundle,
    formats: Sequence[str],
    options: argparse.Namespace,
    rested_on: set[str],
) -> None:
    from cryvision.inference.clip import classify

    with ClipProgress(clip.name) as progress:
        result = classify(
            clip.path,
            bundle,
            audio_track=options.audio_track,
            start=options.start or "",
            timezone=options.timezone,
            progress=progress.show,
            **chosen_options(options),
        )
    if options.acoustics:
        from cryvision.acoustics import measure_clip

        result = measure_clip(result)
    if formats:
        from cryvision.outputs.files import write

        shown = {
            "show_rejected": options.show_rejected,
            "show_experimental": options.show_experimental,
            "timeline_hop_s": options.timeline_hop,
        }
        for written in write(result, options.out or ".", formats, stem, **shown):
            log(f"wrote {written}")
        if ALL_FORMATS in formats and not result.media.get("has_picture"):
            log(f"{clip.name}: no mp4 was written, as the clip has no pictures")
    from dataclasses import replace

    _print_result(replace(result, path=clip.name), options, rested_on)


def _print_result(result: Classification, options: argparse.Namespace, rested_on: set[str]) -> None:
    """Print a result; ``rested_on`` holds the skills that were printed before."""
    if options.json:
        from cryvision.outputs.tables import to_record

        record = to_record(result, show_experimental=options.show_experimental)
        show_json(record)
        return
    from cryvision.outputs.bundle_text import rests_on
    from cryvision.outputs.text import describe

    skill = rests_on(result)
    text = describe(
        result,
        all_events=options.all_events,
        verbose=options.verbose,
        quiet=options.quiet,
        show_rejected=options.show_rejected,
        show_experimental=options.show_experimental,
        with_skill=skill not in rested_on,
    )
    rested_on.add(skill)
    # A blank line parts the lists of two clips; lines alone stand below each other.
    show(text if "\n" not in text else f"{text}\n")
