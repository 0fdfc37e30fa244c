"""How good a stack is on subjects it has never seen: no leak, a signal found, honest figures."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from logged import logged
from toy_stack import (
    Spy,
    nearest_row_branch,
    not_fitted,
    subject_samples,
    use_trusting_ensemble,
)

from cryvision.bundle import schema
from cryvision.datasets.splits import grouped_folds
from cryvision.errors import CryvisionError
from cryvision.evaluation import metrics, skill
from cryvision.evaluation.skill import OutOfFoldPredictions, skill_entry
from cryvision.inference.label_policy import has_skill
from cryvision.training import branches, cross_validation, stacking
from cryvision.training.branches import Branch, Rows, autoencoder_branch
from cryvision.training.checkpoints import Checkpoints
from cryvision.training.cross_validation import Division, clip_means, cross_validate
from cryvision.training.stacking import Samples, class_shares

LEARNT_BALANCED_ACCURACY = 0.8
MARKER = 1e4
"""Far from all features: it would be seen in any mean that it entered."""


ROUNDING = 1e-9
"""What is always the same is told exactly at chance."""


@pytest.fixture
def few_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AUTOENCODER_EPOCHS", "CLASSIFIER_EPOCHS", "ENSEMBLE_EPOCHS"):
        monkeypatch.setattr(branches, name, 12)
    monkeypatch.setattr(branches, "LEARNING_RATE", 0.02)
    two_folds = functools.partial(stacking.fit_stack, n_folds=2)
    monkeypatch.setattr(cross_validation, "fit_stack", two_folds)


@pytest.fixture
def no_ensemble(monkeypatch: pytest.MonkeyPatch) -> None:
    use_trusting_ensemble(monkeypatch)


def measure(
    samples: Samples,
    recipe: list[Branch],
    n_folds: int,
    n_tested: int | None = None,
    **options: Any,
) -> tuple[OutOfFoldPredictions, OutOfFoldPredictions]:
    """Cross-validate samples in which each row is a clip, perhaps on the first folds alone."""
    folds = grouped_folds(samples.subjects.tolist(), samples.labels.tolist(), n_folds, seed=0)
    division = Division(samples.labels, samples.subjects, folds[:n_tested], 3)
    return cross_validate(recipe, samples, division, 0, **options)[0]


def as_windows(samples: Samples, feature: str = "mfcc") -> Samples:
    """Give each row's numbers four frames, as a feature of sound has."""
    windows = samples.features["voice"][:, None].repeat(4, axis=1)
    return replace(samples, features={feature: windows})


