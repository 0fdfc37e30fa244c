"""What of a classification people are shown: reasons that were measured, not what was rejected."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np

from cryvision.result import Bout, Classification, Event

HEARD = "heard_"
"""Start of the timeline's columns of tags."""

MAX_CLASSES = 12
"""Of more classes, those that come to the highest probabilities are shown."""


def as_shown(
    classification: Classification, *, show_rejected: bool = False, show_experimental: bool = False
) -> Classification:
    """Leave out what is hidden by default.

    Hidden are the candidates that the tagger rejected, and reasons that the bundle was not measured
    to distinguish: where the label is ``not sure``, the columns of the classes, and the branches'
    scores of the events.
    """
    shown = classification if show_rejected else replace(classification, rejected=())
    if show_experimental or classification.label != "not sure":
        return shown
    names = class_names(classification)
    hidden = {*names, *(f"{name}_smooth" for name in names)}
    return replace(
        shown,
        # What is known is that the baby cried; that a reason was looked for is not shown.
        label="cry" if names and classification.events else classification.label,
        timeline={k: v for k, v in classification.timeline.items() if k not in hidden},
        events=tuple(replace(event, branches={}) for event in classification.events),
        rejected=tuple(replace(event, branches={}) for event in shown.rejected),
    )


def class_names(classification: Classification) -> list[str]:
    """Name the classes whose smoothed probability is known in any frame, in the timeline's order.

    The detector's ``cry`` is no class.
    """
    names = [
        name.removesuffix("_smooth")
        for name, values in classification.timeline.items()
        if name.endswith("_smooth") and np.isfinite(values).any()
    ]
    detected = classification.detector.cry is not None or "cry" not in classification.probabilities
    return [name for name in names if not (detected and name == "cry")]


def likeliest_classes(classification: Classification) -> list[str]:
    """Name the classes to show: those of `class_names`, at most `MAX_CLASSES` of highest peak."""
    names = class_names(classification)
    peaks = [np.nanmax(classification.timeline[f"{name}_smooth"]) for name in names]
    likeliest = np.argsort(np.negative(peaks), kind="stable")[:MAX_CLASSES]
    return [names[number] for number in sorted(likeliest)]


def detected_tags(classification: Classification) -> list[str]:
    return [name.removeprefix(HEARD) for name in classification.timeline if name.startswith(HEARD)]


def bouts_with_events(classification: Classification) -> list[tuple[Bout, list[Event]]]:
    events = iter(classification.crying)
    return [(bout, list(islice(events, bout.n_events))) for bout in classification.bouts]


def common_label(events: list[Event]) -> str:
    """The label of some events, or all of them in order where they differ."""
    return ", ".join(dict.fromkeys(event.label for event in events))


def strongest_other(events: list[Event]) -> str:
    """Return the strongest other tag of some events; empty without any."""
    tagged = [event for event in events if event.other_tag]
    return max(tagged, key=lambda event: event.other_tag_score).other_tag if tagged else ""


def tag_words(tag: str) -> str:
    return tag.replace("_", " ")
