"""Tables of the page on reproductions, from the results that its scripts wrote."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from measurements import NoResultsError, table

RESULTS = "experiments/results"
STUDIES = {"cha_bae": "Cha & Bae", "deepinfant": "DeepInfant", "tinytoes": "TinyToes"}
SIZES = "systems"
LEAKS = ("leak-duplicate", "leak-augment")

COUNTED = ("subjects", "same_files", "duplicates", "near_duplicates")

Results = Mapping[str, Mapping[str, Any]]


def read_results(root: Path) -> dict[str, dict[str, Any]]:
    """Read what the scripts of the page wrote, by the name of the script.

    Raises
    ------
    NoResultsError
        If one of them is missing.
    """
    found = {}
    for name in (*STUDIES, SIZES):
        path = root / RESULTS / f"{name}.json"
        if not path.is_file():
            raise NoResultsError(f"{path.relative_to(root)} is missing: cryvision reproduce all")
        found[name] = json.loads(path.read_text(encoding="utf-8"))
    return found


def figures_table(results: Results) -> str:
    """Published figure, ours under the protocols that leak, and with subjects apart."""
    header = [
        "system", "published", "`leak-duplicate`", "`leak-augment`", "`grouped`, four classes",
        "`grouped`, five classes", "macro F1, five classes",
    ]  # fmt: skip
    chance = f"{1 / len(results['cha_bae']['four_classes']['classes']):.2f}"
    of_five = results["deepinfant"]["five_classes"]["majority"]
    majority = [f"{of_five[figure]:.2f}" for figure in ("balanced_accuracy", "macro_f1")]
    rows = [["*needs no listening*", "-", chance, chance, chance, *majority]]
    for name, title in STUDIES.items():
        result = results[name]
        rows.append([f"**{title}**", *[""] * (len(header) - 1)])
        four, five = result["four_classes"], result["five_classes"]
        for system in four["grouped"]:
            published = result["published_accuracy"].get(system)
            rows.append(
                [
                    f"`{system}`",
                    "-" if published is None else f"{published:.2f}",
                    *(_cell(four[by][system]["accuracy"]) for by in LEAKS),
                    _cell(four["grouped"][system]["balanced_accuracy"]),
                    _cell(five["grouped"][system]["balanced_accuracy"]),
                    _cell(five["grouped"][system]["macro_f1"]),
                ]
            )
    return table(header, rows)


def random_table(results: Results) -> str:
    """Networks on a random fifth, beside the answer that needs no listening."""
    rows = []
    for name in ("deepinfant", "tinytoes"):
        of = results[name]["five_classes"]
        for system, figures in of["random"].items():
            rows.append([f"five, `{system}`", *_random_cells(figures, of["majority"])])
        if name == "deepinfant":
            nine = results[name]["nine_classes"]
            for by in ("random", "leak-duplicate", "grouped-holdout"):
                for system, figures in nine[by].items():
                    majority = nine["majority"] if by == "random" else None
                    rows.append([f"nine, `{system}`, `{by}`", *_random_cells(figures, majority)])
    header = ["classes, system", "accuracy", "always the commonest", "balanced accuracy"]
    return table(header, rows)


def _random_cells(figures: Mapping[str, Any], majority: Mapping[str, Any] | None) -> list[str]:
    return [
        _cell(figures["accuracy"]),
        "-" if majority is None else f"{majority['accuracy']:.2f}",
        _cell(figures["balanced_accuracy"]),
    ]


def sides_table(results: Results) -> str:
    """What was on both sides, with the first seed."""
    rows = [
        [f"`{by}`", "four", *(str(counts[0][kind]) for kind in COUNTED)]
        for by, counts in results["cha_bae"]["on_both_sides"].items()
    ]
    sides = results["deepinfant"]["on_both_sides"]["five classes"]
    nine = results["deepinfant"]["nine_classes"]["on_both_sides"]
    for classes, of in (("five", sides), ("nine", nine)):
        rows += [
            [f"`{by}`", classes, *(str(counts[kind]) for kind in COUNTED)]
            for by, counts in of.items()
        ]
    header = ["protocol", "classes", "subjects", "same file", "duplicates", "near-duplicates"]
    return table(header, rows)


def tests_table(results: Results) -> str:
    """Permutation tests: figures beside those of labels moved between phones."""
    tests = results["cha_bae"]["permutation_tests"]
    rows = [
        [
            f"{title}, `{tests['system']}`",
            f"{test['value']:.2f}",
            f"{test['null_mean']:.2f} ± {test['null_deviation']:.2f}",
            f"{test['p_value']:.2f}",
            str(test["n_draws"]),
        ]
        for title, test in (
            ("the reason, five classes", tests["reason"]),
            ("the platform of the phone", tests["platform_asked_for_instead"]),
        )
    ]
    header = ["asked for", "balanced accuracy", "labels moved", "p", "draws"]
    return table(header, rows)


def sizes_table(results: Results) -> str:
    """Weights of the networks as published, and the time of a window."""
    rows = [
        [
            f"`{name}`",
            " x ".join(map(str, system["input"])),
            f"{system['weights']:,}",
            f"{4e-6 * system['weights']:.2g} MB",
            f"{system['cpu_ms_per_window']:.0f}",
        ]
        for name, system in results[SIZES]["systems"].items()
    ]
    header = ["system", "input", "weights", "one file", "CPU ms a window"]
    return table(header, rows)


def minutes_table(results: Results) -> str:
    """What each script took."""
    rows = []
    for name, title in STUDIES.items():
        result = results[name]
        minutes = result["minutes"] + result.get("nine_classes", {}).get("minutes", 0)
        rows.append([title, f"`{result['command']}`", f"`{result['commit']}`", f"{minutes:.0f}"])
    return table(["study", "command", "commit", "minutes"], rows)


TABLES: Mapping[str, Callable[[Results], str]] = {
    "figures": figures_table,
    "random": random_table,
    "sides": sides_table,
    "tests": tests_table,
    "sizes": sizes_table,
    "minutes": minutes_table,
}


def _cell(figure: Any) -> str:
    """A figure, its interval behind it where it has one."""
    if isinstance(figure, Mapping):
        low, high = figure["interval"]
        return f"{figure['value']:.2f} [{low:.2f}, {high:.2f}]"
    return f"{figure:.2f}"
