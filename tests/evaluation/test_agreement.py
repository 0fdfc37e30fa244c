"""Two codings are compared as their measures are defined."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryvision.errors import ConfigError
from cryvision.evaluation import agreement
from cryvision.evaluation.agreement import CodedClip, measure_agreement
from cryvision.evaluation.agreement_report import agreement_page, agreement_text, draw, figure_rows
from cryvision.evaluation.event_metrics import intersection_counts, overlapping_pairs
from cryvision.evaluation.metrics import cohen_kappa
from cryvision.evaluation.psds import ScoredTimeline, psds, psds_counts

FRAME_S = 0.01
KAPPA_TOLERANCE = 0.02
"""Of kappa on frames of 10 ms against that of every moment, for events of 0.1 s and more."""

PSDS_TOLERANCE = 0.02
"""500 thresholds against all of them."""


MOST_SECONDS = 20.0
"""A figure takes about a second; with work that grows as the square of the events, minutes."""


@pytest.fixture(autouse=True, scope="module")
def few_shuffles() -> Iterator[None]:
    """Let gamma, which has its own tests, rest on two shuffles."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agreement, "LEAST_SHUFFLES", 2)
        patch.setattr(agreement, "MOST_SHUFFLES", 2)
        yield


def spans(*events: tuple[float, float]) -> np.ndarray:
    return np.array(events, np.float64).reshape(-1, 2)


def clip(
    first: np.ndarray, second: np.ndarray, duration_s: float = 10.0, subject: str = "s"
) -> CodedClip:
    return CodedClip("a", subject, first, second, duration_s)


def values(*clips: CodedClip, **options: float) -> dict[str, float | None]:
    figures = measure_agreement(clips, n_draws=10, **options)["figures"]
    return {name: figure["value"] for name, figure in figures.items()}


def kappa(first: np.ndarray, second: np.ndarray) -> float:
    value = values(clip(first, second))["kappa"]
    return math.nan if value is None else value


