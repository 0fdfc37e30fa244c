"""A classification in words: the crying first, then what it rests on."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from cryvision.result import Classification, Event

LINE_WIDTH = 96
_INDENT = 12
_HASH_DIGITS = 12
_NO_BREAK = "\N{NO-BREAK SPACE}"

# What is said of a part's skill, in this order, and how it is written.
_FIGURE_NAMES = {
    "balanced_accuracy": "balanced accuracy",
    "auc": "AUC",
    "macro_f1": "macro F1",
    "f1": "F1",
}
_MOST_FIGURES = 2

_UNSKILLED = (
    "on subjects it had not met, this bundle was not measured to tell these labels better than "
    "their shares in the training data do"
)
_SUBJECTS = {
    "pattern": "subjects known from file names",
    "manifest": "subjects known from a manifest",
    "file": "each file taken for a subject of its own",
    "not kept apart": "subjects on both sides",
}


def describe(classification: Classification) -> str:
    """Say what was found in a clip, for a person to read.

    Parameters
    ----------
    classification : Classification

    Returns
    -------
    str
        Several lines without a final newline: when the baby cried, how long, how sure and how loud,
        and what each of several branches said of it; the label and its probabilities; how often a
        face was seen; the warnings; and the bundle with its skill, each number beside the protocol
        that it was measured under. What comes from file names or bundles is made printable, so it
        cannot steer a terminal.
    """
    name = printable(classification.path) or "live"
    lines = [f"{name} ({_length(classification.duration_s)}): {headline(classification)}"]
    lines += _event_lines(classification.events, classification.label)
    lines.append("")
    source = " and ".join(classification.modalities)
    lines += _row("label", printable(classification.label) + (f", from {source}" if source else ""))
    if classification.probabilities:
        lines += _row("", _probabilities_text(classification))
        if classification.label == "not sure":
            lines += _row("why", _UNSKILLED)
    if classification.face_share is not None:
        share = 100 * classification.face_share
        lines += _row("face", f"seen in {share:.1f} % of the frames" if share else "none was seen")
    for warning in classification.warnings:
        lines += _row("warning", printable(warning))
    lines += _row("rests on", _bundle_text(classification))
    for text in _skill_texts(classification):
        lines += _row("", text)
    return "\n".join(lines)


def describe_bundle(facts: Mapping[str, Any]) -> str:
    """Say what a bundle is, what it was made from and what it was measured to be worth.

    Parameters
    ----------
    facts : mapping
        What `cryvision.bundle.Bundle.describe` gives.

    Returns
    -------
    str
        Several lines without a final newline.
    """
    lines = [f"bundle {printable(facts['name'])}, sha256 {facts['sha256'][:_HASH_DIGITS]}"]
    lines += _row("at", printable(facts["path"]))
    lines += _row("labels", ", ".join(map(printable, facts["labels"])))
    for heading, part in _headed("parts", facts["parts"]):
        lines += _row(heading, _part_text(part))
    if facts["gate"]:
        lines += _row("events", _gate_text(facts["gate"]))
    lines += _row("smoothing", f"mean of the last {facts['smooth_seconds']:g} s of predictions")
    for heading, entry in _headed("skill", facts["skill"]):
        lines += _row(heading, _skill_text(entry, _is_ambiguous(entry, facts["skill"])))
    if not facts["skill"]:
        lines += _row("skill", "none was measured: take what it says as a guess")
    for heading, source in _headed("sources", facts["sources"]):
        said = [source[key] for key in ("name", "licence", "url", "changes") if source[key]]
        lines += _row(heading, printable("; ".join(said)))
    lines += _row("made", printable(f"{facts['created']} by {facts['command']}"))
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    lines += _row("", printable(f"seed {facts['seed']}; {versions}"))
    if facts["notes"]:
        lines += _row("notes", printable(facts["notes"]))
    return "\n".join(lines)


def headline(classification: Classification) -> str:
    """Say in a few words whether, how long and how often the baby cried.

    Parameters
    ----------
    classification : Classification

    Returns
    -------
    str
    """
    detector = classification.detector
    if detector.cry is None:
        heard = "sound" in classification.modalities
        return "crying was not looked for" if heard else "no sound to find crying in"
    if not detector.cry:
        return "no crying found"
    bouts = len(classification.events)
    return f"crying {_length(detector.seconds)} in {bouts} bout{'s' if bouts != 1 else ''}"


def clock(seconds: float, *, long: bool = False, decimals: int = 1) -> str:
    """Write a time as ``m:ss.t``, or ``h:mm:ss.t`` from an hour on.

    Parameters
    ----------
    seconds : float
        Not negative.
    long : bool
        Write the hours even where there are none.
    decimals : int
        Places after the seconds.

    Returns
    -------
    str
    """
    unit = 10**decimals
    ticks = max(0, round(seconds * unit))
    minutes, ticks = divmod(ticks, 60 * unit)
    tail = f"{ticks // unit:02d}" + (f".{ticks % unit:0{decimals}d}" if decimals else "")
    if long or minutes >= 60:
        return f"{minutes // 60}:{minutes % 60:02d}:{tail}"
    return f"{minutes}:{tail}"


def printable(text: str) -> str:
    """Make any text safe to show: odd spaces become plain ones, control characters escapes.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
        One line that any UTF-8 output takes, with no control, bidi or undecodable characters.
    """
    shown = (
        char
        if char.isprintable()
        else " "
        if char.isspace() and char not in "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029"
        else char.encode("unicode_escape").decode("ascii")
        for char in text
    )
    return "".join(shown)


def _event_lines(events: Sequence[Event], label: str) -> list[str]:
    """One aligned line an event; below it what each of several branches said, if it is believed."""
    long = any(event.offset_s >= 3600 for event in events)
    times = [[clock(s, long=long) for s in (event.onset_s, event.offset_s)] for event in events]
    width = max((len(time) for pair in times for time in pair), default=0)
    lasts = [_length(event.duration_s) for event in events]
    last_width = max(map(len, lasts), default=0)
    show_labels = any(event.label != "cry" for event in events)
    label_width = max((len(printable(event.label)) for event in events), default=0)
    lines = []
    for event, (onset, offset), last in zip(events, times, lasts, strict=True):
        parts = [
            f"  {onset:>{width}} - {offset:>{width}}",
            f"{last:>{last_width}}",
            *([f"{printable(event.label):<{label_width}}"] if show_labels else []),
            f"sure {_score(event.confidence)}",
            _loudness(event),
        ]
        lines.append("   ".join(parts).rstrip())
        if len(event.branches) > 1 and label != "not sure":
            lines += _row("", _branches_text(event))
    return lines


def _branches_text(event: Event) -> str:
    """The most probable class of each branch over an event."""
    said = []
    for branch, means in event.branches.items():
        likeliest = max(means, key=means.__getitem__)
        said.append(f"{printable(branch)}: {printable(likeliest)} {_score(means[likeliest])}")
    return ", ".join(text.replace(" ", _NO_BREAK) for text in said)


def _loudness(event: Event) -> str:
    parts = []
    if math.isfinite(event.intensity_db):
        parts.append(f"{event.intensity_db:3.0f} dBFS")
    if math.isfinite(event.above_background_db):
        side = "above" if event.above_background_db >= 0 else "below"
        parts.append(f"{abs(event.above_background_db):.0f} dB {side} background")
    return ", ".join(parts)


def _probabilities_text(classification: Classification) -> str:
    """Each label's probability, beside its prior where the bundle states one."""
    priors = _priors(classification.skill, classification.probabilities)
    shares = (
        f"{printable(label)} {_score(value)}"
        + (f" (prior {_score(priors[label])})" if label in priors else "")
        for label, value in classification.probabilities.items()
    )
    shown = ", ".join(share.replace(" ", _NO_BREAK) for share in shares)
    return f"experimental: {shown}" if classification.label == "not sure" else shown


