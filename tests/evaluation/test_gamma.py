"""Gamma is that of its paper and of the package that its authors' successors keep."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryvision.evaluation import agreement
from cryvision.evaluation.agreement import CodedClip, measure_agreement
from cryvision.evaluation.gamma import gamma_disorders, least_disorder

REFERENCE: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data" / "gamma.json").read_text()
)["cases"]

GAMMA_TOLERANCE = 0.02
"""Both rest on random shuffles: of 1,000, the spread of the expected disorder is 1 %."""

CHANCE = 0.15
"""Spread of gamma about 0 for codings of 60 events that have nothing to do with each other."""


@pytest.fixture(autouse=True, scope="module")
def few_shuffles() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agreement, "MOST_SHUFFLES", 50)
        yield


def gamma(*clips: CodedClip) -> float | None:
    value: float | None = measure_agreement(clips, n_draws=10)["figures"]["gamma"]["value"]
    return value


def coded(first: Any, second: Any, duration_s: float = 60.0) -> CodedClip:
    tables = (np.array(events, np.float64).reshape(-1, 2) for events in (first, second))
    return CodedClip("a", "s", *tables, duration_s)


def drawn(rng: np.random.Generator, n: int, duration_s: float = 60.0) -> np.ndarray:
    return np.sort(rng.uniform(0, duration_s, 2 * n)).reshape(-1, 2)


def dissimilarity(a: np.ndarray, b: np.ndarray) -> float:
    """As equation 3 of the paper has it, with an empty unit at 1."""
    apart = abs(a[0] - b[0]) + abs(a[1] - b[1])
    return float((apart / (a[1] - a[0] + b[1] - b[0])) ** 2)


def tried_out(first: np.ndarray, second: np.ndarray) -> float:
    """The least disorder among all alignments there are."""
    n, m = len(first), len(second)
    return min(
        sum(dissimilarity(first[i], second[j]) for i, j in zip(rows, columns, strict=True))
        + (n + m - 2 * size)
        for size in range(min(n, m) + 1)
        for rows in itertools.combinations(range(n), size)
        for columns in itertools.permutations(range(m), size)
    )


@pytest.mark.parametrize("case", REFERENCE)
def test_gamma_is_that_of_pygamma_agreement(case: dict[str, Any]) -> None:
    clip = coded(case["first"], case["second"], case["duration_s"])
    n_mean = (len(clip.first) + len(clip.second)) / 2
    disorder = least_disorder(clip.first, clip.second) / n_mean
    assert disorder == pytest.approx(case["disorder"], abs=1e-5)
    rng = np.random.default_rng(0)
    observed, expected = gamma_disorders(clip.first, clip.second, clip.duration_s, 500, rng)
    assert 1 - observed / expected == pytest.approx(case["gamma"], abs=GAMMA_TOLERANCE)


@pytest.mark.parametrize("seed", range(20))
def test_no_alignment_is_better_than_the_best(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = (drawn(rng, rng.integers(0, 5), 20.0) for _ in "ab")
    assert least_disorder(first, second) == pytest.approx(tried_out(first, second))


def test_the_same_events_agree_wholly_and_others_by_chance() -> None:
    rng = np.random.default_rng(0)
    events, others = drawn(rng, 60), drawn(rng, 60)
    assert gamma(coded(events, events)) == 1
    found = gamma(coded(events, others))
    assert found is not None
    assert abs(found) < CHANCE


def test_gamma_falls_as_times_drift_apart_and_events_are_missed() -> None:
    events = np.arange(0, 60, 4)[:, None] + np.array([0.0, 1.5])
    drifting = [gamma(coded(events, events + shift)) or 0.0 for shift in (0.0, 0.1, 0.4, 0.8)]
    assert drifting == sorted(drifting, reverse=True)
    assert drifting[1] > 0.9
    missed = [gamma(coded(events, events[::step])) or 0.0 for step in (1, 2, 4)]
    assert missed == sorted(missed, reverse=True)


def test_where_one_has_no_event_there_is_no_agreement() -> None:
    nothing = np.zeros((0, 2))
    assert gamma(coded(nothing, nothing)) is None
    found = gamma(coded([(1, 2), (5, 6)], nothing))
    assert found is not None
    assert found <= 0


def test_recordings_count_by_their_disorder_and_the_seed_repeats_it() -> None:
    events = np.arange(0, 60, 4)[:, None] + np.array([0.0, 1.5])
    same, drifted = coded(events, events), coded(events, events + 0.8)
    both = gamma(same, drifted)
    assert both is not None
    assert (gamma(drifted) or 0.0) < both < 1
    assert both == gamma(same, drifted)