@st.composite
def disjoint_events(draw: st.DrawFn) -> np.ndarray:
    edges = sorted(draw(st.sets(st.integers(0, 99), max_size=12)))
    edges = edges[: len(edges) // 2 * 2]
    return np.array(edges, np.float64).reshape(-1, 2) / 10


def test_equal_codings_agree_wholly() -> None:
    events = spans((1, 2), (4, 6))
    found = values(clip(events, events))
    assert {found[n] for n in ("event_f1", "intersection_f1", "kappa", "iou")} == {1.0}
    assert found["alarms_per_hour"] == found["missed_per_hour"] == 0


def test_codings_without_anything_in_common_do_not_agree() -> None:
    found = values(clip(spans((1, 2)), spans((5, 6)), duration_s=36.0))
    assert found["event_f1"] == found["intersection_f1"] == found["iou"] == 0
    assert found["kappa"] < 0
    assert found["alarms_per_hour"] == found["missed_per_hour"] == 100


def test_a_cry_split_in_two_is_found_by_intersection_and_not_by_times() -> None:
    found = values(clip(spans((1, 5)), spans((1, 2.9), (3.1, 5))))
    assert found["event_f1"] == 0
    assert found["intersection_f1"] == 1


def test_kappa_is_undefined_where_both_say_the_same_of_every_moment() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        cuts = [np.r_[0, np.sort(rng.uniform(0, 10, n)), 10] for n in rng.integers(1, 9, 2)]
        both = [np.stack([times[:-1], times[1:]], axis=1) for times in cuts]
        assert values(clip(*both, 10.0))["kappa"] is None


@given(first=disjoint_events(), second=disjoint_events())
@settings(max_examples=60, deadline=None)
def test_kappa_is_that_of_short_frames_and_the_same_both_ways(
    first: np.ndarray, second: np.ndarray
) -> None:
    times = FRAME_S * (0.5 + np.arange(1000))
    frames = [
        np.any((events[:, :1] <= times) & (times < events[:, 1:]), axis=0).astype(int)
        for events in (first, second)
    ]
    wanted = cohen_kappa(*frames)
    found = kappa(first, second)
    assert found == pytest.approx(wanted, abs=KAPPA_TOLERANCE, nan_ok=True)
    assert kappa(second, first) == pytest.approx(found, nan_ok=True)


@pytest.mark.parametrize(
    ("first", "second", "overlap", "counts"),
    [
        (spans((0, 10)), spans((0, 4)), 0.5, (0, 1, 0)),
        (spans((0, 10)), spans((0, 5)), 0.5, (1, 1, 0)),
        (spans((0, 10)), spans((0, 4), (6, 7)), 0.5, (1, 1, 0)),
        (spans((0, 1)), spans((0, 10)), 0.5, (0, 1, 1)),
        (spans((0, 1), (2, 3)), spans((0, 3)), 0.5, (2, 2, 0)),
        (spans(), spans((0, 3)), 0.5, (0, 0, 1)),
        (spans((0, 3)), spans(), 0.5, (0, 1, 0)),
    ],
)
def test_intersection_counts(
    first: np.ndarray, second: np.ndarray, overlap: float, counts: tuple[int, int, int]
) -> None:
    assert intersection_counts(first, second, overlap) == counts


def test_errors_in_time_are_those_of_the_pairs_that_overlap_most() -> None:
    first, second = spans((1, 2), (4, 6), (8, 9)), spans((1.2, 2.1), (3.9, 4.2), (4.3, 6))
    pairs = overlapping_pairs(first, second)
    assert pairs[:, 1, 0] - pairs[:, 0, 0] == pytest.approx([0.2, 0.3])
    record = measure_agreement([clip(first, second)], n_draws=10)
    assert record["n_pairs"] == 2
    assert record["onset_error_s"]["median"] == pytest.approx(0.25)
    assert record["offset_error_s"]["mean_absolute"] == pytest.approx(0.05)


def test_intervals_are_over_subjects() -> None:
    same, none = clip(spans((1, 2)), spans((1, 2))), clip(spans((1, 2)), spans((5, 6)))
    one = [CodedClip(str(i), "s", c.first, c.second, 10.0) for i, c in enumerate((same, none))]
    two = [CodedClip(c.name, c.name, c.first, c.second, 10.0) for c in one]
    figures = [measure_agreement(clips)["figures"]["event_f1"] for clips in (one, two)]
    assert [figure["value"] for figure in figures] == [0.5, 0.5]
    assert figures[1]["interval"] == [0, 1]


def test_one_subject_has_no_intervals() -> None:
    scored = CodedClip("a", "s", spans((1, 2)), spans((1, 2)), 10.0, np.eye(1, 10)[0], 1.0)
    record = measure_agreement([scored], n_draws=10)
    assert "psds1" in record["figures"]
    assert not any("interval" in figure for figure in record["figures"].values())
    assert record["onset_error_s"]["median_interval"] is None
    text = agreement_text(record)
    assert "No 95 % intervals: they are over subjects, and there is only one." in text
    assert text.startswith("1 recording of 1 subject, 10.0 s\nA (reference): 1 event, 1.0 s")
    assert "1 pair of overlapping events" in text


def test_differences_in_time_have_the_usual_names_and_signs() -> None:
    late = [
        CodedClip(name, name, spans((1, 2), (4, 6)), spans((1.1, 1.8), (4.1, 5.8)), 10.0)
        for name in "ab"
    ]
    text = agreement_text(measure_agreement(late, n_draws=10))
    assert text.startswith("2 recordings of 2 subjects, 20.0 s\nA (reference): 4 events")
    assert "95 % intervals: bootstrap over 2 subjects." in text
    onset, offset = text.split("\n")[-2:]
    assert "Onset and offset differences (B - A) in seconds, 4 pairs of overlapping events" in text
    assert onset.split() == [
        *("onset", "+0.100", "+0.100", "to", "+0.100", "+0.100", "to", "+0.100"),
        *("+0.100", "to", "+0.100", "0.100"),
    ]
    assert offset.split()[:2] == ["offset", "-0.200"]
    for name in ("median", "95 % interval", "interquartile range", "mean absolute"):
        assert name in text
    apart = CodedClip("a", "a", spans((1, 2)), spans((5, 6)), 10.0)
    assert agreement_text(measure_agreement([apart], n_draws=10)).endswith(
        "No onset or offset differences: no event of A overlaps one of B."
    )


def test_a_page_of_huge_names_stays_a_page() -> None:
    huge = CodedClip("n" * 5000, "s" * 5000, spans((1, 2)), spans((1, 2)), 10.0)
    record = measure_agreement([huge], n_draws=10)
    record |= {"notes": [], "warnings": [], "problems": []}
    page = agreement_page(record, [huge], ("a", "b"))
    assert "n" * 200 not in page
    assert "s" * 200 not in page
    assert "1 recording of 1 subject" in page


def test_clips_without_crying_have_no_f1() -> None:
    record = measure_agreement([clip(spans(), spans())], n_draws=10)
    undefined = ("event_f1", "event_precision", "event_recall", "intersection_f1", "kappa", "iou")
    assert {record["figures"][name]["value"] for name in undefined} == {None}
    assert record["figures"]["alarms_per_hour"]["value"] == 0
    shown = {name: value for name, value, *_ in figure_rows(record)}
    assert {shown[name] for name in undefined} == {"-"}
    found = values(clip(spans((1, 2)), spans()))
    assert (found["event_f1"], found["event_recall"], found["event_precision"]) == (0, 0, None)


def test_the_clip_with_most_disagreement_is_listed_first() -> None:
    clips = [
        CodedClip("good", "s", spans((1, 2)), spans((1, 2)), 10.0),
        CodedClip("bad", "s", spans((1, 9)), spans((4, 5)), 10.0),
    ]
    assert [one["name"] for one in measure_agreement(clips)["clips"]] == ["bad", "good"]


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least one clip"):
        measure_agreement([])
    with pytest.raises(ConfigError, match="must have a length"):
        measure_agreement([clip(spans(), spans(), duration_s=0.0)])
    with pytest.raises(ConfigError, match="overlap"):
        intersection_counts(spans(), spans(), 0.0)


def _timelines(rng: np.random.Generator, n: int = 6) -> list[ScoredTimeline]:
    clips = []
    for _ in range(n):
        duration_s = 60.0
        reference = np.sort(rng.uniform(0, duration_s, 8)).reshape(-1, 2)
        times = np.arange(0, duration_s, 0.1)
        true = np.any((reference[:, :1] <= times) & (times < reference[:, 1:]), axis=0)
        scores = np.clip(true * 0.6 + rng.normal(0.2, 0.15, len(times)), 0, 1)
        clips.append(ScoredTimeline(reference, scores, 0.1, duration_s))
    return clips


@pytest.mark.parametrize(("overlap", "reference"), [(0.7, 0.3208), (0.5, 0.7875), (0.1, 1.0)])
def test_psds_is_that_of_sed_scores_eval(overlap: float, reference: float) -> None:
    """The reference values are from sed_scores_eval 0.0.4 with the same scores and events."""
    clips = _timelines(np.random.default_rng(3))
    found = psds(psds_counts(clips, overlap), [clip.duration_s / 3600 for clip in clips])
    assert found == pytest.approx(reference, abs=PSDS_TOLERANCE)


def test_psds_of_perfect_scores_is_one_and_of_none_is_not_known() -> None:
    reference = spans((1, 2), (4, 6))
    times = np.arange(0, 10, 0.1)
    scores = np.any((reference[:, :1] <= times) & (times < reference[:, 1:]), axis=0) * 1.0
    perfect = ScoredTimeline(reference, scores, 0.1, 10.0)
    assert psds(psds_counts([perfect], 0.7), [1.0]) == 1
    for unknown in (
        perfect._replace(reference=spans()),
        perfect._replace(scores=np.full(100, np.nan)),
    ):
        assert math.isnan(psds(psds_counts([unknown], 0.7), [1.0]))


def test_of_a_day_the_figure_shows_the_ten_minutes_with_most_disagreement() -> None:
    onsets = np.arange(3000) * 28.0
    events = np.stack([onsets, onsets + 2.0], axis=1)
    others = events.copy()
    others[2000:2010] += 10.0
    day = clip(events, others, duration_s=84_000.0)
    began = time.monotonic()
    (ax,) = draw([day]).axes
    assert time.monotonic() - began < MOST_SECONDS
    start_s, end_s = ax.get_xlim()
    assert start_s <= 56_000 < 56_290 < end_s == start_s + 600
