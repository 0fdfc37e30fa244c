"""Fits models to windows, and calibrates them."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from cryvision.errors import CryvisionError
from cryvision.learning.windows import Windows

if TYPE_CHECKING:
    import keras

BATCH_SIZE = 128
MOST_STEPS = 1300
MOST_PASSES = 3
"""Training ends after so many batches, or so many passes over the windows, whichever is less."""

LEARNING_RATE = 2e-3
WEIGHT_DECAY = 1e-3

AVERAGED_SHARE = 1 / 6
"""The weights that are kept are a running mean over about the last so many of the steps."""

EQUALISER_DB = 1.0
"""Standard deviation of each of the four smooth curves that a random equaliser adds."""

NOISE = "noise"
"""The source of the windows that are laid over others, which have no labels' worth of their own."""

NOISY_SHARE = 0.5
"""Share of inputs that noise is laid over, at a level drawn from the range that follows."""

NOISE_SNR_DB = (-5.0, 20.0)

TWO_NOISES_SHARE = 0.5
"""Share of these that hold two noises at once, as a home does."""

NO_CONTEXT_SHARE = 0.15
"""Share of inputs whose oldest part is silenced, as it is at the start of a clip."""

SILENCE_DB = 80.0
"""Decibels below an input's largest value that stand for silence (``top_db`` of the features)."""

PREDICTION_BATCH_SIZE = 1024


def fit_detector(
    windows: Windows,
    shares: Mapping[str, float],
    seed: int,
    left_out: Collection[str] = (),
    n_steps: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> keras.Model:
    """Train a cry detector.

    Parameters
    ----------
    windows : Windows
        Training windows; those below the energy gate are passed over, as in use.
    shares : mapping of str to float
        How often each source is drawn, relative to the others; a source without a share is not.
    seed : int
        The same seed, data and versions give the same model.
    left_out : collection of str
        Subjects of whom no window is used, nor any in which they are the noise.
    n_steps : int, optional
        Batches of 128 windows; by default as ``MOST_STEPS`` and ``MOST_PASSES`` say.
    progress : callable, optional
        Called with (steps done, steps in all).

    Returns
    -------
    keras.Model
        Not calibrated yet.
    """
    import keras
    import tensorflow as tf

    from cryvision.models.detector import build_detector

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    rows = np.flatnonzero(windows.scored & ~windows.holds(left_out))
    chances = _chances(windows, rows, shares)
    n_steps = n_steps or min(MOST_STEPS, math.ceil(MOST_PASSES * len(rows) / BATCH_SIZE))
    model = build_detector(*windows.inputs.shape[1:])
    model.compile(
        optimizer=keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(LEARNING_RATE, n_steps),
            weight_decay=WEIGHT_DECAY,
            use_ema=True,
            ema_momentum=max(0.0, 1 - 1 / (AVERAGED_SHARE * n_steps)),
        ),
        loss="binary_crossentropy",
    )
    callbacks = []
    if progress is not None:
        callbacks.append(
            keras.callbacks.LambdaCallback(
                on_train_batch_end=lambda batch, logs: progress(batch + 1, n_steps)
            )
        )
    history = model.fit(
        _batches(windows, rows, chances, seed),
        steps_per_epoch=n_steps,
        epochs=1,
        shuffle=False,
        verbose=0,
        callbacks=callbacks,
    )
    loss = history.history["loss"][-1]
    # ReLU makes 0 of NaN, so weights may be lost without a trace in the loss.
    if not (np.isfinite(loss) and all(np.isfinite(w).all() for w in model.get_weights())):
        raise CryvisionError(f"training must end with finite loss and weights; got loss {loss}")
    return model


def detector_logits(model: keras.Model, windows: Windows) -> np.ndarray:
    """Score windows, before calibration.

    Returns
    -------
    ndarray of float64, shape (n,)
        Minus infinity for windows below the energy gate: they are not scored.
    """
    import keras

    to_logits = keras.Model(model.inputs[0], model.get_layer("logits").output)
    logits = np.full(len(windows), -np.inf)
    rows = np.flatnonzero(windows.scored)
    for first in range(0, len(rows), PREDICTION_BATCH_SIZE):
        batch = rows[first : first + PREDICTION_BATCH_SIZE]
        inputs = windows.inputs[batch].astype(np.float32)
        logits[batch] = keras.ops.convert_to_numpy(to_logits(inputs, training=False))[:, 0]
    return logits


