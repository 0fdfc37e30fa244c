"""Published networks under protocols that leak and with phones kept apart, with one seed.

Four and five classes are of the cleaned donateacry-corpus; nine are of all that phones sent.

The four classes count the same in training. Five and nine, of very unequal size, count as many
clips as they have, as in the published codes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from published import (
    FOUR_CLASSES,
    Comparison,
    beyond_chance,
    compare,
    demands,
    five_classes,
    four_classes,
    nine_classes,
    value_of,
)

from cryvision.augmentation.variation import Variation
from cryvision.datasets.labelled import Dataset
from cryvision.datasets.near_duplicates import CopyPair, copies_among
from cryvision.datasets.protocols import PROTOCOLS
from cryvision.evaluation.skill import majority
from cryvision.training.systems import System

OF_FOUR = ("leak-duplicate", "leak-augment", "grouped")
OF_FIVE = ("random", "grouped")
OF_NINE = ("random", "leak-duplicate", "grouped-holdout")

WIDTH = 8
"""An eighth of the published width of DeepInfant's networks and half of that chosen for TinyToes,
so that all of them are fitted some twenty times in an hour and a half."""


def study(
    networks: Sequence[System],
    seed: int,
    published: Mapping[str, float],
    demanded: Mapping[str, Mapping[str, float]],
) -> dict[str, Any]:
    """Judge networks by every protocol; plain data for a result."""
    started = time.time()
    data = five_classes()
    copies = copies_among(data.clips)
    of_four = {
        name: _compare(name, four_classes, networks, seed, copies, weighted=True)
        for name in OF_FOUR
    }
    of_five = {name: _compare(name, lambda _: data, networks, seed, copies) for name in OF_FIVE}
    four = {name: found.figures() for name, found in of_four.items()}
    five = {name: found.figures() for name, found in of_five.items()}
    return {
        "protocols": {name: PROTOCOLS[name].summary for name in dict.fromkeys(OF_FOUR + OF_FIVE)},
        "variation": vars(Variation()),
        "networks": {network.name: network.facts()["network"] for network in networks},
        "published_accuracy": dict(published),
        "on_both_sides": {
            "four classes": _both_sides(of_four),
            "five classes": _both_sides(of_five),
        },
        "four_classes": {"classes": list(FOUR_CLASSES), **four},
        "five_classes": {"majority": _majority(of_five["random"]), **five},
        "leak_gap": {
            network.name: value_of(four["leak-duplicate"][network.name]["accuracy"])
            - value_of(four["grouped"][network.name]["balanced_accuracy"])
            for network in networks
        },
        "demands": demands(demanded, four),
        "not_as_expected_of_chance": beyond_chance(five["grouped"]),
        "minutes": (time.time() - started) / 60,
    }


def study_uploads(network: System, seed: int) -> dict[str, Any]:
    """Judge one network on nine classes."""
    started = time.time()
    data = nine_classes()
    copies = copies_among(data.clips)
    found = {name: _compare(name, lambda _: data, [network], seed, copies) for name in OF_NINE}
    return {
        "classes": sorted({clip.label for clip in data.clips}),
        "n_clips": len(data.clips),
        "n_subjects": len({clip.subject for clip in data.clips}),
        "on_both_sides": _both_sides(found),
        "majority": _majority(found["random"]),
        **{name: one.figures() for name, one in found.items()},
        "minutes": (time.time() - started) / 60,
    }


def _compare(
    protocol: str,
    data_of: Callable[[int], Dataset],
    networks: Sequence[System],
    seed: int,
    copies: Sequence[CopyPair],
    weighted: bool = False,
) -> Comparison:
    found = [
        compare(
            protocol,
            [seed],
            data_of,
            one.settings,
            {one.name: one.recipe[0]},
            copies,
            weighted=weighted,
        )
        for one in networks
    ]
    runs = {name: measured for one in found for name, measured in one.runs.items()}
    return replace(found[0], runs=runs)


def _both_sides(found: Mapping[str, Comparison]) -> dict[str, dict[str, int]]:
    return {name: one.on_both_sides[0] for name, one in found.items()}


def _majority(found: Comparison) -> dict[str, float]:
    """Figures of always naming the commonest class, of the clips that were judged."""
    return majority(next(iter(found.runs.values()))[0].labels)
