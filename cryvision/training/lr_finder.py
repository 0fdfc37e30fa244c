"""The learning-rate range test: a short run in which the rate grows until the loss does too.

L. Smith, "Cyclical learning rates for training neural networks", WACV 2017, section 3.3. The rate
grows exponentially and the loss is smoothed, as in the finder of the fastai library with which
DeepInfant V1 was trained.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryvision.atomic import replacing
from cryvision.errors import ConfigError, CryvisionError
from cryvision.layers import require
from cryvision.models.picture_network import build_optimizer
from cryvision.outputs.panels import grid
from cryvision.training.branches import Rows
from cryvision.training.networks import Network

if TYPE_CHECKING:
    import keras

LOWEST_RATE, HIGHEST_RATE = 1e-6, 1.0
N_STEPS = 100

SMOOTHING = 0.9
"""Share of the older losses in the running mean."""

DIVERGED = 4.0
"""The test ends where the smoothed loss is so many times its least."""

FEWEST_STEPS = 10
"""A running mean over fewer steps has no clear slope."""


@dataclass(frozen=True)
class RangeTest:
    """What a range test found: the rate of each step, its loss, and the running mean of the losses.

    ``suggested`` is the rate at which the smoothed loss falls fastest: a rate to train with, or the
    middle of a cycle.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggested: float


def find_learning_rate(
    network: Network,
    rows: Rows,
    n_classes: int,
    seed: int,
    lowest: float = LOWEST_RATE,
    highest: float = HIGHEST_RATE,
    n_steps: int = N_STEPS,
) -> RangeTest:
    """Train a network for some steps while its learning rate grows.

    The network's own rates are not looked at. Batches are drawn from the rows, over and over; it
    ends after ``n_steps``, or where the loss is not finite or has gone up too far.

    Raises
    ------
    ConfigError
        If the rates or the steps make no test.
    CryvisionError
        If the loss was lost before it could be followed.
    """
    require("train", "the search for a learning rate")
    if not 0 < lowest < highest < np.inf or n_steps < FEWEST_STEPS:
        raise ConfigError(
            f"a range test needs 0 < lowest < highest and {FEWEST_STEPS} steps or more; got "
            f"{lowest:g}, {highest:g} and {n_steps}"
        )
    model, ready = network.untrained(rows, n_classes, seed)
    model.compile(optimizer=build_optimizer(lowest), loss="sparse_categorical_crossentropy")
    rates = np.geomspace(lowest, highest, n_steps)
    batches = _batches(len(ready.labels), network.batch_size, np.random.default_rng(seed))
    losses, smoothed = _followed(model, ready, rates, batches)
    if len(losses) < FEWEST_STEPS:
        raise CryvisionError(
            f"the loss must stay finite for {FEWEST_STEPS} steps of a range test; it did for "
            f"{len(losses)}, from a rate of {lowest:g}: start lower"
        )
    done = rates[: len(losses)]
    return RangeTest(done, np.array(losses), np.array(smoothed), _steepest(done, smoothed))


def _followed(
    model: keras.Model, rows: Rows, rates: np.ndarray, batches: Iterator[np.ndarray]
) -> tuple[list[float], list[float]]:
    """Loss of each step, and their running mean, until it is lost or has gone up too far."""
    losses: list[float] = []
    smoothed: list[float] = []
    running = 0.0
    for rate, batch in zip(rates, batches, strict=False):
        loss = _step(model, rows[batch], rate)
        running = SMOOTHING * running + (1 - SMOOTHING) * loss
        mean = running / (1 - SMOOTHING ** (len(losses) + 1))  # as if there had been losses before
        grown = len(losses) > FEWEST_STEPS and mean > DIVERGED * min(smoothed)
        if not np.isfinite(loss) or grown:
            break
        losses.append(loss)
        smoothed.append(mean)
    return losses, smoothed


def _batches(n_rows: int, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Numbers of the rows of batches without end, each row drawn once before any is drawn again."""
    waiting = np.empty(0, int)
    while True:
        while len(waiting) < size:
            waiting = np.concatenate([waiting, rng.permutation(n_rows)])
        yield waiting[:size]
        waiting = waiting[size:]


def _step(model: keras.Model, rows: Rows, rate: float) -> float:
    """Take one step at a rate; give the loss before it."""
    model.optimizer.learning_rate = rate
    model.reset_metrics()
    weights = rows.weights.astype(np.float32)
    return float(model.train_on_batch(rows.inputs, rows.labels, weights))


def _steepest(rates: np.ndarray, smoothed: list[float]) -> float:
    """The rate where the loss falls fastest, once its mean has settled and before its least."""
    first = min(FEWEST_STEPS, len(rates) - 2)
    until = first + max(2, int(np.argmin(smoothed[first:])) + 1)
    slope = np.gradient(np.array(smoothed[first:until]), np.log(rates[first:until]))
    return float(rates[first + np.argmin(slope)])


def draw(curve: RangeTest, path: str | os.PathLike[str], title: str) -> Path:
    """Write a figure of loss over learning rate, as PNG."""
    figure, ((axes,),) = grid(1, 1, (7, 4))
    axes.semilogx(curve.rates, curve.losses, color="0.75", label="of each step")
    axes.semilogx(curve.rates, curve.smoothed, label="smoothed")
    axes.axvline(curve.suggested, linestyle="--", color="black", label="steepest")
    axes.set(xlabel="learning rate", ylabel="loss", title=title)
    axes.legend()
    target = Path(path)
    with replacing(target) as file:
        figure.savefig(file, format="png", dpi=120)
    return target
