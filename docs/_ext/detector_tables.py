"""Tables on the detector, from the committed results: old detector, edges alone, fused, strict."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from measurements import NoResultsError, table

RESULTS = "experiments/results"
DETECTOR = "detector"
UNMET = "unmet"
RUNS = {
    DETECTOR: "as above",
    "detector_division_1": "divided anew, seed 1",
    "detector_division_2": "divided anew, seed 2",
    "detector_first": "recipe before, first",
    "detector_again": "recipe before, second",
    "detector_third": "recipe before, third",
}
DIVISIONS = tuple(RUNS)[:3]
"""Runs of one recipe over folds that were divided anew."""

AGAIN = tuple(f"detector_division_{division}_again" for division in range(3))
"""The same divisions and seeds once more, on another machine."""

OTHERS = ("detector_old", "world_old", "default_probes", "train_default", UNMET)
"""Results that a table shows where they are there."""

COLUMNS = {"old": "old detector", "edges": "edges alone", "fused": "fused", "strict": "strict"}

ONSET_AND_OFFSET = "onset within 0.25 s and offset within 0.5 s"

Results = Mapping[str, Mapping[str, Any]]


def read_results(root: Path) -> dict[str, dict[str, Any]]:
    """Read what the tables are made of, by the name of the result.

    Raises
    ------
    NoResultsError
        If there is no result of the detector of two parts.
    """
    found = {}
    for name in (*RUNS, *AGAIN, *OTHERS):
        path = root / RESULTS / f"{name}.json"
        if path.is_file():
            found[name] = json.loads(path.read_text(encoding="utf-8"))
    if "mean" not in found.get(DETECTOR, {}):
        raise NoResultsError(
            f"{RESULTS}/{DETECTOR}.json must hold what experiments/detector.py writes of edges and "
            f"tagger; it is {'of an older detector' if DETECTOR in found else 'missing'}"
        )
    return found


def windows_table(results: Results) -> str:
    """AUC, F1 and calibration of windows."""
    phones, old = results[DETECTOR]["mean"]["phones"], results.get("detector_old", {})
    columns = _columns("edges", "fused", old=bool(old))
    rows = []
    for key, name in (
        ("auc", "AUC"), ("f1", "F1"), ("balanced_accuracy", "balanced accuracy"),
        ("log_loss", f"log-loss (prior: {phones['prior_log_loss']:.3f})"),
        ("ece", "ECE, against the share of the window that is crying"),
        ("ece_of_majority", "ECE, against whether most of it is"),
    ):  # fmt: skip
        cells = {variant: _figure(phones[variant][key]) for variant in ("edges", "fused")}
        if old:
            # The old detector was asked of most of a window alone.
            old_key = {"ece": "", "ece_of_majority": "ece"}.get(key, key)
            cells["old"] = _old_phones(old, old_key) if old_key else "-"
        rows.append([name, *(cells[column] for column in columns)])
    return _stated(
        f"{_protocol(results)} Windows of 0.5 s, one each 0.2 s, of donateacry-corpus: "
        f"{phones['n_windows']:,.0f}, of which {_share(phones['cry_share'])} are crying; a window "
        f"is crying if most of it is, and its score is the mean of its steps.{_old_protocol(old)}",
        ["windows", *map(COLUMNS.get, columns)],
        rows,
    )


def events_table(results: Results) -> str:
    """F1, precision and recall of events and bouts beside what labels and rule allow."""
    phones, old = results[DETECTOR]["mean"]["phones"], results.get("detector_old", {})
    ceiling = results[DETECTOR]["ceiling_of_the_rule"]
    columns = _columns("edges", "fused", "strict", old=bool(old))
    rows = []
    for kind in ("events", "bouts"):
        for measure, name in (("f1", "F1"), ("precision", "precision"), ("recall", "recall")):
            cells = {variant: _figure(found[measure]) for variant, found in phones[kind].items()}
            cells["old"] = _old_events(old, measure) if kind == "events" else "-"
            top = f"{ceiling[kind]:.3f}" if measure == "f1" else "-"
            rows.append([f"{kind}: {name}", *(cells[column] for column in columns), top])
    kept = {"edges": _share(1.0), "fused": _share(phones["kept"])}
    kept |= {"strict": _share(phones["kept_strict"]), "old": "-"}
    rows.append(["labelled time in events that is kept", *(kept[c] for c in columns), "-"])
    return _stated(
        f"{_protocol(results)} donateacry-corpus, {ONSET_AND_OFFSET}; bouts: what lies less than "
        "0.5 s apart is put together in labels and events alike. The ceiling is what the labels "
        f"themselves reach as scores of steps, through the same rule.{_old_protocol(old)}",
        ["", *map(COLUMNS.get, columns), "ceiling"],
        rows,
    )


def delay_table(results: Results) -> str:
    """Seconds from an onset to the first score above the threshold."""
    rows = [
        [name, f"{own['median']:.2f} s", f"{own['90 %']:.2f} s", f"{own['n']:.0f}"]
        for name, own in delays(results).items()
    ]
    return _stated(
        f"{_protocol(results, len(_again(results)))} From a labelled onset after at least 0.5 s "
        "without crying to the moment at which the first step above the threshold is known, "
        "look-ahead included; "
        "onsets that are found within 2 s.",
        ["delay", "median", "90 % are below", "onsets"],
        rows,
    )


def delays(results: Results) -> Any:
    """Delays of edges alone and with the veto, the mean of the runs in which they were measured."""
    runs = _again(results) or [results[DETECTOR]["mean"]]
    return mean([run["phones"]["delay_s"] for run in runs])


def false_events_table(results: Results) -> str:
    """Events an hour where nobody cries."""
    figures = results[DETECTOR]["mean"]["false_events"]
    old = results.get("world_old", {}).get("classes", {})
    return _stated(
        f"{_protocol(results)} Events an hour, and in brackets the share of clips with any. "
        "Talk over music is mixed from recordings that were left out."
        + (" The old detector had met ESC-10 and the digits, the other sounds never." * bool(old)),
        *_false_events(figures, old),
    )


def _false_events(
    figures: Mapping[str, Any], old: Mapping[str, Any]
) -> tuple[list[str], list[list[str]]]:
    columns = _columns("edges", "fused", "strict", old=bool(old))
    rows = []
    for name, own in figures.items():
        found = {**own, "old": old.get(name)}
        cells = [_rate(found[column]) for column in columns]
        rows.append([name, f"{own['hours']:.2f}", f"{own['clips']:.0f}", *cells])
    return ["sound", "hours", "clips", *(COLUMNS[column] for column in columns)], rows


def esc10_table(results: Results) -> str:
    """Clips of ESC-10."""
    return _stated(
        f"{_protocol(results)} All windows of all clips of all ten classes of ESC-10; AUC of the "
        "clip's own score; a clip with an event counts as crying.",
        *_esc10(results[DETECTOR]["mean"]["esc10"]),
    )


def _esc10(figures: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    variants = [name for name in ("edges", "fused", "strict") if name in figures]
    rows = [
        [name, *(_figure(figures[key]) if variant == "fused" else "-" for variant in variants)]
        for key, name in (("auc", "AUC"), ("f1", "F1"))
    ]
    for kind in figures[variants[0]]:
        rows.append([kind, *(_share(figures[variant][kind]) for variant in variants)])
    return ["ESC-10", *(COLUMNS[variant] for variant in variants)], rows


def robustness_table(results: Results) -> str:
    """Recall under noise, and of quiet recordings."""
    found = results[DETECTOR]["robustness"]
    recall, lost = found["recall"], found["points_lost_household_10_dB"]
    rows = [
        [name, *(f"{recall[variant][name]:.3f}" for variant in recall)] for name in recall["edges"]
    ]
    rows.append(["points lost, household 10 dB", *(f"{lost[variant]:.1f}" for variant in recall)])
    return _stated(
        f"{_protocol(results, divisions=1)} Share of the labelled crying of donateacry-corpus that "
        "lies inside events: clean; with noise so many dB below the sound; with the recording "
        "turned down to a peak. The household noise is of other families than in training.",
        ["recall", *(COLUMNS[variant] for variant in recall)],
        rows,
    )


def tagger_table(results: Results) -> str:
    """Agreement with the teacher."""
    tagger = results[DETECTOR]["tagger"]
    rows = [[f"`{tag}`", f"{value:.3f}"] for tag, value in tagger["rank_correlation"].items()]
    auc = tagger["auc_of_hard_labels"]
    rows += [
        ["AUC of labelled crying, the tagger's", f"{auc['student']:.3f}"],
        ["AUC of labelled crying, the teacher's", f"{auc['teacher']:.3f}"],
        ["their ratio", f"{auc['ratio']:.3f}"],
    ]
    return _stated(
        f"{_protocol(results)} Mixtures of 2 s of what was left out; for a tag Spearman's rank "
        "correlation of its scores with the teacher's.",
        ["tag", "figure"],
        rows,
    )


def left_out_table(results: Results) -> str:
    """What networks make of a corpus that they never met."""
    left_out = results[DETECTOR]["corpora_left_out"]
    said = "networks trained without any recording of the corpus, with the rules that ship"
    blocks = []
    if "donateacry" in left_out:
        blocks.append(_stated(
            f"{said}: the labels of donateacry-corpus shaped the rules, not the networks.",
            ["donateacry", "edges alone", "fused"], _left_out_phones(left_out["donateacry"]),
        ))  # fmt: skip
    if "esc10" in left_out:
        blocks.append(_stated(f"{said}.", *_esc10(left_out["esc10"])))
    if "other-sounds" in left_out:
        header, rows = _false_events(left_out["other-sounds"], {})
        blocks.append(_stated(f"{said}; events an hour (clips with any).", header, rows))
    return "\n\n".join(blocks)


def unmet_table(results: Results) -> str:
    """Events an hour in recordings that nothing was trained or tuned on."""
    unmet = results.get(UNMET)
    if unmet is None:
        raise NoResultsError(f"{RESULTS}/{UNMET}.json is missing: experiments/unmet.py writes it")
    return _stated(
        f"{unmet['protocol']}. Events an hour, and in brackets the share of clips with any.",
        *_false_events(unmet["false_events"], {}),
    )


def _left_out_phones(figures: Mapping[str, Any]) -> list[list[str]]:
    rows = [
        [f"windows: {name}", *(_figure(figures[variant][key]) for variant in ("edges", "fused"))]
        for key, name in (("auc", "AUC"), ("f1", "F1"), ("ece", "ECE"))
    ]
    for kind in ("events", "bouts"):
        own = figures[kind]
        rows.append([f"{kind}: F1", *(_figure(own[v]["f1"]) for v in ("edges", "fused"))])
    rows.append(["labelled time in events that is kept", _share(1.0), _share(figures["kept"])])
    return rows


def further_table(results: Results) -> str:
    """The main figures of all runs side by side."""
    figures: dict[str, Callable[[Any], str]] = {
        "windows, edges alone: AUC": lambda run: _digits(run["phones"]["edges"]["auc"]),
        "windows, edges alone: F1": lambda run: _digits(run["phones"]["edges"]["f1"]),
        "events, with the veto: F1": lambda run: _digits(run["phones"]["events"]["fused"]["f1"]),
        "bouts, with the veto: F1": lambda run: _digits(run["phones"]["bouts"]["fused"]["f1"]),
        "labelled time in events that is kept": lambda run: _share(run["phones"]["kept"]),
    }
    for what in ("crying clips with an event", "other clips with an event"):
        figures[f"ESC-10: {what}"] = lambda run, what=what: _share(run["esc10"]["fused"][what])
    for kind in results[DETECTOR]["mean"]["false_events"]:
        figures[f"{kind}: events an hour (clips)"] = lambda run, kind=kind: _rate(
            run["false_events"][kind]["fused"]
        )
    runs = {title: results[name]["mean"] for name, title in RUNS.items() if name in results}
    divisions = [results[name]["mean"] for name in DIVISIONS if name in results]
    again = _again(results)
    if len(again) == len(AGAIN):
        runs = {"mean of three divisions, again": mean(again)} | runs
    if len(divisions) == len(DIVISIONS):
        runs = {"mean of three divisions": mean(divisions)} | runs
    rows = [[name, *(cell(run) for run in runs.values())] for name, cell in figures.items()]
    return _stated(
        "as of the tables above; divided anew, other phones, speakers and recordings lie together "
        "in a fold, and networks start from another seed.",
        ["", *runs],
        rows,
    )


def shipped_table(results: Results) -> str:
    """Calibration and thresholds that ship."""
    shipped = results[DETECTOR]["shipped"]
    flat = {name: value for name, value in shipped.items() if name != "veto"}
    flat |= {f"veto.{name}": value for name, value in shipped["veto"].items()}
    rows = [[f"`{name}`", f"{value:.4g}"] for name, value in flat.items()]
    return _stated(
        "chosen on the scores of all folds, each by networks that had not seen it; mean of "
        f"{_divisions(len(results[DETECTOR]['divisions']))}.",
        ["setting", "value"],
        rows,
    )


TABLES: Mapping[str, Callable[[Results], str]] = {
    "windows": windows_table,
    "events": events_table,
    "delay": delay_table,
    "false-events": false_events_table,
    "esc10": esc10_table,
    "robustness": robustness_table,
    "tagger": tagger_table,
    "left-out": left_out_table,
    "unmet": unmet_table,
    "further": further_table,
    "shipped": shipped_table,
}


def _columns(*variants: str, old: bool) -> list[str]:
    return [*(["old"] if old else []), *variants]


def _protocol(results: Results, divisions: int = 0) -> str:
    n = divisions or len(results[DETECTOR]["divisions"])
    text = str(results[DETECTOR]["protocol"]).rstrip(".")
    return f"{text}; mean of {_divisions(n)}."


def _divisions(n: int) -> str:
    return f"{n} division{'s' if n > 1 else ''} into folds"


def _old_protocol(old: Mapping[str, Any]) -> str:
    return f" The old detector: {old['protocol'].rstrip('.')}." if old else ""


def _stated(protocol: str, header: Sequence[Any], rows: Sequence[Sequence[str]]) -> str:
    """A table under the protocol that its figures were measured by."""
    return f"*Protocol: {protocol}*\n\n{table(header, rows)}"


def _figure(figure: Any) -> str:
    """A figure, its interval behind it where it has one."""
    if isinstance(figure, Mapping):
        return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"
    return f"{figure:.3f}"


def _digits(figure: Mapping[str, float]) -> str:
    return f"{figure['value']:.3f}"


def mean(values: Sequence[Any]) -> Any:
    """Mean of figures of the same shape."""
    if isinstance(values[0], dict):
        return {name: mean([value[name] for value in values]) for name in values[0]}
    return sum(values) / len(values)


def _again(results: Results) -> list[Any]:
    return [results[name]["mean"] for name in AGAIN if name in results]


def _share(value: float) -> str:
    return f"{100 * value:.1f}\N{NO-BREAK SPACE}%"


def _rate(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "-"
    return f"{found['events_per_hour']:.1f} ({_share(found['clips_with_an_event'])})"


def _old_phones(old: Mapping[str, Any], key: str) -> str:
    """The mean of its divisions, which have an interval each and no common one."""
    values = [_value(division[key]) for division in old["phones"]]
    return f"{sum(values) / len(values):.3f}"


def _old_events(old: Mapping[str, Any], measure: str) -> str:
    if not old:
        return "-"
    values = [_value(division["events"][measure]) for division in old["phones"]]
    return f"{sum(values) / len(values):.3f}"


def _value(figure: Any) -> float:
    return float(figure["value"] if isinstance(figure, Mapping) else figure)
