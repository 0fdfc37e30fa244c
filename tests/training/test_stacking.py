"""A stack: who learns from whom, what is silent, and what calibration does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from toy_stack import (
    SURE,
    Spy,
    nearest_row_branch,
    subject_samples,
    trusting_ensemble,
    use_trusting_ensemble,
)

from cryvision.errors import CryvisionError
from cryvision.evaluation import metrics
from cryvision.training import branches, stacking
from cryvision.training.branches import Rows
from cryvision.training.stacking import Samples, calibrated, class_shares, fit_calibration

FLOAT32 = 1e-5
PRIOR_MARGIN = 0.03
"""What calibrated probabilities that know nothing may lose on the prior, in nats."""


@pytest.fixture
def no_ensemble(monkeypatch: pytest.MonkeyPatch) -> None:
    use_trusting_ensemble(monkeypatch)


def samples_with_numbers(n_subjects: int = 9, n_rows: int = 4) -> Samples:
    """Samples whose feature holds the number of the row."""
    samples = subject_samples(n_subjects, n_rows, 3, planted=False)
    numbers = np.arange(len(samples), dtype=np.float32)[:, None]
    return replace(samples, features={"voice": numbers})


@pytest.mark.usefixtures("no_ensemble")
class TestWhoLearnsFromWhom:
    def test_each_row_is_judged_by_a_branch_that_has_not_heard_its_subject(self) -> None:
        samples, spy = samples_with_numbers(), Spy()
        stacking.fit_stack([nearest_row_branch("voice", spy)], samples, 3, seed=0, n_folds=3)
        *inner, final = zip(spy.fits, spy.predicted, strict=True)
        assert len(inner) == 3
        judged_once: list[int] = []
        for fit, predicted in inner:
            numbers = np.concatenate(predicted)[:, 0].astype(int)
            judged_once += numbers.tolist()
            learned = set(samples.subjects[fit.inputs[:, 0].astype(int)])
            assert learned == set(fit.subjects)
            assert not learned & set(samples.subjects[numbers])
        assert sorted(judged_once) == list(range(len(samples)))
        np.testing.assert_array_equal(final[0].inputs[:, 0], np.arange(len(samples)))
        assert final[1] == []

    def test_the_ensemble_and_its_calibration_learn_from_such_judgements_alone(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The branch is always right on what it has seen. Here no two subjects are of one class,
        # so on what it has not seen it is always wrong.
        n = 6
        samples = Samples(
            {"voice": np.repeat(np.arange(n, dtype=np.float32), 3)[:, None]},
            np.repeat(np.arange(n), 3),
            np.repeat([f"s{i}" for i in range(n)], 3),
            np.arange(3 * n).astype(str),
        )
        given: list[tuple[Mapping[str, np.ndarray], Rows]] = []

        def fit_ensemble(
            outputs: dict[str, np.ndarray], rows: Rows, n_classes: int, seed: int
        ) -> Any:
            given.append((outputs, rows))
            return trusting_ensemble(outputs, rows, n_classes, seed)

        monkeypatch.setattr(branches, "fit_ensemble", fit_ensemble)
        monkeypatch.setattr(stacking, "beats_prior", lambda *given: True)
        stacking.fit_stack([nearest_row_branch("voice")], samples, n, seed=0, n_folds=3)
        assert [len(rows.labels) for _, rows in given] == [12, 12, 12, 18]
        for outputs, rows in given:
            means = outputs["branch_voice"]
            assert means.max(axis=1) == pytest.approx(SURE)
            assert not (means.argmax(axis=1) == rows.labels).any()

    def test_calibration_is_fitted_on_logits_of_ensembles_that_had_not_seen_the_row(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        samples = samples_with_numbers()
        asked: list[tuple[int, set[str]]] = []
        known: dict[int, set[str]] = {}

        def fit_ensemble(
            outputs: dict[str, np.ndarray], rows: Rows, n_classes: int, seed: int
        ) -> Any:
            model, curves = trusting_ensemble(outputs, rows, n_classes, seed)
            known[id(model)] = set(rows.subjects)
            kept.append(model)
            return model, curves

        def ensemble_logits(model: Any, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
            n = len(outputs["branch_voice"])
            asked.append((n, known[id(model)]))
            return np.zeros((n, 3))

        kept: list[Any] = []
        monkeypatch.setattr(branches, "fit_ensemble", fit_ensemble)
        monkeypatch.setattr(branches, "ensemble_logits", ensemble_logits)
        stacking.fit_stack([nearest_row_branch("voice")], samples, 3, seed=0, n_folds=3)
        folds = stacking.inner_folds(samples, 3, seed=0)
        assert [n for n, _ in asked] == [len(fold) for fold in folds]
        for (_, subjects), fold in zip(asked, folds, strict=True):
            assert not subjects & set(samples.subjects[fold])
            assert subjects | set(samples.subjects[fold]) == set(samples.subjects)

    def test_rows_count_by_class_and_clip(self) -> None:
        samples = samples_with_numbers()
        clips = np.array([str(i // 2) for i in range(len(samples))])
        spy = Spy()
        branch = nearest_row_branch("voice", spy)
        stacking.fit_stack([branch], replace(samples, clips=clips), 3, seed=0)
        for rows in spy.fits:
            numbers = rows.inputs[:, 0].astype(int)
            expected = branches.class_weights(rows.labels, clips[numbers], 3)
            np.testing.assert_array_equal(rows.weights, expected)

    def test_rows_that_only_tell_when_to_stop_are_marked_and_given_to_the_last_fit_alone(
        self,
    ) -> None:
        samples, spy = samples_with_numbers(), Spy()
        train, test = np.arange(len(samples) - 2), np.arange(len(samples) - 2, len(samples))
        branch = nearest_row_branch("voice", spy)
        stacking.fit_stack([branch], samples[train], 3, 0, 3, stop_on=samples[test])
        *inner, final = spy.fits
        assert all(rows.stopping is None for rows in inner)
        assert final.stopping is not None
        assert np.array_equal(np.flatnonzero(final.stopping), test)
        assert np.array_equal(final.inputs, samples.features["voice"])
        assert np.array_equal(final.train_rows.inputs, samples.features["voice"][train])
        assert np.array_equal(branches.validation_rows(final, seed=0), final.stopping)

    def test_fewer_subjects_than_folds_are_enough(self) -> None:
        samples = samples_with_numbers(n_subjects=2)
        spy = Spy()
        stacking.fit_stack([nearest_row_branch("voice", spy)], samples, 3, seed=0, n_folds=5)
        assert len(spy.fits) == 2 + 1


class TestMissing:
    def samples(self) -> Samples:
        """Both features tell the class; the second is missing for every third row."""
        samples = subject_samples(24, 3, 2, planted=True)
        face = samples.features["voice"].copy()
        face[::3] = np.nan
        return replace(samples, features={**samples.features, "face": face})

    def test_rows_without_a_feature_are_kept_from_its_branch_and_the_rest_decides(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(branches, "ENSEMBLE_EPOCHS", 30)
        monkeypatch.setattr(branches, "LEARNING_RATE", 0.02)
        samples, spy = self.samples(), Spy()
        recipe = [nearest_row_branch("voice"), nearest_row_branch("face", spy)]
        stack = stacking.fit_stack(recipe, samples, 2, seed=0)
        assert spy.fits
        for fit, predicted in zip(spy.fits, spy.predicted, strict=True):
            assert np.isfinite(fit.inputs).all()
            assert all(np.isfinite(rows).all() for rows in predicted)
        outputs = stack.outputs(recipe, samples)
        assert not outputs["branch_face"][::3].any()
        assert outputs["branch_face"][1::3].any(axis=1).all()
        means = stack.predict(recipe, samples)
        assert means.sum(axis=1) == pytest.approx(1)
        assert np.mean(means.argmax(axis=1) == samples.labels) > 0.95
        # What the stack says is what its saved model will say: calibration is a layer of it.
        inside = branches.predict(stack.ensemble, list(outputs.values()))
        assert inside == pytest.approx(means, abs=FLOAT32)

    def test_of_no_rows_none_has_a_feature(self) -> None:
        assert self.samples()[np.zeros(0, int)].has("face").shape == (0,)

    @pytest.mark.usefixtures("no_ensemble")
    def test_a_feature_that_no_row_has_is_an_error(self) -> None:
        samples = self.samples()
        samples.features["face"][:] = np.nan
        with pytest.raises(CryvisionError, match="'branch_face' must have rows with face"):
            stacking.fit_stack([nearest_row_branch("face")], samples, 2, seed=0)


class TestCalibration:
    SHARES = np.array([0.8, 0.1, 0.06, 0.04])

    def labels(self, n: int, seed: int) -> np.ndarray:
        return np.random.default_rng(seed).choice(4, n, p=self.SHARES)

    def log_loss(self, labels: np.ndarray, probabilities: np.ndarray) -> float:
        return metrics.log_loss(labels, probabilities)

    @pytest.mark.parametrize("scale", [0.1, 1.0, 5.0])
    def test_what_knows_nothing_comes_to_the_prior(self, scale: float) -> None:
        rng = np.random.default_rng(0)
        train, test = self.labels(300, 1), self.labels(300, 2)
        noise = scale * rng.normal(0, 1, (600, 4))
        temperature, bias = fit_calibration(noise[:300], train, np.ones(300), 4)
        prior = self.log_loss(test, np.tile(class_shares(train, 4), (300, 1)))
        stated = self.log_loss(test, calibrated(noise[300:], temperature, bias))
        assert stated <= prior + PRIOR_MARGIN
        assert self.log_loss(test, calibrated(noise[300:], 1.0, np.zeros(4))) > prior + 0.3

    def test_overconfidence_is_taken_back(self) -> None:
        rng = np.random.default_rng(0)
        true_logits = rng.normal(0, 1.5, (4000, 3))
        table = calibrated(true_logits, 1.0, np.zeros(3))
        labels = (rng.random(4000)[:, None] > table.cumsum(axis=1)).sum(axis=1)
        temperature, bias = fit_calibration(4 * true_logits, labels, np.ones(4000), 3)
        assert temperature == pytest.approx(4, rel=0.1)
        assert bias == pytest.approx(np.zeros(3), abs=0.15)

    def test_the_prior_comes_back_after_training_with_equal_classes(self) -> None:
        rng = np.random.default_rng(0)
        labels = self.labels(4000, 1)
        # Logits of a model that thinks that all classes are equally common.
        logits = 2.0 * np.eye(4)[labels] + rng.normal(0, np.sqrt(2), (4000, 4))
        temperature, bias = fit_calibration(logits, labels, np.ones(4000), 4)
        stated = calibrated(logits, temperature, bias)
        assert stated.mean(axis=0) == pytest.approx(self.SHARES, abs=0.02)
        assert temperature == pytest.approx(1, rel=0.15)

    def test_a_row_counts_by_its_weight(self) -> None:
        rng = np.random.default_rng(0)
        labels, logits = self.labels(200, 1), rng.normal(0, 1, (200, 4))
        counts = rng.integers(0, 3, 200)
        weighted = fit_calibration(logits, labels, counts.astype(float), 4)
        repeated = fit_calibration(
            logits.repeat(counts, axis=0), labels.repeat(counts), np.ones(counts.sum()), 4
        )
        stated = [calibrated(logits, *found) for found in (weighted, repeated)]
        assert stated[0] == pytest.approx(stated[1], abs=1e-3)

    def test_a_class_that_is_not_there_stays_possible(self) -> None:
        labels = np.zeros(40, int)
        labels[20:] = 1
        temperature, bias = fit_calibration(np.zeros((40, 3)), labels, np.ones(40), 3)
        stated = calibrated(np.zeros((1, 3)), temperature, bias)[0]
        assert stated == pytest.approx(class_shares(labels, 3), abs=1e-3)
        assert 0.001 < stated[2] < 0.02

    def test_shares_count_one_clip_more_divided_equally(self) -> None:
        assert class_shares(np.array([0, 0, 1]), 4) == pytest.approx(
            [2.25, 1.25, 0.25, 0.25] / np.float64(4)
        )
        weighted = class_shares(np.array([0, 0, 1]), 2, np.array([0.5, 0.5, 1.0]))
        assert weighted == pytest.approx([0.5, 0.5])