def fit_calibration(logits: np.ndarray, cry: np.ndarray) -> tuple[float, float]:
    """Find the temperature and bias that turn logits into calibrated probabilities.

    Parameters
    ----------
    logits : ndarray of float, shape (n,)
        Of windows that training has not seen; infinite ones are passed over.
    cry : ndarray of bool, shape (n,)

    Returns
    -------
    temperature, bias : float
        ``p = logistic(logits / temperature + bias)``, the maximum likelihood of a logistic
        regression on the logit (J. Platt, "Probabilistic outputs for support vector machines",
        1999).
    """
    from sklearn.linear_model import LogisticRegression

    finite = np.isfinite(logits)
    if len(np.unique(cry[finite])) < 2:
        raise CryvisionError(
            "calibration needs scored windows with crying and without; got "
            f"{np.count_nonzero(cry[finite])} with and {np.count_nonzero(~cry[finite])} without"
        )
    fitted = LogisticRegression(C=1e6).fit(logits[finite, None], cry[finite])
    slope = float(fitted.coef_[0, 0])
    if slope <= 0:
        raise CryvisionError(
            "the detector must score crying above the rest on unseen subjects; it does not: "
            "check the labels"
        )
    return 1 / slope, float(fitted.intercept_[0])


def calibrated(logits: np.ndarray, temperature: float, bias: float) -> np.ndarray:
    """Turn logits into probabilities; minus infinity gives 0.

    Returns
    -------
    ndarray of float64, shape (n,)
    """
    return 1 / (1 + np.exp(-np.clip(logits / temperature + bias, -700, 700))) * np.isfinite(logits)


def _chances(windows: Windows, rows: np.ndarray, shares: Mapping[str, float]) -> np.ndarray:
    """Chance of each row to be drawn, so that every source gets its share."""
    chances = np.zeros(len(rows))
    for source, share in shares.items():
        of_source = windows.source[rows] == source
        if of_source.any():
            chances[of_source] = share / np.count_nonzero(of_source)
    if not chances.any():
        raise CryvisionError("no window is left to train on; check labels and levels")
    return chances / chances.sum()


def _batches(
    windows: Windows, rows: np.ndarray, chances: np.ndarray, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    edges = np.cumsum(chances)
    noises = rows[windows.source[rows] == NOISE]
    while True:
        picked = rows[np.searchsorted(edges, rng.random(BATCH_SIZE) * edges[-1], side="right")]
        inputs = windows.inputs[picked].astype(np.float32)
        if len(noises):
            noisy = np.flatnonzero(rng.random(len(inputs)) < NOISY_SHARE)
            drawn = windows.inputs[rng.choice(noises, (2, len(noisy)))].astype(np.float32)
            inputs[noisy] = _under_noise(inputs[noisy], drawn, rng)
        yield _perturbed(inputs, rng), windows.cry[picked, None]


def _under_noise(inputs: np.ndarray, noises: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add one or two noises in power, which mixes sounds anew for each batch at little cost.

    Features are of sound that was scaled to an extent of 1, and so is a mixture: each is spread
    over about the root of the sum of its squared extents. A click may be far louder than a voice
    of the same power, and leaves little of it.

    Parameters
    ----------
    inputs : ndarray of float32, shape (n, n_frames, n_bands)
        Mel spectra in dB.
    noises : ndarray of float32, shape (2, n, n_frames, n_bands)
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of float32, shape (n, n_frames, n_bands)
        In dB.
    """
    sound, first, second = (10 ** (spectra / 10) for spectra in (inputs, *noises))
    share = rng.random(len(inputs)) * (rng.random(len(inputs)) < TWO_NOISES_SHARE)
    level = 10 ** (-rng.uniform(*NOISE_SNR_DB, len(inputs)) / 10) * _means(sound)
    gains = level * np.stack([(1 - share) / _means(first), share / _means(second)])
    mixed = sound + first * _per_row(gains[0]) + second * _per_row(gains[1])
    return np.asarray(10 * np.log10(mixed / _per_row(1 + gains.sum(axis=0))), np.float32)


def _means(power: np.ndarray) -> np.ndarray:
    return np.maximum(power.mean(axis=(1, 2), dtype=np.float64), np.finfo(np.float32).tiny)


def _per_row(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)[:, None, None]


def _perturbed(inputs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pass inputs through random equalisers, and silence the context of some."""
    n, n_frames, n_bands = inputs.shape
    order = np.arange(1, 5)[:, None]
    curves = np.cos(np.pi * order * np.linspace(0, 1, n_bands))
    gains = rng.normal(0.0, EQUALISER_DB, (n, len(curves))) @ curves
    inputs += gains[:, None, :].astype(np.float32)
    for row in np.flatnonzero(rng.random(n) < NO_CONTEXT_SHARE):
        known_from = rng.integers(1, 3 * n_frames // 4)
        inputs[row, :known_from] = inputs[row, known_from:].max() - SILENCE_DB
    return inputs
