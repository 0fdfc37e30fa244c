"""Four-second pieces of labelled sound, and the frame network that is trained on them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryvision.errors import CryvisionError
from cryvision.inputs.logmel import SILENCE, model_input
from cryvision.models.frame_network import DROPOUT, EDGES, WIDTH

if TYPE_CHECKING:
    import keras

PIECE_FRAMES = 200
"""Frames of a piece: 4 s."""

STEP_FRAMES = EDGES.hop_frames
NOT_LABELLED = 255
"""Label of a step of which it is not known whether it is crying; training ignores it."""

BATCH_SIZE = 32
MOST_STEPS = 2400
MOST_PASSES = 5
"""Training ends after so many batches, or so many passes over the pieces, whichever is less."""

LEARNING_RATE = 3e-3
WEIGHT_DECAY = 1e-3
AVERAGED_SHARE = 1 / 6
"""The weights that are kept are a running mean over about the last so many of the steps."""

BLOCK_STEPS = 4096
"""Steps scored at a time: bounds the memory."""

START_SHARE = 0.2
"""Share of sequences that start a stream: nothing but silence comes before."""

EQUALISER = 0.35
"""Standard deviation of each of the four smooth curves that a random microphone adds, in the
units of natural logarithms of power (1.5 dB)."""

GAIN = 1.0
"""Standard deviation of the level of a sequence, in the same units (4 dB)."""


@dataclass(frozen=True)
class Pieces:
    """Pieces of sound with a label for each step of 40 ms.

    ``log_power`` is float16, shape (n, PIECE_FRAMES, n_mels), as `cryvision.inputs.logmel.Frames`
    has it; ``labels`` uint8, shape (n, PIECE_FRAMES // 2), 1 crying, 0 not, or ``NOT_LABELLED``;
    ``weight``, shape (n,), how often a piece is drawn, relative to the others.
    """

    log_power: np.ndarray
    labels: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


def fit_frame_network(
    pieces: Pieces,
    seed: int,
    n_steps: int | None = None,
    width: int = WIDTH,
    dropout: float = DROPOUT,
) -> keras.Model:
    """Train a frame network, not calibrated yet; the same seed, data and versions give the same.

    Each sequence is two pieces one behind the other, so that the network sees changes of scene, or
    one piece after silence. ``n_steps`` are batches of 32 sequences, by default as by
    ``MOST_STEPS`` and ``MOST_PASSES``.

    Raises
    ------
    CryvisionError
        If there is no labelled crying, or nothing else, or training fails.
    """
    import keras
    import tensorflow as tf

    from cryvision.models.frame_network import build_frame_network

    if not ((pieces.labels == 1).any() and (pieces.labels == 0).any()):
        raise CryvisionError("training needs labelled crying and sound without crying; got one")
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    n_steps = n_steps or min(MOST_STEPS, math.ceil(MOST_PASSES * len(pieces) / BATCH_SIZE))
    model = build_frame_network(width=width, dropout=dropout)
    model.compile(
        optimizer=keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(LEARNING_RATE, n_steps),
            weight_decay=WEIGHT_DECAY,
            use_ema=True,
            ema_momentum=max(0.0, 1 - 1 / (AVERAGED_SHARE * n_steps)),
        ),
        loss="binary_crossentropy",
    )
    batches = _batches(pieces, seed)
    history = model.fit(batches, steps_per_epoch=n_steps, epochs=1, shuffle=False, verbose=0)
    loss = history.history["loss"][-1]
    # ReLU makes 0 of NaN, so weights may be lost without a trace in the loss.
    if not (np.isfinite(loss) and all(np.isfinite(w).all() for w in model.get_weights())):
        raise CryvisionError(f"training must end with finite loss and weights; got loss {loss}")
    return model


def step_logits(model: keras.Model, log_power: np.ndarray) -> np.ndarray:
    """Score all steps of a clip by a frame network, before calibration; float32, shape (n_steps,).

    The frames, shape (n_frames, n_mels), are those of the whole clip.
    """
    import keras

    to_logits = keras.Model(model.inputs[0], model.get_layer("logits").output)
    frames = padded(log_power)
    n_steps = -(-len(log_power) // STEP_FRAMES)
    reach = EDGES.window_frames - STEP_FRAMES
    logits = np.empty(n_steps, np.float32)
    for first in range(0, n_steps, BLOCK_STEPS):
        block = slice(first, min(first + BLOCK_STEPS, n_steps))
        part = frames[block.start * STEP_FRAMES : block.stop * STEP_FRAMES + reach]
        scores = to_logits(part[None], training=False)
        logits[block] = keras.ops.convert_to_numpy(scores)[0, :, 0]
    return logits


def padded(log_power: np.ndarray) -> np.ndarray:
    """Put the silence around a clip that a stream has before its start and behind its end.

    The frames, scaled as the network takes them, give one score a step of the clip.
    """
    n_steps = -(-len(log_power) // STEP_FRAMES)
    before = EDGES.window_frames - EDGES.lookahead_frames - STEP_FRAMES
    behind = n_steps * STEP_FRAMES - len(log_power) + EDGES.lookahead_frames
    whole = np.pad(log_power, ((before, behind), (0, 0)), constant_values=SILENCE)
    return model_input(whole, EDGES)


def _batches(pieces: Pieces, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Draw sequences: inputs, labels, and which labels count."""
    rng = np.random.default_rng(seed)
    edges = np.cumsum(pieces.weight, dtype=np.float64)
    # The first frame is left out: the network's steps then lie on the steps of the labels.
    first = (EDGES.window_frames - EDGES.lookahead_frames + 1) // STEP_FRAMES - 1
    last = PIECE_FRAMES - EDGES.lookahead_frames // STEP_FRAMES
    while True:
        picked = np.searchsorted(edges, rng.random((BATCH_SIZE, 2)) * edges[-1], side="right")
        frames = pieces.log_power[picked].astype(np.float32)
        labels = pieces.labels[picked]
        starts = rng.random(BATCH_SIZE) < START_SHARE
        frames[starts, 0] = SILENCE
        labels[starts, 0] = NOT_LABELLED
        frames = frames.reshape(BATCH_SIZE, 2 * PIECE_FRAMES, -1)[:, 1:]
        frames = _perturbed(frames, rng)
        labels = labels.reshape(BATCH_SIZE, -1)[:, first:last]
        labelled = (labels != NOT_LABELLED).astype(np.float32)
        cry = (labels == 1).astype(np.float32)
        yield model_input(frames, EDGES), cry[..., None], labelled


def _perturbed(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change level and microphone of each sequence; silence stays silence."""
    n, _, n_bands = frames.shape
    order = np.arange(1, 5)[:, None]
    curves = np.cos(np.pi * order * np.linspace(0, 1, n_bands))
    gains = rng.normal(0.0, EQUALISER, (n, len(curves))) @ curves
    gains += rng.normal(0.0, GAIN, (n, 1))
    return np.asarray(np.maximum(frames + gains[:, None, :].astype(np.float32), SILENCE))
