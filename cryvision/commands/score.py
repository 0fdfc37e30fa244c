"""``cryvision score``: score a folder, a bucket or a million clips into one table."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from cryvision.commands.classify import add_clip_options, chosen_options, written_formats
from cryvision.commands.terminal import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_SOME_FAILED,
    Bar,
    add_bundle_option,
    log,
    show,
)
from cryvision.errors import ConfigError

if TYPE_CHECKING:
    from cryvision.batch.summary import Progress, Summary


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "score",
        help="score many clips into one table",
        description="Find the crying in many clips and write one row for each. However a run "
        "ends, the same command goes on where it stopped.",
    )
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="a file, a folder with all in it, a pattern, a manifest (.csv with a column path), "
        "or a URL of one of these (s3://, gs://)",
    )
    parser.add_argument(
        "--out", required=True, metavar="FILE", help="the table: .csv, .jsonl or .parquet"
    )
    add_bundle_option(parser)
    _add_work_options(parser)
    _add_result_options(parser)
    parser.set_defaults(run=run)


def _add_work_options(parser: Any) -> None:
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes (default: one for a small job, up to one a core for a large one)",
    )
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="local: this machine (default); ray: a Ray cluster",
    )
    parser.add_argument(
        "--address",
        metavar="ADDRESS",
        help="running Ray cluster, auto to find one (default: start one on this machine)",
    )
    parser.add_argument(
        "--gpus-per-worker",
        type=float,
        default=0.0,
        metavar="N",
        help="GPUs, or the share of one, that Ray sets aside for each worker (default: none)",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=3600.0,
        metavar="SECONDS",
        help="limit for one clip (default: 3600; 0 for none)",
    )
    parser.add_argument(
        "--retry-failed", action="store_true", help="score clips again that have failed before"
    )


def _add_result_options(parser: Any) -> None:
    parser.add_argument(
        "--formats",
        metavar="LIST",
        help="also write files for each clip, as classify does, such as csv,textgrid,eaf; all "
        "for each format, mp4 only of clips with pictures",
    )
    parser.add_argument(
        "--formats-dir", metavar="DIR", help="folder for --formats (default: FILE.clips)"
    )
    parser.add_argument(
        "--events",
        metavar="FILE",
        help="also write one row an event over all clips: .csv, .jsonl or .parquet; its columns "
        "are explained in FILE.dictionary.csv",
    )
    parser.add_argument(
        "--summary",
        metavar="FILE",
        help="also write a CSV with the crying of each hour and day, of recordings whose start is "
        "known",
    )
    parser.add_argument(
        "--week",
        metavar="FILE",
        help="also draw the hours of --summary as a PNG, one panel per day",
    )
    parser.add_argument(
        "--subject-pattern",
        metavar="REGEX",
        help="its first group, found in the path of a clip, is the clip's subject, where a "
        "manifest names none; --summary and --week join successive recordings of a subject "
        "(default: no pattern; clips without a subject then count as one subject's)",
    )
    add_clip_options(parser)


def run(options: argparse.Namespace) -> int:
    from cryvision.batch.run import score

    if options.week is not None and options.summary is None:
        raise ConfigError("--week needs --summary; got none")
    _check_targets(options)
    names = [name.strip() for name in (options.formats or "").split(",") if name]
    formats = written_formats(names, options.blur_faces)
    with _Bar() as bar:
        try:
            summary = score(
                options.sources,
                options.out,
                bundle=options.bundle,
                workers=options.workers,
                engine=options.engine,
                address=options.address,
                gpus_per_worker=options.gpus_per_worker,
                formats=formats,
                formats_dir=options.formats_dir,
                retry_failed=options.retry_failed,
                timeout_seconds=options.timeout,
                events=options.events,
                acoustics=options.acoustics,
                timezone=options.timezone,
                summary=options.summary,
                subject_pattern=options.subject_pattern,
                timeline_hop_s=options.timeline_hop,
                progress=bar.show,
                **chosen_options(options),
            )
        except KeyboardInterrupt:
            bar.close()
            if bar.newest is not None:
                n_done = bar.newest.n_before + bar.newest.n_scored
                log(
                    f"{n_done} of {bar.newest.n_clips} clips are in {options.out}; the same "
                    "command goes on from there"
                )
            raise
    if options.week is not None:
        _draw_week(summary, options.week)
    for problem in summary.problems:
        log(problem)
    show(_text(summary))
    if not summary.n_failed and not summary.problems:
        return EXIT_DONE
    return EXIT_FAILED if summary.n_failed == summary.n_clips else EXIT_SOME_FAILED


def _check_targets(options: argparse.Namespace) -> None:
    from pathlib import Path

    from cryvision.batch.placing import check_distinct
    from cryvision.monitor.recording import day_figure

    if options.week is not None:
        targets = (options.out, options.events, options.summary, options.week)
        check_distinct(target for target in targets if target is not None)
        day_figure.check_target(Path(options.week))


def _draw_week(summary: Summary, path: str) -> None:
    """Draw the hours of each day as the monitor draws its own."""
    from pathlib import Path

    from cryvision.batch.hours import DAY, HOUR
    from cryvision.monitor.recording import day_figure
    from cryvision.monitor.recording.day_report import Day, Hour

    hours: dict[tuple[str, Any], list[Hour]] = {}
    seconds = {
        (one.subject, one.start.date()): one.end.timestamp() - one.start.timestamp()
        for one in summary.periods
        if one.kind == DAY
    }
    for one in summary.periods:
        if one.kind == HOUR:
            hour = Hour(
                one.start.timestamp(),
                one.cry_s or 0.0,
                one.observed_s,
                one.start.tzinfo,
                too_quiet=one.observed_s > 0 and one.cry_s is None,
            )
            hours.setdefault((one.subject, one.start.date()), []).append(hour)
    days = [
        Day(subject or "recordings", date, seconds[subject, date], tuple(own), ())
        for (subject, date), own in hours.items()
    ]
    day_figure.draw(days, Path(path))
    log(f"wrote {path}")


def _text(summary: Summary) -> str:
    from cryvision.outputs.wording import clock, counted, printable

    text = f"{printable(summary.out)}: {counted(summary.n_clips, 'clip')}"
    if summary.n_failed:
        kinds = ", ".join(f"{kind} {count}" for kind, count in summary.failures.items())
        text += f", {summary.n_failed} failed ({kinds})"
    if not summary.n_scored:
        return f"{text}; nothing was left to score"
    return (
        f"{text}; scored {summary.n_scored} in {clock(summary.elapsed_s, decimals=0)}, "
        f"{_rates(summary.n_scored, summary.media_seconds, summary.elapsed_s)}"
    )


def _rates(n_clips: int, media_seconds: float, elapsed_s: float) -> str:
    elapsed_s = max(elapsed_s, 1e-3)
    return f"{n_clips / elapsed_s:.1f} clips/s, {media_seconds / elapsed_s:.0f} h of media an hour"


class _Bar(Bar):
    """Clips done, rates, failures and time left."""

    def __init__(self) -> None:
        super().__init__()
        self.newest: Progress | None = None

    def show(self, progress: Progress) -> None:
        self.newest = progress
        bar = self.move(
            progress.n_before + progress.n_scored,
            total=progress.n_clips,
            initial=progress.n_before,
            bar_format="{n_fmt}/{total_fmt} clips |{bar}|{postfix}, {remaining} left",
        )
        if bar is not None:
            rates = _rates(progress.n_scored, progress.media_seconds, progress.elapsed_s)
            bar.set_postfix_str(f"{rates}, {progress.n_failed} failed", refresh=False)
