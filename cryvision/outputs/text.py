"""A classification in words: the crying in a line, then when it was."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cryvision.acoustics.measures import Acoustics, CryAcoustics
from cryvision.outputs.bundle_text import describe_bundle, priors, rests_on
from cryvision.outputs.shown import (
    as_shown,
    bouts_with_events,
    class_names,
    common_label,
    strongest_other,
    tag_words,
)
from cryvision.outputs.wording import (
    LINE_WIDTH,
    NO_BREAK,
    clock,
    counted,
    length,
    printable,
    row,
    score,
)
from cryvision.result import Bout, Classification, Event, find_bouts

if TYPE_CHECKING:
    from cryvision.start_times import RecordingStart

__all__ = ["LINE_WIDTH", "clock", "describe", "describe_bundle", "headline", "printable"]

START_FORMAT = "%Y-%m-%d %H:%M:%S %z"

MAX_LISTED = 20
"""Bouts that are listed by default."""

_NO_REASONS = {"no cry", "cry"}
_UNSKILLED = (
    "on unseen subjects, this bundle was not measured to predict its labels better than "
    "their shares in the training data do"
)
_EVENT_DECIMALS = 2

_ACOUSTIC_LINES = (
    (
        "F0",
        (
            ("f0_median_hz", "median {:.0f} Hz"),
            ("f0_range_hz", "range {:.0f} Hz"),
            ("voiced_share", "voiced {:.0%}"),
        ),
    ),
    (
        "mode",
        (
            ("phonation_share", "phonation {:.0%}"),
            ("dysphonation_share", "dysphonation {:.0%}"),
            ("hyperphonation_share", "hyperphonation {:.0%}"),
        ),
    ),
    (
        "voice",
        (
            ("jitter_percent", "jitter {:.1f} %"),
            ("shimmer_percent", "shimmer {:.1f} %"),
            ("hnr_db", "HNR {:.1f} dB"),
        ),
    ),
    (
        "timing",
        (("expiratory_s", "expiration {:.2f} s"), ("cry_interval_s", "from cry to cry {:.2f} s")),
    ),
)


class _Line(NamedTuple):
    """A line of the list: when, cells that stand below each other, and the lines below it."""

    indent: str
    span: Event | Bout
    cells: tuple[str, ...]
    below: str = ""


def describe(
    classification: Classification,
    *,
    all_events: bool = False,
    verbose: bool = False,
    quiet: bool = False,
    show_rejected: bool = False,
    show_experimental: bool = False,
    with_skill: bool = True,
) -> str:
    """Describe the result of a clip as text.

    Parameters
    ----------
    classification : Classification
    all_events : bool
        List every bout, not only the first `MAX_LISTED`, and below it the events it is made of.
    verbose : bool
        Add the label, how long each tag was detected, how often a face was, and what the
        result rests on, each number beside the protocol that it was measured under.
    quiet : bool
        Give the first line alone.
    show_rejected : bool
        List the rejected candidates, and their strongest other tag.
    show_experimental : bool
        Show reasons also of a bundle that was not measured to distinguish them.
    with_skill : bool
        Whether ``verbose`` shows what the result rests on; once in a run is enough.

    Returns
    -------
    str
        Lines: how long and how often the baby cried, and how sure that is; the warnings; each bout,
        when, how long, how sure and how loud it was, and what else was detected; the acoustics,
        where they were measured. Text from elsewhere cannot steer a terminal. No final newline.
    """
    shown = as_shown(
        classification, show_rejected=show_rejected, show_experimental=show_experimental
    )
    name = printable(shown.path) or "live"
    first = f"{name} ({length(shown.duration_s)}): {headline(shown)}{_reason(shown)}"
    n = len(shown.warnings)
    if quiet:
        return first + (f"; {counted(n, 'warning')}" if n else "")
    lines = [first]
    if n:
        lines += row("warning" if n == 1 else "warnings", printable("; ".join(shown.warnings)))
    if (start := shown.start) is not None:
        lines += row("start", f"{start.time:{START_FORMAT}} ({printable(start.source)})")
    bouts = [_bout_lines(*bout, all_events) for bout in bouts_with_events(shown)]
    rejected = [[_event_line(event)] for event in shown.rejected]
    if bouts or rejected:
        lines += _listed(bouts, rejected, None if all_events else MAX_LISTED, start)
    if classification.acoustics is not None:
        lines += ["", *acoustic_lines(classification.acoustics)]
    more = _label_lines(classification, show_experimental) if verbose or show_experimental else []
    if verbose:
        more += _detail_lines(classification)
        more += rests_on(classification).split("\n") if with_skill else []
    return "\n".join([*lines, "", *more] if more else lines)


def headline(classification: Classification) -> str:
    """Say in a few words whether, how long and how often the baby cried, and how sure that is."""
    detector = classification.detector
    if detector.cry is None:
        scored = np.isfinite(classification.timeline.get("cry", np.zeros(0))).any()
        if scored and "cry" not in class_names(classification):
            return "nothing was loud enough to find crying in"
        has_sound = "sound" in classification.modalities
        return "crying was not looked for" if has_sound else "no sound to find crying in"
    if not detector.cry:
        return "no crying found"
    bouts = classification.bouts
    text = f"crying {length(detector.seconds)} in {counted(len(bouts), 'bout')}"
    if len(bouts) > 1:
        text += f", the longest {length(max(bout.duration_s for bout in bouts))}"
    (whole,) = find_bouts(classification.events, math.inf)
    return f"{text}, sure {score(whole.confidence)}"


def _reason(classification: Classification) -> str:
    """The label, where it is more than crying or not."""
    label = classification.label
    if label in _NO_REASONS or label == "not sure":
        return ""
    share = classification.probabilities.get(label)
    return f"; {printable(label)}" + ("" if share is None else f" {score(share)}")


def _listed(
    bouts: Sequence[list[_Line]],
    rejected: Sequence[list[_Line]],
    most: int | None,
    start: RecordingStart | None,
) -> list[str]:
    """Bouts, then what was rejected, in columns; of each so many, and how many more there are."""
    shown = [[line for lines in every[:most] for line in lines] for every in (bouts, rejected)]
    all_lines = [*shown[0], *shown[1]]
    times = _times(all_lines)
    # A length of time is read from its end, as the times are.
    lasts = [length(line.span.duration_s, _EVENT_DECIMALS) for line in all_lines]
    columns = [_justified(lasts, right=True)]
    if start is not None:
        columns.append([f"{start.after(line.span.onset_s):%H:%M:%S}" for line in all_lines])
    columns += [
        _justified(cells) for cells in zip(*(line.cells for line in all_lines), strict=True)
    ]
    rows = zip(times, *(column for column in columns if any(column)), strict=True)
    texts = ["   ".join(cells).rstrip() for cells in rows]
    listed: list[str] = []
    for lines, every, kind in zip(shown, (bouts, rejected), ("", " rejected"), strict=True):
        for line in lines:
            listed.append(texts.pop(0))
            listed += row("", line.below) if line.below else []
        if most is not None and len(every) > most:
            listed.append(f"  and {len(every) - most} more{kind} (--all-events)")
    return listed


def _times(lines: Sequence[_Line]) -> list[str]:
    """Onset and offset of each line, the dashes below each other unless it is indented."""
    long = any(line.span.span_s[1] >= 3600 for line in lines)
    shown = [
        [clock(s, long=long, decimals=_EVENT_DECIMALS) for s in line.span.span_s] for line in lines
    ]
    onsets, offsets = (_justified(column, right=True) for column in zip(*shown, strict=True))
    return _justified(
        f"{line.indent}{onset} - {offset}"
        for line, onset, offset in zip(lines, onsets, offsets, strict=True)
    )


def _justified(cells: Iterable[str], right: bool = False) -> list[str]:
    cells = list(cells)
    width = max(map(len, cells), default=0)
    return [cell.rjust(width) if right else cell.ljust(width) for cell in cells]


def _bout_lines(bout: Bout, events: list[Event], all_events: bool) -> list[_Line]:
    """A bout, and below it its events where they are listed and are not the bout itself."""
    if len(events) == 1:
        return [_event_line(events[0])]
    cells = _cells(bout, common_label(events), f"{len(events)} cries", strongest_other(events))
    within = [_event_line(event, "    ") for event in events] if all_events else []
    return [_Line("  ", bout, cells), *within]


def _event_line(event: Event, indent: str = "  ") -> _Line:
    below = _branches_text(event) if len(event.branches) > 1 and not event.rejected else ""
    cells = _cells(event, event.label, "", event.other_tag)
    if event.rejected:
        cells = (*cells[:-1], f"rejected: {printable(tag_words(event.rejected))}")
    return _Line(indent, event, cells, below)


def _cells(span: Event | Bout, label: str, cries: str, other_tag: str) -> tuple[str, ...]:
    return (
        cries,
        "" if label == "cry" else printable(label),
        f"sure {score(span.confidence)}",
        _loudness(span),
        f"{printable(tag_words(other_tag))} heard" if other_tag else "",
    )


def _branches_text(event: Event) -> str:
    texts = []
    for branch, means in event.branches.items():
        likeliest = max(means, key=means.__getitem__)
        texts.append(f"{printable(branch)}: {printable(likeliest)} {score(means[likeliest])}")
    return ", ".join(text.replace(" ", NO_BREAK) for text in texts)


def _loudness(span: Event | Bout) -> str:
    parts = []
    if math.isfinite(span.intensity_db):
        parts.append(f"{span.intensity_db:3.0f} dBFS")
    if math.isfinite(span.above_background_db):
        side = "above" if span.above_background_db >= 0 else "below"
        parts.append(f"{abs(span.above_background_db):.0f} dB {side} background")
    return ", ".join(parts)


def _label_lines(classification: Classification, show_experimental: bool) -> list[str]:
    """The label, what it was decided from, and its probabilities where they may be shown."""
    source = " and ".join(classification.modalities)
    lines = row("label", printable(classification.label) + (f", from {source}" if source else ""))
    unsure = classification.label == "not sure"
    reasons = not classification.probabilities.keys() <= _NO_REASONS
    hidden = unsure and reasons and not show_experimental
    if classification.probabilities and not hidden:
        lines += row("", _probabilities_text(classification))
    if classification.probabilities and unsure:
        lines += row("why", _UNSKILLED + (" (--show-experimental shows them)" if hidden else ""))
    return lines


def _detail_lines(classification: Classification) -> list[str]:
    lines = []
    tag_seconds = sorted(classification.heard_seconds.items(), key=lambda item: -item[1])
    shares = [
        f"{printable(tag_words(tag))} {length(seconds)}".replace(" ", NO_BREAK)
        for tag, seconds in tag_seconds
        if seconds > 0
    ]
    if shares:
        lines += row("heard", ", ".join(shares))
    if classification.veto != "off":
        n = len(classification.rejected)
        rejected = f"{counted(n, 'candidate')} rejected (--show-rejected)"
        lines += row("veto", f"{classification.veto}: {rejected}")
    if classification.face_share is not None:
        share = 100 * classification.face_share
        lines += row("face", f"seen in {share:.1f} % of the frames" if share else "none was seen")
    return lines


def _probabilities_text(classification: Classification) -> str:
    """Each label's probability, beside its prior where the bundle states one."""
    prior = priors(classification.skill, classification.probabilities)
    shares = (
        f"{printable(label)} {score(value)}"
        + (f" (prior {score(prior[label])})" if label in prior else "")
        for label, value in classification.probabilities.items()
    )
    shown = ", ".join(share.replace(" ", NO_BREAK) for share in shares)
    return f"experimental: {shown}" if classification.label == "not sure" else shown


def acoustic_lines(acoustics: Acoustics) -> list[str]:
    """Describe the medians over all cries, and of how many cries each line is.

    One line where no measure is defined.
    """
    cries = acoustics.cries
    lines: list[str] = []
    for name, parts in _ACOUSTIC_LINES:
        known = [(_values(cries, measure), text) for measure, text in parts]
        texts = [text.format(median(values)) for values, text in known if values]
        if texts:
            n = max(len(values) for values, _ in known)
            lines += row(name, f"{', '.join(texts)} ({n} of {len(cries)} cries)")
    return lines or row("acoustics", "nothing could be measured")


def _values(cries: Sequence[CryAcoustics], measure: str) -> list[float]:
    values = (getattr(cry, measure) for cry in cries)
    return [value for value in values if math.isfinite(value)]
