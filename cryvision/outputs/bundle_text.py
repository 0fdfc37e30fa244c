"""A bundle in words, and what a classification rests on: each figure beside its protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cryvision.config import SAMPLE_RATE_HZ
from cryvision.outputs.wording import NO_BREAK, printable, row, score
from cryvision.result import Classification

_HASH_DIGITS = 12

# The figures of a part's skill that are shown, in this order, and how they are written.
_FIGURE_NAMES = {
    "balanced_accuracy": "balanced accuracy",
    "auc": "AUC",
    "macro_f1": "macro F1",
    "f1": "F1",
}
_MOST_FIGURES = 2

_SUBJECTS = {
    "pattern": "subjects known from file names",
    "manifest": "subjects known from a manifest",
    "file": "each file taken for a subject of its own",
    "not kept apart": "subjects on both sides",
}


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
    lines += row("at", printable(facts["path"]))
    lines += row("labels", ", ".join(map(printable, facts["labels"])))
    for heading, part in _headed("parts", facts["parts"]):
        lines += row(heading, _part_text(part))
    if facts["gate"]:
        lines += row("events", _gate_text(facts["gate"]))
    lines += row("smoothing", f"mean of the last {facts['smooth_seconds']:g} s of predictions")
    for heading, entry in _headed("skill", facts["skill"]):
        lines += row(heading, _skill_text(entry, _is_ambiguous(entry, facts["skill"])))
    if not facts["skill"]:
        lines += row("skill", "none was measured: take its output as a guess")
    for heading, source in _headed("sources", facts["sources"]):
        values = [source[key] for key in ("name", "licence", "url", "changes") if source[key]]
        lines += row(heading, printable("; ".join(values)))
    lines += row("made", printable(f"{facts['created']} by {facts['command']}"))
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    lines += row("", printable(f"seed {facts['seed']}; {versions}"))
    if facts["notes"]:
        lines += row("notes", printable(facts["notes"]))
    return "\n".join(lines)


def rests_on(classification: Classification) -> str:
    """Say which bundle gave a result, and what was measured of it on unseen subjects.

    Lines without a final newline; the same for all clips of a run that were decided from the same
    modalities.
    """
    bundle = classification.bundle
    name = printable(str(bundle.get("name", "unnamed")))
    digest = printable(str(bundle.get("sha256", "")))[:_HASH_DIGITS]
    lines = row("rests on", f"bundle {name}" + (f", sha256 {digest}" if digest else ""))
    for text in _skill_texts(classification):
        lines += row("", text)
    return "\n".join(lines)


def priors(skill: Sequence[Mapping[str, Any]], labels: Mapping[str, float]) -> Mapping[str, float]:
    """Find how often each label occurs in the data that the skill was measured on."""
    for entry in skill:
        prior = entry.get("prior")
        if isinstance(prior, Mapping) and labels and labels.keys() <= prior.keys():
            return prior
    return {}


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
    of_part = [other for other in entries if other.get("part") == entry.get("part")]
    return len({frozenset(other.get("modalities") or ()) for other in of_part}) > 1


def _skill_text(entry: Mapping[str, Any], name_modalities: bool) -> str:
    figures = entry.get("figures") or {}
    names = [name for name in _FIGURE_NAMES if name in figures][:_MOST_FIGURES]
    shown = [_figure_text(name, figures[name]) for name in names]
    chance = entry.get("chance")
    if shown and isinstance(chance, float | int):  # chance is that of the first figure
        shown[0] += f" (chance {score(chance)})"
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
    text = f"{_FIGURE_NAMES[name]} {score(figure.get('value'))}"
    interval = figure.get("interval")
    if interval:
        text += f" [{score(interval[0])},{NO_BREAK}{score(interval[1])}]"
    return text


def _headed(heading: str, items: Sequence[Any]) -> list[tuple[str, Any]]:
    """Items of a list, the heading beside the first alone."""
    return [(heading if i == 0 else "", item) for i, item in enumerate(items)]


def _part_text(part: Mapping[str, Any]) -> str:
    text = f"{part['name']}, {part['kind']} on {', '.join(part['inputs'])}"
    if sound := part["sound"]:
        text += f"; {sound['window_seconds']:g} s every {sound['hop_seconds']:g} s"
        if sound["context_seconds"]:
            text += f", with {sound['context_seconds']:g} s more before"
        text += f", {sound['min_hz']:g} to {sound['max_hz']:g} Hz"
    if logmel := part.get("logmel"):
        frame_s = logmel["frame_samples"] / SAMPLE_RATE_HZ
        text += f"; {logmel['window_frames'] * frame_s:g} s every "
        text += f"{logmel['hop_frames'] * frame_s:g} s"
        if logmel["lookahead_frames"]:
            text += f", {logmel['lookahead_frames'] * frame_s:g} s of it ahead"
        text += f", {logmel['min_hz']:g} to {logmel['max_hz']:g} Hz"
    if tags := part.get("tags"):
        text += f"; tags {', '.join(tags)}"
    if face := part["face"]:
        text += f"; {face['window_seconds']:g} s every {face['hop_seconds']:g} s"
        text += f", {face['mode']}, {face['backbone']} with weights {face['backbone_weights']}"
    return printable(text)


def _gate_text(gate: Mapping[str, float]) -> str:
    gap = gate["min_gap_seconds"]
    bridged = f"gaps under {gap:g} s bridged, " if gap else ""
    return (
        f"from {gate['enter']:.3g} to below {gate['leave']:.3g}, at least "
        f"{gate['min_event_seconds']:g} s, {bridged}nothing below {gate['min_level_dbfs']:g} dBFS"
    )
