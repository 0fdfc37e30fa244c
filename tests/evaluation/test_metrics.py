"""The figures agree with scikit-learn and with examples worked by hand."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics

from cryvision.errors import ConfigError, CryvisionError
from cryvision.evaluation import metrics as ev

FLOAT64_TOLERANCE = 1e-9
"""Both sides add some thousand float64 numbers, in another order."""

MAX_SECONDS_PER_DRAW = 0.05
"""15,000 windows take about 1 ms a draw; the rest is for a busy machine."""

N_COVERAGE_RUNS = 200
COVERAGE_TOLERANCE = 0.06
"""Four standard errors of 95 % in 200 runs; the percentile interval is a little short, too."""

BINARY = st.integers(2, 60).flatmap(
    lambda n: st.tuples(
        hnp.arrays(np.int64, n, elements=st.integers(0, 1)),
        hnp.arrays(np.float64, n, elements=st.integers(0, 8).map(lambda level: level / 8)),
        hnp.arrays(np.int64, n, elements=st.integers(0, 3)),
    )
)
"""Labels, scores with many ties, and weights."""

CLASSES = st.integers(2, 60).flatmap(
    lambda n: st.tuples(
        *(hnp.arrays(np.int64, n, elements=st.integers(0, high)) for high in (3, 3, 2))
    )
)
"""Labels, predictions and weights."""


@settings(max_examples=50, deadline=None)
@given(BINARY)
def test_auc_is_that_of_scikit_learn_with_ties_and_weights(sample: Any) -> None:
    labels, scores, weights = sample
    area = ev.auc(labels, scores, weights)
    if len(set(labels[weights > 0])) < 2:
        assert np.isnan(area)
    else:
        expected = metrics.roc_auc_score(labels, scores, sample_weight=weights)
        assert area == pytest.approx(expected, abs=FLOAT64_TOLERANCE)


@settings(max_examples=50, deadline=None)
@given(BINARY)
def test_auc_depends_on_the_order_of_scores_alone(sample: Any) -> None:
    labels, scores, _ = sample
    area = ev.auc(labels, scores)
    np.testing.assert_equal(ev.auc(labels, np.exp(3 * scores)), area)
    np.testing.assert_allclose(ev.auc(1 - labels, -scores), area, atol=FLOAT64_TOLERANCE)


def test_auc_by_hand() -> None:
    assert ev.auc([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.8]) == (3 + 0.5) / 4
    assert ev.auc([0, 1], [0.5, 0.5]) == 0.5
    assert np.isnan(ev.auc([1, 1], [0.1, 0.2]))


@settings(max_examples=50, deadline=None)
@given(BINARY)
def test_a_weight_is_so_many_copies(sample: Any) -> None:
    labels, scores, weights = sample
    if not weights.any():
        return
    copies = np.repeat(np.arange(len(labels)), weights)
    called = scores >= 0.5
    measures: list[tuple[Callable[..., Any], Any]] = [
        (ev.auc, scores),
        (ev.precision_recall_f1, called),
        (ev.balanced_accuracy, called),
        (ev.macro_f1, called),
        (ev.cohen_kappa, called),
        (ev.log_loss, scores),
    ]
    for measure, other in measures:
        weighted = measure(labels, other, weights=weights)
        copied = measure(labels[copies], other[copies])
        np.testing.assert_allclose(weighted, copied, atol=FLOAT64_TOLERANCE)
    np.testing.assert_allclose(
        ev.expected_calibration_error(labels, scores, weights=weights),
        ev.expected_calibration_error(labels[copies], scores[copies]),
        atol=FLOAT64_TOLERANCE,
    )


@settings(max_examples=50, deadline=None)
@given(CLASSES)
@pytest.mark.filterwarnings("ignore")
def test_class_measures_are_those_of_scikit_learn(sample: Any) -> None:
    labels, predicted, weights = sample
    weights[0] = 1
    np.testing.assert_allclose(
        ev.confusion(labels, predicted, 4, weights),
        metrics.confusion_matrix(labels, predicted, labels=range(4), sample_weight=weights),
    )
    kept = weights > 0
    labels, predicted, weights = labels[kept], predicted[kept], weights[kept]
    pairs = [
        (ev.balanced_accuracy, metrics.balanced_accuracy_score, {}),
        (ev.macro_f1, metrics.f1_score, {"average": "macro"}),
        (ev.cohen_kappa, metrics.cohen_kappa_score, {}),
    ]
    for ours, theirs, options in pairs:
        mine = ours(labels, predicted, weights)
        if np.isnan(mine):
            assert ours is ev.cohen_kappa
            assert len({*labels, *predicted}) == 1
            continue
        expected = theirs(labels, predicted, sample_weight=weights, **options)
        assert mine == pytest.approx(expected, abs=FLOAT64_TOLERANCE)


@settings(max_examples=50, deadline=None)
@given(BINARY)
def test_precision_recall_f1_are_those_of_scikit_learn(sample: Any) -> None:
    labels, scores, weights = sample
    weights[0] = 1
    called = scores > 0.5
    expected = metrics.precision_recall_fscore_support(
        labels, called, average="binary", sample_weight=weights, zero_division=0
    )[:3]
    np.testing.assert_allclose(
        ev.precision_recall_f1(labels, called, weights), expected, atol=FLOAT64_TOLERANCE
    )


def test_log_loss_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    table = rng.dirichlet(np.ones(4), size=500)
    labels = rng.integers(0, 4, 500)
    expected = metrics.log_loss(labels, table)
    assert ev.log_loss(labels, table) == pytest.approx(expected, abs=FLOAT64_TOLERANCE)
    cry = labels > 1
    expected = metrics.log_loss(cry, table[:, 0])
    assert ev.log_loss(cry, table[:, 0]) == pytest.approx(expected, abs=FLOAT64_TOLERANCE)


def test_log_loss_of_a_certain_mistake_is_finite() -> None:
    assert ev.log_loss([1, 0], [0.0, 0.0]) == pytest.approx(-np.log(1e-7) / 2)


def test_prior_log_loss_is_the_entropy_on_labels_of_the_same_mix() -> None:
    labels = [0, 0, 0, 1]
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert ev.prior_log_loss(labels, labels) == pytest.approx(entropy)
    assert ev.prior_log_loss([0, 0], [0, 2]) == pytest.approx(-np.log(1e-7) / 2)
    assert ev.prior_log_loss([0, 1], [0]) == pytest.approx(np.log(2))


def test_calibration_error_by_hand() -> None:
    # Two bins: four samples said 0.25 with one right, two said 0.75 with none right.
    labels, stated = [1, 0, 0, 0, 0, 0], [0.25, 0.25, 0.25, 0.25, 0.75, 0.75]
    assert ev.expected_calibration_error(labels, stated, n_bins=2) == pytest.approx(1.5 / 6)
    table = [[0.6, 0.3, 0.1], [0.1, 0.8, 0.1]]
    assert ev.expected_calibration_error([0, 0], table) == pytest.approx((0.4 + 0.8) / 2)
    assert ev.expected_calibration_error([1, 0], [1.0, 0.0]) == 0


def test_calibration_error_of_shares_by_hand() -> None:
    # Half of a window was said to cry where half of it did: right, though not for its majority.
    assert ev.share_calibration_error([0.5, 0.5], [0.5, 0.5]) == 0
    assert ev.share_calibration_error([0.2, 0.8], [0.1, 1.0]) == pytest.approx((0.1 + 0.2) / 2)
    assert ev.share_calibration_error([0.2, 0.8], [0.1, 1.0], weights=[1, 0]) == pytest.approx(0.1)
    rng = np.random.default_rng(0)
    labels, stated = rng.integers(0, 2, 200), rng.random(200)
    whole = ev.expected_calibration_error(labels, stated)
    assert ev.share_calibration_error(labels, stated) == pytest.approx(whole)


@pytest.mark.parametrize(
    "call",
    [
        lambda: ev.auc([0, 1, 2], [0, 1, 2]),
        lambda: ev.auc([0, 1], [0, 1, 2]),
        lambda: ev.auc([0, 1], [0, np.nan]),
        lambda: ev.auc([0, 1], [0, 1], [1, -1]),
        lambda: ev.auc([0, 1], [0, 1], [1]),
        lambda: ev.auc([], []),
        lambda: ev.auc(["cry", "no"], [0, 1]),
        lambda: ev.auc([0, 1], ["high", "low"]),
        lambda: ev.confusion([0, 1], [0, 2], 2),
        lambda: ev.macro_f1([0, 0.5], [0, 1]),
        lambda: ev.log_loss([0, 1], [0.5, 1.5]),
        lambda: ev.log_loss([0, 1], [[0.5, 0.4], [0.5, 0.5]]),
        lambda: ev.log_loss([0, 2], [[0.5, 0.5], [0.5, 0.5]]),
        lambda: ev.expected_calibration_error([0, 1], [0.5, 0.5], n_bins=0),
        lambda: ev.subject_bootstrap([], lambda weights: 0.0),
        lambda: ev.subject_bootstrap(["a"], lambda weights: 0.0, n_draws=0),
        lambda: ev.match_events([[1, 0]], []),
        lambda: ev.match_events([[0, 1, 2]], []),
        lambda: ev.match_events([[0, np.nan]], []),
        lambda: ev.match_events([[0], [1, 2]], []),
        lambda: ev.match_events([[0, 1]], [[0, 1]], onset_tolerance_s=-1),
        lambda: ev.event_f1([1, 2, 3]),
        lambda: ev.event_f1([[1, 2, 3]], [1, 1]),
        lambda: ev.threshold_for_false_alarms([], 1, lambda s, t: [], [0.5]),
    ],
)
def test_input_that_does_not_fit_is_refused(call: Callable[[], object]) -> None:
    with pytest.raises(ConfigError) as refusal:
        call()
    assert "\n" not in str(refusal.value)


def test_subject_bootstrap_covers_the_truth_where_windows_of_a_subject_are_alike() -> None:
    rng = np.random.default_rng(0)
    subjects = np.repeat(np.arange(30), 10)
    covered = 0
    for run in range(N_COVERAGE_RUNS):
        values = rng.normal(size=30)[subjects] + 0.1 * rng.normal(size=300)
        estimate = ev.subject_bootstrap(
            subjects,
            lambda weights, values=values: float(np.average(values, weights=weights)),
            n_draws=200,
            seed=run,
        )
        assert estimate.value == pytest.approx(values.mean())
        covered += estimate.low <= 0 <= estimate.high
    assert covered / N_COVERAGE_RUNS == pytest.approx(0.95, abs=COVERAGE_TOLERANCE)


def test_subject_bootstrap_draws_whole_subjects_and_repeats_by_seed() -> None:
    subjects = ["b", "a", "b", "c"]
    seen = []

    def statistic(weights: np.ndarray) -> float:
        seen.append(weights)
        return float(weights[0])

    first = ev.subject_bootstrap(subjects, statistic, n_draws=50, seed=3)
    assert all(w[0] == w[2] and w[0] + w[1] + w[3] == 3 for w in seen)
    assert ev.subject_bootstrap(subjects, statistic, n_draws=50, seed=3) == first


def test_of_few_subjects_equal_draws_are_computed_once() -> None:
    seen = []

    def statistic(weights: np.ndarray) -> float:
        seen.append(tuple(weights.tolist()))
        return float(weights[0])

    ev.subject_bootstrap(["a", "b"], statistic, n_draws=100)
    assert sorted(seen[1:]) == [(0, 2), (1, 1), (2, 0)]  # the first is the figure itself


def test_draws_without_a_class_are_left_out() -> None:
    subjects, labels, scores = ["a", "b"], [0, 1], [0.2, 0.8]
    assert ev.subject_bootstrap(subjects, lambda w: ev.auc(labels, scores, w)) == (1, 1, 1)
    undefined = ev.subject_bootstrap(["a"], lambda w: ev.auc([0], [0.2], w))
    assert np.isnan(undefined).all()


def test_paired_bootstrap_is_narrow_where_two_classifiers_err_alike() -> None:
    rng = np.random.default_rng(0)
    subjects = np.repeat(np.arange(40), 25)
    labels = rng.integers(0, 2, 1000)
    scores = labels + 2 * rng.normal(size=40)[subjects]
    better = scores + 0.2 * labels
    alone = ev.subject_bootstrap(subjects, lambda w: ev.auc(labels, scores, w), n_draws=200)
    both = ev.paired_subject_bootstrap(
        subjects,
        lambda w: ev.auc(labels, better, w),
        lambda w: ev.auc(labels, scores, w),
        n_draws=200,
    )
    assert both.low > 0
    assert both.high - both.low < alone.high - alone.low
    same = ev.paired_subject_bootstrap(
        subjects, lambda w: ev.auc(labels, scores, w), lambda w: ev.auc(labels, scores, w), 20
    )
    assert same == (0, 0, 0)


def test_bootstrap_of_a_whole_corpus_takes_seconds() -> None:
    rng = np.random.default_rng(0)
    subjects, labels = rng.integers(0, 221, 15_000), rng.integers(0, 2, 15_000)
    scores = labels + rng.normal(size=15_000)
    started = time.perf_counter()
    ev.subject_bootstrap(subjects, lambda w: ev.auc(labels, scores, w), n_draws=100)
    assert (time.perf_counter() - started) / 100 < MAX_SECONDS_PER_DRAW


def test_events_match_within_both_tolerances() -> None:
    true = [[1.0, 2.0], [5.0, 6.0]]
    assert ev.match_events(true, [[1.25, 2.5], [4.75, 5.5]]) == (2, 2, 2)
    assert ev.match_events(true, [[1.26, 2.0], [5.0, 6.51]]) == (0, 2, 2)
    assert ev.match_events(true, []) == (0, 2, 0)
    assert ev.match_events([], np.zeros((0, 2))) == (0, 0, 0)
    assert ev.match_events([[0.1, 1.0]], [[0.35, 1.0]]) == (1, 1, 1)  # 0.25 in binary fractions


def test_each_event_counts_once() -> None:
    assert ev.match_events([[1.0, 2.0]], [[1.0, 2.0], [1.1, 2.1]]) == (1, 1, 2)


def test_matching_is_the_largest_where_a_greedy_one_is_not() -> None:
    # The first true event is near both; taking its nearest leaves the second without a partner.
    true = [[1.0, 2.0], [1.2, 2.0]]
    found = [[1.0, 2.0], [0.8, 2.0]]
    assert ev.match_events(true, found) == (2, 2, 2)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 10)), max_size=8))
def test_events_match_themselves_in_any_order(drawn: list[tuple[int, int]]) -> None:
    events = [(on / 4, (on + length) / 4) for on, length in drawn]
    n = len(events)
    assert ev.match_events(events, events[::-1]) == (n, n, n)
    if n:
        assert ev.intersection_over_union(events, events[::-1]) == pytest.approx(1)
        assert ev.false_alarms(events, events) == 0


def test_event_f1_is_over_all_clips_together() -> None:
    counts = [[1, 2, 1], [0, 0, 3], [2, 2, 2]]
    assert ev.event_f1(counts) == pytest.approx((3 / 6, 3 / 4, 6 / 10))
    assert ev.event_f1(counts, [0, 0, 2]) == (1, 1, 1)
    assert ev.event_f1([[0, 0, 0]]) == (0, 0, 0)


def test_intersection_over_union_by_hand() -> None:
    assert ev.intersection_over_union([[0, 2], [4, 6]], [[1, 5]]) == pytest.approx(2 / 6)
    assert ev.intersection_over_union([[0, 2], [1, 3]], [[0, 3]]) == pytest.approx(1)
    assert ev.intersection_over_union([[0, 1]], [[1, 2]]) == 0
    assert ev.intersection_over_union([[0, 1]], []) == 0
    assert np.isnan(ev.intersection_over_union([], []))


def test_a_false_alarm_overlaps_no_true_event() -> None:
    true = [[1.0, 2.0]]
    assert ev.false_alarms(true, [[0.0, 1.0], [1.9, 3.0], [0.5, 2.5], [2.0, 3.0]]) == 2
    assert ev.false_alarms([], [[0.0, 1.0]]) == 1
    assert ev.false_alarms(true, []) == 0


def events_above(scores: np.ndarray, threshold: float) -> np.ndarray:
    """Runs of one-second windows at or above the threshold."""
    edges = np.diff(np.concatenate([[0], scores >= threshold, [0]]).astype(int))
    return np.stack([np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)], axis=1)


def test_threshold_is_the_lowest_with_few_enough_false_alarms() -> None:
    scores = np.array([0.1, 0.9, 0.9, 0.1, 0.7, 0.1, 0.5, 0.1])
    clips = [ev.ScoredClip(scores, [[1, 3]], 1800.0)] * 2
    grid = [0.2, 0.4, 0.6, 0.8]

    def chosen(per_hour: float) -> float:
        return ev.threshold_for_false_alarms(clips, per_hour, events_above, grid)

    assert chosen(0) == 0.8
    assert chosen(2) == 0.6
    assert chosen(3.9) == 0.6
    assert chosen(4) == 0.2


def test_threshold_is_never_so_low_that_one_event_hides_the_false_alarms() -> None:
    # At 0.1 everything is one event, which overlaps the true one: no false alarm, and no use.
    clips = [ev.ScoredClip(np.array([0.9, 0.1, 0.5, 0.1, 0.5]), [[0, 1]], 3600.0)]
    assert ev.threshold_for_false_alarms(clips, 0, events_above, [0.1, 0.4, 0.6]) == 0.6


def test_a_rate_that_no_threshold_reaches_is_refused() -> None:
    clips = [ev.ScoredClip(np.array([0.9, 0.1]), [], 3600.0)]
    with pytest.raises(CryvisionError, match=r"up to 0\.8 gives at most 0 false alarms an hour"):
        ev.threshold_for_false_alarms(clips, 0, events_above, [0.2, 0.8])
