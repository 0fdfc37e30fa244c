"""Trains edges and taggers on the pool: for folds, without a corpus, and those that ship.

Run ``python experiments/parts.py POOL MODELS JOB...``; a job is ``edges-D-F-K`` or ``tagger-D-F-3``
(division, fold, folds), ``edges-without-CORPUS``, ``tagger-without-CORPUS``, ``edges-all-SEED``,
``tagger-all-SEED``, ``tagger-all-distilled`` (one network, taught by the three folds of division 0
as well as by the teacher: it ships). Models that are there are not trained again. ``--passes N``
trains taggers for so many passes over the pool, in place of 3.5.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pool import CORPORA, N_CELLS, SHARES, kept_out
from record import say
from shipped_networks import build_tagger, enable_loudness

from cryvision.detector_training.pieces import NOT_LABELLED, Pieces, fit_frame_network
from cryvision.inputs.logmel import model_input
from cryvision.models.tagger import CONTEXT, TAGS

WINDOW = CONTEXT.window_frames

TAGGER_PASSES, TAGGER_BATCH = 3.5, 64
TAGGER_RATE, TAGGER_DECAY = 2.5e-3, 1e-3
HARD_FLOOR, HARD_CEILING = 0.9, 0.3
"""Least target of the first output where the labels of a phone's clip say that it cries, and the
largest where nobody cries: the teacher takes some screams and animals for crying."""

DISTILLED = "tagger-all-distilled"
LEAST_CRY_SECONDS = 0.24
EDGE_STEPS, EDGE_WIDTH, EDGE_DROPOUT = 3000, 96, 0.1
"""With 48 channels and 0.2, the edges of a fold were no better on the phones that they were trained
on than on the others."""

EDGE_WEIGHTS = {"cry": 1.6, "other": 1.0, "upload": 0.0, "anywhere": 3.0, "quiet": 1.0}


@dataclass(frozen=True)
class Pool:
    """What `pool.py` wrote."""

    log_power: np.ndarray
    labels: np.ndarray
    cells: np.ndarray
    kinds: np.ndarray
    corpora: np.ndarray
    tags: np.ndarray

    @classmethod
    def read(cls, folder: Path) -> Pool:
        return cls(**{name: np.load(folder / f"{name}.npy") for name in cls.__annotations__})

    def rows(self, job: str) -> np.ndarray:
        """Rows that a job trains on."""
        keep = np.ones(len(self.cells), bool)
        if match := re.search(r"-(\d+)-(\d+)-(\d+)$", job):
            division, fold, n_folds = map(int, match.groups())
            keep = ~kept_out(division, fold, n_folds)[self.cells]
        elif match := re.search(r"-without-(.+)$", job):
            keep = ~(self.corpora & 1 << CORPORA.index(match[1])).astype(bool)
        return np.flatnonzero(keep)


def fit_edges(pool: Pool, rows: np.ndarray, seed: int):
    """Train a frame network on rows of the pool."""
    pieces = Pieces(pool.log_power[rows], pool.labels[rows], edge_weights(pool.kinds[rows]))
    model = fit_frame_network(pieces, seed, EDGE_STEPS, width=EDGE_WIDTH, dropout=EDGE_DROPOUT)
    enable_loudness(model)
    return model


def edge_weights(kinds: np.ndarray) -> np.ndarray:
    """How often mixtures of these kinds are drawn to train edges, relative to each other."""
    return np.array([EDGE_WEIGHTS[kind] for kind in SHARES])[kinds]


def targets(pool: Pool) -> np.ndarray:
    """Give the targets of the tagger, float32, shape (n, 2 windows, 1 + n_tags).

    The first is crying as the teacher hears it, raised or lowered where labels say so; then the
    teacher's.
    """
    soft = 1 / (1 + np.exp(-pool.tags))
    steps = pool.labels.reshape(len(pool.labels), 2, -1)
    hard = (steps == 1).sum(axis=2) * 0.04 >= LEAST_CRY_SECONDS
    hard &= (steps != NOT_LABELLED).mean(axis=2) > 0.5
    never = pool.kinds == list(SHARES).index("other")
    mixed = np.maximum(soft[..., 0], np.where(hard, HARD_FLOOR, 0.0))
    mixed = np.minimum(mixed, np.where(never, HARD_CEILING, 1.0)[:, None])
    return np.concatenate([mixed[..., None], soft], axis=2).astype(np.float32)


def fit_tagger(pool: Pool, rows: np.ndarray, wanted: np.ndarray, seed: int, n_steps: int):
    """Train a tagger on rows of the pool.

    Its output for crying is the mean, before the logistic function, of what it learnt from labels
    and teacher and what it learnt from the teacher alone.
    """
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    model = build_tagger(n_tags=1 + len(TAGS))
    model.compile(
        optimizer=keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(TAGGER_RATE, n_steps),
            weight_decay=TAGGER_DECAY,
            use_ema=True,
            ema_momentum=1 - 1 / (n_steps / 6),
        ),
        loss="binary_crossentropy",
    )
    model.fit(
        _batches(pool, rows, wanted, seed), steps_per_epoch=n_steps, epochs=1, shuffle=False,
        verbose=0,
    )  # fmt: skip
    return with_one_cry(model)


def with_one_cry(model):
    """Put the two outputs for crying together: their last layer is linear."""
    shipped = build_tagger()
    *body, kernel, bias = model.get_weights()
    join = np.zeros((1 + len(TAGS), len(TAGS)), np.float32)
    join[[0, 1], 0] = 0.5
    join[np.arange(2, 1 + len(TAGS)), np.arange(1, len(TAGS))] = 1.0
    shipped.set_weights([*body, kernel @ join, bias @ join])
    return shipped


def _batches(
    pool: Pool, rows: np.ndarray, wanted: np.ndarray, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    curves = np.cos(np.pi * np.arange(1, 7)[:, None] * np.linspace(0, 1, 64))
    while True:
        picked = rng.choice(rows, TAGGER_BATCH)
        half = rng.integers(0, 2, TAGGER_BATCH)
        frames = pool.log_power[picked].reshape(TAGGER_BATCH, 2, WINDOW, -1)
        frames = frames[np.arange(TAGGER_BATCH), half].astype(np.float32)
        frames += (rng.normal(0, 0.4, (TAGGER_BATCH, 6)) @ curves)[:, None].astype(np.float32)
        lowest = frames.min(axis=(1, 2))
        for i in range(TAGGER_BATCH):
            if rng.random() < 0.4:
                at, width = int(rng.integers(0, 60)), int(rng.integers(1, 9))
                frames[i, :, at : at + width] = lowest[i]
            if rng.random() < 0.4:
                at, width = int(rng.integers(0, WINDOW - 12)), int(rng.integers(1, 13))
                frames[i, at : at + width] = lowest[i]
        yield model_input(frames, CONTEXT), wanted[picked, half]


def distilled(pool: Pool, wanted: np.ndarray, out: Path) -> np.ndarray:
    """Give targets for one network that stands for three: half theirs, half what they learnt."""
    import keras

    models = [
        keras.saving.load_model(out / f"tagger-0-{fold}-3.keras", compile=False)
        for fold in range(3)
    ]
    frames = pool.log_power.reshape(-1, WINDOW, pool.log_power.shape[2])
    found = []
    for first in range(0, len(frames), 256):
        inputs = model_input(frames[first : first + 256], CONTEXT)
        scores = [np.asarray(model(inputs, training=False)) for model in models]
        logits = np.mean([np.log(s / (1 - s)) for s in np.clip(scores, 1e-6, 1 - 1e-6)], axis=0)
        found.append(1 / (1 + np.exp(-logits)))
    taught = np.concatenate(found).reshape(len(pool.log_power), 2, -1)
    # Crying is one output of theirs and two here.
    return 0.5 * (wanted + np.concatenate([taught[..., :1], taught], axis=2)).astype(np.float32)


def train(job: str, pool: Pool, wanted: np.ndarray, out: Path, passes: float) -> None:
    """Train one model and save it, unless it is there."""
    target = out / f"{job}.keras"
    if target.exists():
        return
    started = time.time()
    rows = pool.rows(job)
    numbers = re.findall(r"\d+", job)
    seed = int(numbers[0]) if numbers else 0
    if job.startswith("edges"):
        model = fit_edges(pool, rows, seed)
    else:
        if job == DISTILLED:
            wanted = distilled(pool, wanted, out)
        n_steps = math.ceil(passes * 2 * len(rows) / TAGGER_BATCH)
        model = fit_tagger(pool, rows, wanted, seed, n_steps)
    partial = target.with_name(f"{job}.part.keras")
    model.save(partial)
    os.replace(partial, target)
    say(f"{job}: {(time.time() - started) / 60:.1f} min")


def main() -> None:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    parser = argparse.ArgumentParser()
    parser.add_argument("pool", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("jobs", nargs="+")
    parser.add_argument("--passes", type=float, default=TAGGER_PASSES)
    options = parser.parse_args()
    options.models.mkdir(parents=True, exist_ok=True)
    pool = Pool.read(options.pool)
    assert pool.cells.max() < N_CELLS
    wanted = targets(pool)
    for job in options.jobs:
        train(job, pool, wanted, options.models, options.passes)


if __name__ == "__main__":
    main()