def _priors(skill: Sequence[Mapping[str, Any]], labels: Mapping[str, float]) -> Mapping[str, float]:
    """How often each label occurs in the data that the skill was measured on."""
    for entry in skill:
        prior = entry.get("prior")
        if isinstance(prior, Mapping) and labels and labels.keys() <= prior.keys():
            return prior
    return {}


def _bundle_text(classification: Classification) -> str:
    bundle = classification.bundle
    name = printable(str(bundle.get("name", "unnamed")))
    digest = printable(str(bundle.get("sha256", "")))[:_HASH_DIGITS]
    return f"bundle {name}" + (f", sha256 {digest}" if digest else "")


def _skill_texts(classification: Classification) -> list[str]:
    """What was measured of each part with the modalities that decided, or most of them."""
    used = set(classification.modalities)
    if not used:
        return []
    entries = [e for e in classification.skill if used.issuperset(e.get("modalities") or ())]
    if not entries:
        return ["no skill on unseen subjects was measured of it: take this as a guess"]
    most: dict[Any, int] = {}
    for entry in entries:
        part, n = entry.get("part"), len(entry.get("modalities") or ())
        most[part] = max(n, most.get(part, 0))
    entries = [e for e in entries if len(e.get("modalities") or ()) == most[e.get("part")]]
    return [_skill_text(entry, _is_ambiguous(entry, entries)) for entry in entries]


