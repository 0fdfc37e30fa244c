"""A fit learns, repeats, and never meets what it was to leave out."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from toy_windows import N_BANDS, N_FRAMES, toy_windows

from cryvision.errors import CryvisionError
from cryvision.learning import evaluation, training
from cryvision.learning.training import calibrated, detector_logits, fit_calibration, fit_detector
from cryvision.learning.windows import MIN_LEVEL_DBFS, Windows

if TYPE_CHECKING:
    import keras

N_STEPS = 30
"""Enough for a rule that a single band tells."""

LEARNT_AUC = 0.95

N_BATCHES = 40
SHARE_TOLERANCE = 0.03
"""Over four standard deviations of a share of 5,120 draws."""

CALIBRATION_TOLERANCE = 0.1
"""Over four standard errors of temperature and bias at 20,000 samples."""

HALF_DB = 0.05
"""Rounding of decibels in half precision."""

FLOAT32_DB = 1e-4
"""Rounding of decibels around 100 in single precision."""


def random_cry(n: int, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).random(n) < 0.5).astype(np.float32)


@dataclass(frozen=True)
class Fitted:
    model: keras.Model
    windows: Windows
    steps: list[tuple[int, int]]


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    """A fit of the toy, in which a warning would have been an error: a user would see it."""
    windows = toy_windows(random_cry(400, seed=1), seed=2)
    steps: list[tuple[int, int]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model = fit_detector(
            windows, {"own": 1}, 5, n_steps=N_STEPS, progress=lambda *step: steps.append(step)
        )
        detector_logits(model, windows)
    return Fitted(model, windows, steps)


def test_a_fit_learns_and_tells_how_far_it_is(fitted: Fitted) -> None:
    unseen = toy_windows(random_cry(300, seed=3), seed=4)
    logits = detector_logits(fitted.model, unseen)
    assert evaluation.auc(unseen.cry.astype(int), logits) > LEARNT_AUC
    assert fitted.steps == [(step, N_STEPS) for step in range(1, N_STEPS + 1)]


def test_the_same_seed_gives_the_same_model_bit_for_bit(fitted: Fitted) -> None:
    again = fit_detector(fitted.windows, {"own": 1}, 5, n_steps=N_STEPS)
    logits = [detector_logits(model, fitted.windows) for model in (fitted.model, again)]
    assert np.array_equal(*logits)


def test_windows_below_the_gate_are_not_scored_and_batches_have_no_say(
    fitted: Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels = np.where(np.arange(50) % 3 == 0, MIN_LEVEL_DBFS - 1, MIN_LEVEL_DBFS)
    windows = toy_windows(random_cry(50, seed=7), seed=8, level_dbfs=levels)
    logits = detector_logits(fitted.model, windows)
    assert np.array_equal(np.isneginf(logits), np.arange(50) % 3 == 0)
    assert np.isfinite(logits[~np.isneginf(logits)]).all()
    monkeypatch.setattr(training, "PREDICTION_BATCH_SIZE", 7)
    assert np.allclose(detector_logits(fitted.model, windows), logits, atol=1e-4)


def test_weights_that_are_not_finite_are_an_error() -> None:
    nothing = np.full((50, N_FRAMES, N_BANDS), np.nan, np.float16)
    with pytest.raises(CryvisionError, match="finite loss and weights"):
        fit_detector(toy_windows(random_cry(50, seed=1), inputs=nothing), {"own": 1}, 0, n_steps=2)


@dataclass(frozen=True)
class Drawn:
    inputs: np.ndarray
    cry: np.ndarray


@pytest.fixture
def draw(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return ``draw(*arguments of fit_detector) -> Drawn``: what a model is given to train on."""
    import keras

    given: list[Drawn] = []

    def look(self: keras.Model, batches: Any, **options: Any) -> SimpleNamespace:
        some = [next(batches) for _ in range(N_BATCHES)]
        given.append(Drawn(*(np.concatenate(column) for column in zip(*some, strict=True))))
        return SimpleNamespace(history={"loss": [0.1]})

    monkeypatch.setattr(keras.Model, "fit", look)

    def drawn(*arguments: Any) -> Drawn:
        fit_detector(*arguments)
        return given.pop()

    return drawn


