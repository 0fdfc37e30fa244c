"""A fit of the frame network learns and repeats, and scores clips as a stream does."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from toy_stack import fit_eagerly

from cryvision.detector_training import pieces
from cryvision.detector_training.pieces import NOT_LABELLED, Pieces, fit_frame_network, step_logits
from cryvision.errors import CryvisionError
from cryvision.evaluation import metrics
from cryvision.inference.steps import StepScorer
from cryvision.inputs.logmel import Frames
from cryvision.models import frame_network
from cryvision.models.frame_network import EDGES, build_frame_network

if TYPE_CHECKING:
    import keras

N_STEPS = 40
"""Enough for a rule that most bands tell."""

LEARNT_AUC = 0.9
SAME = 1e-4
"""Logits of the same frames in blocks of another length."""


def toy(n: int, seed: int, weight: np.ndarray | None = None) -> Pieces:
    """Noise in all bands; where it is crying, two seconds at a time, most of them stand out."""
    rng = np.random.default_rng(seed)
    log_power = rng.normal(-8, 1, (n, pieces.PIECE_FRAMES, EDGES.n_mels))
    labels = np.repeat(rng.random((n, 2)) < 0.4, 50, axis=1)
    log_power[..., 10:50] += 5.0 * np.repeat(labels, 2, axis=1)[..., None]
    weight = np.ones(n) if weight is None else weight
    return Pieces(log_power.astype(np.float16), labels.astype(np.uint8), weight)


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """Small batches, and a narrow network of one block that spans as much as all of them."""
    narrow = functools.partial(build_frame_network, width=16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frame_network, "DILATIONS", (sum(frame_network.DILATIONS),))
        patch.setattr(pieces, "BATCH_SIZE", 4)
        patch.setattr(frame_network, "build_frame_network", narrow)
        yield


def fit(n_steps: int, seed: int = 5) -> keras.Model:
    return fit_frame_network(toy(40, seed=0), seed, n_steps=n_steps)


def logits_of(model: keras.Model, material: Pieces) -> np.ndarray:
    return np.concatenate(
        [step_logits(model, one.astype(np.float32)) for one in material.log_power]
    )


def test_a_fit_learns() -> None:
    unseen = toy(8, seed=1)
    assert metrics.auc(unseen.labels.ravel(), logits_of(fit(N_STEPS), unseen)) > LEARNT_AUC


def test_the_same_seed_gives_the_same_model_bit_for_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    fit_eagerly(monkeypatch)
    unseen = toy(8, seed=1)
    first, second, other = (logits_of(fit(2, seed), unseen) for seed in (5, 5, 6))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


@pytest.fixture(scope="module")
def untrained() -> keras.Model:
    import keras

    keras.utils.set_random_seed(0)
    return build_frame_network()


@pytest.mark.parametrize("n_frames", [1, 2, 57, 200, 501])
def test_a_clip_is_scored_as_a_stream_of_it(
    untrained: keras.Model, monkeypatch: pytest.MonkeyPatch, n_frames: int
) -> None:
    log_power = np.random.default_rng(0).normal(-6, 2, (n_frames, EDGES.n_mels)).astype(np.float32)
    logits = step_logits(untrained, log_power)
    assert logits.shape == (-(-n_frames // 2),)
    model: Any = SimpleNamespace(
        predict=lambda inputs: np.asarray(untrained(inputs["logmel"], training=False))
    )
    frames = Frames(log_power, np.ones(n_frames, np.float32))
    found = StepScorer(model, EDGES, -60.0).finish(frames, 320 * n_frames)
    assert found.scores == pytest.approx(1 / (1 + np.exp(-logits)), abs=SAME)
    monkeypatch.setattr(pieces, "BLOCK_STEPS", 40)
    assert step_logits(untrained, log_power) == pytest.approx(logits, abs=SAME)


def drawn(monkeypatch: pytest.MonkeyPatch, material: Pieces, n: int = 20) -> list[np.ndarray]:
    """What a network is given to train on: inputs, labels, and which of them count."""
    import keras

    given: list[Any] = []

    def look(self: keras.Model, batches: Any, **options: Any) -> SimpleNamespace:
        given.extend(next(batches) for _ in range(n))
        return SimpleNamespace(history={"loss": [0.1]})

    monkeypatch.setattr(keras.Model, "fit", look)
    fit_frame_network(material, 0)
    return [np.concatenate(column) for column in zip(*given, strict=True)]


def test_pieces_are_drawn_by_weight_and_what_is_not_labelled_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labels = np.zeros((4, 100), np.uint8)
    labels[0], labels[1], labels[2] = 1, NOT_LABELLED, 1
    material = Pieces(np.zeros((4, 200, EDGES.n_mels), np.float16), labels, np.array([1, 1, 0, 2]))
    _, cry, counts = drawn(monkeypatch, material)
    assert cry.shape == (*counts.shape, 1)
    known = counts == 1
    assert 0.15 < np.mean(cry[..., 0][known]) < 0.5  # one in three of those that are labelled
    assert 0.15 < np.mean(~known) < 0.5


def test_labels_lie_on_the_steps_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the two frames of a step alone tell whether it is crying, so do those of the inputs."""
    labels = (np.random.default_rng(0).random((5, 100)) < 0.5).astype(np.uint8)
    log_power = np.repeat(np.where(labels == 1, 0.0, -10.0), 2, axis=1)[..., None]
    log_power = np.broadcast_to(log_power, (5, 200, EDGES.n_mels)).astype(np.float16)
    for name in ("EQUALISER", "GAIN", "START_SHARE"):
        monkeypatch.setattr(pieces, name, 0.0)
    inputs, cry, _ = drawn(monkeypatch, Pieces(log_power, labels, np.ones(5)), n=2)
    first = EDGES.window_frames - EDGES.lookahead_frames - EDGES.hop_frames
    for row, cry_of_row in zip(inputs, cry, strict=True):
        n_steps = (len(row) - EDGES.window_frames) // EDGES.hop_frames + 1
        assert cry_of_row.shape == (n_steps, 1)
        own = row[first : first + 2 * n_steps].reshape(n_steps, 2, -1).mean(axis=(1, 2))
        assert np.array_equal(own > 0, cry_of_row[:, 0] == 1)


def test_material_of_one_kind_is_refused() -> None:
    material = toy(4, seed=0)
    for label in (0, 1):
        one = Pieces(material.log_power, np.full_like(material.labels, label), material.weight)
        with pytest.raises(CryvisionError, match="labelled crying and sound without crying"):
            fit_frame_network(one, 0)


def test_weights_and_losses_that_are_not_finite_are_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import keras

    fit_eagerly(monkeypatch)
    material = toy(4, seed=0)
    nothing = Pieces(np.full_like(material.log_power, np.nan), material.labels, material.weight)
    with pytest.raises(CryvisionError, match="finite loss and weights"):
        fit_frame_network(nothing, 0, n_steps=2)
    ended = SimpleNamespace(history={"loss": [float("nan")]})
    monkeypatch.setattr(keras.Model, "fit", lambda self, batches, **options: ended)
    with pytest.raises(CryvisionError, match="finite loss and weights; got loss nan"):
        fit_frame_network(material, 0)
