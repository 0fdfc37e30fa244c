"""The README's table of what was measured: ``python docs/_ext/readme_table.py`` prints it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from detector_tables import DETECTOR, ONSET_AND_OFFSET, UNMET, Results, delays, read_results
from measurements import table

ROOT = Path(__file__).resolve().parents[2]

HEADER = ["what was measured", "protocol", "edges alone", "with the veto"]

RATES = (
    ("adult speech", "child's speech", "talk over music"),
    ("music", "household", "alarms, bells, toys"),
    ("animals", "screams and coughs"),
)
LEFT_OUT_RATES = ("adult speech", "music", "household", "animals", "screams and coughs")
UNMET_KINDS = (
    {"spoken words, many languages": "words in many languages", "music": "music",
     "effects of games": "effects of games"},
    {"animals": "animals",
     "exaggerated voices, shouts and laughs of a game": "cartoon voices that shout and laugh"},
)  # fmt: skip
PROBES = {
    "melody": "a toy melody",
    "noise": "noise",
    "vibrato": "vibrato",
    "speech_synthetic": "synthetic speech",
}


def readme_table(results: Results) -> str:
    """Write the table from the committed results."""
    found = results[DETECTOR]
    mean, phones = found["mean"], found["mean"]["phones"]
    by_phone = "donateacry-corpus, folds by phone"
    rows = [
        ["windows of 0.5 s, cry or not: AUC, F1", by_phone,
         *(_pair(phones[variant]["auc"], phones[variant]["f1"]) for variant in ("edges", "fused"))],
        *(_events(found, kind, by_phone) for kind in ("events", "bouts")),
        ["labelled time in events that the veto keeps", by_phone, "-", _share(phones["kept"])],
        ["from an onset to the first positive: median, 90 %", by_phone,
         *(f"{own['median']:.2f} s, {own['90 %']:.2f} s" for own in delays(results).values())],
        _points_lost(found, by_phone),
        ["clips, crying or nine other sounds: AUC, F1", "ESC-10, all windows, folds by recording",
         "-", _pair(mean["esc10"]["auc"], mean["esc10"]["f1"])],
        ["clips of nine other sounds that get an event", "the same",
         *(_share(mean["esc10"][v]["other clips with an event"]) for v in ("edges", "fused"))],
        *(_rates(mean["false_events"], names, "folds by recording or speaker") for names in RATES),
        _rates(found["corpora_left_out"]["other-sounds"], LEFT_OUT_RATES,
               "none of this collection in training"),
        *(_unmet(results[UNMET]["false_events"], kinds) for kinds in UNMET_KINDS),
        *_probes(results.get("default_probes", {})),
        *_reasons(results.get("train_default", {})),
    ]  # fmt: skip
    return table(HEADER, rows)


def _events(found: dict[str, Any], kind: str, protocol: str) -> list[str]:
    ceiling = found["ceiling_of_the_rule"][kind]
    what = f"events, {ONSET_AND_OFFSET}" if kind == "events" else "bouts, the same"
    own = found["mean"]["phones"][kind]
    cells = [f"{own[variant]['f1']['value']:.2f}" for variant in ("edges", "fused")]
    return [f"{what}: F1 (labels and rule allow {ceiling:.2f})", protocol, *cells]


def _points_lost(found: dict[str, Any], protocol: str) -> list[str]:
    lost = found["robustness"]["points_lost_household_10_dB"]
    what = "points of recall lost under household noise 10 dB below the crying"
    return [what, protocol, *(f"{lost[variant]:.0f}" for variant in ("edges", "fused"))]


def _rates(false_events: dict[str, Any], names: tuple[str, ...], protocol: str) -> list[str]:
    cells = [
        " / ".join(_rate(false_events[name][variant]["events_per_hour"]) for name in names)
        for variant in ("edges", "fused")
    ]
    what = f"false events an hour: {' / '.join(names)}"
    return [what, f"other sounds, {protocol}", *cells]


def _unmet(false_events: dict[str, Any], kinds: dict[str, str]) -> list[str]:
    cells = [
        " / ".join(f"{100 * false_events[k][variant]['clips_with_an_event']:.1f}" for k in kinds)
        for variant in ("edges", "fused")
    ]
    what = f"percent of clips that get an event: {' / '.join(kinds.values())}"
    return [what, "sounds of games and of a drawing program, nothing trained on them", *cells]


def _rate(events_per_hour: float) -> str:
    return f"{events_per_hour:.0f}" if events_per_hour >= 10 else f"{events_per_hour:.1f}"


def _probes(probes: dict[str, Any]) -> list[list[str]]:
    families = probes.get("families", {})
    if not all("fused" in families.get(name, {}) for name in PROBES):
        return []
    cells = [
        " / ".join(f"{100 * families[name][variant]:.1f}" for name in PROBES)
        for variant in ("edges", "fused")
    ]
    what = f"percent of the time in events: {' / '.join(PROBES.values())}"
    return [[what, "generators not trained on", *cells]]


def _reasons(trained: dict[str, Any]) -> list[list[str]]:
    if not trained:
        return []
    skill = trained["reasons"]["skill"][0]
    accuracy = skill["figures"]["balanced_accuracy"]["value"]
    what = f"reasons, five classes: balanced accuracy (chance {skill['chance']:.2f})"
    protocol = f"donateacry-corpus, by {skill['unit']}, {skill['protocol']}"
    return [[what, protocol, "-", f"{accuracy:.2f}"]]


def _pair(auc: dict[str, float], f1: dict[str, float]) -> str:
    return f"{auc['value']:.3f}, {f1['value']:.3f}"


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


if __name__ == "__main__":
    print(readme_table(read_results(ROOT)))