# The share that is cry passes through training unchanged, so it marks where a window comes from.
MARKS = {"kept": 0.1, "own": 0.2, "as noise": 0.3, "too quiet": 0.4, "of no share": 0.6}


def marked_windows() -> Windows:
    """Windows of ben, who is to be left out, and of others with ben in the background."""
    kind = np.repeat(list(MARKS), 20)
    return toy_windows(
        np.array([MARKS[name] for name in kind]),
        subject=np.where(kind == "own", "ben", np.where(kind == "as noise", "cleo", "ada")),
        noise_subject=np.where(kind == "as noise", "ben", ""),
        level_dbfs=np.where(kind == "too quiet", MIN_LEVEL_DBFS - 1, -20),
        source=np.where(kind == "of no share", "elsewhere", "own"),
        end_s=np.arange(len(kind)) / 10,
    )


@pytest.mark.parametrize(
    ("left_out", "seen"),
    [((), {"kept", "own", "as noise"}), (("ben",), {"kept"}), (("cleo",), {"kept", "own"})],
)
def test_what_is_left_out_is_never_drawn(draw: Any, left_out: tuple[str], seen: set[str]) -> None:
    drawn = draw(marked_windows(), {"own": 1.0}, 0, left_out)
    assert drawn.cry.shape == (N_BATCHES * training.BATCH_SIZE, 1)
    assert set(np.unique(drawn.cry)) == {np.float32(MARKS[name]) for name in seen}


def test_each_source_has_its_share_however_many_windows_it_has(draw: Any) -> None:
    source = np.repeat(["few", "many", "absent"], [5, 300, 0])
    windows = toy_windows(np.where(source == "few", 0.25, 0.75), source=source)
    cry = draw(windows, {"few": 3.0, "many": 1.0, "absent": 5.0}, 0).cry
    assert np.mean(cry == 0.25) == pytest.approx(0.75, abs=SHARE_TOLERANCE)