class TestLeaks:
    @pytest.mark.usefixtures("few_epochs")
    def test_nothing_is_fitted_on_what_is_judged(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # The rows that are judged have marked features and a class of their own.
        samples = as_windows(subject_samples(18, 2, 2, planted=True))
        folds = grouped_folds(samples.subjects.tolist(), samples.labels.tolist(), 3, seed=0)
        test = folds[0]
        samples.labels[test] = 2
        samples.features["mfcc"][test] = MARKER
        seen: dict[str, list[Any]] = {"scaling": [], "fit": [], "ensemble": [], "calibration": []}
        scaling, fit = branches.scaling_for, not_fitted
        fit_ensemble, calibrate = branches.fit_ensemble, stacking.fit_calibration

        def spy(name: str, function: Any, argument: int) -> Any:
            def called(*given: Any, **named: Any) -> Any:
                seen[name].append(given[argument])
                return function(*given, **named)

            return called

        monkeypatch.setattr(branches, "scaling_for", spy("scaling", scaling, 0))
        monkeypatch.setattr(branches, "fit_early_stopped", spy("fit", fit, 1))
        monkeypatch.setattr(branches, "fit_ensemble", spy("ensemble", fit_ensemble, 1))
        monkeypatch.setattr(stacking, "fit_calibration", spy("calibration", calibrate, 1))
        recipe = [autoencoder_branch("mfcc")]
        division = Division(samples.labels, samples.subjects, [test], 3)
        ((clips, _),) = cross_validate(recipe, samples, division, seed=0)
        assert len(clips.labels) == len(test)
        # Three branches of two fits each, and three ensembles of one; beside the calibration one
        # for each inner fold, to see whether the branch knows anything.
        assert {name: len(found) for name, found in seen.items()} == {
            "scaling": 3,
            "fit": 9,
            "ensemble": 3,
            "calibration": 3,
        }
        assert max(np.abs(summaries).max() for summaries in seen["scaling"]) < 100
        tested = set(samples.subjects[test])
        for rows in seen["fit"] + seen["ensemble"]:
            assert not tested & set(rows.subjects)
            assert 2 not in rows.labels
            assert np.abs(rows.inputs).max() < 100
        assert all(2 not in labels for labels in seen["calibration"])
        assert len(seen["calibration"][-1]) == len(samples) - len(test)
        # The prior beside it does not know the class either, beyond that there is one.
        assert clips.prior[0] == pytest.approx(class_shares(np.delete(samples.labels, test), 3))

    @pytest.mark.usefixtures("no_ensemble")
    def test_a_fold_is_judged_alike_whatever_its_own_labels_are(self) -> None:
        samples = subject_samples(12, 2, 3, planted=True)
        folds = grouped_folds(samples.subjects.tolist(), samples.labels.tolist(), 3, seed=0)
        outputs = []
        for shift in (0, 1):
            labels = samples.labels.copy()
            labels[folds[0]] = (labels[folds[0]] + shift) % 3
            changed = replace(samples, labels=labels)
            division = Division(labels, samples.subjects, folds[:1], 3)
            ((clips, _),) = cross_validate([nearest_row_branch("voice")], changed, division, 0)
            outputs.append(clips.probabilities)
        np.testing.assert_array_equal(outputs[0], outputs[1])

    def test_a_subject_on_both_sides_is_refused(self) -> None:
        samples = subject_samples(6, 2, 3, planted=False)
        folds = [np.arange(0, 12, 2), np.arange(1, 12, 2)]
        with pytest.raises(CryvisionError, match="a subject must not be in training and test"):
            Division(samples.labels, samples.subjects, folds, 3)


@pytest.mark.usefixtures("few_epochs")
class TestSignal:
    @pytest.mark.parametrize(
        "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 5))]
    )
    def test_a_branch_that_knows_nothing_costs_nothing(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        samples = subject_samples(24, 4, 3, planted=True)
        n = len(samples)
        voice = samples.labels + rng.normal(0, 0.6, n)
        samples.features.update(
            voice=voice[:, None].astype(np.float32),
            face=rng.normal(0, 1, (n, 1)).astype(np.float32),
        )
        folds = grouped_folds(samples.subjects.tolist(), samples.labels.tolist(), 2, seed)
        division = Division(samples.labels, samples.subjects, folds, 3)
        recipe = [nearest_row_branch("voice"), nearest_row_branch("face")]
        ((fused, _),) = cross_validate(recipe, samples, division, seed)
        ((alone, _),) = cross_validate(recipe[:1], samples, division, seed)
        fused_figure, figure = (
            metrics.balanced_accuracy(one.labels, one.probabilities.argmax(axis=1))
            for one in (fused, alone)
        )
        assert figure > 0.4  # chance is a third
        assert fused_figure >= 0.95 * figure

    def test_labels_shuffled_by_subject_are_told_at_chance(self) -> None:
        # The branch knows a subject again from any of its clips, the surest way to cheat.
        samples = subject_samples(60, 4, 3, planted=False)
        clips, windows = measure(samples, [nearest_row_branch("voice")], n_folds=2)
        for measured in (clips, windows):
            low, high = skill.figures(measured, 300)["balanced_accuracy"]["interval"]
            assert low - ROUNDING <= 1 / 3 <= high + ROUNDING
        entry = skill_entry(
            clips, "abc", part="ensemble", modalities=("sound",), protocol="", subjects="phone"
        )
        assert not has_skill([entry], "ensemble", ("sound",))

    def test_the_same_is_told_perfectly_where_clips_of_one_subject_are_on_both_sides(self) -> None:
        samples = subject_samples(60, 4, 3, planted=False)
        leaky = replace(samples, subjects=samples.clips)
        clips, _ = measure(leaky, [nearest_row_branch("voice")], n_folds=2, n_tested=1)
        figures = skill.figures(clips, 50)
        assert figures["balanced_accuracy"]["value"] > 0.95

    def test_what_all_subjects_have_in_common_is_learnt(self) -> None:
        samples = as_windows(subject_samples(36, 2, 3, planted=True))
        recipe = [autoencoder_branch("mfcc")]
        clips, _ = measure(samples, recipe, n_folds=2, n_tested=1)
        figures = skill.figures(clips, 100)
        assert figures["balanced_accuracy"]["value"] > LEARNT_BALANCED_ACCURACY
        assert figures["auc"]["value"] > 0.9
        entry = skill_entry(
            clips, "abc", part="ensemble", modalities=("sound",), protocol="", subjects="phone"
        )
        assert has_skill([entry], "ensemble", ("sound",), "clip")


@pytest.mark.usefixtures("no_ensemble")
class TestResume:
    def recipe(self, spy: Spy, stop_at: int | None = None) -> list[Branch]:
        """A branch that is interrupted when it is fitted for so many times."""
        branch = nearest_row_branch("voice", spy)

        def fit(rows: Rows, n_classes: int, seed: int) -> Any:
            if len(spy.fits) == stop_at:
                raise KeyboardInterrupt
            return branch.fit(rows, n_classes, seed)

        return [replace(branch, fit=fit)]

    def test_an_interrupted_run_goes_on_and_ends_as_if_it_had_not_been(
        self, tmp_path: Path
    ) -> None:
        samples = subject_samples(12, 2, 3, planted=True)
        whole, _ = measure(samples, self.recipe(Spy()), n_folds=3)
        place, first, second = tmp_path / "progress", Spy(), Spy()
        with pytest.raises(KeyboardInterrupt):
            # A fold takes four fits: the second is in the middle.
            measure(samples, self.recipe(first, 6), 3, checkpoints=Checkpoints(place, {"seed": 0}))
        assert len(list(place.iterdir())) == 1
        with logged() as outputs:
            resumed, _ = measure(
                samples, self.recipe(second), 3, checkpoints=Checkpoints(place, {"seed": 0})
            )
        assert len(second.fits) == 2 * 4
        assert next(line for line in outputs if line.endswith("of 3")) == "fold 2 of 3"
        for name in ("probabilities", "prior", "labels", "fold"):
            np.testing.assert_array_equal(getattr(resumed, name), getattr(whole, name))

    def test_folds_of_another_training_are_not_used(self, tmp_path: Path) -> None:
        samples = subject_samples(12, 2, 3, planted=True)
        for seed in (0, 1):
            spy = Spy()
            measure(samples, self.recipe(spy), 3, checkpoints=Checkpoints(tmp_path, {"seed": seed}))
            assert len(spy.fits) == 3 * 4

    def test_a_fold_that_is_damaged_is_fitted_again(self, tmp_path: Path) -> None:
        samples, spy = subject_samples(12, 2, 3, planted=True), Spy()
        whole, _ = measure(samples, self.recipe(Spy()), 3, checkpoints=Checkpoints(tmp_path, {}))
        one = sorted(tmp_path.iterdir())[1]
        one.write_bytes(one.read_bytes()[:100])
        again, _ = measure(samples, self.recipe(spy), 3, checkpoints=Checkpoints(tmp_path, {}))
        assert len(spy.fits) == 4
        np.testing.assert_array_equal(again.probabilities, whole.probabilities)


@pytest.mark.usefixtures("no_ensemble")
class TestClips:
    def samples(self) -> tuple[Samples, np.ndarray, np.ndarray]:
        """Three windows of each clip, but none of clip 5."""
        clips = subject_samples(12, 2, 3, planted=True)
        rows = np.repeat(np.delete(np.arange(24), 5), 3)
        return replace(clips[rows], clips=rows.astype(str)), clips.labels, clips.subjects

    def test_a_clip_is_the_mean_of_its_windows_and_without_any_it_gets_the_prior(self) -> None:
        samples, labels, subjects = self.samples()
        folds = grouped_folds(subjects.tolist(), labels.tolist(), 3, seed=0)
        ((clips, windows),) = cross_validate(
            [nearest_row_branch("voice")], samples, Division(labels, subjects, folds, 3), seed=0
        )
        assert (clips.unit, windows.unit) == ("clip", "window")
        np.testing.assert_array_equal(clips.labels, labels)
        np.testing.assert_array_equal(windows.labels, samples.labels)
        of_clip = samples.clips.astype(int)
        for clip in np.delete(np.arange(24), 5):
            mean = windows.probabilities[of_clip == clip].mean(axis=0)
            assert clips.probabilities[clip] == pytest.approx(mean)
        np.testing.assert_array_equal(clips.probabilities[5], clips.prior[5])
        for number, fold in enumerate(folds):
            assert (clips.fold[fold] == number).all()
            train = np.setdiff1d(np.arange(24), fold)
            assert clips.prior[fold[0]] == pytest.approx(class_shares(labels[train], 3))
            train_labels = samples.labels[~np.isin(of_clip, fold)]
            row = np.flatnonzero(np.isin(of_clip, fold))[0]
            assert windows.prior[row] == pytest.approx(class_shares(train_labels, 3))

    def test_clips_in_no_fold_are_learned_from_and_not_judged(self) -> None:
        samples, labels, subjects = self.samples()
        folds = grouped_folds(subjects.tolist(), labels.tolist(), 3, seed=0)
        spy = Spy()
        division = Division(labels, subjects, folds[1:2], 3)
        ((clips, windows),) = cross_validate(
            [nearest_row_branch("voice", spy)], samples, division, seed=0
        )
        np.testing.assert_array_equal(clips.labels, labels[folds[1]])
        assert set(windows.subjects) == set(subjects[folds[1]])
        assert set(spy.fits[-1].subjects) == set(subjects) - set(subjects[folds[1]])

    def test_means_by_clip(self) -> None:
        rows = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
        prior = np.array([[0.9, 0.1]] * 3)
        found = clip_means(rows, np.array([2, 2, 0]), prior)
        assert found == pytest.approx(np.array([[0.5, 0.5], [0.9, 0.1], [0.5, 0.5]]))


class TestFigures:
    def measured(self, **changes: Any) -> OutOfFoldPredictions:
        """Of 40 subjects, two classes and two folds: told well, the folds by different scales."""
        rng = np.random.default_rng(0)
        labels, fold = np.arange(40) % 2, np.arange(40) // 20
        p = np.where(labels == 1, 0.6, 0.3) + rng.uniform(0, 0.1, 40) - 0.3 * fold
        facts: dict[str, Any] = {
            "unit": "clip",
            "labels": labels,
            "probabilities": np.stack([1 - p, p], axis=1),
            "prior": np.full((40, 2), 0.5),
            "subjects": np.arange(40).astype(str),
            "fold": fold,
        }
        return OutOfFoldPredictions(**{**facts, **changes})

    def test_auc_is_the_mean_over_folds_never_pooled(self) -> None:
        assert skill.figures(self.measured(), 20)["auc"]["value"] == 1
        pooled = self.measured(fold=np.zeros(40, int))
        assert skill.figures(pooled, 20)["auc"]["value"] < 0.95

    def test_a_fold_with_one_class_has_no_auc(self) -> None:
        fold = np.where(np.arange(40) % 2 == 0, 2, np.arange(40) // 20)
        assert "auc" not in skill.figures(self.measured(fold=fold), 20)

    def test_every_figure_has_its_interval_over_subjects(self) -> None:
        found = skill.figures(self.measured(), 200)
        assert set(found) == {"accuracy", "balanced_accuracy", "macro_f1", "log_loss", "ece", "auc"}
        for figure in found.values():
            low, high = figure["interval"]
            assert low <= figure["value"] <= high

    def test_clips_of_one_subject_are_drawn_together(self) -> None:
        apart = skill.figures(self.measured(), 200)["accuracy"]["interval"]
        few = self.measured(subjects=(np.arange(40) // 20).astype(str))
        together = skill.figures(few, 200)["accuracy"]["interval"]
        assert together[1] - together[0] > apart[1] - apart[0]

    def test_the_commonest_class_is_the_majority(self) -> None:
        found = skill.majority(np.array([0, 1, 1, 1]))
        assert found["accuracy"] == 0.75
        assert found["balanced_accuracy"] == 0.5
        assert found["macro_f1"] == pytest.approx((0 + 6 / 7) / 2)


class TestSkillEntry:
    def entry(self, labels: np.ndarray, names: str, **changes: Any) -> Mapping[str, Any]:
        n, k = len(labels), len(names)
        facts: dict[str, Any] = {
            "unit": "window",
            "labels": labels,
            "probabilities": np.full((n, k), 1 / k),
            "prior": np.tile(class_shares(labels, k), (n, 1)),
            "subjects": np.arange(n).astype(str),
            "fold": np.zeros(n, int),
        }
        return skill_entry(
            OutOfFoldPredictions(**{**facts, **changes}),
            names,
            part="ensemble",
            modalities=("sound",),
            protocol="grouped 5-fold",
            subjects="pattern",
        )

    def test_a_bundle_takes_it(self) -> None:
        entry = self.entry(np.array([0, 1, 2, 2] * 5), "abc")
        schema._check_skill(entry, ["ensemble"], "here")
        assert (entry["unit"], entry["chance"]) == ("window", pytest.approx(1 / 3))
        shares = {name: entry["prior"][name] for name in "abc"}
        assert shares == pytest.approx({"a": 0.25, "b": 0.25, "c": 0.5})
        assert entry["prior"]["log_loss"] == pytest.approx(1.5 * np.log(2), abs=0.01)

    def test_chance_is_that_of_the_classes_that_occur(self) -> None:
        # No window of the third class was crying. Calling everything by the first gives 1/2 in
        # balanced accuracy, and that must not look better than chance.
        labels = np.array([0, 0, 0, 1] * 10)
        always = np.tile([0.75, 0.24, 0.01], (40, 1))
        prior = np.tile([0.5, 0.2, 0.3], (40, 1))
        entry = self.entry(labels, "abc", probabilities=always, prior=prior)
        assert entry["figures"]["balanced_accuracy"]["value"] == 0.5
        assert entry["chance"] == 0.5
        assert entry["figures"]["log_loss"]["value"] < entry["prior"]["log_loss"]
        assert not has_skill([entry], "ensemble", ("sound",))
