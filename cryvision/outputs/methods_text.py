"""The paragraph on methods that a paper needs: version, bundle, settings and measured skill."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from cryvision import __version__
from cryvision.acoustics.cry import LOWEST_SNR_DB
from cryvision.acoustics.praat import HIGHEST_HZ, HOP_SECONDS, LOWEST_HZ
from cryvision.outputs.wording import LINE_WIDTH, printable
from cryvision.result import BOUT_GAP_SECONDS

_FIGURES = {
    "balanced_accuracy": "balanced accuracy",
    "auc": "AUC",
    "event_f1": "F1 of events",
    "event_f1_fused": "F1 of events after the veto",
    "bout_f1": "F1 of bouts",
    "bout_f1_fused": "F1 of bouts after the veto",
}


def methods_paragraph(bundle: Mapping[str, Any], settings: Mapping[str, Any] | None = None) -> str:
    """Write what was used, in whole sentences, wrapped.

    ``bundle`` is that of `cryvision.Bundle.describe`, or of the file beside a table of ``score``;
    ``settings`` are those of that file, by default those that the program has without options.
    """
    chosen = settings or {}
    program = f"cryvision {chosen.get('version', __version__)}"
    sentences = [
        f"Crying was detected with {program} and its bundle {bundle['name']!r} (SHA-256 "
        f"{bundle['sha256']}), run with ONNX Runtime {_installed('onnxruntime')}.",
        *_event_sentences(bundle, chosen),
        *([_acoustics_sentence()] if chosen.get("acoustics") else []),
        *(_skill_sentence(skill) for skill in bundle["skill"] if "event_f1" in skill["figures"]),
    ]
    return "\n".join(textwrap.wrap(printable(" ".join(sentences)), LINE_WIDTH))


def _event_sentences(bundle: Mapping[str, Any], chosen: Mapping[str, Any]) -> list[str]:
    gate = bundle.get("gate")
    if gate is None:
        return []
    enter = chosen.get("threshold") or gate["enter"]
    leave = enter * gate["leave"] / gate["enter"]
    shortest = _first(chosen.get("min_duration_s"), gate["min_event_seconds"])
    gap = _first(chosen.get("min_gap_s"), gate["min_gap_seconds"])
    bout_gap = _first(chosen.get("bout_gap_s"), BOUT_GAP_SECONDS)
    bridged = f", gaps under {gap:g} s were bridged" if gap else ""
    sentences = [
        f"An event opened where the detector's score reached {enter:.3f} and closed below "
        f"{leave:.3f}; events shorter than {shortest:g} s were dropped{bridged}, and sound below "
        f"{gate['min_level_dbfs']:g} dBFS counted as no crying.",
        f"Events less than {bout_gap:g} s apart were taken as one bout.",
    ]
    if bundle.get("veto"):
        veto = chosen.get("veto", "normal")
        confirmed = f"Events had to be confirmed by the bundle's tagger (veto: {veto})."
        unchecked = "The bundle's tagger rejected none of the events (veto: off)."
        sentences.append(unchecked if veto == "off" else confirmed)
    return sentences


def _acoustics_sentence() -> str:
    return (
        "Each cry was measured with Praat through parselmouth "
        f"{_installed('praat-parselmouth')}: F0 from {LOWEST_HZ:g} to {HIGHEST_HZ:g} Hz by "
        f"autocorrelation, every {1000 * HOP_SECONDS:g} ms; voice quality and spectrum only where "
        f"the signal-to-noise ratio was {LOWEST_SNR_DB:g} dB or more and the sound was not clipped."
    )


def _skill_sentence(skill: Mapping[str, Any]) -> str:
    """State the skill beside its protocol, and with what settings it was measured."""
    parts = []
    for name, words in _FIGURES.items():
        figure = skill["figures"].get(name)
        if figure is not None:
            interval = figure.get("interval")
            ends = f" (95 % interval {interval[0]:.2f} to {interval[1]:.2f})" if interval else ""
            parts.append(f"{words} {figure['value']:.2f}{ends}")
    return (
        f"On subjects that were not in its training ({skill['protocol']}; per {skill['unit']}), "
        f"and with the bundle's own settings, its detector reached {', '.join(parts)}."
    )


def _first(*values: float | None) -> float:
    return next(value for value in values if value is not None)


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(version unknown)"