def test_a_seed_draws_the_same_windows_and_another_others(draw: Any) -> None:
    first, again, other = (draw(marked_windows(), {"own": 1.0}, seed).inputs for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_loss_that_is_not_finite_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    ended = SimpleNamespace(history={"loss": [float("nan")]})
    monkeypatch.setattr(keras.Model, "fit", lambda self, batches, **options: ended)
    with pytest.raises(CryvisionError, match="finite loss and weights; got loss nan"):
        fit_detector(toy_windows(random_cry(20, seed=0)), {"own": 1}, 0)


def test_nothing_to_train_on_is_an_error(draw: Any) -> None:
    windows = toy_windows(random_cry(20, seed=0))
    for shares, left_out in (({"own": 1.0}, ["ada"]), ({"elsewhere": 1.0}, [])):
        with pytest.raises(CryvisionError, match="no window is left to train on"):
            draw(windows, shares, 0, left_out)


def test_inputs_meet_equalisers_and_some_lose_their_oldest_part(draw: Any) -> None:
    windows = toy_windows(random_cry(1, seed=0))
    original = windows.inputs[0].astype(np.float32)
    inputs = draw(windows, {"own": 1.0}, 0).inputs
    gains = inputs[:, -1] - original[-1]
    assert np.std(gains, axis=0).min() > training.EQUALISER_DB / 2
    as_heard = np.isclose(inputs, original + gains[:, None], atol=FLOAT32_DB).all(axis=2)
    n_silenced = N_FRAMES - as_heard.sum(axis=1)
    share = np.mean(n_silenced > 0)
    assert share == pytest.approx(training.NO_CONTEXT_SHARE, abs=SHARE_TOLERANCE)
    assert n_silenced.max() < 3 * N_FRAMES // 4  # the window itself stays
    for row in np.flatnonzero(n_silenced)[:50]:
        oldest, rest = np.split(inputs[row], [n_silenced[row]])
        # As the features do it: decibels end below the loudest of what there is.
        assert np.allclose(oldest, rest.max() - training.SILENCE_DB, atol=FLOAT32_DB)


def test_noise_is_laid_over_some_inputs_in_power(
    draw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "EQUALISER_DB", 0.0)
    monkeypatch.setattr(training, "NO_CONTEXT_SHARE", 0.0)
    source = np.repeat(["own", training.NOISE, "living"], 10)
    windows = toy_windows(np.where(source == "own", 1.0, 0.0), source=source)
    band = {"own": 0, training.NOISE: 2, "living": 3}
    inputs = np.full(windows.inputs.shape, -200.0)
    for row, name in enumerate(source):
        inputs[row, :, band[name]] = -30.0 - (row if name == "own" else 0)
    drawn = draw(replace(windows, inputs=inputs.astype(np.float16)), {"own": 1.0}, 0)
    assert (drawn.cry == 1).all()  # what is heard under noise keeps its label
    power = 10 ** (drawn.inputs.astype(np.float64) / 10)
    own, noise, living = (power[:, 0, band[name]] for name in band)
    assert living.max() < 1e-12  # a voice over crying would make crying of voices
    noisy = noise > 1e-12
    assert noisy.mean() == pytest.approx(training.NOISY_SHARE, abs=SHARE_TOLERANCE)
    snr_db = 10 * np.log10(own[noisy] / noise[noisy])
    low_db, high_db = training.NOISE_SNR_DB
    assert low_db - HALF_DB < snr_db.min() < low_db + 1
    assert high_db - 1 < snr_db.max() < high_db + HALF_DB
    # Squared extents add up to 1: what the noise takes of it, by its power alone, the sound loses.
    taken = noise[noisy] / 10 ** (-30 / 10)
    levels_db = 10 * np.log10(own[noisy] / (1 - taken))
    assert all(np.abs(level + 30 + np.arange(10)).min() < HALF_DB for level in levels_db)


def test_calibration_finds_temperature_and_bias_and_passes_over_what_was_not_scored() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 4, 20_000)
    cry = rng.random(20_000) < 1 / (1 + np.exp(-(logits / 2.5 - 0.7)))
    temperature, bias = fit_calibration(logits, cry)
    assert temperature == pytest.approx(2.5, abs=CALIBRATION_TOLERANCE)
    assert bias == pytest.approx(-0.7, abs=CALIBRATION_TOLERANCE)
    unscored = np.full(500, -np.inf)
    more = fit_calibration(np.append(logits, unscored), np.append(cry, np.arange(500) % 2 == 0))
    assert more == pytest.approx((temperature, bias))


def test_scores_that_calibration_can_make_nothing_of_are_refused() -> None:
    logits = np.array([-2.0, -1.0, 1.0, 2.0, -np.inf])
    with pytest.raises(CryvisionError, match="must score crying above the rest"):
        fit_calibration(logits, np.array([True, True, False, False, False]))
    for cry in (np.ones(5, bool), np.array([True] * 4 + [False])):
        with pytest.raises(CryvisionError, match="scored windows with crying and without"):
            fit_calibration(logits, cry)


def test_calibrated_scores_are_probabilities_in_the_order_of_the_logits() -> None:
    logits = np.array([-np.inf, -1e6, -3.0, 0.0, 2.0, 1e6])
    with np.errstate(all="raise", under="ignore"):
        probabilities = calibrated(logits, 2.0, 0.5)
    assert probabilities[0] == 0.0
    assert np.all(np.diff(probabilities) >= 0)
    assert probabilities[2:5] == pytest.approx(1 / (1 + np.exp(-(logits[2:5] / 2 + 0.5))))
    assert probabilities[-1] == pytest.approx(1.0)
