"""Events and bouts as labels for annotation editors and players."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

from cryvision.annotations import FORMATS, Interval
from cryvision.annotations.interval import BOUT_TIER, Sheet
from cryvision.outputs.shown import bouts_with_events, common_label
from cryvision.result import Bout, Classification, Event

EVENT_TIER = "cry"
BOUT_LABEL = "bout"
"""Not that of its events: a bout holds pauses, and must not be read back as crying."""

View = Callable[[Classification, int], list[Interval]]
"""Makes labels of a classification, by the places of a second that the format keeps."""


def label_writer(format: str, view: View) -> Callable[[Classification, Path], None]:
    """Make the function that writes a view of a clip in a format of `cryvision.annotations`."""
    return partial(_write, format=format, view=view)


def _write(classification: Classification, path: Path, *, format: str, view: View) -> None:
    form = FORMATS[format]
    assert form.write is not None
    intervals = view(classification, form.decimals)
    duration_s = float(classification.duration_s)
    form.write(Sheet(intervals, classification.path, duration_s, (EVENT_TIER, BOUT_TIER)), path)


def all_events(classification: Classification, decimals: int) -> list[Interval]:
    return [_interval(event, event.label, EVENT_TIER) for event in classification.events]


def all_bouts(classification: Classification, decimals: int) -> list[Interval]:
    return [_interval(bout, BOUT_LABEL, BOUT_TIER) for bout in classification.bouts]


def events_inside(classification: Classification, decimals: int) -> list[Interval]:
    """Give the events in order, cut at the ends of the clip, less those without length."""
    return _inside(all_events(classification, decimals), classification.duration_s, decimals)


def events_and_bouts(classification: Classification, decimals: int) -> list[Interval]:
    """Give the events and the bouts, each as `events_inside` gives the events."""
    bouts = _inside(all_bouts(classification, decimals), classification.duration_s, decimals)
    return [*events_inside(classification, decimals), *bouts]


def bout_cues(classification: Classification, decimals: int) -> list[Interval]:
    """Give the bouts with the labels of their events, to show over the video.

    Bouts, as single cries come and go faster than anybody reads. An event that is no crying, as a
    person may have labelled it, has a cue of its own.
    """
    bouts = [
        _interval(bout, common_label(events), BOUT_TIER)
        for bout, events in bouts_with_events(classification)
    ]
    rest = [
        _interval(event, event.label, EVENT_TIER)
        for event in classification.events
        if not classification.is_crying(event)
    ]
    return sorted([*bouts, *rest])


def _interval(span: Event | Bout, label: str, tier: str) -> Interval:
    onset_s, offset_s = span.span_s
    return Interval(float(onset_s), float(offset_s), label, tier, float(span.confidence))


def _inside(intervals: Iterable[Interval], duration_s: float, decimals: int) -> list[Interval]:
    inside, last_s = [], round(float(duration_s), decimals)
    for interval in sorted(intervals):
        onset_s = max(round(interval.start_s, decimals), 0.0)
        offset_s = min(round(interval.end_s, decimals), last_s)
        if onset_s < offset_s:
            inside.append(replace(interval, start_s=onset_s, end_s=offset_s))
    return inside
