"""What a model of a stack is fitted on, how each row counts, and when it stops."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from cryvision.errors import CryvisionError
from cryvision.training import branches
from cryvision.training.branches import Rows

if TYPE_CHECKING:
    import keras

FLOAT32 = 1e-5
TRAIN_ACCURACY = 0.9
"""Of a signal that a line divides, in an eighth of the usual epochs."""


@pytest.fixture
def few_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(branches, "AUTOENCODER_EPOCHS", 3)
    monkeypatch.setattr(branches, "CLASSIFIER_EPOCHS", 10)
    monkeypatch.setattr(branches, "ENSEMBLE_EPOCHS", 10)
    monkeypatch.setattr(branches, "LEARNING_RATE", 0.01)


def rows(n: int = 96, n_subjects: int = 12, seed: int = 0) -> Rows:
    """Windows in decibels whose second feature is louder in class 1; n a multiple of subjects."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    inputs = rng.normal(-40, 3, (n, 8, 3))
    inputs[:, :, 1] += 6 * labels[:, None]
    return Rows(
        inputs.astype(np.float16),
        labels,
        np.ones(n),
        np.array([f"s{i // (n // n_subjects)}" for i in range(n)]),
    )


class TestWeights:
    CLIPS = np.array(["a", "a", "a", "b", "c", "c"])

    def test_each_clip_counts_one_however_many_rows_it_has(self) -> None:
        weights = branches.clip_weights(self.CLIPS)
        assert weights == pytest.approx([1 / 3] * 3 + [1] + [1 / 2] * 2)

    def test_each_class_counts_the_same_and_each_clip_of_it(self) -> None:
        labels = np.array([0, 0, 0, 0, 2, 2])
        weights = branches.class_weights(labels, self.CLIPS, 4)
        assert weights.mean() == pytest.approx(1)
        assert weights[labels == 0].sum() == pytest.approx(weights[labels == 2].sum())
        assert weights[:3].sum() == pytest.approx(weights[3])


class TestRowsSetAside:
    def test_they_are_all_rows_of_some_subjects(self) -> None:
        data = rows()
        chosen = branches.validation_rows(data, seed=0)
        inside, outside = set(data.subjects[chosen]), set(data.subjects[~chosen])
        assert len(inside) == 12 // branches.VALIDATION_FOLDS
        assert not inside & outside
        assert set(data.labels[chosen].tolist()) == {0, 1}

    def test_the_seed_draws_them(self) -> None:
        drawn = {tuple(branches.validation_rows(rows(), seed)) for seed in (0, 0, 1, 2)}
        assert 1 < len(drawn) <= 3

    def test_of_few_subjects_none_is(self) -> None:
        assert not branches.validation_rows(rows(n_subjects=4), seed=0).any()