def _is_ambiguous(entry: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a part was measured with several sets of modalities."""
    of_part = [other for other in entries if other.get("part") == entry.get("part")]
    return len({frozenset(other.get("modalities") or ()) for other in of_part}) > 1


def _skill_text(entry: Mapping[str, Any], name_modalities: bool) -> str:
    """One part's skill: figures with their intervals, chance and, always, the protocol."""
    figures = entry.get("figures") or {}
    known = [name for name in _FIGURE_NAMES if name in figures][:_MOST_FIGURES]
    shown = [_figure_text(name, figures[name]) for name in known]
    chance = entry.get("chance")
    if shown and isinstance(chance, float | int):  # chance is that of the first figure
        shown[0] += f" (chance {_score(chance)})"
    source = f" from {' and '.join(entry.get('modalities') or ())}" if name_modalities else ""
    part = printable(f"{entry.get('part', 'part')}{source}")
    text = f"{part}: {', '.join(shown) or 'no figures'}"
    if entry.get("unit"):
        text += f" per {printable(str(entry['unit']))}"
    protocol = printable(str(entry.get("protocol") or "protocol not stated"))
    subjects = entry.get("subjects")
    if subjects:
        protocol += f", {printable(str(_SUBJECTS.get(subjects, subjects)))}"
        protocol += " subjects" if isinstance(subjects, int) else ""
    return f"{text}; {protocol}"


def _figure_text(name: str, figure: Mapping[str, Any]) -> str:
    text = f"{_FIGURE_NAMES[name]} {_score(figure.get('value'))}"
    interval = figure.get("interval")
    if interval:
        text += f" [{_score(interval[0])},{_NO_BREAK}{_score(interval[1])}]"
    return text


def _headed(heading: str, items: Sequence[Any]) -> list[tuple[str, Any]]:
    """Items of a list, the heading beside the first alone."""
    return [(heading if i == 0 else "", item) for i, item in enumerate(items)]


def _part_text(part: Mapping[str, Any]) -> str:
    text = f"{part['name']}, {part['kind']} on {', '.join(part['inputs'])}"
    if sound := part["sound"]:
        text += f"; {sound['window_seconds']:g} s every {sound['hop_seconds']:g} s"
        if sound["context_seconds"]:
            text += f", hears {sound['context_seconds']:g} s more before"
        text += f", {sound['min_hz']:g} to {sound['max_hz']:g} Hz"
    if face := part["face"]:
        text += f"; {face['window_seconds']:g} s every {face['hop_seconds']:g} s"
        text += f", {face['mode']}, {face['backbone']} with weights {face['backbone_weights']}"
    return printable(text)


def _gate_text(gate: Mapping[str, float]) -> str:
    return (
        f"from {gate['enter']:.2f} to below {gate['leave']:.2f}, at least "
        f"{gate['min_event_seconds']:g} s, gaps under {gate['min_gap_seconds']:g} s bridged, "
        f"nothing below {gate['min_level_dbfs']:g} dBFS"
    )


def _row(heading: str, text: str) -> list[str]:
    """A heading and its text, wrapped beside it."""
    lines = textwrap.wrap(
        text,
        LINE_WIDTH,
        initial_indent=f"  {heading}".ljust(_INDENT),
        subsequent_indent=" " * _INDENT,
        break_on_hyphens=False,
    )
    return [line.replace(_NO_BREAK, " ") for line in lines]


def _length(seconds: float) -> str:
    """A length of time, to tell from a point in time: 5.2 s, 8 min 14 s, 3 h 0 min 5 s."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours} h " if hours else "") + f"{minutes} min {seconds} s"


def _score(value: float | None) -> str:
    return "?" if value is None or not math.isfinite(value) else f"{value:.2f}"