class TestFitting:
    @pytest.fixture
    def model(self) -> keras.Model:
        import keras

        branches.begin(0)
        inputs = keras.Input((1,))
        return keras.Model(inputs, keras.layers.Dense(1, kernel_initializer="zeros")(inputs))

    def line(self, n_subjects: int = 12) -> Rows:
        """Rows whose target is their input, but minus it for the subjects set aside."""
        data = rows(n_subjects=n_subjects)
        inputs = np.random.default_rng(0).normal(0, 1, (96, 1)).astype(np.float32)
        return Rows(inputs, data.labels, data.weights, data.subjects)

    def fit(self, model: keras.Model, data: Rows, targets: np.ndarray, epochs: int) -> dict:
        fitting = branches.Fitting(epochs, "mse")
        return branches.fit_early_stopped(model, data, targets, 0, fitting)

    def test_it_stops_once_the_subjects_set_aside_are_told_no_better(
        self, model: keras.Model, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(branches, "PATIENCE_EPOCHS", 3)
        monkeypatch.setattr(branches, "LEARNING_RATE", 0.05)
        data = self.line()
        aside = branches.validation_rows(data, 0)
        targets = np.where(aside[:, None], -data.inputs, data.inputs)
        curves = self.fit(model, data, targets, epochs=50)
        # What is learned of the others is wrong for these, so the first epoch was the best.
        assert len(curves["loss"]) == len(curves["val_loss"]) == 4
        assert curves["loss"][-1] < curves["loss"][0]
        assert curves["val_loss"][-1] > curves["val_loss"][0]
        predicted = branches.predict(model, data.inputs)
        loss = np.mean((predicted - targets)[aside] ** 2)
        assert loss == pytest.approx(curves["val_loss"][0], rel=1e-3)

    def test_rows_set_aside_teach_nothing(self, model: keras.Model) -> None:
        data = self.line()
        aside = branches.validation_rows(data, 0)
        found = []
        for other in (0.0, 1e6):
            branches.begin(0)
            model.set_weights([np.zeros((1, 1)), np.zeros(1)])
            targets = np.where(aside[:, None], other, data.inputs)
            found.append(self.fit(model, data, targets, epochs=2)["loss"])
        assert found[0] == found[1]

    def test_where_none_can_be_set_aside_all_epochs_are_run(self, model: keras.Model) -> None:
        data = self.line(n_subjects=4)
        curves = self.fit(model, data, data.inputs, epochs=15)
        assert list(curves) == ["loss"]
        assert len(curves["loss"]) == 15

    def test_a_row_without_weight_teaches_nothing(self, model: keras.Model) -> None:
        data = self.line(n_subjects=4)
        weights = (np.arange(96) < 48).astype(float)
        targets = np.where(weights[:, None] > 0, data.inputs, 1e6)
        curves = self.fit(
            model, Rows(data.inputs, data.labels, weights, data.subjects), targets, epochs=2
        )
        assert curves["loss"][-1] < 2

    def test_a_loss_that_is_not_finite_is_an_error(self, model: keras.Model) -> None:
        data = self.line()
        with pytest.raises(CryvisionError, match="finite loss; got"):
            self.fit(model, data, np.full((96, 1), np.nan), epochs=2)


@pytest.mark.usefixtures("few_epochs")
class TestSoundBranch:
    def fit(self, data: Rows) -> tuple[keras.Model, dict[str, list[float]]]:
        return branches.autoencoder_branch("mfcc").fit(data, 2, seed=0)

    def test_it_learns_standardises_by_what_it_was_given_and_repeats_bit_for_bit(self) -> None:
        model, curves = self.fit(rows())
        windows = rows().inputs.astype(np.float64)
        summaries = np.concatenate([windows.mean(axis=1), windows.std(axis=1)], axis=1)
        mean, variance = model.get_layer("standardised").get_weights()
        assert mean == pytest.approx(summaries.mean(axis=0), rel=1e-4)
        assert variance == pytest.approx(summaries.var(axis=0), rel=1e-3)
        new = rows(seed=1)
        predicted = branches.predict(model, new.inputs)
        assert np.mean(predicted.argmax(axis=1) == new.labels) > TRAIN_ACCURACY
        assert set(curves) == {
            f"{part} {kind}"
            for part in ("autoencoder", "classifier")
            for kind in ("loss", "val_loss")
        }
        again, curves_again = self.fit(rows())
        np.testing.assert_array_equal(branches.predict(again, new.inputs), predicted)
        assert curves_again == curves

    def test_what_never_varied_in_training_has_no_say(self) -> None:
        data = rows()
        data.inputs[:, :, 2] = -100.0  # as above the band of all recordings of a lab
        model, _ = self.fit(data)
        new = rows(seed=1).inputs
        new[:, :, 2] = -100.0
        masked = new.copy()
        masked[:, ::2, 2] = -30.0
        predicted = branches.predict(model, masked)
        assert predicted == pytest.approx(branches.predict(model, new), abs=1e-3)

    def test_columns_of_small_numbers_are_heard(self) -> None:
        data = rows()
        small = Rows(
            data.inputs.astype(np.float64) * 1e-6, data.labels, data.weights, data.subjects
        )
        model, _ = self.fit(small)
        predicted = branches.predict(model, small.inputs.astype(np.float32))
        assert np.mean(predicted.argmax(axis=1) == data.labels) > TRAIN_ACCURACY


class TestEnsemble:
    def outputs(self, labels: np.ndarray) -> dict[str, np.ndarray]:
        """The first branch knows the class, the second knows nothing."""
        rng = np.random.default_rng(0)
        sure = rng.uniform(0.8, 0.95, len(labels))
        knows = np.where(labels == 1, sure, 1 - sure)
        guesses = rng.uniform(0, 1, len(labels))
        return {
            name: np.stack([1 - p, p], axis=1).astype(np.float32)
            for name, p in (("knows", knows), ("guesses", guesses))
        }

    def test_it_learns_whom_to_believe_and_does_without_either(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(branches, "LEARNING_RATE", 0.02)
        data = rows(n=480)
        outputs = self.outputs(data.labels)
        model, curves = branches.fit_ensemble(outputs, data, 2, seed=0)
        assert {"loss", "val_loss"} == set(curves)
        again, curves_again = branches.fit_ensemble(outputs, data, 2, seed=0)
        assert curves_again == curves
        np.testing.assert_array_equal(
            branches.ensemble_logits(again, outputs), branches.ensemble_logits(model, outputs)
        )
        silent = np.zeros((480, 2), np.float32)
        for given in (outputs, {**outputs, "guesses": silent}):
            predicted = branches.ensemble_logits(model, given).argmax(axis=1)
            assert np.mean(predicted == data.labels) > TRAIN_ACCURACY
        alone = branches.ensemble_logits(model, {**outputs, "knows": silent})
        assert np.isfinite(alone).all()
        assert np.abs(alone).max() < np.abs(branches.ensemble_logits(model, outputs)).max()

    @pytest.mark.filterwarnings("error::UserWarning")
    def test_one_branch_alone_is_no_reason_for_a_warning(self) -> None:
        from cryvision.models.cha_bae import build_ensemble

        model = build_ensemble(["branch_a"], 2)
        assert branches.ensemble_logits(model, {"branch_a": np.ones((3, 2))}).shape == (3, 2)

    def test_its_logits_are_those_before_the_calibration(self) -> None:
        import keras

        branches.begin(0)
        from cryvision.models.cha_bae import build_ensemble

        outputs = self.outputs(np.arange(10) % 2)
        model = build_ensemble(list(outputs), 2)
        before = branches.ensemble_logits(model, outputs)
        model.get_layer("calibration").set_calibration(0.5, np.array([1.0, 0.0]))
        # In whatever order the branches are named.
        given = dict(reversed(outputs.items()))
        np.testing.assert_array_equal(branches.ensemble_logits(model, given), before)
        predicted = branches.predict(model, [outputs[name] for name in ("knows", "guesses")])
        expected = keras.ops.softmax(before / 0.5 + np.array([1.0, 0.0], np.float32))
        assert predicted == pytest.approx(np.asarray(expected), abs=FLOAT32)

    def test_branches_are_silenced_at_random_but_never_all_of_a_row(self) -> None:
        outputs = self.outputs(np.arange(2000) % 2)
        outputs["guesses"][:500] = 0
        table = branches._silenced(outputs, np.random.default_rng(0))
        silenced = {name: table[:, i] for i, name in enumerate(outputs)}
        left = {name: values.any(axis=1) for name, values in silenced.items()}
        assert (left["knows"] | left["guesses"]).all()
        assert left["knows"][:500].all()
        for name in outputs:
            share = 1 - left[name][500:].mean()
            # Kept where both were drawn: 0.25 * (1 - 0.25).
            assert share == pytest.approx(0.1875, abs=0.03)
            np.testing.assert_array_equal(silenced[name][left[name]], outputs[name][left[name]])


def test_losses_are_of_all_rows_however_many_batches_there_are() -> None:
    import keras

    data = rows()

    def curves(n_batch: int) -> branches.Curves:
        branches.begin(0)
        window = keras.Input((8, 3))
        outputs = keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten()(window))
        how = branches.Fitting(2, optimizer=keras.optimizers.SGD(0.0), n_batch=n_batch)
        model = keras.Model(window, outputs)
        return branches.fit_early_stopped(model, data, data.labels, 0, how)

    batches, together = curves(5), curves(len(data.labels))
    assert batches["loss"] == pytest.approx(together["loss"], rel=FLOAT32)
    assert batches["val_loss"] == pytest.approx(together["val_loss"], rel=FLOAT32)
